//! Big-endian integers in byte strings.

/// The 16-bit integer at `at`, if the bytes reach that far.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*field))
}

/// The 32-bit integer at `at`, if the bytes reach that far.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*field))
}

/// The 64-bit integer at `at`, if the bytes reach that far.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_be_bytes(*field))
}

/// `length` rounded up to a multiple of four, as chunks and parameters are padded.
pub(crate) const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Pads what was appended since `start` to a multiple of four bytes with zeros.
pub(crate) fn pad(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    out.resize(start + padded(length), 0);
}

/// Writes the length of what was appended since `start` into its bytes 2 and 3, then pads it.
///
/// # Panics
///
/// If more than 65,535 bytes were appended: every caller bounds what it appends.
pub(crate) fn close_length(out: &mut Vec<u8>, start: usize) {
    let length = u16::try_from(out.len() - start).expect("chunks and parameters are bounded");
    out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
    pad(out, start);
}
