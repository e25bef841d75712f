//! Results that a gate reads: of other tools, interval logs, targets, the history, our own reports: `cargo +nightly fuzz run results`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavetank::gate::foreign::{self, Tool};
use wavetank::gate::{history, openslo};
use wavetank::report::{hlog, saved};

fuzz_target!(|text: &str| {
    let _ = foreign::detect(text);
    for tool in Tool::ALL {
        let _ = foreign::parse(text, tool);
    }
    if let Ok(log) = hlog::read(text) {
        let _ = log.sum(|_| true);
        let _ = log.tags();
    }
    let _ = openslo::criteria(text, "fuzz.yaml");
    let _ = history::trend(text, "fuzz");
    if let Ok(report) = serde_json::from_str(text)
        && let Ok(saved) = saved::parse(&report)
    {
        let _ = wavetank::report::json(&saved.experiment());
    }
});
