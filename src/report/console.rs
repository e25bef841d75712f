//! The terminal summary: verdict, headline, the storm in blocks, targets, failures, decisions.

use std::fmt::Write;

use super::figure::{clock, short, sparkline};
use super::verdict::{self, Outcome, figure, millis, percent, thousands};
use super::{Experiment, RecordedService};
use crate::engine::events::EventKind;
use crate::record::latency::Latency;
use crate::record::outcome::Failure;
use crate::record::regret::Regret;
use crate::record::run::Ended;
use crate::record::timeline::Column;
use crate::units::Span;

/// ANSI styles, or nothing.
struct Ink {
    color: bool,
}

impl Ink {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn outcome(&self, outcome: Outcome, text: &str) -> String {
        let code = match outcome {
            Outcome::Pass => "1;32",
            Outcome::Inconclusive => "1;33",
            Outcome::Fail => "1;31",
        };
        self.paint(code, text)
    }
}

/// Decisions shown at most.
const DECISIONS: usize = 6;

/// The summary for a terminal `width` columns wide, in color if asked.
pub fn console(x: &Experiment, width: usize, color: bool) -> String {
    let ink = Ink { color };
    let mut out = String::new();
    head(&mut out, x, &ink);
    headline(&mut out, x, &ink);
    storm(&mut out, x, width, &ink);
    targets(&mut out, x, &ink);
    failures(&mut out, x, &ink);
    recorded(&mut out, x, &ink);
    decisions(&mut out, x, width, &ink);
    out
}

/// Text from data, without what would move the cursor, change colors or the direction of writing.
pub fn plain(text: &str) -> String {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200B}'..='\u{200F}' | '\u{061C}')
    };
    text.chars().map(|c| if moves(c) { '\u{FFFD}' } else { c }).collect()
}

// Writing to a string cannot fail, so the results of `writeln!` are let go below.

fn head(out: &mut String, x: &Experiment, ink: &Ink) {
    let word = match x.overall() {
        Some(outcome) => ink.outcome(outcome, &outcome.word().to_uppercase()),
        None => ink.bold("DONE"),
    };
    let _ = writeln!(out, "{word}  {}  {}", ink.bold(x.name), x.sentence());
    match x.cut_short() {
        Some(Ended::Interrupted { at }) => {
            let text = format!("Interrupted at {at} of {}: only what was measured until then is shown.", x.duration);
            let _ = writeln!(out, "{}", ink.outcome(Outcome::Inconclusive, &text));
        }
        Some(Ended::TrafficLost { at, problem }) => {
            let text = format!("The traffic was lost at {at}: {}", plain(problem));
            let _ = writeln!(out, "{}", ink.outcome(Outcome::Fail, &text));
        }
        Some(Ended::Completed) | None => {}
    }
}

fn headline(out: &mut String, x: &Experiment, ink: &Ink) {
    let counts = x.counts();
    let latency = x.latency();
    let measured = x.mean(|run| run.measured.as_secs_f64());
    let ms = |q: f64| latency.quantile(q).map_or("–".to_string(), |span| millis(span.as_millis_f64()));
    let max = latency.max().map_or("–".to_string(), |span| millis(span.as_millis_f64()));
    let mut line = |label: &str, text: String| {
        let _ = writeln!(out, "  {} {text}", ink.dim(&format!("{label:<13}")));
    };
    let per_run = counts.offered as f64 / x.runs.len() as f64;
    let rate = if measured > 0.0 { per_run / measured } else { 0.0 };
    let times = if x.runs.len() > 1 { format!(" in {} replications", x.runs.len()) } else { String::new() };
    line(
        "requests",
        format!(
            "{} offered ({}/s on average){times}, {} served",
            thousands(counts.offered),
            short(rate),
            thousands(counts.succeeded)
        ),
    );
    if let Some(told) = x.fidelity() {
        line("fidelity", told.in_words());
    }
    line("availability", counts.availability().map_or("no requests".to_string(), percent));
    let wasted = x.mean(|run| run.wasted_work);
    if wasted >= 0.005 {
        line(
            "wasted",
            format!(
                "{} of the work was for nothing: nobody waited any more, or it ended in an error",
                percent(wasted)
            ),
        );
    }
    if let Some(index) = x.client_fairness() {
        line("fairness", format!("{index:.2} over clients (Jain's index: 1 if all are served alike)"));
    }
    line("latency", format!("p50 {}   p95 {}   p99 {}   max {max}", ms(0.5), ms(0.95), ms(0.99)));
    if let Some(generator) = x.generator() {
        let lag = |q: f64| generator.lag.quantile(q).map_or("–".to_string(), |lag| millis(lag.as_millis_f64()));
        let cpu = generator.cpu.map_or(String::new(), |cpu| format!(", {} of its cores", percent(cpu)));
        let (sent, due, pool) = (thousands(generator.sent), thousands(generator.due), generator.pool);
        line(
            "generator",
            format!("sent {sent} of {due}, lag p50 {} p99 {}, {pool} workers{cpu}", lag(0.5), lag(0.99)),
        );
        line("", generator.manner());
        return;
    }
    let (min, most) = x.fleet_range();
    let fleet = if min == most {
        format!("{min} instances")
    } else {
        format!("{min} to {most} instances, {:.1} on average", x.mean(|run| run.fleet.mean))
    };
    let cpu = percent(x.mean(|run| run.fleet.cpu_utilization_mean));
    line("fleet", format!("{fleet}, {cpu} busy"));
    let cost = x.mean(|run| run.fleet.cost.cost);
    let price = if x.price_per_hour > 0.0 { format!(", cost {cost:.2}") } else { String::new() };
    let (ups, downs) = (x.mean(|run| f64::from(run.fleet.scale_ups)), x.mean(|run| f64::from(run.fleet.scale_downs)));
    line(
        "scaling",
        format!(
            "{ups:.0} up, {downs:.0} down; {:.1} instance-hours{price}",
            x.mean(|run| run.fleet.cost.instance_hours)
        ),
    );
    let (under, over) =
        (x.mean(|run| run.elasticity.under_provisioned_share), x.mean(|run| run.elasticity.over_provisioned_share));
    line("elasticity", format!("too few instances {} of the time, too many {}", percent(under), percent(over)));
    line("regret", regret(x));
}

