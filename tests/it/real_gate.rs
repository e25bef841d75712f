//! Gates on real runs: a neighbour that burns makes nobody the wiser, a slower build never passes. What these tests say holds on a machine that
//! others use as well; how small a slowdown is caught on a quiet one is for `--ignored`.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::cli::{folder, names, output, stderr};

/// A service of `mean` on two instances that are half busy, for `seconds`. Two hundred milliseconds are so many that what the machine adds is little of
/// them.
fn service(mean: &str, seconds: u32) -> String {
    format!(
        r#"
        [scenario]
        name = "checkout"
        duration = "{seconds}s"
        warmup = "500ms"
        seed = 7
        [traffic]
        shape = [{{ kind = "constant", rate = 80 }}]
        [service]
        workers = 16
        time = {{ dist = "lognormal", mean = "{mean}", sigma = 0.3 }}
        [fleet]
        initial = 2
        [slo]
        p99 = "2s"
        "#
    )
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// Processes that burn all processors until they are dropped.
struct Burning(Vec<Child>);

impl Burning {
    fn everywhere() -> Burning {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let burn = || Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap();
        Burning((0..cores).map(|_| burn()).collect())
    }
}

impl Drop for Burning {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has gone already burns nothing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_neighbour_that_burns_makes_it_inconclusive_whatever_was_measured() {
    let folder = folder(&[("q.toml", service("20ms", 2).as_bytes())]);
    let _burning = Burning::everywhere();
    // A target that every run meets, and one that none does: neither counts.
    for slo in ["p99<60s", "p99<1ms"] {
        let out = output(folder.path(), &["gate", "--live", "q.toml", "--slo", slo, "--budget", "2", "--json"]);
        let told = json(&out);
        assert_eq!((out.status.code(), &told["verdict"]), (Some(3), &"inconclusive".into()), "{told:#}");
        let notes = told["notes"].to_string();
        assert!(notes.contains("others took") && notes.contains("do not count"), "{notes}");
    }
}

#[test]
fn a_build_that_is_a_tenth_slower_never_passes_and_runs_are_interleaved() {
    let folder =
        folder(&[("old.toml", service("200ms", 3).as_bytes()), ("new.toml", service("220ms", 3).as_bytes())]);
    let args =
        ["gate", "--live", "new.toml", "--baseline-scenario", "old.toml", "--host-noise", "100%", "--budget", "3"];
    let more = ["--max-regression", "mean=3%", "--out", "kept", "--json"];
    let out = output(folder.path(), &[&args[..], &more].concat());
    // Failed, or nobody can tell: three pairs on a busy machine.
    assert!(matches!(out.status.code(), Some(1 | 3)), "{}", stderr(&out));
    let told = json(&out);
    let order: Vec<String> = stderr(&out)
        .lines()
        .filter_map(|line| Some(line.strip_prefix("run ")?.split_once(':')?.0.to_string()))
        .take(4)
        .collect();
    if !told["notes"].to_string().contains("disturbed") {
        assert_eq!(order, ["1, baseline", "1, new", "2, new", "2, baseline"]);
        let regression = told["criteria"].as_array().unwrap().iter().find(|each| each["kind"] == "max_regression");
        assert_eq!((&regression.unwrap()["paired"], &regression.unwrap()["runs"]), (&true.into(), &3.into()));
        // What was run stays, and can be judged and compared with later.
        assert!(names(&folder.path().join("kept")).contains(&"report.json".to_string()));
        let again = output(folder.path(), &["gate", "kept", "--slo", "availability>=10%", "--json"]);
        assert_eq!(json(&again)["criteria"][0]["runs"], 3, "{}", stderr(&again));
    }
}

#[test]
fn what_cannot_be_run_is_told_before_anything_is() {
    let users = service("40ms", 2).replace("shape = [{ kind = \"constant\", rate = 80 }]", "users = { count = 3 }");
    let endless = service("40ms", 2).replace("duration = \"2s\"", "");
    let late = service("40ms", 2).replace("500ms", "5s");
    let folder = folder(&[
        ("q.toml", service("40ms", 2).as_bytes()),
        ("users.toml", users.as_bytes()),
        ("endless.toml", endless.as_bytes()),
        ("late.toml", late.as_bytes()),
    ]);
    for (args, told) in [
        (&["users.toml", "--live"][..], "traffic.users"),
        (&["endless.toml", "--live"], "duration"),
        (&["late.toml", "--live"], "warmup"),
        (&["q.toml", "--out", "kept"], "expected --live or --target"),
        (&["q.toml", "--live", "--host-noise", "much"], "expected a share"),
        (&["q.toml", "--live", "--target", "http://127.0.0.1:9"], "cannot be used with"),
        (&["none.json", "--live"], "need a scenario"),
    ] {
        let out = output(folder.path(), &[&["gate"][..], args].concat());
        assert!(out.status.code() == Some(2) && stderr(&out).contains(told), "{args:?}: {}", stderr(&out));
    }
}

#[cfg(feature = "load")]
#[test]
fn two_targets_are_compared_run_by_run() {
    use crate::load::{Manner, Server};
    let text = service("40ms", 2).replace("p99 = \"2s\"", "p99 = \"200s\"");
    let folder = folder(&[("q.toml", text.as_bytes())]);
    let (old, new) =
        (Server::start(Manner::AtOnce), Server::start(Manner::Takes(std::time::Duration::from_millis(20))));
    let (old, new) = (old.url(), new.url());
    let args =
        ["gate", "q.toml", "--target", &new, "--baseline-target", &old, "--host-noise", "100%", "--budget", "4"];
    let out = output(folder.path(), &[&args[..], &["--max-regression", "mean=100%", "--json"]].concat());
    let told = json(&out);
    // Twenty milliseconds instead of less than one: a busy machine makes both slower, and never the other way round.
    assert!(matches!(out.status.code(), Some(1 | 3)), "{told:#}");
    let regression =
        told["criteria"].as_array().unwrap().iter().find(|each| each["kind"] == "max_regression").unwrap();
    assert!(regression["observed"].as_f64().is_none_or(|worse| worse > 0.0), "{regression}");
    let bad = output(folder.path(), &["gate", "q.toml", "--target", &new, "--baseline-scenario", "q.toml"]);
    assert!(bad.status.code() == Some(2) && stderr(&bad).contains("--baseline-target"), "{}", stderr(&bad));
}

/// On a quiet machine: `cargo test --release --test it a_quiet_machine -- --ignored`.
#[test]
#[ignore = "takes a machine that nobody else uses, and four minutes"]
fn a_quiet_machine_tells_a_tenth_slower_from_the_same() {
    let folder = folder(&[
        ("old.toml", service("200ms", 8).as_bytes()),
        ("same.toml", service("200ms", 8).as_bytes()),
        ("slow.toml", service("220ms", 8).as_bytes()),
    ]);
    let gate = |new: &str| {
        let args = ["gate", "--live", new, "--baseline-scenario", "old.toml", "--max-regression", "p50=5%", "--json"];
        output(folder.path(), &args)
    };
    let (same, slow) = (gate("same.toml"), gate("slow.toml"));
    assert_eq!(same.status.code(), Some(0), "{:#}", json(&same));
    assert_eq!(slow.status.code(), Some(1), "{:#}", json(&slow));
}
