//! The classic storms, each as it is and with its cure, and what every strategy makes of each.
//!
//! A storm is a scenario under `scenarios/storms` and the settings that end it. The table runs all of them under every strategy: a strategy is
//! a few settings on top of the storm's own, and where they cannot be meant (a retry budget where nobody retries) the cell is empty.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use rayon::prelude::*;
use serde_json::{Value, json as value};

use super::output::table::{aligned, piped};
use crate::engine::balancer::Strategy as Balancing;
use crate::record::Run;
use crate::report::json::number;
use crate::scenario::{self, Scenario};
use crate::sim::{Monitor, Plan};
use crate::units::Span;

/// A storm that ships.
#[derive(Clone, Copy, Debug)]
pub struct Classic {
    /// Its name.
    pub name: &'static str,
    /// The heading of its column.
    pub short: &'static str,
    /// The scenario.
    pub text: &'static str,
    /// What ends it, as `--set` takes it.
    pub cure: &'static [&'static str],
    /// The endpoint whose requests count, where others are an attacker's; `None`: all.
    pub counts: Option<&'static str>,
}

macro_rules! classic {
    ($name:literal, $short:literal, $counts:expr, $($cure:literal),+) => {
        Classic {
            name: $name,
            short: $short,
            text: include_str!(concat!("../../scenarios/storms/", $name, ".toml")),
            cure: &[$($cure),+],
            counts: $counts,
        }
    };
}

/// Every storm, in the order of the table.
pub const CLASSICS: [Classic; 9] = [
    classic!("retry-storm", "retry", None, "clients.retry.budget=0.1"),
    classic!("cache-loss", "cache", None, "overload.limits.requests=40"),
    classic!("slow-dependency", "dependency", None, "dependency.timeout=100ms", "dependency.optional=true"),
    classic!(
        "reconnect",
        "reconnect",
        None,
        "clients.retry.jitter=1",
        "clients.retry.backoff=16s",
        "service.queue=20"
    ),
    classic!("yo-yo", "yo-yo", Some("/"), "limiter.limit=5"),
    classic!("gray-instance", "gray", None, "balancer.strategy=peak_ewma"),
    classic!("breaker-makes-it-worse", "breaker", None, "breaker.scope=instance"),
    classic!("unfair-limiter", "limiter", Some("/"), "limiter.key=client", "limiter.limit=20"),
    classic!("scale-out-kills-database", "database", None, "dependency.connections=35"),
];

impl Classic {
    /// The scenario with `settings` on top.
    pub fn with(&self, settings: &[String]) -> Result<Scenario, scenario::problem::Problems> {
        scenario::parse(self.text, &format!("{}.toml", self.name), Path::new(""), settings)
    }

    /// The scenario with what ends the storm.
    pub fn cured(&self) -> Result<Scenario, scenario::problem::Problems> {
        self.with(&owned(self.cure))
    }

    /// What a run of it shows.
    pub fn figures(&self, run: &Run) -> Figures {
        let endpoint = self.counts.and_then(|path| run.endpoints.iter().find(|each| each.path == path));
        let (counts, p99) = match endpoint {
            Some(each) => (each.counts, each.latency.quantiles([0.99]).map(|[p99]| p99)),
            None => (run.counts, run.latency.quantile(0.99)),
        };
        Figures {
            p99_ms: p99.map_or(f64::NAN, Span::as_millis_f64),
            availability: counts.succeeded as f64 / counts.offered.max(1) as f64,
            wasted_work: run.wasted_work,
            attempts: run.counts.offered + run.counts.retries,
        }
    }
}

fn owned(settings: &[&str]) -> Vec<String> {
    settings.iter().map(ToString::to_string).collect()
}

/// What is told of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// 99th percentile of latency of what succeeded \[ms\]; NaN if nothing did.
    pub p99_ms: f64,
    /// Requests that succeeded over all of them, also those that a quota refused [0..1].
    pub availability: f64,
    /// Share of the work that was for nothing [0..1].
    pub wasted_work: f64,
    /// Requests of everybody that were simulated, retries and copies as well.
    pub attempts: u64,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// What it is called.
    pub name: String,
    /// Its settings; `None`: those of each storm's cure.
    pub settings: Option<Vec<String>>,
}

