//! `wavetank sim` and `wavetank replay`: run, write, show.
#![expect(clippy::disallowed_methods, reason = "a report says when it was made and how long that took")]

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::time::Instant;

use anyhow::{Context, anyhow};
use cpu_time::ProcessTime;

use super::args::{ReplayArgs, RunArgs, SimArgs};
use super::dataset::{self, quoted};
use super::exit::{Exit, Failure, OrExit};
use super::progress::Progress;
use super::shares;
use super::stand_in::{self, Meeting};
use crate::engine::autoscaler;
use crate::engine::metrics::Metric;
use crate::record::Run;
use crate::record::fidelity::Fidelity;
use crate::record::latency::Latency;
use crate::record::run::Ended;
use crate::report::{self, Experiment, Mode, RecordedService, RunInfo, Threshold};
use crate::scenario::{self, Scenario, Traffic};
use crate::sim::replicate::replicate;
use crate::sim::{Monitor, Plan};
use crate::traffic::replay::Dataset;
use crate::units::Span;

/// Runs scenarios one after the other.
pub fn sim(args: SimArgs) -> Result<Exit, Failure> {
    // Every scenario is read before the first one runs: a typo in the last costs a second, not an hour.
    let scenarios = args
        .scenarios
        .iter()
        .map(|path| scenario::load(path, &args.run.overrides))
        .collect::<Result<Vec<_>, _>>()
        .or_bad_input()?;
    if let Some(system) = args.cluster.job {
        return shares::on_cluster(&args, &scenarios, system);
    }
    let share = args.shard.as_deref().map(shares::share).transpose().or_bad_input()?;
    if let (None, Some(place)) = (share, &args.results) {
        return Err(anyhow!("--results {place}: which share leaves its runs there? --shard I/N, or --job"))
            .or_bad_input();
    }
    let mut exit = Exit::Done;
    let several = scenarios.len() > 1;
    for (scenario, path) in scenarios.into_iter().zip(&args.scenarios) {
        let out = args.run.out.clone().map(|out| if several { out.join(&scenario.name) } else { out });
        let command = format!("wavetank sim {}{}", quoted(path), shown(&args.run));
        let plan = Plan::new(told(scenario, &args.run)).or_bad_input()?.with_fidelity(fidelity(&args.run));
        let worst = match (share, &args.results) {
            (Some(share), Some(place)) => shares::play(&plan, &args, path, command, share, place)?,
            _ => run(&plan, command, out, &args.run, false, None)?,
        };
        exit = if worst == Exit::Done { exit } else { worst };
    }
    Ok(exit)
}

/// Runs a scenario under recorded traffic.
pub fn replay(args: ReplayArgs) -> Result<Exit, Failure> {
    // Told by the names of the flags; what the scenario says of the same keys names its own.
    dataset::options(&args.dataset).or_bad_input()?;
    let files = dataset::Files::new(&args.dataset)?;
    let mut keys = dataset::toml(&args.dataset, &files.paths);
    let mut command = format!("wavetank replay {}", dataset::shown(&args.dataset));
    if let Some(scenario) = &args.scenario {
        command.push_str(&format!(" --scenario {}", quoted(scenario)));
    }
    let numbers = [("speed", args.speed), ("scale", args.scale), ("repeat", args.repeat.map(f64::from))];
    for (key, value) in numbers {
        if let Some(value) = value {
            let whole = key == "repeat";
            keys.push_str(&if whole { format!(", {key} = {value}") } else { format!(", {key} = {value:?}") });
            command.push_str(&format!(" --{key} {value}"));
        }
    }
    if let Some(demand) = &args.demand {
        keys.push_str(&format!(", demand = {}", toml_edit::Value::from(demand.as_str())));
        command.push_str(&format!(" --demand {}", quoted(Path::new(demand))));
    }
    if let Some(duration) = args.duration {
        command.push_str(&format!(" --for {duration}"));
    }
    if args.compare_recorded {
        command.push_str(" --compare-recorded");
    }
    command.push_str(&shown(&args.run));
    let Some(path) = &args.scenario else {
        let Meeting { mut scenario, dataset, text } =
            stand_in::meet(&keys, args.scale.is_some(), &args.run.overrides)?;
        eprintln!("{}", scenario.description);
        scenario.duration = args.duration;
        let plan = Plan::with(told(scenario, &args.run), Some(dataset)).with_fidelity(fidelity(&args.run));
        return run(&plan, command, args.run.out.clone(), &args.run, args.compare_recorded, Some(&text));
    };
    let mut overrides = args.run.overrides.clone();
    overrides.insert(0, format!("traffic={{ replay = {{ {keys} }} }}"));
    let mut scenario = scenario::load(path, &overrides).or_bad_input()?;
    scenario.duration = args.duration;
    let plan = Plan::new(told(scenario, &args.run)).or_bad_input()?.with_fidelity(fidelity(&args.run));
    run(&plan, command, args.run.out.clone(), &args.run, args.compare_recorded, None)
}

