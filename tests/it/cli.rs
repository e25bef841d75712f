//! The program itself: what it writes, what it says about bad input, how it ends.

use std::fs;
#[cfg(target_os = "linux")]
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const SMALL: &str = r#"
    scenario.duration = "20s"
    traffic.shape = [{ kind = "constant", rate = 20 }]
    service.time = "10ms"
    "#;

const FILES: [&str; 4] = ["report.json", "report.html", "timeline.csv", "latency.hgrm"];

/// The program, in a folder.
pub fn wavetank(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavetank"));
    command.current_dir(folder).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

pub fn output(folder: &Path, args: &[&str]) -> Output {
    wavetank(folder).args(args).output().expect("the program starts")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A new folder with files in it.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file in it");
    }
    folder
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_simulation_writes_its_report_and_shows_where() {
    let folder = folder(&[("small.toml", SMALL.as_bytes())]);
    let output = output(folder.path(), &["sim", "small.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let reports = folder.path().join("reports/small");
    let written = names(&reports);
    for name in FILES {
        assert!(written.iter().any(|each| each == name), "{name} is not in {written:?}");
    }
    if cfg!(feature = "render") {
        assert!(written.iter().any(|name| name.ends_with(".png")), "{written:?}");
    }
    assert!(!written.iter().any(|name| name.contains("tmp") || name.starts_with('.')), "{written:?}");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(stdout.contains("report.html"), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "no colors where nobody sees them");
}

/// A line a second, and each took 40 ms.
fn log() -> String {
    let line = |n: u32| {
        let (m, s) = (n / 60, n % 60);
        format!("h{} - - [17/May/2015:10:{m:02}:{s:02} +0000] \"GET / HTTP/1.1\" 200 9 \"-\" \"x\" 0.040\n", n % 9)
    };
    (0..120).map(line).collect()
}

#[test]
fn a_recording_is_played_with_nothing_but_its_name() {
    let counts: String = (0..48).map(|hour| format!("{},{}\n", 1_431_856_800 + hour * 3600, 900_000)).collect();
    let counts = format!("time,requests\n{counts}");
    let folder = folder(&[("access.log", log().as_bytes()), ("big.csv", counts.as_bytes())]);
    let played = output(folder.path(), &["replay", "access.log"]);
    assert_eq!(played.status.code(), Some(0), "{}", stderr(&played));
    let words = stderr(&played);
    assert!(words.contains("No scenario was named") && words.contains("the recorded response time"), "{words}");
    let home = folder.path().join("reports/access");
    let report: Value = serde_json::from_slice(&fs::read(home.join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["requests"]["offered"], &report["requests"]["succeeded"]), (&120.into(), &120.into()));
    // What stood in is there to be corrected, and plays the same.
    let scenario = home.join("scenario.toml");
    let again = output(folder.path(), &["replay", "access.log", "--scenario", scenario.to_str().unwrap(), "--json"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again["latency_ms"], &again["fleet"]), (&report["latency_ms"], &report["fleet"]));
    // Of tens of millions, one in so many.
    let thinned = output(folder.path(), &["replay", "big.csv", "--for", "10m", "--json"]);
    assert_eq!(thinned.status.code(), Some(0), "{}", stderr(&thinned));
    assert!(stderr(&thinned).contains("one request in 4 is played"), "{}", stderr(&thinned));
    let thinned: Value = serde_json::from_slice(&thinned.stdout).unwrap();
    let offered = thinned["requests"]["offered"].as_f64().unwrap();
    assert!((30_000.0..40_000.0).contains(&offered), "10 of 60 minutes of 208,333: {offered}");
}

#[test]
fn tables_need_the_feature_and_a_folder() {
    let folder = folder(&[("small.toml", SMALL.as_bytes())]);
    let run = output(folder.path(), &["sim", "small.toml", "--replications", "2", "--out", "out"]);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let made = output(folder.path(), &["report", "out", "--format", "parquet", "--out", "tables"]);
    if cfg!(feature = "data") {
        assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
        assert_eq!(names(&folder.path().join("tables")), ["summary.parquet", "timeline.parquet"]);
        let to_stdout = output(folder.path(), &["report", "out", "--format", "parquet", "--out", "-"]);
        assert_eq!(to_stdout.status.code(), Some(2), "{}", stderr(&to_stdout));
    } else {
        assert_eq!(made.status.code(), Some(2));
        assert!(stderr(&made).contains("--features data"), "{}", stderr(&made));
    }
}

#[test]
fn json_is_all_that_is_printed_with_json_and_nothing_is_written() {
    let folder = folder(&[("small.toml", SMALL.as_bytes())]);
    let output = output(folder.path(), &["sim", "small.toml", "--json", "--replications", "2", "--seed", "7"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(report["schema"], "wavetank.report/1");
    assert_eq!((&report["seed"], &report["replications"]), (&7.into(), &2.into()));
    assert_eq!(names(folder.path()), ["small.toml"]);
}

#[test]
fn an_override_changes_the_run() {
    let folder = folder(&[("small.toml", SMALL.as_bytes())]);
    let offered = |args: &[&str]| {
        let output = output(folder.path(), &[&["sim", "small.toml", "--json"], args].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        report["requests"]["offered"].as_u64().expect("a count")
    };
    let (once, twice) = (offered(&[]), offered(&["--set", "scenario.duration=40s"]));
    assert!(twice as f64 > once as f64 * 1.6, "{once} and {twice}");
}

#[test]
fn bad_input_ends_with_2_and_a_line_that_names_it_and_nothing_written() {
    let gzip = {
        // The first half of a gzip member.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for i in 0..20_000u32 {
            use std::io::Write;
            let line = format!(
                "10.0.0.{} - - [17/May/2015:10:05:{:02} +0000] \"GET /{i} HTTP/1.1\" 200 5\n",
                i % 250,
                i / 400
            );
            encoder.write_all(line.as_bytes()).expect("memory");
        }
        encoder.finish().expect("memory")
    };
    let unknown = SMALL.replace("scenario.duration", "scenario.durration = \"1m\"\n    scenario.duration");
    let near = SMALL.replace("service.time", "fleet.inital = 2\n    service.time");
    let missing_log = "traffic.replay = { path = \"nowhere.log\" }\nservice.time = \"10ms\"\n";
    let files: [(&str, &[u8]); 9] = [
        ("small.toml", SMALL.as_bytes()),
        ("unknown.toml", unknown.as_bytes()),
        ("near.toml", near.as_bytes()),
        ("missing_log.toml", missing_log.as_bytes()),
        ("binary.toml", b"\x7fELF\x02\x01\x01\x00\xff\xfe\x80"),
        ("empty.toml", b""),
        ("empty.log", b""),
        ("binary.log", &[0xff, 0x00, 0x80, 0x0a, 0xfe].repeat(100)),
        ("half.log.gz", &gzip[..gzip.len() / 2]),
    ];
    let folder = folder(&files);
    fs::create_dir(folder.path().join("folder.toml")).expect("a folder");
    let before = names(folder.path());
    let on = |dataset| vec!["replay", dataset, "--scenario", "small.toml"];
    let cases: Vec<(Vec<&str>, Vec<&str>)> = vec![
        (vec!["sim", "nowhere.toml"], vec!["nowhere.toml", "No such file"]),
        (vec!["sim", "unknown.toml"], vec!["unknown.toml:2:", "scenario.durration", "duration"]),
        (vec!["sim", "near.toml"], vec!["near.toml:", "fleet.inital", "did you mean \"initial\"?"]),
        (vec!["sim", "missing_log.toml"], vec!["missing_log.toml:1:", "nowhere.log"]),
        (vec!["sim", "folder.toml"], vec!["folder.toml", "folder"]),
        (vec!["sim", "binary.toml"], vec!["binary.toml", "UTF-8"]),
        (vec!["sim", "empty.toml"], vec!["empty.toml", "traffic"]),
        (vec!["sim", "small.toml", "nowhere.toml"], vec!["nowhere.toml"]),
        (vec!["sim", "small.toml", "--set", "fleet.inital=3"], vec!["fleet.inital", "initial"]),
        (vec!["sim", "small.toml", "--replications", "0"], vec!["--replications"]),
        (vec!["sim"], vec!["SCENARIO"]),
        (vec!["simm"], vec!["simm", "sim"]),
        (on("nowhere.log"), vec!["nowhere.log"]),
        (on("empty.log"), vec!["empty.log"]),
        (on("binary.log"), vec!["binary.log"]),
        (on("half.log.gz"), vec!["half.log.gz"]),
        (on("folder.toml"), vec!["folder.toml"]),
    ];
    let mut findings = Vec::new();
    for (args, words) in cases {
        let output = output(folder.path(), &args);
        let said = stderr(&output);
        let mut find = |what: &str| findings.push(format!("{}: {what}\n{said}", args.join(" ")));
        if output.status.code() != Some(2) {
            find(&format!("ended with {:?}", output.status.code()));
        }
        words.iter().filter(|word| !said.contains(**word)).for_each(|word| find(&format!("does not say {word:?}")));
        if said.contains("panicked") || said.contains("RUST_BACKTRACE") {
            find("panics");
        }
        if !output.stdout.is_empty() {
            find("prints on standard output");
        }
        let after = names(folder.path());
        if after != before {
            find(&format!("leaves {after:?}"));
            let _ = fs::remove_dir_all(folder.path().join("reports"));
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn a_folder_that_cannot_be_made_is_found_before_the_run() {
    let folder = folder(&[("small.toml", SMALL.as_bytes()), ("file", b"in the way")]);
    // A run of six weeks of virtual time would be noticed.
    let output =
        output(folder.path(), &["sim", "small.toml", "--out", "file/below", "--set", "scenario.duration=1000h"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("file/below"), "{}", stderr(&output));
    assert_eq!(names(folder.path()), ["file", "small.toml"]);
}

#[test]
fn several_scenarios_have_a_folder_each() {
    let folder = folder(&[("a.toml", SMALL.as_bytes()), ("b.toml", SMALL.as_bytes())]);
    let output = output(folder.path(), &["sim", "a.toml", "b.toml", "--out", "here"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(names(&folder.path().join("here")), ["a", "b"]);
}

/// Ctrl-C during a run that would take minutes: the report shows what was measured.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_a_run_early_with_a_report() {
    let long = SMALL.replace("20s", "3000h");
    let folder = folder(&[("long.toml", long.as_bytes())]);
    let mut child = wavetank(folder.path())
        .args(["sim", "long.toml", "--out", "here"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // The handler is set right after the folder is made; an interrupt that is too early ends the program without a report. The
    // kernel lists the signals that are caught.
    let status = format!("/proc/{}/status", child.id());
    let catches = || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).map_or("0", str::trim);
        u64::from_str_radix(mask, 16).unwrap_or(0) & (1 << (2 - 1)) != 0
    };
    while child.try_wait().expect("it is ours").is_none() && !catches() {
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(killed.success());
    let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut words = String::new();
    while !words.contains("stopping") && said.read_line(&mut words).expect("text") > 0 {}
    assert!(words.contains("stopping"), "{words}");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    let output = child.wait_with_output().expect("it is ours");
    assert_eq!(output.status.code(), Some(0), "{words}{rest}");
    let text = fs::read_to_string(folder.path().join("here/report.json")).expect("a report is there");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(text.contains("interrupted"), "the report says so");
    assert!(report["requests"]["offered"].is_u64());
    let shown = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(shown.contains("interrupted"), "{shown}");
}

#[test]
fn validate_says_what_an_autoscaler_leads_to() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/climb-2-to-20.toml");
    let output = output(Path::new("."), &["validate", scenario, "--set", "autoscaler.max=21"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> =
        text.lines().skip(1).filter(|line| line.contains("explodes") || line.contains("rise")).collect();
    assert_eq!(words.len(), 3, "{text}");
    assert!(words[0].starts_with("  when load explodes it goes from 2 to 21 instances in 56m"), "{text}");
    assert!(words[1].contains("the steepest rise from 32.0 to 638 requests/s that it survives is 0.1"), "{text}");
    assert_eq!(words[2], "  a rise at the moment of a scale-up is answered after 3m, not after 2m15s as in calm");
}

#[test]
fn validation_tells_false_trips_worst_cases_and_blind_spots() {
    const PROTECTED: &str = r#"
        scenario.duration = "1m"
        traffic.shape = [{ kind = "constant", rate = 100 }]
        service = { workers = 8, time = "10ms", error_rate = 0.001 }
        fleet.initial = 5
        breaker = { failures = 5, window = "60s", consecutive = 5 }
        limiter = { algorithm = "sliding_window", limit = 100, window = "1m", shared = { gateways = 3, mode = "independent" } }
        balancer = { ejection = { max_share = 0.1, at_least_one = false } }
        "#;
    let folder = folder(&[("protected.toml", PROTECTED.as_bytes())]);
    let output = output(folder.path(), &["validate", "protected.toml"]);
    let text = String::from_utf8_lossy(&output.stdout);
    // CB-21: five failures a minute at 100 calls a second and one error in a thousand.
    for line in [
        "failures = 5 trips falsely at 100.0 calls/s and 0.1% errors: probability 7.149e-1 in 1m, about 42.90 times an hour",
        "consecutive = 5 trips falsely at 100.0 calls/s and 0.1% errors",
        "100 in 1m: at most 199 in any 1m",
        "3 gateways that do not share let in up to 597",
        "ejection ejects nobody: 10% of 5 instances is less than one",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
}

#[test]
fn a_policy_comes_in_from_another_system_and_goes_back() {
    const HPA: &str = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: shop }\nspec:\n  \
                       maxReplicas: 6\n  metrics:\n  - type: Resource\n    resource: { name: cpu, target: { type: Utilization, \
                       averageUtilization: 60 } }\n  - type: External\n    external: { metric: { name: lag }, target: { type: Value, value: 1 } }\n";
    let scenario = format!("{SMALL}\n[autoscaler]\nimport = \"hpa.yaml\"\n");
    let bad = HPA.replace("maxReplicas: 6", "maxReplicas: none");
    let files: [(&str, &[u8]); 4] = [
        ("hpa.yaml", HPA.as_bytes()),
        ("bad.yaml", bad.as_bytes()),
        ("small.toml", SMALL.as_bytes()),
        ("in-place.toml", scenario.as_bytes()),
    ];
    let folder = folder(&files);
    let run = |args: &[&str]| output(folder.path(), args);
    let left = "not carried over, or not quite: ";
    let import = run(&["import", "hpa.yaml"]);
    assert_eq!(import.status.code(), Some(0), "{}", stderr(&import));
    assert!(stderr(&import).contains(&format!("{left}line 9: spec.metrics[1]: no metric")), "{}", stderr(&import));
    assert!(String::from_utf8_lossy(&import.stdout).contains("average_utilization = 60"));
    let import = run(&["import", "bad.yaml"]);
    assert_eq!(import.status.code(), Some(2));
    let told = "bad.yaml:5: spec.maxReplicas: found \"none\", expected a whole number, 1 or more\n";
    assert_eq!(stderr(&import), told);
    assert_eq!(run(&["import", "absent.yaml"]).status.code(), Some(2));
    let export = run(&["export", "--to", "hpa", "in-place.toml"]);
    assert_eq!(export.status.code(), Some(0), "{}", stderr(&export));
    assert!(String::from_utf8_lossy(&export.stdout).contains("averageUtilization: 60"));
    assert_eq!(run(&["export", "--to", "keda", "in-place.toml"]).status.code(), Some(2));
    let validate = run(&["validate", "in-place.toml"]);
    assert!(String::from_utf8_lossy(&validate.stdout).contains("hpa.yaml: line 9: spec.metrics[1]"));
    let compare = run(&["compare", "small.toml", "--policy", "hpa.yaml", "--replications", "2"]);
    assert_eq!(compare.status.code(), Some(0), "{}", stderr(&compare));
    assert!(stderr(&compare).contains(left));
    let compare = run(&["compare", "small.toml", "--policy", "bad.yaml"]);
    assert_eq!((compare.status.code(), stderr(&compare)), (Some(2), format!("error: {told}")));
}

#[test]
fn a_quantile_that_failures_hide_behind_is_told_everywhere() {
    let text = r#"
        scenario.duration = "2m"
        traffic.shape = [{ kind = "constant", rate = 50 }]
        service = { time = "10ms", workers = 10, error_rate = 0.05 }
        slo = { p50 = "1s", p99 = "1s" }
        "#;
    let folder = folder(&[("errors.toml", text.as_bytes())]);
    let told = |args: &[&str]| {
        let output = output(folder.path(), args);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let console = told(&["sim", "errors.toml", "--out", "out"]);
    assert_eq!(console.matches(" failed, p99 of all ").count(), 2, "{console}");
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/report.json")).unwrap()).unwrap();
    // One in twenty failed: more than are beyond p99, and fewer than are beyond p50.
    let masked = |i: usize| report["slo"][i]["masked"]["failed"].as_f64();
    assert!(masked(0).is_none() && (masked(1).unwrap() - 0.05).abs() < 0.01, "{}", report["slo"]);
    assert_eq!(report["slo"][1]["verdict"], "pass");
    assert!(fs::read_to_string(folder.path().join("out/report.html")).unwrap().contains("pass, masked: "));
    let markdown = told(&["report", "out", "--format", "md", "--out", "-"]);
    assert!(markdown.contains("**pass**, masked: "), "{markdown}");
    let gate = told(&["gate", "errors.toml", "--slo", "p99<1s", "--budget", "5"]);
    assert!(gate.contains("masked: "), "{gate}");
}
