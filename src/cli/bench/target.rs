//! The benchmark of a stack that is not ours: load from outside, and a command that counts its instances.

use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::process::Command;

use super::{BenchOf, Measured, Stack, repeated};
use crate::bench::figure::Kind;
use crate::bench::observed::{self, Count, Observation};
use crate::bench::result::World;
use crate::cli::exit::{Failure, OrExit};
use crate::cli::host;
use crate::cli::load::{stop_on_ctrl_c, told, until_told};
use crate::cli::run::Stopwatch;
use crate::cli::serve::runtime;
use crate::gate::disturbance::{Machine, Tolerance, against};
use crate::live::clock::Clock;
use crate::load::attack::{Attack, Settings};
use crate::load::schedule::Plan;
use crate::load::stop::Stop;
use crate::load::target::Target;
use crate::scenario::Scenario;
use crate::sim::Monitor;
use crate::units::{Span, Time};

/// How often instances are counted.
const EVERY: Span = Span::from_secs(1);
/// How long a count may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a target has to be as it was, where nobody says.
const SETTLE: Span = Span::from_mins(10);

/// What can be seen of a target.
pub fn world(
    url: &str,
    stack: &Stack,
    args: &BenchOf,
    scenario: &Scenario,
    monitor: &Arc<Monitor>,
) -> Result<Option<(World, Vec<String>, bool)>, Failure> {
    let target = Target::new(url, args.i_own_this_target).or_bad_input()?;
    let definition = &stack.definition;
    let runtime = runtime()?;
    let observer = args.observe.clone().map(|command| Arc::new(Observer { command, seen: Mutex::default() }));
    // What it prints is looked at before any load is sent.
    let first = observer.as_ref().map(|observer| runtime.block_on(observer.count())).transpose().or_bad_input()?;
    let stop = stop_on_ctrl_c()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut has_run = false;
    let world = repeated(url, stack, args, scenario, monitor, |part, seed| {
        let mut notes = Vec::new();
        // A fleet that does not scale is as it was.
        let may_differ = definition.kind != Kind::Baseline || args.settle.is_some();
        if std::mem::replace(&mut has_run, true) && may_differ {
            notes.extend(runtime.block_on(settled(observer.as_deref(), first, args.settle, &stop)));
        }
        let plan = Plan::new(stack.scenario(part)?).or_bad_input()?;
        let settings = Settings { target: target.clone(), seed, pool: args.pool, share: None };
        let attack = Attack::new(&plan, &settings).map_err(told)?;
        let before = host::reference();
        let (stopwatch, look) = (Stopwatch::start(), host::look());
        let (outcome, observations) = runtime.block_on(async {
            let clock = Clock::start();
            let watching = observer.clone().map(|observer| tokio::spawn(observer.watch(clock)));
            let outcome = until_told(attack, &stop).await;
            if let Some(watching) = watching {
                watching.abort();
            }
            let seen = observer.as_ref().map(|observer| observer.take()).unwrap_or_default();
            outcome.map(|outcome| {
                let seen = seen.map(|each| Observation { at: outcome.clock.translated(&clock, each.at), ..each });
                (outcome, seen)
            })
        })?;
        // Whatever answers on this machine is somebody else by our account.
        let machine = Machine { before, during: host::since(look), instances_are_others: true };
        let info = stopwatch.stop(cores);
        let mut run = outcome.run;
        if stop.is_wished() {
            monitor.stop.store(true, Ordering::Relaxed);
        }
        let mut generator = run.generator.take().unwrap_or_default();
        generator.cpu = info.cpu_seconds.map(|cpu| cpu / (info.wall_seconds * cores as f64).max(1e-9));
        let disturbances = against(&generator, &machine, &Tolerance::default());
        run.generator = Some(generator);
        notes.extend(observations.problem);
        let readings = observed::readings(definition.kind, &run, part, definition.target, &observations.all);
        observed::into_timeline(&mut run, &observations.all);
        let is_disturbed = !disturbances.is_empty();
        notes.extend(disturbances);
        Ok(Measured { run, readings, notes, is_disturbed })
    })?;
    Ok(world.map(|(world, mut notes, disturbed)| {
        match observer {
            Some(_) => notes.push("counted once a second: moments of instances are as exact as that".to_string()),
            None => {
                notes.push("without --observe nobody counts instances: only latency and losses are seen".to_string())
            }
        }
        (world, notes, disturbed)
    }))
}

/// Whoever counts.
#[derive(Debug)]
struct Observer {
    command: String,
    seen: Mutex<Seen>,
}

/// What was counted, and the first thing that went wrong.
#[derive(Debug, Default)]
struct Seen {
    all: Vec<Observation>,
    problem: Option<String>,
}

impl Seen {
    /// The same with every observation told otherwise.
    fn map(self, of: impl Fn(Observation) -> Observation) -> Seen {
        Seen { all: self.all.into_iter().map(of).collect(), ..self }
    }
}

impl Observer {
    /// Counts once.
    async fn count(&self) -> anyhow::Result<Count> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command).stdin(Stdio::null()).kill_on_drop(true);
        let shown = || format!("--observe {:?}", self.command);
        let output = tokio::time::timeout(PATIENCE, command.output())
            .await
            .map_err(|_| anyhow!("{}: it took longer than {} s", shown(), PATIENCE.as_secs()))?
            .with_context(|| format!("{}: cannot start a shell", shown()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or("and said nothing").to_string();
            return Err(anyhow!("{}: {}: {last}", shown(), output.status));
        }
        Count::read(&String::from_utf8_lossy(&output.stdout)).with_context(shown)
    }

    /// Counts again and again.
    async fn watch(self: Arc<Observer>, clock: Clock) {
        for n in 0u64.. {
            tokio::time::sleep_until(clock.instant(Time::ZERO + EVERY * n)).await;
            let counted = self.count().await;
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match counted {
                Ok(count) => seen.all.push(Observation { at: clock.now(), count }),
                // One that fails now and then leaves a gap; the first time is worth a note.
                Err(error) => drop(seen.problem.get_or_insert_with(|| format!("{error:#}"))),
            }
        }
    }

    /// What was counted since it was asked last.
    fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits until the target is as it was; a note if it is not, or if nobody knows.
async fn settled(
    observer: Option<&Observer>,
    first: Option<Count>,
    settle: Option<Span>,
    stop: &Stop,
) -> Option<String> {
    let clock = Clock::start();
    let until = Time::ZERO + settle.unwrap_or(if observer.is_some() { SETTLE } else { Span::ZERO });
    loop {
        let now = match observer {
            Some(observer) => observer.count().await.ok(),
            None => None,
        };
        if now.is_some() && now.map(|now| now.instances) == first.map(|first| first.instances) {
            return None;
        }
        if clock.now() >= until || stop.is_wished() {
            break;
        }
        tokio::time::sleep_until(clock.instant((clock.now() + EVERY).min(until))).await;
    }
    Some(match (observer, settle) {
        (Some(_), _) => {
            format!("within {} it did not have as many instances as before the first repetition", Span(until.0))
        }
        (None, Some(settle)) => {
            format!("began {settle} after the one before; whether the target was as it was nobody knows")
        }
        (None, None) => {
            "began right after the one before: the target may not have been as it was (--settle)".to_string()
        }
    })
}
