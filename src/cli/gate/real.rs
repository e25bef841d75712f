//! A gate on real runs: on this machine, or against a URL. Old and new are interleaved, each run has two witnesses (its generator of load and the
//! machine), and runs that either speaks against are set aside.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::{Baseline, Case, Judged, Subject, unfinished};
use crate::cli::args::{Budget, GateArgs};
use crate::cli::exit::{Failure, OrExit};
use crate::cli::run::Stopwatch;
#[cfg(feature = "live")]
use crate::gate::disturbance::against;
use crate::gate::disturbance::{Side, Tolerance, Trial, is_hopeless, order, sift};
use crate::gate::{Judgement, Quantity, Runs, Sample, decide};
use crate::record::Run;
use crate::report::verdict::millis;
use crate::report::{self, Mode};
use crate::rng::replication_seed;
use crate::scenario::Scenario;
use crate::units::Span;

/// A build that is run for real.
#[cfg_attr(not(feature = "live"), expect(dead_code, reason = "a build without the feature runs none, and says so"))]
pub struct Build {
    /// What it is run under.
    pub scenario: Scenario,
    /// The file of that, which instances read again.
    pub path: PathBuf,
    /// Its overrides.
    pub overrides: Vec<String>,
    /// Where it is; `None`: on this machine, started for each run.
    #[cfg_attr(
        all(feature = "live", not(feature = "load")),
        expect(dead_code, reason = "only the feature load sends anything to a URL, and a build without it says so")
    )]
    pub url: Option<String>,
}

/// A build that can be run: what cannot is told before anything is started.
pub fn build(scenario: Scenario, path: &Path, url: Option<String>, args: &GateArgs) -> Result<Build, Failure> {
    #[cfg(feature = "load")]
    if let Some(url) = &url {
        crate::load::target::Target::new(url, args.at.i_own_this_target).or_bad_input()?;
        crate::load::schedule::Plan::new(scenario.clone()).or_bad_input()?;
    }
    #[cfg(feature = "live")]
    if url.is_none() {
        crate::cli::live::Runner::check(&scenario).or_bad_input()?;
        let live = scenario.live.clone().unwrap_or_default();
        for what in crate::cli::live::simulated_only(&scenario, &live) {
            eprintln!("note: {what} is for the simulator only: nothing of it happens in real runs");
        }
    }
    Ok(Build { scenario, path: path.to_path_buf(), overrides: args.overrides.clone(), url })
}

/// What came of a gate on real runs.
pub struct Outcome {
    /// The verdict, or what broke.
    pub judged: Judged,
    /// The runs that counted.
    pub samples: Vec<Sample>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Whether nobody can tell, because of who was in the way.
    pub undecidable: bool,
}

/// Why there are no more runs.
enum Stop {
    /// Too many were disturbed.
    Hopeless,
    /// A run did not come to its end.
    Broken(String),
    /// It could not even begin.
    Failed(Failure),
}

/// Runs and looks.
pub fn judge(case: &Case, args: &GateArgs, elapsed: impl Fn() -> f64) -> Result<Outcome, Failure> {
    let Subject::Real(new) = &case.subject else { unreachable!("whoever calls has looked") };
    let old = if let Baseline::Real(old) = &case.baseline { Some(old.as_ref()) } else { None };
    let stored = if let Baseline::Finished(samples) = &case.baseline { samples.as_slice() } else { &[] };
    let tolerance = Tolerance { others: args.host_noise, ..Tolerance::default() };
    let (play, stopwatch) = (player(args, tolerance)?, Stopwatch::start());
    let mut trials: Vec<Trial> = Vec::new();
    let mut kept: Vec<(usize, Run)> = Vec::new();
    let mut taken = 0;
    let judged = decide(&case.criteria, &case.design, |n| {
        let sifted = loop {
            let sifted = sift(&trials, old.is_some());
            let have = sifted.runs.new.len();
            if have >= n {
                break sifted;
            }
            if is_hopeless(sifted.disturbed, n) {
                // What an earlier look has left open stays open.
                if taken > 0 {
                    break sifted;
                }
                return Err(Stop::Hopeless);
            }
            let late = matches!(args.budget, Some(Budget::Time(limit)) if elapsed() >= limit.as_secs_f64());
            if late && have > 0 {
                break sifted;
            }
            let pair = have + sifted.disturbed;
            let sides = if old.is_some() { order(pair).to_vec() } else { vec![Side::New] };
            for side in sides {
                let build = if side == Side::New { new } else { old.unwrap_or(new) };
                let seed = replication_seed(new.scenario.seed, pair as u32);
                let (run, disturbances) = play(build, seed).map_err(Stop::Failed)?;
                if let Some(problem) = unfinished(&run) {
                    return Err(Stop::Broken(problem));
                }
                let is_disturbed = !disturbances.is_empty();
                let trial = Trial { pair, side, sample: Sample::from(&run), disturbances };
                tell(&trial, old.is_some());
                trials.push(trial);
                if is_disturbed {
                    // Its partner would not count either.
                    break;
                }
                if side == Side::New {
                    kept.push((pair, run));
                }
            }
        };
        taken = sifted.runs.new.len();
        let old = if old.is_some() { sifted.runs.old } else { stored.to_vec() };
        Ok(Runs { new: sifted.runs.new, old })
    });
    let sifted = sift(&trials, old.is_some());
    let mut notes = vec![counted(&sifted.runs, sifted.disturbed, old.is_some())];
    notes.extend(sifted.reasons);
    // Of a pair that does not count, neither does the run that was not disturbed.
    let counts = |pair: usize| trials.iter().all(|trial| trial.pair != pair || trial.disturbances.is_empty());
    let kept: Vec<Run> = kept.into_iter().filter(|(pair, _)| counts(*pair)).map(|(_, run)| run).collect();
    if let (Some(out), false) = (&args.out, kept.is_empty()) {
        leave(new, &kept, args, out, &notes, stopwatch)?;
    }
    let (judged, undecidable) = match judged {
        Ok(judgement) => (Ok(judgement), false),
        Err(Stop::Hopeless) => {
            let mut judgement = Judgement::undecided(&case.criteria, &case.design);
            for finding in &mut judgement.findings {
                finding.note = Some("too many runs were disturbed: the notes say by whom".to_string());
            }
            (Ok(judgement), true)
        }
        Err(Stop::Broken(problem)) => (Err(problem), false),
        Err(Stop::Failed(failure)) => return Err(failure),
    };
    Ok(Outcome { judged, samples: sifted.runs.new, notes, undecidable })
}