/// How far the fleet was from the cheapest one, in words.
pub(super) fn regret(x: &Experiment) -> String {
    let mean = |of: fn(&Regret) -> f64| x.mean(|run| of(&run.regret));
    let (best, fixed) = if x.price_per_hour > 0.0 {
        (format!("{:.2}", mean(|r| r.optimal.cost)), format!("{:.2}", mean(|r| r.best_static.cost)))
    } else {
        let hours = |h: f64| format!("{h:.1} instance-hours");
        (hours(mean(|r| r.optimal.instance_hours)), hours(mean(|r| r.best_static.instance_hours)))
    };
    let missing = mean(|r| r.missing_hours);
    let lack = if missing > 0.005 { format!("; {missing:.2} instance-hours were missing") } else { String::new() };
    let ratio = mean(|r| r.ratio.unwrap_or(f64::NAN));
    let times = if ratio.is_finite() { format!("{ratio:.2} × the optimum; ") } else { String::new() };
    format!("{times}knowing the future {best}, a constant fleet {fixed}{lack}")
}

fn storm(out: &mut String, x: &Experiment, width: usize, ink: &Ink) {
    let timeline = &x.first().timeline;
    if timeline.len() < 2 {
        return;
    }
    let columns = width.saturating_sub(30).max(20);
    let offered = timeline.column(Column::OfferedRps);
    let most = |values: &[f64]| values.iter().copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
    let _ = writeln!(out);
    let mut row = |label: &str, values: &[f64], paint: &str, peak: String| {
        let bars = ink.paint(paint, &sparkline(values, columns, most(values)));
        let _ = writeln!(out, "  {} {bars} {}", ink.dim(&format!("{label:<9}")), ink.dim(&peak));
    };
    row("offered", offered, "34", format!("peak {}/s", short(most(offered))));
    if x.generator().is_none() {
        let ready = timeline.column(Column::InstancesReady);
        row("ready", ready, "35", format!("peak {:.0} instances", most(ready)));
    }
    let p99 = timeline.column(Column::P99Ms);
    row("p99", p99, "33", format!("peak {}", millis(most(p99))));
    let end = timeline.t.last().copied().unwrap_or(0.0) + timeline.step_seconds;
    let (left, middle, right) = (clock(0.0, end), clock(end / 2.0, end), clock(end, end));
    let gap = columns.saturating_sub(left.chars().count() + middle.chars().count() + right.chars().count());
    let axis = format!("{left}{}{middle}{}{right}", " ".repeat(gap / 2), " ".repeat(gap - gap / 2));
    let _ = writeln!(out, "  {:<9} {}", "", ink.dim(&axis));
}

