//! The house rules that no compiler checks: who may use whom, where clocks and crates may be named, what is left nowhere.

use std::fs;
use std::path::{Path, PathBuf};

/// A line of a source file.
struct Line {
    file: String,
    number: usize,
    text: String,
    /// Whether it is in a `#[cfg(test)]` part or file.
    test: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder whose names end in `.suffix`, sorted.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a folder's entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every line of `src`, without comments.
fn source() -> Vec<Line> {
    let mut lines = Vec::new();
    for path in files(&root().join("src"), "rs") {
        let file = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        let mut test = is_test_file(&file);
        for (line, number) in text.lines().zip(1..) {
            // Tests are the last part of a file.
            test |= line.trim() == "#[cfg(test)]";
            lines.push(Line { file: file.clone(), number, text: without_comment(line).to_string(), test });
            // A module of tests in a file of its own is one line; what follows it counts again.
            if test && !is_test_file(&file) && line.starts_with("mod ") && line.ends_with(';') {
                test = false;
            }
        }
    }
    assert!(lines.len() > 10_000, "only {} lines of source were found", lines.len());
    lines
}

fn is_test_file(file: &str) -> bool {
    let tests = ["tests.rs", "properties.rs", "examples.rs", "conformance.rs", "false_trips.rs"];
    file.contains("/tests/") || tests.iter().any(|name| file.ends_with(&format!("/{name}")))
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line.split(" // ").next().unwrap_or(line) }
}

/// The first two parts of what a line names of this crate: `crate::engine::events::Event` is `engine::events`.
fn used(text: &str) -> Vec<(String, String)> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    text.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(|each| (word(each.trim()), String::new())).collect(),
            None => {
                let first = word(rest);
                let after = rest[first.len()..].strip_prefix("::").unwrap_or("");
                match after.strip_prefix('{') {
                    Some(list) => list.split(',').map(|each| (first.clone(), word(each.trim()))).collect(),
                    None => vec![(first, word(after))],
                }
            }
        })
        .collect()
}

/// Which room of the house a file belongs to.
fn room(file: &str) -> &str {
    let path = file.strip_prefix("src/").unwrap_or(file);
    path.split(['/', '.']).next().unwrap_or(path)
}

const BASE: [&str; 5] = ["units", "rng", "distribution", "statistics", "queueing"];

/// Whether a file of `room` may name `first::second` of the crate; `Err` says what to do instead.
fn may_use(room: &str, first: &str, second: &str) -> Result<(), &'static str> {
    if first == room || BASE.contains(&first) && !BASE.contains(&room) {
        return Ok(());
    }
    let (allowed, instead) = match room {
        "units" | "rng" | "distribution" | "statistics" | "queueing" => {
            (BASE.contains(&first), "this is the ground floor: move what needs more to its user")
        }
        "traffic" => (false, "traffic yields arrivals and knows nobody: let its user translate"),
        "engine" => (false, "the engine is told everything: pass a value in, or return one"),
        "record" => (
            first == "engine" && ["request", "events"].contains(&second),
            "records hold outcomes and events (engine::request, engine::events): convert at the driver",
        ),
        "manifest" => {
            (first == "engine", "manifests become configurations of the engine: let scenario and cli use them")
        }
        "scenario" => (
            ["traffic", "engine", "manifest"].contains(&first)
                || (first == "record" && ["cost", "outcome", "recorder"].contains(&second)),
            "a scenario is made of configurations: put the type beside the configuration that it is",
        ),
        "sim" => (
            !["report", "live", "load", "cli", "dataset", "gate", "compare", "storm", "tune", "bench"]
                .contains(&first),
            "a world leaves a Run: judge and show it in report or cli",
        ),
        "live" => (
            ["engine", "record", "scenario", "traffic"].contains(&first),
            "the live world drives the engine and leaves a Run: judge and show it in report or cli, simulate in sim",
        ),
        "load" => (
            ["record", "scenario", "traffic"].contains(&first)
                || (first == "live" && ["callers", "clock", "gateway"].contains(&second)),
            "load sends what the scenario says and decides nothing: the engine is the target's, judge and show in report or cli",
        ),
        "report" => (
            !["sim", "live", "load", "cli", "traffic", "dataset", "storm", "tune", "bench"].contains(&first),
            "reports read records only: put the fact into the Run",
        ),
        "dataset" => (
            ["traffic", "record", "scenario"].contains(&first),
            "tables are made of recordings and records: let cli bring them together",
        ),
        "gate" => (
            !["sim", "cli", "traffic", "dataset", "compare", "bench"].contains(&first),
            "the gate judges runs that others made: let cli run them",
        ),
        "bench" => (
            ["engine", "record", "scenario", "report", "gate"].contains(&first),
            "benchmarks are defined and read here: let cli play them in a world",
        ),
        "compare" => (
            !["sim", "cli", "traffic", "dataset", "bench"].contains(&first),
            "comparisons read records and reports: let cli run what is compared",
        ),
        "calibrate" => (
            first == "report",
            "calibration fits numbers to observations: let cli read them, and scenario read what is written",
        ),
        "verify" => (
            !["sim", "live", "load", "cli", "traffic", "dataset"].contains(&first),
            "what is held against one another are records and reports: let cli run both worlds",
        ),
        "storm" => (
            !["cli", "dataset", "gate", "compare", "bench"].contains(&first),
            "storms run scenarios and read records: let cli read files and arguments",
        ),
        "tune" => (
            !["cli", "dataset", "gate", "compare", "storm", "live", "load", "manifest", "bench"].contains(&first),
            "tuning runs scenarios and reads records: let cli read files and arguments",
        ),
        "store" => (false, "a place holds files: what is in them is its user's business"),
        "cluster" => (
            first == "store" || (first == "manifest" && second == "yaml_document"),
            "manifests are made of a command and files: let cli find them",
        ),
        "cli" | "main" | "lib" => (true, ""),
        _ => (false, "a new room needs a line in tests/it/tidy.rs that says whom it may use"),
    };
    if allowed { Ok(()) } else { Err(instead) }
}

