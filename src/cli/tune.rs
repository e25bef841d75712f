//! `wavetank tune`: ask, search, confirm, and leave what is to be done.

mod files;
#[cfg(all(feature = "data", feature = "history"))]
mod results;
#[cfg(feature = "history")]
mod study;

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, anyhow};

use super::args::TuneArgs;
use super::cluster::{self as cli_cluster, Shared};
use super::dataset::{Files, quoted, replayed, tables};
use super::exit::{Exit, Failure, OrExit};
use super::progress::Progress;
use super::run::{Stopwatch, experiment, folder_name, stop_on_ctrl_c};
use super::shares;
use crate::cluster;
use crate::gate::{Bound, Criterion};
use crate::record::Run;
use crate::record::fidelity::Fidelity;
use crate::report::RunInfo;
use crate::scenario::slo::Target;
use crate::scenario::{self, Keys, LoadError, Scenario, Traffic};
use crate::sim::{Monitor, Plan};
use crate::traffic::replay::Dataset;
use crate::tune::confirm::Advice;
use crate::tune::days::{self, Day, Days, Part};
use crate::tune::dialogue::Dialogue;
use crate::tune::expression::{Constraint, number};
use crate::tune::judge::{Combine, Goal, Rules};
use crate::tune::laboratory::{self, Block, Exchange, Laboratory, Setup, Share, Stop, Stress};
use crate::tune::output::{self, Told};
use crate::tune::search::{self, Candidate, Method, Origin, Play, Trial};
use crate::tune::space::{Dimension, Space, Value, overrides};
use crate::tune::study::{self as studies, Study};
use crate::tune::tuned::{Question, Tuned, expected, tune as answer};
use crate::tune::usual;
use crate::units::Span;

#[cfg(feature = "history")]
pub use study::{merge as merge_studies, study};

/// How long shares on a cluster wait for each other: as long as some of them may stand in a queue.
const SHARES_WAIT: Span = Span::from_secs(3600);

/// Runs of the pilot that `--time` is reckoned from, for each thread.
const PILOT_RUNS: usize = 2;