fn targets(out: &mut String, x: &Experiment, ink: &Ink) {
    let verdicts = x.verdicts();
    if verdicts.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n  {}", ink.bold("Targets"));
    for v in verdicts {
        let mark = match v.outcome {
            Outcome::Pass => "✓",
            Outcome::Inconclusive => "?",
            Outcome::Fail => "✗",
        };
        let observed = v.observed.map_or("nothing observed".to_string(), |o| figure(&v.target, o));
        let ci = v.ci.map_or(String::new(), |(low, high)| {
            format!("  95 % between {} and {}", figure(&v.target, low), figure(&v.target, high))
        });
        let bound = figure(&v.target, verdict::bound(&v.target));
        let word = ink.outcome(v.outcome, &format!("{mark} {:<12}", v.outcome.word()));
        let _ = writeln!(out, "  {word} {:<13} {observed}, target {bound}{ci}{}", v.target.name(), v.mask());
    }
}

fn failures(out: &mut String, x: &Experiment, ink: &Ink) {
    let counts = x.counts();
    if counts.failed_total() == 0 {
        return;
    }
    let _ = writeln!(out, "\n  {}", ink.bold("Failures"));
    for reason in Failure::ALL {
        let n = counts.failed_for(reason);
        if n > 0 {
            let share = n as f64 / counts.offered as f64;
            let _ = writeln!(out, "  {:<14} {:>14}  {:>8}", reason.name(), thousands(n), percent(share));
        }
    }
    if counts.retries > 0 {
        let _ = writeln!(out, "  {:<14} {:>14}", "retries", thousands(counts.retries));
    }
}

/// What was simulated beside what was recorded.
fn recorded(out: &mut String, x: &Experiment, ink: &Ink) {
    let Some(then) = x.recorded.as_ref().filter(|_| x.compare_recorded) else { return };
    let _ = writeln!(out, "\n  {}{}", ink.bold("Beside the recording"), ink.dim("  recorded    simulated    ratio"));
    for [label, recorded, simulated, ratio] in against_recorded(x, then) {
        let _ = writeln!(out, "  {label:<20} {recorded:>9} {simulated:>12} {ratio:>8}");
    }
}

/// Label, recorded, simulated, and the ratio of the two: quantiles of latency as far as it was recorded, and availability.
pub(super) fn against_recorded(x: &Experiment, then: &RecordedService) -> Vec<[String; 4]> {
    let simulated = x.latency_all();
    let mut rows = Vec::new();
    if let Some(recorded) = &then.latency {
        for (label, q) in [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)]
        {
            let of = |latency: &Latency| latency.quantile(q);
            let ratio = of(recorded).zip(of(&simulated)).filter(|(then, _)| then.0 > 0);
            let ratio = ratio
                .map_or("–".to_string(), |(then, now)| format!("{:.2}", now.as_secs_f64() / then.as_secs_f64()));
            rows.push([format!("latency {label}"), quantile(recorded, q), quantile(&simulated, q), ratio]);
        }
    }
    if let Some(availability) = then.availability() {
        let counts = x.counts();
        let now = counts.availability().map_or("–".to_string(), percent);
        rows.push(["availability".to_string(), percent(availability), now, String::new()]);
    }
    rows
}

fn decisions(out: &mut String, x: &Experiment, width: usize, ink: &Ink) {
    let told = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::ScaledUp(_)
                | EventKind::ScaledDown(_)
                | EventKind::SpikeDetected(_)
                | EventKind::BreakerOpened { .. }
                | EventKind::FaultStarted { .. }
                | EventKind::InstanceUnhealthy { .. }
                | EventKind::InstanceEjected { .. }
                | EventKind::PanicBegan { .. }
        )
    };
    let events: Vec<_> = x.first().events.iter().filter(|event| told(&event.kind)).collect();
    if events.is_empty() {
        return;
    }
    let more = if events.len() > DECISIONS {
        format!(" (first {DECISIONS} of {}; wavetank explain shows all)", events.len())
    } else {
        String::new()
    };
    let _ = writeln!(out, "\n  {}{}", ink.bold("What happened"), ink.dim(&more));
    for event in events.into_iter().take(DECISIONS) {
        let what = match &event.kind {
            EventKind::ScaledUp(s) | EventKind::ScaledDown(s) => format!("{} → {}", s.from, s.to),
            kind => kind.name().replace('_', " "),
        };
        let text = format!("{:>8}  {what}  {}", event.at.to_string(), plain(&event.cause));
        let _ = writeln!(out, "  {}", clipped(&text, width.saturating_sub(2)));
    }
}

/// At most `width` characters, with a sign that something was left off.
fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Quantiles that tables show, with their names.
pub(super) const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];

/// A quantile in words; a dash where there is none.
pub(super) fn quantile(latency: &Latency, q: f64) -> String {
    latency.quantile(q).map_or("–".to_string(), |span: Span| millis(span.as_millis_f64()))
}
