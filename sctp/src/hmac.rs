//! HMAC-SHA-256 (RFC 2104), and what is made with it: keys and random numbers from a seed.

use sha2::{Digest, Sha256};

const BLOCK: usize = 64;

/// A key, with its two padded blocks already hashed.
#[derive(Clone)]
pub(crate) struct Key {
    inner: Sha256,
    outer: Sha256,
}

impl Key {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let mut inner = [0x36; BLOCK];
        let mut outer = [0x5c; BLOCK];
        for (index, byte) in secret.iter().enumerate() {
            inner[index] ^= byte;
            outer[index] ^= byte;
        }
        Self {
            inner: Sha256::new_with_prefix(inner),
            outer: Sha256::new_with_prefix(outer),
        }
    }

    /// The MAC of the parts, one after the other.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Whether two strings are equal, in a time that does not tell where they differ.
pub(crate) fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Numbers that nobody without the seed can foresee; the same seed gives the same ones.
#[derive(Debug)]
pub(crate) struct Random {
    key: Key,
    count: u64,
    block: [u8; 32],
    used: usize,
}

impl Random {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            count: 0,
            block: [0; 32],
            used: 32,
        }
    }

    pub(crate) fn u32(&mut self) -> u32 {
        if self.used == self.block.len() {
            self.block = self.key.mac(&[b"random", &self.count.to_be_bytes()]);
            self.count += 1;
            self.used = 0;
        }
        let at = self.used;
        self.used += 4;
        crate::wire::u32_at(&self.block, at).unwrap_or_default()
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// Not zero, as tags must be.
    pub(crate) fn nonzero(&mut self) -> u32 {
        loop {
            let number = self.u32();
            if number != 0 {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.2, with its 20-byte key padded with zeros, as HMAC does itself.
    #[test]
    fn sk3_hmac_sha_256_of_the_published_vector() {
        let mut secret = [0; 32];
        secret[..20].fill(0x0b);
        let mac = Key::new(&secret).mac(&[b"Hi ", b"There"]);
        assert_eq!(mac[..8], [0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53]);
        assert_eq!(mac[28..], [0x2e, 0x32, 0xcf, 0xf7]);
    }

    #[test]
    fn se1_numbers_follow_from_the_seed_and_differ() {
        let mut a = Random::new(Key::new(&[1; 32]));
        let mut b = Random::new(Key::new(&[1; 32]));
        let mut c = Random::new(Key::new(&[2; 32]));
        let numbers: Vec<u32> = (0..20).map(|_| a.u32()).collect();
        assert!(numbers.iter().all(|number| b.u32() == *number));
        assert_ne!(numbers[0], c.u32());
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), numbers.len());
    }

    #[test]
    fn sk3_comparison_sees_each_difference() {
        assert!(is_equal(b"abc", b"abc"));
        assert!(!is_equal(b"abc", b"abd"));
        assert!(!is_equal(b"abc", b"ab"));
    }
}
