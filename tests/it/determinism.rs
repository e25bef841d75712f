//! The same scenario and seed give the same report, byte for byte, wherever and however parallel it runs; and two policies
//! on one seed meet the same world.

use serde_json::Value;
use wavetank::record::Run;
use wavetank::record::timeline::Column;
use wavetank::report::{self, Experiment, Mode, RunInfo};
use wavetank::sim::replicate::replicate;
use wavetank::sim::{Monitor, Plan};

use crate::world::{plan, run};

/// A bit of everything that draws random numbers.
const WORLD: &str = r#"
    scenario.duration = "3m"
    scenario.warmup = "10s"
    scenario.seed = 7
    [traffic]
    shape = [{ kind = "constant", rate = 80, for = "1m" }, { kind = "ramp", from = 80, to = 300, for = "2m" }]
    noise = { sigma = 0.2, slot = "5s" }
    [clients]
    population = 1000
    zipf = 0.5
    timeout = "1s"
    retry = { max = 2, backoff = "50ms", budget = 0.2 }
    regions = [{ name = "us", share = 0.6, rtt = "20ms" }, { name = "eu", share = 0.4, rtt = "90ms" }]
    [service]
    workers = 4
    queue = 50
    time = { dist = "lognormal", mean = "40ms", sigma = 0.5 }
    error_rate = 0.01
    [fleet]
    initial = 2
    boot = { dist = "lognormal", mean = "10s", sigma = 0.2 }
    [autoscaler]
    min = 2
    max = 8
    interval = "5s"
    [[autoscaler.policy]]
    kind = "target_tracking"
    metric = "cpu_utilization"
    target = 60
    [balancer]
    strategy = "power_of_two_choices"
    health_check = { interval = "2s", timeout = "1s" }
    [breaker]
    scope = "instance"
    [limiter]
    algorithm = "gcra"
    limit = 20
    window = "1s"
    [analyzer]
    [[fault]]
    kind = "crash"
    every = "1m"
    [[dependency]]
    name = "database"
    connections = 20
    time = { dist = "exponential", mean = "5ms" }
    calls_per_request = 1.5
    [slo]
    p99 = "500ms"
    "#;

/// `report.json` of runs, with a `run` section that differs every time.
pub fn json_of(plan: &Plan, runs: &[Run], threads: usize) -> String {
    report::json(&experiment_of(plan, runs, threads))
}

/// Runs as an experiment.
pub fn experiment_of<'a>(plan: &'a Plan, runs: &'a [Run], threads: usize) -> Experiment<'a> {
    let scenario = plan.scenario();
    Experiment {
        name: &scenario.name,
        description: &scenario.description,
        digest: &scenario.digest,
        duration: plan.duration(),
        warmup: scenario.warmup,
        seed: scenario.seed,
        thresholds: Vec::new(),
        slo: &scenario.slo,
        price_per_hour: scenario.fleet.billing.price_per_hour,
        mode: Mode::Sim,
        runs,
        command: "wavetank sim test.toml".to_string(),
        notes: Vec::new(),
        recorded: None,
        compare_recorded: false,
        info: RunInfo {
            wall_seconds: threads as f64,
            cpu_seconds: Some(threads as f64 * 2.0),
            started: format!("2026-01-0{threads}T00:00:00Z"),
            host: format!("host-{threads}"),
            version: "0.0.0".into(),
            threads,
        },
    }
}

/// The report of four replications on so many threads.
fn report_on(threads: usize, toml: &str) -> String {
    let plan = plan(toml);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of a few threads");
    let runs = pool.install(|| replicate(&plan, 4, &Monitor::default())).expect("synthetic traffic cannot fail");
    json_of(&plan, &runs, threads)
}

/// The text of a report without the section that tells how the program ran.
fn without_run(report: &str) -> String {
    let mut value: Value = serde_json::from_str(report).expect("a report is JSON");
    let removed = value.as_object_mut().expect("a report is an object").shift_remove("run");
    assert!(removed.is_some(), "a report has a run section");
    // Order is kept, so equal texts are equal bytes.
    value.to_string()
}

#[test]
fn the_report_is_the_same_on_one_thread_and_on_four() {
    let one = report_on(1, WORLD);
    let four = report_on(4, WORLD);
    assert_ne!(one, four, "the run section is the only part that may differ, and does");
    assert!(without_run(&one) == without_run(&four), "something outside run depends on the threads");
    assert!(one == report_on(1, WORLD), "the same again");
}

#[test]
fn another_seed_is_another_run() {
    let other = WORLD.replace("seed = 7", "seed = 8");
    let (a, b) = (run(WORLD), run(&other));
    assert_ne!(a.counts, b.counts);
    assert_ne!(a.timeline.column(Column::OfferedRps), b.timeline.column(Column::OfferedRps));
}

#[test]
fn replications_differ_from_each_other() {
    let runs = crate::world::runs(WORLD, 4);
    for (i, a) in runs.iter().enumerate() {
        for b in &runs[i + 1..] {
            assert_ne!(a.seed, b.seed);
            assert_ne!(a.counts, b.counts);
        }
    }
}

#[test]
fn the_same_requests_arrive_whatever_the_policy() {
    let policies = [
        WORLD.to_string(),
        WORLD.replace("power_of_two_choices", "random"),
        WORLD.replace("target = 60", "target = 30"),
        WORLD.replace("max = 8", "max = 2"),
        WORLD.replace("limit = 20", "limit = 1"),
        WORLD.replace("workers = 4", "workers = 1"),
    ];
    let runs = policies.each_ref().map(|toml| run(toml));
    for (toml, other) in policies.iter().zip(&runs).skip(1) {
        assert_eq!(other.timeline.column(Column::OfferedRps), runs[0].timeline.column(Column::OfferedRps), "{toml}");
        assert_eq!(other.counts.offered, runs[0].counts.offered);
        assert_ne!(other.counts, runs[0].counts, "the policy makes a difference: {toml}");
    }
}

#[test]
fn a_request_needs_the_same_whoever_serves_it() {
    let served = |policy: &str| {
        let run = run(&format!(
            r#"
            scenario.duration = "2m"
            traffic.shape = [{{ kind = "constant", rate = 50 }}]
            service = {{ workers = 1000, time = {{ dist = "lognormal", mean = "40ms", sigma = 1.0 }} }}
            fleet.initial = 5
            {policy}
            "#
        ));
        assert_eq!(run.counts.failed_total(), 0);
        let times = run.service_time;
        let moments = (times.count(), times.mean(), times.min(), times.max());
        (moments, [0.1, 0.5, 0.9, 0.99].map(|q| times.quantile(q)))
    };
    let first = served("balancer.strategy = \"round_robin\"");
    for other in ["balancer.strategy = \"random\"", "balancer.strategy = \"ip_hash\"", "breaker.scope = \"instance\""]
    {
        assert_eq!(served(other), first, "{other}");
    }
}
