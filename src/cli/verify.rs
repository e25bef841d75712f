//! `wavetank verify`: the same scenario simulated, and live again and again, side by side.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, anyhow};

use super::args::VerifyArgs;
use super::dataset::quoted;
use super::exit::{Exit, Failure, OrExit};
use super::live::{Runner, Witnessed, simulated_only};
use super::run::{Stopwatch, check_length, experiment_of, stop_on_ctrl_c};
use crate::record::Run;
use crate::record::run::Ended;
use crate::report::verdict::millis;
use crate::report::{Mode, RunInfo};
use crate::scenario::{self, Scenario};
use crate::sim::{Monitor, Plan};
use crate::units::Span;
use crate::verify::{self, Trial, Verdict, Verification};

/// One of those to verify, before anything has run.
struct Entry {
    path: PathBuf,
    name: String,
    plan: Plan,
}

/// The same with its runs.
struct Ready {
    entry: Entry,
    notes: Vec<String>,
    sim: (Vec<Run>, RunInfo),
    live: (Vec<Run>, RunInfo),
}

/// Verifies.
pub fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    // Every scenario is read before the first one runs: a typo in the last costs a second, not an hour.
    let entries = args.scenarios.iter().map(|path| entry(path, args)).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    for entry in &entries {
        if !names.insert(entry.name.as_str()) {
            let problem = anyhow!("{}: another scenario is called {:?}, too", entry.path.display(), entry.name);
            return Err(problem).or_bad_input();
        }
    }
    let write_files = args.out.is_some() || !args.json;
    let out = args.out.clone().unwrap_or_else(|| match entries.as_slice() {
        [only] => Path::new("reports").join(format!("{}-verify", only.name)),
        _ => Path::new("reports").join("verify"),
    });
    if write_files {
        let make = std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()));
        make.or_bad_input()?;
    }
    let monitor = stop_on_ctrl_c();
    let runner = Runner::new(Arc::clone(&monitor))?;
    let mut ready = Vec::new();
    for entry in entries {
        if monitor.stop.load(Ordering::Relaxed) {
            break;
        }
        ready.extend(both_worlds(entry, args, &runner, &monitor)?);
    }
    let was_stopped = monitor.stop.load(Ordering::Relaxed);
    if ready.is_empty() {
        return Err(anyhow!("stopped before any scenario had two live runs to compare")).or_run_failed();
    }
    let trials: Vec<Trial> = ready.iter().map(|ready| trial(ready, args)).collect();
    let mut notes: Vec<String> = args.note.iter().cloned().collect();
    notes.push(format!("measured on {} with {} cores", super::run::host(), cores()));
    if was_stopped {
        notes.push(format!("stopped early: {} of {} scenarios", trials.len(), args.scenarios.len()));
    }
    let verification = Verification { trials, notes };
    if write_files {
        verify::write(&verification, &out).or_run_failed()?;
    }
    let mut stdout = std::io::stdout().lock();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A closed pipe is the reader's choice, not a failure.
    let _ = if args.json {
        stdout.write_all(verify::json(&verification).as_bytes())
    } else {
        let text = verify::console(&verification, color);
        write!(stdout, "{text}\nVerification: {}\n", out.join("verify.html").display())
    };
    Ok(match verification.verdict() {
        Verdict::Beyond => Exit::GateFailed,
        Verdict::Machine => Exit::Inconclusive,
        _ if was_stopped => Exit::Inconclusive,
        Verdict::Within | Verdict::Nothing => Exit::Done,
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn entry(path: &Path, args: &VerifyArgs) -> Result<Entry, Failure> {
    let mut scenario = scenario::load(path, &args.overrides).or_bad_input()?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    scenario.replications = 1;
    Runner::check(&scenario).with_context(|| path.display().to_string()).or_bad_input()?;
    let name = super::run::folder_name(&scenario.name);
    let plan = Plan::new(scenario).or_bad_input()?;
    check_length(&plan).or_bad_input()?;
    Ok(Entry { path: path.to_path_buf(), name, plan })
}

/// Plays a scenario in virtual time once, and live as often as is asked; `None` if it was stopped before two live runs had come to their
/// ends.
fn both_worlds(
    mut entry: Entry,
    args: &VerifyArgs,
    runner: &Runner,
    monitor: &Monitor,
) -> Result<Option<Ready>, Failure> {
    let seed = entry.plan.scenario().seed;
    let mut notes = Vec::new();
    let stopwatch = Stopwatch::start();
    let mut simulated = entry.plan.run(seed, monitor).or_run_failed()?;
    if args.calibrate_overhead
        && let Some(overhead) = overhead(&entry, args, runner, monitor)?
    {
        let mut scenario = entry.plan.scenario().clone();
        scenario.service.overhead += overhead;
        notes.push(format!(
            "the simulator takes {} on the way, as a live run did that is not among those compared",
            millis(scenario.service.overhead.as_millis_f64())
        ));
        entry.plan = Plan::new(scenario).or_bad_input()?;
        simulated = entry.plan.run(seed, monitor).or_run_failed()?;
    }
    let sim = (vec![simulated], stopwatch.stop(1));
    let stopwatch = Stopwatch::start();
    let (mut runs, mut others) = (Vec::new(), Vec::new());
    for i in 1..=args.repetitions {
        if monitor.stop.load(Ordering::Relaxed) {
            break;
        }
        eprintln!("{}: live, {i} of {}, {}", entry.name, args.repetitions, entry.plan.duration());
        let Witnessed { run, machine, .. } = live(&entry, entry.plan.scenario().clone(), args, runner)?;
        if run.ended == Ended::Completed {
            runs.push(run);
            others.extend(machine.during.filter(|_| !machine.instances_are_others).map(|during| during.others));
        }
    }
    if !others.is_empty() {
        let mean = others.iter().sum::<f64>() / others.len() as f64;
        notes.push(format!("others took {:.0} % of this machine while it ran live", mean * 100.0));
    }
    let live = (runs, stopwatch.stop(cores()));
    Ok((live.0.len() >= 2).then_some(Ready { entry, notes, sim, live }))
}

/// What live requests spend on their way beyond simulated ones, by a run without faults and retries, in which that is all there is beside
/// waiting and service; `None` if it cannot be told.
fn overhead(entry: &Entry, args: &VerifyArgs, runner: &Runner, monitor: &Monitor) -> Result<Option<Span>, Failure> {
    let mut calm = entry.plan.scenario().clone();
    calm.faults.clear();
    calm.clients.retry = None;
    eprintln!("{}: live, for the overhead, {}", entry.name, entry.plan.duration());
    let run = live(entry, calm.clone(), args, runner)?.run;
    if run.ended != Ended::Completed {
        return Ok(None);
    }
    let seed = calm.seed;
    let simulated = Plan::new(calm).or_bad_input()?.run(seed, monitor).or_run_failed()?;
    Ok(verify::overhead(&run, &simulated))
}

/// Plays `scenario` live once.
fn live(entry: &Entry, scenario: Scenario, args: &VerifyArgs, runner: &Runner) -> Result<Witnessed, Failure> {
    let seed = scenario.seed;
    runner.run(scenario, (entry.path.clone(), args.overrides.clone()), seed)
}

fn trial<'a>(ready: &'a Ready, args: &VerifyArgs) -> Trial<'a> {
    let Ready { entry, notes, sim, live } = ready;
    let (scenario, duration) = (entry.plan.scenario(), entry.plan.duration());
    let mut command = format!("wavetank verify {}", quoted(&entry.path));
    command.extend(args.overrides.iter().map(|each| format!(" --set '{each}'")));
    if args.calibrate_overhead {
        command.push_str(" --calibrate-overhead");
    }
    command.push_str(&format!(" --repetitions {} --seed {}", args.repetitions, scenario.seed));
    let of = |(runs, info): &'a (Vec<Run>, RunInfo), mode| {
        let mut experiment = experiment_of(scenario, duration, runs, command.clone(), info.clone());
        experiment.mode = mode;
        experiment
    };
    let mut notes = notes.clone();
    let left_out = simulated_only(scenario, &scenario.live.clone().unwrap_or_default());
    notes
        .extend(left_out.iter().map(|what| format!("{what} is for the simulator only: nothing of it happened live")));
    Trial {
        name: entry.name.clone(),
        interval: scenario.autoscaler.as_ref().map(|autoscaler| autoscaler.interval),
        sim: of(sim, Mode::Sim),
        live: of(live, Mode::Live),
        notes,
    }
}
