//! `wavetank study`, and `wavetank merge` of studies.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::json;

use crate::cli::args::{MergeArgs, StudyArgs, TuneArgs};
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::report::figure::short;
use crate::report::verdict::{millis, percent};
use crate::tune::judge::Outcome;
use crate::tune::laboratory::{Block, Stress};
use crate::tune::study::{self as studies, Study};

/// Tells what is in a study.
pub fn study(args: &StudyArgs) -> Result<Exit, Failure> {
    let path = if args.study.is_dir() { args.study.join("study.db") } else { args.study.clone() };
    let meta = studies::meta(&path).or_bad_input()?;
    let study = Study::open(&path, &meta).or_bad_input()?;
    let mut settings: Vec<(&str, Vec<&Outcome>, Vec<&Outcome>)> = Vec::new();
    for (record, outcome) in study.runs().filter(|(record, _)| record.stress == Stress::None) {
        // Runs come in the order of their settings.
        if settings.last().is_none_or(|(last, ..)| *last != record.settings) {
            settings.push((&record.settings, Vec::new(), Vec::new()));
        }
        let Some((_, searched, fresh)) = settings.last_mut() else { continue };
        if record.block == Block::Search { searched.push(outcome) } else { fresh.push(outcome) }
    }
    let mean = |outcomes: &[&Outcome], of: &dyn Fn(&Outcome) -> Option<f64>| -> Option<f64> {
        let all: Option<Vec<f64>> = outcomes.iter().map(|outcome| of(outcome)).collect();
        all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
    };
    let cost = |outcomes: &[&Outcome]| mean(outcomes, &|outcome| Some(outcome.cost));
    // What was confirmed comes first.
    settings.sort_by(|a, b| {
        let key = |(_, searched, fresh): &(&str, Vec<&Outcome>, Vec<&Outcome>)| {
            (fresh.is_empty(), cost(if fresh.is_empty() { searched } else { fresh }).unwrap_or(f64::MAX))
        };
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let shown = settings.iter().take(args.top);
    let text = if args.json {
        let rows: Vec<serde_json::Value> = shown
            .map(|(settings, searched, fresh)| {
                let best = if fresh.is_empty() { searched } else { fresh };
                json!({
                    "set": settings.lines().collect::<Vec<_>>(),
                    "runs": { "search": searched.len(), "fresh": fresh.len() },
                    "cost_per_day": cost(best),
                    "p99_ms": mean(best, &|outcome| outcome.p99_ms),
                    "availability": mean(best, &|outcome| outcome.availability),
                })
            })
            .collect();
        let all = json!({
            "schema": "wavetank.study/1", "digest": meta.digest, "runs": study.runs().len(), "settings": rows,
        });
        serde_json::to_string_pretty(&all).expect("a tree of values can be written") + "\n"
    } else {
        let mut text = format!("{}: {} runs of {} settings\n\n", path.display(), study.runs().len(), settings.len());
        text.push_str(&format!(
            "  {:>10}  {:>10}  {:>12}  {:>11}  setting\n",
            "cost a day", "p99", "availability", "runs+fresh"
        ));
        for (settings, searched, fresh) in shown {
            let best = if fresh.is_empty() { searched } else { fresh };
            let dash = || "–".to_string();
            text.push_str(&format!(
                "  {:>10}  {:>10}  {:>12}  {:>11}  {}\n",
                cost(best).map_or_else(dash, short),
                mean(best, &|outcome| outcome.p99_ms).map_or_else(dash, millis),
                mean(best, &|outcome| outcome.availability).map_or_else(dash, percent),
                format!("{}+{}", searched.len(), fresh.len()),
                if settings.is_empty() {
                    "as it is".to_string()
                } else {
                    settings.replace('\n', " ").replace('"', "")
                }
            ));
        }
        text
    };
    // A closed pipe is the reader's choice, not a failure.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Done)
}

/// Joins shares, and goes on.
pub fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    if args.json {
        return Err(anyhow!("--json: of reports only; `wavetank study --json` tells what is in a study"))
            .or_bad_input();
    }
    let mut shares = Vec::new();
    for name in &args.shares {
        shares.extend(runs(name)?);
    }
    let into = args.into.as_deref().context("--into: say which study they are put into").or_bad_input()?;
    if args.shares.iter().any(|study| Path::new(study) == into) {
        return Err(anyhow!("{}: a study is not put into itself", into.display())).or_bad_input();
    }
    if let Some(folder) = into.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = || format!("cannot make the folder {}", folder.display());
        std::fs::create_dir_all(folder).with_context(failed).or_bad_input()?;
    }
    let n = shares.len();
    let new = studies::merge(into, shares).or_bad_input()?;
    eprintln!("{}: {new} runs from {n} studies", into.display());
    if args.only {
        return Ok(Exit::Done);
    }
    super::tune(resume(into, args.threads))
}

/// The runs of the study called `name`, or of those in the place called so.
fn runs(name: &str) -> Result<Vec<studies::Runs>, Failure> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(vec![studies::runs(path).or_bad_input()?]);
    }
    if path.join("study.db").is_file() {
        return Ok(vec![studies::runs(&path.join("study.db")).or_bad_input()?]);
    }
    let left = left(name)?;
    if left.is_empty() {
        let expected = "expected a report of wavetank load, a study, or a place where shares left their runs";
        return Err(anyhow!("{name}: found none of these; {expected}")).or_bad_input();
    }
    Ok(left)
}

/// What shares have left in the place called `name`.
fn left(name: &str) -> Result<Vec<studies::Runs>, Failure> {
    #[cfg(feature = "data")]
    {
        let store = crate::store::Store::open(name).or_bad_input()?;
        super::results::all(&store).map_err(|error| anyhow!(error)).or_bad_input()
    }
    #[cfg(not(feature = "data"))]
    {
        let _ = name;
        Ok(Vec::new())
    }
}

/// `wavetank tune --resume FILE`.
fn resume(path: &Path, threads: Option<u16>) -> TuneArgs {
    use clap::Parser as _;
    let words = ["wavetank".into(), "tune".into(), "--resume".into(), path.as_os_str().to_os_string()];
    match crate::cli::args::Args::try_parse_from(words).map(|args| args.verb) {
        Ok(crate::cli::args::Verb::Tune(args)) => TuneArgs { threads, ..*args },
        _ => unreachable!("these words are a command"),
    }
}
