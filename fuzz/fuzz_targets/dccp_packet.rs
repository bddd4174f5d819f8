#![no_main]
//! Calls [`tests::fuzzing::dccp::packet`].

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::fuzzing::dccp::packet(input));
