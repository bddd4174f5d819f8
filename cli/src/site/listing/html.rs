//! A listing for people.

use std::fmt::{self, Write as _};

use super::{Entry, Listing};
use crate::terminal::{printable, size};

const STYLE: &str = include_str!("style.css");

/// Text between tags or in a quoted attribute.
///
/// Control characters and those that turn the direction of writing are shown by their numbers: no
/// name can look like another, or like a part of the page.
struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in printable(self.0).chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Writes the listing as a page that needs nothing besides.
pub(super) fn write(listing: &Listing) -> String {
    let mut title = b"/".to_vec();
    for name in &listing.path {
        title.extend_from_slice(name);
        title.push(b'/');
    }
    let title = Text(&title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Index of {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    write_trail(&mut page, &listing.path);
    page.push_str(
        "<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Size</th>\
         <th scope=\"col\">Modified (UTC)</th></tr></thead>\n<tbody>\n",
    );
    if !listing.path.is_empty() {
        page.push_str(
            "<tr class=\"up\"><td><a href=\"../\">\u{2191} Parent folder</a></td><td></td><td></td></tr>\n",
        );
    }
    for entry in &listing.entries {
        write_row(&mut page, entry);
    }
    page.push_str("</tbody>\n</table>\n");
    write_count(&mut page, listing);
    page.push_str("</body>\n</html>\n");
    page
}

/// Links to the folders from the root down to this one.
///
/// Writing to a `String` does not fail, here and below.
fn write_trail(page: &mut String, path: &[Vec<u8>]) {
    let here = path.len();
    page.push_str("<nav aria-label=\"Folders\"><h1><i>Index of</i> ");
    write_crumb(page, "/", here);
    for (depth, name) in (1..).zip(path) {
        let name = format!("<bdi>{}</bdi>", Text(name));
        write_crumb(page, &name, here - depth);
        page.push_str("<i>\u{a0}/</i>");
    }
    page.push_str("</h1></nav>\n");
}

/// A step of the trail, `up` folders above this one.
fn write_crumb(page: &mut String, name: &str, up: usize) {
    let _ = match up {
        0 => write!(page, " <span aria-current=\"page\">{name}</span>"),
        _ => write!(page, " <a href=\"{}\">{name}</a>", "../".repeat(up)),
    };
}

fn write_row(page: &mut String, entry: &Entry) {
    let (class, slash) = if entry.is_folder {
        ("folder", "/")
    } else {
        ("file", "")
    };
    let shown = if entry.is_folder {
        String::new()
    } else {
        size(entry.size)
    };
    let modified = entry.modified.rfc3339();
    let _ = writeln!(
        page,
        "<tr class=\"{class}\"><td><a href=\"{href}\"><bdi>{name}</bdi>{slash}</a></td>\
         <td>{shown}</td><td><time datetime=\"{modified}\">{day} {minute}</time></td></tr>",
        href = entry.href(),
        name = Text(&entry.name),
        day = &modified[..10],
        minute = &modified[11..16],
    );
}

fn write_count(page: &mut String, listing: &Listing) {
    let folders = listing
        .entries
        .iter()
        .filter(|entry| entry.is_folder)
        .count();
    let files = listing.entries.len() - folders;
    let bytes = listing.entries.iter().map(|entry| entry.size).sum();
    let plural = |count| if count == 1 { "" } else { "s" };
    let _ = write!(
        page,
        "<p>{folders} folder{}, {files} file{}, {}",
        plural(folders),
        plural(files),
        size(bytes)
    );
    if listing.is_cut {
        page.push_str(
            ". <strong>The folder holds more than is shown here</strong>: files that are not \
             listed are served all the same",
        );
    }
    page.push_str("</p>\n");
}