/// Tunes.
pub fn tune(args: TuneArgs) -> Result<Exit, Failure> {
    let args = resumed(args)?;
    let files = if args.traffic.is_empty() { None } else { Some(Files::of(&args.traffic)?) };
    let system = System::of(&args, files.as_ref())?;
    if let Some(on) = args.cluster.job {
        return in_shares(&args, &system, on);
    }
    let days = system.days(&args)?;
    let mut question = system.question(&args)?;
    if args.ask_tell {
        return converse(&system, &question);
    }
    let share = args.shard.as_deref().map(shares::share).transpose().or_bad_input()?;
    let write_files = args.out.is_some() || args.resume.is_some() || !args.json;
    let default = || Path::new("reports").join(format!("tune-{}", folder_name(&system.scenario.name)));
    let in_study = args.resume.as_deref().and_then(Path::parent).map(|parent| match parent.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => parent.to_path_buf(),
    });
    let out = args.out.clone().or(in_study).unwrap_or_else(default);
    if write_files {
        std::fs::create_dir_all(&out)
            .with_context(|| format!("cannot make the folder {}", out.display()))
            .or_bad_input()?;
    }
    let all_days: Vec<Day> = match days.is_cut {
        true => days.searched.iter().chain(&days.held_out).cloned().collect(),
        false => days.searched.clone(),
    };
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(args.threads.map_or(0, usize::from)).build().or_run_failed()?;
    let monitor = stop_on_ctrl_c();
    let progress = Arc::new(laboratory::Progress::default());
    let path = args.resume.clone().unwrap_or_else(|| out.join("study.db"));
    let load = |more: &[String]| system.load(more);
    let stopwatch = Stopwatch::start();
    if let Some(time) = &args.time {
        let time: Span = time
            .parse()
            .map_err(|_| anyhow!("--time: found {time:?}, expected a duration such as 10m"))
            .or_bad_input()?;
        let mut aside = Study::in_memory();
        let per_second = {
            let mut pilot = Laboratory::new(Setup {
                load: &load,
                rules: &question.rules,
                days: &all_days,
                study: &mut aside,
                monitor: &monitor,
                progress: &progress,
                share: None,
                exchange: None,
                fidelity: system.fidelity,
            })
            .or_bad_input()?;
            pool.install(|| speed(&mut pilot, days.searched.len(), pool.current_num_threads()))?
        };
        let runs = (time.as_secs_f64() * per_second) as u64;
        let after = expected(&question, &days) - question.budget;
        question.budget = runs.saturating_sub(after).max(question.budget.min(16)).max(16);
        eprintln!(
            "--time {time}: about {} runs, {} of them to search (--budget {})",
            runs.max(after + 16),
            question.budget,
            question.budget
        );
    }
    let args = TuneArgs { budget: question.budget, time: None, ..args };
    let mut study = if write_files { opened(&path, &args, &system, &question, &days)? } else { Study::in_memory() };
    let mut results = left(&args, &system, &question, &days, share, &monitor)?;
    if let Some(results) = &mut results {
        for (record, outcome) in results.swap(&[], &[]).map_err(|error| anyhow!(error)).or_bad_input()? {
            study.writer().write(&record, &outcome).or_run_failed()?;
            study.remember(record, outcome);
        }
    }
    let had = study.runs().len();
    if had > 0 && !args.json {
        eprintln!("{had} runs are in the study already and are not played again");
    }
    let (tuned, timelines) = {
        let mut lab = Laboratory::new(Setup {
            load: &load,
            rules: &question.rules,
            days: &all_days,
            study: &mut study,
            monitor: &monitor,
            progress: &progress,
            share,
            exchange: results,
            fidelity: system.fidelity,
        })
        .or_bad_input()?;
        let _bar = Progress::of_study(&progress, expected(&question, &days));
        let tuned = match pool.install(|| answer(&question, &days, &mut lab)) {
            Ok(tuned) => tuned,
            Err(search::Error::Stopped(Stop::Interrupted)) => {
                let done = progress.done.load(Ordering::Relaxed);
                let again = if write_files {
                    format!(": go on with wavetank tune --resume {}", quoted(&path))
                } else {
                    String::new()
                };
                return Err(anyhow!("interrupted after {done} runs{again}")).or_run_failed();
            }
            Err(search::Error::Stopped(Stop::Study(studies::Error::Shared { own, missing }))) => {
                eprintln!("{}: {}", path.display(), studies::Error::Shared { own, missing });
                return Ok(Exit::Done);
            }
            Err(search::Error::Stopped(stop @ (Stop::Load(_) | Stop::Traffic(_)))) => {
                return Err(stop).or_bad_input();
            }
            Err(search::Error::Stopped(stop)) => return Err(stop).or_run_failed(),
            Err(error @ (search::Error::NoRoom(_) | search::Error::Unknown(_))) => return Err(error).or_bad_input(),
        };
        let timelines = before_and_after(&mut lab, &tuned, &days)?;
        (tuned, timelines)
    };
    let info = stopwatch.stop(pool.current_num_threads());
    let present: Vec<(String, Option<String>)> = question
        .space
        .free
        .iter()
        .chain(&question.space.tied)
        .map(|dimension| (dimension.path.clone(), system.keys.value(&dimension.path)))
        .collect();
    let command = shown(&args);
    let told = Told {
        name: &system.scenario.name,
        digest: &system.scenario.digest,
        priced: system.scenario.fleet.billing.price_per_hour > 0.0,
        question: &question,
        days: &days,
        tuned: &tuned,
        present: &present,
        timelines: timelines
            .iter()
            .map(|(label, plan, runs)| (label.clone(), experiment(plan, runs, command.clone(), info.clone(), None)))
            .collect(),
        command: &command,
    };
    if write_files {
        files::write(&told, &system, &out)?;
    }
    show(&told, &args, &out, write_files.then_some(&*path), &info);
    Ok(if matches!(tuned.advice, Advice::NoneHolds(_)) { Exit::GateFailed } else { Exit::Done })
}

