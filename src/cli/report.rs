//! `wavetank report`: any form of a report, made again later; and HDR interval logs of whoever wrote them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;

use super::args::{ReportArgs, ReportFormat};
use super::exit::{Exit, Failure, OrExit};
use crate::gate::Judgement;
use crate::gate::output::{self, Severity, Told};
use crate::report::saved::{self, Saved};
use crate::report::{self, Experiment, hlog};

/// Makes what is asked for.
pub fn report(args: ReportArgs) -> Result<Exit, Failure> {
    let is_log = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("hlog"));
    let logs = args.reports.iter().filter(|path| is_log(path)).count();
    if logs > 0 && logs < args.reports.len() {
        return Err(anyhow!("found reports and interval logs together: expected one kind")).or_bad_input();
    }
    if logs > 0 { of_logs(&args) } else { of_reports(&args) }
}

fn of_reports(args: &ReportArgs) -> Result<Exit, Failure> {
    let mut merged: Option<Saved> = None;
    for path in &args.reports {
        let next = saved::load(path).or_bad_input()?;
        match &mut merged {
            None => merged = Some(next),
            Some(first) => merge(first, next, path).or_bad_input()?,
        }
    }
    let saved = merged.expect("clap asks for one report at least");
    let x = saved.experiment();
    let home = match args.reports[0].is_dir() {
        true => args.reports[0].clone(),
        false => args.reports[0].parent().unwrap_or(Path::new("")).to_path_buf(),
    };
    let place = Place::new(args, home)?;
    for &format in &args.format {
        match format {
            ReportFormat::Html => place.write("report.html", &report::html(&x))?,
            ReportFormat::Json => place.write("report.json", &report::json(&x))?,
            ReportFormat::Svg => place.write("report.svg", &report::svg(&x))?,
            ReportFormat::Md => place.write("report.md", &report::markdown(&x))?,
            ReportFormat::Csv => place.write("timeline.csv", &report::timeline_csv(&x.first().timeline))?,
            ReportFormat::Junit => place.write("report.junit.xml", &junit(&x))?,
            ReportFormat::Hgrm => place.write("latency.hgrm", &report::hgrm(&x.latency()))?,
            ReportFormat::Hlog => place.write("latency.hlog", &hlog::hlog(&x))?,
            ReportFormat::Png | ReportFormat::Card => draw(&place, format, &x)?,
        }
    }
    Ok(Exit::Done)
}

/// Adds the runs of another report of the same scenario.
fn merge(first: &mut Saved, next: Saved, path: &Path) -> anyhow::Result<()> {
    if first.digest != next.digest {
        return Err(anyhow!(
            "{}: of another scenario (digest {}, the first {}): only runs of one are merged",
            path.display(),
            next.digest,
            first.digest
        ));
    }
    for run in next.runs {
        if first.runs.iter().any(|known| known.seed == run.seed) {
            return Err(anyhow!("{}: the run of seed {} is there already", path.display(), run.seed));
        }
        first.runs.push(run);
    }
    Ok(())
}

#[cfg(feature = "render")]
fn draw(place: &Place, format: ReportFormat, x: &Experiment) -> Result<(), Failure> {
    use report::chart;
    let one = |name: &'static str, draw: &dyn Fn(&Path) -> Result<(), String>| {
        let path = place.path(name)?;
        // Drawn aside first: a picture is never half there.
        let aside = path.with_extension(format!("tmp{}.png", std::process::id()));
        let drawn = draw(&aside).map_err(|problem| anyhow!("cannot draw {name}: {problem}"));
        let moved = drawn.and_then(|()| {
            std::fs::rename(&aside, &path).with_context(|| format!("cannot write {}", path.display()))
        });
        if moved.is_err() {
            // What is left of it helps nobody; the first error is the one to tell.
            let _ = std::fs::remove_file(&aside);
        }
        moved.or_run_failed()?;
        println!("{}", path.display());
        Ok(())
    };
    match format {
        ReportFormat::Card => one("card.png", &|path| chart::card(x, path)),
        _ => chart::ALL.iter().try_for_each(|(name, each)| one(name, &|path| chart::draw(*each, x, path))),
    }
}

#[cfg(not(feature = "render"))]
fn draw(_: &Place, format: ReportFormat, _: &Experiment) -> Result<(), Failure> {
    Err(anyhow!("{format:?}: this program was built without charts (feature render)")).or_bad_input()
}

fn junit(x: &Experiment) -> String {
    let judgement = Judgement::of_report(x);
    let failed = x.cut_short().map(|ended| format!("{ended:?}"));
    output::junit(&Told {
        name: x.name,
        baseline: None,
        judgement: &judgement,
        severity: Severity::Error,
        notes: &x.notes,
        trend: None,
        started: &x.info.started,
        seconds: x.info.wall_seconds,
        command: &x.command,
        failed_run: failed.as_deref(),
    })
}

