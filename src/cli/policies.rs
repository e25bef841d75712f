//! `wavetank policies`: what each policy would have made of recorded load, beside static fleets.
//!
//! ```text
//! recording ─▶ course (a stretch of it, scaled to a fleet) ─┬─▶ a scenario a contender ─▶ runs ─▶ results ─▶ tables
//! contenders (built in, and files) ─────────────────────────┘
//! ```
//!
//! All contenders meet the same requests. The scenarios are files like any other: with `--out` they stay, to be looked at, changed and
//! run again by `wavetank sim` and `wavetank compare`.

mod course;
mod field;
mod result;
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rayon::prelude::*;
use tempfile::TempDir;

use self::course::Course;
use self::field::Contender;
use self::result::{Outcome, Standing};
use super::args::PoliciesArgs;
use super::dataset::{Files, plain_options};
use super::exit::{Exit, Failure, OrExit};
use super::progress::Progress;
use super::run::{folder_name, stop_on_ctrl_c};
use crate::record::run::Ended;
use crate::report;
use crate::rng::replication_seed;
use crate::scenario;
use crate::sim::Plan;
use crate::traffic::replay::Dataset;
use crate::units::Span;

/// What contenders did on one course.
struct Heat {
    course: Course,
    standings: Vec<Standing>,
}

/// Lets every policy run on every recording.
pub fn policies(args: PoliciesArgs) -> Result<Exit, Failure> {
    let files = Files::of(&args.datasets)?;
    // Standard input is kept under a name of its own; a file is called what it was called here.
    let named = args.datasets.iter().zip(&files.paths);
    let paths = named.map(|(named, kept)| if named.as_os_str() == "-" { kept } else { named });
    let courses = paths.map(|path| course(path, &args)).collect::<Result<Vec<_>, _>>()?;
    check_policies(&courses, &args)?;
    let own =
        args.policies.iter().map(|path| field::from_file(path)).collect::<Result<Vec<_>, _>>().or_bad_input()?;
    let spool = match &args.out {
        Some(_) => None,
        None => Some(TempDir::with_prefix("wavetank-").context("cannot keep scenarios").or_run_failed()?),
    };
    let folder = args.out.clone().or_else(|| spool.as_ref().map(|dir| dir.path().to_path_buf())).unwrap_or_default();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.map_or(0, usize::from)).build();
    let pool = pool.or_run_failed()?;
    let mut heats: Vec<Heat> = Vec::new();
    for course in courses {
        let taken = heats.iter().filter(|heat| heat.course.name == course.name).count();
        let base = folder_name(&course.name);
        let dir = folder.join(if taken > 0 { format!("{base}-{}", taken + 1) } else { base });
        let contenders = field::contenders(&course, &own);
        let standings = run(&course, &contenders, &dir, &args, &pool)?;
        if standings.iter().any(|standing| standing.runs.is_empty()) {
            eprintln!("stopped; the table has the courses that were finished");
            break;
        }
        let heat = Heat { course, standings };
        if !args.json {
            // A closed pipe is the reader's choice, not a failure.
            let _ = std::io::stdout().lock().write_all(table::console(&heat).as_bytes());
        }
        heats.push(heat);
    }
    if args.json {
        let _ = std::io::stdout().lock().write_all(table::json(&heats).as_bytes());
    }
    if let Some(out) = &args.out {
        write(&out.join("policies.md"), &table::markdown(&heats))?;
        write(&out.join("policies.json"), &table::json(&heats))?;
        if !args.json {
            let _ = writeln!(std::io::stdout().lock(), "Tables and scenarios: {}", out.display());
        }
    }
    Ok(Exit::Done)
}

/// Reads every policy beside a scenario, whichever, so that what is wrong is told with its own lines, and before anything is left.
fn check_policies(courses: &[Course], args: &PoliciesArgs) -> Result<(), Failure> {
    let Some(course) = courses.first() else { return Ok(()) };
    let folder = TempDir::with_prefix("wavetank-").context("cannot keep a scenario").or_run_failed()?;
    let path = folder.path().join("scenario.toml");
    write(&folder.path().join(course::HISTORY), &course.history_csv())?;
    write(&path, &course.scenario(&field::contenders(course, &[])[0]))?;
    for policy in &args.policies {
        scenario::load_with_policy(&path, policy, &args.overrides).or_bad_input()?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))
            .or_bad_input()?;
    }
    report::write_file(path, text.as_bytes()).or_run_failed()
}

fn course(path: &Path, args: &PoliciesArgs) -> Result<Course, Failure> {
    let dataset = Dataset::open(path, &plain_options()).or_bad_input()?;
    Course::new(path, &dataset, args.duration, args.peak_instances)
        .with_context(|| path.display().to_string())
        .or_bad_input()
}

/// Writes a scenario for each contender, and runs all of them; no runs of a contender if somebody stopped it.
fn run(
    course: &Course,
    contenders: &[Contender],
    dir: &Path,
    args: &PoliciesArgs,
    pool: &rayon::ThreadPool,
) -> Result<Vec<Standing>, Failure> {
    write(&dir.join(course::HISTORY), &course.history_csv())?;
    let mut plans = Vec::new();
    for contender in contenders {
        let path: PathBuf = dir.join(format!("{}.toml", folder_name(&contender.name)));
        write(&path, &course.scenario(contender))?;
        let mut scenario = scenario::load(&path, &args.overrides).or_bad_input()?;
        scenario.seed = args.seed.unwrap_or(scenario.seed);
        plans.push(Plan::new(scenario).or_bad_input()?.with_spotlight(course.spikes.clone()));
    }
    let spikes: Vec<(f64, f64)> = course.spikes.iter().map(|(a, b)| (a.as_secs_f64(), b.as_secs_f64())).collect();
    let monitor = stop_on_ctrl_c();
    let n = args.replications.unwrap_or(1);
    let total = Span(course.duration.0.saturating_mul(plans.len() as u64 * u64::from(n)));
    let _bar = Progress::watch(&monitor, total, &course.name);
    let jobs: Vec<(usize, u32)> = (0..plans.len()).flat_map(|i| (0..n).map(move |r| (i, r))).collect();
    let played: Result<Vec<_>, _> = pool.install(|| {
        let play = |&(i, r): &(usize, u32)| {
            let seed = plans[i].scenario().seed;
            // The runs are long: what is not looked at again is let go at once.
            let run = plans[i].run(replication_seed(seed, r), &monitor);
            run.map(|run| (i, run.ended == Ended::Completed, Outcome::of(&run, &spikes)))
        };
        jobs.par_iter().map(play).collect()
    });
    let mut standings: Vec<Standing> =
        contenders.iter().map(|contender| Standing { contender: contender.clone(), runs: Vec::new() }).collect();
    for (i, is_complete, outcome) in played.or_run_failed()? {
        if is_complete {
            standings[i].runs.push(outcome);
        }
    }
    Ok(standings)
}