/// Proposes candidates on standard output for what is told on standard input.
fn converse(system: &System, question: &Question) -> Result<Exit, Failure> {
    let admits = |settings: &[(String, Value)]| {
        system.load(&overrides(settings)).map(|_| ()).map_err(|error| error.to_string())
    };
    let how = (question.seed, question.confidence);
    let mut dialogue = Dialogue::new(&question.space, &question.rules, question.present.clone(), how, &admits);
    let mut stdout = std::io::stdout().lock();
    let mut say = |line: serde_json::Value| writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    // A closed pipe is the end of the conversation, not a failure.
    if say(dialogue.ready()).is_err() {
        return Ok(Exit::Done);
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.context("standard input").or_bad_input()?;
        if line.trim().is_empty() {
            continue;
        }
        let answers = dialogue.answer(&line).unwrap_or_else(|error| vec![serde_json::json!({ "error": error })]);
        if answers.into_iter().any(|answer| say(answer).is_err()) {
            break;
        }
    }
    Ok(Exit::Done)
}

fn show(told: &Told, args: &TuneArgs, out: &Path, study: Option<&Path>, info: &RunInfo) {
    let mut stdout = std::io::stdout().lock();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A closed pipe is the reader's choice, not a failure.
    let _ = if args.json {
        stdout.write_all(output::json(told).as_bytes())
    } else {
        let text = output::console(told, color);
        let study = study.map_or(String::new(), |study| format!("\nStudy:  {}", study.display()));
        writeln!(stdout, "{text}  {:.0} s\n\nReport: {}{study}", info.wall_seconds, out.join("tune.html").display())
    };
}

/// The arguments of a study that goes on: its own, and what was typed now of how it is run.
fn resumed(args: TuneArgs) -> Result<TuneArgs, Failure> {
    let Some(path) = &args.resume else { return Ok(args) };
    #[cfg(feature = "history")]
    {
        let path = if path.is_dir() { path.join("study.db") } else { path.clone() };
        let meta = studies::meta(&path).or_bad_input()?;
        let own: TuneArgs = serde_json::from_str(&meta.definition)
            .map_err(|error| anyhow!("{}: not a study that this version can go on with: {error}", path.display()))
            .or_bad_input()?;
        // More effort can be added; what is asked stays.
        let budget = if args.budget == 1500 { own.budget } else { args.budget };
        let seeds_confirm = if args.seeds_confirm == 64 { own.seeds_confirm } else { args.seeds_confirm };
        Ok(TuneArgs {
            budget,
            seeds_confirm,
            shard: args.shard,
            results: args.results,
            wait: args.wait,
            resume: Some(path),
            out: args.out,
            json: args.json,
            threads: args.threads,
            ..own
        })
    }
    #[cfg(not(feature = "history"))]
    Err(anyhow!(
        "{}: studies are kept in files by the feature history, which this program was built without",
        path.display()
    ))
    .or_bad_input()
}

/// The system as it is today.
pub(super) struct System {
    path: PathBuf,
    policy: Option<PathBuf>,
    seed: Option<u64>,
    fidelity: Fidelity,
    overrides: Vec<String>,
    pub scenario: Scenario,
    pub keys: Keys,
    dataset: Option<Dataset>,
}

impl System {
    fn of(args: &TuneArgs, files: Option<&Files>) -> Result<System, Failure> {
        let path = args.scenario.clone().context("which scenario?").or_bad_input()?;
        let mut overrides = args.overrides.clone();
        if let Some(files) = files {
            overrides.insert(0, format!("traffic={{ replay = {} }}", replayed(&files.paths)));
            // As long as the recording lasts, unless it is said now.
            if scenario::keys(&path, None, &args.overrides).or_bad_input()?.value("scenario.duration").is_some()
                && !args.overrides.iter().any(|each| each.starts_with("scenario.duration"))
            {
                overrides.insert(1, "scenario.duration=".to_string());
            }
        }
        let scenario = load(&path, args.policy.as_deref(), args.seed, &overrides).or_bad_input()?;
        for note in &scenario.import_notes {
            eprintln!("not carried over, or not quite: {note}");
        }
        let dataset = match &scenario.traffic {
            Traffic::Replay { recording, .. } => {
                Some(Dataset::open_all(&recording.paths, &recording.options).or_bad_input()?)
            }
            Traffic::Open(_) | Traffic::Closed(_) => None,
        };
        let keys = scenario::keys(&path, args.policy.as_deref(), &overrides).or_bad_input()?;
        let fidelity = Fidelity::ALL.iter().find(|(name, _)| *name == args.fidelity);
        let fidelity = fidelity.map_or(Fidelity::Full, |(_, fidelity)| *fidelity);
        Ok(System {
            path,
            policy: args.policy.clone(),
            seed: args.seed,
            fidelity,
            overrides,
            scenario,
            keys,
            dataset,
        })
    }

