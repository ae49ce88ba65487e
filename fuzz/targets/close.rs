//! libFuzzer drives `sockeye_fuzz::close`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockeye_fuzz::close::run(data));