/// How many runs counted, in words.
fn counted(runs: &Runs, disturbed: usize, paired: bool) -> String {
    let what = match (runs.new.len(), paired) {
        (1, true) => "1 pair of real runs, interleaved with the baseline's".to_string(),
        (n, true) => format!("{n} pairs of real runs, interleaved with the baseline's"),
        (1, false) => "1 real run".to_string(),
        (n, false) => format!("{n} real runs"),
    };
    match disturbed {
        0 => what,
        n => format!("{what}; {n} more were disturbed and do not count"),
    }
}

/// Tells how far it is: what a run measured, or that it does not count.
fn tell(trial: &Trial, paired: bool) {
    let which = match (paired, trial.side) {
        (false, _) => "",
        (true, Side::New) => ", new",
        (true, Side::Old) => ", baseline",
    };
    let ms = |q: f64| trial.sample.figure(Quantity::Latency { q }).map_or("–".to_string(), millis);
    let is_disturbed = if trial.disturbances.is_empty() { "" } else { ", disturbed" };
    eprintln!("run {}{which}: p50 {}, p99 {}{is_disturbed}", trial.pair + 1, ms(0.5), ms(0.99));
}

/// Leaves the report of the new build's runs, as a baseline for later.
fn leave(
    build: &Build,
    runs: &[Run],
    args: &GateArgs,
    out: &Path,
    notes: &[String],
    stopwatch: Stopwatch,
) -> Result<(), Failure> {
    let duration = build.scenario.duration.unwrap_or(Span::ZERO);
    let info = stopwatch.stop(1);
    let mut experiment = crate::cli::run::experiment_of(&build.scenario, duration, runs, super::command(args), info);
    (experiment.mode, experiment.seed) = (Mode::Live, build.scenario.seed);
    experiment.notes.extend_from_slice(notes);
    report::write(&experiment, out).or_run_failed()
}

/// Runs a build once under a seed, and says what speaks against the run.
type Play = Box<dyn Fn(&Build, u64) -> Result<(Run, Vec<String>), Failure>>;

/// Whoever runs builds, with the tolerance for neighbours.
fn player(args: &GateArgs, tolerance: Tolerance) -> Result<Play, Failure> {
    #[cfg(feature = "load")]
    if args.target.is_some() {
        return loaded(args, tolerance);
    }
    #[cfg(feature = "live")]
    if args.target.is_none() {
        return live(tolerance);
    }
    let _ = tolerance;
    let (flag, feature) = if args.target.is_some() { ("--target", "load") } else { ("--live", "live") };
    Err(anyhow!("{flag}: this build cannot do that: cargo install --path . --features {feature}")).or_bad_input()
}

/// On this machine, started for each run.
#[cfg(feature = "live")]
fn live(tolerance: Tolerance) -> Result<Play, Failure> {
    let runner = crate::cli::live::Runner::new(crate::cli::run::stop_on_ctrl_c())?;
    Ok(Box::new(move |build, seed| {
        let file = (build.path.clone(), build.overrides.clone());
        let witnessed = runner.run(build.scenario.clone(), file, seed)?;
        let against = against(&witnessed.generator, &witnessed.machine, &tolerance);
        Ok((witnessed.run, against))
    }))
}

/// Against URLs.
#[cfg(feature = "load")]
fn loaded(args: &GateArgs, tolerance: Tolerance) -> Result<Play, Failure> {
    use crate::cli::load::Sender;
    use crate::load::schedule::Plan;
    // A build is where its URL says.
    let urls = args.target.iter().chain(&args.baseline_target);
    let senders =
        urls.map(|url| Ok((url.clone(), Sender::new(url, &args.at)?))).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Box::new(move |build, seed| {
        let sender = senders.iter().find(|(url, _)| Some(url) == build.url.as_ref());
        let (_, sender) = sender.expect("builds are at the URLs of the arguments");
        let plan = Plan::new(build.scenario.clone()).or_bad_input()?;
        let sent = sender.run(&plan, seed, std::future::ready(()))?;
        let against = against(&sent.generator, &sent.machine, &tolerance);
        Ok((sent.outcome.run, against))
    }))
}