fn fidelity(args: &RunArgs) -> Fidelity {
    args.fidelity.unwrap_or_default()
}

/// A scenario with what the flags say of every run.
fn told(mut scenario: Scenario, args: &RunArgs) -> Scenario {
    if let Traffic::Replay { recording, .. } = &mut scenario.traffic {
        recording.options.tables = dataset::tables();
    }
    for note in &scenario.import_notes {
        eprintln!("not carried over, or not quite: {note}");
    }
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    scenario.replications = args.replications.unwrap_or(scenario.replications);
    scenario
}

/// The options that change what is simulated, as they would be typed again.
fn shown(args: &RunArgs) -> String {
    words(args).iter().map(|word| format!(" {}", quoted(Path::new(word)))).collect()
}

/// The same, word by word.
pub(super) fn words(args: &RunArgs) -> Vec<String> {
    let mut words = Vec::new();
    let mut add = |flag: &str, value: String| words.extend([flag.to_string(), value]);
    args.overrides.iter().for_each(|each| add("--set", each.clone()));
    args.replications.iter().for_each(|n| add("--replications", n.to_string()));
    args.seed.iter().for_each(|seed| add("--seed", seed.to_string()));
    args.fidelity.iter().for_each(|fidelity| add("--fidelity", fidelity.name().to_string()));
    words
}

fn run(
    plan: &Plan,
    command: String,
    out: Option<PathBuf>,
    args: &RunArgs,
    compare_recorded: bool,
    stand_in: Option<&str>,
) -> Result<Exit, Failure> {
    check_length(plan).or_bad_input()?;
    if compare_recorded && plan.dataset().and_then(recorded).is_none() {
        return Err(anyhow!("--compare-recorded: the recording has neither response times nor status codes"))
            .or_bad_input();
    }
    let telling = Telling { out, json: args.json, note: args.note.as_deref(), compare_recorded, stand_in };
    // Before the run: a folder that cannot be had costs a second, not an hour. After the input: what cannot be used leaves
    // nothing behind.
    telling.folder(plan)?;
    if let Some(dataset) = plan.dataset() {
        eprintln!("{}: {}", dataset::names(dataset), dataset.summary());
    }
    let replications = plan.scenario().replications;
    let (runs, info) = timed(plan, args.threads, |monitor| replicate(plan, replications, monitor))?;
    tell(plan, &runs, command, info, &telling)
}

/// How a report is told.
#[derive(Debug, Default)]
pub(super) struct Telling<'a> {
    /// The folder for it; `None`: one of its own, or none with `json`.
    pub out: Option<PathBuf>,
    /// Whether it is printed as JSON.
    pub json: bool,
    /// What the user notes.
    pub note: Option<&'a str>,
    /// Whether it is compared with what was recorded.
    pub compare_recorded: bool,
    /// The scenario that stood in for one of the user's.
    pub stand_in: Option<&'a str>,
}

impl Telling<'_> {
    /// The folder for the report of a run of `plan`, which is there then; `None` if nothing is written.
    fn folder(&self, plan: &Plan) -> Result<Option<PathBuf>, Failure> {
        let own = || (!self.json).then(|| Path::new("reports").join(folder_name(&plan.scenario().name)));
        let Some(out) = self.out.clone().or_else(own) else { return Ok(None) };
        std::fs::create_dir_all(&out)
            .with_context(|| format!("cannot make the folder {}", out.display()))
            .or_bad_input()?;
        Ok(Some(out))
    }
}

