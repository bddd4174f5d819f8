#![no_main]
//! Calls [`tests::fuzzing::response_parser`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::response_parser(input));
