//! `wavetank gate`: run or read, judge, and tell everybody who has to know.
#![expect(
    clippy::disallowed_methods,
    reason = "a verdict says when it was made and how long that took; a budget can be a time"
)]

mod real;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow};

use super::args::{Budget, GateArgs, Inconclusive};
use super::dataset::quoted;
use super::exit::{Exit, Failure, OrExit};
use super::run::{check_length, timed};
use crate::gate::disturbance::Tolerance;
use crate::gate::history::{self, Entry, KEPT, Trend};
use crate::gate::output::{self, Github, Severity, Told};
use crate::gate::{Bound, Criterion, Design, Judgement, Quantity, Runs, Sample, decide, foreign, openslo};
use crate::record::Run;
use crate::record::run::Ended;
use crate::report::saved::{self, Saved};
use crate::report::verdict::Outcome;
use crate::report::{self};
use crate::scenario::{self, Scenario};
use crate::sim::Plan;
use crate::sim::replicate::replicate_some;
use crate::statistics;
use real::Build;

/// Runs of a scenario where nobody says how many.
const RUNS: usize = 40;
/// The same of real ones, which take their time.
const REAL_RUNS: usize = 10;
/// Runs of a gate whose budget is a time.
const LONGEST: usize = 160;

/// What is judged, before anything ran.
enum Subject {
    Scenario(Box<Plan>),
    Real(Box<Build>),
    Finished(Vec<Sample>),
}

/// What it is compared with.
enum Baseline {
    None,
    Scenario(Box<Plan>),
    Real(Box<Build>),
    Finished(Vec<Sample>),
}

/// Everything that was read.
struct Case {
    name: String,
    subject: Subject,
    baseline: Baseline,
    baseline_name: Option<String>,
    criteria: Vec<Criterion>,
    design: Design,
    notes: Vec<String>,
    /// Why what was handed in cannot be judged: a run in it failed.
    failed: Option<String>,
    /// Whether a run in it measured its own generator of load, so that nobody can tell; a note says which.
    blamed: bool,
}

/// Judges.
pub fn gate(args: GateArgs) -> Result<Exit, Failure> {
    let started = jiff::Timestamp::now();
    let clock = Instant::now();
    let mut case = read(&args)?;
    if let Some(out) = &args.out {
        let make = std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()));
        make.or_bad_input()?;
    }
    let (judged, runs) = match &case.failed {
        Some(problem) => (Err(problem.clone()), Vec::new()),
        None if case.blamed => (Ok(Judgement::undecided(&case.criteria, &case.design)), Vec::new()),
        None if matches!(case.subject, Subject::Real(_)) => {
            let outcome = real::judge(&case, &args, || clock.elapsed().as_secs_f64())?;
            case.notes.extend(outcome.notes);
            case.blamed = outcome.undecidable;
            (outcome.judged, outcome.samples)
        }
        None => judge(&case, &args, clock)?,
    };
    let (judgement, failed_run) = match judged {
        Ok(judgement) => (judgement, None),
        Err(problem) => (Judgement::undecided(&case.criteria, &case.design), Some(problem)),
    };
    let trend = match (&args.history, &failed_run) {
        (Some(path), None) if !case.blamed => {
            Some(remember(path, &case, &judgement, &runs, &args, started).or_run_failed()?)
        }
        _ => None,
    };
    let (started, command) = (started.to_string(), command(&args));
    let told = Told {
        name: &case.name,
        baseline: case.baseline_name.as_deref(),
        judgement: &judgement,
        severity: match args.inconclusive {
            Inconclusive::Pass => Severity::Pass,
            Inconclusive::Fail => Severity::Fail,
            Inconclusive::Error => Severity::Error,
        },
        notes: &case.notes,
        trend: trend.as_ref(),
        started: &started,
        seconds: clock.elapsed().as_secs_f64(),
        command: &command,
        failed_run: failed_run.as_deref(),
    };
    tell(&told, &args)?;
    Ok(match (told.failed_run, judgement.outcome(), args.inconclusive) {
        (Some(_), ..) => Exit::RunFailed,
        (None, Outcome::Pass, _) | (None, Outcome::Inconclusive, Inconclusive::Pass) => Exit::Done,
        (None, Outcome::Fail, _) | (None, Outcome::Inconclusive, Inconclusive::Fail) => Exit::GateFailed,
        (None, Outcome::Inconclusive, Inconclusive::Error) => Exit::Inconclusive,
    })
}

/// Whether the scenario is run for real.
fn is_real(args: &GateArgs) -> bool {
    args.live || args.target.is_some()
}

