//! `report.json`: the contract. Keys in the order of its documentation, floats to nine significant digits (so that the order of
//! a sum never shows), NaN as null. The same runs give the same bytes but for `run`.

mod generator;

use serde_json::{Map, Value, json as value};

use super::{Experiment, RecordedService, Threshold, verdict};
use crate::engine::analyzer::advice::Advice;
use crate::engine::analyzer::verdict::WEIGHTS;
use crate::engine::events::{Event, EventKind, Scaling, Spike};
use crate::record::Run;
use crate::record::fidelity::{Faithfulness, Spread};
use crate::record::heat::{LatencyHeat, bounds_us};
use crate::record::latency::{Encoded, Latency};
use crate::record::outcome::{Counts, Failure};
use crate::record::run::Ended;
use crate::record::timeline::Column;
use crate::units::{Span, Time};

/// `report.json` as text: one line for each column of the timeline, and for each event.
pub fn json(experiment: &Experiment) -> String {
    let mut text = String::from("{\n");
    let sections = sections(experiment);
    for (i, (key, section)) in sections.iter().enumerate() {
        let end = if i + 1 < sections.len() { "," } else { "" };
        let body = match section {
            Section::Value(value) => laid_out(value),
            Section::Timeline => timeline(experiment.first()),
        };
        text.push_str(&format!("  \"{key}\": {body}{end}\n"));
    }
    text.push_str("}\n");
    text
}

/// A part of the report under its key.
enum Section {
    Value(Value),
    Timeline,
}

/// Lists one element a line, everything else on one line.
fn laid_out(section: &Value) -> String {
    match section {
        Value::Array(items) if !items.is_empty() => {
            let lines: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("[\n    {}\n  ]", lines.join(",\n    "))
        }
        other => other.to_string(),
    }
}

fn sections(x: &Experiment) -> Vec<(&'static str, Section)> {
    let counts = x.counts();
    let first = x.first();
    let overall = x.overall().map(|outcome| outcome.word());
    let goodput = |run: &Run| run.counts.succeeded as f64 / run.measured.as_secs_f64().max(1e-9);
    let sections = vec![
        ("schema", value!("wavetank.report/1")),
        (
            "scenario",
            object([("name", value!(x.name)), ("description", value!(x.description)), ("digest", value!(x.digest))]),
        ),
        ("mode", value!(x.mode.name())),
        ("seed", value!(x.seed)),
        ("replications", value!(x.runs.len())),
        ("duration_seconds", number(x.duration.as_secs_f64())),
        ("warmup_seconds", number(x.warmup.as_secs_f64())),
        ("command", value!(x.command)),
        ("notes", value!(x.notes)),
        ("ended", ended(x.cut_short())),
        ("verdict", value!(overall)),
        ("requests", requests(&counts)),
        ("availability", counts.availability().map_or(Value::Null, number)),
        ("throughput_rps", number(x.mean(|run| run.throughput_rps))),
        ("goodput_rps", number(x.mean(goodput))),
        ("wasted_work", number(x.mean(|run| run.wasted_work))),
        ("client_fairness", x.client_fairness().map_or(Value::Null, number)),
        ("latency_ms", latency(&x.latency(), "succeeded")),
        ("latency_all_ms", latency(&x.latency_all(), "all")),
        ("service_time_ms", latency(&x.service_time(), "succeeded")),
        ("fleet", fleet(x)),
        ("elasticity", elasticity(x)),
        ("regret", regret(x)),
        ("slo", Value::Array(x.verdicts().iter().map(slo).collect())),
        ("thresholds", Value::Array(x.thresholds.iter().map(threshold).collect())),
        ("endpoints", Value::Array(endpoints(x))),
        ("instances", Value::Array(instances(first))),
        ("intervals", intervals(x)),
        ("per_replication", Value::Array(x.runs.iter().map(replication).collect())),
        ("events", Value::Array(first.events.iter().map(event).collect())),
    ];
    let mut sections = sections;
    if let Some(then) = &x.recorded {
        let at = sections.len() - 1;
        sections.insert(at, ("recorded", recorded(then)));
    }
    if let Some(told) = x.fidelity() {
        sections.push(("fidelity", fidelity(&told)));
    }
    if let Some(of) = &first.generator {
        sections.push(("generator", generator::generator(of)));
    }
    if let Some(heat) = &first.latency_heat {
        sections.push(("latency_heat", latency_heat(heat)));
    }
    if !first.latency_steps.is_empty() {
        sections.push(("latency_steps", Value::Array(first.latency_steps.iter().map(as_text).collect())));
    }
    let mut sections: Vec<_> = sections.into_iter().map(|(key, value)| (key, Section::Value(value))).collect();
    sections.extend([("timeline", Section::Timeline), ("run", Section::Value(run(x)))]);
    sections
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Object(entries.into_iter().map(|(key, each)| (key.to_string(), each)).collect())
}

