//! Whole files, from recognizing them to their arrivals: `cargo +nightly fuzz run recording`.
//!
//! The first byte tells the format, so that each reader is reached: by the name that `--format` takes, or recognized.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use wavetank::traffic::formats::Format;
use wavetank::traffic::replay::{Dataset, Options};
use wavetank::traffic::{Arrivals, Config};
use wavetank::units::Time;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let (_, format) = Format::ALL[usize::from(choice) % Format::ALL.len()];
    let path = std::env::temp_dir().join(format!("wavetank-fuzz-{}", std::process::id()));
    std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("a temporary file");
    let options = Options { format, max_bad_lines: 1.0, ..Options::default() };
    if let Ok(dataset) = Dataset::open(&path, &options) {
        let _ = dataset.summary().to_string();
        if let Ok(arrivals) = Arrivals::replay(&dataset, &Config::default(), 1, Time::from_secs_f64(1e6)) {
            let mut last = Time::ZERO;
            for arrival in arrivals.take(10_000) {
                assert!(arrival.at >= last, "arrivals are in order of time");
                last = arrival.at;
            }
        }
    }
});
