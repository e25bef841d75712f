//! `wavetank storm`: kick a system, see whether it comes back, and what would make it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, anyhow};

use super::args::StormArgs;
use super::dataset::quoted;
use super::exit::{Exit, Failure, OrExit};
use super::progress::Progress;
use super::run::{folder_name, stop_on_ctrl_c};
use crate::record::timeline::Timeline;
use crate::report;
use crate::scenario::{self, Scenario, Traffic};
use crate::sim::{Monitor, Plan};
use crate::storm::kick::{self, Trigger};
use crate::storm::output::{self, Storm};
use crate::storm::probe::{Cell, PATIENCE, Probe};
use crate::storm::protection::{Calm, Protected, catalogue, trials};
use crate::storm::{Settings, classics};
use crate::units::Span;

/// Probes a scenario, or runs the table of storms.
pub fn storm(args: StormArgs) -> Result<Exit, Failure> {
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(args.threads.map_or(0, usize::from)).build().or_run_failed()?;
    let monitor = stop_on_ctrl_c();
    match &args.scenario {
        None => table(&args, &pool, &monitor),
        Some(path) => probe(path, &args, &pool, &monitor),
    }
}

fn table(args: &StormArgs, pool: &rayon::ThreadPool, monitor: &Arc<Monitor>) -> Result<Exit, Failure> {
    if let Some(out) = &args.out {
        make(out)?;
    }
    let table = {
        let _bar = Progress::watch(monitor, classics::expected(), "storms");
        pool.install(|| classics::table(args.seed, monitor))
    };
    if let Some(out) = &args.out {
        report::write_file(&out.join("storms.json"), table.json().as_bytes()).or_run_failed()?;
        report::write_file(&out.join("storms.md"), table.markdown().as_bytes()).or_run_failed()?;
    }
    print(&if args.json { table.json() } else { table.console() });
    Ok(Exit::Done)
}

fn make(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
        .or_bad_input()
}

/// A closed pipe is the reader's choice, not a failure.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn probe(path: &Path, args: &StormArgs, pool: &rayon::ThreadPool, monitor: &Arc<Monitor>) -> Result<Exit, Failure> {
    let load_with = |more: &[String]| {
        let overrides: Vec<String> = args.overrides.iter().chain(more).cloned().collect();
        let scenario = scenario::load(path, &overrides)?;
        Ok::<_, scenario::LoadError>(Scenario { seed: args.seed.unwrap_or(scenario.seed), ..scenario })
    };
    let scenario = load_with(&[]).or_bad_input()?;
    for note in &scenario.import_notes {
        eprintln!("not carried over, or not quite: {note}");
    }
    let settings = settings(args).or_bad_input()?;
    kick::check(&scenario, settings.trigger).or_bad_input()?;
    let capacity = kick::capacity(&scenario);
    let load = own_load(&scenario, args)?;
    let write_files = args.out.is_some() || !args.json;
    let out = args.out.clone().unwrap_or_else(|| default_folder(&scenario));
    if write_files {
        make(&out)?;
    }
    let probe = Probe { scenario: &scenario, settings: &settings, monitor };
    let loads = probe.loads();
    let map = {
        let _bar = Progress::watch(monitor, probe.expected(), &format!("{}: the map", scenario.name));
        pool.install(|| probe.map(&loads))
    };
    let is_stopped = || monitor.stop.load(Ordering::Relaxed);
    let stuck = map.stuck();
    let (mut found, mut protected, mut calm_p99_ms) = (Vec::new(), None, f64::NAN);
    let mut best = None;
    if !is_stopped() {
        let calm = pool.install(|| probe.calm(load)).map(|run| Calm::of(&run));
        calm_p99_ms = calm.map_or(f64::NAN, |calm| calm.p99_ms());
        if let (Some(calm), false, false) = (calm, stuck.is_empty(), args.no_protections) {
            // What a scenario refuses, for a reason of its own, is not offered.
            let protections: Vec<Protected> = catalogue(&scenario, load)
                .into_iter()
                .filter_map(|protection| {
                    Some(Protected { scenario: load_with(&protection.settings).ok()?, protection })
                })
                .collect();
            let runs = protections.len() as u64 * (stuck.len() as u64 + 1);
            let run = settings.settle + settings.watch + settings.lengths[0];
            let done = monitor.progress_ms.swap(0, Ordering::Relaxed);
            found = {
                let _bar = Progress::watch(monitor, run * runs, &format!("{}: protections", scenario.name));
                pool.install(|| trials(&protections, &stuck, &calm, load, &settings, monitor))
            };
            monitor.progress_ms.fetch_add(done, Ordering::Relaxed);
            best = found
                .first()
                .filter(|trial| trial.cleared > 0)
                .and_then(|trial| protections.into_iter().find(|each| each.protection == trial.protection));
        }
    }
    let mut example = nearest(&stuck, load).map(|before| (before, None));
    if let Some(best) = &best
        && !is_stopped()
    {
        let probe = Probe { scenario: &best.scenario, settings: &settings, monitor };
        protected = Some(pool.install(|| probe.map(&loads)));
        if let Some((before, after)) = &mut example {
            *after = pool.install(|| probe.cell(before.load, before.kick));
        }
    }
    let storm = Storm {
        name: scenario.name.clone(),
        digest: scenario.digest.clone(),
        seed: scenario.seed,
        capacity,
        load,
        attempts: scenario.clients.retry.as_ref().map_or(1, |retry| retry.policy.max + 1),
        calm_p99_ms,
        trials: found,
        protected,
        example,
        interrupted: is_stopped(),
        command: command(path, args),
        settings,
        map,
    };
    if write_files {
        write(&storm, &out)?;
    }
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print(&if args.json {
        output::json(&storm)
    } else {
        format!("{}\nStorm: {}\n", output::console(&storm, color), out.join("storm.md").display())
    });
    Ok(Exit::Done)
}