/// A number to nine significant digits.
pub(super) fn rounded(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return 0.0;
    }
    format!("{x:.8e}").parse().expect("a formatted number is a number")
}

/// A finite number to nine significant digits, whole ones without a fraction; null otherwise.
pub(crate) fn number(x: f64) -> Value {
    if !x.is_finite() {
        return Value::Null;
    }
    let x = rounded(x);
    if x.fract() == 0.0 && x.abs() < 9e15 { value!(x as i64) } else { value!(x) }
}

fn seconds(at: Time) -> Value {
    number(at.as_secs_f64())
}

fn ended(ended: Option<&Ended>) -> Value {
    match ended {
        None | Some(Ended::Completed) => object([("state", value!("completed"))]),
        Some(Ended::Interrupted { at }) => object([("state", value!("interrupted")), ("at", seconds(*at))]),
        Some(Ended::TrafficLost { at, problem }) => {
            object([("state", value!("traffic_lost")), ("at", seconds(*at)), ("problem", value!(problem))])
        }
    }
}

fn requests(counts: &Counts) -> Value {
    let failed: Map<String, Value> =
        Failure::ALL.iter().map(|&reason| (reason.name().to_string(), value!(counts.failed_for(reason)))).collect();
    object([
        ("offered", value!(counts.offered)),
        ("succeeded", value!(counts.succeeded)),
        ("retries", value!(counts.retries)),
        ("failed", Value::Object(failed)),
    ])
}

fn latency(of: &Latency, requests: &str) -> Value {
    let ms = |span: Option<Span>| span.map_or(Value::Null, |span| number(span.as_millis_f64()));
    object([
        ("of", value!(requests)),
        ("mean", ms(of.mean())),
        ("min", ms(of.min())),
        ("p50", ms(of.quantile(0.5))),
        ("p75", ms(of.quantile(0.75))),
        ("p90", ms(of.quantile(0.9))),
        ("p95", ms(of.quantile(0.95))),
        ("p99", ms(of.quantile(0.99))),
        ("p999", ms(of.quantile(0.999))),
        ("max", ms(of.max())),
        ("count", value!(of.count())),
    ])
}

fn recorded(then: &RecordedService) -> Value {
    object([
        ("latency_ms", then.latency.as_ref().map_or(Value::Null, |of| latency(of, "recorded"))),
        ("answered", value!(then.answered)),
        ("failed", value!(then.failed)),
        ("availability", then.availability().map_or(Value::Null, number)),
    ])
}

