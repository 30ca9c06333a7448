#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sensgate_fuzz::answer::check(bytes));
