//! `wavetank bench`: the same benchmark in every world, and what it tells whom.

use std::fs;
#[cfg(not(feature = "load"))]
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::cli::{folder, names, output, stderr};

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// The world of a name.
fn world<'a>(told: &'a Value, name: &str) -> &'a Value {
    let worlds = told["worlds"].as_array().expect("worlds");
    worlds.iter().find(|world| world["world"] == name).unwrap_or_else(|| panic!("{name}: {told}"))
}

/// The figure of a world's first part.
fn figure<'a>(world: &'a Value, name: &str) -> &'a Value {
    &world["parts"][0]["figures"][name]
}

fn median(world: &Value, name: &str) -> f64 {
    figure(world, name)["median"].as_f64().unwrap_or_else(|| panic!("{name}: {}", figure(world, name)))
}

/// Moments come in the order in which they can only happen.
fn assert_in_order(world: &Value) {
    let moments = ["detect_ms", "decide_ms", "start_ms", "ready_ms", "first_byte_ms"].map(|name| median(world, name));
    assert!(moments.is_sorted(), "{moments:?}");
    assert!(median(world, "steady_ms") > moments[1] && median(world, "complete_ms") >= moments[3]);
}

#[test]
fn a_scale_up_is_the_same_whenever_it_is_simulated() {
    let folder = folder(&[]);
    let run = || {
        let out = output(folder.path(), &["bench", "scale-up", "--sim", "--json"]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        json(&out)
    };
    let (mut one, mut other) = (run(), run());
    let sim = world(&one, "sim");
    assert_in_order(sim);
    assert_eq!(sim["parts"][0]["scale_ups"].as_array().map(Vec::len), Some(3));
    // The boot is the scenario's, and the order of what comes from it.
    let boot = median(sim, "ready_ms") - median(sim, "decide_ms");
    assert!((boot - 1500.0).abs() < 1e-6, "{boot}");
    for told in [&mut one, &mut other] {
        told["run"] = Value::Null;
    }
    assert_eq!(one, other);
    assert_eq!(names(folder.path()), Vec::<String>::new(), "--json writes no files");
}

#[test]
fn every_kind_leaves_a_page_a_picture_and_the_scenario_that_was_measured() {
    let folder = folder(&[]);
    for (kind, told) in [
        ("baseline", "under its target"),
        ("scale-up", "steady after"),
        ("scale-down", "drained after"),
        ("spike", "recovered after"),
    ] {
        let out = output(folder.path(), &["bench", kind, "--sim", "--out", kind, "--junit", "junit.xml"]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(text.contains(told) && text.contains("bench.html"), "{text}");
        let written = names(&folder.path().join(kind));
        let expected: &[&str] = match cfg!(feature = "render") {
            true => &["bench.html", "bench.json", "bench.png", "scenario.toml"],
            false => &["bench.html", "bench.json", "scenario.toml"],
        };
        assert_eq!(written, expected);
        let page = fs::read_to_string(folder.path().join(kind).join("bench.html")).unwrap();
        assert_eq!(page.contains("data:image/png;base64,"), cfg!(feature = "render"));
        let document = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
        let document = roxmltree::Document::parse(&document).unwrap();
        let cases = document.descendants().filter(|node| node.has_tag_name("testcase")).count();
        assert!(cases > 5, "{cases}");
        // Names stay the same from one build to the next; values are inside.
        let named =
            document.descendants().find(|node| node.attribute("name").is_some_and(|name| name.starts_with("lost")));
        assert!(named.unwrap().descendants().any(|node| node.has_tag_name("system-out")));
    }
    // Names are text, also in a page.
    let name = ["--set", "autoscaler.rule.busy.name=\"<img src=x>\"", "--out", "named", "--repetitions", "1"];
    let out = output(folder.path(), &[&["bench", "scale-up", "--sim"], &name[..]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert!(!fs::read_to_string(folder.path().join("named/bench.html")).unwrap().contains("<img src=x>"));
    // The scenario that is left is the one that was measured.
    let out = output(folder.path(), &["bench", "scale-up", "scale-up/scenario.toml", "--sim", "--json"]);
    let first: Value = serde_json::from_slice(&fs::read(folder.path().join("scale-up/bench.json")).unwrap()).unwrap();
    assert_eq!(json(&out)["worlds"], first["worlds"]);
}

#[test]
fn a_baseline_goes_up_to_the_knee_and_says_where_it_is() {
    let folder = folder(&[]);
    let out = output(folder.path(), &["bench", "baseline", "--sim", "--json", "--hold", "60s", "--slo", "knee>=50"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let told = json(&out);
    let sim = world(&told, "sim");
    // Two instances of two workers and 50 ms serve 80/s.
    let levels: Vec<f64> =
        sim["parts"].as_array().unwrap().iter().map(|part| part["rate_rps"].as_f64().unwrap()).collect();
    let knee = sim["knee_rps"].as_f64().unwrap();
    assert!(
        [60.0, 80.0].contains(&knee) && levels.ends_with(&[80.0, 100.0][..if knee < 80.0 { 1 } else { 2 }]),
        "{knee} {levels:?}"
    );
    let utilization = |i: usize| sim["parts"][i]["figures"]["utilization"]["median"].as_f64().unwrap();
    assert!((utilization(0) - 0.25).abs() < 0.05 && (utilization(2) - 0.75).abs() < 0.05);
}

#[test]
fn targets_for_figures_are_judged_as_a_gate_judges() {
    let folder = folder(&[]);
    let bench = |slo: &str| {
        output(folder.path(), &["bench", "scale-up", "--sim", "--json", "--repetitions", "5", "--slo", slo])
    };
    let passed = bench("steady<10m");
    assert_eq!(passed.status.code(), Some(0), "{}", stderr(&passed));
    assert_eq!(json(&passed)["criteria"][0]["name"], "steady < 600 s");
    let failed = bench("ready<500ms");
    assert_eq!((failed.status.code(), &json(&failed)["verdict"]), (Some(1), &"fail".into()));
    // A figure that never came, and was waited for longer than is allowed, has failed.
    let never = output(
        folder.path(),
        &["bench", "scale-up", "--sim", "--json", "--repetitions", "5", "--hold", "6s", "--slo", "steady<1s"],
    );
    assert_eq!(never.status.code(), Some(1), "{}", json(&never));
    for (args, told) in [
        (&["--slo", "fast<1s"][..], "expected detect, decide"),
        (&["--slo", "drained<1s"], "expected detect"),
        (&["--slo", "steady<1"], "expected a duration"),
        (&["--low", "9", "--high", "3"], "above the low one"),
        (&["--set", "autoscaler="], "[autoscaler]"),
        (&["--set", "slo.p99="], "--set slo.p99=500ms"),
    ] {
        let all: Vec<&str> = ["bench", "scale-up", "--sim"].iter().chain(args).copied().collect();
        let bad = output(folder.path(), &all);
        assert!(bad.status.code() == Some(2) && stderr(&bad).contains(told), "{args:?}: {}", stderr(&bad));
    }
}

#[cfg(feature = "live")]
#[test]
fn live_and_simulated_moments_stand_side_by_side() {
    let folder = folder(&[]);
    let args = ["bench", "scale-up", "--json", "--repetitions", "1", "--calm", "3s", "--hold", "15s", "--high", "90"];
    let out = output(folder.path(), &[&args[..], &["--set", "slo.p99=2s"]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let told = json(&out);
    let (live, sim) = (world(&told, "live"), world(&told, "sim"));
    for each in [live, sim] {
        let moments =
            ["detect_ms", "decide_ms", "start_ms", "ready_ms", "first_byte_ms"].map(|name| median(each, name));
        assert!(moments.is_sorted(), "{moments:?}");
    }
    // A process cannot take traffic before it has booted; how much later it does is the machine's affair.
    let boot = median(live, "ready_ms") - median(live, "decide_ms");
    assert!(boot >= 1500.0, "{boot}");
    let offered = |world: &Value| -> f64 {
        let rates = world["timelines"][0]["columns"]["offered_rps"].as_array().unwrap();
        rates.iter().filter_map(Value::as_f64).sum()
    };
    // The same requests; one that is due at the end of a step may be counted in the next, and the last step may be a little short.
    let (live, sim) = (offered(live), offered(sim));
    assert!((live - sim).abs() < sim * 0.05, "{live} {sim}");
}

#[cfg(feature = "live")]
#[test]
fn ctrl_c_ends_a_benchmark_and_keeps_what_was_measured() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    let folder = folder(&[]);
    let mut command = crate::cli::wavetank(folder.path());
    command.args(["bench", "scale-up", "--json", "--repetitions", "100", "--calm", "1s", "--hold", "3s"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("live: 1 of 100")));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    lines.for_each(drop);
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["interrupted"], true);
    let each = figure(world(&told, "live"), "decide_ms")["each"].as_array().unwrap().len();
    assert!((1..100).contains(&each), "{each}");
}

#[cfg(feature = "load")]
#[test]
fn a_stack_that_is_not_ours_shows_what_can_be_seen_from_outside() {
    use crate::load::{Manner, Server};
    let folder = folder(&[("counts", b"{\"instances\": 2, \"ready\": 2}")]);
    let server = Server::start(Manner::AtOnce);
    let bench = |observe: &str, more: &[&str]| {
        let args = ["bench", "scale-up", "--target", &server.url(), "--observe", observe, "--repetitions", "1"];
        output(folder.path(), &[&args[..], more].concat())
    };
    let out = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Some 64 requests come while load is calm, and 156 a second after that.
            for (seen, counts) in
                [(150, "{\"instances\": 3, \"ready\": 2}"), (400, "{\"instances\": 3, \"ready\": 3}")]
            {
                server.until(seen);
                fs::write(folder.path().join("next"), counts).unwrap();
                fs::rename(folder.path().join("next"), folder.path().join("counts")).unwrap();
            }
        });
        bench("cat counts", &["--json", "--calm", "2s", "--hold", "12s"])
    });
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let told = json(&out);
    let seen = world(&told, &server.url());
    assert!(median(seen, "start_ms") <= median(seen, "ready_ms"), "{seen}");
    assert_eq!(median(seen, "ready_ms"), median(seen, "complete_ms"));
    for unseen in ["detect_ms", "decide_ms", "first_byte_ms"] {
        assert_eq!(figure(seen, unseen)["unseen"], true, "{unseen}");
    }
    assert!(median(seen, "steady_ms") >= 0.0 && figure(seen, "lost")["unseen"] == false);
    let total = seen["timelines"][0]["columns"]["instances_total"].as_array().unwrap();
    assert_eq!(total.last(), Some(&Value::from(3)));
    // What it prints is looked at before any load is sent.
    for (observe, told) in
        [("echo three", "expected a JSON object"), ("exit 3", "exit status: 3"), ("echo '{}'", "instances")]
    {
        let bad = bench(observe, &[]);
        assert!(bad.status.code() == Some(2) && stderr(&bad).contains(told), "{}", stderr(&bad));
    }
    let theirs = output(folder.path(), &["bench", "scale-up", "--target", "http://192.0.2.1"]);
    assert!(theirs.status.code() == Some(2) && stderr(&theirs).contains("--i-own-this-target"));
}

#[cfg(not(feature = "load"))]
#[test]
fn a_target_takes_the_feature_that_sends_load() {
    let out = output(Path::new("."), &["bench", "scale-up", "--target", "http://127.0.0.1:9"]);
    assert!(out.status.code() == Some(2) && stderr(&out).contains("feature load"), "{}", stderr(&out));
}