    /// The scenario with more overrides.
    pub fn load(&self, more: &[String]) -> Result<Scenario, LoadError> {
        let overrides: Vec<String> = self.overrides.iter().chain(more).cloned().collect();
        load(&self.path, self.policy.as_deref(), self.seed, &overrides)
    }

    fn days(&self, args: &TuneArgs) -> Result<Days, Failure> {
        let part = |flag: &str, text: &Option<String>| {
            let part = text.as_deref().map(str::parse::<Part>).transpose();
            part.with_context(|| format!("--{flag}")).or_bad_input()
        };
        let (train, validate) = (part("train", &args.train)?, part("validate", &args.validate)?);
        days::cut(&self.scenario, self.dataset.as_ref(), train, validate).or_bad_input()
    }

    fn question(&self, args: &TuneArgs) -> Result<Question, Failure> {
        let goals = goals(args, &self.scenario)?;
        if self.scenario.autoscaler.is_none() && args.vary.is_empty() {
            return Err(anyhow!("{}: there is no [autoscaler] to tune, and no --vary", self.path.display()))
                .or_bad_input();
        }
        let (mut dimensions, mut constraints): (Vec<Dimension>, Vec<Constraint>) =
            if args.vary.is_empty() { usual::space(&self.keys) } else { (Vec::new(), Vec::new()) };
        for text in &args.vary {
            dimensions.push(text.parse::<Dimension>().context("--vary").or_bad_input()?);
        }
        for text in &args.require {
            constraints.push(Constraint::parse(text).context("--require").or_bad_input()?);
        }
        let present = |path: &str| self.keys.value(path).as_deref().and_then(number);
        let space = Space::new(dimensions, constraints, present).or_bad_input()?;
        let place = |dimension: &Dimension| dimension.range.place(&self.keys.value(&dimension.path)?);
        let combine = match args.cvar {
            _ if args.worst => Combine::Worst,
            Some(share) => Combine::Cvar(share),
            None => Combine::Mean,
        };
        let method =
            Method::ALL.iter().find(|(name, _)| *name == args.method).map_or(Method::Race, |(_, method)| *method);
        Ok(Question {
            present: space.free.iter().map(place).collect(),
            space,
            rules: Rules { goals, combine, every_day: args.every_day },
            method,
            budget: args.budget,
            confirm: args.seeds_confirm,
            confidence: args.confidence,
            precision: args.precision,
            seed: self.scenario.seed,
        })
    }

    /// Fingerprint of what decides what a run leaves.
    #[cfg(feature = "history")]
    fn digest(&self, question: &Question, days: &Days) -> Result<String, Failure> {
        let seed = self.scenario.seed.to_string();
        let judged = format!("{:?}{days:?}", question.rules.goals);
        let files = self.dataset.as_ref().map_or(&[][..], Dataset::paths);
        let texts = [&*self.scenario.digest, &seed, &judged, self.fidelity.name()];
        studies::fingerprint(&texts, files).or_bad_input()
    }
}

