//! libFuzzer drives `sockeye_fuzz::rooms`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockeye_fuzz::rooms::run(data));
