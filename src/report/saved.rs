//! Reading `report.json` back: everything that was written, so that any other form of a report can be made from it later, runs can
//! be compared and judged each by itself, and histograms merge without loss.
//!
//! What is read back and written again is the same text. Kinds of events that this version does not know are left out.

mod events;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Experiment, Mode, RunInfo, Threshold};
use crate::record::Run;
use crate::record::cost::Cost;
use crate::record::elasticity::Elasticity;
use crate::record::generator::{Generator, MOST_SHARES, Pacing, Shares, VERSIONS};
use crate::record::heat::{self, LatencyHeat};
use crate::record::latency::{Encoded, Latency, StepHistogram};
use crate::record::outcome::{Counts, Failure};
use crate::record::regret::Regret;
use crate::record::run::{Ended, EndpointSummary, FleetSummary, InstanceSummary};
use crate::record::timeline::{Column, Timeline};
use crate::scenario::slo::Target;
use crate::units::{Span, Time};

/// A report as it was read.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Name of the scenario.
    pub name: String,
    /// What it shows, in a line.
    pub description: String,
    /// Its fingerprint.
    pub digest: String,
    /// Length of a run.
    pub duration: Span,
    /// Start of a run left out of the statistics.
    pub warmup: Span,
    /// Seed of the scenario.
    pub seed: u64,
    /// What had to hold.
    pub slo: Vec<Target>,
    /// What the autoscaler acted on.
    pub thresholds: Vec<Threshold>,
    /// Price of an instance-hour.
    pub price_per_hour: f64,
    /// Which world it took place in.
    pub mode: Mode,
    /// The replications, at least one, in order; timeline, events and instances are the first one's.
    pub runs: Vec<Run>,
    /// The command that reproduces it.
    pub command: String,
    /// What else a reader should know.
    pub notes: Vec<String>,
    /// How it went as a program.
    pub info: RunInfo,
}

/// Why a report could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there, or cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// It is not JSON.
    #[error("{} is not JSON: {cause}", path.display())]
    NotJson {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: serde_json::Error,
    },
    /// It is JSON, but not a report that this version can read.
    #[error("{}: {problem}", path.display())]
    NotReport {
        /// Which.
        path: PathBuf,
        /// Key, what was found, what was expected.
        problem: String,
    },
}

/// Reads a `report.json`, or the one in a folder.
pub fn load(path: &Path) -> Result<Saved, Error> {
    let path = if path.is_dir() { path.join("report.json") } else { path.to_path_buf() };
    let bytes = std::fs::read(&path).map_err(|cause| Error::Unreadable { path: path.clone(), cause })?;
    let report: Value =
        serde_json::from_slice(&bytes).map_err(|cause| Error::NotJson { path: path.clone(), cause })?;
    parse(&report).map_err(|problem| Error::NotReport { path, problem })
}

/// Whether JSON says of itself that it is a report of ours.
pub fn is_report(json: &Value) -> bool {
    json["schema"].as_str().is_some_and(|schema| schema.starts_with("wavetank.report/"))
}

