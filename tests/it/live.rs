//! The same scenario, simulated and live: the same requests, alike in what becomes of them.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{folder, names, output, stderr};

/// Two instances, a spike, a third and a fourth; eight seconds.
const SPIKE: &str = r#"
    [scenario]
    name = "short"
    duration = "8s"
    [traffic]
    shape = [{ kind = "constant", rate = 40 }, { kind = "constant", rate = 150, for = "5s" }]
    [clients]
    timeout = "3s"
    population = 50
    regions = [{ name = "near", share = 0.5, rtt = "2ms" }, { name = "far", share = 0.5, rtt = "40ms" }]
    [service]
    workers = 2
    queue = 50
    time = { dist = "exponential", mean = "30ms" }
    [[service.endpoint]]
    path = "/a"
    weight = 2
    [[service.endpoint]]
    path = "/b"
    error_rate = 0.05
    [fleet]
    initial = 2
    boot = "1s"
    [autoscaler]
    min = 2
    max = 4
    interval = "1s"
    metrics = { window = "2s" }
    [[autoscaler.rule]]
    name = "busy"
    metric = "cpu_utilization"
    operator = "gt"
    threshold = 70
    action = "scale_up"
    step = 2
    "#;

fn spike() -> String {
    SPIKE.replace("rate = 40 }", "rate = 40, for = \"3s\" }")
}

/// Endpoints of one path that only the method tells apart, and one whose path differs from request to request.
const METHODS: &str = r#"
    scenario.duration = "3s"
    traffic.shape = [{ kind = "constant", rate = 60 }]
    fleet.initial = 1
    live = { listen = "127.0.0.1:0", control = "127.0.0.1:0" }
    [service]
    workers = 50
    time = "1ms"
    endpoint = [
        { path = "/orders" },
        { path = "/orders", method = "POST", body = '{"item": {item}}', headers = { content-type = "application/json" }, parameters = { item = { to = 50 } }, error_rate = 1.0 },
        { path = "/orders/{id}", method = "DELETE", parameters = { id = { from = 5, to = 9 } }, error_rate = 1.0 },
        { path = "/blobs", method = "PUT", body_bytes = "100KB" },
    ]
    "#;

