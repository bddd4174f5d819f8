//! Answers requests with the files beneath a folder.

mod digests;
mod media_type;
mod root;
#[cfg(test)]
mod tests;
mod version;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proto::date::HttpDate;
use proto::request::Request;
use proto::server::{Answer, Representation};
use proto::status::Status;
use proto::target::TargetPath;
use rustix::buffer::spare_capacity;
use transport::{LogEntry, Site};

use crate::access_log::Log;

use self::digests::{Digests, Wish};
use self::version::Version;

pub(crate) use self::digests::Config as DigestConfig;
pub(crate) use self::root::Root;

/// What stands for a folder.
const INDEX: &str = "index.html";

/// A document root, as one client sees it.
#[derive(Clone, Debug)]
pub(crate) struct FileSite {
    shared: Arc<Shared>,
    peer: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    root: Root,
    digests: Digests,
    log: Log,
    answers: AtomicU64,
    body_bytes: AtomicU64,
}

/// What a site did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// How many requests were answered.
    pub(crate) answers: u64,
    /// How many bytes of bodies were sent.
    pub(crate) body_bytes: u64,
}

impl FileSite {
    /// The site of all that lies beneath `root`.
    pub(crate) fn new(root: Root, digests: DigestConfig, log: Log) -> Self {
        let shared = Shared {
            root,
            digests: Digests::new(digests),
            log,
            answers: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
        }
    }

    /// The same site for the client at `peer`, whom the log names.
    pub(crate) fn for_peer(&self, peer: SocketAddr) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            peer,
        }
    }

    /// What was done for all clients so far.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            answers: self.shared.answers.load(Ordering::Relaxed),
            body_bytes: self.shared.body_bytes.load(Ordering::Relaxed),
        }
    }

    /// Opens what `path` names; an error is the answer without a file.
    fn look_up(&self, path: &TargetPath) -> Result<Opened, Answer> {
        let mut names: Vec<&str> = path.segments().iter().map(String::as_str).collect();
        if path.is_directory() {
            names.push(INDEX);
        }
        let refuse = |errno| Answer::Error(root::status(errno));
        let file = self.shared.root.open_file(&names).map_err(refuse)?;
        let metadata = file.metadata().map_err(|_| internal_error())?;
        if metadata.is_dir() {
            return Err(if path.is_directory() {
                Answer::Error(Status::NOT_FOUND)
            } else {
                Answer::Moved(path.to_location(true))
            });
        }
        if !metadata.is_file() {
            return Err(Answer::Error(Status::FORBIDDEN));
        }
        let name = names.last().copied().unwrap_or_default();
        Opened::new(name, file, Version::of(&metadata)).map_err(|_| internal_error())
    }
}

fn internal_error() -> Answer {
    Answer::Error(Status::INTERNAL_SERVER_ERROR)
}

/// What was found for a request.
#[derive(Debug)]
pub(crate) struct Resource(Result<Opened, Answer>);

#[derive(Debug)]
struct Opened {
    file: Arc<File>,
    content_type: String,
    version: Version,
    wish: Option<Wish>,
}

impl Opened {
    fn new(name: &str, file: File, version: Version) -> io::Result<Self> {
        let content_type = if media_type::is_text(name) {
            let mut sample = [0; media_type::SAMPLE];
            let length = file.read_at(&mut sample, 0)?;
            media_type::content_type(name, &sample[..length])
        } else {
            media_type::content_type(name, &[])
        };
        Ok(Self {
            file: Arc::new(file),
            content_type,
            version,
            wish: None,
        })
    }

    fn wish_digest(&mut self) {
        let lasting = !self.version.is_unsettled(now());
        let file = Arc::clone(&self.file);
        self.wish = Some(Wish::new(file, self.version, lasting));
    }

    fn poll(&mut self, digests: &Digests) -> Poll<Answer> {
        let sha256 = match &mut self.wish {
            None => None,
            Some(wish) => match digests.poll(wish) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(sha256) => sha256,
            },
        };
        if self.wish.take().is_some() && sha256.is_none() {
            // The file may have changed while it was hashed.
            match self.file.metadata() {
                Ok(metadata) => self.version = Version::of(&metadata),
                Err(_) => return Poll::Ready(internal_error()),
            }
        }
        Poll::Ready(Answer::Found(Representation {
            length: self.version.length,
            content_type: self.content_type.clone(),
            etag: self.version.etag(self.version.is_unsettled(now())),
            last_modified: Some(self.version.last_modified()),
            sha256,
        }))
    }
}

impl Site for FileSite {
    type Resource = Resource;

    fn open(&mut self, request: &Request, path: &TargetPath) -> Resource {
        self.shared.log.show_request(self.peer, request);
        let mut found = self.look_up(path);
        if let Ok(opened) = &mut found
            && request.wants_digest()
        {
            opened.wish_digest();
        }
        Resource(found)
    }

    fn poll_answer(&mut self, resource: &mut Resource) -> Poll<Answer> {
        match &mut resource.0 {
            Ok(opened) => opened.poll(&self.shared.digests),
            Err(answer) => Poll::Ready(answer.clone()),
        }
    }

    fn read(&mut self, resource: &mut Resource, offset: u64, length: usize) -> io::Result<Bytes> {
        let Resource(Ok(opened)) = resource else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut bytes = Vec::with_capacity(length.max(1));
        rustix::io::retry_on_intr(|| {
            rustix::io::pread(&opened.file, spare_capacity(&mut bytes), offset)
        })?;
        if bytes.is_empty() {
            // The file was cut short: the rest that was promised does not exist (HP27).
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let now = Version::of(&opened.file.metadata()?);
        if !opened.version.still_promises(&now) {
            // What was read may be of another version than what was sent before.
            return Err(io::Error::other("the file changed while it was sent"));
        }
        bytes.truncate(length);
        Ok(Bytes::from(bytes))
    }

    fn date(&mut self) -> HttpDate {
        date()
    }

    fn finished(&mut self, entry: &LogEntry<'_>) {
        self.shared.answers.fetch_add(1, Ordering::Relaxed);
        let sent = entry.summary.body_bytes;
        self.shared.body_bytes.fetch_add(sent, Ordering::Relaxed);
        self.shared.log.show_answer(self.peer, entry);
        self.shared.log.write(self.peer, date(), entry);
    }
}

fn date() -> HttpDate {
    let seconds = now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    HttpDate::from_unix(seconds)
}

#[expect(
    clippy::disallowed_methods,
    reason = "answers are dated, and files are compared with the time of day"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
