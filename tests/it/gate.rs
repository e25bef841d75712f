//! The gate: exit codes, what forges are told, and its promise over a thousand gates of simulated runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rayon::prelude::*;
use serde_json::Value;
use wavetank::gate::{Bound, Criterion, Design, Quantity, Runs, Sample, decide};
use wavetank::report::verdict::Outcome;
use wavetank::sim::{Monitor, Plan};
use wavetank::statistics::{self, t_quantile};

use crate::cli::{folder, output, stderr, wavetank};
use crate::world::plan;

/// A queue that is busy three quarters of the time, for half a minute.
fn queue(mean_us: u32) -> String {
    format!(
        r#"
[scenario]
duration = "30s"
seed = 3

[traffic]
shape = [{{ kind = "constant", rate = 60 }}]

[service]
workers = 4
time = {{ dist = "exponential", mean = "{mean_us}us" }}

[fleet]
price_per_hour = 0.1

[slo]
p99 = "1s"
availability = 0.99
"#
    )
}

fn verdict(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

#[test]
fn exit_codes_tell_pass_fail_unsure_and_bad_input_apart() {
    let folder = folder(&[("q.toml", queue(50_000).as_bytes())]);
    let gate = |args: &[&str]| {
        let all: Vec<&str> = ["gate", "q.toml", "--json"].into_iter().chain(args.iter().copied()).collect();
        output(folder.path(), &all)
    };
    let passed = gate(&[]);
    assert_eq!(passed.status.code(), Some(0), "{}", stderr(&passed));
    let json = verdict(&passed);
    assert_eq!((&json["verdict"], &json["looks"][0]["runs"]), (&"pass".into(), &5.into()));
    assert_eq!(json["criteria"][0]["name"], "p99 < 1.00 s");
    let failed = gate(&["--slo", "p99<100ms"]);
    assert_eq!((failed.status.code(), &verdict(&failed)["verdict"]), (Some(1), &"fail".into()));
    // A target at what it is: nobody can tell with five runs, and it says how many would.
    let unsure = gate(&["--slo", "p99<255ms", "--budget", "5"]);
    let json = verdict(&unsure);
    assert_eq!((unsure.status.code(), &json["verdict"]), (Some(3), &"inconclusive".into()), "{json}");
    assert!(json["criteria"][0]["visible"].as_f64().is_some_and(|visible| visible > 0.0));
    assert_eq!(gate(&["--slo", "p99<255ms", "--budget", "5", "--inconclusive", "pass"]).status.code(), Some(0));
    assert_eq!(gate(&["--slo", "p99<255ms", "--budget", "5", "--inconclusive", "fail"]).status.code(), Some(1));
    for bad in [
        &["--slo", "p99<fast"][..],
        &["--max-regression", "p99=5%"],
        &["--budget", "1"],
        &["--openslo", "none.yaml"],
        &["--baseline", "none.json"],
        &["--set", "service.workers=none"],
    ] {
        let told = gate(bad);
        assert_eq!(told.status.code(), Some(2), "{bad:?}");
        assert!(told.stdout.is_empty() && !stderr(&told).is_empty());
    }
}

#[test]
fn a_baseline_is_met_in_pairs_on_the_same_random_numbers() {
    let folder = folder(&[("q.toml", queue(50_000).as_bytes()), ("slow.toml", queue(53_000).as_bytes())]);
    let run = |args: &[&str]| output(folder.path(), args);
    let same = run(&["gate", "q.toml", "--json", "--baseline-scenario", "q.toml", "--max-regression", "p99=0.1%"]);
    let json = verdict(&same);
    assert_eq!(same.status.code(), Some(0), "{json}");
    let relative = json["criteria"].as_array().unwrap().iter().find(|c| c["kind"] == "max_regression").unwrap();
    assert_eq!((&relative["observed"], &relative["paired"]), (&0.into(), &true.into()));
    let worse = ["gate", "slow.toml", "--json", "--baseline-scenario", "q.toml", "--max-regression", "p99=3%"];
    let worse = run(&worse);
    assert_eq!(worse.status.code(), Some(1), "{}", verdict(&worse));

    // A finished report of the same scenario pairs by its seeds, and of another one is refused.
    assert_eq!(run(&["sim", "q.toml", "--replications", "10", "--out", "main"]).status.code(), Some(0));
    let paired = verdict(&run(&["gate", "q.toml", "--json", "--baseline", "main", "--max-regression", "p99=1%"]));
    assert_eq!(paired["criteria"][2]["paired"], true, "{paired}");
    let other = run(&["gate", "slow.toml", "--json", "--baseline", "main"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("--allow-different"));
    let allowed = run(&[
        "gate",
        "slow.toml",
        "--json",
        "--baseline",
        "main",
        "--allow-different",
        "--max-regression",
        "p99=1%",
    ]);
    assert_eq!(allowed.status.code(), Some(1), "{}", stderr(&allowed));
    // A report by itself is judged by its runs.
    assert_eq!(run(&["gate", "main", "--json"]).status.code(), Some(0));
    assert_eq!(run(&["gate", "main", "--json", "--slo", "p99<100ms"]).status.code(), Some(1));
}

#[test]
fn results_of_other_tools_are_judged_by_their_runs() {
    let k6 = |p99: f64| {
        format!(
            r#"{{"metrics":{{"http_req_duration":{{"avg":12.5,"med":10,"p(95)":30,"p(99)":{p99}}},
            "http_reqs":{{"count":20000,"rate":99.9}},"http_req_failed":{{"passes":2,"fails":19998,"value":0.0001}}}}}}"#
        )
    };
    let runs: Vec<(String, String)> =
        [182.1, 179.4, 185.2, 181.3, 190.6].iter().enumerate().map(|(i, x)| (format!("r{i}.json"), k6(*x))).collect();
    let files: Vec<(&str, &[u8])> = runs.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let folder = folder(&files);
    let names: Vec<&str> = runs.iter().map(|(name, _)| name.as_str()).collect();
    let gate = |names: &[&str], more: &[&str]| {
        let args: Vec<&str> = ["gate", "--json"].iter().chain(names).chain(more).copied().collect();
        output(folder.path(), &args)
    };
    assert_eq!(gate(&names, &["--slo", "p99<300ms"]).status.code(), Some(0));
    assert_eq!(gate(&names, &["--slo", "p99<100ms"]).status.code(), Some(1));
    let alone = gate(&names[..1], &["--slo", "p99<300ms"]);
    assert_eq!(alone.status.code(), Some(3));
    assert!(verdict(&alone)["criteria"][0]["note"].as_str().unwrap().contains("--noise"));
    assert_eq!(gate(&names[..1], &["--slo", "p99<300ms", "--noise", "p99=3%"]).status.code(), Some(0));
    assert_eq!(gate(&names, &["--slo", "p99<300ms", "--format", "locust"]).status.code(), Some(2));
}