fn is_scenario(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Reads and checks everything before the first run.
fn read(args: &GateArgs) -> Result<Case, Failure> {
    if let Some(path) = &args.history {
        history::check(path).or_bad_input()?;
    }
    let mut notes = Vec::new();
    let mut baseline = finished(&args.baseline, args, &mut notes)?;
    let mut failed = baseline.failed.take();
    let mut blamed = baseline.blamed;
    let mut digest = None;
    let (name, subject, own) = match args.subjects.as_slice() {
        [path] if is_scenario(path) => {
            // Runs of one seed meet the same requests: the baseline's seed makes pairs of them.
            let seed = args.seed.or(baseline.seed);
            let scenario = load(path, args.policy.as_deref(), args, seed)?;
            digest = Some(scenario.digest.clone());
            let own = placed(path, &scenario.slo);
            let name = scenario.name.clone();
            let subject = match is_real(args) {
                true => Subject::Real(Box::new(real::build(scenario, path, args.target.clone(), args)?)),
                false => Subject::Scenario(Box::new(planned(scenario)?)),
            };
            (name, subject, own)
        }
        paths => {
            if let Some(path) = paths.iter().find(|path| is_scenario(path)) {
                return Err(anyhow!("{}: a scenario is judged alone", path.display())).or_bad_input();
            }
            if args.policy.is_some() || !args.overrides.is_empty() || args.baseline_scenario.is_some() {
                return Err(anyhow!("--policy, --set and --baseline-scenario need a scenario to judge"))
                    .or_bad_input();
            }
            if is_real(args) {
                return Err(anyhow!("--live and --target need a scenario to run, and found results")).or_bad_input();
            }
            let subject = finished(paths, args, &mut notes)?;
            digest = digest.or(subject.digest);
            failed = failed.or(subject.failed);
            blamed |= subject.blamed;
            (subject.name, Subject::Finished(subject.samples), subject.slo)
        }
    };
    if let (Some(old), Some(new)) = (&baseline.digest, &digest)
        && old != new
    {
        if !args.allow_different {
            return Err(anyhow!(
                "the baseline is of another scenario (digest {old}, this one {new}): a difference would not be of the build alone. \
                 --allow-different compares anyway, --baseline-scenario simulates the other one on the same random numbers"
            ))
            .or_bad_input();
        }
        notes.push(format!("the baseline is of another scenario: digest {old}, this one {new}"));
    }
    if args.out.is_some() && !is_real(args) {
        return Err(anyhow!("--out: leaves the report of real runs: expected --live or --target")).or_bad_input();
    }
    if args.target.is_some() && args.baseline_scenario.is_some() {
        let problem = "--baseline-scenario: a target is no scenario: expected --baseline-target or --baseline";
        return Err(anyhow!(problem)).or_bad_input();
    }
    let (baseline_name, baseline) = match (&args.baseline_scenario, &subject, &args.baseline_target) {
        (Some(path), Subject::Scenario(plan), _) => {
            let scenario = load(path, None, args, Some(plan.scenario().seed))?;
            (Some(path.display().to_string()), Baseline::Scenario(Box::new(planned(scenario)?)))
        }
        (Some(path), Subject::Real(new), _) => {
            let scenario = load(path, None, args, Some(new.scenario.seed))?;
            let old = real::build(scenario, path, None, args)?;
            (Some(path.display().to_string()), Baseline::Real(Box::new(old)))
        }
        (Some(_), Subject::Finished(_), _) => unreachable!("that was checked"),
        (None, Subject::Real(new), Some(url)) => {
            let old = real::build(new.scenario.clone(), &new.path, Some(url.clone()), args)?;
            (Some(url.clone()), Baseline::Real(Box::new(old)))
        }
        _ if args.baseline.is_empty() => (None, Baseline::None),
        _ => (Some(baseline.name), Baseline::Finished(baseline.samples)),
    };
    let criteria = criteria(args, own, baseline_name.is_some())?;
    let design = design(args, &subject)?;
    Ok(Case { name, subject, baseline, baseline_name, criteria, design, notes, failed, blamed })
}

fn load(path: &Path, policy: Option<&Path>, args: &GateArgs, seed: Option<u64>) -> Result<Scenario, Failure> {
    let loaded = match policy {
        Some(policy) => scenario::load_with_policy(path, policy, &args.overrides),
        None => scenario::load(path, &args.overrides),
    };
    let mut scenario = loaded.or_bad_input()?;
    for note in &scenario.import_notes {
        eprintln!("not carried over, or not quite: {note}");
    }
    scenario.seed = seed.unwrap_or(scenario.seed);
    Ok(scenario)
}

fn planned(scenario: Scenario) -> Result<Plan, Failure> {
    let plan = Plan::new(scenario).or_bad_input()?;
    check_length(&plan).or_bad_input()?;
    Ok(plan)
}

/// Runs that are over.
#[derive(Default)]
struct Finished {
    name: String,
    samples: Vec<Sample>,
    slo: Vec<Criterion>,
    /// Of our own reports: they have to be of one scenario.
    digest: Option<String>,
    seed: Option<u64>,
    /// Why one of them is no run to judge.
    failed: Option<String>,
    /// Whether one of them measured its own generator of load.
    blamed: bool,
}

fn finished(paths: &[PathBuf], args: &GateArgs, notes: &mut Vec<String>) -> Result<Finished, Failure> {
    let tool = args.format.as_deref().map(tool).transpose()?;
    let mut all = Finished::default();
    for path in paths {
        if let Some(saved) = our_report(path, tool)? {
            if let Some(problem) = saved.runs.iter().find_map(unfinished) {
                all.failed = Some(format!("{}: {problem}", path.display()));
            }
            if let Some(faults) = saved.experiment().generator_faults() {
                notes.push(format!("{}: {faults}", path.display()));
                all.blamed = true;
            }
            if let Some(digest) =
                all.digest.as_ref().filter(|digest| **digest != saved.digest && !args.allow_different)
            {
                return Err(anyhow!(
                    "{}: of another scenario than the reports before it (digest {}, theirs {digest}); --allow-different pools them",
                    path.display(),
                    saved.digest
                ))
                .or_bad_input();
            }
            all.samples.extend(saved.runs.iter().map(Sample::from));
            all.slo = saved.slo.iter().map(Criterion::of_target).collect();
            (all.name, all.digest, all.seed) = (saved.name, Some(saved.digest), Some(saved.seed));
            continue;
        }
        let (sample, tool) = foreign::load(path, tool).or_bad_input()?;
        if all.name.is_empty() {
            all.name =
                path.file_stem().map_or_else(|| "result".to_string(), |stem| stem.to_string_lossy().into_owned());
        }
        let note = format!("{}: {}", tool.name(), tool.caveat());
        if !notes.contains(&note) {
            notes.push(note);
        }
        all.samples.push(sample);
    }
    Ok(all)
}

/// A report of ours, if the path is one.
fn our_report(path: &Path, tool: Option<foreign::Tool>) -> Result<Option<Saved>, Failure> {
    if tool.is_some() && !path.is_dir() {
        return Ok(None);
    }
    let is_ours = path.is_dir() || {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display())).or_bad_input()?;
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        head.contains("\"wavetank.report/")
    };
    if is_ours { saved::load(path).map(Some).or_bad_input() } else { Ok(None) }
}

