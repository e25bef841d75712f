//! The page's tables: the numbers behind the charts, and those that no chart shows.

use std::fmt::Write;

use super::escape;
use crate::record::generator::{Fault, Generator};
use crate::record::latency::Latency;
use crate::record::outcome::{Counts, Failure};
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::console::{QUANTILES, against_recorded, quantile};
use crate::report::figure::short;
use crate::report::verdict::{millis, percent, thousands};
use crate::units::{Span, Time};

/// A table with a caption; cells are escaped already, columns that begin with `#` are numbers.
pub(crate) fn table(caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    written("", caption, head, rows)
}

/// The same, which the script lets people sort by any column: by [`value`]s, or by text.
pub(crate) fn sortable(caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    written(if rows.len() > 1 { " data-sort" } else { "" }, caption, head, rows)
}

/// A cell with the number that it stands for.
pub(crate) fn value(shown: impl std::fmt::Display, number: f64) -> String {
    if !number.is_finite() {
        return "–".to_string();
    }
    // As many digits as order takes: what is read back from report.json has nine, and gives the same page.
    let number: f64 = format!("{number:.6e}").parse().expect("a formatted number is a number");
    format!("<data value=\"{number}\">{shown}</data>")
}

/// A cell with a quantile.
fn quantile_value(of: &Latency, q: f64) -> String {
    value(quantile(of, q), of.quantile(q).map_or(f64::NAN, Span::as_millis_f64))
}

/// A cell with a count.
fn count(n: u64) -> String {
    value(thousands(n), n as f64)
}

fn written(attributes: &str, caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("<div class=\"scroll\"><table{attributes}><caption>{caption}</caption><thead><tr>");
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

/// A cell with a moment; a dash if there is none.
pub(super) fn moment(at: Option<Time>) -> String {
    at.map_or("–".to_string(), |at| value(at, at.as_secs_f64()))
}

/// The figures that people ask for first.
pub fn headline(x: &Experiment) -> String {
    let counts = x.counts();
    let latency = x.latency();
    let seconds = x.runs.iter().map(|run| run.measured.as_secs_f64()).sum::<f64>();
    let rate = if seconds > 0.0 { counts.offered as f64 / seconds } else { 0.0 };
    let (min, max) = x.fleet_range();
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
    if let Some(generator) = x.generator() {
        tiles.truncate(4);
        tiles.push((quantile(&generator.lag, 0.99), "p99 lag of the generator".to_string()));
        tiles.push((percent(generator.busy_share()), "of requests waited for a worker".to_string()));
    } else if x.price_per_hour > 0.0 {
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

/// Failures by reason.
pub fn outcomes(x: &Experiment) -> String {
    let counts = x.counts();
    let share = |n: u64| if counts.offered > 0 { percent(n as f64 / counts.offered as f64) } else { "–".into() };
    // Of all replications: their clocks all begin at zero.
    let seen = |reason: Failure| {
        let all = || x.runs.iter().filter_map(|run| run.failures_seen[reason as usize]);
        [moment(all().map(|(first, _)| first).min()), moment(all().map(|(_, last)| last).max())]
    };
    let none = || ["–".to_string(), "–".to_string()];
    let row =
        |what: &str, n: u64, [first, last]: [String; 2]| vec![what.to_string(), count(n), share(n), first, last];
    let mut rows = vec![row("succeeded", counts.succeeded, none())];
    for reason in Failure::ALL {
        let n = counts.failed_for(reason);
        if n > 0 {
            rows.push(row(&reason.name().replace('_', " "), n, seen(reason)));
        }
    }
    if counts.retries > 0 {
        rows.push(row("retries (attempts beyond the first)", counts.retries, none()));
    }
    table(
        "Every request ended in exactly one of these.",
        &["Outcome", "#Requests", "#Share of offered", "#First seen", "#Last seen"],
        &rows,
    )
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
                count(counts.offered),
                count(counts.failed_total()),
                counts.availability().map_or("–".into(), |ratio| value(percent(ratio), ratio)),
                quantile_value(&all, 0.5),
                quantile_value(&all, 0.95),
                quantile_value(&all, 0.99),
            ]
        })
        .collect();
    sortable(
        "Requests scheduled after the warm-up.",
        &["Endpoint", "#Offered", "#Failed", "#Availability", "#p50", "#p95", "#p99"],
        &rows,
    )
}

