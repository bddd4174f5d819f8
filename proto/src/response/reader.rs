//! Reading response heads from a stream of bytes.

use bytes::{Buf, Bytes};

use super::{HeadError, Limits, ResponseHead, parse_head};
use crate::request::head::{HeadBuffer, Taken};

/// What every response head begins with.
const HTTP: &[u8] = b"HTTP/";

const SWITCHING_PROTOCOLS: u16 = 101;

/// Whether `bytes` begin a response head, as far as they go.
pub(super) fn begins_like_http(bytes: &[u8]) -> bool {
    bytes.iter().zip(HTTP).all(|(byte, http)| byte == http)
}

/// Reads response heads from a stream of bytes that comes in pieces: the messages of one SCTP
/// stream, whose boundaries carry no meaning.
///
/// 1xx heads are skipped (RFC 9110 §15.2), but for 101: no HTTP follows it (RFC 9110 §15.2.2), so
/// it is given as the final head. What the reader finds depends on the bytes alone, not on how they
/// are cut into pieces.
///
/// ```
/// use bytes::Bytes;
/// use proto::request::Method;
/// use proto::response::{BodyLength, Limits, ResponseReader};
///
/// let mut reader = ResponseReader::new(Limits::default());
/// assert_eq!(reader.feed(&mut Bytes::from("HTTP/1.0 200 OK\r\nContent-"))?, None);
/// let mut piece = Bytes::from("Length: 5\r\n\r\nhello");
/// let head = reader.feed(&mut piece)?.expect("the empty line has come");
/// assert_eq!(head.body_length(Method::Get)?, BodyLength::Known(5));
/// assert_eq!(piece, "hello");
/// # Ok::<(), proto::response::HeadError>(())
/// ```
#[derive(Debug)]
pub struct ResponseReader {
    limits: Limits,
    head: HeadBuffer,
    /// How many 1xx heads were skipped.
    interim: usize,
}

impl ResponseReader {
    /// A reader at the start of a stream.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: HeadBuffer::new(limits.head, 0),
            interim: 0,
        }
    }

    /// Takes the next bytes of the stream, and advances `piece` past those that belong to a head.
    ///
    /// `None`: all were taken, and the head goes on. With a head, what remains in `piece` is the
    /// body; the reader is then ready for the head of the next response.
    ///
    /// # Errors
    ///
    /// When no usable head can come any more; nothing is to be fed after that. With
    /// [`HeadError::NotHttp`], given as soon as the bytes differ from `HTTP/`, `piece` is as it
    /// was, and [`Self::unfinished`] has the bytes that came before it.
    pub fn feed(&mut self, piece: &mut Bytes) -> Result<Option<ResponseHead>, HeadError> {
        loop {
            self.check_beginning(piece)?;
            match self.head.take(piece) {
                Taken::All => {
                    piece.advance(piece.len());
                    return Ok(None);
                }
                Taken::TooLarge(_) => return Err(HeadError::TooLarge),
                Taken::Complete(taken) => piece.advance(taken),
            }
            let head = parse_head(self.head.bytes(), &self.limits)?;
            self.head.clear();
            if !head.status.is_informational() || head.status.code() == SWITCHING_PROTOCOLS {
                self.interim = 0;
                return Ok(Some(head));
            }
            self.interim += 1;
            if self.interim > self.limits.interim {
                return Err(HeadError::TooManyInterim);
            }
        }
    }

    /// The bytes of a head that has not ended. Not empty when the stream ends: it was cut off.
    pub fn unfinished(&self) -> &[u8] {
        self.head.bytes()
    }

    /// Whether 1xx heads came, and no final one yet.
    pub const fn is_interim(&self) -> bool {
        self.interim > 0
    }

    /// Refuses bytes that do not continue `HTTP/`, as far as the limit lets them be looked at.
    fn check_beginning(&self, piece: &[u8]) -> Result<(), HeadError> {
        let before = self.head.bytes().len();
        let room = self.limits.head.saturating_sub(before);
        let missing = HTTP.get(before..).unwrap_or_default();
        let mut pairs = piece.iter().zip(missing).take(room);
        if pairs.all(|(byte, http)| byte == http) {
            Ok(())
        } else if self.interim == 0 {
            Err(HeadError::NotHttp)
        } else {
            Err(HeadError::Malformed("no head after an interim response"))
        }
    }
}
