//! A listing for programs.

use serde::Serialize;

use super::{Entry, Listing};
use crate::terminal::printable;

#[derive(Serialize)]
struct Folder {
    /// From the root, escaped, with a slash at both ends.
    path: String,
    entries: Vec<Item>,
    /// Whether the folder holds more than is listed.
    truncated: bool,
}

#[derive(Serialize)]
struct Item {
    /// What is not UTF-8 in it is written as `\xNN`; `href` has it as it is.
    name: String,
    /// Relative to the folder.
    href: String,
    r#type: &'static str,
    /// In bytes; not there for a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// As RFC 3339 writes it.
    mtime: String,
}

impl From<&Entry> for Item {
    fn from(entry: &Entry) -> Self {
        Self {
            name: match str::from_utf8(&entry.name) {
                Ok(name) => name.to_owned(),
                Err(_) => printable(&entry.name),
            },
            href: entry.href(),
            r#type: if entry.is_folder { "directory" } else { "file" },
            size: (!entry.is_folder).then_some(entry.size),
            mtime: entry.modified.rfc3339(),
        }
    }
}

/// Writes the listing as one JSON object.
pub(super) fn write(listing: &Listing) -> String {
    let mut path = String::from("/");
    for name in &listing.path {
        path.push_str(&proto::target::encode_name(name));
        path.push('/');
    }
    let folder = Folder {
        path,
        entries: listing.entries.iter().map(Item::from).collect(),
        truncated: listing.is_cut,
    };
    // Numbers and strings are always JSON.
    let mut text = serde_json::to_string(&folder).unwrap_or_default();
    text.push('\n');
    text
}
