//! `wavetank bench`: time a real stack's scaling, and the same in the simulator.
#![expect(clippy::disallowed_methods, reason = "a benchmark says when it was made and how long that took")]

#[cfg(feature = "live")]
mod live;
mod sim;
#[cfg(feature = "load")]
mod target;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, anyhow};

use super::args::{BenchArgs, BenchOf, BenchProvider, Inconclusive};
use super::dataset::quoted;
use super::exit::{Exit, Failure, OrExit};
use super::run::{experiment_of, folder_name, host, stop_on_ctrl_c};
use crate::bench::definition::{Definition, Part, Wishes};
use crate::bench::figure::{Figure, Kind, Reading};
use crate::bench::result::{Bench, Group, KNEE, World, is_beyond_the_knee};
use crate::bench::{DEFAULT, moments, output};
use crate::gate::output::Severity;
use crate::gate::{Criterion, Design, Judgement, Quantity, Runs, decide};
use crate::record::Run;
use crate::record::run::Ended;
use crate::report::verdict::Outcome;
use crate::report::{self, Experiment, Mode, RunInfo};
use crate::rng::replication_seed;
use crate::scenario::{self, Scenario};
use crate::sim::Monitor;
use crate::units::Span;

/// A stack that is to be measured, as files and arguments say.
struct Stack {
    /// The scenario's file, and the user's overrides.
    path: PathBuf,
    overrides: Vec<String>,
    definition: Definition,
    parts: Vec<Part>,
    /// Keeps the file of the default scenario.
    _folder: Option<tempfile::TempDir>,
}

/// What a part left behind.
struct Measured {
    run: Run,
    readings: Vec<(Figure, Reading)>,
    /// What a reader should know of it.
    notes: Vec<String>,
    /// Whether it says more of the generator or of the neighbours than of the stack.
    is_disturbed: bool,
}

/// What a world left behind.
struct Played {
    world: World,
    notes: Vec<String>,
    /// Whether a run in it was disturbed.
    is_disturbed: bool,
    /// Whether a run failed, so that there are fewer repetitions than were asked for.
    has_failed: bool,
}

/// Measures.
pub fn bench(args: &BenchArgs) -> Result<Exit, Failure> {
    let (kind, args) = args.what.parts();
    let (started, clock) = (jiff::Timestamp::now(), Instant::now());
    let (stack, scenario) = read(kind, args)?;
    let criteria = criteria(kind, args)?;
    let write_files = args.out.is_some() || !args.json;
    let default = || Path::new("reports").join(folder_name(&format!("bench-{}-{}", kind.name(), scenario.name)));
    let out = args.out.clone().unwrap_or_else(default);
    if write_files {
        let make = std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()));
        make.or_bad_input()?;
    }
    // Load is stopped by a handler of its own.
    let monitor = if args.target.is_some() { Arc::default() } else { stop_on_ctrl_c() };
    let (mut worlds, mut notes, mut is_disturbed, mut has_failed) = (Vec::new(), Vec::new(), false, false);
    let mut add = |played: Option<Played>| {
        if let Some(played) = played {
            notes.extend(played.notes);
            is_disturbed |= played.is_disturbed;
            has_failed |= played.has_failed;
            worlds.push(played.world);
        }
    };
    if let Some(url) = &args.target {
        add(target_world(url, &stack, args, &scenario, &monitor)?);
    } else {
        if !args.sim {
            add(live_world(&stack, args, &scenario, &monitor)?);
        }
        // It takes no time beside the real thing, and is what that is compared with.
        add(sim::world(&stack, args, &scenario, &monitor)?);
    }
    if worlds.is_empty() {
        return Err(anyhow!("nothing was measured: it was stopped before load had changed")).or_run_failed();
    }
    let judgement = (!criteria.is_empty()).then(|| judge(&criteria, &worlds[0]));
    let bench = Bench {
        name: scenario.name.clone(),
        digest: scenario.digest.clone(),
        seed: args.seed.unwrap_or(scenario.seed),
        definition: stack.definition.clone(),
        repetitions: args.repetitions,
        worlds,
        notes: folded(notes),
        interrupted: monitor.stop.load(Ordering::Relaxed),
        command: command(kind, args),
        started: started.to_string(),
        seconds: clock.elapsed().as_secs_f64(),
        host: host(),
    };
    if write_files {
        write(&bench, judgement.as_ref(), &stack, args, &out)?;
    }
    let severity = match args.inconclusive {
        Inconclusive::Pass => Severity::Pass,
        Inconclusive::Fail => Severity::Fail,
        Inconclusive::Error => Severity::Error,
    };
    if let Some(path) = &args.junit {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let make = std::fs::create_dir_all(folder);
            make.with_context(|| format!("cannot make the folder {}", folder.display())).or_run_failed()?;
        }
        report::write_file(path, output::junit(&bench, judgement.as_ref(), severity).as_bytes()).or_run_failed()?;
    }
    print(&bench, judgement.as_ref(), write_files.then_some(out.as_path()), args.json);
    let outcome = judgement.map(|judgement| match judgement.outcome() {
        // Whoever was in the way is not told apart from the stack.
        Outcome::Pass | Outcome::Fail if is_disturbed => Outcome::Inconclusive,
        outcome => outcome,
    });
    if has_failed {
        return Ok(Exit::RunFailed);
    }
    Ok(match (outcome, args.inconclusive) {
        (None | Some(Outcome::Pass), _) | (Some(Outcome::Inconclusive), Inconclusive::Pass) => Exit::Done,
        (Some(Outcome::Fail), _) | (Some(Outcome::Inconclusive), Inconclusive::Fail) => Exit::GateFailed,
        (Some(Outcome::Inconclusive), Inconclusive::Error) => Exit::Inconclusive,
    })
}