fn load(path: &Path, policy: Option<&Path>, seed: Option<u64>, overrides: &[String]) -> Result<Scenario, LoadError> {
    let mut scenario = match policy {
        Some(policy) => scenario::load_with_policy(path, policy, overrides)?,
        None => scenario::load(path, overrides)?,
    };
    if let Traffic::Replay { recording, .. } = &mut scenario.traffic {
        recording.options.tables = tables();
    }
    scenario.seed = seed.unwrap_or(scenario.seed);
    Ok(scenario)
}

/// What has to hold: what was typed, or the scenario's targets.
fn goals(args: &TuneArgs, scenario: &Scenario) -> Result<Vec<Goal>, Failure> {
    let mut goals = Vec::new();
    for text in &args.slo {
        let criterion: Criterion = text.parse().context("--slo").or_bad_input()?;
        let (Bound::AtMost(bound) | Bound::AtLeast(bound)) = criterion.bound else {
            return Err(anyhow!("--slo {text}: expected a bound, such as p99<500ms")).or_bad_input();
        };
        let target = Target::from_name(&criterion.quantity.to_string(), bound);
        let expected = "expected p50, p75, p90, p95, p99, p999, mean, availability, cost or scale_up_time";
        goals.push(Goal::Target(target.ok_or_else(|| anyhow!("--slo {text}: {expected}")).or_bad_input()?));
    }
    if goals.is_empty() {
        goals.extend(scenario.slo.iter().map(|target| Goal::Target(*target)));
    }
    if goals.is_empty() {
        let example = "the cheapest policy without one serves nobody. Say for example --slo 'p99<500ms' --slo 'availability>=99.9%'";
        return Err(anyhow!("there is no target to hold ([slo] is absent): {example}")).or_bad_input();
    }
    goals.extend(args.actions_per_hour.map(Goal::ActionsPerHour));
    Ok(goals)
}

/// The place where shares leave their runs, if one was named.
fn left<'a>(
    args: &TuneArgs,
    system: &System,
    question: &Question,
    days: &Days,
    share: Option<Share>,
    monitor: &'a Monitor,
) -> Result<Option<Box<dyn Exchange + Send + Sync + 'a>>, Failure> {
    let Some(place) = &args.results else { return Ok(None) };
    #[cfg(all(feature = "data", feature = "history"))]
    {
        let store = crate::store::Store::open(place).context("--results").or_bad_input()?;
        let meta = meta(args, system, question, days)?;
        let patience = args.wait.unwrap_or(Span::ZERO);
        Ok(Some(Box::new(results::Results::new(store, meta, share, patience, monitor))))
    }
    #[cfg(not(all(feature = "data", feature = "history")))]
    {
        let _ = (system, question, days, share, monitor);
        let instead = "wavetank merge joins the studies of shares as well";
        let words = "runs are left as tables by the feature data, which this program was built without";
        Err(anyhow!("--results {place}: {words}; {instead}")).or_bad_input()
    }
}

/// What a study is of.
#[cfg(feature = "history")]
fn meta(args: &TuneArgs, system: &System, question: &Question, days: &Days) -> Result<studies::Meta, Failure> {
    let definition = serde_json::to_string(args).expect("arguments are plain");
    Ok(studies::Meta { digest: system.digest(question, days)?, definition })
}

/// Runs per second of wall time, by a pilot with the present setting.
fn speed(lab: &mut Laboratory, days: usize, threads: usize) -> Result<f64, Failure> {
    let present = Candidate { point: None, settings: Vec::new(), origin: Origin::Present };
    let trials: Vec<Trial> = (0..(PILOT_RUNS * threads).max(days))
        .map(|k| Trial { candidate: 0, day: k % days, seed: (k / days) as u32 })
        .collect();
    let watch = Stopwatch::start();
    lab.play(&[present], &trials).or_run_failed()?;
    Ok(trials.len() as f64 / watch.stop(threads).wall_seconds.max(1e-3))
}

fn opened(path: &Path, args: &TuneArgs, system: &System, question: &Question, days: &Days) -> Result<Study, Failure> {
    #[cfg(feature = "history")]
    {
        Study::open(path, &meta(args, system, question, days)?).or_bad_input()
    }
    #[cfg(not(feature = "history"))]
    {
        let _ = (path, args, system, question, days);
        Ok(Study::in_memory())
    }
}

