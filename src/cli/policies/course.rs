//! A course: a stretch of recorded load, scaled to a fleet, and what can be said of it before anybody runs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{anyhow, bail};

use super::field::Contender;
use crate::queueing::{Load, Pool};
use crate::record::elasticity::instances_needed;
use crate::traffic::replay::Dataset;
use crate::units::{Span, Time};

/// The service of all courses: two workers, log-normal times of 100 ms (σ = 0.5, so a p99 of 282 ms without any wait).
pub const WORKERS: u32 = 2;
/// Mean time in service \[s\].
pub const SERVICE: f64 = 0.1;
const SIGMA: f64 = 0.5;
/// What one instance serves at most \[1/s\].
pub const INSTANCE_RPS: f64 = WORKERS as f64 / SERVICE;
/// From an order until an instance takes traffic.
pub const BOOT: Span = Span::from_secs(60);
/// From a rise until an instance ordered for it helps, for policies that look every 15 s at metrics 15 s old.
const ANSWER: Span = Span::from_secs(90);
/// The file of what came before.
pub const HISTORY: &str = "history.csv";
/// The fewest and the most instances a policy may have.
pub const BOUNDS: (u32, u32) = (5, 100);

/// Steps of a recording are put together until they have so many requests: below, scaling up makes waves of chance.
const MANY: f64 = 100.0;
/// Steps that are longer are played faster, so that they take this long.
const LONGEST: Span = Span::from_mins(5);
/// What policies that learn have seen before, at most.
const MEMORY: usize = 8000;
/// Share of the time that counts as spikes: where load grew most within [`RISE`], and as long again afterwards.
const STEEPEST: f64 = 0.05;
const RISE: Span = Span::from_mins(5);
/// Left out of the statistics: a fleet finds its size.
const WARMUP: Span = Span::from_mins(10);
/// Where in the stretch its peak is.
const PEAK_AT: f64 = 0.6;

/// A stretch of recorded load.
pub struct Course {
    /// The name of the recording.
    pub name: String,
    /// Length of a step of the recording, as recorded, and as played.
    pub recorded_step: Span,
    /// See `recorded_step`.
    pub step: Span,
    /// Requests that one recorded request stands for.
    pub scale: f64,
    /// Rates of the steps \[1/s\]; between their middles load moves in straight lines.
    pub rates: Vec<f64>,
    /// Rates of the minutes before.
    history: Vec<f64>,
    /// Length of the run.
    pub duration: Span,
    /// Spikes.
    pub spikes: Vec<(Time, Time)>,
}

/// What a course asks of everybody.
pub struct Demands {
    /// Mean and highest rate \[1/s\].
    pub mean: f64,
    /// See `mean`.
    pub peak: f64,
    /// The largest growth within the time that an answer takes, as a ratio, and that of one moment in twenty.
    pub growth: (f64, f64),
    /// The highest utilization at which p99 stays under target, with the fewest instances and at the peak.
    pub utilization: (f64, f64),
    /// The smallest static fleet that meets the target throughout.
    pub static_peak: u32,
    /// The static fleet that is large enough nineteen hours of twenty.
    pub static_usual: u32,
}

impl Course {
    /// The stretch of `duration` with the highest peak, so that the peak takes `peak_instances`.
    pub fn new(
        path: &Path,
        dataset: &Dataset,
        duration: Option<Span>,
        peak_instances: u32,
    ) -> anyhow::Result<Course> {
        let summary = dataset.summary();
        let minute = Span::from_secs(60);
        let mut recorded_step = summary.step.filter(|_| !summary.is_log).unwrap_or(minute).max(minute);
        while summary.mean_rps() * recorded_step.as_secs_f64() < MANY && recorded_step < LONGEST {
            recorded_step = (recorded_step * 5).min(LONGEST);
        }
        let step = recorded_step.min(LONGEST);
        let all = dataset.rates(recorded_step)?;
        let duration = duration.unwrap_or(Span::from_mins(12 * 60));
        let steps = duration.0.div_ceil(step.0) as usize;
        if duration < RISE * 6 {
            bail!("--for: found {duration}, expected at least {}", RISE * 6);
        }
        if all.len() <= steps {
            let there = summary.recorded.mul_f64(step.as_secs_f64() / recorded_step.as_secs_f64());
            return Err(anyhow!("it covers {there} as it is played, expected more than {duration} (--for)"));
        }
        let from = stretch(&all, steps);
        let chosen = &all[from..from + steps + 1];
        let highest = chosen.iter().copied().fold(0.0, f64::max);
        if highest <= 0.0 {
            bail!("nothing was requested");
        }
        // At the peak the fleet is as busy as the target on p99 allows.
        let peak_rps = INSTANCE_RPS * f64::from(peak_instances) * busiest(peak_instances);
        let scale = peak_rps / highest;
        let rates: Vec<f64> = chosen.iter().map(|rate| rate * scale).collect();
        let before = &all[from.saturating_sub(MEMORY * minute.0 as usize / step.0 as usize)..from];
        let history = in_minutes(before, step).into_iter().map(|rate| rate * scale).collect();
        let mut course = Course {
            name: name(path),
            recorded_step,
            step,
            scale: scale * step.as_secs_f64() / recorded_step.as_secs_f64(),
            rates,
            history,
            duration: Span(step.0 * steps as u64),
            spikes: Vec::new(),
        };
        course.spikes = course.find_spikes();
        Ok(course)
    }

