//! A world in three lines: a scenario from text, run in virtual time.

use wavetank::record::Run;
use wavetank::scenario;
use wavetank::sim::replicate::replicate;
use wavetank::sim::{Monitor, Plan};

/// The plan of a scenario text.
pub fn plan(toml: &str) -> Plan {
    let scenario =
        scenario::parse(toml, "test.toml", "".as_ref(), &[]).unwrap_or_else(|problems| panic!("{problems}"));
    Plan::new(scenario).expect("the scenario names no dataset")
}

/// One run of a scenario text, with its own seed.
pub fn run(toml: &str) -> Run {
    runs(toml, 1).remove(0)
}

/// `n` replications of a scenario text.
pub fn runs(toml: &str, n: u32) -> Vec<Run> {
    replicate(&plan(toml), n, &Monitor::default()).expect("synthetic traffic cannot fail")
}

/// A folder of the data that the project is tested against but does not ship; `None`, with a line that says so, where it
/// is not there.
pub fn shared(path: &str) -> Option<std::path::PathBuf> {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(path);
    if !path.exists() {
        eprintln!("skipped: ../shared is not there");
        return None;
    }
    Some(path)
}
