//! Verdicts on runs whose differences are known: all are simulated here, and some are taken for live.

use super::*;
use crate::report::{Mode, RunInfo};
use crate::scenario;
use crate::sim::{Monitor, Plan};

/// A spike on a fleet that follows it, with `more` keys.
fn run(more: &str) -> (Run, scenario::Scenario) {
    let text = "scenario = { duration = \"40s\", warmup = \"5s\" }
        traffic.shape = [{ kind = \"constant\", rate = 40, for = \"12s\" }, { kind = \"constant\", rate = 120, for = \"15s\" }, { kind = \"constant\", rate = 40 , for = \"13s\" }]
        service = { workers = 4, time = { dist = \"lognormal\", mean = \"60ms\", sigma = 0.5 } }
        fleet = { initial = 2, boot = \"2s\" }
        [autoscaler]
        min = 2
        max = 5
        interval = \"2s\"
        metrics = { window = \"4s\" }
        [[autoscaler.rule]]
        name = \"busy\"
        metric = \"cpu_utilization\"
        operator = \"gt\"
        threshold = 70
        action = \"scale_up\"
        cooldown = \"4s\"";
    let overrides: Vec<String> = more.split(' ').filter(|each| !each.is_empty()).map(str::to_string).collect();
    let scenario = scenario::parse(text, "twin.toml", "".as_ref(), &overrides).unwrap_or_else(|e| panic!("{e}"));
    let plan = Plan::new(scenario.clone()).unwrap();
    (plan.run(42, &Monitor::default()).unwrap(), scenario)
}

fn experiment<'a>(runs: &'a [Run], scenario: &'a scenario::Scenario, mode: Mode) -> Experiment<'a> {
    Experiment {
        name: &scenario.name,
        description: "",
        digest: &scenario.digest,
        duration: Span::from_secs(40),
        warmup: scenario.warmup,
        seed: scenario.seed,
        slo: &scenario.slo,
        thresholds: Vec::new(),
        price_per_hour: 0.0,
        mode,
        runs,
        command: String::new(),
        notes: Vec::new(),
        recorded: None,
        compare_recorded: false,
        info: RunInfo {
            wall_seconds: 0.0,
            cpu_seconds: None,
            started: String::new(),
            host: String::new(),
            version: "".into(),
            threads: 1,
        },
    }
}

/// The verdicts on what is simulated as it stands, where each live run has keys of its own.
fn verdicts(live: [&str; 3]) -> (Vec<Finding>, Verdict, String) {
    let (simulated, scenario) = run("");
    let (sim, live) = ([simulated], live.map(|more| run(more).0));
    let trial = Trial {
        name: "twin".to_string(),
        interval: Some(Span::from_secs(2)),
        sim: experiment(&sim, &scenario, Mode::Sim),
        live: experiment(&live, &scenario, Mode::Live),
        notes: Vec::new(),
    };
    let (findings, verdict) = (trial.findings(), trial.verdict());
    let verification = Verification { trials: vec![trial], notes: Vec::new() };
    let page = html(&verification);
    assert!(page.contains("p99") && page.ends_with("</html>\n"));
    let read: serde_json::Value = serde_json::from_str(&json(&verification)).unwrap();
    assert_eq!(read["verdict"], verdict.key());
    (findings, verdict, markdown(&verification) + &console(&verification, false))
}

fn of(findings: &[Finding], figure: Figure) -> &Finding {
    findings.iter().find(|finding| finding.figure == figure).unwrap()
}

#[test]
fn worlds_that_agree_are_within() {
    let (findings, verdict, text) = verdicts(["", "", ""]);
    assert_eq!(verdict, Verdict::Within, "{text}");
    assert!(findings.iter().all(|finding| finding.error == Some(0.0)), "{findings:?}");
    assert!(of(&findings, Figure::Decisions).verdict == Verdict::Within, "there are decisions: {findings:?}");
}

#[test]
fn a_model_that_is_off_is_told_apart_from_a_machine_that_is_steady() {
    // Live services take a fifth longer, by a hair more or less each time.
    let slower = |ms: u32| format!("service.time.mean={ms}ms");
    let (a, b) = (slower(72), slower(73));
    let (findings, verdict, text) = verdicts([&a, &b, &a]);
    let p50 = of(&findings, Figure::P50);
    assert_eq!((verdict, p50.verdict), (Verdict::Beyond, Verdict::Beyond), "{text}");
    assert!(p50.error.unwrap() < -0.1 && p50.noise.unwrap() < 0.05, "{p50:?}");
    assert_eq!(of(&findings, Figure::Throughput).verdict, Verdict::Within, "{text}");
    assert!(text.contains("p50: -") && text.contains("aim ± 5 %"), "{text}");
}

#[test]
fn a_machine_that_is_not_steady_is_told_for_what_it_is() {
    let (findings, verdict, text) =
        verdicts(["service.time.mean=52ms", "service.time.mean=60ms", "service.time.mean=70ms"]);
    let p50 = of(&findings, Figure::P50);
    assert_eq!(p50.verdict, Verdict::Machine, "{p50:?}");
    assert!(p50.noise.unwrap() > 0.05, "{p50:?}");
    assert_ne!(verdict, Verdict::Within, "{text}");
}

#[test]
fn a_time_on_the_way_is_found_and_named() {
    let (findings, _, text) = verdicts(["service.overhead=6ms"; 3]);
    assert_eq!(of(&findings, Figure::P50).verdict, Verdict::Beyond);
    assert!(text.contains("service.overhead = \"6"), "{text}");
}

#[test]
fn decisions_that_come_late_are_out_of_step() {
    let (findings, _, text) = verdicts(["autoscaler.metrics.delay=5s"; 3]);
    assert_eq!(of(&findings, Figure::Decisions).verdict, Verdict::Beyond, "{text}");
    assert!(text.contains("busy"), "{text}");
}
