//! `wavetank merge`: shares of a load become one report, judged once; replications of a simulation its report; shares of a study one
//! study.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::args::MergeArgs;
use super::dataset::quoted;
use super::exit::{Exit, Failure, OrExit};
use super::run::{folder_name, print_report};
use super::shares;
use crate::report::saved::{self, Saved};
use crate::report::{self, Outcome};

/// Joins shares, of whatever they are.
pub fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let (reports, others): (Vec<_>, Vec<_>) = args.shares.iter().partition(|name| is_report(Path::new(name)));
    match (reports.first(), others.first()) {
        (Some(report), Some(other)) => {
            Err(anyhow!("{report} is a report, and {other} is none: expected one kind of share")).or_bad_input()
        }
        (Some(_), None) => of_reports(args),
        _ => match shares::archives(&args.shares)? {
            archives if archives.is_empty() => of_studies(args),
            archives => shares::merge(args, archives),
        },
    }
}

fn is_report(path: &Path) -> bool {
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    is_json || path.join("report.json").is_file()
}

#[cfg(feature = "history")]
fn of_studies(args: &MergeArgs) -> Result<Exit, Failure> {
    super::tune::merge_studies(args)
}

#[cfg(not(feature = "history"))]
fn of_studies(args: &MergeArgs) -> Result<Exit, Failure> {
    Err(anyhow!(
        "{}: no report.json in it; studies are kept in files by the feature history, which this program was built without",
        args.shares[0]
    ))
    .or_bad_input()
}

fn of_reports(args: &MergeArgs) -> Result<Exit, Failure> {
    for (flag, is_given) in [("only", args.only), ("threads", args.threads.is_some())] {
        if is_given {
            return Err(anyhow!("--{flag}: of studies only, and these are reports")).or_bad_input();
        }
    }
    let read = |name: &String| Ok((PathBuf::from(name), saved::load(Path::new(name))?));
    let shares = args.shares.iter().map(read).collect::<Result<Vec<_>, saved::Error>>().or_bad_input()?;
    let whole = joined(shares, command(args)).or_bad_input()?;
    let default = || Path::new("reports").join(format!("{}-merged", folder_name(&whole.name)));
    let write_files = args.into.is_some() || !args.json;
    let out = args.into.clone().unwrap_or_else(default);
    let experiment = whole.experiment();
    if write_files {
        let make = std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()));
        make.or_bad_input()?;
        report::write(&experiment, &out).or_run_failed()?;
    }
    print_report(&experiment, write_files.then_some(out.as_path()), args.json);
    Ok(match experiment.overall() {
        None | Some(Outcome::Pass) => Exit::Done,
        Some(Outcome::Fail) => Exit::GateFailed,
        Some(Outcome::Inconclusive) => Exit::Inconclusive,
    })
}

/// The report of all shares together, whatever their order.
fn joined(mut shares: Vec<(PathBuf, Saved)>, command: String) -> anyhow::Result<Saved> {
    let place = |saved: &Saved| {
        let shares = saved.runs[0].generator.as_ref().and_then(|generator| generator.shares.as_ref());
        shares.and_then(|shares| shares.here.first().copied())
    };
    shares.sort_by_key(|(_, saved)| place(saved));
    let notes = notes(&shares);
    let mut shares = shares.into_iter();
    let (first, mut whole) = shares.next().context("no share was given")?;
    if place(&whole).is_none() {
        return Err(anyhow!("{}: {}", first.display(), crate::record::join::Problem::NotShare));
    }
    for (path, next) in shares {
        let differs = [
            ("scenario", whole.digest != next.digest),
            ("duration", whole.duration != next.duration),
            ("warm-up", whole.warmup != next.warmup),
        ];
        if let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err(anyhow!("{}: a share of another load: its {what} differs", path.display()));
        }
        whole.runs[0].join(&next.runs[0]).with_context(|| path.display().to_string())?;
        let (info, more) = (&mut whole.info, next.info);
        info.wall_seconds = info.wall_seconds.max(more.wall_seconds);
        info.cpu_seconds = info.cpu_seconds.zip(more.cpu_seconds).map(|(mine, more)| mine + more);
        info.threads += more.threads;
        info.started = info.started.clone().min(more.started);
        if !info.host.split(", ").any(|host| host == more.host) {
            info.host = format!("{}, {}", info.host, more.host);
        }
    }
    Ok(Saved { notes, command, ..whole })
}

/// What all shares note, and then what each of them does.
fn notes(shares: &[(PathBuf, Saved)]) -> Vec<String> {
    let is_common = |note: &String| shares.iter().all(|(_, saved)| saved.notes.contains(note));
    let (_, first) = &shares[0];
    let mut notes: Vec<String> = first.notes.iter().filter(|note| is_common(note)).cloned().collect();
    for (path, saved) in shares {
        let own = saved.notes.iter().filter(|note| !is_common(note));
        notes.extend(own.map(|note| format!("{}: {note}", path.display())));
    }
    notes
}

/// The command as it would be typed again.
fn command(args: &MergeArgs) -> String {
    let mut text = "wavetank merge".to_string();
    args.shares.iter().for_each(|path| text.push_str(&format!(" {}", quoted(Path::new(path)))));
    text
}
