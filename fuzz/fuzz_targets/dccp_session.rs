#![no_main]
//! Calls [`tests::fuzzing::dccp::session`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::dccp::session(input));