#[test]
fn live_requests_are_written_as_the_scenario_says_and_known_by_method_and_path() {
    let folder = folder(&[("methods.toml", METHODS.as_bytes())]);
    let out = output(folder.path(), &["live", "methods.toml", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let rows: Vec<(&str, &Value)> = report["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["path"].as_str().unwrap(), &row["requests"]))
        .collect();
    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["/orders", "POST /orders", "/orders/{id}", "/blobs"]);
    for (name, requests) in rows {
        let offered = requests["offered"].as_u64().unwrap();
        // An instance that took one for another would answer well what is to fail, and the other way round.
        let such = match name {
            "POST /orders" | "/orders/{id}" => &requests["failed"]["server_error"],
            _ => &requests["succeeded"],
        };
        assert!(offered > 20 && such.as_u64() == Some(offered), "{name}: {requests}");
    }
}

#[test]
fn live_and_simulated_requests_are_the_same_requests() {
    let folder = folder(&[("short.toml", spike().as_bytes())]);
    let report = |verb: &str| -> Value {
        let out = output(folder.path(), &[verb, "short.toml", "--json"]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let (simulated, live) = (report("sim"), report("live"));
    assert_eq!((&live["mode"], &live["schema"]), (&"live".into(), &simulated["schema"]));
    assert_eq!(live["scenario"], simulated["scenario"]);
    assert_eq!(live["requests"]["offered"], simulated["requests"]["offered"]);
    let endpoints = |report: &Value| -> Vec<(Value, Value)> {
        let all = report["endpoints"].as_array().unwrap();
        all.iter().map(|each| (each["path"].clone(), each["offered"].clone())).collect()
    };
    assert_eq!(endpoints(&live), endpoints(&simulated));
    let total = |report: &Value| {
        let failed = report["requests"]["failed"].as_object().unwrap();
        failed.values().map(|n| n.as_u64().unwrap()).sum::<u64>() + report["requests"]["succeeded"].as_u64().unwrap()
    };
    assert_eq!(Some(total(&live)), live["requests"]["offered"].as_u64(), "every request ended, once");
    let kinds = |report: &Value| -> Vec<String> {
        let events = report["events"].as_array().unwrap();
        events.iter().map(|event| event["kind"].as_str().unwrap().to_string()).collect()
    };
    for kind in ["scaled_up", "instance_launched", "instance_ready"] {
        assert!(kinds(&live).iter().any(|each| each == kind), "{kind}: {:?}", kinds(&live));
        assert!(kinds(&simulated).iter().any(|each| each == kind));
    }
    let schema: Value = serde_json::from_str(wavetank::report::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> =
        validator.iter_errors(&live).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(live["timeline"]["columns"]["t"].as_array().unwrap().len(), 8);
}

#[test]
fn a_live_run_writes_the_same_files_as_a_simulated_one() {
    let text = spike().replace("8s", "2s").replace("for = \"3s\"", "for = \"1s\"");
    let folder = folder(&[("short.toml", text.as_bytes())]);
    for verb in ["sim", "live"] {
        let out = output(folder.path(), &[verb, "short.toml", "--out", verb]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        assert!(String::from_utf8_lossy(&out.stdout).contains("report.html"));
    }
    let mut live = names(&folder.path().join("live"));
    // What the simulator's scenario says, a live run has to tell: each attempt.
    live.retain(|name| name != "attempts.csv");
    assert_eq!(live, names(&folder.path().join("sim")));
    let again = output(folder.path(), &["explain", "live"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
}

#[test]
fn ctrl_c_keeps_what_was_measured() {
    let folder = folder(&[(
        "long.toml",
        spike().replace("\"8s\"", "\"10m\"").replace("for = \"5s\"", "for = \"9m\"").as_bytes(),
    )]);
    let mut command = crate::cli::wavetank(folder.path());
    command.args(["live", "long.toml", "--out", "out"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It has begun when the first event is told.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("scaled_up")));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let report: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("out/report.json")).unwrap()).unwrap();
    assert!(report["requests"]["offered"].as_u64() > Some(50), "{}", report["requests"]);
}

#[test]
fn what_cannot_be_played_live_is_told() {
    let tell = |text: &str| {
        let folder = folder(&[("it.toml", text.as_bytes())]);
        let out = output(folder.path(), &["live", "it.toml"]);
        (out.status.code(), stderr(&out))
    };
    let users = spike().replace("shape = [{ kind = \"constant\", rate = 40, for = \"3s\" }, { kind = \"constant\", rate = 150, for = \"5s\" }]", "users = { count = 3 }");
    let (code, told) = tell(&users);
    assert!(code == Some(2) && told.contains("traffic.users"), "{told}");
    let (code, told) = tell(&spike().replace("workers = 2\n    queue = 50", "discipline = \"ps\""));
    assert!(code == Some(4) && told.contains("ended before it answered"), "{told}");
}

#[test]
fn an_engine_that_is_told_the_same_decides_the_same() {
    let text = spike()
        + "[breaker]\nscope = \"instance\"\nfailure_rate = 0.05\nminimum_calls = 10\nwindow = \"2s\"\nopen_for = \"500ms\"\n[limiter]\nalgorithm = \"gcra\"\nkey = \"client\"\nlimit = 5\nwindow = \"1s\"\n[analyzer]\n";
    let folder = folder(&[("short.toml", text.as_bytes())]);
    let out = output(folder.path(), &["live", "short.toml", "--record", "flight.jsonl", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let replayed = output(folder.path(), &["replay-decisions", "flight.jsonl", "--json"]);
    let told: Value = serde_json::from_slice(&replayed.stdout).unwrap_or_else(|_| panic!("{}", stderr(&replayed)));
    assert_eq!((replayed.status.code(), &told["same"]), (Some(0), &Value::Bool(true)), "{told:#}");
    assert!(told["inputs"].as_u64() > Some(1000), "{told}");
    // Another engine decides otherwise, and the difference is told.
    let recorded = std::fs::read_to_string(folder.path().join("flight.jsonl")).unwrap();
    std::fs::write(folder.path().join("other.jsonl"), recorded.replacen("threshold = 70", "threshold = 99", 1))
        .unwrap();
    let other = output(folder.path(), &["replay-decisions", "other.jsonl"]);
    let told = String::from_utf8_lossy(&other.stdout).into_owned();
    assert!(other.status.code() == Some(1) && told.starts_with("different from line "), "{told}");
    // One that was cut off in the middle of a line is played to there.
    std::fs::write(folder.path().join("cut.jsonl"), &recorded[..recorded.len() - 5]).unwrap();
    let cut = output(folder.path(), &["replay-decisions", "cut.jsonl"]);
    assert!(cut.status.code() == Some(0) && String::from_utf8_lossy(&cut.stdout).contains("half there"));
    let none = output(folder.path(), &["replay-decisions", "short.toml"]);
    assert!(none.status.code() == Some(2) && stderr(&none).contains("line 1"), "{}", stderr(&none));
}