/// Reads the scenario, and works out what is to be measured of it.
fn read(kind: Kind, args: &BenchOf) -> Result<(Stack, Scenario), Failure> {
    let (path, folder) = match &args.scenario {
        Some(path) => (path.clone(), None),
        None => {
            let folder =
                tempfile::tempdir().context("cannot make a folder for the default scenario").or_run_failed()?;
            let path = folder.path().join("scaling.toml");
            report::write_file(&path, DEFAULT.as_bytes()).or_run_failed()?;
            (path, Some(folder))
        }
    };
    let keys = scenario::keys(&path, None, &args.overrides).or_bad_input()?;
    let mut overrides = args.overrides.clone();
    overrides.extend(provider(args, |key| keys.steps(key).is_some())?);
    let keys = scenario::keys(&path, None, &overrides).or_bad_input()?;
    let scenario = scenario::load(&path, &overrides).or_bad_input()?;
    for note in &scenario.import_notes {
        eprintln!("not carried over, or not quite: {note}");
    }
    let wishes = Wishes {
        low: args.low,
        high: args.high,
        calm: args.calm,
        hold: args.hold,
        after: args.after,
        rates: args.rate.clone(),
    };
    let definition = Definition::new(kind, &scenario, &wishes).or_bad_input()?;
    let parts = definition.parts(|key| keys.steps(key).is_some());
    for part in &parts {
        // What no world could play is told before any begins.
        scenario::load(&path, &joined(&overrides, part)).or_bad_input()?;
    }
    Ok((Stack { path, overrides, definition, parts, _folder: folder }, scenario))
}

/// The overrides that a provider comes to.
fn provider(args: &BenchOf, has: impl Fn(&str) -> bool) -> Result<Vec<String>, Failure> {
    let Some(provider) = args.provider else { return Ok(Vec::new()) };
    let mut overrides = Vec::new();
    if has("live.upstreams") {
        overrides.push("live.upstreams=".to_string());
    }
    let name = match provider {
        BenchProvider::Process => "process",
        BenchProvider::Command => "command",
    };
    overrides.push(format!("live.provider={name}"));
    match (&args.command, provider) {
        (Some(command), _) => overrides.push(format!("live.command={}", toml_edit::Value::from(command.as_str()))),
        (None, BenchProvider::Command) if !has("live.command") => {
            return Err(anyhow!(
                "--provider command: expected --command with the program that starts and stops instances"
            ))
            .or_bad_input();
        }
        (None, BenchProvider::Process) if has("live.command") => overrides.push("live.command=".to_string()),
        (None, _) => {}
    }
    Ok(overrides)
}

/// The targets for figures.
fn criteria(kind: Kind, args: &BenchOf) -> Result<Vec<Criterion>, Failure> {
    let known: Vec<&str> = match kind {
        Kind::Baseline => vec![KNEE.name],
        _ => kind.figures().iter().map(|figure| figure.measure().name).collect(),
    };
    let quantity = |name: &str| {
        if kind == Kind::Baseline && name.trim() == KNEE.name {
            return Ok(Quantity::Measured(KNEE));
        }
        let figure = name.parse::<Figure>().ok().filter(|figure| known.contains(&figure.measure().name));
        let figure = figure.ok_or_else(|| format!("found {:?}, expected {}", name.trim(), known.join(", ")))?;
        Ok(Quantity::Measured(figure.measure()))
    };
    let read = |text: &String| Criterion::read(text, quantity).context("--slo");
    args.slo.iter().map(read).collect::<anyhow::Result<Vec<_>>>().or_bad_input()
}

fn judge(criteria: &[Criterion], world: &World) -> Judgement {
    let new = world.samples(criteria);
    let design = Design::single(new.len());
    let judged =
        decide(criteria, &design, |_| Ok::<_, std::convert::Infallible>(Runs { new: new.clone(), old: Vec::new() }));
    let Ok(judgement) = judged;
    judgement
}