/// What a report says; the error names the key, what was found and what was expected.
pub fn parse(report: &Value) -> Result<Saved, String> {
    match report["schema"].as_str() {
        Some("wavetank.report/1") => {}
        Some(other) => return Err(format!("found the schema {other:?}, expected \"wavetank.report/1\"")),
        None => return Err("JSON, but no wavetank report: it has no \"schema\"".to_string()),
    }
    let root = At { value: report, path: "" };
    if report["per_replication"].is_null() {
        return Err("an earlier version wrote it, without per_replication: run it again".to_string());
    }
    let mode = root.at("mode").text()?;
    let mode =
        Mode::from_name(mode).ok_or_else(|| format!("mode: found {mode:?}, which this version does not know"))?;
    let fleet = root.at("fleet");
    let mut runs = root.list("per_replication", run)?;
    let Some(first) = runs.first_mut() else { return Err("per_replication: found no run".to_string()) };
    first.timeline = timeline(&root.at("timeline"))?;
    first.events = events::events(&root.at("events"))?;
    first.instances = root.list("instances", instance)?;
    first.latency_heat = root.at("latency_heat").optional(latency_heat)?;
    first.endpoints = root.list("endpoints", endpoint)?;
    first.latency_steps = root.list_if_there("latency_steps", encoded)?;
    first.generator = root.at("generator").optional(generator)?;
    let latency = runs.iter().fold(Latency::default(), |mut all, run| {
        all.merge(&run.latency);
        all
    });
    if let [only] = runs[0].endpoints.as_mut_slice() {
        only.latency = StepHistogram::from(&latency);
    }
    // What the first one's endpoints say is of all runs; the others add nothing.
    let paths: Vec<String> = runs[0].endpoints.iter().map(|each| each.path.clone()).collect();
    for run in &mut runs[1..] {
        run.endpoints =
            paths.iter().map(|path| EndpointSummary { path: path.clone(), ..EndpointSummary::default() }).collect();
    }
    let about = root.at("run");
    Ok(Saved {
        name: root.at("scenario").at("name").text()?.to_string(),
        description: root.at("scenario").at("description").text().unwrap_or_default().to_string(),
        digest: root.at("scenario").at("digest").text()?.to_string(),
        duration: Span::from_secs_f64(root.at("duration_seconds").number()?),
        warmup: Span::from_secs_f64(root.at("warmup_seconds").number()?),
        seed: root.at("seed").seed()?,
        slo: root.list("slo", |at| target(&at))?,
        thresholds: root.list_if_there("thresholds", threshold)?,
        price_per_hour: fleet.at("price_per_hour").number().unwrap_or(0.0),
        mode,
        runs,
        command: root.at("command").text()?.to_string(),
        notes: root.list("notes", |at| at.text().map(str::to_string))?,
        info: RunInfo {
            wall_seconds: about.at("wall_seconds").number().unwrap_or(0.0),
            cpu_seconds: about.at("cpu_seconds").number().ok(),
            started: about.at("started").text()?.to_string(),
            host: about.at("host").text()?.to_string(),
            version: about.at("version").text()?.to_string().into(),
            threads: about.at("threads").whole().unwrap_or(1) as usize,
        },
    })
}

impl Saved {
    /// The same as an experiment, for every writer.
    pub fn experiment(&self) -> Experiment<'_> {
        Experiment {
            name: &self.name,
            description: &self.description,
            digest: &self.digest,
            duration: self.duration,
            warmup: self.warmup,
            seed: self.seed,
            slo: &self.slo,
            thresholds: self.thresholds.clone(),
            price_per_hour: self.price_per_hour,
            mode: self.mode,
            runs: &self.runs,
            command: self.command.clone(),
            notes: self.notes.clone(),
            // Quantiles that were written down make no histogram.
            recorded: None,
            compare_recorded: false,
            info: self.info.clone(),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy)]
struct At<'a> {
    value: &'a Value,
    /// The key, without those above it.
    path: &'a str,
}

impl<'a> At<'a> {
    fn at(&self, key: &'a str) -> At<'a> {
        At { value: &self.value[key], path: key }
    }

    fn unfit<T>(&self, expected: &str) -> Result<T, String> {
        let mut found = self.value.to_string();
        if found.chars().count() > 40 {
            found = found.chars().take(40).chain(['…']).collect();
        }
        Err(format!("{}: found {found}, expected {expected}", self.path))
    }

    fn text(&self) -> Result<&'a str, String> {
        self.value.as_str().map_or_else(|| self.unfit("text"), Ok)
    }

    fn number(&self) -> Result<f64, String> {
        self.value.as_f64().map_or_else(|| self.unfit("a number"), Ok)
    }

    fn whole(&self) -> Result<u64, String> {
        // Beyond 2^53 most programs lose digits, and sums could overflow.
        let small = self.value.as_u64().filter(|n| *n < 1 << 53);
        small.map_or_else(|| self.unfit("a whole number"), Ok)
    }