fn fleet(x: &Experiment) -> Value {
    let min = x.runs.iter().map(|run| run.fleet.min).min();
    let max = x.runs.iter().map(|run| run.fleet.max).max();
    object([
        ("min", value!(min)),
        ("mean", number(x.mean(|run| run.fleet.mean))),
        ("max", value!(max)),
        ("instance_hours", number(x.mean(|run| run.fleet.cost.instance_hours))),
        ("cost", number(x.mean(|run| run.fleet.cost.cost))),
        ("cpu_utilization_mean", number(x.mean(|run| run.fleet.cpu_utilization_mean))),
        ("scale_ups", number(x.mean(|run| f64::from(run.fleet.scale_ups)))),
        ("scale_downs", number(x.mean(|run| f64::from(run.fleet.scale_downs)))),
        ("flaps", number(x.mean(|run| f64::from(run.fleet.flaps)))),
        (
            "longest_scale_up_seconds",
            x.runs
                .iter()
                .filter_map(|run| run.fleet.longest_scale_up)
                .max()
                .map_or(Value::Null, |span| number(span.as_secs_f64())),
        ),
        ("price_per_hour", number(x.price_per_hour)),
    ])
}

fn regret(x: &Experiment) -> Value {
    let ratio = x.mean(|run| run.regret.ratio.unwrap_or(f64::NAN));
    object([
        ("optimal_instance_hours", number(x.mean(|run| run.regret.optimal.instance_hours))),
        ("optimal_cost", number(x.mean(|run| run.regret.optimal.cost))),
        ("instance_hours", number(x.mean(|run| run.regret.hours))),
        ("cost", number(x.mean(|run| run.regret.cost))),
        ("ratio", number(ratio)),
        ("missing_instance_hours", number(x.mean(|run| run.regret.missing_hours))),
        ("static_instances", number(x.mean(|run| f64::from(run.regret.static_instances)))),
        ("static_cost", number(x.mean(|run| run.regret.best_static.cost))),
    ])
}

/// Everything of one run that is a figure, exactly: whoever compares or judges needs each run by itself, and what is merged from
/// files has to be what would have been merged here.
fn replication(run: &Run) -> Value {
    let span = |span: Span| value!(span.0);
    object([
        ("seed", value!(run.seed)),
        ("ended", ended(Some(&run.ended))),
        ("measured_ns", span(run.measured)),
        ("requests", requests(&run.counts)),
        ("throughput_rps", exact(run.throughput_rps)),
        ("wasted_work", exact(run.wasted_work)),
        ("client_fairness", run.client_fairness.map_or(Value::Null, exact)),
        ("latency", encoded(&run.latency)),
        ("latency_all", encoded(&run.latency_all)),
        ("service_time", encoded(&run.service_time)),
        ("waiting_time", encoded(&run.waiting_time)),
        (
            "fleet",
            object([
                ("min", value!(run.fleet.min)),
                ("mean", exact(run.fleet.mean)),
                ("max", value!(run.fleet.max)),
                ("instance_hours", exact(run.fleet.cost.instance_hours)),
                ("cost", exact(run.fleet.cost.cost)),
                ("cpu_utilization_mean", exact(run.fleet.cpu_utilization_mean)),
                ("scale_ups", value!(run.fleet.scale_ups)),
                ("scale_downs", value!(run.fleet.scale_downs)),
                ("flaps", value!(run.fleet.flaps)),
                ("longest_scale_up_ns", run.fleet.longest_scale_up.map_or(Value::Null, span)),
            ]),
        ),
        (
            "elasticity",
            object([
                ("under_provisioned_share", exact(run.elasticity.under_provisioned_share)),
                ("over_provisioned_share", exact(run.elasticity.over_provisioned_share)),
                ("under_accuracy", exact(run.elasticity.under_accuracy)),
                ("over_accuracy", exact(run.elasticity.over_accuracy)),
                ("instability", exact(run.elasticity.instability)),
            ]),
        ),
        (
            "regret",
            object([
                ("optimal_instance_hours", exact(run.regret.optimal.instance_hours)),
                ("optimal_cost", exact(run.regret.optimal.cost)),
                ("instance_hours", exact(run.regret.hours)),
                ("cost", exact(run.regret.cost)),
                ("ratio", run.regret.ratio.map_or(Value::Null, exact)),
                ("missing_instance_hours", exact(run.regret.missing_hours)),
                ("static_instances", value!(run.regret.static_instances)),
                ("static_instance_hours", exact(run.regret.best_static.instance_hours)),
                ("static_cost", exact(run.regret.best_static.cost)),
            ]),
        ),
        ("failures_seen", failures_seen(run)),
        ("simulated", value!(run.simulated)),
    ])
}

