//! The tables: as text, Markdown and JSON.

use std::fmt::Write as _;

use serde_json::json;

use super::Heat;
use super::course::{BOUNDS, Demands, INSTANCE_RPS};
use super::field::{HPA_DEFAULT, STATIC_PEAK, STATIC_USUAL};
use super::result::{AVAILABILITY, COST_SHARE, MEAN_UTILIZATION, Outcome, P95_MS, PEAK_UTILIZATION, Standing};

impl Heat {
    fn standing(&self, name: &str) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.contender.name == name)
    }

    fn static_cost(&self) -> f64 {
        self.standing(STATIC_PEAK).map_or(f64::NAN, |standing| standing.mean().cost)
    }

    /// Whether nobody else is as good in cost, p99 and availability at once.
    fn is_on_front(&self, outcome: &Outcome) -> bool {
        !self.standings.iter().any(|other| outcome.is_dominated_by(&other.mean()))
    }

    /// The cheapest of those that serve, among those that `belongs` says.
    fn cheapest(&self, belongs: impl Fn(&Standing) -> bool) -> Option<&Standing> {
        let serving = self.standings.iter().filter(|s| belongs(s) && s.mean().serves());
        serving.min_by(|a, b| a.mean().cost.total_cmp(&b.mean().cost))
    }

    /// What a predictive floor saves: the cheapest setting that serves with it, against the cheapest without it.
    fn saved(&self) -> String {
        let bases: Vec<&String> = self.standings.iter().filter_map(|s| s.contender.without_floor.as_ref()).collect();
        let with = self.cheapest(|s| s.contender.without_floor.is_some());
        let without = self.cheapest(|s| bases.contains(&&s.contender.name));
        match (with, without) {
            (Some(with), Some(without)) => {
                let (change, interval) = with.cost_against(without);
                let interval = interval
                    .map_or(String::new(), |(low, high)| format!(", {:+.1} % … {:+.1} %", low * 100.0, high * 100.0));
                format!(
                    "a predictive floor changes the cost of an HPA that serves by {:+.1} %{interval} ({} against {})",
                    change * 100.0,
                    with.contender.name,
                    without.contender.name
                )
            }
            (Some(with), None) => format!("no HPA serves; with a predictive floor {} does", with.contender.name),
            (None, Some(without)) => {
                format!("{} serves; none with a predictive floor does", without.contender.name)
            }
            (None, None) => "no HPA serves, with or without a predictive floor".into(),
        }
    }

    /// What the slo policy is beside the default of Kubernetes.
    fn against_default(&self) -> Option<String> {
        let (own, default) = (self.standing("slo")?.mean(), self.standing(HPA_DEFAULT)?.mean());
        let verdict = if default.is_dominated_by(&own) {
            "dominates"
        } else if own.is_dominated_by(&default) {
            "is dominated by"
        } else {
            "neither dominates nor is dominated by"
        };
        Some(format!("slo {verdict} {HPA_DEFAULT}: cost {:+.1} %", 100.0 * (own.cost / default.cost - 1.0)))
    }
}

/// Why some targets exclude one another here.
fn theory(demands: &Demands) -> String {
    let Demands { growth, utilization, .. } = demands;
    let before = |growth: f64| 100.0 / (1.0 + growth);
    let busy = demands.mean / (INSTANCE_RPS * f64::from(demands.static_peak));
    format!(
        "the static fleet for the peak is {:.0} % busy on average, so 40 % less of it is {:.0} %; an order helps after 1m30s, in which load grows by up to {:.0} % (one minute in twenty: {:.0} %): whoever does not foresee \
         it must not be busier than {:.0} % ({:.0} %) before. Queueing theory allows {:.0} % with {} instances and {:.0} % at the peak",
        100.0 * busy,
        100.0 * busy / COST_SHARE,
        100.0 * growth.0,
        100.0 * growth.1,
        before(growth.0),
        before(growth.1),
        100.0 * utilization.0,
        BOUNDS.0,
        100.0 * utilization.1
    )
}

fn headline(heat: &Heat) -> String {
    let course = &heat.course;
    let demands = course.demands();
    let speed = course.recorded_step.as_secs_f64() / course.step.as_secs_f64();
    let speed = if speed > 1.0 { format!(", played {speed:.0} times faster") } else { String::new() };
    let scale = if course.scale >= 10.0 { format!("{:.0}", course.scale) } else { format!("{:.3}", course.scale) };
    format!(
        "{}: {} in steps of {}{speed}, times {scale}; {:.0}/s on average, {:.0}/s at the peak; {} runs each",
        course.name,
        course.duration,
        course.step,
        demands.mean,
        demands.peak,
        heat.standings.first().map_or(0, |standing| standing.runs.len())
    )
}

/// The cells of a row.
fn cells(heat: &Heat, standing: &Standing) -> Vec<String> {
    let outcome = standing.mean();
    let static_cost = heat.static_cost();
    let mark = |holds: bool, text: String| if holds { text } else { format!("{text} !") };
    let misses = outcome.misses(static_cost).len();
    vec![
        standing.contender.name.clone(),
        mark(outcome.spike_p95_ms <= P95_MS, millis(outcome.spike_p95_ms)),
        mark(outcome.spike_availability >= AVAILABILITY, percent(outcome.spike_availability, 3)),
        mark(outcome.mean_utilization >= MEAN_UTILIZATION, percent(outcome.mean_utilization, 0)),
        mark(outcome.peak_utilization <= PEAK_UTILIZATION, percent(outcome.peak_utilization, 0)),
        mark(
            outcome.cost <= COST_SHARE * static_cost,
            format!("{:+.0} %", 100.0 * (outcome.cost / static_cost - 1.0)),
        ),
        mark(outcome.interventions == 0.0, whole(outcome.interventions)),
        format!("{} of 6", 6 - misses),
        millis(outcome.p99_ms),
        percent(outcome.availability, 3),
        whole(outcome.flaps),
        if heat.is_on_front(&outcome) { "front".into() } else { String::new() },
    ]
}