    /// A seed has all its 64 bits.
    fn seed(&self) -> Result<u64, String> {
        self.value.as_u64().map_or_else(|| self.unfit("a seed, a whole number below 2^64"), Ok)
    }

    fn count(&self) -> Result<u32, String> {
        self.whole().and_then(|n| u32::try_from(n).or_else(|_| self.unfit("a number below 2^32")))
    }

    /// A moment \[s\].
    fn time(&self) -> Result<Time, String> {
        self.number().map(Time::from_secs_f64)
    }

    fn span(&self) -> Result<Span, String> {
        self.number().map(Span::from_secs_f64)
    }

    /// `None` for null.
    fn optional<T>(&self, read: impl FnOnce(&At<'a>) -> Result<T, String>) -> Result<Option<T>, String> {
        if self.value.is_null() { Ok(None) } else { read(self).map(Some) }
    }

    /// Empty if it is not there: earlier reports did not have it.
    fn list_if_there<T>(&self, key: &'a str, read: impl Fn(At<'a>) -> Result<T, String>) -> Result<Vec<T>, String> {
        if self.value[key].is_null() { Ok(Vec::new()) } else { self.list(key, read) }
    }

    fn list<T>(&self, key: &'a str, read: impl Fn(At<'a>) -> Result<T, String>) -> Result<Vec<T>, String> {
        let at = self.at(key);
        match at.value.as_array() {
            Some(items) => items.iter().map(|value| read(At { value, path: key })).collect(),
            None => at.unfit("an array"),
        }
    }
}

/// First and last moments by reason; earlier reports have none.
fn failures_seen(at: &At) -> Result<[Option<(Time, Time)>; Failure::ALL.len()], String> {
    let mut seen = [None; Failure::ALL.len()];
    for reason in Failure::ALL.into_iter().filter(|reason| !at.value[reason.name()].is_null()) {
        let moments = at.list(reason.name(), |at| at.time())?;
        let [first, last] = moments[..] else { return at.unfit("two moments for each reason") };
        seen[reason as usize] = Some((first, last));
    }
    Ok(seen)
}

fn threshold(at: At) -> Result<Threshold, String> {
    let text = |key| at.at(key).text().map(str::to_string);
    Ok(Threshold {
        rule: text("rule")?,
        metric: text("metric")?,
        sign: text("sign")?,
        value: at.at("value").number()?,
    })
}

fn latency_heat(at: &At) -> Result<LatencyHeat, String> {
    let column = |at: At| {
        let mut counts = vec![0; heat::rows()];
        let first = at.at("first").count()? as usize;
        let found = at.list("counts", |at| at.whole())?;
        match counts.get_mut(first..first + found.len()) {
            Some(rows) => rows.copy_from_slice(&found),
            None => return at.unfit(&format!("at most {} rows", heat::rows())),
        }
        Ok(counts)
    };
    let columns = at.list("columns", column)?;
    if columns.len() > heat::COLUMNS {
        return at.at("columns").unfit(&format!("at most {} columns", heat::COLUMNS));
    }
    let column_seconds = at.at("column_seconds").number()?;
    if column_seconds <= 0.0 {
        return at.at("column_seconds").unfit("a time above 0");
    }
    Ok(LatencyHeat { column_seconds, columns })
}

fn generator(at: &At) -> Result<Generator, String> {
    Ok(Generator {
        pool: at.at("pool").count()?,
        due: at.at("due").whole()?,
        sent: at.at("sent").whole()?,
        found_busy: at.at("found_busy").whole()?,
        lag: latency(&at.at("lag"))?,
        first_byte: latency(&at.at("first_byte"))?,
        lag_limit: Span(at.at("lag_limit_ns").whole()?),
        service: latency(&at.at("service"))?,
        busiest: at.at("busiest_second").whole()?,
        cpu: at.at("cpu").optional(At::number)?,
        shares: at.at("shares").optional(shares)?,
        pacing: pacing(&at.at("pacing"))?,
        versions: versions(&at.at("versions"))?,
        warmed: at.at("warmed_connections").whole()?,
        connects: at.at("connects").whole()?,
    })
}