/// A number with all its digits; sums in another order would show in the last of them, but one run is one order.
fn exact(x: f64) -> Value {
    if x.is_finite() { value!(x) } else { Value::Null }
}

fn encoded(latency: &Latency) -> Value {
    as_text(&latency.encoded())
}

fn as_text(of: &Encoded) -> Value {
    let is_empty = of.min > of.max;
    object([
        ("hdr", value!(of.hdr)),
        ("sum_ns", value!(of.sum_ns.to_string())),
        ("min_ns", if is_empty { Value::Null } else { value!(of.min.0) }),
        ("max_ns", if is_empty { Value::Null } else { value!(of.max.0) }),
    ])
}

fn fidelity(told: &Faithfulness) -> Value {
    object([
        ("asked", value!(told.asked.name())),
        ("used", value!(told.used.name())),
        ("reason", value!(told.reason)),
        ("simulated_share", number(told.simulated_share)),
        ("spread", told.spread.as_ref().map_or(Value::Null, spread)),
    ])
}

fn spread(spread: &Spread) -> Value {
    object([
        ("availability_points", number(spread.availability_points)),
        ("p99_percent", number(spread.p99_percent)),
        ("instance_hours_percent", number(spread.instance_hours_percent)),
    ])
}

fn elasticity(x: &Experiment) -> Value {
    object([
        ("under_provisioned_share", number(x.mean(|run| run.elasticity.under_provisioned_share))),
        ("over_provisioned_share", number(x.mean(|run| run.elasticity.over_provisioned_share))),
        ("under_accuracy", number(x.mean(|run| run.elasticity.under_accuracy))),
        ("over_accuracy", number(x.mean(|run| run.elasticity.over_accuracy))),
        ("instability", number(x.mean(|run| run.elasticity.instability))),
    ])
}

fn slo(each: &verdict::Verdict) -> Value {
    object([
        ("name", value!(each.target.name())),
        ("target", number(verdict::bound(&each.target))),
        ("observed", each.observed.map_or(Value::Null, number)),
        ("ci", each.ci.map_or(Value::Null, |(low, high)| Value::Array(vec![number(low), number(high)]))),
        ("verdict", value!(each.outcome.word())),
        (
            "masked",
            each.masked.map_or(Value::Null, |masked| {
                object([("failed", number(masked.failed)), ("of_all", number(masked.of_all))])
            }),
        ),
    ])
}

fn threshold(each: &Threshold) -> Value {
    object([
        ("rule", value!(each.rule)),
        ("metric", value!(each.metric)),
        ("sign", value!(each.sign)),
        ("value", number(each.value)),
    ])
}

/// Columns begin with their first row that holds something: most rows of most columns hold nothing.
fn latency_heat(heat: &LatencyHeat) -> Value {
    let column = |counts: &Vec<u64>| {
        let first = counts.iter().position(|n| *n > 0).unwrap_or(0);
        let end = counts.iter().rposition(|n| *n > 0).map_or(0, |last| last + 1);
        value!({ "first": first, "counts": counts[first.min(end)..end] })
    };
    object([
        ("column_seconds", number(heat.column_seconds)),
        ("bounds_ms", Value::Array(bounds_us().into_iter().map(|us| number(us / 1e3)).collect())),
        ("columns", Value::Array(heat.columns.iter().map(column).collect())),
    ])
}

/// When each reason for failing was first and last seen \[s\].
fn failures_seen(run: &Run) -> Value {
    let seen = Failure::ALL.iter().filter_map(|&reason| {
        let (first, last) = run.failures_seen[reason as usize]?;
        Some((reason.name().to_string(), Value::Array(vec![seconds(first), seconds(last)])))
    });
    Value::Object(seen.collect())
}

