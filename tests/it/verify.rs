//! The twin for real: `verify` in both worlds, faults that happen live, and `calibrate` on what a live run leaves.

use serde_json::Value;

use crate::cli::{folder, names, output, stderr};

/// Three instances, of which one dies and another is slow for a while.
const FAULTS: &str = r#"
    [scenario]
    name = "faults"
    duration = "9s"
    warmup = "1s"
    [traffic]
    shape = [{ kind = "constant", rate = 40 }]
    [clients]
    timeout = "3s"
    [service]
    workers = 4
    queue = 50
    time = { dist = "gamma", mean = "30ms", shape = 4.0 }
    [fleet]
    initial = 3
    boot = "1s"
    [balancer]
    strategy = "round_robin"
    health_check = { interval = "500ms", timeout = "400ms", unhealthy_after = 2, healthy_after = 1 }
    [[fault]]
    kind = "crash"
    at = "3s"
    instances = 1
    [[fault]]
    kind = "slow"
    at = "6s"
    duration = "2s"
    instances = 1
    factor = 6
    "#;

fn events(report: &Value) -> Vec<(String, f64)> {
    let events = report["events"].as_array().unwrap();
    events.iter().map(|event| (event["kind"].as_str().unwrap().to_string(), event["t"].as_f64().unwrap())).collect()
}

#[test]
fn faults_happen_live_as_they_do_in_virtual_time() {
    let folder = folder(&[("faults.toml", FAULTS.as_bytes())]);
    let report = |verb: &str| -> Value {
        let out = output(folder.path(), &[verb, "faults.toml", "--json"]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        assert!(!stderr(&out).contains("for the simulator only"), "{}", stderr(&out));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let (simulated, live) = (report("sim"), report("live"));
    for report in [&simulated, &live] {
        let events = events(report);
        let at = |kind: &str| events.iter().filter(|(each, _)| each == kind).map(|(_, t)| *t).collect::<Vec<f64>>();
        assert_eq!((at("fault_started").len(), at("fault_ended").len()), (2, 1), "{events:?}");
        // Nobody is told of the crash: health checks find it, and a replacement boots.
        let (found, launched) = (at("instance_unhealthy"), at("instance_launched"));
        assert!(found.first().is_some_and(|t| *t > 3.0) && launched.last() >= found.first(), "{events:?}");
        assert!(report["requests"]["failed"]["connection"].as_u64() > Some(0), "{}", report["requests"]);
        let instances = report["instances"].as_array().unwrap();
        assert!(instances.len() >= 4 && !instances[0]["gone_at"].is_null(), "{instances:?}");
        // The slow one's requests take six times as long: what is served in quiet never comes near that.
        assert!(report["latency_ms"]["p99"].as_f64() > Some(120.0), "{}", report["latency_ms"]);
    }
}

#[test]
fn both_worlds_are_laid_side_by_side() {
    let text =
        FAULTS.replace("\"9s\"", "\"4s\"").replace("at = \"3s\"", "at = \"2s\"").replace("\"6s\"", "\"2500ms\"");
    let folder = folder(&[("faults.toml", text.as_bytes())]);
    let out = output(folder.path(), &["verify", "faults.toml", "--repetitions", "2", "--out", "twin", "--json"]);
    let told: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", stderr(&out)));
    // What the verdict is, is the machine's; that code and verdict agree is ours.
    let code = match told["verdict"].as_str().unwrap() {
        "within" => 0,
        "beyond" => 1,
        "machine" => 3,
        other => panic!("{other}"),
    };
    assert_eq!((out.status.code(), &told["schema"]), (Some(code), &"wavetank.verify/1".into()), "{told:#}");
    let scenario = &told["scenarios"][0];
    assert_eq!(scenario["live_runs"].as_array().unwrap().len(), 2);
    let figures = scenario["figures"].as_array().unwrap();
    for figure in ["p50_ms", "p95_ms", "p99_ms", "throughput_rps", "availability", "kolmogorov_smirnov"] {
        let found = figures.iter().find(|each| each["figure"] == figure).unwrap();
        assert!(found["error"].is_number() && found["noise"].is_number(), "{found:#}");
    }
    let twin = folder.path().join("twin");
    let expected = ["faults", "verify.html", "verify.json", "verify.md"];
    assert_eq!(names(&twin), expected);
    // The reports of both worlds are whole, and met the same requests.
    let read = |world: &str| -> Value {
        let text = std::fs::read(twin.join("faults").join(world).join("report.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let (sim, live) = (read("sim"), read("live"));
    let offered = |run: &Value| run["requests"]["offered"].as_u64().unwrap();
    for run in live["per_replication"].as_array().unwrap() {
        assert_eq!(offered(run), offered(&sim["per_replication"][0]));
    }
    let page = std::fs::read_to_string(twin.join("verify.html")).unwrap();
    assert!(page.contains("simulated") && page.contains("live again"));
}

#[test]
fn what_cannot_be_verified_is_told_before_anything_runs() {
    let users = FAULTS.replace("shape = [{ kind = \"constant\", rate = 40 }]", "users = { count = 3 }");
    let folder = folder(&[("users.toml", users.as_bytes()), ("a.toml", FAULTS.as_bytes())]);
    let tell = |args: &[&str]| {
        let out = output(folder.path(), args);
        assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
        stderr(&out)
    };
    assert!(tell(&["verify", "users.toml"]).contains("traffic.users"));
    assert!(tell(&["verify", "a.toml", "a.toml"]).contains("another scenario is called \"faults\""));
    assert!(tell(&["verify", "a.toml", "--repetitions", "1"]).contains("--repetitions"));
}