fn default_folder(scenario: &Scenario) -> PathBuf {
    Path::new("reports").join(format!("storm-{}", folder_name(&scenario.name)))
}

/// The stuck cell at the load nearest to `load`; of equals, the one with the shortest kick.
fn nearest(stuck: &[&Cell], load: f64) -> Option<Cell> {
    let distance = |cell: &&&Cell| ((cell.load - load).abs(), cell.kick.length);
    stuck
        .iter()
        .min_by(|a, b| {
            let (a, b) = (distance(a), distance(b));
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
        })
        .map(|cell| **cell)
}

/// The load at which costs are weighed: what was asked for, or the mean of the scenario's own.
fn own_load(scenario: &Scenario, args: &StormArgs) -> Result<f64, Failure> {
    if let Some(load) = args.load {
        return Ok(load);
    }
    if let Some(load) = kick::own_load(scenario).filter(|load| *load > 0.0) {
        return Ok(load);
    }
    let mut recorded = scenario.clone();
    if let Traffic::Replay { recording, .. } = &mut recorded.traffic {
        recording.options.tables = super::dataset::tables();
    }
    let plan = Plan::new(recorded).or_bad_input()?;
    let rate = plan.dataset().map_or(0.0, |dataset| {
        dataset.summary().requests / plan.dataset().map_or(1.0, |dataset| dataset.duration().as_secs_f64())
    });
    if rate > 0.0 && rate.is_finite() {
        return Ok(rate);
    }
    Err(anyhow!("the scenario's own traffic is nothing: say at which load costs are weighed, with --load"))
        .or_bad_input()
}