fn shares(at: &At) -> Result<Shares, String> {
    let of = at.at("of").count()?;
    let here = at.list("here", |at| at.count())?;
    // A file may promise any number; what is missing is listed.
    if of > MOST_SHARES || !here.iter().all(|share| *share < of) || !here.is_sorted_by(|a, b| a < b) {
        return at.unfit(&format!("shares of at most {MOST_SHARES}, ascending"));
    }
    Ok(Shares { of, here })
}

fn pacing(at: &At) -> Result<Pacing, String> {
    let name = at.text()?;
    Pacing::ALL.into_iter().find(|pacing| pacing.name() == name).map_or_else(|| at.unfit("sleep, spin or users"), Ok)
}

fn versions(at: &At) -> Result<[u64; VERSIONS.len()], String> {
    let mut versions = [0; VERSIONS.len()];
    for (name, n) in VERSIONS.into_iter().zip(&mut versions) {
        *n = at.at(name).optional(At::whole)?.unwrap_or(0);
    }
    Ok(versions)
}

fn target(at: &At) -> Result<Target, String> {
    let (name, bound) = (at.at("name").text()?, at.at("target").number()?);
    Target::from_name(name, bound).ok_or_else(|| format!("slo: found {name:?}, which this version does not know"))
}

fn run(at: At) -> Result<Run, String> {
    let (fleet, elasticity, regret) = (at.at("fleet"), at.at("elasticity"), at.at("regret"));
    let cost = |at: &At, hours, money| -> Result<Cost, String> {
        Ok(Cost { instance_hours: at.at(hours).number()?, cost: at.at(money).number()? })
    };
    Ok(Run {
        seed: at.at("seed").seed()?,
        ended: ended(&at.at("ended"))?,
        measured: Span(at.at("measured_ns").whole()?),
        counts: counts(&at.at("requests"))?,
        throughput_rps: at.at("throughput_rps").number()?,
        latency: latency(&at.at("latency"))?,
        spotlight: Latency::default(),
        latency_all: latency(&at.at("latency_all"))?,
        service_time: latency(&at.at("service_time"))?,
        waiting_time: latency(&at.at("waiting_time"))?,
        // Reports of older versions do not say.
        wasted_work: at.at("wasted_work").optional(At::number)?.unwrap_or(f64::NAN),
        client_fairness: at.at("client_fairness").optional(At::number)?,
        fleet: FleetSummary {
            min: fleet.at("min").count()?,
            mean: fleet.at("mean").number()?,
            max: fleet.at("max").count()?,
            cost: cost(&fleet, "instance_hours", "cost")?,
            cpu_utilization_mean: fleet.at("cpu_utilization_mean").number()?,
            scale_ups: fleet.at("scale_ups").count()?,
            scale_downs: fleet.at("scale_downs").count()?,
            flaps: fleet.at("flaps").count()?,
            longest_scale_up: fleet.at("longest_scale_up_ns").optional(At::whole)?.map(Span),
        },
        elasticity: Elasticity {
            under_provisioned_share: elasticity.at("under_provisioned_share").number()?,
            over_provisioned_share: elasticity.at("over_provisioned_share").number()?,
            under_accuracy: elasticity.at("under_accuracy").number()?,
            over_accuracy: elasticity.at("over_accuracy").number()?,
            instability: elasticity.at("instability").number()?,
        },
        regret: Regret {
            optimal: cost(&regret, "optimal_instance_hours", "optimal_cost")?,
            static_instances: regret.at("static_instances").count()?,
            best_static: cost(&regret, "static_instance_hours", "static_cost")?,
            hours: regret.at("instance_hours").number()?,
            cost: regret.at("cost").number()?,
            missing_hours: regret.at("missing_instance_hours").number()?,
            ratio: regret.at("ratio").optional(At::number)?,
        },
        endpoints: Vec::new(),
        instances: Vec::new(),
        events: Vec::new(),
        timeline: Timeline::new(1.0),
        latency_heat: None,
        latency_steps: Vec::new(),
        failures_seen: failures_seen(&at.at("failures_seen"))?,
        generator: None,
        simulated: at.at("simulated").whole()?,
        fidelity: None,
    })
}

