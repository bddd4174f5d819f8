#![no_main]
//! Calls [`tests::fuzzing::sctp::session`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::sctp::session(input));
