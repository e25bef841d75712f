//! The page's tables: the numbers behind the charts, and those that no chart shows.

use std::fmt::Write;

use super::escape;
use crate::engine::events::{EventKind, Scaling};
use crate::record::latency::Latency;
use crate::record::outcome::{Counts, Failure};
use crate::report::Experiment;
use crate::report::console::{QUANTILES, against_recorded, quantile};
use crate::report::figure::short;
use crate::report::verdict::{millis, percent, thousands};
use crate::units::{Span, Time};

/// A table with a caption; cells are escaped already, columns that begin with `#` are numbers.
pub(crate) fn table(caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("<div class=\"scroll\"><table><caption>{caption}</caption><thead><tr>");
    for name in head {
        let (class, name) = name.strip_prefix('#').map_or(("", *name), |name| (" class=\"n\"", name));
        let _ = write!(out, "<th scope=\"col\"{class}>{name}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let class = if head[i].starts_with('#') { " class=\"n\"" } else { "" };
            let _ = if i == 0 {
                write!(out, "<th scope=\"row\"{class}>{cell}</th>")
            } else {
                write!(out, "<td{class}>{cell}</td>")
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// What was simulated beside what was recorded, if that was asked for.
pub fn recorded(x: &Experiment) -> String {
    let Some(then) = x.recorded.as_ref().filter(|_| x.compare_recorded) else { return String::new() };
    let rows: Vec<Vec<String>> = against_recorded(x, then).into_iter().map(Vec::from).collect();
    table(
        "Simulated beside recorded. The recording says how the service answered then; every request of the run counts, failed ones \
         with the time until they failed.",
        &["What", "#Recorded", "#Simulated", "#Ratio"],
        &rows,
    )
}

/// The figures that people ask for first.
pub fn headline(x: &Experiment) -> String {
    let counts = x.counts();
    let latency = x.latency();
    let seconds = x.runs.iter().map(|run| run.measured.as_secs_f64()).sum::<f64>();
    let rate = if seconds > 0.0 { counts.offered as f64 / seconds } else { 0.0 };
    let min = x.runs.iter().map(|run| run.fleet.min).min().unwrap_or(0);
    let max = x.runs.iter().map(|run| run.fleet.max).max().unwrap_or(0);
    let cost = x.mean(|run| run.fleet.cost.cost);
    let hours = x.mean(|run| run.fleet.cost.instance_hours);
    let mut tiles = vec![
        (thousands(counts.offered), format!("requests offered, {}/s", short(rate))),
        (counts.availability().map_or("–".into(), percent), "availability".to_string()),
        (quantile(&latency, 0.5), "p50 latency".to_string()),
        (quantile(&latency, 0.99), "p99 latency".to_string()),
        (format!("{min} … {max}"), format!("instances, {:.1} on average", x.mean(|run| run.fleet.mean))),
        (format!("{hours:.1} h"), "instance-hours".to_string()),
        (
            format!(
                "{:.0} ▲ {:.0} ▼",
                x.mean(|run| f64::from(run.fleet.scale_ups)),
                x.mean(|run| f64::from(run.fleet.scale_downs))
            ),
            "scale-ups and scale-downs".to_string(),
        ),
        (percent(x.mean(|run| run.elasticity.under_provisioned_share)), "of the time too few instances".to_string()),
    ];
    if x.price_per_hour > 0.0 {
        tiles.insert(6, (format!("{cost:.2}"), "cost".to_string()));
    }
    let items: String =
        tiles.into_iter().map(|(value, label)| format!("<li><b>{value}</b><span>{label}</span></li>")).collect();
    format!("<ul class=\"tiles\">{items}</ul>\n")
}

/// Quantiles of latency, and of what it is made of.
pub fn latency(x: &Experiment) -> String {
    let row = |name: &str, of: &Latency| {
        let mut cells = vec![name.to_string(), thousands(of.count())];
        cells.push(of.mean().map_or("–".into(), |mean| millis(mean.as_millis_f64())));
        cells.extend(QUANTILES.iter().map(|(_, q)| quantile(of, *q)));
        cells.push(of.max().map_or("–".into(), |max| millis(max.as_millis_f64())));
        cells
    };
    let rows = [
        row("latency of succeeded requests", &x.latency()),
        row("latency of all requests", &x.latency_all()),
        row("time in service", &x.service_time()),
    ];
    table(
        "From the scheduled time of a request. Failed requests count until their client gave up or was refused.",
        &["What", "#Requests", "#Mean", "#p50", "#p75", "#p90", "#p95", "#p99", "#p99.9", "#Max"],
        &rows,
    )
}

/// Rows that a long table shows; the rest is in report.json.
const SHOWN: usize = 400;

/// Every decision with its cause, and for each scale-up, where the time went; behind a fold, what was held.
pub fn decisions(x: &Experiment) -> String {
    let (mut acted, mut held) = (Vec::new(), Vec::new());
    for event in &x.first().events {
        match &event.kind {
            EventKind::ScaledUp(scaling) | EventKind::ScaledDown(scaling) => acted.push(vec![
                event.at.to_string(),
                format!("{} → {}", scaling.from, scaling.to),
                escape(&scaling.rule),
                escape(&event.cause) + &stages(scaling),
                delays(x, scaling),
            ]),
            EventKind::Held { rule, from, to, blocked } => {
                let reasons: Vec<&str> = blocked.iter().map(|block| block.reason.as_str()).collect();
                held.push(vec![
                    event.at.to_string(),
                    format!("{from} → {to}"),
                    escape(rule),
                    escape(&event.cause),
                    escape(&reasons.join("; ")),
                ]);
            }
            _ => {}
        }
    }
    let mut out = match acted.is_empty() {
        true => "<p>Nothing was decided: the fleet stayed as it was.</p>\n".to_string(),
        false => long_table(
            "Decisions of the first replication.",
            ["#Time", "Instances", "Rule", "Cause", "Where the time went"],
            acted,
        ),
    };
    if !held.is_empty() {
        let n = held.len();
        let table =
            long_table("Each time the reasons changed.", ["#Time", "Instances", "Rule", "Cause", "Held by"], held);
        let _ = writeln!(
            out,
            "<details><summary>{n} times something wanted to act and was held</summary>{table}</details>"
        );
    }
    out
}

fn long_table(caption: &str, head: [&str; 5], mut rows: Vec<Vec<String>>) -> String {
    let more = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    let note = if more > 0 { format!(" The first {SHOWN}; {more} more are in report.json.") } else { String::new() };
    table(&format!("{caption}{note}"), &head, &rows)
}

fn stages(scaling: &Scaling) -> String {
    if scaling.stages.is_empty() {
        return String::new();
    }
    let items: String = scaling
        .stages
        .iter()
        .map(|stage| {
            format!("<li>{}: {} → {} {}</li>", stage.stage, stage.input, stage.output, escape(&stage.reason))
        })
        .collect();
    format!("<details><summary>stages</summary><ol>{items}</ol></details>")
}

/// The parts of a scaling's delay, in words.
fn delays(x: &Experiment, scaling: &Scaling) -> String {
    let Some(timing) = scaling.timing else { return String::new() };
    let mut parts = vec![
        ("metric delay", timing.since.since(timing.sampled_at)),
        ("persistence", timing.held_at.since(timing.since)),
        ("tick", timing.ripe_at.since(timing.held_at)),
        ("cooldown", timing.fired_at.since(timing.ripe_at)),
    ];
    let ready = scaling
        .instances
        .iter()
        .filter_map(|id| x.first().instances.iter().find(|each| each.id == id.0)?.ready_at)
        .max();
    if scaling.to > scaling.from
        && let Some(ready) = ready
    {
        parts.push(("boot", ready.since(timing.fired_at)));
    }
    let words: Vec<String> =
        parts.into_iter().filter(|(_, span)| !span.is_zero()).map(|(name, span)| format!("{name} {span}")).collect();
    words.join(", ")
}

/// Failures by reason.
pub fn outcomes(x: &Experiment) -> String {
    let counts = x.counts();
    let share = |n: u64| if counts.offered > 0 { percent(n as f64 / counts.offered as f64) } else { "–".into() };
    let mut rows = vec![vec!["succeeded".to_string(), thousands(counts.succeeded), share(counts.succeeded)]];
    for reason in Failure::ALL {
        let n = counts.failed_for(reason);
        if n > 0 {
            rows.push(vec![reason.name().replace('_', " "), thousands(n), share(n)]);
        }
    }
    if counts.retries > 0 {
        rows.push(vec![
            "retries (attempts beyond the first)".into(),
            thousands(counts.retries),
            share(counts.retries),
        ]);
    }
    table("Every request ended in exactly one of these.", &["Outcome", "#Requests", "#Share of offered"], &rows)
}

/// Requests by endpoint.
pub fn endpoints(x: &Experiment) -> String {
    let n = x.first().endpoints.len();
    let rows: Vec<Vec<String>> = (0..n)
        .map(|i| {
            let mut counts = Counts::default();
            let mut all = Latency::default();
            for run in x.runs {
                counts.add(&run.endpoints[i].counts);
                run.endpoints[i].latency.clone().pour_into(&mut all);
            }
            let all = if n == 1 { x.latency() } else { all };
            vec![
                escape(&x.first().endpoints[i].path),
                thousands(counts.offered),
                thousands(counts.failed_total()),
                counts.availability().map_or("–".into(), percent),
                quantile(&all, 0.5),
                quantile(&all, 0.95),
                quantile(&all, 0.99),
            ]
        })
        .collect();
    table(
        "Requests scheduled after the warm-up.",
        &["Endpoint", "#Offered", "#Failed", "#Availability", "#p50", "#p95", "#p99"],
        &rows,
    )
}

/// What each instance did.
pub fn instances(x: &Experiment) -> String {
    const SHOWN: usize = 200;
    let all = &x.first().instances;
    let moment = |at: Option<Time>| at.map_or("–".to_string(), |at| at.to_string());
    let rows: Vec<Vec<String>> = all
        .iter()
        .take(SHOWN)
        .map(|each| {
            vec![
                each.id.to_string(),
                each.launched_at.to_string(),
                moment(each.ready_at),
                moment(each.gone_at),
                thousands(each.attempts),
                thousands(each.failures),
                percent(each.utilization),
            ]
        })
        .collect();
    let caption = match all.len().saturating_sub(SHOWN) {
        0 => "Instances of the first replication, in the order of launch.".to_string(),
        more => format!("The first {SHOWN} instances in the order of launch; {more} more are in report.json."),
    };
    table(&caption, &["#Instance", "#Launched", "#Ready", "#Gone", "#Attempts", "#Failures", "#Busy"], &rows)
}

/// Cost and elasticity, with intervals where there are replications.
pub fn cost(x: &Experiment) -> String {
    let row = |name: &str, of: &dyn Fn(&crate::record::Run) -> f64, show: &dyn Fn(f64) -> String| {
        // Nothing here is negative but regret.
        let low = |low: f64| if name.starts_with("regret") { low } else { low.max(0.0) };
        let ci = x.interval(of).map_or("–".to_string(), |i| format!("{} … {}", show(low(i.low)), show(i.high)));
        let mean = x.mean(of);
        vec![name.to_string(), if mean.is_finite() { show(mean) } else { "–".to_string() }, ci]
    };
    let two = |v: f64| format!("{v:.2}");
    let signed = |v: f64| format!("{v:+.2}");
    let rows = [
        row("instance-hours", &|run| run.fleet.cost.instance_hours, &two),
        row("cost", &|run| run.fleet.cost.cost, &two),
        row("CPU utilization, mean", &|run| run.fleet.cpu_utilization_mean, &percent),
        row("time with too few instances", &|run| run.elasticity.under_provisioned_share, &percent),
        row("time with too many instances", &|run| run.elasticity.over_provisioned_share, &percent),
        row("missing instances, relative to demand", &|run| run.elasticity.under_accuracy, &percent),
        row("surplus instances, relative to demand", &|run| run.elasticity.over_accuracy, &percent),
        row("flaps: actions undone within a quarter of an hour", &|run| f64::from(run.fleet.flaps), &two),
        row("cost of the cheapest fleet, knowing the future", &|run| run.regret.optimal.cost, &two),
        row("regret: cost beyond that", &|run| run.regret.cost, &signed),
        row("regret in instance-hours", &|run| run.regret.hours, &signed),
        row("cost relative to the cheapest fleet", &|run| run.regret.ratio.unwrap_or(f64::NAN), &two),
        row("instance-hours that were missing", &|run| run.regret.missing_hours, &two),
        row("smallest constant fleet, in hindsight", &|run| f64::from(run.regret.static_instances), &two),
        row("its cost", &|run| run.regret.best_static.cost, &two),
        row("instability: supply and demand moved apart", &|run| run.elasticity.instability, &percent),
    ];
    table(
        "Demand is the fewest instances with which at most one request in a hundred waits too long (Erlang C). The cheapest fleet meets it at every moment, with the same boot delay and billing; a fleet with too few instances can cost less.",
        &["Figure", "#Mean", "#95 % interval"],
        &rows,
    )
}

/// What was run, and how to run it again.
pub fn identity(x: &Experiment) -> String {
    let mut rows = vec![
        vec!["scenario".into(), format!("{} <code>{}</code>", escape(x.name), escape(x.digest))],
        vec![
            "length".into(),
            format!(
                "{}, of which {} warm-up",
                x.duration,
                if x.warmup.is_zero() { "no".to_string() } else { x.warmup.to_string() }
            ),
        ],
        vec!["seed".into(), x.seed.to_string()],
        vec!["replications".into(), x.runs.len().to_string()],
        vec!["program".into(), format!("wavetank {}", escape(&x.info.version))],
        vec!["started".into(), format!("{} on {}", escape(&x.info.started), escape(&x.info.host))],
        vec!["took".into(), Span::from_secs_f64(x.info.wall_seconds).to_string()],
    ];
    rows.extend(x.notes.iter().map(|note| vec!["note".to_string(), escape(note)]));
    let data = "<p>Beside this page: <code>report.json</code> (everything, with a schema), <code>timeline.csv</code>, <code>latency.hgrm</code>, and the charts as PNG.</p>";
    table("What was run.", &["", ""], &rows)
        + &format!("<p>To run it again:</p><pre>{}</pre>", escape(&x.command))
        + data
}
