//! `report.json` keeps the promise of its schema.

use serde_json::{Value, json};
use wavetank::report::{SCHEMA, saved};

use crate::determinism::json_of;
use crate::world::{plan, runs};

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    assert_eq!(schema["$schema"], json!("https://json-schema.org/draft/2020-12/schema"));
    jsonschema::validator_for(&schema).expect("the schema is a schema")
}

fn report(toml: &str, replications: u32) -> Value {
    serde_json::from_str(&json_of(&plan(toml), &runs(toml, replications), 1)).expect("a report is JSON")
}

/// Everything that is wrong with a report.
fn problems(report: &Value) -> Vec<String> {
    schema().iter_errors(report).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// A plain queue; one with everything; one in which nothing succeeds; one without any request in the measured part.
const WORLDS: [(&str, &str); 4] = [
    (
        "plain",
        r#"
        scenario.duration = "20s"
        traffic.shape = [{ kind = "constant", rate = 20 }]
        service.time = "10ms"
        "#,
    ),
    (
        "everything",
        r#"
        scenario.duration = "2m"
        scenario.warmup = "10s"
        scenario.description = "A <b>\"rich\"</b> world"
        [traffic]
        shape = [{ kind = "constant", rate = 60 }]
        overlay = [{ kind = "spike", at = "1m", magnitude = 4.0, hold = "40s" }]
        [clients]
        timeout = "1s"
        retry = { max = 1 }
        [service]
        workers = 4
        queue = 20
        time = { dist = "exponential", mean = "50ms" }
        [[service.endpoint]]
        path = "/a"
        [[service.endpoint]]
        path = "/b"
        error_rate = 0.5
        [fleet]
        initial = 2
        boot = "5s"
        warmup = { for = "5s", slowdown = 2.0 }
        memory = { base = "200MB", per_request = "2MB", limit = "1GB" }
        price_per_hour = 0.1
        [autoscaler]
        min = 1
        max = 6
        interval = "5s"
        metrics = { window = "10s", delay = "5s" }
        [[autoscaler.rule]]
        name = "up"
        metric = "cpu_utilization"
        operator = "gt"
        threshold = 70
        action = "scale_up"
        cooldown = "10s"
        [[autoscaler.rule]]
        name = "open"
        metric = "error_rate"
        operator = "gt"
        threshold = 0.4
        action = "circuit_break"
        [[autoscaler.rule]]
        name = "tell"
        metric = "p99_response_time"
        operator = "gt"
        threshold = 100
        action = "alert"
        [balancer]
        health_check = { interval = "2s", timeout = "1s" }
        [breaker]
        scope = "endpoint"
        open_for = "5s"
        [limiter]
        algorithm = "token_bucket"
        key = "global"
        limit = 100
        window = "1s"
        [analyzer]
        min_spike_duration = "10s"
        [[fault]]
        kind = "crash"
        at = "40s"
        [[fault]]
        kind = "slow"
        at = "50s"
        duration = "10s"
        factor = 3.0
        [slo]
        p99 = "500ms"
        mean = "100ms"
        availability = 0.99
        cost = 1.0
        "#,
    ),
    (
        "nothing succeeds",
        r#"
        scenario.duration = "20s"
        traffic.shape = [{ kind = "constant", rate = 20 }]
        service = { time = "10ms", error_rate = 1.0 }
        slo = { p99 = "1s", availability = 0.9 }
        "#,
    ),
    (
        "nothing is measured",
        r#"
        scenario.duration = "20s"
        scenario.warmup = "10s"
        traffic.shape = [{ kind = "constant", rate = 20, for = "5s" }, { kind = "constant", rate = 0 }]
        service.time = "10ms"
        slo = { p99 = "1s", availability = 0.9 }
        "#,
    ),
];

#[test]
fn every_report_keeps_to_the_schema() {
    for (name, toml) in WORLDS {
        for replications in [1, 3] {
            let problems = problems(&report(toml, replications));
            assert!(problems.is_empty(), "{name}, {replications} replications:\n{}", problems.join("\n"));
        }
    }
}

#[test]
fn a_report_without_a_required_part_does_not() {
    let whole = report(WORLDS[1].1, 1);
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let required = schema["required"].as_array().expect("some parts are required");
    assert!(required.len() >= 10, "{required:?}");
    for part in required {
        let mut report = whole.clone();
        report.as_object_mut().expect("an object").remove(part.as_str().expect("a name"));
        assert!(!problems(&report).is_empty(), "nobody misses {part}");
    }
}

#[test]
fn a_report_with_a_value_of_another_kind_does_not() {
    let whole = report(WORLDS[1].1, 1);
    for (pointer, wrong) in [
        ("/schema", json!("wavetank.report/0")),
        ("/requests/offered", json!(-1)),
        ("/requests/failed/timeout", json!("none")),
        ("/availability", json!(1.5)),
        ("/latency_ms/p99", json!("500ms")),
        ("/timeline/columns/offered_rps", json!(7)),
        ("/events", json!({})),
    ] {
        let mut report = whole.clone();
        *report.pointer_mut(pointer).unwrap_or_else(|| panic!("a report has {pointer}")) = wrong.clone();
        assert!(!problems(&report).is_empty(), "{pointer} may be {wrong}");
    }
}

#[test]
fn a_report_that_is_read_back_is_the_same_report() {
    for (name, toml) in WORLDS {
        for replications in [1, 3] {
            let report = report(toml, replications);
            let saved = saved::parse(&report).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            let again = wavetank::report::json(&saved.experiment());
            let mut again: Value = serde_json::from_str(&again).expect("JSON");
            // The speed is worked out from a rounded time.
            again["run"] = report["run"].clone();
            assert_eq!(again.to_string(), report.to_string(), "{name}, {replications} replications");
            // Every other form is made of what was read.
            assert!(wavetank::report::html(&saved.experiment()).contains(&saved.digest));
        }
    }
}

/// What later versions added is not asked of earlier reports.
#[test]
fn a_report_of_an_earlier_version_is_read_and_drawn() {
    let mut report = report(WORLDS[1].1, 1);
    for added in ["thresholds", "latency_heat"] {
        assert!(report.as_object_mut().expect("an object").remove(added).is_some(), "{added}");
    }
    let run = report.pointer_mut("/per_replication/0").and_then(Value::as_object_mut).expect("a run");
    assert!(run.remove("failures_seen").is_some());
    let columns = report.pointer_mut("/timeline/columns").and_then(Value::as_object_mut).expect("columns");
    for added in ["capacity_rps", "forecast_low_rps", "forecast_high_rps"] {
        assert!(columns.remove(added).is_some(), "{added}");
    }
    assert_eq!(problems(&report), Vec::<String>::new());
    let saved = saved::parse(&report).expect("a report");
    let page = wavetank::report::html(&saved.experiment());
    assert!(page.contains("id=\"load-t\"") && !page.contains("id=\"latency-heat-t\""));
}

/// Files are edited, cut short, and made by others: each is an error in words, or still a report.
#[test]
fn a_report_with_anything_missing_or_of_another_kind_is_no_reason_to_panic() {
    fn every_place(value: &Value, path: &str, found: &mut Vec<String>) {
        found.push(path.to_string());
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, each)| every_place(each, &format!("{path}/{key}"), found))
            }
            Value::Array(items) => {
                items
                    .iter()
                    .take(2)
                    .enumerate()
                    .for_each(|(i, each)| every_place(each, &format!("{path}/{i}"), found));
            }
            _ => {}
        }
    }
    let report = report(WORLDS[1].1, 2);
    let mut places = Vec::new();
    every_place(&report, "", &mut places);
    let mut refused = 0;
    for place in &places[1..] {
        for other in [Value::Null, json!("x"), json!(-1.5e300), json!(1e300), json!([1]), json!({})] {
            let mut broken = report.clone();
            *broken.pointer_mut(place).expect("it is there") = other.clone();
            match saved::parse(&broken) {
                Ok(saved) => {
                    drop(wavetank::report::json(&saved.experiment()));
                    if other == json!(1e300) {
                        drop(wavetank::report::html(&saved.experiment()));
                    }
                }
                Err(problem) => {
                    refused += 1;
                    assert!(!problem.is_empty());
                }
            }
        }
    }
    assert!(refused > 200, "{refused} of {}", places.len());
}
