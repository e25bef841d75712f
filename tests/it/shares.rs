//! Replications in shares: on any number of machines, the report of one.

use std::path::Path;

use serde_json::Value;
use wavetank::record::archive::{Archive, Simulation};
use wavetank::record::fidelity::Fidelity;
use wavetank::scenario;
use wavetank::sim::{Monitor, Plan};

use crate::cli::{folder, names, output, stderr};

/// What events tell of: a spike, scaling with all its stages, what held it, a fault, an instance that was ill.
const SCENARIO: &str = r#"
    [scenario]
    name = "shares"
    duration = "20m"
    seed = 5

    [traffic]
    shape = [{ kind = "constant", rate = 20, for = "12m" }, { kind = "step", from = 20, to = 60, at = "2m" }]

    [clients]
    timeout = "2s"
    retry = { max = 1 }

    [service]
    workers = 2
    queue = 20
    time = { dist = "exponential", mean = "100ms" }

    [fleet]
    initial = 3
    boot = "20s"

    [breaker]
    window = "20s"

    [autoscaler]
    min = 3
    max = 8

    [[autoscaler.policy]]
    kind = "target_tracking"
    metric = "cpu_utilization"
    target = 50

    [[fault]]
    kind = "crash"
    at = "5m"
    instances = 1

    [slo]
    p99 = "1s"

    [balancer.health_check]
    interval = "10s"

    [analyzer]
    min_spike_duration = "1m"
    "#;

#[test]
fn a_run_is_the_same_after_it_was_a_file() {
    let scenario = scenario::parse(SCENARIO, "shares.toml", Path::new(""), &[]).unwrap();
    let run = Plan::new(scenario).unwrap().run(5, &Monitor::default()).unwrap();
    let kinds: std::collections::BTreeSet<&str> = run.events.iter().map(|event| event.kind.name()).collect();
    for kind in ["scaled_up", "held", "instance_healthy", "instance_gone", "fault_started", "spike_detected"] {
        assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
    }
    let of = Simulation {
        digest: "d".into(),
        scenario: "shares.toml".into(),
        overrides: Vec::new(),
        seed: 5,
        replications: 1,
        fidelity: Fidelity::Full,
    };
    let events = run.events.clone();
    let archive = Archive { of, command: String::new(), runs: vec![(0, run)] };
    let bytes = archive.write();
    let read = Archive::read(&bytes).unwrap();
    assert_eq!(read.runs[0].1.events, events);
    assert!(read.write() == bytes, "the same file again");
}

#[test]
fn shares_make_the_report_of_one_machine() {
    let folder = folder(&[("shares.toml", SCENARIO.as_bytes())]);
    let at = folder.path();
    let sim = ["sim", "shares.toml", "--set", "scenario.duration=3m", "--replications", "5"];
    let whole = output(at, &[&sim[..], &["--out", "whole"]].concat());
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let share = |i: &str| output(at, &[&sim[..], &["--shard", i, "--results", "runs"]].concat());
    assert_eq!(share("1/2").status.code(), Some(0));
    let early = output(at, &["merge", "runs"]);
    assert_eq!(early.status.code(), Some(2));
    let told = "shares.toml: 3 of 5 replications are not there yet: 0, 2, 4";
    assert!(stderr(&early).contains(told), "{}", stderr(&early));
    assert_eq!(share("0/2").status.code(), Some(0));
    let again = share("0/2");
    assert!(stderr(&again).contains("-share-0-of-2.runs is there already"), "{}", stderr(&again));
    let merged = output(at, &["merge", "runs", "--into", "merged"]);
    assert_eq!(merged.status.code(), Some(0), "{}", stderr(&merged));
    assert_eq!(names(&at.join("merged")), names(&at.join("whole")));
    let report = |name: &str| {
        let text = std::fs::read_to_string(at.join(name).join("report.json")).unwrap();
        let mut report: Value = serde_json::from_str(&text).unwrap();
        // When it was made, and how long that took.
        report.as_object_mut().unwrap().shift_remove("run").expect("a part that tells of the making");
        report
    };
    assert_eq!(report("merged"), report("whole"));
    for name in ["timeline.csv", "latency.hgrm"] {
        let read = |folder: &str| std::fs::read(at.join(folder).join(name)).unwrap();
        assert!(read("merged") == read("whole"), "{name} differs");
    }
    std::fs::write(at.join("shares.toml"), SCENARIO.replace("workers = 2", "workers = 3")).unwrap();
    let other = output(at, &["merge", "runs"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("not the scenario that the runs are of any more"), "{}", stderr(&other));
}

#[test]
fn a_share_of_one_replication_is_refused_and_a_cluster_is_told_what_to_play() {
    let folder = folder(&[("shares.toml", SCENARIO.as_bytes())]);
    let one = output(folder.path(), &["sim", "shares.toml", "--shard", "0/2", "--results", "runs"]);
    assert_eq!(one.status.code(), Some(2));
    assert!(stderr(&one).contains("there is one replication, which has no shares"), "{}", stderr(&one));
    let job = ["--job", "argo", "--image", "x", "--results", "/runs", "--shards", "3"];
    let printed = output(folder.path(), &[&["sim", "shares.toml", "--replications", "30"][..], &job].concat());
    assert_eq!(printed.status.code(), Some(0), "{}", stderr(&printed));
    let text = String::from_utf8(printed.stdout).unwrap();
    for expected in
        ["kind: Workflow", "count: \"3\"", "{{inputs.parameters.index}}/3", "mountPath: /runs", "- \"30\""]
    {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}
