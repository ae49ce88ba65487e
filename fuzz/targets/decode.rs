//! libFuzzer drives `sockeye_fuzz::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockeye_fuzz::decode::run(data));