#[test]
fn a_run_that_failed_is_no_verdict() {
    // The report of a run that was cut short.
    let folder = folder(&[("q.toml", queue(50_000).as_bytes())]);
    assert_eq!(output(folder.path(), &["sim", "q.toml", "--out", "r"]).status.code(), Some(0));
    let path = folder.path().join("r/report.json");
    let mut report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    report["per_replication"][0]["ended"] = serde_json::json!({ "state": "interrupted", "at": 10 });
    fs::write(&path, report.to_string()).unwrap();
    let gate = output(folder.path(), &["gate", "r", "--json", "--junit", "j.xml"]);
    assert_eq!(gate.status.code(), Some(4), "{}", stderr(&gate));
    assert_eq!(verdict(&gate)["verdict"], "error");
    let junit = fs::read_to_string(folder.path().join("j.xml")).unwrap();
    check_junit(&junit);
    assert!(junit.contains("<error message=\"r: interrupted at 10s\""), "{junit}");
}

/// Elements and attributes that Jenkins' schema of JUnit XML (junit-10.xsd of its xUnit plugin) allows, as far as we use them; and
/// the schema itself, where `WAVETANK_JUNIT_XSD` says where it is and xmllint is there.
fn check_junit(text: &str) {
    if let Some(schema) = std::env::var_os("WAVETANK_JUNIT_XSD") {
        let folder = folder(&[("junit.xml", text.as_bytes())]);
        let mut lint = Command::new("xmllint");
        lint.args(["--noout", "--schema"]).arg(schema).arg("junit.xml").current_dir(folder.path());
        let told = lint.output().expect("xmllint starts: it is in libxml2-utils");
        assert!(told.status.success(), "{}{text}", stderr(&told));
    }
    const ALLOWED: [(&str, &[&str], &[&str]); 6] = [
        ("testsuites", &["name", "time", "tests", "failures", "errors"], &["testsuite"]),
        (
            "testsuite",
            &["name", "tests", "failures", "errors", "skipped", "time", "timestamp"],
            &["properties", "testcase", "system-out", "system-err"],
        ),
        ("testcase", &["name", "classname", "time"], &["skipped", "error", "failure", "system-out"]),
        ("failure", &["message", "type"], &[]),
        ("error", &["message", "type"], &[]),
        ("skipped", &["message"], &[]),
    ];
    let document = roxmltree::Document::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(document.root_element().tag_name().name(), "testsuites");
    for element in document.descendants().filter(roxmltree::Node::is_element) {
        let name = element.tag_name().name();
        let (_, attributes, children) =
            ALLOWED.iter().find(|(each, ..)| *each == name).unwrap_or_else(|| panic!("no element {name}"));
        for attribute in element.attributes() {
            let (key, value) = (attribute.name(), attribute.value());
            assert!(attributes.contains(&key), "{name} has no attribute {key}");
            match key {
                "tests" | "failures" | "errors" | "skipped" => assert!(value.parse::<u32>().is_ok(), "{key}={value}"),
                "time" => assert!(value.parse::<f64>().is_ok_and(|time| time >= 0.0), "{key}={value}"),
                "timestamp" => assert!(value.len() == 19 && value.as_bytes()[10] == b'T', "{value}"),
                _ => {}
            }
        }
        for child in element.children().filter(roxmltree::Node::is_element) {
            assert!(children.contains(&child.tag_name().name()), "{name} in {}", child.tag_name().name());
        }
        if name == "testsuite" {
            let cases = || element.children().filter(|child| child.has_tag_name("testcase"));
            let with = |kind: &str| cases().filter(|case| case.children().any(|c| c.has_tag_name(kind))).count();
            let said = |key: &str| element.attribute(key).unwrap().parse::<usize>().unwrap();
            assert_eq!(said("tests"), cases().count());
            assert_eq!(
                [said("failures"), said("errors"), said("skipped")],
                ["failure", "error", "skipped"].map(with)
            );
        }
    }
}

