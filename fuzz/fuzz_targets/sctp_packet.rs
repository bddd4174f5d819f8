#![no_main]
//! Calls [`tests::fuzzing::sctp::packet`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::sctp::packet(input));
