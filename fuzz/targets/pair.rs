//! libFuzzer drives `sockeye_fuzz::pair`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockeye_fuzz::pair::run(data));
