//! Comparisons: pairs on common random numbers, and the program around them.

use std::fs;

use serde_json::Value;
use wavetank::compare::{Comparison, Contender, Difference, Measure, Pairing, Trend};
use wavetank::report::Experiment;
use wavetank::sim::Plan;

use crate::cli::{folder, names, output, stderr};
use crate::determinism::experiment_of;
use crate::world::{plan, runs};

/// A fleet that follows a step of load; the target of the policy is left open.
fn world(target: u32, seed: u64) -> String {
    format!(
        r#"
        [scenario]
        duration = "20m"
        seed = {seed}
        [traffic]
        shape = [{{ kind = "constant", rate = 60, for = "5m" }}, {{ kind = "constant", rate = 160, for = "15m" }}]
        [service]
        workers = 4
        time = {{ dist = "exponential", mean = "50ms" }}
        [fleet]
        boot = "30s"
        price_per_hour = 0.1
        [autoscaler]
        min = 1
        max = 12
        interval = "10s"
        metrics = {{ window = "30s", delay = "5s" }}
        [[autoscaler.policy]]
        kind = "target_tracking"
        metric = "cpu_utilization"
        target = {target}
        "#
    )
}

/// Runs two worlds and hands their experiments over.
fn with<T>(a: &str, b: &str, look: impl FnOnce(&Experiment, &Experiment) -> T) -> T {
    let (pa, pb): (Plan, Plan) = (plan(a), plan(b));
    let (ra, rb) = (runs(a, 8), runs(b, 8));
    look(&experiment_of(&pa, &ra, 1), &experiment_of(&pb, &rb, 1))
}

#[test]
fn what_is_compared_with_itself_is_the_same() {
    with(&world(60, 5), &world(60, 5), |a, b| {
        for measure in Measure::ALL {
            let d = Difference::between(measure, a, b);
            assert_eq!((d.change, d.trend(), d.p), (Some(0.0), Trend::Same, Some(1.0)), "{measure:?}");
            assert_eq!(d.pairing, Pairing::Paired { pairs: 8 });
        }
    });
}

/// A fixed fleet, busy three quarters of the time.
fn queue(mean_ms: u32, seed: u64) -> String {
    format!(
        r#"
        scenario = {{ duration = "10m", seed = {seed} }}
        traffic.shape = [{{ kind = "constant", rate = 60 }}]
        service = {{ workers = 4, time = {{ dist = "exponential", mean = "{mean_ms}ms" }} }}
        "#
    )
}

#[test]
fn common_random_numbers_tell_apart_what_independent_runs_cannot() {
    let width = |d: &Difference| d.interval.map(|(low, high)| high - low).expect("eight runs");
    let paired = with(&queue(50, 5), &queue(51, 5), |a, b| {
        let there = Difference::between(Measure::P99, a, b);
        let back = Difference::between(Measure::P99, b, a);
        // Swapped, the ratio is the inverse one.
        assert!(((1.0 + there.change.unwrap()) * (1.0 + back.change.unwrap()) - 1.0).abs() < 1e-9);
        assert_eq!((there.trend(), back.trend()), (Trend::Worse, Trend::Better), "{there:?}");
        there
    });
    let independent = with(&queue(50, 5), &queue(51, 6), |a, b| Difference::between(Measure::P99, a, b));
    assert_eq!(independent.pairing, Pairing::Independent);
    assert!(width(&paired) < width(&independent) / 3.0, "{paired:?} {independent:?}");
}

#[test]
fn nobody_on_the_front_is_beaten_in_both() {
    with(&world(60, 5), &world(50, 5), |a, b| {
        let contenders = vec![
            Contender { label: "sixty".to_string(), experiment: a.clone() },
            Contender { label: "fifty".to_string(), experiment: b.clone() },
            Contender { label: "again".to_string(), experiment: a.clone() },
        ];
        let x = Comparison { title: "targets".to_string(), contenders, notes: vec![] };
        let at: Vec<(f64, f64)> = x
            .contenders
            .iter()
            .map(|c| (Measure::Cost.mean(&c.experiment).unwrap(), Measure::P99.mean(&c.experiment).unwrap()))
            .collect();
        for (i, on_front) in x.front().into_iter().enumerate() {
            let beaten = at.iter().any(|o| o.0 <= at[i].0 && o.1 <= at[i].1 && *o != at[i]);
            assert_eq!(on_front, !beaten);
        }
        // Adjusted p-values are no smaller than plain ones, and more comparisons make them no smaller.
        let few = x.differences(&x.headline());
        let many = x.differences(&Measure::ALL);
        for (few, many) in few.iter().zip(&many) {
            for d in few {
                assert!(d.p_adjusted.unwrap() >= d.p.unwrap());
                let same = many.iter().find(|m| m.measure == d.measure).unwrap();
                assert!(same.p_adjusted.unwrap() >= d.p_adjusted.unwrap());
            }
        }
        let page = wavetank::compare::html(&x);
        let (first, second) = (page.find("<h2>Differences").unwrap(), page.find("<h2>What each did").unwrap());
        assert!(first < second && !page.contains("http://") && !page.contains("https://"));
        let json: Value = serde_json::from_str(&wavetank::compare::json(&x)).unwrap();
        assert_eq!(json["differences"][0]["contender"], "fifty");
    });
}