/// The present and the recommended setting on the hardest day that was held out.
fn before_and_after(
    lab: &mut Laboratory,
    tuned: &Tuned,
    days: &Days,
) -> Result<Vec<(String, Plan, Vec<Run>)>, Failure> {
    lab.set(Block::Fresh, Stress::None);
    let first = if days.is_cut { days.searched.len() } else { 0 };
    let hardest = tuned.confirmation.present().samples.iter().max_by(|a, b| {
        let p99 = |sample: &&crate::tune::judge::Sample| sample.outcome.p99_ms.unwrap_or(f64::MAX);
        p99(a).total_cmp(&p99(b)).then(b.day.cmp(&a.day))
    });
    let day = hardest.map_or(first, |sample| sample.day);
    let mut which = vec![("present".to_string(), 0)];
    if tuned.recommended() != 0 {
        which.push(("tuned".to_string(), tuned.confirmed().candidate));
    }
    which
        .into_iter()
        .map(|(label, candidate)| {
            let (plan, run) = lab.run(&tuned.found.candidates[candidate].settings, day, 0).or_run_failed()?;
            Ok((label, plan, vec![run]))
        })
        .collect()
}

/// What makes the study again.
fn shown(args: &TuneArgs) -> String {
    let words = words(args);
    let quoted: Vec<String> = words.iter().map(|word| quoted(Path::new(word))).collect();
    format!("wavetank {}", quoted.join(" "))
}

/// What makes the study again, word by word.
fn words(args: &TuneArgs) -> Vec<String> {
    let path = |path: &PathBuf| path.display().to_string();
    let mut words = vec!["tune".to_string()];
    words.extend(args.scenario.iter().map(path));
    let mut add = |flag: &str, value: String| words.extend([format!("--{flag}"), value]);
    args.traffic.iter().for_each(|file| add("traffic", path(file)));
    args.policy.iter().for_each(|file| add("policy", path(file)));
    for (flag, values) in
        [("vary", &args.vary), ("require", &args.require), ("slo", &args.slo), ("set", &args.overrides)]
    {
        values.iter().for_each(|value| add(flag, value.clone()));
    }
    let optional = [("train", &args.train), ("validate", &args.validate)];
    optional.into_iter().for_each(|(flag, value)| value.iter().for_each(|value| add(flag, value.clone())));
    args.actions_per_hour.iter().for_each(|n| add("actions-per-hour", n.to_string()));
    args.cvar.iter().for_each(|share| add("cvar", share.to_string()));
    args.seed.iter().for_each(|seed| add("seed", seed.to_string()));
    add("method", args.method.clone());
    if args.fidelity != "full" {
        add("fidelity", args.fidelity.clone());
    }
    add("budget", args.budget.to_string());
    add("seeds-confirm", args.seeds_confirm.to_string());
    add("confidence", args.confidence.to_string());
    add("precision", args.precision.to_string());
    let flags = [("--worst", args.worst), ("--every-day", args.every_day)];
    words.extend(flags.iter().filter(|(_, is)| *is).map(|(flag, _)| (*flag).to_string()));
    words
}

/// Prints what plays the study in shares on a cluster. Shares wait for each other, so that all of it is played in one go.
fn in_shares(args: &TuneArgs, system: &System, on: cluster::System) -> Result<Exit, Failure> {
    if args.time.is_some() {
        return Err(anyhow!("--time: every machine would reckon another budget from it: say --budget"))
            .or_bad_input();
    }
    let mut command = words(args);
    let wait = args.wait.unwrap_or(SHARES_WAIT).to_string();
    command.extend(["--wait", &wait, "--out", "/tmp/wavetank"].map(str::to_string));
    let join = ["merge", "--into", "/tmp/report/study.db"];
    let mut files = cli_cluster::files(&system.path, &system.keys, system.dataset.as_ref());
    files.extend(system.policy.clone());
    let shared = Shared { name: &system.scenario.name, command, join: &join, files };
    cli_cluster::print(&args.cluster, on, args.results.as_deref(), shared)
}