fn endpoints(x: &Experiment) -> Vec<Value> {
    let rows = x.first().endpoints.len();
    (0..rows)
        .map(|i| {
            let mut counts = Counts::default();
            let mut all = Latency::default();
            for run in x.runs {
                counts.add(&run.endpoints[i].counts);
                run.endpoints[i].latency.clone().pour_into(&mut all);
            }
            // A service with one endpoint keeps no second histogram.
            let all = if rows == 1 { x.latency() } else { all };
            object([
                ("path", value!(x.first().endpoints[i].path)),
                ("requests", requests(&counts)),
                ("latency_ms", latency(&all, "succeeded")),
                ("latency", if rows == 1 { Value::Null } else { encoded(&all) }),
            ])
        })
        .collect()
}

fn instances(run: &Run) -> Vec<Value> {
    let optional = |at: Option<Time>| at.map_or(Value::Null, seconds);
    run.instances
        .iter()
        .map(|each| {
            object([
                ("id", value!(each.id)),
                ("launched_at", seconds(each.launched_at)),
                ("started_at", optional(each.started_at)),
                ("ready_at", optional(each.ready_at)),
                ("first_answer_at", optional(each.first_answer_at)),
                ("gone_at", optional(each.gone_at)),
                ("attempts", value!(each.attempts)),
                ("failures", value!(each.failures)),
                ("utilization", number(each.utilization)),
            ])
        })
        .collect()
}

fn intervals(x: &Experiment) -> Value {
    let ms = |span: Option<Span>| span.map_or(f64::NAN, Span::as_millis_f64);
    let quantile = |q: f64| move |run: &Run| ms(run.latency.quantile(q));
    type Figure = Box<dyn Fn(&Run) -> f64>;
    let figures: Vec<(&str, Figure)> = vec![
        ("availability", Box::new(|run| run.counts.availability().unwrap_or(f64::NAN))),
        ("throughput_rps", Box::new(|run| run.throughput_rps)),
        ("goodput_rps", Box::new(|run| run.counts.succeeded as f64 / run.measured.as_secs_f64())),
        ("latency_mean_ms", Box::new(move |run| ms(run.latency.mean()))),
        ("latency_p50_ms", Box::new(quantile(0.5))),
        ("latency_p75_ms", Box::new(quantile(0.75))),
        ("latency_p90_ms", Box::new(quantile(0.9))),
        ("latency_p95_ms", Box::new(quantile(0.95))),
        ("latency_p99_ms", Box::new(quantile(0.99))),
        ("latency_p999_ms", Box::new(quantile(0.999))),
        ("fleet_mean", Box::new(|run| run.fleet.mean)),
        ("instance_hours", Box::new(|run| run.fleet.cost.instance_hours)),
        ("cost", Box::new(|run| run.fleet.cost.cost)),
        ("cpu_utilization_mean", Box::new(|run| run.fleet.cpu_utilization_mean)),
        ("scale_ups", Box::new(|run| f64::from(run.fleet.scale_ups))),
        ("scale_downs", Box::new(|run| f64::from(run.fleet.scale_downs))),
        ("flaps", Box::new(|run| f64::from(run.fleet.flaps))),
        ("regret_cost", Box::new(|run| run.regret.cost)),
        ("regret_instance_hours", Box::new(|run| run.regret.hours)),
        ("regret_ratio", Box::new(|run| run.regret.ratio.unwrap_or(f64::NAN))),
        ("under_provisioned_share", Box::new(|run| run.elasticity.under_provisioned_share)),
        ("over_provisioned_share", Box::new(|run| run.elasticity.over_provisioned_share)),
    ];
    let mut map = Map::new();
    for (name, of) in figures {
        if let Some(i) = x.interval(of) {
            let entry = [("mean", number(i.mean)), ("low", number(i.low)), ("high", number(i.high))];
            map.insert(name.to_string(), object(entry));
        }
    }
    Value::Object(map)
}

