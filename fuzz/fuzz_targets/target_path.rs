#![no_main]
//! Calls [`tests::fuzzing::target_path`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::target_path(input));
