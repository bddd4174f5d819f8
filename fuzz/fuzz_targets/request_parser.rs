#![no_main]
//! Calls [`tests::fuzzing::request_parser`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::request_parser(input));