/// Fails with every finding on a line of its own.
fn expect_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let mut findings = Vec::new();
    let mut seen = 0;
    for line in source().iter().filter(|line| !line.test) {
        for (first, second) in used(&line.text) {
            seen += 1;
            if let Err(instead) = may_use(room(&line.file), &first, &second) {
                findings.push(format!(
                    "{}:{}: {} may not use {first}::{second}: {instead}",
                    line.file,
                    line.number,
                    room(&line.file)
                ));
            }
        }
    }
    assert!(seen > 100, "only {seen} uses were found");
    expect_none(findings);
}

#[test]
fn the_import_table_forbids_what_it_should() {
    for (room, first, second) in [
        ("units", "traffic", "shape"),
        ("traffic", "engine", "events"),
        ("engine", "record", "outcome"),
        ("engine", "sim", ""),
        ("record", "engine", "autoscaler"),
        ("scenario", "sim", "plan"),
        ("sim", "report", ""),
        ("report", "sim", "plan"),
        ("report", "cli", ""),
        ("live", "sim", "plan"),
        ("sim", "live", "driver"),
        ("tune", "cli", ""),
        ("load", "engine", "balancer"),
        ("load", "live", "driver"),
        ("load", "sim", "plan"),
        ("sim", "load", "schedule"),
        ("report", "load", "attack"),
        ("report", "tune", "search"),
        ("bench", "sim", "plan"),
        ("bench", "live", "system"),
        ("gate", "bench", "figure"),
        ("verify", "sim", "plan"),
        ("calibrate", "sim", "plan"),
        ("calibrate", "traffic", "replay"),
        ("verify", "live", "driver"),
        ("store", "tune", "study"),
        ("cluster", "cli", ""),
        ("attic", "units", "Tome"),
    ] {
        // A room that nobody has heard of may use the base, which is harmless.
        let forbidden = may_use(room, first, second).is_err();
        assert_eq!(forbidden, room != "attic", "{room} uses {first}::{second}");
    }
    let words = used("use crate::engine::{balancer, breaker}; use crate::{sim::Plan, units};");
    let expected = [("engine", "balancer"), ("engine", "breaker"), ("sim", ""), ("units", "")];
    assert_eq!(words, expected.map(|(a, b)| (a.to_string(), b.to_string())));
}