/// Measures against overload and failure, by name.
const MEASURES: [(&str, &[&str]); 21] = [
    (
        "ejection",
        &[
            "balancer.ejection={ consecutive = 5, success_rate = {}, latency = {}, interval = \"5s\", base = \"30s\" }",
        ],
    ),
    ("slow start", &["balancer.slow_start=30s"]),
    (
        "breaker by instance",
        &[
            "breaker={ scope = \"instance\", failure_rate = 0.5, minimum_calls = 20, window = \"10s\", open_for = \"10s\", half_open_calls = 5 }",
        ],
    ),
    (
        "breaker by service",
        &[
            "breaker={ scope = \"service\", failure_rate = 0.5, minimum_calls = 20, window = \"10s\", open_for = \"10s\", half_open_calls = 5 }",
        ],
    ),
    ("no breaker", &["breaker="]),
    ("retry budget 10 %", &["clients.retry.budget=0.1"]),
    ("retry tokens (gRPC)", &["clients.retry.tokens=grpc"]),
    ("no retries", &["clients.retry="]),
    ("full jitter", &["clients.retry.jitter=1"]),
    ("throttling (SRE)", &["overload.throttle=sre"]),
    ("cancellation", &["clients.cancel=true"]),
    ("queue of 20", &["service.queue=20"]),
    ("CoDel", &["overload.codel=true"]),
    ("CoDel, newest first", &["overload.codel=true", "overload.adaptive_lifo=true"]),
    ("deadlines", &["overload.deadlines=true"]),
    ("gradient concurrency", &["overload.concurrency=gradient2"]),
    ("AIMD concurrency", &["overload.concurrency=aimd"]),
    ("Breakwater credits", &["overload.concurrency=breakwater"]),
    ("at most 40 at once", &["overload.limits.requests=40"]),
    (
        "20/s per client",
        &["limiter={ algorithm = \"sliding_window\", key = \"client\", limit = 20, window = \"1s\" }"],
    ),
    ("hedging", &["overload.hedge=true"]),
];

/// Every row of the table: as it is, the balancing strategies, the measures, and the cure.
pub fn strategies() -> Vec<Strategy> {
    let named = |name: &str, settings: Vec<String>| Strategy { name: name.to_string(), settings: Some(settings) };
    let balancing = Balancing::ALL.iter().map(|(name, _)| named(name, vec![format!("balancer.strategy={name}")]));
    let measures = MEASURES.iter().map(|(name, settings)| named(name, owned(settings)));
    let mut all = vec![named("as it is", Vec::new())];
    all.extend(balancing.chain(measures));
    all.push(Strategy { name: "its cure".to_string(), settings: None });
    all
}

/// Strategies by storms.
#[derive(Clone, Debug)]
pub struct Table {
    /// Rows.
    pub strategies: Vec<Strategy>,
    /// Columns.
    pub storms: Vec<&'static str>,
    /// By row, then by column; `None` where the strategy cannot be meant, or the run was stopped.
    pub cells: Vec<Vec<Option<Figures>>>,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// Virtual time that the table takes at most.
pub fn expected() -> Span {
    let lasts =
        |classic: &Classic| classic.with(&[]).ok().and_then(|scenario| scenario.duration).unwrap_or(Span::ZERO);
    CLASSICS.iter().map(lasts).fold(Span::ZERO, |sum, each| sum + each) * strategies().len() as u64
}

/// Runs every storm under every strategy on the current thread pool; `seed`: instead of the storms' own.
pub fn table(seed: Option<u64>, monitor: &Monitor) -> Table {
    let strategies = strategies();
    let pairs: Vec<(&Strategy, &Classic)> =
        strategies.iter().flat_map(|strategy| CLASSICS.iter().map(move |classic| (strategy, classic))).collect();
    let cell = |&(strategy, classic): &(&Strategy, &Classic)| {
        let scenario = match &strategy.settings {
            Some(settings) => classic.with(settings).ok()?,
            None => classic.cured().ok()?,
        };
        let seed = seed.unwrap_or(scenario.seed);
        let plan = Plan::new(scenario).expect("the storms that ship have no dataset");
        let run = plan.run(seed, monitor).expect("the storms that ship have no dataset");
        (!monitor.stop.load(Ordering::Relaxed)).then(|| classic.figures(&run))
    };
    let cells: Vec<Option<Figures>> = pairs.par_iter().map(cell).collect();
    Table {
        cells: cells.chunks(CLASSICS.len()).map(<[_]>::to_vec).collect(),
        strategies,
        storms: CLASSICS.iter().map(|classic| classic.name).collect(),
        interrupted: monitor.stop.load(Ordering::Relaxed),
    }
}

impl Table {
    /// The three tables as text: availability, p99, wasted work.
    pub fn console(&self) -> String {
        self.written(aligned, |out, title| {
            let _ = writeln!(out, "{title}\n");
        })
    }

