//! `wavetank calibrate`: reads what happened, fits, and writes a scenario.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::args::CalibrateArgs;
use super::compare::is_report;
use super::dataset;
use super::exit::{Exit, Failure, OrExit};
use crate::calibrate::{self, Launch, Observations, Sample};
use crate::engine::request::Outcome;
use crate::record::latency::Latency;
use crate::record::run::InstanceSummary;
use crate::record::timeline::Column;
use crate::record::{Run, attempts};
use crate::report;
use crate::report::saved;
use crate::rng::{Dice, Stream};
use crate::scenario;
use crate::traffic::replay::{self, Dataset};
use crate::units::Span;

/// Requests of a log that are looked at, at most.
const MOST: usize = 2_000_000;

/// Calibrates.
pub fn calibrate(args: &CalibrateArgs) -> Result<Exit, Failure> {
    let given = match &args.scenario {
        None => None,
        Some(path) => {
            // What it says otherwise has to be sound: only two sections are replaced.
            scenario::load(path, &[]).or_bad_input()?;
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
            Some(text.or_bad_input()?)
        }
    };
    let observations = observations(args)?;
    let calibration = calibrate::calibrate(&observations).or_bad_input()?;
    let out = args.out.as_deref();
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = out.and_then(stem).unwrap_or_else(|| "calibrated".to_string());
    let written = calibrate::document(&calibration, given.as_deref(), &name, out.map(|_| name.as_str()));
    let written = written.or_bad_input()?;
    if let Some(out) = out {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))
            .or_bad_input()?;
        for (name, text) in &written.files {
            report::write_file(&folder.join(name), text.as_bytes()).or_run_failed()?;
        }
        report::write_file(out, written.scenario.as_bytes()).or_run_failed()?;
    }
    let mut stdout = std::io::stdout().lock();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A closed pipe is the reader's choice, not a failure.
    let _ = if args.json {
        stdout.write_all(calibrate::json(&calibration, &written.scenario).as_bytes())
    } else {
        let text = calibrate::console(&calibration, color);
        match out {
            Some(out) => write!(stdout, "{text}\nScenario: {}\n", out.display()),
            None => write!(stdout, "{text}\n{}", written.scenario),
        }
    };
    Ok(Exit::Done)
}

/// What the inputs tell: all of them reports, or all of them parts of one log.
fn observations(args: &CalibrateArgs) -> Result<Observations, Failure> {
    let (reports, logs): (Vec<&PathBuf>, Vec<&PathBuf>) =
        args.inputs.iter().partition(|path| is_report_of_ours(path));
    match (reports.as_slice(), logs.as_slice()) {
        ([], _) => of_log(args),
        ([only], []) => of_report(only),
        ([_, second, ..], _) => {
            Err(anyhow!("{}: expected one run: instances of two would be taken for one another", second.display()))
                .or_bad_input()
        }
        (_, [log, ..]) => {
            Err(anyhow!("{}: found a log beside a report, expected the one or the other", log.display()))
                .or_bad_input()
        }
    }
}

/// A folder, or JSON that says of itself that it is a report: other JSON may be a log.
fn is_report_of_ours(path: &Path) -> bool {
    let says_so = || saved::load(path).is_ok();
    path.is_dir() || is_report(path) && says_so()
}

/// What a folder of a run tells: attempts one by one if it has them, else its histograms.
fn of_report(path: &Path) -> Result<Observations, Failure> {
    let report = saved::load(path).or_bad_input()?;
    let run = &report.runs[0];
    if report.mode == report::Mode::Sim {
        return Err(anyhow!("{}: a simulated run tells what its scenario says", path.display())).or_bad_input();
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let file = folder.join(attempts::FILE);
    let mut observations = Observations {
        endpoints: run.endpoints.iter().map(|endpoint| endpoint.path.clone()).collect(),
        seconds: report.duration.as_secs_f64(),
        ..Observations::default()
    };
    if run.generator.is_some() || !file.exists() {
        of_histograms(&mut observations, run);
        return Ok(observations);
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()));
    let attempts =
        attempts::read(&text.or_bad_input()?).with_context(|| file.display().to_string()).or_bad_input()?;
    for attempt in attempts {
        let place = observations.endpoints.iter().position(|path| *path == attempt.path);
        let endpoint = place.unwrap_or_else(|| {
            observations.endpoints.push(attempt.path.clone());
            observations.endpoints.len() - 1
        });
        observations.samples.push(Sample {
            at: attempt.sent_at.as_secs_f64(),
            took: attempt.took.as_secs_f64(),
            endpoint,
            instance: Some(attempt.instance.0),
            good: attempt.outcome == Outcome::Success,
            weight: 1.0,
            found: None,
        });
    }
    observations.look_around();
    observations.samples.retain(|sample| sample.took > 0.0);
    observations.launches = launches(run);
    let initial = observations.launches.iter().filter(|launch| launch.launched == 0.0).count();
    observations.instances = Some(initial as u32);
    ways(&mut observations, run);
    Ok(observations)
}

fn launches(run: &Run) -> Vec<Launch> {
    let launch = |instance: &InstanceSummary| {
        let ready = instance.ready_at?.as_secs_f64();
        Some(Launch { instance: instance.id, launched: instance.launched_at.as_secs_f64(), ready })
    };
    run.instances.iter().filter_map(launch).collect()
}

