//! What is in a folder, for people and for programs.

mod html;
mod json;

use std::os::fd::OwnedFd;
use std::task::Poll;

use bytes::Bytes;
use proto::accept;
use proto::date::HttpDate;
use proto::request::Request;
use proto::target::TargetPath;
use rustix::fs::{AtFlags, Dir, FileType, fstat, statat};
use rustix::io::Errno;

use super::page::Page;

/// How many entries of a folder are looked at before others have their turn.
const STEP: usize = 256;

/// How folders are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// The most entries that are shown of a folder; of one with more the page says that it shows
    /// some. Default: 5000, of which the page takes about a megabyte.
    pub(crate) max_entries: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_entries: 5000 }
    }
}

/// How a listing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
}

impl Form {
    /// What a request asks for: `?format=json` or `?format=html`, else what Accept likes more.
    fn wanted(request: &Request, path: &TargetPath) -> Self {
        let mut asked = path.query().into_iter().flat_map(|query| query.split('&'));
        if let Some(form) = asked.find_map(|field| field.strip_prefix("format=")) {
            return if form == "json" {
                Self::Json
            } else {
                Self::Html
            };
        }
        let accepted = request.fields.joined("Accept");
        let quality = |media_type| accept::media_type(accepted.as_deref(), media_type);
        if quality("application/json") > quality("text/html") {
            Self::Json
        } else {
            Self::Html
        }
    }
}

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: Vec<u8>,
    is_folder: bool,
    /// In bytes; 0 for a folder.
    size: u64,
    modified: HttpDate,
}

impl Entry {
    /// The link to it from the page of its folder.
    fn href(&self) -> String {
        let mut href = proto::target::encode_name(&self.name);
        if self.is_folder {
            href.push('/');
        }
        href
    }

    /// Folders first, then by name as people look for it: large and small letters alike.
    fn order(&self) -> impl Ord + use<> {
        let text = String::from_utf8_lossy(&self.name).to_lowercase();
        (!self.is_folder, text, self.name.clone())
    }
}

/// What a listing shows.
#[derive(Debug)]
struct Listing {
    /// The names from the root down to the folder.
    path: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    /// Whether there is more in the folder.
    is_cut: bool,
}

/// A listing under way.
#[derive(Debug)]
pub(crate) struct Job {
    folder: Dir,
    listing: Listing,
    form: Form,
    hidden: bool,
    max_entries: usize,
    /// When the folder or something in it changed last.
    modified: HttpDate,
}

impl Job {
    /// Begins to list `folder`, with hidden names if `hidden`.
    pub(super) fn new(
        folder: OwnedFd,
        request: &Request,
        path: &TargetPath,
        config: Config,
        hidden: bool,
    ) -> Result<Self, Errno> {
        let modified = date(fstat(&folder)?.st_mtime);
        Ok(Self {
            folder: Dir::new(folder)?,
            listing: Listing {
                path: path.segments().to_vec(),
                entries: Vec::new(),
                is_cut: false,
            },
            form: Form::wanted(request, path),
            hidden,
            max_entries: config.max_entries,
            modified,
        })
    }

    /// Looks at some entries; ready with the page when all were seen, or enough.
    pub(super) fn poll(&mut self) -> Poll<Result<Page, Errno>> {
        for _ in 0..STEP {
            match self.folder.read() {
                None => return Poll::Ready(Ok(self.page())),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(found)) => {
                    let Some(entry) = self.look_at(found.file_name().to_bytes()) else {
                        continue;
                    };
                    if self.listing.entries.len() >= self.max_entries {
                        self.listing.is_cut = true;
                        return Poll::Ready(Ok(self.page()));
                    }
                    self.modified = self.modified.max(entry.modified);
                    self.listing.entries.push(entry);
                }
            }
        }
        Poll::Pending
    }

    /// What is to be shown of an entry: nothing of what is not served, as symbolic links are not.
    fn look_at(&self, name: &[u8]) -> Option<Entry> {
        if matches!(name, b"." | b"..") || (name.starts_with(b".") && !self.hidden) {
            return None;
        }
        // What is gone meanwhile is not there.
        let stat = statat(self.folder.fd().ok()?, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_folder = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return None,
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Some(Entry {
            name: name.to_vec(),
            is_folder,
            size: if is_folder { 0 } else { size },
            modified: date(stat.st_mtime),
        })
    }

    fn page(&mut self) -> Page {
        self.listing.entries.sort_by_cached_key(Entry::order);
        let (content_type, text) = match self.form {
            Form::Html => ("text/html; charset=utf-8", html::write(&self.listing)),
            Form::Json => ("application/json", json::write(&self.listing)),
        };
        Page::new(content_type, Bytes::from(text))
            .modified(self.modified)
            .field("Cache-Control", "no-cache")
            .field("Vary", "Accept")
    }
}

/// Times before 1970 become 1970.
fn date(seconds: i64) -> HttpDate {
    HttpDate::from_unix(u64::try_from(seconds).unwrap_or(0))
}
