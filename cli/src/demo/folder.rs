//! What a demonstration serves: a page, a picture and a video.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{Code, Failure};
use crate::terminal;

/// What is served where nothing else is named.
const DEFAULT: &str = "www";

/// What the program carries along.
const BUILT_IN: [(&str, &[u8]); 3] = [
    ("index.html", include_bytes!("../../../www/index.html")),
    ("cat.png", include_bytes!("../../../www/cat.png")),
    ("video.mp4", include_bytes!("../../../www/video.mp4")),
];

/// The kinds of files, in the order in which they are fetched, by their media types.
const KINDS: [&str; 3] = ["text/html", "image/", "video/"];

/// A folder with something to fetch.
#[derive(Debug)]
pub(super) struct Folder {
    place: Place,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Place {
    Named(PathBuf),
    BuiltIn(tempfile::TempDir),
}

/// A file to fetch.
#[derive(Debug)]
pub(super) struct Item {
    /// Its name in the folder.
    pub(super) name: String,
    /// Its path in a target, without the first slash.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) is_page: bool,
}

impl Folder {
    /// The folder that was named, else `www` if it is here, else what the program carries along.
    pub(super) fn choose(named: Option<&Path>) -> Result<Self, Failure> {
        let default = Path::new(DEFAULT);
        let place = match named {
            Some(named) => Place::Named(named.to_owned()),
            None if default.is_dir() => Place::Named(default.to_owned()),
            None => Place::BuiltIn(built_in().map_err(|error| {
                let message = format_args!("the files cannot be put in a new folder: {error}");
                Failure::new(Code::Write, message).hint("TMPDIR says where new folders are made")
            })?),
        };
        let items = items(place.path()).map_err(|error| {
            let name = terminal::printable(place.path().display().to_string().as_bytes());
            let message = format_args!("the folder {name} cannot be served: {error}");
            Failure::new(Code::Usage, message).hint("name the folder: cli demo FOLDER")
        })?;
        if items.is_empty() {
            let name = terminal::printable(place.path().display().to_string().as_bytes());
            let message = format_args!("the folder {name} has no page, no picture and no video");
            return Err(Failure::new(Code::Usage, message).hint("name another: cli demo FOLDER"));
        }
        Ok(Self { place, items })
    }

    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(super) const fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn(_))
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::BuiltIn(folder) => folder.path(),
        }
    }
}

fn built_in() -> io::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("www.").tempdir()?;
    for (name, content) in BUILT_IN {
        fs::write(folder.path().join(name), content)?;
    }
    Ok(folder)
}

/// Of each kind the first file by name, but of pages `index.html` if there is one.
fn items(folder: &Path) -> io::Result<Vec<Item>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A link to a file will do; what is gone already is no file.
        if let Ok(metadata) = fs::metadata(entry.path())
            && metadata.is_file()
            && let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push((name != "index.html", name, metadata.len()));
        }
    }
    names.sort();
    let of_kind = |kind: &&str| {
        let (_, name, bytes) = names.iter().find(|(_, name, _)| is_of(name, kind))?;
        Some(Item {
            path: if name == "index.html" {
                String::new()
            } else {
                encoded(name)
            },
            name: name.clone(),
            bytes: *bytes,
            is_page: *kind == KINDS[0],
        })
    };
    Ok(KINDS.iter().filter_map(of_kind).collect())
}

fn is_of(name: &str, kind: &str) -> bool {
    mime_guess::from_path(OsStr::new(name))
        .first_raw()
        .is_some_and(|media_type| media_type.starts_with(kind))
}

/// A name as it stands in a target (RFC 3986 §2.1).
fn encoded(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for &byte in name.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<(String, String)> {
        let items = items(folder).unwrap();
        items
            .into_iter()
            .map(|item| (item.name, item.path))
            .collect()
    }

    #[test]
    fn of_each_kind_one_file_is_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let add = |name: &str| fs::write(folder.path().join(name), b"x").unwrap();
        assert_eq!(names(folder.path()), []);
        for name in [
            "z.webm",
            "a b.png",
            "c.jpg",
            "about.html",
            ".x.html",
            "text",
        ] {
            add(name);
        }
        fs::create_dir(folder.path().join("a.html")).unwrap();
        let expected = |page: [&str; 2]| {
            [page, ["a b.png", "a%20b.png"], ["z.webm", "z.webm"]]
                .map(|[name, path]| (name.to_owned(), path.to_owned()))
        };
        assert_eq!(names(folder.path()), expected(["about.html"; 2]));
        add("index.html");
        assert_eq!(names(folder.path()), expected(["index.html", ""]));
    }

    #[test]
    fn a_folder_that_cannot_be_served_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (path, said) in [
            (
                folder.path().to_owned(),
                "has no page, no picture and no video",
            ),
            (folder.path().join("missing"), "cannot be served"),
        ] {
            let failure = Folder::choose(Some(&path)).unwrap_err();
            assert_eq!(failure.code, Code::Usage);
            assert!(failure.to_string().contains(said), "{failure}");
        }
    }

    #[test]
    fn the_program_carries_a_page_a_picture_and_a_video() {
        let folder = built_in().unwrap();
        let names = items(folder.path()).unwrap();
        let names: Vec<&str> = names.iter().map(|item| &*item.name).collect();
        assert_eq!(names, ["index.html", "cat.png", "video.mp4"]);
    }
}