/// What is spent between clients and the gateway, and between the gateway and instances, where attempts can be laid beside requests.
fn ways(observations: &mut Observations, run: &Run) {
    let mean = |of: &Latency| of.mean().map(Span::as_secs_f64);
    let good = || observations.samples.iter().filter(|sample| sample.good).map(|sample| sample.took);
    let (n, sum) = good().fold((0.0, 0.0), |(n, sum), took| (n + 1.0, sum + took));
    let (Some(latency), true) = (mean(&run.latency), n > 0.0 && run.counts.retries == 0) else {
        let why = "requests were repeated: what they spend before they reach an instance cannot be told";
        observations.notes.push(why.to_string());
        return;
    };
    let took: f64 = sum / n;
    observations.way_before = (latency - took).max(0.0);
    if let Some(service) = mean(&run.service_time).filter(|service| *service > 0.0) {
        observations.way_inside = Some((took - service - mean(&run.waiting_time).unwrap_or(0.0)).max(0.0));
    }
}

/// What histograms tell: no request knows who was there with it.
fn of_histograms(observations: &mut Observations, run: &Run) {
    for (endpoint, summary) in run.endpoints.iter().enumerate() {
        let mut latency = Latency::default();
        summary.latency.add_to(&mut latency);
        // A slot is as wide as a thousandth of it: its middle stands for it.
        for each in latency.histogram().iter_recorded() {
            let middle = latency.histogram().median_equivalent(each.value_iterated_to());
            observations.samples.push(Sample {
                at: 0.0,
                took: (middle as f64).max(0.5) / 1e6,
                endpoint,
                instance: None,
                good: true,
                weight: each.count_at_value() as f64,
                found: None,
            });
        }
    }
    let steps = run.timeline.column(Column::SucceededRps).iter().zip(run.timeline.column(Column::P50Ms));
    let mut steps: Vec<(f64, f64)> =
        steps.map(|(rate, p50)| (rate * p50 / 1e3, *p50)).filter(|(inside, _)| inside.is_finite()).collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    by_the_second(observations, &steps);
    observations.notes.push(
        "a report of load has no single requests: the number of instances, and who was there with whom, is not in it"
            .to_string(),
    );
}

/// What seconds tell of concurrency: `steps` are how many were inside on average, and a typical response time, by ascending number.
fn by_the_second(observations: &mut Observations, steps: &[(f64, f64)]) {
    let quarter = steps.len() / 4;
    if quarter == 0 {
        return;
    }
    let mean = |part: &[(f64, f64)]| part.iter().map(|(_, took)| took).sum::<f64>() / part.len() as f64;
    let (quiet, busy) = (mean(&steps[..quarter]), mean(&steps[steps.len() - quarter..]));
    let slower = busy / quiet;
    if slower > 1.1 {
        // Up to where they were still as fast as in quiet.
        let calm = steps.chunks(quarter.max(1)).take_while(|part| mean(part) <= 1.1 * quiet).flatten();
        observations.busiest =
            calm.map(|(inside, _)| *inside).fold(None, |most, x| Some(most.map_or(x, |m: f64| m.max(x))));
        observations.notes.push(format!(
            "response times are {slower:.1} times as long in the busiest quarter of the time as in the quietest: requests waited, and the demand that is fitted has some of that in it"
        ));
    } else {
        observations.busiest = steps.last().map(|(inside, _)| *inside);
    }
}

/// What an access log with response times tells.
fn of_log(args: &CalibrateArgs) -> Result<Observations, Failure> {
    let files = dataset::Files::of(&args.inputs)?;
    let mut options = dataset::plain_options();
    options.log_format.clone_from(&args.log_format);
    let recording = Dataset::open_all(&files.paths, &options).or_bad_input()?;
    if recording.summary().recorded_answers.took.is_none() {
        return Err(anyhow!("{}: the recording has no response times", dataset::names(&recording))).or_bad_input();
    }
    let mut observations = Observations::default();
    let (mut whole, mut first, mut left_out) = (0usize, None::<i64>, 0usize);
    let dice = Dice::new(0, Stream::Spread);
    let names = &recording.summary().endpoints;
    let places: BTreeMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
    observations.endpoints.clone_from(names);
    recording
        .for_each_request::<replay::Error>(|second, record| {
            let Some(took) = record.took.filter(|took| *took > 0) else { return Ok(()) };
            if observations.samples.len() == MOST {
                left_out += 1;
                return Ok(());
            }
            let origin = *first.get_or_insert(second);
            let took = took as f64 / 1e9;
            let n = observations.samples.len() as u64;
            let within = match record.subsecond {
                Some(nanos) => f64::from(nanos) / 1e9,
                None => {
                    whole += 1;
                    dice.unit(n)
                }
            };
            let stamp = (second - origin) as f64 + within;
            let path = String::from_utf8_lossy(record.path);
            // What has no row of its own is among the others, which are last.
            let endpoint = places.get(&*path).copied().unwrap_or(names.len().saturating_sub(1));
            observations.samples.push(Sample {
                at: if args.stamped_at_end { stamp - took } else { stamp },
                took,
                endpoint,
                instance: None,
                good: record.status < 500,
                weight: 1.0,
                found: None,
            });
            Ok(())
        })
        .or_bad_input()?;
    observations.seconds = recording.summary().recorded.as_secs_f64();
    if left_out > 0 {
        observations.notes.push(format!("the first {MOST} requests were looked at, {left_out} were not"));
    }
    observations
        .notes
        .push("a log does not say how many instances wrote it: what is served at once is by all of them".to_string());
    if whole == 0 {
        observations.look_around();
    } else {
        observations.notes.push(
            "stamps of whole seconds do not tell who was there with whom: where response times begin to grow cannot be seen".to_string(),
        );
        let mut seconds: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for sample in &observations.samples {
            let of = seconds.entry(sample.at.floor() as i64).or_default();
            *of = (of.0 + sample.took, of.1 + 1.0);
        }
        let mut steps: Vec<(f64, f64)> = seconds.into_values().map(|(sum, n)| (sum, sum / n)).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        by_the_second(&mut observations, &steps);
    }
    Ok(observations)
}
