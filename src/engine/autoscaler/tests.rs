//! The autoscaler on a small world: a fleet that boots, and a load that is a function of time and fleet.

mod examples;
mod floors;
mod properties;
pub(super) mod tables;

use super::rules::{Action, Config as Rule, Operator, Step};
use super::*;
use crate::engine::events::Timing;
use crate::engine::metrics::{Aggregate, Metric};

fn s(seconds: u64) -> Time {
    Time::ZERO + Span::from_secs(seconds)
}

fn secs(seconds: u64) -> Span {
    Span::from_secs(seconds)
}

/// What the metrics are at one moment; `None` is missing.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    cpu: Option<f64>,
    memory: Option<f64>,
    latency: Option<f64>,
    errors: Option<f64>,
    rps: Option<f64>,
    connections: Option<f64>,
}

impl Load {
    fn observed(self, now: Time, fleet: FleetCounts) -> Observed {
        let mut observed = Observed::new(fleet);
        for (metric, value) in [
            (Metric::CpuUtilization, self.cpu),
            (Metric::MemoryUtilization, self.memory),
            (Metric::AverageResponseTime, self.latency),
            (Metric::ErrorRate, self.errors),
            (Metric::RequestsPerSecond, self.rps),
            (Metric::ActiveConnections, self.connections),
        ] {
            if let Some(value) = value {
                observed.set(metric, Aggregate::Avg, value, now);
            }
        }
        observed
    }
}

fn cpu(value: f64) -> Load {
    Load { cpu: Some(value), ..Load::default() }
}

/// A fleet whose instances are ready `boot` after they were ordered.
struct World {
    scaler: Autoscaler,
    boot: Span,
    guards: Guards,
    ready: u32,
    /// When each booting instance will be ready, oldest first.
    booting: Vec<Time>,
    /// Every decision, with its moment.
    log: Vec<(Time, Decision)>,
}

impl World {
    fn new(config: Config, instances: u32) -> World {
        World {
            scaler: Autoscaler::new(config),
            boot: Span::ZERO,
            guards: Guards::default(),
            ready: instances,
            booting: Vec::new(),
            log: Vec::new(),
        }
    }

    fn fleet(&mut self, now: Time) -> FleetCounts {
        let before = self.booting.len();
        self.booting.retain(|&ready_at| ready_at > now);
        self.ready += (before - self.booting.len()) as u32;
        let pending = self.booting.len() as u32;
        FleetCounts { existing: self.ready + pending, pending, ready: self.ready }
    }

    /// Ticks when asked to, up to and including `until`.
    fn run(&mut self, until: Time, load: impl Fn(u64, FleetCounts) -> Load) {
        while self.scaler.next_wake() <= until {
            self.tick(self.scaler.next_wake(), &load);
        }
    }

    fn tick(&mut self, now: Time, load: &impl Fn(u64, FleetCounts) -> Load) {
        let fleet = self.fleet(now);
        let observed = load(now.0 / 1_000_000_000, fleet).observed(now, fleet);
        let decision = self.scaler.tick(now, &observed, &self.guards);
        self.apply(now, &decision);
        self.log.push((now, decision));
    }

    fn apply(&mut self, now: Time, decision: &Decision) {
        for _ in decision.from..decision.to {
            self.booting.push(now + self.boot);
        }
        for _ in decision.to..decision.from {
            if self.booting.pop().is_none() {
                self.ready -= 1;
            }
        }
    }

    /// "120 cpu_up 3; …": second, rule and new size of every change, and every breaker or alert firing.
    fn story(&self) -> String {
        let mut lines = Vec::new();
        for (at, decision) in &self.log {
            let at = at.0 / 1_000_000_000;
            lines.extend(decision.opened_breaker.iter().map(|f| format!("{at} {} opens", f.rule)));
            lines.extend(decision.alerts.iter().map(|f| format!("{at} {} alerts", f.rule)));
            if let Some(rule) = &decision.rule {
                lines.push(format!("{at} {rule} {}", decision.to));
            }
        }
        lines.join("; ")
    }

    /// "rule: reason, reason" of everything held at `at`.
    fn held(&self, at: u64) -> String {
        let (_, decision) = self.log.iter().find(|(t, _)| *t == s(at)).expect("a tick at that second");
        let words = |held: &Held| {
            let reasons: Vec<&str> = held.blocked.iter().map(|b| b.reason.as_str()).collect();
            format!("{}: {}", held.rule, reasons.join(", "))
        };
        decision.held.iter().map(words).collect::<Vec<_>>().join("; ")
    }
}

fn rule(name: &str, metric: Metric, operator: Operator, threshold: f64, action: Action) -> Rule {
    Rule::new(name, metric, operator, threshold, action)
}

fn timed(rule: Rule, duration: u64, priority: u8, cooldown: u64) -> Rule {
    Rule { duration: secs(duration), priority, cooldown: secs(cooldown), ..rule }
}

fn cpu_up() -> Rule {
    timed(rule("cpu_up", Metric::CpuUtilization, Operator::Gt, 70.0, Action::ScaleUp), 120, 8, 180)
}

fn mem_up() -> Rule {
    timed(rule("mem_up", Metric::MemoryUtilization, Operator::Gt, 80.0, Action::ScaleUp), 180, 7, 300)
}

fn rt_up() -> Rule {
    timed(rule("rt_up", Metric::AverageResponseTime, Operator::Gt, 1000.0, Action::ScaleUp), 120, 6, 180)
}

fn cpu_down() -> Rule {
    timed(rule("cpu_down", Metric::CpuUtilization, Operator::Lt, 20.0, Action::ScaleDown), 600, 3, 600)
}

fn err_break() -> Rule {
    timed(rule("err_break", Metric::ErrorRate, Operator::Gt, 0.1, Action::CircuitBreak), 60, 10, 120)
}

/// The fleet settings of the examples, with `rules`.
fn fleet(rules: &[Rule]) -> Config {
    Config {
        min: 2,
        max: 20,
        scale_up_cooldown: secs(120),
        scale_down_cooldown: secs(600),
        rules: rules.to_vec(),
        ..Config::default()
    }
}
