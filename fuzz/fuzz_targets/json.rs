#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orchestrator_studio::fuzz::run("json", data));
