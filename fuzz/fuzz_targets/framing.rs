#![no_main]
//! Calls [`tests::fuzzing::framing`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::framing(input));