/// The user's overrides, and those of a part.
fn joined(overrides: &[String], part: &Part) -> Vec<String> {
    overrides.iter().chain(&part.overrides).cloned().collect()
}

impl Stack {
    /// The scenario of a part.
    fn scenario(&self, part: &Part) -> Result<Scenario, Failure> {
        scenario::load(&self.path, &joined(&self.overrides, part)).or_bad_input()
    }
}

/// Plays every part as often as it is to be repeated, and puts together what it left. A run that fails ends it, and what was measured before stays.
/// `None` if it was stopped before anything had been measured.
fn repeated(
    name: &str,
    stack: &Stack,
    args: &BenchOf,
    scenario: &Scenario,
    monitor: &Monitor,
    mut play: impl FnMut(&Part, u64) -> Result<Measured, Failure>,
) -> Result<Option<Played>, Failure> {
    let seed = args.seed.unwrap_or(scenario.seed);
    let definition = &stack.definition;
    let target = definition.target.as_millis_f64();
    let mut groups: Vec<Group> =
        stack.parts.iter().map(|part| Group { rate: part.rate, ..Group::default() }).collect();
    let (mut runs, mut knees, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut is_disturbed, mut has_failed) = (false, false);
    'all: for repetition in 0..args.repetitions {
        let seed = if args.repetitions == 1 { seed } else { replication_seed(seed, repetition) };
        let mut knee = 0.0;
        for (part, group) in stack.parts.iter().zip(&mut groups) {
            if monitor.stop.load(Ordering::Relaxed) {
                break 'all;
            }
            let measured = match play(part, seed) {
                Ok(measured) => measured,
                Err(failure) if runs.is_empty() => return Err(failure),
                Err(failure) => {
                    notes.push(format!("{name}, repetition {}: it failed: {:#}", repetition + 1, failure.source));
                    has_failed = true;
                    break 'all;
                }
            };
            let run = measured.run;
            if matches!(run.ended, Ended::Interrupted { at } if at <= part.changes_at) || run.timeline.is_empty() {
                break 'all;
            }
            let ups = moments::scale_ups(&run, part.changes_at);
            if definition.kind == Kind::ScaleUp
                && run.events.iter().any(|event| {
                    event.at < part.changes_at && matches!(event.kind, crate::engine::events::EventKind::ScaledUp(_))
                })
            {
                notes.push(format!(
                    "{name}, repetition {}: it scaled up before load rose; a lower --low keeps it calm",
                    repetition + 1
                ));
            }
            notes.extend(measured.notes.iter().map(|note| format!("{name}, repetition {}: {note}", repetition + 1)));
            is_disturbed |= measured.is_disturbed;
            let is_beyond =
                definition.kind == Kind::Baseline && is_beyond_the_knee(part.rate, &measured.readings, &run, target);
            if definition.kind == Kind::Baseline && !is_beyond {
                knee = part.rate;
            }
            group.repetitions.push(measured.readings);
            group.scale_ups.push(ups);
            runs.push(run);
            if is_beyond {
                break;
            }
        }
        if definition.kind == Kind::Baseline {
            knees.push(knee);
        }
        // The simulator is done before anybody has read it.
        if name != "sim" {
            eprintln!("{name}: {} of {}", repetition + 1, args.repetitions);
        }
    }
    groups.retain(|group| !group.repetitions.is_empty());
    let Some(first) = groups.first() else { return Ok(None) };
    if [Figure::Steady, Figure::Recovered, Figure::Settled].into_iter().any(|figure| first.spread(figure).never.0 > 0)
    {
        notes.push(format!("{name}: what did not come to its end may only take longer: --hold watches longer"));
    }
    let world = World { name: name.to_string(), groups, runs, knees };
    Ok(Some(Played { world, notes, is_disturbed, has_failed }))
}

/// Notes that differ in their numbers only, once, with how many there are.
fn folded(notes: Vec<String>) -> Vec<String> {
    let key = |note: &str| note.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect::<String>();
    let mut kinds: Vec<(String, String, usize)> = Vec::new();
    for note in notes {
        let kind = key(&note);
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((.., n)) => *n += 1,
            None => kinds.push((kind, note, 1)),
        }
    }
    let told = |(_, note, n): (String, String, usize)| {
        if n > 1 { format!("{note} (and {} more like it)", n - 1) } else { note }
    };
    kinds.into_iter().map(told).collect()
}

#[cfg(feature = "live")]
use live::world as live_world;

#[cfg(not(feature = "live"))]
fn live_world(_: &Stack, _: &BenchOf, _: &Scenario, _: &Arc<Monitor>) -> Result<Option<Played>, Failure> {
    Err(anyhow!("this build has no live world (feature live): expected --sim")).or_bad_input()
}

