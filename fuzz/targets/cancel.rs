//! libFuzzer drives `sockeye_fuzz::cancel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockeye_fuzz::cancel::run(data));
