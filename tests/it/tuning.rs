//! The tuner as a program: what it recommends, what it leaves, and that nothing it finished is lost.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{folder, names, output, stderr, wavetank};

/// A fleet that is three times too large most of the time, and a rise that it has to follow.
const SHOP: &str = r#"
    # A shop.
    [scenario]
    duration = "30m"
    warmup = "2m"

    [traffic]
    shape = [
      { kind = "constant", rate = 8, for = "15m" },
      { kind = "ramp", from = 8, to = 24, for = "5m" },
      { kind = "constant", rate = 24 },
    ]

    [service]
    workers = 2
    queue = 50
    time = { dist = "exponential", mean = "200ms" }

    [fleet]
    initial = 4
    boot = "20s"
    price_per_hour = 0.1

    [autoscaler]
    min = 4
    max = 12
    metrics = { window = "30s" }

    [[autoscaler.policy]]
    kind = "target_tracking"
    metric = "cpu_utilization"
    target = 25

    [slo]
    p99 = "2s"
    availability = 0.99
    "#;

const HPA: &str = "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: shop
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: shop }
  minReplicas: 4
  maxReplicas: 12
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: { type: Utilization, averageUtilization: 25 }
";

/// Small enough for a test that is not optimized.
const EFFORT: [&str; 4] = ["--budget", "96", "--seeds-confirm", "8"];
const VARY: [&str; 4] = ["--vary", "autoscaler.policy.target=20..90", "--vary", "autoscaler.min=1..6"];

fn shop() -> TempDir {
    folder(&[("shop.toml", SHOP.as_bytes()), ("hpa.yaml", HPA.as_bytes())])
}

fn tune(folder: &Path, out: &str, more: &[&str]) -> std::process::Output {
    let args = [&["tune", "shop.toml", "--out", out][..], &EFFORT, &VARY, more].concat();
    output(folder, &args)
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&read(folder, name)).expect("JSON")
}

