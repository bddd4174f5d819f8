#![no_main]
//! Calls [`tests::fuzzing::dccp::options`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::dccp::options(input));