fn settings(args: &StormArgs) -> anyhow::Result<Settings> {
    let mut settings = Settings::new(args.trigger.into());
    if let Some(most) = args.most {
        if !settings.trigger.allows(most) {
            let expected = match settings.trigger {
                Trigger::Capacity => "the share of the capacity that is lost at most, above 0 and up to 0.999",
                Trigger::Cache => "the share of the cache that is lost at most, above 0 and up to 1",
                Trigger::Load | Trigger::Dependency => "a factor above 1 and up to 10000",
            };
            return Err(anyhow!("--most: found {most}, expected {expected}"));
        }
        settings.most = most;
    }
    if !args.length.is_empty() {
        settings.lengths = args.length.clone();
    }
    let longest = settings.lengths.iter().copied().max().unwrap_or(Span::ZERO);
    settings.levels = args.levels;
    settings.hold = args.hold;
    settings.tolerance = args.tolerance;
    settings.watch = args.watch.unwrap_or((longest * 10).max(Span::from_mins(3)));
    // The longer a run, the longer the steps of its timeline; the calm has to have enough of them.
    let all = longest.as_secs_f64() + PATIENCE as f64 * settings.watch.as_secs_f64();
    let least = Span::from_secs(20 * Timeline::step_for(all));
    settings.settle = args.settle.unwrap_or(settings.settle.max(least));
    let positive = [("--settle", settings.settle), ("--hold", settings.hold), ("--watch", settings.watch)];
    let positive = positive.into_iter().chain(settings.lengths.iter().map(|&length| ("--length", length)));
    for (flag, span) in positive {
        if span < Span::from_secs(1) {
            return Err(anyhow!("{flag}: found {span}, expected a duration of 1s or more"));
        }
        if span > Span::from_mins(24 * 60) {
            return Err(anyhow!("{flag}: found {span}, expected a duration of 24h or less"));
        }
    }
    if settings.settle < least {
        return Err(anyhow!("--settle: found {}, expected {least} or more: half of it is the calm", settings.settle));
    }
    if settings.hold + Span::from_secs(5) > settings.watch {
        return Err(anyhow!(
            "--hold: found {}, but the system is watched only for {}",
            settings.hold,
            settings.watch
        ));
    }
    Ok(settings)
}

/// What makes it again.
fn command(path: &Path, args: &StormArgs) -> String {
    let trigger: Trigger = args.trigger.into();
    let mut text = format!("wavetank storm {} --trigger {}", quoted(path), trigger.name());
    for each in &args.overrides {
        text.push_str(&format!(" --set '{each}'"));
    }
    for length in &args.length {
        text.push_str(&format!(" --length {length}"));
    }
    let numbers = [("most", args.most), ("load", args.load)];
    for (flag, value) in numbers {
        if let Some(value) = value {
            text.push_str(&format!(" --{flag} {value}"));
        }
    }
    if let Some(seed) = args.seed {
        text.push_str(&format!(" --seed {seed}"));
    }
    text
}

fn write(storm: &Storm, out: &Path) -> Result<(), Failure> {
    report::write_file(&out.join("storm.json"), output::json(storm).as_bytes()).or_run_failed()?;
    report::write_file(&out.join("storm.md"), output::markdown(storm).as_bytes()).or_run_failed()?;
    #[cfg(feature = "render")]
    report::write_chart(out, "storm.png", |path| report::chart::storm::storm(&picture(storm), path))
        .or_run_failed()?;
    Ok(())
}

/// The map as its picture shows it.
#[cfg(feature = "render")]
fn picture(storm: &Storm) -> report::chart::storm::StormMap {
    use crate::storm::probe::Map;
    use report::chart::storm::{Boundary, StormMap};
    let settings = &storm.settings;
    let boundaries = |map: &Map| -> Vec<Boundary> {
        settings
            .lengths
            .iter()
            .map(|length| Boundary {
                name: format!("{length} of this"),
                points: map
                    .rows
                    .iter()
                    .filter(|row| row.length == *length)
                    .map(|row| (row.load, row.sticks_from().filter(|_| row.is_calm())))
                    .collect(),
            })
            .collect()
    };
    let trigger = settings.trigger;
    let words: fn(f64) -> String = match trigger {
        Trigger::Capacity | Trigger::Cache => |size| format!("{:.0} %", size * 100.0),
        Trigger::Load | Trigger::Dependency => |size| format!("×{}", report::figure::short(size)),
    };
    let title = match (storm.map.vulnerable, storm.map.stuck().is_empty()) {
        (_, true) => format!("{}: it always returns by itself", storm.name),
        (Some((_, sticks)), _) => {
            format!("{}: from {}/s on it may not return by itself", storm.name, report::figure::short(sticks.round()))
        }
        (None, _) => format!("{}: it does not always return by itself", storm.name),
    };
    let is_cured = storm.protected.as_ref().is_some_and(|map| map.stuck().is_empty());
    let title = if is_cured && !storm.interrupted { format!("{title}; protected, it always does") } else { title };
    StormMap {
        title,
        axis: trigger.axis(),
        sizes: (trigger.size(0.0, settings.most), settings.most),
        words,
        load: storm.load,
        capacity: storm.capacity,
        before: boundaries(&storm.map),
        after: storm.protected.as_ref().map(boundaries).unwrap_or_default(),
    }
}
