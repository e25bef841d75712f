//! Traffic that is generated, written down in every format, and replayed.

use std::process::Command;

use tempfile::TempDir;
use wavetank::scenario::{self, Traffic};
use wavetank::traffic::formats::Work;
use wavetank::traffic::replay::{Dataset, Options};
use wavetank::traffic::{Arrivals, Config, Origin};
use wavetank::units::{Span, Time};

const SCENARIO: &str = r#"
scenario = { name = "busy", duration = "3m", seed = 11 }
traffic.shape = [{ kind = "ramp", from = 5, to = 60, for = "3m" }]
clients = { population = 300, zipf = 1.1 }
[service]
time = { dist = "lognormal", mean = "40ms", sigma = 0.5 }
[[service.endpoint]]
path = "/catalog/item"
weight = 3
[[service.endpoint]]
path = "/checkout"
method = "POST"
weight = 1
error_rate = 0.1
time = "7ms"
"#;

fn generated(folder: &TempDir, format: &str, more: &[&str]) -> std::path::PathBuf {
    let scenario = folder.path().join("busy.toml");
    std::fs::write(&scenario, SCENARIO).unwrap();
    let out = folder.path().join(format!("traffic.{format}.gz"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavetank"));
    command.arg("generate").arg(&scenario).arg("--out").arg(&out).args(["--format", format]).args(more);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    out
}

/// What the simulator would see.
fn planned() -> Vec<(u64, u64)> {
    let scenario = scenario::parse(SCENARIO, "busy.toml", "".as_ref(), &[]).unwrap();
    let Traffic::Open(config) = &scenario.traffic else { panic!("a plan") };
    Arrivals::new(config, scenario.seed, Time::from_secs_f64(180.0)).map(|a| (a.index, a.at.0)).collect()
}

#[test]
fn a_log_in_any_format_is_replayed_at_its_own_times() {
    let folder = TempDir::new().unwrap();
    let planned = planned();
    assert!(planned.len() > 5000, "{}", planned.len());
    // Format, resolution of its times [ns], whether it has response times and agents.
    for (format, resolution, took, agent) in [
        ("combined", 1_000_000_000, false, true),
        ("common", 1_000_000_000, false, false),
        ("caddy", 1_000, true, true),
        ("traefik", 1, true, true),
        ("nginx-json", 1, true, true),
        ("haproxy", 1_000_000, true, false),
        ("alb", 1_000, true, true),
        ("iis", 1_000_000_000, true, true),
        ("cloudfront", 1_000_000_000, true, true),
    ] {
        let path = generated(&folder, format, &[]);
        let dataset = Dataset::open(&path, &Options::default()).unwrap_or_else(|e| panic!("{format}: {e}"));
        let summary = dataset.summary();
        assert_eq!((summary.lines, summary.bad.total()), (planned.len() as u64, 0), "{format}: {summary}");
        assert_eq!(summary.endpoints.len(), 2, "{format}: {:?}", summary.endpoints);
        assert!(summary.statuses[5] > 50 && summary.statuses[2] > 5000, "{format}: {:?}", summary.statuses);
        let checkout = summary.endpoints.iter().position(|path| path == "/checkout").unwrap();
        let posts = summary.endpoint_requests[checkout];
        let [get, _, post, ..] = summary.methods;
        assert_eq!((get, post), (planned.len() as u64 - posts, posts), "{format}");
        assert_eq!(summary.recorded_answers.took.is_some(), took, "{format}");
        let clients = summary.clients;
        assert!((200..=300).contains(&clients), "{format}: {clients} clients");
        let agents = Options { filter: "agent~Chrome".parse().unwrap(), ..Options::default() };
        assert_eq!(Dataset::open(&path, &agents).is_ok(), agent, "{format}");
        let played: Vec<(u64, u64)> = Arrivals::replay(&dataset, &Config::default(), 5, Time::MAX)
            .unwrap()
            .map(|a| {
                let Origin::Recorded { work, .. } = a.origin else { panic!("{a:?}") };
                assert_eq!(work, Work::Drawn);
                (a.index, a.at.0)
            })
            .collect();
        // Time 0 is the second of the first request.
        let origin = planned[0].1 / 1_000_000_000 * 1_000_000_000;
        let at = |(index, at): &(u64, u64)| (*index, (at - origin) / resolution);
        let wanted: Vec<(u64, u64)> = planned.iter().map(at).collect();
        let found: Vec<(u64, u64)> = played.iter().map(|(index, at)| (*index, at / resolution)).collect();
        assert_eq!(found, wanted, "{format}");
    }
}

#[test]
fn a_series_in_any_format_has_the_requests_of_every_step() {
    let folder = TempDir::new().unwrap();
    let planned = planned();
    for format in ["csv", "ndjson", "numbers"] {
        let path = generated(&folder, format, &["--step", "10s"]);
        let options = Options { step: Some(Span::from_secs(10)), ..Options::default() };
        let dataset = Dataset::open(&path, &options).unwrap_or_else(|e| panic!("{format}: {e}"));
        let mut steps = Vec::new();
        dataset
            .for_each_step(|_, count| -> Result<(), wavetank::traffic::replay::Error> {
                steps.push(count as usize);
                Ok(())
            })
            .unwrap();
        let wanted: Vec<usize> =
            (0..18).map(|k| planned.iter().filter(|(_, at)| at / 10_000_000_000 == k).count()).collect();
        assert_eq!(steps, wanted, "{format}");
    }
}
