//! A body that is made, not read from a file.

use std::io;

use bytes::Bytes;
use proto::date::HttpDate;
use proto::etag::EntityTag;
use proto::fields::Fields;
use proto::server::Representation;
use sha2::{Digest, Sha256};

/// A body with what is said of it. The same bytes have the same tag, so a client that is to
/// repair a part of it, over DCCP, goes on as long as they are the same.
#[derive(Debug)]
pub(crate) struct Page {
    body: Bytes,
    content_type: &'static str,
    modified: Option<HttpDate>,
    further: Fields,
}

impl Page {
    pub(super) const fn new(content_type: &'static str, body: Bytes) -> Self {
        Self {
            body,
            content_type,
            modified: None,
            further: Fields::new(),
        }
    }

    pub(super) fn modified(self, modified: HttpDate) -> Self {
        Self {
            modified: Some(modified),
            ..self
        }
    }

    pub(super) fn field(mut self, name: &str, value: &str) -> Self {
        self.further.push(name, value);
        self
    }

    /// Adds fields; of those with a name that it has, the first one stays alone.
    pub(super) fn fields(mut self, fields: &Fields) -> Self {
        for (name, value) in fields.iter() {
            if !self.further.contains(name) {
                self.further.push(name, value);
            }
        }
        self
    }

    pub(super) fn representation(&self) -> Representation {
        let sha256: [u8; 32] = Sha256::digest(&self.body).into();
        let opaque: String = sha256[..12]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Representation {
            length: self.body.len() as u64,
            content_type: self.content_type.to_owned(),
            etag: EntityTag::new_strong(&opaque).ok(),
            last_modified: self.modified,
            sha256: Some(sha256),
            further: self.further.clone(),
        }
    }

    /// At most `length` bytes from `offset`.
    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let start = usize::try_from(offset).ok();
        let start = start.filter(|start| *start < self.body.len());
        let start = start.ok_or(io::ErrorKind::UnexpectedEof)?;
        let end = self.body.len().min(start.saturating_add(length));
        Ok(self.body.slice(start..end))
    }
}
