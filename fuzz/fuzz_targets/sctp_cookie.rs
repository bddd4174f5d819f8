#![no_main]
//! Calls [`tests::fuzzing::sctp::cookie`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::sctp::cookie(input));