    /// The rate at `t` \[1/s\].
    pub fn rps(&self, t: Span) -> f64 {
        let at = (t.as_secs_f64() / self.step.as_secs_f64()).min((self.rates.len() - 1) as f64);
        let (i, part) = (at as usize, at.fract());
        self.rates[i] + part * (self.rates[(i + 1).min(self.rates.len() - 1)] - self.rates[i])
    }

    /// Where load grows most within five minutes, each with the five minutes after.
    fn find_spikes(&self) -> Vec<(Time, Time)> {
        let tick = Span::from_secs(15);
        let ticks: Vec<Span> = (0..self.duration.0 / tick.0).map(|i| Span(i * tick.0)).collect();
        let measured = |t: &&Span| **t >= WARMUP + RISE;
        let growth = |t: Span| self.rps(t) - self.rps(Span(t.0.saturating_sub(RISE.0)));
        let mut steepest: Vec<f64> = ticks.iter().filter(measured).map(|t| growth(*t)).collect();
        steepest.sort_by(f64::total_cmp);
        let bound = steepest[((steepest.len() as f64 * (1.0 - STEEPEST)) as usize).min(steepest.len() - 1)];
        let mut spikes: Vec<(Time, Time)> = Vec::new();
        for t in ticks.iter().filter(measured).filter(|t| growth(**t) >= bound && growth(**t) > 0.0) {
            let (from, to) = (Time(t.0.saturating_sub(RISE.0)), Time((*t + RISE).0));
            match spikes.last_mut() {
                Some(last) if last.1 >= from => last.1 = to,
                _ => spikes.push((from, to)),
            }
        }
        spikes
    }

    /// What it asks of everybody.
    pub fn demands(&self) -> Demands {
        let minute = Span::from_secs(60);
        let minutes: Vec<Span> =
            (WARMUP.0 / minute.0..self.duration.0 / minute.0).map(|i| Span(i * minute.0)).collect();
        let mut rates: Vec<f64> = minutes.iter().map(|t| self.rps(*t)).collect();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let grown = |t: &Span| (self.rps(*t + ANSWER) / self.rps(*t).max(1e-9) - 1.0).max(0.0);
        let mut growth: Vec<f64> = minutes.iter().map(grown).collect();
        growth.sort_by(f64::total_cmp);
        rates.sort_by(f64::total_cmp);
        let at = |sorted: &[f64], q: f64| sorted[((sorted.len() - 1) as f64 * q) as usize];
        let peak = at(&rates, 1.0);
        let needed = |rps: f64| instances_needed(rps, SERVICE, WORKERS, 0.25);
        let static_peak = needed(peak);
        Demands {
            mean,
            peak,
            growth: (at(&growth, 1.0), at(&growth, 0.95)),
            utilization: (busiest(BOUNDS.0), busiest(static_peak)),
            static_peak,
            static_usual: needed(at(&rates, 0.95)),
        }
    }

    /// Instances that the load of the beginning takes, with a little room.
    fn initial(&self) -> u32 {
        instances_needed(1.15 * self.rates[0], SERVICE, WORKERS, 0.25).clamp(BOUNDS.0, BOUNDS.1)
    }

    /// The rates before, a minute a row.
    pub fn history_csv(&self) -> String {
        let mut csv = String::from("timestamp,requests\n");
        let start: jiff::Timestamp = "2024-01-01T00:00:00Z".parse().expect("a moment");
        let rows = if self.history.is_empty() { &[0.0][..] } else { &self.history };
        for (i, rate) in rows.iter().enumerate() {
            let at = start + jiff::SignedDuration::from_secs(60 * i as i64);
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{at},{:.3}", rate * 60.0);
        }
        csv
    }

