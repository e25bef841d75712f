//! Protections: what is known to help, tried one at a time, and what each costs in the calm.
//!
//! Every entry of the [`catalogue`] is a change of settings as `--set` takes it, so that what helps can be pasted. Each is run at the largest
//! kick of every row that stuck. What it costs is measured without a kick: instances beyond those of the scenario, and requests that
//! it fails although all is well.

use rayon::prelude::*;

use super::Settings;
use super::kick::{capacity, unhindered};
use super::probe::{Cell, Probe};
use super::recovery::Fate;
use crate::record::Run;
use crate::scenario::Scenario;
use crate::sim::Monitor;
use crate::units::Span;

/// A change of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// What it is called.
    pub name: String,
    /// What `--set` would say; applied in order.
    pub settings: Vec<String>,
}

/// A protection with the scenario that has it.
#[derive(Clone, Debug)]
pub struct Protected {
    /// Which.
    pub protection: Protection,
    /// With it.
    pub scenario: Scenario,
}

/// What is worth trying on `scenario`, whose ordinary load is `load` \[1/s\].
pub fn catalogue(scenario: &Scenario, load: f64) -> Vec<Protection> {
    let mut all = Vec::new();
    let mut offer = |name: &str, settings: &[String]| {
        all.push(Protection { name: name.to_string(), settings: settings.to_vec() });
    };
    let one = |text: &str| vec![text.to_string()];
    clients(scenario, &mut offer);
    let service = &scenario.service;
    let demand = service.mean_demand();
    let patience = scenario.clients.timeout.map_or(10.0 * demand, |timeout| timeout.as_secs_f64());
    // As many as can be served within half of what clients wait.
    let short = (f64::from(service.servers()) * patience / 2.0 / demand).ceil().clamp(1.0, 1e6);
    if service.queue.is_none_or(|queue| f64::from(queue) > short) && service.workers < u32::MAX {
        offer(&format!("a queue of {short}"), &[format!("service.queue={short}")]);
    }
    if scenario.overload.codel.is_none() {
        offer("CoDel", &one("overload.codel=true"));
        offer("CoDel, newest first", &["overload.codel=true".to_string(), "overload.adaptive_lifo=true".to_string()]);
    }
    if !scenario.overload.deadlines && scenario.clients.timeout.is_some() {
        offer("deadlines", &one("overload.deadlines=true"));
    }
    let gateway = &scenario.overload.gateway;
    if gateway.concurrency.is_none() {
        offer("adaptive concurrency, gradient", &one("overload.concurrency=gradient2"));
        offer("adaptive concurrency, AIMD", &one("overload.concurrency=aimd"));
    }
    if gateway.limits.is_none() {
        // By Little's law, four times as many as are inside in the calm.
        let requests = (4.0 * load * unhindered(scenario)).ceil().clamp(4.0, 1e6);
        offer(&format!("at most {requests} requests at once"), &[format!("overload.limits.requests={requests}")]);
    }
    if scenario.overload.throttle.is_none() {
        offer("clients that throttle themselves", &one("overload.throttle=sre"));
    }
    if scenario.breaker.is_none() {
        for scope in ["instance", "service"] {
            let breaker = format!(
                "breaker={{ scope = \"{scope}\", failure_rate = 0.5, minimum_calls = 20, window = \"10s\", open_for = \"5s\", half_open_calls = 5 }}"
            );
            offer(&format!("a breaker by {scope}"), &[breaker]);
        }
    }
    if scenario.limiter.is_none() {
        let limit = (1.1 * load).max(0.9 * capacity(scenario)).ceil();
        let limiter = format!(
            "limiter={{ algorithm = \"sliding_window\", key = \"global\", limit = {limit}, window = \"1s\" }}"
        );
        offer(&format!("a quota of {limit}/s"), &[limiter]);
    }
    for dependency in scenario.dependencies.iter().filter(|dependency| dependency.timeout.is_none()) {
        let timeout = Span::from_secs_f64(5.0 * dependency.time.mean().as_secs_f64());
        offer(
            &format!("a time-out of {timeout} for {}", dependency.name),
            &[format!("dependency.\"{}\".timeout={}ms", dependency.name, (timeout.as_millis_f64()).ceil())],
        );
    }
    for more in [0.25, 0.5, 1.0] {
        let times = |n: u32| (f64::from(n) * (1.0 + more)).ceil();
        match &scenario.autoscaler {
            Some(autoscaler) => {
                let (min, max) = (times(autoscaler.min), times(autoscaler.max.max(autoscaler.min)));
                let initial = times(scenario.fleet.initial);
                offer(
                    &format!("{min} to {max} instances"),
                    &[
                        format!("autoscaler.max={max}"),
                        format!("autoscaler.min={min}"),
                        format!("fleet.initial={initial}"),
                    ],
                );
            }
            None => {
                let n = times(scenario.fleet.initial);
                offer(&format!("{n} instances"), &[format!("fleet.initial={n}")]);
            }
        }
    }
    all
}

