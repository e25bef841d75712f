//! What the race is worth: the setting that it recommends beside those of a random search and of Sobol points, with as many runs and with ten
//! times as many.
//!
//! ```text
//! cargo bench --bench tune               seven studies of each, with seeds of their own
//! ```
//!
//! All confirm their finalists in the same way, on seeds that no search has seen; only these figures are compared. A search is better if what it
//! recommends is cheaper and safe. Costs are those of a day relative to the setting at present, medians over studies; `safe` counts the
//! studies whose recommendation holds the targets with 95 % confidence.
//!
//! Without `--bench`, as under `cargo test --benches`, it plays one small study of each, to see that it works.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const STUDIES: u64 = 7;
/// Runs of the race's search.
const BUDGET: u64 = 300;
/// What is compared: a method, and how many times the race's runs it gets.
const SEARCHES: [(&str, u64); 6] =
    [("race", 1), ("tpe", 1), ("sobol", 1), ("random", 1), ("random", 3), ("random", 10)];

struct Studied {
    cost: f64,
    is_safe: bool,
    requests: f64,
}

fn study(method: &str, budget: u64, confirm: u64, seed: u64) -> Studied {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bench/tune.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_wavetank"))
        .arg("tune")
        .arg(scenario)
        .args(["--json", "--method", method, "--budget", &budget.to_string()])
        .args(["--seeds-confirm", &confirm.to_string(), "--seed", &seed.to_string()])
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    let confirmed = told["confirmed"].as_array().expect("a list");
    let cost = |each: &Value| each["cost_per_day"].as_f64().expect("a number");
    let best = confirmed.iter().find(|each| each["candidate"] == told["recommended"]["candidate"]);
    let best = best.expect("what is recommended was confirmed");
    Studied {
        cost: cost(best) / cost(&confirmed[0]),
        is_safe: best["safety"] == "safe",
        requests: told["runs"]["requests"].as_f64().expect("a number"),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let (studies, budget, confirm) = if is_bench { (STUDIES, BUDGET, 64) } else { (1, 16, 8) };
    println!("{:<8} {:>8} {:>10} {:>8} {:>8} {:>10}", "search", "runs", "requests", "cost", "worst", "safe");
    for (method, times) in SEARCHES {
        if !is_bench && times > 1 {
            continue;
        }
        let all: Vec<Studied> = (1..=studies).map(|seed| study(method, budget * times, confirm, seed)).collect();
        let worst = all.iter().map(|each| each.cost).fold(0.0, f64::max);
        println!(
            "{method:<8} {:>8} {:>8.1} M {:>7.1}% {:>7.1}% {:>7} of {studies}",
            budget * times,
            median(all.iter().map(|each| each.requests / 1e6).collect()),
            median(all.iter().map(|each| each.cost * 100.0).collect()),
            worst * 100.0,
            all.iter().filter(|each| each.is_safe).count(),
        );
    }
}
