//! What forges run: the steps of the action and the lines of the job for GitLab, as they are written in their files, in a shell,
//! with the variables that a forge sets.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

use crate::cli::{folder, stderr};

const QUEUE: &str = r#"
[scenario]
duration = "30s"
[traffic]
shape = [{ kind = "constant", rate = 60 }]
[service]
workers = 4
time = { dist = "exponential", mean = "50ms" }
[slo]
p99 = "1s"
"#;

fn yaml(path: &str) -> Yaml {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())).remove(0)
}

/// A folder as a job finds it, with the program installed where the action installs it.
fn runner() -> TempDir {
    let folder = folder(&[("q.toml", QUEUE.as_bytes())]);
    let bin = folder.path().join("tools/wavetank/bin");
    fs::create_dir_all(&bin).expect("a folder");
    fs::copy(env!("CARGO_BIN_EXE_wavetank"), bin.join("wavetank")).expect("the program");
    folder
}

/// A step of the action, run with its inputs.
fn step(runner: &Path, name: &str, inputs: &[(&str, &str)]) -> Output {
    step_with(runner, name, inputs, None)
}

/// The same with a folder before everything else in its path.
fn step_with(runner: &Path, name: &str, inputs: &[(&str, &str)], first: Option<&Path>) -> Output {
    let action = yaml("action.yml");
    let steps = action["runs"]["steps"].as_vec().expect("steps");
    let step = steps.iter().find(|step| step["name"].as_str() == Some(name)).expect("the step");
    assert_eq!(step["shell"].as_str(), Some("bash"));
    let mut shell = Command::new("bash");
    // As GitHub calls it.
    shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"].as_str().expect("a script")]);
    shell.current_dir(runner).env("GITHUB_ACTIONS", "true").env("GITHUB_SHA", "abc123");
    shell.env("GITHUB_ACTION_PATH", "/somewhere/wavetank");
    shell.env("GITHUB_STEP_SUMMARY", runner.join("summary.md")).env("GITHUB_OUTPUT", runner.join("output.txt"));
    if let Some(first) = first {
        shell.env("PATH", format!("{}:{}", first.display(), std::env::var("PATH").unwrap_or_default()));
    }
    for (key, value) in step["env"].as_hash().expect("env") {
        let (key, value) = (key.as_str().expect("a name"), value.as_str().expect("a value"));
        let expression = value.strip_prefix("${{ ").and_then(|rest| rest.split_once(" }}")).expect("an expression");
        let value = match expression {
            ("runner.temp", rest) => runner.join("tools").display().to_string() + rest,
            (input, "") => {
                let name = input.strip_prefix("inputs.").expect("an input");
                let declared = &action["inputs"][name];
                assert!(!declared.is_badvalue(), "{name} is no input");
                let given = inputs.iter().find(|(each, _)| *each == name).map(|(_, value)| *value);
                given.or(declared["default"].as_str()).expect("an input that is required").to_string()
            }
            other => panic!("{other:?}"),
        };
        shell.env(key, value);
    }
    shell.output().expect("bash starts")
}

#[test]
#[cfg(unix)]
fn the_action_passes_fails_and_tells() {
    let runner = runner();
    let read = |name: &str| fs::read_to_string(runner.path().join(name)).unwrap_or_default();
    let passed = step(runner.path(), "Gate", &[("subject", "q.toml")]);
    assert_eq!(passed.status.code(), Some(0), "{}", stderr(&passed));
    assert!(read("wavetank-junit.xml").contains("<testsuite name=\"q\""), "{}", read("wavetank-junit.xml"));
    // What the action promises as outputs, the gate writes.
    for (name, output) in yaml("action.yml")["outputs"].as_hash().expect("outputs") {
        let name = name.as_str().expect("a name");
        let value = output["value"].as_str().expect("a value");
        assert_eq!(value, format!("${{{{ steps.gate.outputs.{name} }}}}"));
        let written = read("output.txt").lines().any(|line| line.starts_with(&format!("{name}=")));
        assert_eq!(written, name != "availability", "{name}: {}", read("output.txt"));
    }
    assert!(read("summary.md").starts_with("### ✅ q: pass"), "{}", read("summary.md"));

    let inputs =
        [("subject", "q.toml\n"), ("slo", "p99<100ms\navailability>=99%\n"), ("args", "--budget 5 --seed 7")];
    let failed = step(runner.path(), "Gate", &inputs);
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(String::from_utf8_lossy(&failed.stdout).contains("\n::error title=q%3A p99"));
    assert!(read("output.txt").contains("verdict=fail\n") && read("output.txt").contains("availability="));

    // Nothing in an input is run.
    let hostile = [("subject", "q.toml\n$(touch ran)\n`touch ran`"), ("args", "--seed $(touch${IFS}ran) *")];
    assert_eq!(step(runner.path(), "Gate", &hostile).status.code(), Some(2));
    assert!(!runner.path().join("ran").exists());
    // A copy that is there already is not installed again; one that is not, is.
    assert_eq!(step(runner.path(), "Install", &[]).status.code(), Some(0));
    fs::remove_file(runner.path().join("tools/wavetank/bin/wavetank")).expect("the program was there");
    let bin = folder(&[("cargo", b"#!/bin/sh\necho cargo \"$@\"\n")]);
    let made = Command::new("chmod").arg("+x").arg(bin.path().join("cargo")).status().expect("chmod starts");
    assert!(made.success());
    let install = step_with(runner.path(), "Install", &[], Some(bin.path())).stdout;
    let root = runner.path().join("tools/wavetank");
    let expected = format!("cargo install --locked --path /somewhere/wavetank --root {}\n", root.display());
    assert_eq!(String::from_utf8_lossy(&install), expected);
}