/// What clients can do.
fn clients(scenario: &Scenario, offer: &mut impl FnMut(&str, &[String])) {
    let one = |text: &str| vec![text.to_string()];
    let clients = &scenario.clients;
    if let Some(retry) = &clients.retry {
        if retry.policy.budget.is_none_or(|budget| budget.ratio > 0.1) {
            offer("a retry budget of 10 %", &one("clients.retry.policy.budget=0.1"));
        }
        if retry.policy.tokens.is_none() {
            offer("retry tokens as gRPC has them", &one("clients.retry.policy.tokens=grpc"));
        }
        let later = ["backoff=1s", "factor=2", "jitter=1"].map(|key| format!("clients.retry.{key}"));
        if retry.policy.backoff.base < Span::from_secs(1) && retry.policy.backoff.cap.is_none() {
            offer("retries after 1 s and more", &later);
        }
        if scenario.overload.gateway.limits.is_none() {
            offer("at most 20 % of requests are retries", &one("overload.limits.retries={ share = 0.2 }"));
        }
        offer("no retries", &one("clients.retry="));
    }
    match clients.timeout {
        None => {
            let timeout = Span::from_secs_f64((20.0 * unhindered(scenario)).max(0.1));
            let name = format!("clients that give up after {timeout}");
            offer(
                &name,
                &[format!("clients.timeout={}ms", timeout.as_millis_f64().ceil()), "clients.cancel=true".into()],
            );
        }
        Some(timeout) => {
            if !clients.cancel {
                offer("work that stops when its client goes", &one("clients.cancel=true"));
            }
            let longer = timeout * 4;
            offer(
                &format!("clients that wait for {longer}"),
                &[format!("clients.timeout={}ms", longer.as_millis_f64())],
            );
        }
    }
}

/// How a protection did.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Which.
    pub protection: Protection,
    /// Rows that stuck without it, and return with it.
    pub cleared: usize,
    /// Rows that stuck without it.
    pub of: usize,
    /// The longest return among those \[s\]; NaN if there is none.
    pub returns_after: f64,
    /// Instances beyond those of the scenario in the calm, relative.
    pub more_instances: f64,
    /// Share of the requests that fail in the calm, and do not without it [0..1].
    pub lost: f64,
    /// 99th percentile of latency in the calm \[ms\]; NaN if nobody is answered.
    pub p99_ms: f64,
}

impl Trial {
    /// Whether nothing sticks any more.
    pub fn removes(&self) -> bool {
        self.cleared == self.of
    }

    /// What it costs in the calm: more instances and lost requests, each relative.
    pub fn cost(&self) -> f64 {
        self.more_instances + self.lost
    }
}

/// The calm that costs are measured against.
#[derive(Clone, Copy, Debug)]
pub struct Calm {
    instances: f64,
    failed: f64,
    p99_ms: f64,
}

impl Calm {
    /// What a run without a kick shows.
    pub fn of(run: &Run) -> Calm {
        let offered = run.counts.offered.max(1) as f64;
        Calm {
            instances: run.fleet.mean,
            failed: 1.0 - run.counts.succeeded as f64 / offered,
            p99_ms: run.latency.quantile(0.99).map_or(f64::NAN, Span::as_millis_f64),
        }
    }

    /// 99th percentile of latency \[ms\].
    pub fn p99_ms(&self) -> f64 {
        self.p99_ms
    }
}

/// Tries protections on the `stuck` cells of a map, the calm being `load` \[1/s\]. Best first: by
/// how much they remove, then by their cost (a p99 that is a tenth higher counts as one), then by how long the system takes to return. What was not finished when it was stopped is left out.
pub fn trials(
    protections: &[Protected],
    stuck: &[&Cell],
    calm: &Calm,
    load: f64,
    settings: &Settings,
    monitor: &Monitor,
) -> Vec<Trial> {
    let one = |each: &Protected| {
        let probe = Probe { scenario: &each.scenario, settings, monitor };
        let with = Calm::of(&probe.calm(load)?);
        let cells: Option<Vec<Cell>> = stuck.par_iter().map(|cell| probe.cell(cell.load, cell.kick)).collect();
        let returns: Vec<f64> = cells?
            .iter()
            .filter_map(|cell| match cell.fate {
                Fate::Returns { after } => Some(after.as_secs_f64()),
                Fate::Sticks | Fate::NeverCalm => None,
            })
            .collect();
        Some(Trial {
            protection: each.protection.clone(),
            cleared: returns.len(),
            of: stuck.len(),
            returns_after: returns.iter().copied().reduce(f64::max).unwrap_or(f64::NAN),
            more_instances: (with.instances / calm.instances - 1.0).max(0.0),
            lost: (with.failed - calm.failed).max(0.0),
            p99_ms: with.p99_ms,
        })
    };
    let mut trials: Vec<Trial> = protections.par_iter().filter_map(one).collect();
    // Costs below a thousandth are noise of the calm.
    let mills = |share: f64| (share * 1000.0).round();
    let key = |trial: &Trial| {
        let is_slower = trial.p99_ms.is_nan() || trial.p99_ms > 1.1 * calm.p99_ms;
        (trial.of - trial.cleared, mills(trial.cost()), is_slower, trial.returns_after)
    };
    trials.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)).then(a.3.total_cmp(&b.3))
    });
    trials
}