const POLICY: &str = r#"
[autoscaler]
min = 1
max = 12
interval = "10s"
metrics = { window = "30s", delay = "5s" }
policy = [{ kind = "target_tracking", metric = "cpu_utilization", target = 40 }]
"#;

#[test]
fn a_policy_file_replaces_the_policy_and_nothing_else() {
    let scenario = world(60, 5);
    let whole = format!("{}\n{}", world(70, 9), "");
    let files = [("s.toml", scenario.as_bytes()), ("a.toml", POLICY.as_bytes()), ("b.toml", whole.as_bytes())];
    let folder = folder(&files);
    let run = |args: &[&str]| {
        let output = output(folder.path(), args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON and nothing else")
    };
    let one = run(&["compare", "s.toml", "--policy", "a.toml", "--json", "--replications", "3"]);
    assert_eq!(one["contenders"][0]["name"], "s");
    assert_eq!(one["contenders"][1]["name"], "a");
    assert_eq!(one["differences"][0]["measures"][0]["pairs"], 3);
    // A whole scenario gives its policy only: same seed, same requests, another fleet.
    let two =
        run(&["compare", "s.toml", "--policy", "a.toml", "--policy", "b.toml", "--json", "--replications", "2"]);
    assert_eq!(two["contenders"].as_array().unwrap().len(), 2);
    assert_eq!(two["contenders"][0]["runs"][0]["seed"], two["contenders"][1]["runs"][0]["seed"]);
    assert_ne!(two["contenders"][0]["means"]["cost"], two["contenders"][1]["means"]["cost"]);
    assert_eq!(names(folder.path()), ["a.toml", "b.toml", "s.toml"]);
}

#[test]
fn finished_reports_are_paired_by_seed() {
    let folder = folder(&[("s.toml", world(60, 5).as_bytes()), ("t.toml", world(50, 5).as_bytes())]);
    for name in ["s", "t"] {
        let file = format!("{name}.toml");
        let done = output(folder.path(), &["sim", &file, "--replications", "4", "--out", name]);
        assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    }
    let compared =
        output(folder.path(), &["compare", "s", "t/report.json", "t.toml", "--replications", "4", "--out", "c"]);
    assert_eq!(compared.status.code(), Some(0), "{}", stderr(&compared));
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("c/compare.json")).unwrap()).unwrap();
    assert_eq!(json["differences"][0]["measures"][0]["pairs"], 4);
    // What is simulated now is what the report says.
    let of = |i: usize| json["differences"][i]["measures"].clone();
    assert_eq!(of(0), of(1));
    let written = names(&folder.path().join("c"));
    assert!(written.contains(&"compare.html".to_string()), "{written:?}");
    if cfg!(feature = "render") {
        assert!(written.contains(&"timelines.png".to_string()) && written.contains(&"front.png".to_string()));
    }
}

/// A CSV of requests a minute: an hour, with a surge in it.
fn series() -> String {
    let minute = |i: u32| format!("2024-03-04T10:{i:02}:00Z,{}\n", if (20..40).contains(&i) { 3000 } else { 600 });
    format!("time,requests\n{}", (0..60).map(minute).collect::<String>())
}

const HPA: &str = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: web }\n\
    spec: { minReplicas: 2, maxReplicas: 10, metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, \
    averageUtilization: 60 } } }] }\n";