#[test]
fn a_cheaper_setting_is_found_confirmed_and_written_down() {
    let folder = shop();
    let output = tune(folder.path(), "out", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = json(folder.path(), "out/tune.json");
    assert_eq!(told["advice"], "change", "{told:#}");
    let change = told["cost"]["change"]["relative"].as_f64().expect("a number");
    assert!(change < -0.2, "a fleet that is three times too large: {change}");
    let best = told["confirmed"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|each| each["candidate"] == told["recommended"]["candidate"])
        .expect("what is recommended was confirmed");
    assert_eq!(best["safety"], "safe");
    assert_eq!(told["confirmed"][0]["settings"], Value::Object(serde_json::Map::new()), "candidate 0 is the present");
    let written = names(&folder.path().join("out"));
    for name in ["study.db", "trials.csv", "tune.html", "tune.json", "tuned.toml"] {
        assert!(written.iter().any(|each| each == name), "{name} is not in {written:?}");
    }
    // What is written runs, and is the setting that was recommended.
    let tuned = read(folder.path(), "out/tuned.toml");
    let target = told["recommended"]["settings"]["autoscaler.policy.target"].as_i64().expect("a whole number");
    assert!(tuned.contains(&format!("target = {target}  # was 25; explains")), "{tuned}");
    assert!(tuned.contains("# A shop."), "comments stay");
    let run = crate::cli::output(folder.path(), &["sim", "out/tuned.toml", "--json"]);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let rows = read(folder.path(), "out/trials.csv").lines().count() as u64;
    let runs = &told["runs"];
    assert!(rows > runs["search"].as_u64().unwrap(), "a row for each run of the search, and of the finalists");
}

#[test]
fn threads_change_nothing_and_what_is_known_is_not_played_again() {
    let folder = shop();
    let one = tune(folder.path(), "one", &["--threads", "1"]);
    let four = tune(folder.path(), "four", &["--threads", "4"]);
    assert_eq!((one.status.code(), four.status.code()), (Some(0), Some(0)), "{}", stderr(&one));
    assert_eq!(read(folder.path(), "one/tune.json"), read(folder.path(), "four/tune.json"));
    assert_eq!(read(folder.path(), "one/trials.csv"), read(folder.path(), "four/trials.csv"));
    if cfg!(feature = "history") {
        let before = read(folder.path(), "one/tune.json");
        let again = output(folder.path(), &["tune", "--resume", "one/study.db"]);
        assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
        assert!(stderr(&again).contains("runs are in the study already"), "{}", stderr(&again));
        assert_eq!(read(folder.path(), "one/tune.json"), before);
    }
}

#[cfg(feature = "history")]
#[test]
fn a_killed_study_goes_on_and_ends_with_the_same_bytes() {
    let folder = shop();
    let whole = tune(folder.path(), "whole", &[]);
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let args = [&["tune", "shop.toml", "--out", "killed", "--threads", "1"][..], &EFFORT, &VARY].concat();
    let mut child = wavetank(folder.path()).args(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Killed once some runs are in the file, or when it has ended: then there is nothing to lose, which the last line would tell.
    let study = folder.path().join("killed/study.db");
    let runs = || {
        let database =
            rusqlite::Connection::open_with_flags(&study, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        database.query_row("SELECT count(*) FROM trial", [], |row| row.get::<_, i64>(0)).ok()
    };
    while runs().is_none_or(|n| n < 20) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = runs().expect("a study");
    let all = json(folder.path(), "whole/tune.json")["runs"].clone();
    assert!(kept >= 20 && (kept as u64) < all["search"].as_u64().unwrap(), "{kept} of {all}");
    let resumed = output(folder.path(), &["tune", "--resume", "killed/study.db"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    assert_eq!(read(folder.path(), "whole/tune.json"), read(folder.path(), "killed/tune.json"));
    assert_eq!(read(folder.path(), "whole/trials.csv"), read(folder.path(), "killed/trials.csv"));
}

#[cfg(feature = "history")]
#[test]
fn shares_of_several_processes_merge_into_what_one_would_have_found() {
    let folder = shop();
    let whole = tune(folder.path(), "whole", &[]);
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    // Each round every process plays its share of what the search can know, and the merged study is where the next begins.
    let mut shares = 0;
    for round in 0..40 {
        let at = |i: usize| format!("share-{round}-{i}");
        for i in 0..2 {
            if round > 0 {
                fs::create_dir_all(folder.path().join(at(i))).unwrap();
                let from = folder.path().join(format!("merged-{}.db", round - 1));
                fs::copy(from, folder.path().join(at(i)).join("study.db")).unwrap();
            }
            let mut share = wavetank(folder.path());
            share.args(["tune", "shop.toml", "--out", &at(i), "--shard", "/2"]).args(EFFORT).args(VARY);
            let share = share.env("JOB_COMPLETION_INDEX", i.to_string()).output().unwrap();
            assert_eq!(share.status.code(), Some(0), "{}", stderr(&share));
            if stderr(&share).contains("those of other shares") {
                shares += 1;
            }
        }
        let into = format!("merged-{round}.db");
        let studies = [0, 1].map(|i| format!("{}/study.db", at(i)));
        let merged = output(folder.path(), &["merge", &studies[0], &studies[1], "--into", &into, "--only"]);
        assert_eq!(merged.status.code(), Some(0), "{}", stderr(&merged));
        if folder.path().join(at(0)).join("tune.json").is_file() {
            assert!(shares > 2, "the work was shared: {shares}");
            let of_share = |name: &str| read(folder.path(), &format!("{}/{name}", at(0)));
            assert_eq!(of_share("tune.json"), read(folder.path(), "whole/tune.json"));
            assert_eq!(of_share("trials.csv"), read(folder.path(), "whole/trials.csv"));
            return;
        }
    }
    panic!("forty rounds did not end it");
}

/// Two shares at once, each of which waits for the other's runs in `place`, and what is made of them afterwards.
#[cfg(all(feature = "data", feature = "history"))]
fn shares_meet_in(place: &str, environment: &[(&str, &str)]) {
    let folder = shop();
    let whole = tune(folder.path(), "whole", &[]);
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let share = |i: usize| {
        let mut share = wavetank(folder.path());
        let (out, shard) = (format!("share-{i}"), format!("{i}/2"));
        share.args(["tune", "shop.toml", "--out", &out, "--shard", &shard, "--results", place, "--wait", "5m"]);
        share.args(EFFORT).args(VARY).envs(environment.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        share.spawn().unwrap()
    };
    for share in [share(0), share(1)] {
        let ended = share.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    }
    let mut merge = wavetank(folder.path());
    let merged = merge.args(["merge", place, "--into", "merged/study.db"]).envs(environment.iter().copied());
    let merged = merged.output().unwrap();
    assert_eq!(merged.status.code(), Some(0), "{}", stderr(&merged));
    for name in ["tune.json", "trials.csv"] {
        let expected = read(folder.path(), &format!("whole/{name}"));
        for out in ["share-0", "share-1", "merged"] {
            assert_eq!(read(folder.path(), &format!("{out}/{name}")), expected, "{out}");
        }
    }
}

#[cfg(all(feature = "data", feature = "history"))]
#[test]
fn shares_that_wait_for_each_other_find_what_one_process_would() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results");
    shares_meet_in(path.to_str().unwrap(), &[]);
    let left = names(&path);
    for share in ["-share-0-of-2-", "-share-1-of-2-"] {
        let some = left.iter().filter(|name| name.contains(share) && name.ends_with(".parquet")).count();
        assert!(some > 2, "share by share in {left:?}");
    }
}

/// Against moto, which speaks S3 on loopback (`pip install 'moto[server]'`).
#[cfg(all(feature = "s3", feature = "history"))]
#[test]
fn shares_meet_in_a_bucket_too() {
    use std::io::{BufRead, BufReader};
    let Ok(mut server) = std::process::Command::new("moto_server")
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("skipped: there is no moto_server (pip install 'moto[server]')");
        return;
    };
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let address = lines.map_while(Result::ok).find_map(|line| {
        line.split_once("http://").map(|(_, rest)| format!("http://{}", rest.split_whitespace().next().unwrap()))
    });
    let address = address.expect("moto says where it listens");
    let environment = [
        ("AWS_ENDPOINT_URL", &*address),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    // Its buckets are made by a request without a body to its path.
    let host = address.trim_start_matches("http://");
    let mut socket = std::net::TcpStream::connect(host).unwrap();
    let request = format!("PUT /tuning HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut socket, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let result = std::panic::catch_unwind(|| shares_meet_in("s3://tuning/shop", &environment));
    let none = output(Path::new("."), &["merge", "s3://", "--into", "x.db"]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(stderr(&none).contains("which bucket?"), "{}", stderr(&none));
    result.unwrap();
}

#[test]
fn a_cluster_is_told_what_to_play() {
    let folder = shop();
    let args = ["tune", "shop.toml", "--policy", "hpa.yaml", "--vary", "autoscaler.min=1..6", "--job", "kubernetes"];
    let place = ["--shards", "8", "--image", "registry.example/wavetank:1", "--results", "s3://tuning/shop"];
    let printed = output(folder.path(), &[&args[..], &place].concat());
    assert_eq!(printed.status.code(), Some(0), "{}", stderr(&printed));
    let text = String::from_utf8(printed.stdout).unwrap();
    for expected in [
        "completionMode: Indexed",
        "completions: 8",
        "autoscaler.min=1..6\n",
        "        - /8",
        "path: hpa.yaml",
        "path: shop.toml",
        "kind: HorizontalPodAutoscaler",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let nowhere = output(folder.path(), &["tune", "shop.toml", "--job", "argo", "--image", "x"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("say where: --results s3://BUCKET/PREFIX"), "{}", stderr(&nowhere));
}

#[test]
fn a_manifest_comes_back_tuned_with_what_changed() {
    let folder = shop();
    let args = ["tune", "shop.toml", "--policy", "hpa.yaml", "--out", "out"];
    let output = output(folder.path(), &[&args[..], &EFFORT].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = json(folder.path(), "out/tune.json");
    assert_eq!(told["advice"], "change", "{told:#}");
    let diff = read(folder.path(), "out/hpa.yaml.diff");
    assert!(diff.starts_with("--- a/hpa.yaml\n+++ b/hpa.yaml\n"), "{diff}");
    let changed = |sign: char| diff.lines().filter(|line| line.starts_with(sign)).collect::<Vec<_>>().join("\n");
    assert!(changed('-').contains("averageUtilization: 25"), "{diff}");
    assert!(changed('+').contains("averageUtilization: "), "{diff}");
    let import = crate::cli::output(folder.path(), &["import", "out/tuned-hpa.yaml"]);
    assert_eq!(import.status.code(), Some(0), "{}", stderr(&import));
    let run = crate::cli::output(folder.path(), &["sim", "out/tuned.toml", "--json"]);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
}

#[test]
fn whoever_measures_elsewhere_asks_and_tells() {
    use std::io::Write;
    let folder = shop();
    let mut child = wavetank(folder.path())
        .args(["tune", "shop.toml", "--ask-tell"])
        .args(VARY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = "{\"ask\":{\"n\":2}}\n{\"tell\":{\"trial\":1,\"seed\":1,\"cost\":3,\"g\":[-0.1,-0.2]}}\n\n{\"best\":{}}\nwhat?\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said[0]["ready"]["targets"], serde_json::json!(["p99", "availability"]));
    assert_eq!((&said[1]["trial"], &said[2]["trial"]), (&0.into(), &1.into()));
    let target = said[2]["set"]["autoscaler.policy.target"].as_i64().expect("a whole number");
    assert!((20..=90).contains(&target), "{}", said[2]);
    assert_eq!(said[3]["trial"], 1);
    let cost = said[3]["cost"].as_f64().expect("a number");
    assert!((cost - 3.0).abs() < 1e-9, "{cost}");
    assert!(said[4]["error"].as_str().expect("in words").contains("expected {\"ask\""), "{}", said[4]);
}

#[test]
fn if_no_setting_holds_it_says_so_and_ends_with_1() {
    let folder = shop();
    let output = tune(folder.path(), "out", &["--slo", "p99<150ms"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = json(folder.path(), "out/tune.json");
    assert_eq!(told["advice"], "none_holds");
    assert!(told["sentence"].as_str().unwrap().contains("p99"), "{told:#}");
}

#[test]
fn what_cannot_be_meant_is_told_before_anything_runs() {
    let folder = shop();
    let cases: [(&[&str], &str); 8] = [
        (&["--vary", "autoscaler.polcy.target=20..90"], "autoscaler.polcy: unknown key, did you mean \"policy\"?"),
        (
            &["--vary", "autoscaler.min=9..3"],
            "--vary: autoscaler.min: found \"9..3\", expected the smaller end first",
        ),
        (&["--vary", "autoscaler.min"], "expected PATH=RANGE"),
        (&["--vary", "autoscaler.min=1..5", "--require", "min < mx"], "mx: no such key"),
        (
            &["--vary", "autoscaler.min=1..5", "--require", "min > 7"],
            "the last was refused: it does not meet min > 7",
        ),
        (&["--slo", "p98<1s"], "expected p50, p75, p90, p95, p99, p999, mean, availability, cost or scale_up_time"),
        (&["--shard", "4/4"], "expected I/N with I from 0 to N − 1"),
        (&["--train", "0..20m", "--validate", "10m..30m"], "--train and --validate overlap"),
    ];
    for (args, expected) in cases {
        let output = output(folder.path(), &[&["tune", "shop.toml"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
}

#[cfg(feature = "history")]
#[test]
fn a_study_can_be_asked_and_another_one_is_not_mixed_into_it() {
    let folder = shop();
    assert_eq!(tune(folder.path(), "out", &[]).status.code(), Some(0));
    let study = output(folder.path(), &["study", "out", "--top", "3", "--json"]);
    assert_eq!(study.status.code(), Some(0), "{}", stderr(&study));
    let study: Value = serde_json::from_slice(&study.stdout).unwrap();
    assert_eq!(study["settings"].as_array().unwrap().len(), 3);
    let other = tune(folder.path(), "out", &["--set", "service.workers=3"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("the study of something else"), "{}", stderr(&other));
    let none = output(folder.path(), &["study", "shop.toml"]);
    assert_eq!(none.status.code(), Some(2), "{}", stderr(&none));
}