fn on_github(folder: &Path, args: &[&str]) -> Output {
    let mut command = wavetank(folder);
    command.args(args).env("GITHUB_ACTIONS", "true").env("GITHUB_SHA", "abc123");
    command.env("GITHUB_STEP_SUMMARY", folder.join("summary.md")).env("GITHUB_OUTPUT", folder.join("output.txt"));
    command.output().expect("the program starts")
}

#[test]
fn every_forge_is_told_the_same() {
    let folder = folder(&[("q.toml", queue(50_000).as_bytes())]);
    for (slo, word, level) in
        [("p99<100ms", "fail", "error"), ("p99<255ms", "inconclusive", "warning"), ("p99<2s", "pass", "")]
    {
        let _ = fs::remove_file(folder.path().join("summary.md"));
        let _ = fs::remove_file(folder.path().join("output.txt"));
        let args = [
            "gate",
            "q.toml",
            "--slo",
            slo,
            "--budget",
            "5",
            "--inconclusive",
            "pass",
            "--junit",
            "out/j.xml",
            "--markdown",
            "out/m.md",
            "--metrics",
            "out/m.txt",
            "--history",
            "h.jsonl",
        ];
        let told = on_github(folder.path(), &args);
        let stdout = String::from_utf8(told.stdout.clone()).unwrap();
        assert!(stdout.contains(&word.to_uppercase()), "{stdout}{}", stderr(&told));
        assert_eq!(stdout.contains("\n::"), !level.is_empty(), "{stdout}");
        assert!(level.is_empty() || stdout.contains(&format!("::{level}")), "{stdout}");
        let junit = fs::read_to_string(folder.path().join("out/j.xml")).unwrap();
        check_junit(&junit);
        assert_eq!(junit.contains("<failure"), word == "fail");
        assert_eq!(junit.contains("<skipped"), word == "inconclusive");
        let summary = fs::read_to_string(folder.path().join("summary.md")).unwrap();
        assert!(summary.starts_with("### ") && summary.contains(&format!("**{word}**")), "{summary}");
        let outputs = fs::read_to_string(folder.path().join("output.txt")).unwrap();
        assert!(outputs.starts_with(&format!("verdict={word}\np99_ms=")), "{outputs}");
        let metrics = fs::read_to_string(folder.path().join("out/m.txt")).unwrap();
        assert!(metrics.ends_with("# EOF\n") && metrics.contains("figure=\"p99_ms\""), "{metrics}");
    }
    // The line of the target in the scenario.
    let told = on_github(folder.path(), &["gate", "q.toml", "--set", "slo.p99=100ms", "--budget", "5"]);
    let stdout = String::from_utf8(told.stdout).unwrap();
    assert!(stdout.contains("::error file=q.toml,line=17,title=q%3A p99 < 100 ms::fail"), "{stdout}");
    let history = fs::read_to_string(folder.path().join("h.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 3);
    assert!(history.lines().all(|line| line.contains("\"revision\":\"abc123\"")));
}

/// p99 of runs of a plan, by their number \[ms\].
fn p99(plan: &Plan, seed: u64) -> f64 {
    let run = plan.run(seed, &Monitor::default()).expect("synthetic traffic cannot fail");
    Sample::from(&run).figure(Quantity::Latency { q: 0.99 }).expect("requests succeed")
}

/// Gates over simulated runs that no other gate sees; how many passed, were undecided, and failed.
fn gates(n: u64, new: &Plan, old: Option<&Plan>, bound: Bound) -> [usize; 3] {
    let criterion = Criterion { quantity: Quantity::Latency { q: 0.99 }, bound, place: None };
    let outcomes: Vec<Outcome> = (0..n)
        .into_par_iter()
        .map(|gate| {
            let mut runs = Runs::default();
            let judged = decide(std::slice::from_ref(&criterion), &Design::sequential(40), |looks| {
                for r in runs.new.len() as u64..looks as u64 {
                    let seed = 1_000_000 + gate * 100 + r;
                    let sample =
                        |plan: &Plan| Sample::from(&plan.run(seed, &Monitor::default()).expect("no dataset"));
                    runs.new.push(sample(new));
                    runs.old.extend(old.map(sample));
                }
                Ok::<_, ()>(runs.clone())
            });
            judged.expect("runs do not fail").outcome()
        })
        .collect();
    [Outcome::Pass, Outcome::Inconclusive, Outcome::Fail].map(|each| outcomes.iter().filter(|o| **o == each).count())
}

/// What the last look of forty runs fails in 99 of 100, beyond the bound, for logarithms with this standard deviation.
fn visible(sd: f64) -> f64 {
    let (fail_at, _) = Design::sequential(40).confidences(40, 1);
    ((t_quantile(fail_at, 39.0) + t_quantile(0.99, 39.0)) * sd / 40f64.sqrt()).exp()
}

/// The promise of the README, over a thousand gates of simulated runs each.
#[test]
#[ignore = "some minutes of simulation: run before a release"]
fn a_thousand_gates_keep_their_promise() {
    let (old, new) = (plan(&queue(50_000)), plan(&queue(51_000)));
    const RUNS: u64 = 20_000;
    let logs: Vec<(f64, f64)> =
        (0..RUNS).into_par_iter().map(|seed| (p99(&old, seed).ln(), p99(&new, seed).ln())).collect();
    let (a, b): (Vec<f64>, Vec<f64>) = logs.into_iter().unzip();
    let truth = statistics::mean(&a).exp();
    let sd = statistics::variance(&a).sqrt();
    let difference: Vec<f64> = b.iter().zip(&a).map(|(b, a)| b - a).collect();
    let (ratio, pair_sd) = (statistics::mean(&difference).exp(), statistics::variance(&difference).sqrt());
    println!("truth: p99 {truth:.2} ms, sd of logs {sd:.4}; ratio {ratio:.4}, sd of pairs {pair_sd:.4}");
    let mut failures = Vec::new();
    let mut told = |what: &str, counts: [usize; 3], holds: bool| {
        println!("{what}: {} pass, {} undecided, {} fail", counts[0], counts[1], counts[2]);
        if !holds {
            failures.push(what.to_string());
        }
    };
    let at = |factor: f64| gates(1_000, &old, None, Bound::AtMost(truth * factor));
    let counts = at(1.0);
    told("absolute, at the target", counts, counts[2] <= 1 && counts[0] <= 10 + 6);
    let counts = at(1.25);
    told("absolute, a fifth within the target", counts, counts[2] == 0 && counts[0] >= 990);
    let counts = at(1.0 / visible(sd));
    told(&format!("absolute, {:.2} % beyond the target", (visible(sd) - 1.0) * 100.0), counts, counts[2] >= 990 - 6);
    let against = |tolerance: f64| gates(1_000, &new, Some(&old), Bound::Regression(tolerance));
    let counts = against(ratio - 1.0);
    told("relative, at the tolerance", counts, counts[2] <= 1 && counts[0] <= 10 + 6);
    let counts = against(ratio * 1.05 - 1.0);
    told("relative, 5 % within the tolerance", counts, counts[2] == 0 && counts[0] >= 990);
    let seen = visible(pair_sd);
    let counts = against(ratio / seen - 1.0);
    told(&format!("relative, {:.2} % beyond the tolerance", (seen - 1.0) * 100.0), counts, counts[2] >= 990 - 6);
    let same = gates(1_000, &old, Some(&old), Bound::Regression(0.001));
    told("relative, the same build", same, same == [1_000, 0, 0]);
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_report_is_made_again_in_every_form_and_several_merge_without_loss() {
    let folder = folder(&[("q.toml", queue(50_000).as_bytes())]);
    let run = |args: &[&str]| {
        let done = output(folder.path(), args);
        assert_eq!(done.status.code(), Some(0), "{args:?}: {}", stderr(&done));
        done.stdout
    };
    run(&["sim", "q.toml", "--out", "a"]);
    run(&["sim", "q.toml", "--seed", "4", "--out", "b"]);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (page, percentiles, timeline) = (read("a/report.html"), read("a/latency.hgrm"), read("a/timeline.csv"));
    run(&["report", "a", "--format", "html,hgrm,csv,json,md,junit,svg,hlog", "--out", "again"]);
    assert_eq!((read("again/report.html"), read("again/latency.hgrm")), (page, percentiles));
    assert_eq!(read("again/timeline.csv"), timeline);
    check_junit(&read("again/report.junit.xml"));
    assert!(read("again/report.md").starts_with("# q: pass\n"));
    roxmltree::Document::parse(&read("again/report.svg")).expect("SVG is XML");
    // Two reports are one with the runs of both, and so are their histograms.
    run(&["report", "a", "b", "--format", "json,hlog", "--out", "both"]);
    let report = |name: &str| serde_json::from_str::<Value>(&read(name)).unwrap();
    let (a, b, both) = (report("a/report.json"), report("b/report.json"), report("both/report.json"));
    let count = |report: &Value| report["latency_ms"]["count"].as_u64().unwrap();
    assert_eq!((count(&both), both["replications"].as_u64()), (count(&a) + count(&b), Some(2)));
    // What was written as an interval log is read back with every value.
    let table = String::from_utf8(run(&["report", "both/latency.hlog", "--format", "md", "--out", "-"])).unwrap();
    assert!(table.contains(&format!("|  | 2 | {} |", count(&both))), "{table}");
    let again = output(folder.path(), &["report", "a", "a", "--format", "json", "--out", "twice"]);
    assert_eq!(again.status.code(), Some(2), "the same run twice is not two runs");
    if cfg!(feature = "render") {
        run(&["report", "a", "--format", "card", "--out", "card.png"]);
        run(&["report", "a", "--format", "png", "--out", "charts"]);
        assert!(fs::read(folder.path().join("card.png")).unwrap().starts_with(b"\x89PNG"));
        assert!(folder.path().join("charts/timeline.png").exists());
    }
}

/// Real jobs on one file, as they are in CI.
#[test]
fn jobs_that_end_at_once_lose_nothing_of_the_history() {
    let folder = folder(&[("q.toml", queue(50_000).as_bytes())]);
    assert_eq!(output(folder.path(), &["sim", "q.toml", "--replications", "5", "--out", "r"]).status.code(), Some(0));
    for file in [
        "h.jsonl",
        #[cfg(feature = "history")]
        "h.db",
    ] {
        let job = |i: usize| {
            let mut command = wavetank(folder.path());
            command.args(["gate", "r", "--json", "--history", file, "--revision", &format!("commit-{i}")]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().expect("the program starts")
        };
        let jobs: Vec<_> = (0..12).map(job).collect();
        let mut seen: Vec<u64> = jobs
            .into_iter()
            .map(|job| {
                let told = job.wait_with_output().expect("the program ends");
                assert_eq!(told.status.code(), Some(0), "{file}: {}", stderr(&told));
                verdict(&told)["history"]["entries"].as_u64().expect("a count of entries")
            })
            .collect();
        // Each found what those before it had left.
        seen.sort_unstable();
        assert_eq!(seen, (1..=12).collect::<Vec<u64>>(), "{file}");
    }
    // What is no database is left as it is, and said.
    fs::write(folder.path().join("no.db"), "a diary").expect("a file");
    let refused = output(folder.path(), &["gate", "r", "--history", "no.db"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(stderr(&refused).contains("cannot keep the history no.db"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(folder.path().join("no.db")).expect("the file"), "a diary");
    // Before the first run, whatever kind it is.
    fs::write(folder.path().join("notes.txt"), "a diary").expect("a file");
    for file in ["no.db", "notes.txt", "nowhere/x.jsonl", "nowhere/x.db"] {
        let refused = output(folder.path(), &["gate", "r", "--history", file]);
        assert_eq!(refused.status.code(), Some(2), "{file}: {}", stderr(&refused));
        assert!(stderr(&refused).contains(&format!("cannot keep the history {file}")), "{}", stderr(&refused));
    }
    assert_eq!(fs::read_to_string(folder.path().join("notes.txt")).expect("the file"), "a diary");
}