    /// The scenario of a contender.
    pub fn scenario(&self, contender: &Contender) -> String {
        let initial = contender.instances.unwrap_or_else(|| self.initial());
        let mut shape = String::new();
        for pair in self.rates.windows(2) {
            let _ = writeln!(
                shape,
                "  {{ kind = \"ramp\", from = {:.4}, to = {:.4}, for = \"{}s\" }},",
                pair[0],
                pair[1],
                self.step.as_secs_f64()
            );
        }
        format!(
            "# {about}\n# Made by `wavetank policies`.\n[scenario]\nname = {name}\nduration = \"{duration}s\"\nwarmup = \"{warmup}s\"\n\n\
             [traffic]\nshape = [\n{shape}]\n\n\
             [clients]\ntimeout = \"15s\"\n\n\
             [service]\nworkers = {WORKERS}\nqueue = 200\ntime = {{ dist = \"lognormal\", mean = \"{service}ms\", sigma = {SIGMA} }}\n\n\
             [fleet]\ninitial = {initial}\nboot = {{ dist = \"lognormal\", mean = \"{boot}s\", sigma = 0.2 }}\nprice_per_hour = 0.10\n\n\
             {autoscaler}\n\
             [slo]\np95 = \"500ms\"\navailability = 0.999\n",
            about = contender.about,
            name = toml_edit::Value::from(format!("{}-{}", self.name, contender.name)),
            duration = self.duration.as_secs_f64(),
            warmup = WARMUP.as_secs_f64(),
            service = SERVICE * 1e3,
            boot = BOOT.as_secs_f64(),
            autoscaler = contender.autoscaler,
        )
    }
}

/// The highest utilization at which a fleet of so many answers 99 % within 500 ms, by queueing theory.
fn busiest(instances: u32) -> f64 {
    let cv = (libm::exp(SIGMA * SIGMA) - 1.0).sqrt();
    let pool = Pool::new(cv);
    let servers = instances * WORKERS;
    let holds = |utilization: f64| {
        let rps = utilization * f64::from(servers) / SERVICE;
        pool.takes_beyond(0.5, Load { rps, service: SERVICE, arrival_scv: 1.0, servers }) <= 0.01
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}

/// The first step of the stretch of `steps` that has the highest step of all that leave room for it.
fn stretch(all: &[f64], steps: usize) -> usize {
    let last = all.len() - steps - 1;
    let peak = (0..all.len()).rev().max_by(|&a, &b| all[a].total_cmp(&all[b])).unwrap_or(0);
    peak.saturating_sub((steps as f64 * PEAK_AT) as usize).min(last)
}

/// Rates of steps as rates of minutes, in straight lines as they are played.
fn in_minutes(rates: &[f64], step: Span) -> Vec<f64> {
    let per_step = (step.0 / Span::from_secs(60).0).max(1) as usize;
    let minutes = rates.len() * per_step;
    (0..minutes)
        .map(|m| {
            let (i, part) = (m / per_step, (m % per_step) as f64 / per_step as f64);
            rates[i] + part * (rates[(i + 1).min(rates.len() - 1)] - rates[i])
        })
        .collect()
}

/// The name of a recording: its folder's where its own says only what it counts.
fn name(path: &Path) -> String {
    let stem = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let stem = stem.split('.').next().unwrap_or_default().to_string();
    let says_little = ["rate_per", "requests_per", "events_per"].iter().any(|start| stem.starts_with(start));
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    folder.filter(|_| says_little).unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::replay::Options;

    fn course(minutes: u32, rate: impl Fn(u32) -> f64, length: u64) -> anyhow::Result<Course> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load.csv");
        let mut csv = String::from("timestamp,requests\n");
        for m in 0..minutes {
            csv += &format!("2024-01-{:02}T{:02}:{:02}:00Z,{}\n", 1 + m / 1440, m / 60 % 24, m % 60, rate(m));
        }
        std::fs::write(&path, csv).unwrap();
        let dataset = Dataset::open(&path, &Options::default()).unwrap();
        Course::new(&path, &dataset, Some(Span::from_mins(length)), 50)
    }

    /// A day at 600 a minute with a rise to 3000 at 20:00: it is in the stretch, it is the spike, and it takes fifty instances.
    #[test]
    fn the_stretch_has_the_peak_and_is_scaled_to_the_fleet() {
        let rise = |m: u32| if (1200..1230).contains(&m) { 3000.0 } else { 600.0 };
        let course = course(1440, rise, 120).unwrap();
        assert_eq!((course.duration, course.step), (Span::from_mins(120), Span::from_secs(60)));
        let demands = course.demands();
        assert!((49..=51).contains(&demands.static_peak), "{}", demands.static_peak);
        assert!((demands.growth.0 - 4.0).abs() < 0.01, "{}", demands.growth.0);
        let [(from, to)] = course.spikes[..] else { panic!("{:?}", course.spikes) };
        let rise = Time::ZERO + Span::from_mins(72);
        assert!(from < rise && rise < to && to.since(from) <= Span::from_mins(16), "{from:?} {to:?}");
        assert_eq!(course.history.len(), 1200 - 72);
        assert!((course.history[0] * 60.0 / 600.0 - course.scale).abs() < 1e-9);
    }

    #[test]
    fn what_is_too_short_or_empty_is_told() {
        let error = course(60, |_| 10.0, 120).err().unwrap().to_string();
        assert_eq!(error, "it covers 1h as it is played, expected more than 2h (--for)");
        assert_eq!(course(300, |_| 0.0, 120).err().unwrap().to_string(), "nothing was requested");
    }

    #[test]
    fn large_fleets_may_be_busier() {
        assert!(busiest(5) < busiest(50) && busiest(50) < 1.0 && busiest(5) > 0.5);
    }
}