fn tool(name: &str) -> Result<foreign::Tool, Failure> {
    let names: Vec<&str> = foreign::Tool::ALL.iter().map(|tool| tool.name()).collect();
    let found = foreign::Tool::ALL.into_iter().find(|tool| tool.name() == name);
    found.ok_or_else(|| anyhow!("--format: found {name:?}, expected {}", names.join(", "))).or_bad_input()
}

/// The targets of a scenario with their lines in its file, for annotations.
fn placed(path: &Path, targets: &[scenario::slo::Target]) -> Vec<Criterion> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line_of = |name: &str| {
        let mut inside = false;
        text.lines().position(|line| {
            let line = line.trim();
            if line.starts_with('[') {
                inside = line.starts_with("[slo]");
            }
            let key = line.split('=').next().unwrap_or_default().trim();
            (inside && key == name) || key == format!("slo.{name}") || (key == "slo" && line.contains(name))
        })
    };
    let of = |target: &scenario::slo::Target| Criterion {
        place: line_of(target.name()).map(|line| (path.display().to_string(), line + 1)),
        ..Criterion::of_target(target)
    };
    targets.iter().map(of).collect()
}

/// What is asked: absolute targets, then regressions.
fn criteria(args: &GateArgs, own: Vec<Criterion>, has_baseline: bool) -> Result<Vec<Criterion>, Failure> {
    let mut problems = Vec::new();
    let mut criteria: Vec<Criterion> = Vec::new();
    for text in &args.slo {
        match text.parse() {
            Ok(criterion) => criteria.push(criterion),
            Err(error) => problems.push(format!("--slo {error}")),
        }
    }
    for path in &args.openslo {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))
            .or_bad_input()?;
        match openslo::criteria(&text, &path.display().to_string()) {
            Ok(found) => criteria.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    if args.slo.is_empty() && args.openslo.is_empty() {
        criteria = own;
    }
    let mut regressions = Vec::new();
    for text in &args.max_regression {
        match Criterion::regression(text) {
            Ok(criterion) => regressions.push(criterion),
            Err(error) => problems.push(format!("--max-regression {error}")),
        }
    }
    if !args.max_regression.is_empty() && !has_baseline {
        problems.push("--max-regression: expected --baseline or --baseline-scenario to compare with".to_string());
    }
    if has_baseline && args.max_regression.is_empty() {
        let mut quantities: Vec<Quantity> =
            criteria.iter().map(|criterion| criterion.quantity).filter(|quantity| quantity.is_ratio()).collect();
        if quantities.is_empty() {
            quantities.push(Quantity::Latency { q: 0.99 });
        }
        let five = |quantity| Criterion { quantity, bound: Bound::Regression(0.05), place: None };
        regressions.extend(quantities.into_iter().map(five));
    }
    criteria.extend(regressions);
    if problems.is_empty() && criteria.is_empty() {
        problems.push("nothing to judge: expected [slo] in the scenario, --slo, --openslo or a baseline".to_string());
    }
    if problems.is_empty() { Ok(criteria) } else { Err(anyhow!(problems.join("\n"))).or_bad_input() }
}

