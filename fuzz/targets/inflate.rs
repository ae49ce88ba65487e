//! libFuzzer drives `sockeye_fuzz::inflate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockeye_fuzz::inflate::run(data));
