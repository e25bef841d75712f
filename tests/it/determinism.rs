//! The same scenario and seed give the same bytes, on any number of threads; two policies meet the same requests.

use wavetank::record::timeline::Column;
use wavetank::report::{self, Experiment, Mode, RunInfo};
use wavetank::sim::Monitor;
use wavetank::sim::replicate::replicate;

use crate::world::{plan, run};

const STORM: &str = r#"
    scenario.duration = "3m"
    scenario.warmup = "10s"
    [traffic]
    shape = [{ kind = "ramp", from = 20, to = 200, for = "3m" }]
    [clients]
    population = 200
    zipf = 1.0
    timeout = "1s"
    retry = { max = 2, backoff = "50ms", jitter = 1.0, budget = 0.2 }
    [service]
    workers = 4
    queue = 20
    time = { dist = "lognormal", mean = "60ms", sigma = 0.6 }
    [fleet]
    initial = 2
    boot = "20s"
    [autoscaler]
    min = 1
    max = 8
    interval = "5s"
    [[autoscaler.rule]]
    name = "up"
    metric = "cpu_utilization"
    operator = "gt"
    threshold = 60
    action = "scale_up"
    [breaker]
    scope = "instance"
    calls = 50
    [limiter]
    algorithm = "gcra"
    key = "client"
    limit = 5
    window = "1s"
    [analyzer]
    [[fault]]
    kind = "crash"
    at = "1m"
    instances = 1
    [balancer]
    health_check = { interval = "5s", timeout = "1s" }
"#;

fn json(threads: usize, seed: u64) -> String {
    let plan = plan(
        &format!("{STORM}\n[slo]\np99 = \"1s\"")
            .replace("scenario.warmup", &format!("scenario.seed = {seed}\n    scenario.warmup")),
    );
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let runs = pool.install(|| replicate(&plan, 4, &Monitor::default())).unwrap();
    let scenario = plan.scenario();
    let report = report::json(&Experiment {
        name: &scenario.name,
        description: "",
        digest: "0000000000000000",
        duration: plan.duration(),
        warmup: scenario.warmup,
        seed: scenario.seed,
        slo: &scenario.slo,
        price_per_hour: 0.0,
        mode: Mode::Sim,
        runs: &runs,
        command: String::new(),
        notes: Vec::new(),
        info: RunInfo {
            wall_seconds: threads as f64,
            cpu_seconds: None,
            started: String::new(),
            host: String::new(),
            version: "0",
            threads,
        },
    });
    let (same, differs) = report.split_once("\n  \"run\":").expect("the run section is last");
    assert!(differs.contains("\"threads\""));
    same.to_string()
}

#[test]
fn a_report_does_not_depend_on_the_number_of_threads() {
    let one = json(1, 7);
    assert_eq!(one, json(4, 7));
    assert_ne!(one, json(1, 8));
}

#[test]
fn a_report_is_what_its_schema_says() {
    let text = json(2, 7)
        + "\n  \"run\": {\"wall_seconds\":1,\"cpu_seconds\":null,\"requests_per_cpu_second\":null,\"started\":\"\",\"host\":\"\",\"version\":\"0\"}\n}";
    let mut report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let schema: serde_json::Value = serde_json::from_str(report::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    report.as_object_mut().unwrap().remove("latency_ms");
    assert!(!validator.is_valid(&report), "a required field may not be missing");
}

#[test]
fn two_policies_meet_the_same_requests() {
    let base = "scenario.duration = \"1m\"\ntraffic.shape = [{ kind = \"constant\", rate = 100 }]\n[service]\nworkers = 50\n\
                time = { dist = \"exponential\", mean = \"50ms\" }\n[fleet]\ninitial = 3\n";
    let a = run(&format!("{base}[balancer]\nstrategy = \"round_robin\""));
    let b = run(&format!("{base}[balancer]\nstrategy = \"random\""));
    assert_eq!(a.timeline.column(Column::OfferedRps), b.timeline.column(Column::OfferedRps));
    // Nobody waits, so time in service is demand, request by request.
    assert_eq!(a.service_time.histogram(), b.service_time.histogram());
    assert_ne!(a.instances[0].attempts, b.instances[0].attempts);
}

#[test]
fn every_request_ends_once() {
    let run = run(STORM);
    assert!(run.counts.failed_total() > 0 && run.counts.retries > 0, "{:?}", run.counts);
    assert_eq!(run.counts.offered, run.counts.succeeded + run.counts.failed_total());
    assert_eq!(run.latency.count(), run.counts.succeeded);
    assert_eq!(run.latency_all.count(), run.counts.offered);
}
