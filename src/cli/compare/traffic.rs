//! `wavetank compare --traffic`: policies on a recording, with or without a scenario of the system behind them.
//!
//! Without one the system has to be assumed: what an instance can serve is in no log. What is assumed is written beside the
//! comparison, as a scenario to correct and to give the next time.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use tempfile::TempDir;

use crate::cli::args::CompareArgs;
use crate::cli::dataset::{Files, plain_options, replayed, tables};
use crate::cli::exit::{Failure, OrExit};
use crate::cli::run::folder_name;
use crate::scenario;
use crate::traffic::replay::{Dataset, Summary};

/// The busiest stretch of the recording takes this share of the largest fleet, where nobody says what an instance can serve.
const BUSY: f64 = 0.6;

/// Requests that are simulated for each contender, where nobody says how many runs there are: some ten CPU seconds. At least three runs: an interval of two says nothing.
const REQUESTS: f64 = 20_000_000.0;

/// The recording, and who is compared on it.
pub struct Recorded {
    /// Kept for as long as the recording is read.
    _files: Files,
    /// Holds the assumed system where nothing is to be left behind.
    _aside: Option<TempDir>,
    /// The override that puts the recording in the place of a scenario's traffic.
    pub replay: String,
    /// The scenario of the system.
    pub scenario: PathBuf,
    /// Files of policies that the program brings along.
    pub usual: Vec<PathBuf>,
    /// Runs that take about as long as a person waits.
    pub runs: u32,
}

/// Reads the recording, and writes the system into the folder `out` where `args` have none; `None`: nowhere where it stays.
pub fn recorded(args: &CompareArgs, out: Option<&Path>) -> Result<Option<Recorded>, Failure> {
    if args.traffic.is_empty() {
        return Ok(None);
    }
    let files = Files::of(&args.traffic)?;
    let dataset = Dataset::open_all(&files.paths, &plain_options()).or_bad_input()?;
    let summary = dataset.summary();
    let replay = replayed(&files.paths);
    let runs = (REQUESTS / summary.requests.max(1.0)).clamp(3.0, f64::from(super::RUNS)) as u32;
    let mut aside = None;
    let (scenario, usual) = match (args.contenders.as_slice(), out) {
        ([one], _) => (one.clone(), Vec::new()),
        ([], Some(out)) => assumed(args, summary, &replay, (out, true))?,
        ([], None) => {
            let folder = TempDir::with_prefix("wavetank-").context("cannot keep the system").or_run_failed()?;
            let assumed = assumed(args, summary, &replay, (folder.path(), false))?;
            aside = Some(folder);
            assumed
        }
        (several, _) => {
            return Err(anyhow!("--traffic plays on one scenario, found {}", several.len())).or_bad_input();
        }
    };
    Ok(Some(Recorded {
        _files: files,
        _aside: aside,
        replay: format!("traffic={{ replay = {replay} }}"),
        scenario,
        usual,
        runs,
    }))
}

/// A system behind the recording, and policies to compare a single one with.
fn assumed(
    args: &CompareArgs,
    summary: &Summary,
    replay: &str,
    (out, stays): (&Path, bool),
) -> Result<(PathBuf, Vec<PathBuf>), Failure> {
    let Some(first) = args.policies.first() else {
        return Err(anyhow!(
            "--traffic needs something to play on: a scenario of the system, or --policy FILE, or both"
        ))
        .or_bad_input();
    };
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())).or_run_failed()
    };
    // What the policies allow is known once they were read beside some system, whichever.
    let mut most = 1;
    let mut least = u32::MAX;
    let recording = args.traffic[0].file_name().unwrap_or_default().to_string_lossy();
    let recording = folder_name(recording.split('.').next().unwrap_or_default());
    let aside = TempDir::with_prefix("wavetank-").context("cannot keep a scenario").or_run_failed()?;
    let some = aside.path().join("system.toml");
    write(&some, &system(&System { recording: &recording, rps: 10.0, workers: 1, initial: 1, why: "", replay }))?;
    for policy in &args.policies {
        let read = scenario::load_with_policy(&some, policy, &args.overrides).or_bad_input()?;
        let autoscaler =
            read.autoscaler.with_context(|| format!("{}: no policy", policy.display())).or_bad_input()?;
        most = most.max(autoscaler.max);
        least = least.min(autoscaler.min);
    }
    let name = first.file_name().unwrap_or(first.as_os_str()).to_string_lossy();
    let (rps, why) = match args.instance_rps {
        Some(rps) => (rps, "as --instance-rps says".to_string()),
        None => (
            summary.peak_rps / (BUSY * f64::from(most)),
            format!(
                "so that the peak of {:.1}/s takes {:.0} % of the {most} instances that {} allow{}: --instance-rps would say it",
                summary.peak_rps,
                BUSY * 100.0,
                if args.policies.len() == 1 { &*name } else { "the policies" },
                if args.policies.len() == 1 { "s" } else { "" },
            ),
        ),
    };
    let rps = if rps > 0.0 { rps } else { 1.0 };
    let seconds = summary.recorded_answers.took.as_ref().map_or(0.05, |took| (took.mean() / 1e6).max(1e-4));
    let workers = (rps * seconds).round().clamp(1.0, 1e6) as u32;
    let early = summary.bins.counts().take(5).sum::<f64>()
        / (summary.bins.width().as_secs_f64() * summary.bins.counts().len().clamp(1, 5) as f64);
    let initial = (early / (BUSY * rps)).ceil().clamp(f64::from(least.max(1)), f64::from(most)) as u32;
    let system = System { recording: &recording, rps, workers, initial, why: &why, replay };
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot make the folder {}", out.display()))
        .or_bad_input()?;
    let path = out.join("system.toml");
    write(&path, &self::system(&system))?;
    eprintln!("assumed: an instance serves {rps:.2} requests/s, {why}");
    if stays {
        eprintln!("assumed: the rest is in {}; edit it, and give it as the scenario", path.display());
    }
    let mut usual = Vec::new();
    if args.policies.len() == 1 {
        for (name, policy) in others(least, most, workers) {
            let path = out.join(name).with_extension("toml");
            write(&path, &policy)?;
            usual.push(path);
        }
    }
    Ok((path, usual))
}