#[cfg(feature = "load")]
use target::world as target_world;

#[cfg(not(feature = "load"))]
fn target_world(_: &str, _: &Stack, _: &BenchOf, _: &Scenario, _: &Arc<Monitor>) -> Result<Option<Played>, Failure> {
    Err(anyhow!("--target: this build cannot send load (feature load): cargo install --path . --features load"))
        .or_bad_input()
}

fn write(
    bench: &Bench,
    judgement: Option<&Judgement>,
    stack: &Stack,
    args: &BenchOf,
    out: &Path,
) -> Result<(), Failure> {
    report::write_file(&out.join("bench.json"), output::json(bench, judgement).as_bytes()).or_run_failed()?;
    if args.scenario.is_none() {
        // What was measured, to be corrected and measured again.
        report::write_file(&out.join("scenario.toml"), DEFAULT.as_bytes()).or_run_failed()?;
    }
    #[cfg(feature = "render")]
    let picture = {
        let picture = output::picture(bench);
        report::write_chart(out, "bench.png", |path| report::chart::bench::bench(&picture, path)).or_run_failed()?;
        let bytes = std::fs::read(out.join("bench.png")).context("cannot read the chart").or_run_failed()?;
        Some(output::data_uri(&bytes))
    };
    #[cfg(not(feature = "render"))]
    let picture: Option<String> = None;
    let scenarios = stack.parts.iter().map(|part| stack.scenario(part)).collect::<Result<Vec<_>, _>>()?;
    let info = RunInfo {
        wall_seconds: bench.seconds,
        cpu_seconds: None,
        started: bench.started.clone(),
        host: bench.host.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        threads: 1,
    };
    let rows: Vec<(String, Experiment)> = bench
        .worlds
        .iter()
        .filter_map(|world| Some((world, world.runs.first()?)))
        .map(|(world, run)| {
            let (scenario, runs) = (&scenarios[0], std::slice::from_ref(run));
            let length: Span = bench.definition.length();
            let mut experiment = experiment_of(scenario, length, runs, bench.command.clone(), info.clone());
            experiment.mode = if world.name == "sim" { Mode::Sim } else { Mode::Live };
            (world.name.clone(), experiment)
        })
        .collect();
    let rows: Vec<(String, &Experiment)> = rows.iter().map(|(name, x)| (name.clone(), x)).collect();
    let page = output::html(bench, judgement, picture.as_deref(), &rows);
    report::write_file(&out.join("bench.html"), page.as_bytes()).or_run_failed()
}

fn print(bench: &Bench, judgement: Option<&Judgement>, out: Option<&Path>, json: bool) {
    let mut stdout = std::io::stdout().lock();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A closed pipe is the reader's choice, not a failure.
    let _ = match out {
        _ if json => stdout.write_all(output::json(bench, judgement).as_bytes()),
        Some(out) => {
            let text = output::console(bench, judgement, color);
            write!(stdout, "{text}\nBenchmark: {}\n", out.join("bench.html").display())
        }
        None => Ok(()),
    };
}

/// The benchmark as it would be typed again.
fn command(kind: Kind, args: &BenchOf) -> String {
    let mut text = format!("wavetank bench {}", kind.name());
    let mut add = |flag: &str, value: String| {
        text.push_str(&format!(" {flag}{}{value}", if flag.is_empty() { "" } else { " " }))
    };
    args.scenario.iter().for_each(|path| add("", quoted(path)));
    if args.sim {
        add("", "--sim".to_string());
    }
    if let Some(provider) = args.provider {
        add("--provider", if provider == BenchProvider::Process { "process" } else { "command" }.to_string());
    }
    let texts = [("--command", &args.command), ("--target", &args.target), ("--observe", &args.observe)];
    for (flag, value) in texts {
        value.iter().for_each(|value| add(flag, quoted(Path::new(value))));
    }
    add("--repetitions", args.repetitions.to_string());
    let rates = [("--low", args.low), ("--high", args.high)];
    rates.into_iter().for_each(|(flag, rate)| rate.iter().for_each(|rate| add(flag, rate.to_string())));
    args.rate.iter().for_each(|rate| add("--rate", rate.to_string()));
    let spans = [("--calm", args.calm), ("--hold", args.hold), ("--after", args.after), ("--settle", args.settle)];
    spans.into_iter().for_each(|(flag, span)| span.iter().for_each(|span| add(flag, span.to_string())));
    args.slo.iter().for_each(|slo| add("--slo", format!("'{slo}'")));
    args.overrides.iter().for_each(|each| add("--set", format!("'{each}'")));
    args.seed.iter().for_each(|seed| add("--seed", seed.to_string()));
    text + &args.at.shown()
}