/// Writes the report of runs, and shows it.
pub(super) fn tell(
    plan: &Plan,
    runs: &[Run],
    command: String,
    info: RunInfo,
    telling: &Telling,
) -> Result<Exit, Failure> {
    let mut experiment = experiment(plan, runs, command, info, telling.note);
    experiment.compare_recorded = telling.compare_recorded;
    let out = telling.folder(plan)?;
    if let Some(out) = &out {
        report::write(&experiment, out).or_run_failed()?;
        if let Some(text) = telling.stand_in {
            report::write_file(&out.join("scenario.toml"), text.as_bytes()).or_run_failed()?;
        }
        #[cfg(feature = "data")]
        super::tables::write(&experiment, out).or_run_failed()?;
    }
    print_report(&experiment, out.as_deref(), telling.json);
    let lost = runs.iter().any(|run| matches!(run.ended, Ended::TrafficLost { .. }));
    Ok(if lost { Exit::RunFailed } else { Exit::Done })
}

/// Prints `report.json` if that was asked for, else the report for people and where the whole of it is; nothing if it is nowhere.
pub(super) fn print_report(experiment: &Experiment, out: Option<&Path>, json: bool) {
    let mut stdout = std::io::stdout().lock();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A closed pipe is the reader's choice, not a failure.
    let _ = match out {
        _ if json => stdout.write_all(report::json(experiment).as_bytes()),
        Some(out) => {
            let text = report::console(experiment, 80, color);
            write!(stdout, "{text}\nReport: {}\n", out.join("report.html").display())
        }
        None => Ok(()),
    };
}

/// Plays replications of a plan on `threads` threads (`None`: all there are), shows how far they are, and takes the time.
pub(super) fn timed(
    plan: &Plan,
    threads: Option<u16>,
    play: impl FnOnce(&Monitor) -> Result<Vec<Run>, crate::traffic::replay::Error> + Send,
) -> Result<(Vec<Run>, RunInfo), Failure> {
    let stopwatch = Stopwatch::start();
    let monitor = stop_on_ctrl_c();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, usize::from)).build().or_run_failed()?;
    let runs = {
        let total = Span(plan.duration().0.saturating_mul(u64::from(plan.scenario().replications)));
        let _bar = Progress::watch(&monitor, total, &plan.scenario().name);
        pool.install(|| play(&monitor)).or_run_failed()?
    };
    let info = stopwatch.stop(pool.current_num_threads());
    Ok((runs, info))
}

/// When a run began, and how long it takes.
pub(super) struct Stopwatch {
    started: String,
    wall: Instant,
    cpu: ProcessTime,
}

impl Stopwatch {
    /// Starts.
    pub fn start() -> Stopwatch {
        Stopwatch { started: jiff::Timestamp::now().to_string(), wall: Instant::now(), cpu: ProcessTime::now() }
    }

    /// What the report tells of the run, which took `threads` threads.
    pub fn stop(self, threads: usize) -> RunInfo {
        RunInfo {
            wall_seconds: self.wall.elapsed().as_secs_f64(),
            cpu_seconds: Some(self.cpu.elapsed().as_secs_f64()),
            started: self.started,
            host: host(),
            version: env!("CARGO_PKG_VERSION").into(),
            threads,
        }
    }
}

/// What was run and what it left behind, with a note of the user's.
pub(super) fn experiment<'a>(
    plan: &'a Plan,
    runs: &'a [Run],
    command: String,
    info: RunInfo,
    note: Option<&str>,
) -> Experiment<'a> {
    let mut experiment = experiment_of(plan.scenario(), plan.duration(), runs, command, info);
    experiment.notes.extend(note.map(ToString::to_string));
    if let Some(dataset) = plan.dataset() {
        let names: Vec<_> =
            dataset.paths().iter().take(3).filter_map(|path| Some(path.file_name()?.to_string_lossy())).collect();
        experiment.notes.push(format!("traffic: {}, {}", names.join(", "), dataset.summary()));
    }
    experiment.recorded = plan.dataset().and_then(recorded);
    experiment
}

