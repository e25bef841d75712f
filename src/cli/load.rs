//! `wavetank load`: the arrivals of a scenario against a URL.
#![expect(clippy::disallowed_methods, reason = "whether a time to begin has passed is known by the clock")]

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::args::LoadArgs;
use super::exit::{Exit, Failure, OrExit};
use super::run::{Stopwatch, experiment_of, folder_name, print_report};
use super::serve::runtime;
use super::{dataset, shares};
use crate::load::attack::{self, Attack, Outcome, Settings};
use crate::load::client::Manner;
use crate::load::schedule::{Plan, Share};
use crate::load::stop::Stop;
use crate::load::target::Target;
use crate::load::tls::Trust;
use crate::record::generator::{Fault, MOST_SHARES};
use crate::record::run::Ended;
use crate::report::{self, Mode};
use crate::scenario::load::Pace;
use crate::scenario::{self, Traffic};

/// Sends a scenario's arrivals, and writes the report.
pub fn load(args: &LoadArgs) -> Result<Exit, Failure> {
    let target = Target::new(&args.target, args.i_own_this_target).or_bad_input()?;
    let share = args.shard.as_deref().map(shares::share).transpose().or_bad_input()?;
    let share = share.map(|share| Share { index: share.index, of: share.of });
    if let Some(share) = share.filter(|share| share.of > MOST_SHARES) {
        return Err(anyhow!("--shard: found {} shares, expected at most {MOST_SHARES}", share.of)).or_bad_input();
    }
    let mut scenario = scenario::load(&args.scenario, &args.overrides).or_bad_input()?;
    if let Traffic::Replay { recording, .. } = &mut scenario.traffic {
        recording.options.tables = dataset::tables();
    }
    let seed = args.seed.unwrap_or(scenario.seed);
    if let Some(at) = args.start_at
        && at < jiff::Timestamp::now()
    {
        let now = jiff::Timestamp::now();
        return Err(anyhow!("--start-at: {at} has passed (it is {now:.0}), expected a time to come")).or_bad_input();
    }
    let plan = Plan::new(scenario).or_bad_input()?;
    let load = &plan.scenario().load;
    let pool = args.pool.unwrap_or(load.pool);
    let settings = Settings {
        target,
        seed,
        pool,
        share,
        manner: Manner { http: load.http, keep_alive: load.keep_alive, trust: trust(args) },
        connections: load.warm_connections(pool),
        pace: args.pace.unwrap_or(load.pace),
        start_at: args.start_at,
    };
    let attack = Attack::new(&plan, &settings).map_err(told)?;
    let workers = attack.workers();
    let write_files = args.out.is_some() || !args.json;
    let default = || Path::new("reports").join(folder_name(&format!("{}-load", plan.scenario().name)));
    let out = args.out.clone().unwrap_or_else(default);
    if write_files {
        let make = std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()));
        make.or_bad_input()?;
    }
    if let Some(dataset) = plan.dataset() {
        eprintln!("{}: {}", dataset::names(dataset), dataset.summary());
    }
    for left_out in plan.left_out() {
        eprintln!("note: nothing is done here for {left_out}");
    }
    eprintln!("sending to {} for {}", settings.target.base(), plan.duration());
    let stopwatch = Stopwatch::start();
    let outcome = runtime()?.block_on(until_told(attack))?;
    // The pacer sleeps, and whoever works are the runtime's threads.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    show(&plan, outcome, args, write_files.then_some(out.as_path()), stopwatch, (cores, workers))
}

fn trust(args: &LoadArgs) -> Trust {
    match &args.ca {
        _ if args.insecure => Trust::Anybody,
        Some(path) => Trust::Authorities(path.clone()),
        None => Trust::System,
    }
}

/// Sends until the end, or until a signal comes.
async fn until_told(attack: Attack) -> Result<Outcome, Failure> {
    let stop = Arc::new(Stop::default());
    // Before goose, whose second Ctrl-C would end the process without a report: only one handler is allowed. Some shells and CI runners
    // deliver two signals for one, so the second does nothing here; the first ends the run within seconds.
    let on_interrupt = Arc::clone(&stop);
    let tell = || eprintln!("\nstopping; the report will show what was measured");
    let handle = move || {
        if !on_interrupt.is_wished() {
            tell();
        }
        on_interrupt.stop();
    };
    ctrlc::set_handler(handle).context("cannot listen to Ctrl-C").or_run_failed()?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals").or_run_failed()?;
    let attacking = attack.run(&stop);
    tokio::pin!(attacking);
    let outcome = tokio::select! {
        outcome = &mut attacking => outcome,
        _ = terminate.recv() => {
            tell();
            stop.stop();
            attacking.await
        }
    };
    outcome.map_err(told)
}