/// What is assumed.
struct System<'a> {
    /// What the scenario is called.
    recording: &'a str,
    /// Requests per second that an instance serves at most.
    rps: f64,
    workers: u32,
    initial: u32,
    why: &'a str,
    replay: &'a str,
}

/// The scenario of it.
fn system(system: &System) -> String {
    let &System { recording, rps, workers, initial, why, replay } = system;
    let mean = f64::from(workers) / rps * 1e6;
    format!(
        "# The system that `wavetank compare --traffic` assumed. Correct what you know better, and give this file as the scenario.\n\
         [scenario]\nname = \"{recording}\"\n\n\
         [traffic]\nreplay = {}\n\n\
         [clients]\ntimeout = \"10s\"\n\n\
         [service]\n\
         # {rps:.2} requests/s at most, {why}.\n\
         workers = {workers}\nqueue = {}\n\
         time = {{ dist = \"lognormal\", mean = \"{mean:.0}us\", sigma = 0.6 }}\n\n\
         [fleet]\n\
         # Enough for how the recording begins.\n\
         initial = {initial}\n\
         boot = {{ dist = \"lognormal\", mean = \"60s\", sigma = 0.3 }}\n\
         # For policies that look at memory.\n\
         memory = {{ base = \"300MB\", per_request = \"10MB\", limit = \"1GB\" }}\n\n\
         # The policies that are compared take the place of this one.\n\
         [autoscaler]\nmin = 1\nmax = 1000\n",
        replay,
        workers.saturating_mul(10),
    )
}

/// What people usually run, within the same bounds.
fn others(min: u32, max: u32, workers: u32) -> [(&'static str, String); 4] {
    let section = |min: u32, lines: &str| format!("[autoscaler]\nmin = {min}\nmax = {max}\n{lines}");
    let at_least = min.max(1).min(max);
    [
        ("hpa-cpu-80", section(at_least, "scale_down_guards = false\n\n[[autoscaler.policy]]\nkind = \"hpa\"\n")),
        (
            "target-tracking-60",
            section(
                at_least,
                "scale_down_guards = false\n\n[[autoscaler.policy]]\nkind = \"aws_target_tracking\"\nmetric = \"cpu_utilization\"\n\
                 target = 60\n",
            ),
        ),
        (
            "knative",
            section(
                min,
                &format!(
                    "scale_down_guards = false\nmetrics = {{ window = \"6s\", scrape = \"2s\" }}\n\n[[autoscaler.policy]]\nkind = \"kpa\"\n\
                     container_concurrency = {workers}\n"
                ),
            ),
        ),
        (
            "step-scaling",
            section(
                at_least,
                "scale_down_guards = false\n\n[[autoscaler.policy]]\nkind = \"step\"\nname = \"out\"\n\
                 alarm = { metric = \"cpu_utilization\", operator = \"gte\", threshold = 70, evaluation_periods = 2 }\n\
                 adjustment_type = \"percent_change_in_capacity\"\nmin_adjustment_magnitude = 1\n\
                 steps = [{ lower = 0, upper = 15, adjustment = 10 }, { lower = 15, adjustment = 30 }]\n\n\
                 [[autoscaler.policy]]\nkind = \"step\"\nname = \"in\"\n\
                 alarm = { metric = \"cpu_utilization\", operator = \"lte\", threshold = 40, evaluation_periods = 10 }\n\
                 steps = [{ upper = 0, adjustment = -1 }]\n",
            ),
        ),
    ]
}

/// What this build reads recordings with.
pub fn with_tables(scenario: &mut scenario::Scenario) {
    if let scenario::Traffic::Replay { recording, .. } = &mut scenario.traffic {
        recording.options.tables = tables();
    }
}