/// What was run, in whichever world, and what it left behind.
pub(super) fn experiment_of<'a>(
    scenario: &'a Scenario,
    duration: Span,
    runs: &'a [Run],
    command: String,
    info: RunInfo,
) -> Experiment<'a> {
    Experiment {
        name: &scenario.name,
        description: &scenario.description,
        digest: &scenario.digest,
        duration,
        warmup: scenario.warmup,
        seed: scenario.seed,
        slo: &scenario.slo,
        thresholds: scenario.autoscaler.as_ref().map(thresholds).unwrap_or_default(),
        price_per_hour: scenario.fleet.billing.price_per_hour,
        mode: Mode::Sim,
        runs,
        command,
        notes: Vec::new(),
        recorded: None,
        compare_recorded: false,
        info,
    }
}

/// What a policy acts on, for the charts.
fn thresholds(autoscaler: &autoscaler::Config) -> Vec<Threshold> {
    let of = |(rule, metric, sign, value): (&str, Metric, &str, f64)| Threshold {
        rule: rule.to_string(),
        metric: metric.name().to_string(),
        sign: sign.to_string(),
        value,
    };
    autoscaler.thresholds().into_iter().map(of).collect()
}

/// What a recording says about the answers that were given then; `None` if nothing.
fn recorded(dataset: &Dataset) -> Option<RecordedService> {
    let answers = &dataset.summary().recorded_answers;
    let latency = answers.took.as_ref().map(|took| {
        let mut latency = Latency::default();
        for each in took.iter_recorded() {
            latency.record_n(Span::from_micros(each.value_iterated_to()), each.count_at_value());
        }
        latency
    });
    let (answered, failed) = (answers.answered, answers.failed);
    (latency.is_some() || answered > 0).then_some(RecordedService { latency, answered, failed })
}

/// The longest traffic that is played. No log is as old; a wrong year costs more decisions than anybody waits for.
const LONGEST: Span = Span::from_secs(100 * 365 * 86_400);

pub(super) fn check_length(plan: &Plan) -> anyhow::Result<()> {
    let (duration, warmup) = (plan.duration(), plan.scenario().warmup);
    if duration.is_zero() {
        return Err(anyhow!("nothing to simulate: the traffic covers no time"));
    }
    if duration > LONGEST {
        let years = duration.as_secs_f64() / (365.0 * 86_400.0);
        return Err(anyhow!(
            "the traffic covers {years:.0} years, expected a hundred at most: a stamp is wrong, or --from, --to or --for cut it"
        ));
    }
    if warmup >= duration {
        return Err(anyhow!(
            "scenario.warmup is {warmup}, but the run lasts only {duration}: nothing would be measured"
        ));
    }
    Ok(())
}

/// A folder's name from a scenario's: no separators, nothing hidden.
pub(super) fn folder_name(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let safe = safe.trim_start_matches('.');
    if safe.is_empty() { "run".to_string() } else { safe.to_string() }
}

/// The monitor of the current run; the first Ctrl-C ends it early with a report, the second at once.
pub(super) fn stop_on_ctrl_c() -> Arc<Monitor> {
    static CURRENT: OnceLock<Mutex<Arc<Monitor>>> = OnceLock::new();
    static HANDLER: Once = Once::new();
    let monitor = Arc::new(Monitor::default());
    // The monitor comes before the handler: a Ctrl-C that comes at once has something to stop.
    let current = CURRENT.get_or_init(|| Mutex::new(Arc::clone(&monitor)));
    *current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&monitor);
    HANDLER.call_once(|| {
        // Without a handler Ctrl-C simply ends the program, as everywhere.
        let _ = ctrlc::set_handler(|| {
            let Some(current) = CURRENT.get() else { return };
            let monitor = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if monitor.stop.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("\nstopping; the report will show what was measured (Ctrl-C again to quit at once)");
        });
    });
    monitor
}

/// The name of this machine, where the system tells it.
pub(super) fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|name| name.trim().to_string());
    std::env::var("HOSTNAME").ok().or_else(|| read("/proc/sys/kernel/hostname")).unwrap_or_default()
}
