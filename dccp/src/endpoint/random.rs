//! Everything that must not be guessed, from one seed.

use sha2::{Digest, Sha256};

/// A secret and a stream of numbers made from it: equal seeds give equal numbers.
#[derive(Debug)]
pub(crate) struct Random {
    secret: [u8; 32],
    counter: u64,
    ready: [u64; 4],
    left: usize,
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            secret: digest(&[b"dccp secret", &seed]),
            counter: 0,
            ready: [0; 4],
            left: 0,
        }
    }

    /// The next number of the stream.
    pub(crate) fn next(&mut self) -> u64 {
        if self.left == 0 {
            let block = digest(&[b"stream", &self.secret, &self.counter.to_be_bytes()]);
            self.counter += 1;
            for (word, bytes) in self.ready.iter_mut().zip(block.chunks_exact(8)) {
                *word = first_word(bytes);
            }
            self.left = self.ready.len();
        }
        self.left -= 1;
        self.ready[self.left]
    }

    /// A number that only who knows the secret can tell from `parts`.
    pub(crate) fn keyed(&self, label: &[u8], parts: &[&[u8]]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(label);
        for part in parts {
            hash.update(part);
        }
        first_word(&hash.finalize())
    }

    /// A secret of its own for another purpose.
    pub(crate) fn derive(&self, label: &[u8]) -> [u8; 32] {
        digest(&[&self.secret, label])
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn first_word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}