/// What cannot be sent is bad input where the input says it, else a failed run.
fn told(error: attack::Error) -> Failure {
    let exit = match error {
        attack::Error::Schedule(_) | attack::Error::Client(_) => Exit::BadInput,
        attack::Error::Goose(_) | attack::Error::Panic(_) | attack::Error::EndedEarly | attack::Error::Thread(_) => {
            Exit::RunFailed
        }
    };
    Failure { exit, source: error.into() }
}

fn show(
    plan: &Plan,
    outcome: Outcome,
    args: &LoadArgs,
    out: Option<&Path>,
    stopwatch: Stopwatch,
    (cores, workers): (usize, u32),
) -> Result<Exit, Failure> {
    let info = stopwatch.stop(cores);
    let Outcome { mut run, sent, by_goose, prepared, began, trouble } = outcome;
    if let Some(generator) = &mut run.generator {
        // Next to nothing is done before the first moment of the run, however long that is waited for.
        let sending = (info.wall_seconds - prepared.as_secs_f64()).max(1e-9);
        generator.cpu = info.cpu_seconds.map(|cpu| cpu / (sending * cores as f64));
    }
    let mut faults = run.generator.as_ref().map(|generator| generator.faults()).unwrap_or_default();
    // A share alone decides nothing, and that is as it should be.
    faults.retain(|fault| *fault != Fault::SharesMissing);
    let lost = matches!(run.ended, Ended::TrafficLost { .. });
    let (scenario, seed, runs) = (plan.scenario(), run.seed, [run]);
    let mut experiment = experiment_of(scenario, plan.duration(), &runs, command(args), info);
    (experiment.mode, experiment.seed) = (Mode::Live, seed);
    experiment.notes.push(match &scenario.traffic {
        Traffic::Closed(_) => format!("load sent to {} by {workers} users who wait for answers", args.target),
        _ => format!("load sent to {} by a pool of {workers} workers", args.target),
    });
    if let Some((date, late)) = &began {
        let began = format!("began {date}, {:.3} ms after the time it was to", late.as_secs_f64() * 1e3);
        eprintln!("{began}");
        experiment.notes.push(began);
    }
    if let Some(trouble) = trouble {
        let trouble = format!("a connection could not be made: {trouble}");
        eprintln!("warning: {trouble}");
        experiment.notes.push(trouble);
    }
    experiment.notes.extend(args.shard.iter().map(|shard| format!("share {shard} of the arrivals")));
    experiment.notes.extend(plan.left_out().map(|what| format!("nothing was done for {what}")));
    experiment.notes.extend(args.note.clone());
    if by_goose != Some(sent) {
        let differ = format!("two accounts of this run differ, ours and that of goose: {sent:?}, {by_goose:?}");
        eprintln!("warning: {differ}");
        experiment.notes.push(differ);
    }
    if let Some(out) = out {
        report::write(&experiment, out).or_run_failed()?;
    }
    print_report(&experiment, out, args.json);
    Ok(match (lost, faults.is_empty()) {
        (true, _) => Exit::RunFailed,
        (false, false) => Exit::Inconclusive,
        (false, true) => Exit::Done,
    })
}

/// The command as it would be typed again.
fn command(args: &LoadArgs) -> String {
    let mut text = format!("wavetank load --target {} {}", args.target, dataset::quoted(&args.scenario));
    if args.i_own_this_target {
        text.push_str(" --i-own-this-target");
    }
    if args.insecure {
        text.push_str(" --insecure");
    }
    let pace = args.pace.and_then(|pace| Pace::ALL.iter().find(|(_, each)| *each == pace));
    for (name, value) in [
        ("ca", args.ca.as_deref().map(dataset::quoted)),
        ("pool", args.pool.map(|pool| pool.to_string())),
        ("pace", pace.map(|(name, _)| name.to_string())),
        ("shard", args.shard.clone()),
        ("seed", args.seed.map(|seed| seed.to_string())),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(" --{name} {value}"));
        }
    }
    for each in &args.overrides {
        text.push_str(&format!(" --set '{each}'"));
    }
    text
}