/// Interval logs: their sum, or their sum by tag.
fn of_logs(args: &ReportArgs) -> Result<Exit, Failure> {
    let mut all = hlog::Log::default();
    for path in &args.reports {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))
            .or_bad_input()?;
        let log = hlog::read(&text).map_err(|problem| anyhow!("{}: {problem}", path.display())).or_bad_input()?;
        all.started = all.started.or(log.started);
        all.per_ms = log.per_ms;
        all.intervals.extend(log.intervals);
    }
    let Some(sum) = all.sum(|_| true) else {
        return Err(anyhow!("{}: no interval in it", args.reports[0].display())).or_bad_input();
    };
    let home = args.reports[0].parent().unwrap_or(Path::new("")).to_path_buf();
    let stem = args.reports[0].file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let place = Place::new(args, home)?;
    for &format in &args.format {
        match format {
            ReportFormat::Hgrm => place.write(&format!("{stem}.hgrm"), &report::hgrm_of(&sum, all.per_ms))?,
            ReportFormat::Csv => place.write(&format!("{stem}.csv"), &percentiles(&all))?,
            ReportFormat::Md => place.write(&format!("{stem}.md"), &table(&all))?,
            other => {
                return Err(anyhow!("{other:?}: an interval log can become hgrm, csv or md")).or_bad_input();
            }
        }
    }
    Ok(Exit::Done)
}

/// Tags with their sums, the sum of everything last if there are several.
fn by_tag(log: &hlog::Log) -> Vec<(String, Histogram<u64>)> {
    let tags = log.tags();
    let mut out: Vec<(String, Histogram<u64>)> = tags
        .iter()
        .filter_map(|tag| Some((tag.clone().unwrap_or_default(), log.sum(|each| each.tag == *tag)?)))
        .collect();
    if tags.len() > 1 {
        out.extend(log.sum(|_| true).map(|sum| ("(all)".to_string(), sum)));
    }
    out
}

fn percentiles(log: &hlog::Log) -> String {
    let mut out = "tag,quantile,value_ms,count\n".to_string();
    for (tag, histogram) in by_tag(log) {
        let mut count = 0;
        for step in histogram.iter_quantiles(5) {
            count += step.count_since_last_iteration();
            let value = step.value_iterated_to() as f64 / log.per_ms;
            // Writing to a string cannot fail.
            let tag = report::csv_cell(&tag);
            let _ = writeln!(out, "{tag},{},{value},{count}", step.quantile_iterated_to());
        }
    }
    out
}

fn table(log: &hlog::Log) -> String {
    let mut out = "| tag | intervals | values | p50 [ms] | p90 [ms] | p99 [ms] | p99.9 [ms] | max [ms] |\n|---|--:|--:|--:|--:|--:|--:|--:|\n".to_string();
    for (tag, histogram) in by_tag(log) {
        let of_tag = log.intervals.iter().filter(|each| each.tag.clone().unwrap_or_default() == tag).count();
        let intervals = if tag == "(all)" { log.intervals.len() } else { of_tag };
        let _ = write!(out, "| {} | {intervals} | {} |", tag.replace('|', "\\|"), histogram.len());
        for q in [0.5, 0.9, 0.99, 0.999, 1.0] {
            let _ = write!(out, " {:.3} |", histogram.value_at_quantile(q) as f64 / log.per_ms);
        }
        out.push('\n');
    }
    out
}

/// Where files go.
enum Place {
    Folder(PathBuf),
    File(PathBuf),
    Stdout,
}

impl Place {
    fn new(args: &ReportArgs, home: PathBuf) -> Result<Place, Failure> {
        let Some(out) = &args.out else { return Ok(Place::Folder(home)) };
        let single = args.format.len() == 1 && args.format[0] != ReportFormat::Png;
        if out.as_os_str() == "-" {
            let is_text = single && args.format[0] != ReportFormat::Card;
            return if is_text {
                Ok(Place::Stdout)
            } else {
                Err(anyhow!("--out -: standard output takes a single form that is text")).or_bad_input()
            };
        }
        let names_a_file = single && out.extension().is_some() && !out.is_dir();
        let folder = if names_a_file { out.parent().unwrap_or(Path::new("")) } else { out.as_path() };
        if !folder.as_os_str().is_empty() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))
                .or_bad_input()?;
        }
        Ok(if names_a_file { Place::File(out.clone()) } else { Place::Folder(out.clone()) })
    }

    /// The file that is called `name` by default.
    fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        match self {
            Place::Folder(folder) => Ok(folder.join(name)),
            Place::File(path) => Ok(path.clone()),
            Place::Stdout => Err(anyhow!("{name} is no text")).or_bad_input(),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        if let Place::Stdout = self {
            // A closed pipe is the reader's choice, not a failure.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            return Ok(());
        }
        let path = self.path(name)?;
        report::write_file(&path, text.as_bytes()).or_run_failed()?;
        println!("{}", path.display());
        Ok(())
    }
}
