//! `wavetank load`: the arrivals of a scenario against a URL.
#![expect(clippy::disallowed_methods, reason = "whether a time to begin has passed is known by the clock")]

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, anyhow};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::args::{LoadArgs, TargetArgs};
use super::exit::{Exit, Failure, OrExit};
use super::host::Witness;
use super::run::{Stopwatch, experiment_of, folder_name, print_report};
use super::serve::runtime;
use super::{dataset, shares};
use crate::gate::disturbance::Machine;
use crate::load::attack::{self, Attack, Outcome, Settings};
use crate::load::client::Manner;
use crate::load::schedule::{Plan, Share};
use crate::load::stop::Stop;
use crate::load::target::Target;
use crate::load::tls::Trust;
use crate::record::generator::{Fault, Generator, MOST_SHARES};
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
    let mut settings = settings(&plan, target, seed, args.pool, trust(args.ca.as_deref(), args.insecure));
    (settings.share, settings.start_at) = (share, args.start_at);
    settings.pace = args.pace.unwrap_or(settings.pace);
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
    let stop = stop_on_ctrl_c()?;
    let outcome = runtime()?.block_on(until_told(attack, &stop))?;
    // The pacer sleeps, and whoever works are the runtime's threads.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    show(&plan, outcome, args, write_files.then_some(out.as_path()), stopwatch, (cores, workers))
}

/// Whose certificates are believed.
fn trust(ca: Option<&Path>, insecure: bool) -> Trust {
    match ca {
        _ if insecure => Trust::Anybody,
        Some(path) => Trust::Authorities(path.to_path_buf()),
        None => Trust::System,
    }
}

/// How a plan is sent as its scenario says; `pool` takes the place of the scenario's.
fn settings(plan: &Plan, target: Target, seed: u64, pool: Option<u32>, trust: Trust) -> Settings {
    let load = &plan.scenario().load;
    let pool = pool.unwrap_or(load.pool);
    Settings {
        target,
        seed,
        pool,
        share: None,
        manner: Manner { http: load.http, keep_alive: load.keep_alive, trust },
        connections: load.warm_connections(pool),
        pace: load.pace,
        start_at: None,
    }
}

/// The wish to stop that Ctrl-C makes, for all runs of this process.
///
/// Before goose, whose second Ctrl-C would end the process without a report: only one handler is allowed. Some shells and CI runners deliver
/// two signals for one, so the second does nothing here; the first ends the run within seconds.
fn stop_on_ctrl_c() -> Result<Arc<Stop>, Failure> {
    static STOP: OnceLock<Arc<Stop>> = OnceLock::new();
    if let Some(stop) = STOP.get() {
        return Ok(Arc::clone(stop));
    }
    let stop = Arc::new(Stop::default());
    let on_interrupt = Arc::clone(&stop);
    ctrlc::set_handler(move || tell_to_stop(&on_interrupt)).context("cannot listen to Ctrl-C").or_run_failed()?;
    Ok(Arc::clone(STOP.get_or_init(|| stop)))
}

fn tell_to_stop(stop: &Stop) {
    if !stop.is_wished() {
        eprintln!("\nstopping; the report will show what was measured");
    }
    stop.stop();
}

/// Sends until the end, or until a signal comes.
async fn until_told(attack: Attack, stop: &Arc<Stop>) -> Result<Outcome, Failure> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals").or_run_failed()?;
    let attacking = attack.run(stop);
    tokio::pin!(attacking);
    let outcome = tokio::select! {
        outcome = &mut attacking => outcome,
        _ = terminate.recv() => {
            tell_to_stop(stop);
            attacking.await
        }
    };
    outcome.map_err(told)
}

/// Whoever sends load to targets, one run after the other, each under a witness.
pub(super) struct Sender {
    runtime: Runtime,
    /// Set by Ctrl-C.
    pub stop: Arc<Stop>,
    target: Target,
    pool: Option<u32>,
    trust: Trust,
}

/// A run, and what its witnesses say.
pub(super) struct Sent {
    /// What it left behind.
    pub outcome: Outcome,
    /// How well it was sent.
    pub generator: Generator,
    /// What this machine did meanwhile.
    pub machine: Machine,
}

impl Sender {
    /// Sends to the target of a URL.
    pub fn new(url: &str, args: &TargetArgs) -> Result<Sender, Failure> {
        let target = Target::new(url, args.i_own_this_target).or_bad_input()?;
        let trust = trust(args.ca.as_deref(), args.insecure);
        Ok(Sender { runtime: runtime()?, stop: stop_on_ctrl_c()?, target, pool: args.pool, trust })
    }

    /// Waits for something else.
    pub fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// Sends the arrivals of a plan, while something is done `beside` that.
    pub fn run(
        &self,
        plan: &Plan,
        seed: u64,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Sent, Failure> {
        let settings = settings(plan, self.target.clone(), seed, self.pool, self.trust.clone());
        let attack = Attack::new(plan, &settings).map_err(told)?;
        let witness = Witness::call();
        let outcome = self.runtime.block_on(async {
            let beside = tokio::spawn(beside);
            let outcome = until_told(attack, &self.stop).await;
            beside.abort();
            outcome
        })?;
        // Whatever answers on this machine is somebody else by our account.
        let (machine, cpu) = witness.asked(true, outcome.prepared);
        let generator = Generator { cpu, ..outcome.run.generator.clone().unwrap_or_default() };
        Ok(Sent { outcome, generator, machine })
    }
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
    let Outcome { mut run, sent, by_goose, prepared, began, trouble, .. } = outcome;
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