const HEADS: [&str; 12] = [
    "policy",
    "p95 in spikes",
    "available in spikes",
    "busy",
    "busy at peak",
    "cost",
    "calls",
    "holds",
    "p99",
    "available",
    "flaps",
    "",
];

fn millis(ms: f64) -> String {
    match ms {
        ms if !ms.is_finite() => "–".into(),
        ms if ms >= 1000.0 => format!("{:.1} s", ms / 1e3),
        ms => format!("{ms:.0} ms"),
    }
}

fn percent(share: f64, decimals: usize) -> String {
    // 99.99951 % must not look like all of it.
    let shown = 100.0 * share;
    let unit = 10f64.powi(decimals as i32);
    let cut = if decimals > 1 { (shown * unit + 1e-9).floor() / unit } else { shown };
    format!("{cut:.decimals$} %")
}

fn whole(n: f64) -> String {
    if n == n.trunc() { format!("{n:.0}") } else { format!("{n:.1}") }
}

fn remarks(heat: &Heat) -> Vec<String> {
    let mut remarks = vec![theory(&heat.course.demands()), heat.saved()];
    remarks.extend(heat.against_default());
    let all: Vec<&str> = heat
        .standings
        .iter()
        .filter(|standing| standing.mean().misses(heat.static_cost()).is_empty())
        .map(|standing| standing.contender.name.as_str())
        .collect();
    remarks.push(match all.as_slice() {
        [] => "nobody holds all six targets".into(),
        all => format!("all six targets are held by {}", all.join(", ")),
    });
    remarks
}

const LEGEND: &str = "Targets: p95 in spikes <= 500 ms, available in spikes >= 99.9 %, busy >= 70 % on average and <= 85 % in 99 of 100 \
                      minutes, 40 % cheaper than the static fleet that holds, nobody called. ! misses its target.";

/// A course's table on a terminal.
pub fn console(heat: &Heat) -> String {
    let rows: Vec<Vec<String>> = heat.standings.iter().map(|standing| cells(heat, standing)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADS[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cell = |(i, text): (usize, &String)| match i {
            0 => format!("{text:<w$}", w = widths[i]),
            _ => format!("{text:>w$}", w = widths[i]),
        };
        let cells: Vec<String> = cells.iter().enumerate().map(cell).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    let mut out = format!("{}\n", headline(heat));
    out.push_str(&line(&HEADS.map(String::from)));
    rows.iter().for_each(|row| out.push_str(&line(row)));
    remarks(heat).iter().for_each(|remark| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  - {remark}");
    });
    let _ = writeln!(out, "  {LEGEND}\n");
    out
}

/// All tables in Markdown.
pub fn markdown(heats: &[Heat]) -> String {
    let mut out = String::new();
    for heat in heats {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "### {}\n\n| {} |", headline(heat), HEADS.join(" | "));
        let _ = writeln!(out, "|---{}|", "|--:".repeat(HEADS.len() - 1));
        for standing in &heat.standings {
            let _ = writeln!(out, "| {} |", cells(heat, standing).join(" | "));
        }
        out.push('\n');
        for remark in remarks(heat) {
            let _ = writeln!(out, "- {remark}");
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{LEGEND}");
    out
}

/// Everything as JSON, schema wavetank.policies/1.
pub fn json(heats: &[Heat]) -> String {
    let number = |x: f64| if x.is_finite() { json!(x) } else { json!(null) };
    let outcome = |o: &Outcome| {
        json!({
            "spike_p95_ms": number(o.spike_p95_ms),
            "spike_availability": number(o.spike_availability),
            "p99_ms": number(o.p99_ms),
            "availability": number(o.availability),
            "mean_utilization": number(o.mean_utilization),
            "peak_utilization": number(o.peak_utilization),
            "cost": number(o.cost),
            "interventions": number(o.interventions),
            "flaps": number(o.flaps),
        })
    };
    let standing = |heat: &Heat, s: &Standing| {
        let mean = s.mean();
        json!({
            "policy": s.contender.name,
            "about": s.contender.about,
            "mean": outcome(&mean),
            "runs": s.runs.iter().map(outcome).collect::<Vec<_>>(),
            "misses": mean.misses(heat.static_cost()),
            "on_front": heat.is_on_front(&mean),
        })
    };
    let course = |heat: &Heat| {
        let demands = heat.course.demands();
        json!({
            "name": heat.course.name,
            "duration_seconds": heat.course.duration.as_secs_f64(),
            "step_seconds": heat.course.step.as_secs_f64(),
            "recorded_step_seconds": heat.course.recorded_step.as_secs_f64(),
            "scale": heat.course.scale,
            "mean_rps": demands.mean,
            "peak_rps": demands.peak,
            "spikes": heat.course.spikes.iter().map(|(a, b)| [a.as_secs_f64(), b.as_secs_f64()]).collect::<Vec<_>>(),
            "static": { STATIC_USUAL: demands.static_usual, STATIC_PEAK: demands.static_peak },
            "policies": heat.standings.iter().map(|s| standing(heat, s)).collect::<Vec<_>>(),
            "remarks": remarks(heat),
        })
    };
    let all = json!({ "schema": "wavetank.policies/1", "courses": heats.iter().map(course).collect::<Vec<_>>() });
    format!("{all:#}\n")
}