/// The numbers behind the storm, behind a fold: means of rates and of instances, the largest of the rest.
pub fn timeline(x: &Experiment) -> String {
    const ROWS: usize = 60;
    const COLUMNS: [(&str, Column, bool); 10] = [
        ("#Offered/s", Column::OfferedRps, true),
        ("#Served/s", Column::SucceededRps, true),
        ("#Failed/s", Column::FailedRps, true),
        ("#Capacity/s", Column::CapacityRps, true),
        ("#Wanted", Column::Desired, true),
        ("#Paid for", Column::InstancesTotal, true),
        ("#Ready", Column::InstancesReady, true),
        ("#p50", Column::P50Ms, false),
        ("#p99", Column::P99Ms, false),
        ("#CPU", Column::CpuUtilization, false),
    ];
    let timeline = &x.first().timeline;
    let (n, together) = (timeline.len(), timeline.len().div_ceil(ROWS).max(1));
    let cell = |(_, column, mean): &(&str, Column, bool), from: usize| {
        let values = &timeline.column(*column)[from..(from + together).min(n)];
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let figure = match mean {
            true => finite().sum::<f64>() / finite().count() as f64,
            false => finite().fold(f64::NAN, f64::max),
        };
        let shown = match column {
            Column::P50Ms | Column::P99Ms => millis(figure),
            Column::CpuUtilization => format!("{figure:.0} %"),
            _ => short(figure),
        };
        value(shown, figure)
    };
    let row = |from: usize| {
        let at = Time::from_secs_f64(timeline.t[from]);
        let cells = COLUMNS.iter().map(|column| cell(column, from));
        std::iter::once(moment(Some(at))).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = (0..n).step_by(together).map(row).collect();
    let head: Vec<&str> = std::iter::once("#From").chain(COLUMNS.iter().map(|(name, ..)| *name)).collect();
    let caption = format!(
        "The first replication, {} a row: rates and instances on average, latencies and utilization at their worst. timeline.csv has every step.",
        Span::from_secs_f64(timeline.step_seconds * together as f64)
    );
    format!(
        "<details><summary>The numbers behind these charts</summary>{}</details>\n",
        sortable(&caption, &head, &rows)
    )
}

/// What each instance did.
pub fn instances(x: &Experiment) -> String {
    const SHOWN: usize = 200;
    let all = &x.first().instances;
    let rows: Vec<Vec<String>> = all
        .iter()
        .take(SHOWN)
        .map(|each| {
            vec![
                value(each.id, f64::from(each.id)),
                moment(Some(each.launched_at)),
                moment(each.ready_at),
                moment(each.gone_at),
                count(each.attempts),
                count(each.failures),
                value(percent(each.utilization), each.utilization),
            ]
        })
        .collect();
    let caption = match all.len().saturating_sub(SHOWN) {
        0 => "Instances of the first replication, in the order of launch.".to_string(),
        more => format!("The first {SHOWN} instances in the order of launch; {more} more are in report.json."),
    };
    sortable(&caption, &["#Instance", "#Launched", "#Ready", "#Gone", "#Attempts", "#Failures", "#Busy"], &rows)
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

/// What the generator of load did, and what of that speaks against the run.
pub fn generator(of: &Generator) -> String {
    let faults = of.faults();
    let row = |what: &str, found: String, tolerated: String, fault: Fault| {
        let verdict = if faults.contains(&fault) { of.says(fault) } else { "fine".to_string() };
        vec![what.to_string(), found, tolerated, verdict]
    };
    let rows = [
        row("due requests sent", percent(of.sent_share()), "at least 99.9 %".into(), Fault::Saturated),
        row("p99 of lag", quantile(&of.lag, 0.99), format!("at most {}", of.lag_limit), Fault::Late),
        row("found all workers busy", percent(of.busy_share()), "at most 0.1 %".into(), Fault::PoolExhausted),
        row("of its cores", of.cpu.map_or("–".into(), percent), "at most 80 %".into(), Fault::Cpu),
    ];
    let caption = format!(
        "{} requests were due, {} sent by {} workers ({}); {} workers would do. Lag is the time from due to sent, and part of every latency.",
        thousands(of.due),
        thousands(of.sent),
        of.pool,
        of.manner(),
        of.pool_needed()
    );
    table(&caption, &["Generator", "#Found", "#Tolerated", "Verdict"], &rows)
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
    let data = "<p>Beside this page: <a href=\"report.json\">report.json</a> (everything, with a schema), <a href=\"timeline.csv\">timeline.csv</a>, <a href=\"latency.hgrm\">latency.hgrm</a>, and the charts as PNG. <code>wavetank report</code> makes any of them again from report.json.</p>";
    table("What was run.", &["", ""], &rows)
        + &format!("<p>To run it again:</p><pre>{}</pre>", escape(&x.command))
        + data
}