fn design(args: &GateArgs, subject: &Subject) -> Result<Design, Failure> {
    let mut noise = Vec::new();
    for text in &args.noise {
        let criterion = Criterion::regression(text).context("--noise").or_bad_input()?;
        if let Bound::Regression(sd) = criterion.bound {
            noise.push((criterion.quantity, sd));
        }
    }
    let design = match (subject, args.budget) {
        (Subject::Finished(samples), _) => Design::single(samples.len()),
        (Subject::Scenario(_), None) => Design::sequential(RUNS),
        (Subject::Real(_), None) => Design::sequential(REAL_RUNS),
        (Subject::Scenario(_) | Subject::Real(_), Some(Budget::Runs(runs))) => Design::sequential(runs),
        (Subject::Scenario(_) | Subject::Real(_), Some(Budget::Time(_))) => {
            let looks = vec![5, 10, 20, 40, 80, LONGEST];
            Design { looks, ..Design::single(LONGEST) }
        }
    };
    Ok(Design { noise, ..design })
}

type Judged = Result<Judgement, String>;

/// Runs and looks; the error inside is that of a run that failed.
fn judge(case: &Case, args: &GateArgs, clock: Instant) -> Result<(Judged, Vec<Sample>), Failure> {
    let mut runs = Runs::default();
    if let Baseline::Finished(samples) = &case.baseline {
        runs.old.clone_from(samples);
    }
    if let Subject::Finished(samples) = &case.subject {
        runs.new.clone_from(samples);
    }
    let mut broken = None;
    let judged = decide(&case.criteria, &case.design, |n| {
        let late =
            matches!(args.budget, Some(Budget::Time(limit)) if clock.elapsed().as_secs_f64() >= limit.as_secs_f64());
        if late && !runs.new.is_empty() {
            return Ok(runs.clone());
        }
        let mut more = |plan: &Plan, samples: &mut Vec<Sample>| -> Result<(), ()> {
            let range = samples.len() as u32..n.max(samples.len()) as u32;
            match timed(plan, args.threads, |monitor| replicate_some(plan, range, monitor)) {
                Ok((new, _)) => match new.iter().find_map(unfinished) {
                    None => {
                        samples.extend(new.iter().map(Sample::from));
                        Ok(())
                    }
                    Some(problem) => {
                        broken = Some(Ok(problem));
                        Err(())
                    }
                },
                Err(failure) => {
                    broken = Some(Err(failure));
                    Err(())
                }
            }
        };
        if let Subject::Scenario(plan) = &case.subject {
            more(plan, &mut runs.new)?;
        }
        if let Baseline::Scenario(plan) = &case.baseline {
            more(plan, &mut runs.old)?;
        }
        Ok(runs.clone())
    });
    match (judged, broken) {
        (Ok(judgement), _) => Ok((Ok(judgement), runs.new)),
        (Err(()), Some(Err(failure))) => Ok((Err(format!("{:#}", failure.source)), Vec::new())),
        (Err(()), Some(Ok(problem))) => Ok((Err(problem), Vec::new())),
        (Err(()), None) => unreachable!("whoever fails says why"),
    }
}

/// Why a run cannot be judged; `None` if it can.
fn unfinished(run: &Run) -> Option<String> {
    match &run.ended {
        Ended::Completed => None,
        Ended::Interrupted { at } => Some(format!("interrupted at {at}")),
        Ended::TrafficLost { at, problem } => Some(format!("the traffic was lost at {at}: {problem}")),
    }
}