    /// The same in Markdown.
    pub fn markdown(&self) -> String {
        self.written(piped, |out, title| {
            let _ = writeln!(out, "## {title}\n");
        })
    }

    fn written(&self, lay_out: fn(&mut String, &[String], &[Vec<String>]), head: fn(&mut String, &str)) -> String {
        type Shown = fn(&Figures) -> String;
        let measures: [(&str, Shown); 3] = [
            ("Availability: requests answered well, in percent", |figures| {
                // Never rounded up to a perfect score.
                let percent = figures.availability * 100.0;
                if percent < 100.0 { format!("{:.1}", (percent * 10.0).floor() / 10.0) } else { "100".to_string() }
            }),
            ("p99 of what was answered, in seconds", |figures| match figures.p99_ms / 1e3 {
                p99 if p99.is_nan() => "nobody".to_string(),
                p99 if p99 < 9.995 => format!("{p99:.2}"),
                p99 => format!("{p99:.0}"),
            }),
            ("Wasted work: for clients that had gone, or errors, in percent", |figures| {
                format!("{:.0}", figures.wasted_work * 100.0)
            }),
        ];
        let mut out = String::new();
        for (i, (title, shown)) in measures.into_iter().enumerate() {
            if i > 0 {
                out.push('\n');
            }
            head(&mut out, title);
            let mut names = vec![String::new()];
            names.extend(CLASSICS.iter().map(|classic| classic.short.to_string()));
            let rows: Vec<Vec<String>> = self
                .strategies
                .iter()
                .zip(&self.cells)
                .map(|(strategy, cells)| {
                    let cells = cells.iter().map(|cell| cell.as_ref().map_or("–".to_string(), shown));
                    std::iter::once(strategy.name.clone()).chain(cells).collect()
                })
                .collect();
            lay_out(&mut out, &names, &rows);
        }
        if self.interrupted {
            out.push_str("\nStopped before its end: what was not measured is left out.\n");
        }
        out
    }

    /// As JSON (schema `wavetank.storms/1`).
    pub fn json(&self) -> String {
        let cell = |figures: &Option<Figures>| {
            figures.map(|figures| {
                value!({
                    "p99_ms": number(figures.p99_ms),
                    "availability": number(figures.availability),
                    "wasted_work": number(figures.wasted_work),
                    "attempts": figures.attempts,
                })
            })
        };
        let rows: Vec<Value> = self
            .strategies
            .iter()
            .zip(&self.cells)
            .map(|(strategy, cells)| {
                let by_storm: serde_json::Map<String, Value> = self
                    .storms
                    .iter()
                    .zip(cells)
                    .map(|(storm, figures)| ((*storm).to_string(), value!(cell(figures))))
                    .collect();
                value!({ "strategy": strategy.name, "set": strategy.settings, "storms": by_storm })
            })
            .collect();
        let document = value!({ "schema": "wavetank.storms/1", "interrupted": self.interrupted, "rows": rows });
        let mut text = serde_json::to_string_pretty(&document).expect("a value can be written");
        text.push('\n');
        text
    }
}