/// The job that README shows, with a scenario on both branches; and a pull request that makes the service 5 % slower.
#[test]
#[cfg(unix)]
fn the_job_of_the_readme_catches_what_is_five_per_cent_slower() {
    let readme = include_str!("../../README.md");
    let block =
        readme.split("\n\n").find(|block| block.starts_with("    on: pull_request")).expect("the job in README");
    let text: String = block.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    let job = YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{error}")).remove(0);
    let steps = job["jobs"]["gate"]["steps"].as_vec().expect("steps");
    let with = &steps.last().expect("a step")["with"];
    let (subject, args) = (with["subject"].as_str().expect("a subject"), with["args"].as_str().expect("arguments"));
    assert_eq!(steps[1]["with"]["path"].as_str(), Some("main"));
    let runner = runner();
    for (branch, code, word) in [("50ms", 0, "pass"), ("52.5ms", 1, "fail")] {
        for (root, mean) in [("", branch), ("main", "50ms")] {
            let path = runner.path().join(root).join(subject);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, QUEUE.replace("50ms", mean)).expect("a scenario");
        }
        let told = step(runner.path(), "Gate", &[("subject", subject), ("args", args)]);
        assert_eq!(told.status.code(), Some(code), "{}{}", String::from_utf8_lossy(&told.stdout), stderr(&told));
        let summary = fs::read_to_string(runner.path().join("summary.md")).expect("a summary");
        assert!(summary.contains(&format!("checkout: {word}")), "{summary}");
    }
}

#[test]
#[cfg(unix)]
fn the_job_for_gitlab_leaves_what_it_promises() {
    let runner = runner();
    let job = &yaml(".ci/gitlab-gate.yml")[".wavetank-gate"];
    let script: Vec<&str> = job["script"].as_vec().expect("a script").iter().filter_map(Yaml::as_str).collect();
    assert!(script[0].starts_with("cargo install --locked --path ."), "{script:?}");
    let path = format!(
        "{}:{}",
        runner.path().join("tools/wavetank/bin").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let run = |args: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-ec", &script[1..].join("\n")]).current_dir(runner.path()).env("PATH", &path);
        shell.env("CI_COMMIT_SHA", "abc123").env_remove("GITHUB_ACTIONS");
        shell.env("SCENARIO", "q.toml").env("GATE_ARGS", args).output().expect("sh starts")
    };
    let passed = run("");
    assert_eq!(passed.status.code(), Some(0), "{}", stderr(&passed));
    for report in ["junit", "metrics"] {
        let path = job["artifacts"]["reports"][report].as_str().expect("a path");
        assert!(runner.path().join(path).metadata().is_ok_and(|file| file.len() > 0), "{path}");
    }
    let kept = job["artifacts"]["paths"][0].as_str().expect("a path");
    assert!(runner.path().join(kept).join("summary.md").exists());
    // Inconclusive is a code of its own, which the job lets pass with a warning.
    let unsure = run("--slo p99<255ms --budget 5");
    assert_eq!(unsure.status.code(), job["allow_failure"]["exit_codes"][0].as_i64().map(|code| code as i32));
    assert_eq!(run("--slo p99<100ms").status.code(), Some(1));
}
