//! A file that is sent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use proto::date::HttpDate;
use proto::fields::Fields;
use proto::server::{Answer, Representation};
use proto::status::Status;
use rustix::buffer::spare_capacity;

use super::digests::{Digests, Wish};
use super::encoding::Coding;
use super::media_type::{MediaTypes, SAMPLE};
use super::now;
use super::version::Version;

/// A file that was found for a request.
#[derive(Debug)]
pub(crate) struct Opened {
    file: Arc<File>,
    content_type: String,
    version: Version,
    /// That of the file itself, where a compressed one stands for it.
    last_modified: HttpDate,
    wish: Option<Wish>,
    further: Fields,
}

impl Opened {
    /// `file`, which is called `name` and is in `version`.
    pub(super) fn new(
        name: &[u8],
        file: File,
        version: Version,
        types: &MediaTypes,
        further: Fields,
    ) -> io::Result<Self> {
        let content_type = if types.is_text(name) {
            let mut sample = [0; SAMPLE];
            let length = file.read_at(&mut sample, 0)?;
            types.content_type(name, &sample[..length])
        } else {
            types.content_type(name, &[])
        };
        Ok(Self {
            file: Arc::new(file),
            content_type,
            last_modified: version.last_modified(),
            version,
            wish: None,
            further,
        })
    }

    pub(super) fn version(&self) -> &Version {
        &self.version
    }

    /// Says that what is sent depends on a field of the request.
    pub(super) fn vary(&mut self, field: &str) {
        self.further.push("Vary", field);
    }

    /// Sends `file`, which is in `version` and holds the same in `coding`, in its place.
    pub(super) fn encode(&mut self, coding: Coding, file: File, version: Version) {
        self.file = Arc::new(file);
        self.version = version;
        self.further.push("Content-Encoding", coding.name);
    }

    pub(super) fn wish_digest(&mut self) {
        let lasting = !self.version.is_unsettled(now());
        let file = Arc::clone(&self.file);
        self.wish = Some(Wish::new(file, self.version, lasting));
    }

    pub(super) fn poll(&mut self, digests: &Digests) -> Poll<Answer> {
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
                Ok(metadata) => {
                    self.version = Version::of(&metadata);
                    self.last_modified = self.last_modified.max(self.version.last_modified());
                }
                Err(_) => return Poll::Ready(Answer::Error(Status::INTERNAL_SERVER_ERROR)),
            }
        }
        Poll::Ready(Answer::Found(Representation {
            length: self.version.length,
            content_type: self.content_type.clone(),
            etag: self.version.etag(self.version.is_unsettled(now())),
            last_modified: Some(self.last_modified),
            sha256,
            further: self.further.clone(),
        }))
    }

    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = Vec::with_capacity(length.max(1));
        rustix::io::retry_on_intr(|| {
            rustix::io::pread(&self.file, spare_capacity(&mut bytes), offset)
        })?;
        if bytes.is_empty() {
            // The file was cut short: the rest that was promised does not exist (HP27).
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let now = Version::of(&self.file.metadata()?);
        if !self.version.still_promises(&now) {
            // What was read may be of another version than what was sent before.
            return Err(io::Error::other("the file changed while it was sent"));
        }
        bytes.truncate(length);
        Ok(Bytes::from(bytes))
    }
}