fn ended(at: &At) -> Result<Ended, String> {
    Ok(match at.at("state").text()? {
        "completed" => Ended::Completed,
        "interrupted" => Ended::Interrupted { at: at.at("at").time()? },
        "traffic_lost" => {
            Ended::TrafficLost { at: at.at("at").time()?, problem: at.at("problem").text()?.to_string() }
        }
        other => return Err(format!("ended: found {other:?}, expected completed, interrupted or traffic_lost")),
    })
}

fn counts(at: &At) -> Result<Counts, String> {
    let mut counts = Counts {
        offered: at.at("offered").whole()?,
        succeeded: at.at("succeeded").whole()?,
        retries: at.at("retries").whole()?,
        ..Counts::default()
    };
    for reason in Failure::ALL {
        counts.failed[reason as usize] = at.at("failed").at(reason.name()).whole()?;
    }
    if counts.succeeded + counts.failed_total() > counts.offered {
        return at.unfit("no more requests that ended than were offered");
    }
    Ok(counts)
}

fn latency(at: &At) -> Result<Latency, String> {
    Latency::from_encoded(&encoded(*at)?).map_err(|problem| format!("{}.hdr: {problem}", at.path))
}

fn encoded(at: At) -> Result<Encoded, String> {
    Ok(Encoded {
        hdr: at.at("hdr").text()?.to_string(),
        sum_ns: at.at("sum_ns").text()?.parse().or_else(|_| at.at("sum_ns").unfit("a whole number as text"))?,
        min: at.at("min_ns").optional(At::whole)?.map_or(Span::MAX, Span),
        max: at.at("max_ns").optional(At::whole)?.map_or(Span::ZERO, Span),
    })
}

fn endpoint(at: At) -> Result<EndpointSummary, String> {
    let latency = at.at("latency").optional(latency)?.unwrap_or_default();
    Ok(EndpointSummary {
        path: at.at("path").text()?.to_string(),
        counts: counts(&at.at("requests"))?,
        latency: StepHistogram::from(&latency),
    })
}

fn instance(at: At) -> Result<InstanceSummary, String> {
    Ok(InstanceSummary {
        id: at.at("id").count()?,
        launched_at: at.at("launched_at").time()?,
        started_at: at.at("started_at").optional(At::time)?,
        ready_at: at.at("ready_at").optional(At::time)?,
        first_answer_at: at.at("first_answer_at").optional(At::time)?,
        gone_at: at.at("gone_at").optional(At::time)?,
        attempts: at.at("attempts").whole()?,
        failures: at.at("failures").whole()?,
        utilization: at.at("utilization").number()?,
    })
}

/// The timeline; columns that this version does not know are left out, those it knows and does not find are empty.
fn timeline(at: &At) -> Result<Timeline, String> {
    let mut timeline = Timeline::new(at.at("step_seconds").number()?);
    let columns = at.at("columns");
    let t = columns.list("t", |at| at.number())?;
    t.iter().for_each(|&t| timeline.push(t, &[]));
    for column in Column::ALL {
        if columns.at(column.name()).value.is_null() {
            continue;
        }
        let values =
            columns.list(column.name(), |at| at.optional(At::number).map(|value| value.unwrap_or(f64::NAN)))?;
        if values.len() != t.len() {
            return Err(format!("{}: found {} values, expected {}", column.name(), values.len(), t.len()));
        }
        timeline.set(column, values);
    }
    Ok(timeline)
}
