//! Policies of other systems: `cargo +nightly fuzz run manifest`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = wavetank::manifest::import(text, "fuzz.yaml") {
        let _ = problems.to_string();
    }
});