/// A word, the files that may have it (by the beginning of their path), and what others should do.
const CONFINED: [(&str, &[&str], &str); 23] = [
    ("plotters::", &["src/report/chart"], "draw in report/chart.rs: the library must build without it"),
    ("polars::", &["src/dataset/", "src/dataset.rs"], "tables are read and written in dataset: pass plain values"),
    ("clap::", &["src/cli"], "parse arguments in cli, and pass plain values"),
    ("anyhow", &["src/cli"], "return a typed error (thiserror)"),
    ("indicatif", &["src/cli"], "count in the monitor, and show it in cli"),
    ("ctrlc", &["src/cli"], "watch the monitor's stop flag"),
    ("cpu_time", &["src/cli"], "let cli measure, and pass it in RunInfo"),
    (
        "rayon",
        &["src/sim/replicate.rs", "src/storm/", "src/tune/laboratory.rs", "src/cli"],
        "one replication is one thread: spread them in sim/replicate.rs",
    ),
    (
        "Instant::now",
        &["src/cli", "src/live/clock.rs"],
        "time is passed in as units::Time, or asked of live/clock.rs",
    ),
    ("SystemTime::now", &["src/cli"], "time is passed in as units::Time"),
    (
        "Timestamp::now",
        &["src/cli", "src/live/clock.rs"],
        "time is passed in as units::Time, or asked of live/clock.rs",
    ),
    (
        "tokio::",
        &[
            "src/live",
            "src/load/",
            "src/store/bucket.rs",
            "src/cli/serve.rs",
            "src/cli/live.rs",
            "src/cli/load.rs",
            "src/cli/bench/target.rs",
        ],
        "what waits on sockets lives in live and load",
    ),
    ("goose::", &["src/load/attack.rs"], "goose's users are workers in load/attack.rs: pass plain values"),
    (
        "rustls::",
        &["src/load/client.rs", "src/load/tls.rs", "src/live/gateway/tls.rs"],
        "TLS is spoken in load/client.rs and live/gateway/tls.rs",
    ),
    ("tower_", &["src/live/layer"], "the engine is a layer in live/layer.rs"),
    ("hyper::", &["src/live", "src/load"], "HTTP is spoken in live and load"),
    ("object_store::", &["src/store"], "buckets are reached through store::Store"),
    ("redis::", &["src/live/quotas"], "a store of quotas is asked in live/quotas: tell the engine what it said"),
    ("postcard::", &["src/record/archive.rs"], "whole runs are written and read by record::archive"),
    ("yaml_rust2", &["src/gate/openslo.rs", "src/manifest/"], "OpenSLO and manifests are YAML, scenarios are TOML"),
    (
        "rusqlite::",
        &["src/gate/history/sqlite.rs", "src/tune/study"],
        "databases are read and written there: pass entries",
    ),
    (
        "sha2::",
        &["src/report/html.rs", "src/tune/study"],
        "hashes are for the policy of a page and the digest of a study",
    ),
    ("thread_rng", &[], "draw from rng::Dice, which is keyed by seed, stream and index"),
];

#[test]
fn crates_and_clocks_stay_in_their_rooms() {
    let mut findings = Vec::new();
    for line in source().iter().filter(|line| !line.test) {
        for (word, homes, instead) in CONFINED {
            if line.text.contains(word) && !homes.iter().any(|home| line.file.starts_with(home)) {
                findings.push(format!("{}:{}: `{word}` is not for here: {instead}", line.file, line.number));
            }
        }
    }
    expect_none(findings);
}

#[test]
fn the_engine_touches_no_files_threads_or_output() {
    let forbidden = ["std::fs", "std::net", "std::thread", "std::env", "std::process", "println!(", "eprintln!("];
    let mut findings = Vec::new();
    for line in source().iter().filter(|line| !line.test) {
        if !["engine", "record", "sim", "units", "rng", "distribution"].contains(&room(&line.file)) {
            continue;
        }
        for word in forbidden.iter().filter(|word| line.text.contains(**word)) {
            findings.push(format!(
                "{}:{}: `{word}` is an effect: return a value, and let cli or report act on it",
                line.file, line.number
            ));
        }
    }
    expect_none(findings);
}

#[test]
fn nothing_is_left_to_do_later() {
    // Written in two parts, so that this file does not find itself.
    let left =
        [["FIX", "ME"], ["XX", "X:"], ["dbg", "!("], ["to", "do!("], ["unimple", "mented!("]].map(|w| w.concat());
    let mut findings = Vec::new();
    for folder in ["src", "tests", "benches"] {
        let folder = root().join(folder);
        for path in if folder.is_dir() { files(&folder, "rs") } else { Vec::new() } {
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            for (line, number) in text.lines().zip(1..) {
                for word in left.iter().filter(|word| line.contains(word.as_str())) {
                    findings.push(format!("{}:{number}: `{word}`: finish it, or leave it out", path.display()));
                }
            }
        }
    }
    expect_none(findings);
}

#[test]
fn every_scenario_that_ships_parses() {
    let scenarios = files(&root().join("scenarios"), "toml");
    assert!(!scenarios.is_empty());
    let findings = scenarios.iter().filter_map(|path| match wavetank::scenario::load(path, &[]) {
        Ok(_) => None,
        Err(problem) => Some(format!("{}: {problem}", path.display())),
    });
    expect_none(findings.collect());
}

#[test]
fn every_module_says_what_it_is() {
    let silent = files(&root().join("src"), "rs").into_iter().filter(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        // Tests beside a module are described by that module.
        !text.starts_with("//!") && !is_test_file(&path.to_string_lossy().replace('\\', "/"))
    });
    expect_none(silent.map(|path| format!("{}: begins without //! what it is", path.display())).collect());
}
