//! Scenario files: `cargo +nightly fuzz run scenario`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = wavetank::scenario::parse(text, "fuzz.toml", "".as_ref(), &[]) {
        let _ = problems.to_string();
    }
});