fn event(event: &Event) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, each: Value| map.insert(key.to_string(), each);
    put("t", seconds(event.at));
    put("kind", value!(event.kind.name()));
    put("cause", value!(event.cause));
    match &event.kind {
        EventKind::ScaledUp(scaling) | EventKind::ScaledDown(scaling) => put_scaling(&mut map, scaling),
        EventKind::Held { rule, from, to, blocked } => {
            put("rule", value!(rule));
            put("from", value!(from));
            put("to", value!(to));
            let block = |block: &crate::engine::events::Block| {
                object([
                    ("reason", value!(block.reason)),
                    ("clears_at", block.clears_at.map_or(Value::Null, seconds)),
                ])
            };
            put("blocked", Value::Array(blocked.iter().map(block).collect()));
        }
        EventKind::Nearest { rule, value, threshold, held_for } => {
            put("rule", value!(rule));
            put("value", number(*value));
            put("threshold", number(*threshold));
            put("held_for", number(held_for.as_secs_f64()));
        }
        EventKind::RuleOpenedBreaker { rule } | EventKind::Alert { rule } => {
            put("rule", value!(rule));
        }
        EventKind::InstanceLaunched { instance }
        | EventKind::InstanceDraining { instance }
        | EventKind::InstanceGone { instance }
        | EventKind::InstanceUnhealthy { instance }
        | EventKind::InstanceHealthy { instance } => {
            put("instance", value!(instance.0));
        }
        EventKind::InstanceReady { instance, warming } => {
            put("instance", value!(instance.0));
            put("warming", value!(warming));
        }
        EventKind::HoldBegan | EventKind::BufferLeft | EventKind::QuotaStoreLost => {}
        EventKind::QuotaStoreBack { after } => {
            put("after", number(after.as_secs_f64()));
        }
        EventKind::BufferJoined { limit } => {
            put("limit", value!(limit));
        }
        EventKind::HoldEnded { requests, abandoned, lasted } => {
            put("requests", value!(requests));
            put("abandoned", value!(abandoned));
            put("lasted", value!(lasted.as_secs_f64()));
        }
        EventKind::InstanceEjected { instance, length, row } => {
            put("instance", value!(instance.0));
            put("length", number(length.as_secs_f64()));
            put("row", value!(row));
        }
        EventKind::InstanceReadmitted { instance, after } => {
            put("instance", value!(instance.0));
            put("after", number(after.as_secs_f64()));
        }
        EventKind::PanicBegan { healthy, initialised } | EventKind::PanicEnded { healthy, initialised } => {
            put("healthy", value!(healthy));
            put("initialised", value!(initialised));
        }
        EventKind::BreakerOpened { scope, open_for } => {
            put("scope", value!(scope));
            put("open_for", number(open_for.as_secs_f64()));
        }
        EventKind::BreakerHalfOpen { scope } | EventKind::BreakerClosed { scope } => {
            put("scope", value!(scope));
        }
        EventKind::SpikeDetected(spike) | EventKind::SpikeEnded(spike) => put_spike(&mut map, spike),
        EventKind::RegimeChanged { from_rps, to_rps } => {
            put("from_rps", number(*from_rps));
            put("to_rps", number(*to_rps));
        }
        EventKind::Anomaly { score, rps } => {
            put("score", number(*score));
            put("rps", number(*rps));
        }
        EventKind::FaultStarted { fault, until } => {
            put("fault", value!(fault));
            put("until", until.map_or(Value::Null, seconds));
        }
        EventKind::FaultEnded { fault } => {
            put("fault", value!(fault));
        }
    }
    Value::Object(map)
}