fn remember(
    path: &Path,
    case: &Case,
    judgement: &Judgement,
    runs: &[Sample],
    args: &GateArgs,
    started: jiff::Timestamp,
) -> Result<Trend, history::Error> {
    let mut quantities: Vec<Quantity> = KEPT.to_vec();
    for criterion in &case.criteria {
        if !quantities.contains(&criterion.quantity) {
            quantities.push(criterion.quantity);
        }
    }
    let figure = |quantity: &Quantity| {
        let values: Option<Vec<f64>> = runs.iter().map(|run| run.figure(*quantity)).collect();
        let values = values?;
        let mean = match statistics::logs(&values).filter(|_| quantity.is_ratio()) {
            Some(logs) => statistics::mean(&logs).exp(),
            None => statistics::mean(&values),
        };
        mean.is_finite().then(|| (quantity.key(), mean))
    };
    let ci = ["GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "BUILD_SOURCEVERSION"];
    let revision = args.revision.clone().or_else(|| ci.iter().find_map(|name| std::env::var(name).ok()));
    let entry = Entry {
        at: started.to_string(),
        name: case.name.clone(),
        revision,
        verdict: judgement.outcome().word().to_string(),
        runs: runs.len(),
        figures: quantities.iter().filter_map(figure).collect(),
    };
    history::append(path, &entry)
}

/// Everybody who has to know.
fn tell(told: &Told, args: &GateArgs) -> Result<(), Failure> {
    let files = [
        (&args.junit, output::junit(told)),
        (&args.markdown, output::markdown(told)),
        (&args.metrics, output::metrics(told)),
    ];
    for (path, text) in files {
        if let Some(path) = path {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make the folder {}", folder.display()))
                    .or_run_failed()?;
            }
            report::write_file(path, text.as_bytes()).or_run_failed()?;
        }
    }
    let mut stdout = std::io::stdout().lock();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A closed pipe is the reader's choice, not a failure.
    let _ = if args.json {
        stdout.write_all(output::json(told).as_bytes())
    } else {
        stdout.write_all(output::console(told, color).as_bytes())
    };
    let on_github = std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
    if on_github || args.github {
        let annotations = output::annotations(told);
        // GitHub reads commands from both streams; with --json the first one is taken.
        let _ = if args.json {
            std::io::stderr().write_all(annotations.as_bytes())
        } else {
            stdout.write_all(annotations.as_bytes())
        };
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let github = Github { summary: path("GITHUB_STEP_SUMMARY"), output: path("GITHUB_OUTPUT") };
        if let Some(path) = &github.summary {
            append(path, &output::markdown(told)).or_run_failed()?;
        }
        if let Some(path) = &github.output {
            append(path, &output::outputs(told)).or_run_failed()?;
        }
    }
    Ok(())
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// The gate as it would be typed again.
fn command(args: &GateArgs) -> String {
    let mut text = "wavetank gate".to_string();
    let mut add = |flag: &str, value: String| {
        text.push_str(&format!(" {flag}{}{value}", if flag.is_empty() { "" } else { " " }))
    };
    args.subjects.iter().for_each(|path| add("", quoted(path)));
    args.slo.iter().for_each(|slo| add("--slo", format!("'{slo}'")));
    args.openslo.iter().for_each(|path| add("--openslo", quoted(path)));
    args.baseline.iter().for_each(|path| add("--baseline", quoted(path)));
    args.baseline_scenario.iter().for_each(|path| add("--baseline-scenario", quoted(path)));
    args.max_regression.iter().for_each(|each| add("--max-regression", each.clone()));
    args.policy.iter().for_each(|path| add("--policy", quoted(path)));
    args.overrides.iter().for_each(|each| add("--set", format!("'{each}'")));
    args.noise.iter().for_each(|each| add("--noise", each.clone()));
    args.seed.iter().for_each(|seed| add("--seed", seed.to_string()));
    match args.budget {
        None => {}
        Some(Budget::Runs(runs)) => add("--budget", runs.to_string()),
        Some(Budget::Time(time)) => add("--budget", time.to_string()),
    }
    if args.live {
        add("--live", String::new());
    }
    args.target.iter().for_each(|url| add("--target", url.clone()));
    args.baseline_target.iter().for_each(|url| add("--baseline-target", url.clone()));
    if is_real(args) && args.host_noise != Tolerance::default().others {
        add("--host-noise", args.host_noise.to_string());
    }
    if args.allow_different {
        add("--allow-different", String::new());
    }
    text.trim_end().to_string() + &args.at.shown()
}
