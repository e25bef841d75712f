//! The benchmark of a stack that is not ours: load from outside, and a command that counts its instances.

use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::process::Command;

use super::{BenchOf, Measured, Played, Stack, repeated};
use crate::bench::figure::Kind;
use crate::bench::observed::{self, Count, Observation};
use crate::cli::exit::{Failure, OrExit};
use crate::cli::load::Sender;
use crate::gate::disturbance::{Tolerance, against};
use crate::live::clock::Clock;
use crate::load::schedule::Plan;
use crate::load::stop::Stop;
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
) -> Result<Option<Played>, Failure> {
    let definition = &stack.definition;
    let sender = Sender::new(url, &args.at)?;
    let observer = args.observe.clone().map(|command| Arc::new(Observer { command, seen: Mutex::default() }));
    // What it prints is looked at before any load is sent.
    let first = observer.as_ref().map(|observer| sender.wait(observer.count())).transpose().or_bad_input()?;
    let mut has_run = false;
    let played = repeated(url, stack, args, scenario, monitor, |part, seed| {
        let mut notes = Vec::new();
        // A fleet that does not scale is as it was.
        let may_differ = definition.kind != Kind::Baseline || args.settle.is_some();
        if std::mem::replace(&mut has_run, true) && may_differ {
            notes.extend(sender.wait(settled(observer.as_deref(), first, args.settle, &sender.stop)));
        }
        let plan = Plan::new(stack.scenario(part)?).or_bad_input()?;
        let (clock, counting) = (Clock::start(), observer.clone());
        let watching = async move {
            if let Some(observer) = counting {
                observer.watch(clock).await;
            }
        };
        let sent = sender.run(&plan, seed, watching)?;
        let (its_clock, mut run) = (sent.outcome.clock, sent.outcome.run);
        let seen = observer.as_ref().map(|observer| observer.take()).unwrap_or_default();
        let translated = |each: Observation| Observation { at: its_clock.translated(&clock, each.at), ..each };
        let observations: Vec<Observation> = seen.all.into_iter().map(translated).collect();
        if sender.stop.is_wished() {
            monitor.stop.store(true, Ordering::Relaxed);
        }
        notes.extend(seen.problem);
        let readings = observed::readings(definition.kind, &run, part, definition.target, &observations);
        observed::into_timeline(&mut run, &observations);
        let disturbances = against(&sent.generator, &sent.machine, &Tolerance::default());
        run.generator = Some(sent.generator);
        let is_disturbed = !disturbances.is_empty();
        notes.extend(disturbances);
        Ok(Measured { run, readings, notes, is_disturbed })
    })?;
    Ok(played.map(|mut played| {
        let notes = &mut played.notes;
        match observer {
            Some(_) => notes.push("counted once a second: moments of instances are as exact as that".to_string()),
            None => {
                notes.push("without --observe nobody counts instances: only latency and losses are seen".to_string())
            }
        }
        played
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
