//! Everything that must not be guessed, from one seed.

use std::fmt;

use crate::iss::mac;

/// A secret and a stream of numbers made from it: equal seeds give equal numbers.
pub(crate) struct Random {
    secret: [u8; 32],
    counter: u64,
    ready: [u64; 4],
    left: usize,
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            secret: mac(&seed, &[b"numbers"]),
            counter: 0,
            ready: [0; 4],
            left: 0,
        }
    }

    /// The next number of the stream.
    pub(crate) fn next(&mut self) -> u64 {
        if self.left == 0 {
            let block = mac(&self.secret, &[b"stream", &self.counter.to_be_bytes()]);
            self.counter += 1;
            for (word, bytes) in self.ready.iter_mut().zip(block.chunks_exact(8)) {
                *word = first_word(bytes);
            }
            self.left = self.ready.len();
        }
        self.left -= 1;
        self.ready[self.left]
    }

    /// A number that only who knows the seed can tell from `bytes`.
    pub(crate) fn keyed(&self, bytes: &[u8]) -> u64 {
        first_word(&mac(&self.secret, &[b"keyed", bytes]))
    }
}

impl fmt::Debug for Random {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}

fn first_word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}