#[test]
fn a_manifest_and_a_recording_are_all_it_takes() {
    let folder = folder(&[("week.csv", series().as_bytes()), ("hpa.yaml", HPA.as_bytes())]);
    let all =
        output(folder.path(), &["compare", "--policy", "hpa.yaml", "--traffic", "week.csv", "--replications", "2"]);
    assert_eq!(all.status.code(), Some(0), "{}", stderr(&all));
    // The peak of 50/s on 60 % of ten instances.
    let told = stderr(&all);
    assert!(
        told.contains("an instance serves 8.33 requests/s, so that the peak of 50.0/s takes 60 % of the 10"),
        "{told}"
    );
    let text = String::from_utf8_lossy(&all.stdout);
    for name in ["hpa", "hpa-cpu-80", "target-tracking-60", "knative", "step-scaling"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    // What was assumed is a scenario that can be given the next time, with the same outcome.
    let written = folder.path().join("reports/compare");
    assert!(names(&written).contains(&"system.toml".to_string()));
    let again = |args: &[&str]| {
        let output = output(folder.path(), &[args, &["--replications", "2", "--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON and nothing else")
    };
    let json: Value = serde_json::from_slice(&fs::read(written.join("compare.json")).unwrap()).unwrap();
    let own = again(&["compare", "reports/compare/system.toml", "--policy", "hpa.yaml"]);
    assert_eq!(own["contenders"][1]["means"], json["contenders"][0]["means"]);
    // Two policies are compared with each other, and nothing is left behind.
    fs::remove_dir_all(folder.path().join("reports")).unwrap();
    let two = again(&[
        "compare",
        "--policy",
        "hpa.yaml",
        "--policy",
        "hpa.yaml",
        "--traffic",
        "week.csv",
        "--instance-rps",
        "20",
    ]);
    assert_eq!(two["contenders"].as_array().unwrap().len(), 2);
    assert_eq!(names(folder.path()), ["hpa.yaml", "week.csv"]);
    // So does a policy that cannot be meant, wherever the report was to go.
    fs::write(folder.path().join("bad.toml"), "[autoscaler]\nmin = 10\nmax = 5\n").unwrap();
    let arguments = ["compare", "--policy", "bad.toml", "--traffic", "week.csv", "--out", "left"];
    let refused = output(folder.path(), &arguments);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).starts_with("error: bad.toml:3:"), "{}", stderr(&refused));
    assert!(!folder.path().join("left").exists());
}

#[test]
fn a_recording_takes_the_place_of_a_scenarios_traffic() {
    let folder = folder(&[
        ("s.toml", world(60, 5).as_bytes()),
        ("week.csv", series().as_bytes()),
        ("hpa.yaml", HPA.as_bytes()),
    ]);
    let output = output(
        folder.path(),
        &["compare", "s.toml", "--policy", "hpa.yaml", "--traffic", "week.csv", "--replications", "2", "--json"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(json["contenders"][0]["name"], "s");
    assert_eq!(json["contenders"][1]["name"], "hpa");
    let hours = json["contenders"][1]["means"]["instance_hours"].as_f64().expect("a number");
    assert!(hours > 1.99, "an hour of two instances at least, not the twenty minutes of the scenario: {hours}");
    assert!(json["contenders"][0]["elasticity"]["speed_up"] == 1.0, "{}", json["contenders"][0]);
}

#[test]
fn what_cannot_be_compared_is_said_with_its_place() {
    let bad = POLICY.replace("max = 12", "max = \"many\"").replace("min = 1", "mon = 1");
    let scenario = world(60, 5);
    let folder = folder(&[("s.toml", scenario.as_bytes()), ("bad.toml", bad.as_bytes()), ("empty.toml", b"")]);
    let fails = |args: &[&str]| {
        let output = output(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        stderr(&output)
    };
    let told = fails(&["compare", "s.toml", "--policy", "bad.toml"]);
    assert!(told.contains("bad.toml:3:") && told.contains("bad.toml:4:7: autoscaler.max"), "{told}");
    let told = fails(&["compare", "s.toml", "--policy", "empty.toml"]);
    assert!(told.contains("empty.toml:1:1: autoscaler: missing"), "{told}");
    assert!(fails(&["compare", "s.toml"]).contains("expected two or more"));
    assert!(fails(&["compare", "--traffic", "none.log"]).contains("none.log"));
    assert!(fails(&["compare", "--traffic", "s.toml", "s.toml", "s.toml"]).contains("s.toml"));
    assert!(fails(&["compare"]).contains("SCENARIO|REPORT"));
    assert!(fails(&["compare", "s.toml", "--instance-rps", "5"]).contains("--instance-rps"));
    assert!(fails(&["compare", "s.toml", "none.json"]).contains("none.json"));
    assert!(fails(&["compare", "s.toml", "s.toml", "--policy", "bad.toml"]).contains("--policy"));
}
