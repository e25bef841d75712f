//! `calibrate` on the three things that it reads: a live run, a log, a report without single requests.

use std::fmt::Write as _;

use serde_json::Value;
use wavetank::distribution::Distribution;
use wavetank::rng::{Dice, Stream};
use wavetank::units::Span;

use crate::cli::{folder, output, stderr};

/// A gateway, three workers, two endpoints.
const SERVED: &str = r#"
    [scenario]
    name = "served"
    duration = "12s"
    [traffic]
    shape = [{ kind = "constant", rate = 40, for = "6s" }, { kind = "constant", rate = 75, for = "6s" }]
    [service]
    workers = 3
    time = { dist = "exponential", mean = "40ms" }
    [[service.endpoint]]
    path = "/a"
    [[service.endpoint]]
    path = "/b"
    error_rate = 0.1
    [fleet]
    initial = 1
    price_per_hour = 2.0
    "#;

fn calibrated(folder: &std::path::Path, args: &[&str]) -> Value {
    let mut all = vec!["calibrate"];
    all.extend(args);
    all.push("--json");
    let out = output(folder, &all);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn within(interval: &Value, low: f64, high: f64) -> bool {
    (low..=high).contains(&interval["value"].as_f64().unwrap())
}

#[test]
fn a_live_run_tells_its_scenario() {
    let folder = folder(&[("served.toml", SERVED.as_bytes())]);
    let out = output(folder.path(), &["live", "served.toml", "--out", "run"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let told = calibrated(folder.path(), &["run", "--scenario", "served.toml", "--out", "fitted.toml"]);
    let demands = told["demands"].as_array().unwrap();
    assert_eq!(demands.len(), 2, "{told:#}");
    for demand in demands {
        // Some 340 requests: 11 % are two standard errors of an exponential's mean; a machine that is busy with other tests adds to that.
        assert!(within(&demand["mean_seconds"], 0.025, 0.080), "{demand:#}");
    }
    let failed = demands.iter().find(|demand| demand["path"] == "/b").unwrap();
    assert!((0.03..0.2).contains(&failed["error_rate"].as_f64().unwrap()), "{failed:#}");
    let range = &told["concurrency"]["ci"];
    // Where others keep the machine busy a knee may be seen too soon, never too late.
    assert!(range[0].as_u64() <= Some(3), "{told:#}");
    assert_eq!((&told["instances"], &told["boot"]), (&1.into(), &Value::Null));
    // What was written runs, and keeps what was not fitted.
    let fitted = std::fs::read_to_string(folder.path().join("fitted.toml")).unwrap();
    assert!(fitted.contains("price_per_hour = 2.0") && fitted.contains("workers = "), "{fitted}");
    let valid = output(folder.path(), &["validate", "fitted.toml"]);
    assert_eq!(valid.status.code(), Some(0), "{}", stderr(&valid));
    // A report without single requests, as one of load is, tells demand, and that it cannot tell workers.
    std::fs::remove_file(folder.path().join("run/attempts.csv")).unwrap();
    let told = calibrated(folder.path(), &["run"]);
    assert_eq!((told["demands"].as_array().map(Vec::len), &told["concurrency"]["seen"]), (Some(2), &false.into()));
    let notes = told["notes"].to_string();
    assert!(notes.contains("never loaded enough") && notes.contains("no single requests"), "{notes}");
}

/// An access log of four workers under a load that grows, in nginx's JSON with times to the millisecond, made without the simulator.
fn log() -> String {
    let (arrivals, demands) = (Dice::new(1, Stream::Arrival), Dice::new(1, Stream::Demand));
    let sampler = Distribution::Gamma { mean: Span::from_millis(50), shape: 2.0 }.sampler();
    let (mut now, mut free, mut text) = (0.0f64, [0.0f64; 4], String::new());
    for i in 0..12_000u64 {
        now += -arrivals.unit(i).ln() / (30.0 + 35.0 * i as f64 / 12_000.0);
        let first = (0..4).min_by(|&a, &b| free[a].total_cmp(&free[b])).unwrap();
        let end = free[first].max(now) + sampler.sample(&mut demands.draws(i)).as_secs_f64();
        free[first] = end;
        let stamp = 1_709_510_400.0 + now;
        let _ = writeln!(
            text,
            "{{\"msec\":\"{stamp:.3}\",\"remote_addr\":\"10.0.0.1\",\"request_method\":\"GET\",\"uri\":\"/x\",\"status\":\"200\",\"request_time\":\"{:.3}\"}}",
            end - now
        );
    }
    text
}

#[test]
fn a_log_with_response_times_tells_demand_and_workers() {
    let folder = folder(&[
        ("access.log", log().as_bytes()),
        ("text.log", b"1.2.3.4 - - [04/Mar/2024:00:00:00 +0000] \"GET / HTTP/1.1\" 200 5\n"),
    ]);
    let told = calibrated(folder.path(), &["access.log"]);
    let demand = &told["demands"][0];
    assert_eq!(demand["distribution"]["dist"], "gamma", "{told:#}");
    // Times are cut to milliseconds, of 50.
    assert!(within(&demand["mean_seconds"], 0.047, 0.052) && within(&demand["shape"], 1.8, 2.3), "{demand:#}");
    let range = &told["concurrency"]["ci"];
    assert!(range[0].as_u64() <= Some(4) && range[1].as_u64() >= Some(4), "{told:#}");
    // The scenario that is printed runs as it stands.
    std::fs::write(folder.path().join("own.toml"), told["scenario"].as_str().unwrap()).unwrap();
    let sim = output(folder.path(), &["sim", "own.toml", "--json"]);
    assert_eq!(sim.status.code(), Some(0), "{}", stderr(&sim));
    let none = output(folder.path(), &["calibrate", "text.log"]);
    assert!(none.status.code() == Some(2) && stderr(&none).contains("no response times"), "{}", stderr(&none));
}

#[test]
fn what_nothing_can_be_read_from_is_told() {
    let folder = folder(&[("served.toml", SERVED.as_bytes())]);
    let sim = output(folder.path(), &["sim", "served.toml", "--out", "sim"]);
    assert_eq!(sim.status.code(), Some(0), "{}", stderr(&sim));
    let tell = |args: &[&str]| {
        let out = output(folder.path(), args);
        assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
        stderr(&out)
    };
    assert!(tell(&["calibrate", "sim"]).contains("a simulated run tells what its scenario says"));
    assert!(tell(&["calibrate", "nowhere"]).contains("nowhere"));
    assert!(tell(&["calibrate", "sim", "sim"]).contains("expected one run"));
    assert!(tell(&["calibrate", "sim", "--scenario", "nowhere.toml"]).contains("nowhere.toml"));
}

#[test]
fn a_server_that_is_not_ours_is_fitted() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3");
        return;
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/twin/foreign");
    let folder = folder(&[]);
    let scenario = root.join("server.toml").display().to_string();
    let command = format!("live.command=\"python3 '{}' {{port}}\"", root.join("server.py").display());
    let run = ["live", &scenario, "--set", &command, "--set", "scenario.duration=12s", "--out", "run"];
    let out = output(folder.path(), &run);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let told = calibrated(folder.path(), &["run", "--scenario", &scenario, "--out", "fitted.toml"]);
    // It waits for 20 ms on average, less what all requests have in common; whoever keeps the machine busy makes that longer.
    assert!(told["demands"][0]["mean_seconds"]["value"].as_f64() > Some(0.012), "{told:#}");
    // One request at a time: half of all found another there, and waited.
    assert_eq!(told["concurrency"]["ci"][0], 1, "{told:#}");
    let valid = output(folder.path(), &["validate", "fitted.toml"]);
    assert_eq!(valid.status.code(), Some(0), "{}", stderr(&valid));
}