fn put_scaling(map: &mut Map<String, Value>, scaling: &Scaling) {
    let mut put = |key: &str, each: Value| map.insert(key.to_string(), each);
    put("rule", value!(scaling.rule));
    put("from", value!(scaling.from));
    put("to", value!(scaling.to));
    put("instances", Value::Array(scaling.instances.iter().map(|id| value!(id.0)).collect()));
    put("observed", scaling.observed.map_or(Value::Null, number));
    let timing = scaling.timing.map(|t| {
        object([
            ("sampled_at", seconds(t.sampled_at)),
            ("since", seconds(t.since)),
            ("held_at", seconds(t.held_at)),
            ("ripe_at", seconds(t.ripe_at)),
            ("fired_at", seconds(t.fired_at)),
        ])
    });
    put("timing", timing.unwrap_or(Value::Null));
    let stage = |stage: &crate::engine::events::Stage| {
        object([
            ("stage", value!(stage.stage)),
            ("input", value!(stage.input)),
            ("output", value!(stage.output)),
            ("reason", value!(stage.reason)),
        ])
    };
    put("stages", Value::Array(scaling.stages.iter().map(stage).collect()));
    let wish = |wish: &crate::engine::events::Wish| {
        object([
            ("policy", value!(wish.policy)),
            ("raw", value!(wish.raw)),
            ("wanted", value!(wish.wanted)),
            ("cap", value!(wish.cap)),
            ("cause", value!(wish.cause)),
        ])
    };
    put("proposals", Value::Array(scaling.wishes.iter().map(wish).collect()));
}

fn put_spike(map: &mut Map<String, Value>, spike: &Spike) {
    let mut put = |key: &str, each: Value| map.insert(key.to_string(), each);
    put("id", value!(spike.id));
    put("started_at", seconds(spike.started_at));
    put("baseline_rps", number(spike.baseline_rps));
    put("peak_rps", number(spike.peak_rps));
    put("magnitude", number(spike.magnitude));
    put("direction", value!(if spike.drop { "drop" } else { "surge" }));
    let Some(verdict) = &spike.verdict else { return };
    put("class", value!(verdict.class.name()));
    put("score", number(verdict.score));
    put("confidence", number(verdict.confidence));
    let pieces = WEIGHTS.iter().zip(verdict.evidence.pieces());
    let known = pieces.filter_map(|((name, _), piece)| Some((name.to_string(), number(piece?))));
    put("evidence", Value::Object(known.collect()));
    let advice = |advice: &Advice| {
        object([
            ("id", value!(advice.id)),
            ("setting", advice.setting.as_ref().map_or(Value::Null, |setting| value!(setting))),
            ("value", advice.value.map_or(Value::Null, number)),
            ("text", value!(advice.text)),
        ])
    };
    put("advice", Value::Array(spike.advice.iter().map(advice).collect()));
}

/// The timeline as text, a column a line. It is the bulk of a report, so no tree of values is made of it.
fn timeline(run: &Run) -> String {
    let mut text = format!(
        "{{\n    \"replication\": 0,\n    \"step_seconds\": {},\n    \"columns\": {{\n",
        number(run.timeline.step_seconds)
    );
    push_column(&mut text, "t", &run.timeline.t);
    for column in Column::ALL {
        text.push_str(",\n");
        push_column(&mut text, column.name(), run.timeline.column(column));
    }
    text.push_str("\n    }\n  }");
    text
}

fn push_column(text: &mut String, name: &str, values: &[f64]) {
    text.push_str(&format!("      \"{name}\": ["));
    for (i, &x) in values.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(&number(x).to_string());
    }
    text.push(']');
}

fn run(x: &Experiment) -> Value {
    let simulated: u64 = x.runs.iter().map(|run| run.simulated).sum();
    let per_cpu = x.info.cpu_seconds.filter(|cpu| *cpu > 0.0).map(|cpu| simulated as f64 / cpu);
    object([
        ("wall_seconds", number(x.info.wall_seconds)),
        ("cpu_seconds", x.info.cpu_seconds.map_or(Value::Null, number)),
        ("requests_per_cpu_second", per_cpu.map_or(Value::Null, number)),
        ("started", value!(x.info.started)),
        ("host", value!(x.info.host)),
        ("version", value!(x.info.version.as_ref())),
        ("threads", value!(x.info.threads)),
    ])
}
