//! The moments of a run: its events, its instances and its timeline, read the same way whichever world left them.

use super::definition::Part;
use super::figure::{Figure, Kind, Reading};
use crate::engine::events::{Event, EventKind, Scaling};
use crate::engine::request::InstanceId;
use crate::record::Run;
use crate::record::run::{Ended, InstanceSummary};
use crate::record::timeline::Column;
use crate::units::{Span, Time};

/// Seconds without a second miss that make a miss an accident, and that it takes to call load steady.
const CALM_ROWS: usize = 5;
/// Share of answers that may be failures in a step that counts as good: above, p99 of what succeeded hides them.
const MASKED: f64 = 0.01;

/// An order to scale up, and what came of it, since load rose.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleUp {
    /// Who ordered it.
    pub rule: String,
    /// Instances before.
    pub from: u32,
    /// Instances after.
    pub to: u32,
    /// When the condition behind it held first.
    pub detect: Span,
    /// When it was ordered.
    pub decide: Span,
    /// When the first of its instances had been started; `None`, here and below: that did not happen.
    pub start: Option<Span>,
    /// When the first took traffic.
    pub ready: Option<Span>,
    /// When the first good answer of one of them began.
    pub first_byte: Option<Span>,
    /// When every one of them took traffic.
    pub complete: Option<Span>,
}

/// The orders to scale up from `rose_at` on.
pub fn scale_ups(run: &Run, rose_at: Time) -> Vec<ScaleUp> {
    let of = |event: &Event| {
        let EventKind::ScaledUp(scaling) = &event.kind else { return None };
        let since = |at: Time| at.since(rose_at);
        let all = instances(run, &scaling.instances);
        let first = |moment: fn(&InstanceSummary) -> Option<Time>| all.iter().filter_map(|each| moment(each)).min();
        let ready: Option<Vec<Time>> = all.iter().map(|each| each.ready_at).collect();
        Some(ScaleUp {
            rule: scaling.rule.clone(),
            from: scaling.from,
            to: scaling.to,
            detect: since(seen_at(event, scaling)),
            decide: since(event.at),
            start: first(|each| each.started_at).map(since),
            ready: first(|each| each.ready_at).map(since),
            first_byte: first(|each| each.first_answer_at).map(since),
            complete: ready.and_then(|ready| ready.into_iter().max()).map(since),
        })
    };
    run.events.iter().filter(|event| event.at >= rose_at).filter_map(of).collect()
}

/// When what made somebody order it was seen: a rule's condition held, or the policy looked and acted at once.
fn seen_at(event: &Event, scaling: &Scaling) -> Time {
    scaling.timing.map_or(event.at, |timing| timing.since)
}

fn instances<'r>(run: &'r Run, ids: &[InstanceId]) -> Vec<&'r InstanceSummary> {
    // Few are there: a search is as good as an index, and holds for records that leave some out.
    ids.iter().filter_map(|id| run.instances.iter().find(|each| each.id == id.0)).collect()
}

/// The figures of a run of `kind`.
pub fn readings(kind: Kind, run: &Run, part: &Part, target: Span) -> Vec<(Figure, Reading)> {
    let end = ended(run, part);
    let watched = end.since(part.changes_at).as_millis_f64();
    let happened = |at: Option<Span>| at.map_or(Reading::Never(watched), |at| Reading::Value(at.as_millis_f64()));
    let ups = scale_ups(run, part.changes_at);
    let first = ups.first();
    let drains = Drains::of(run, part.changes_at);
    let read = |figure: &Figure| {
        let reading = match figure {
            Figure::Detect => happened(detected(run, first, part.changes_at)),
            Figure::Decide if kind == Kind::ScaleDown => happened(drains.decided),
            Figure::Decide => happened(first.map(|up| up.decide)),
            Figure::Start => happened(first.and_then(|up| up.start)),
            Figure::Ready => happened(first.and_then(|up| up.ready)),
            Figure::FirstByte => happened(first.and_then(|up| up.first_byte)),
            Figure::Complete => happened(first.and_then(|up| up.complete)),
            Figure::Steady | Figure::Recovered => steady(run, part.changes_at, end, target),
            Figure::Drained => happened(drains.drained),
            Figure::DrainTime => happened(drains.longest),
            Figure::Settled => happened(drains.settled),
            _ => of_requests(*figure, run, part.changes_at, end),
        };
        (*figure, reading)
    };
    kind.figures().iter().map(read).collect()
}

/// Figures that only take what became of requests and how many instances there were.
pub(super) fn of_requests(figure: Figure, run: &Run, from: Time, end: Time) -> Reading {
    let quantile =
        |q: f64| run.latency.quantile(q).map_or(Reading::Never(0.0), |at| Reading::Value(at.as_millis_f64()));
    let most = |column: Column| {
        let values = rows(run, from, end).map(|row| run.timeline.column(column)[row]).filter(|v| v.is_finite());
        values.reduce(f64::max).map_or(Reading::Unseen, Reading::Value)
    };
    match figure {
        Figure::WorstP99 => most(Column::P99Ms),
        Figure::MostInstances => most(Column::InstancesReady),
        Figure::Lost => Reading::Value(lost(run, from, end)),
        Figure::Throughput => Reading::Value(run.counts.succeeded as f64 / run.measured.as_secs_f64().max(1e-9)),
        Figure::P50 => quantile(0.5),
        Figure::P95 => quantile(0.95),
        Figure::P99 => quantile(0.99),
        Figure::Utilization if run.generator.is_none() => Reading::Value(run.fleet.cpu_utilization_mean),
        _ => Reading::Unseen,
    }
}

/// When the part of the run that counts ended.
pub(super) fn ended(run: &Run, part: &Part) -> Time {
    match run.ended {
        Ended::Completed => part.end,
        Ended::Interrupted { at } | Ended::TrafficLost { at, .. } => at.min(part.end),
    }
}

/// When the first order's condition held, or a spike was detected, whichever was first.
fn detected(run: &Run, first: Option<&ScaleUp>, rose_at: Time) -> Option<Span> {
    let spike = run.events.iter().find_map(|event| match &event.kind {
        EventKind::SpikeDetected(spike) if !spike.drop && event.at >= rose_at => Some(event.at.since(rose_at)),
        _ => None,
    });
    spike.into_iter().chain(first.map(|up| up.detect)).min()
}

/// Steps of the timeline between two moments.
fn rows(run: &Run, from: Time, end: Time) -> impl Iterator<Item = usize> + '_ {
    let (from, end, step) = (from.as_secs_f64(), end.as_secs_f64(), run.timeline.step_seconds);
    // A step that a late tick closed begins a little late, too; half a step tells to which side it belongs.
    let inside = move |t: f64| t >= from - step / 2.0 && t + step / 2.0 <= end;
    run.timeline.t.iter().enumerate().filter(move |(_, t)| inside(**t)).map(|(row, _)| row)
}

/// Requests that failed between two moments, those refused by a quota aside.
fn lost(run: &Run, from: Time, end: Time) -> f64 {
    let (failed, limited) = (run.timeline.column(Column::FailedRps), run.timeline.column(Column::RateLimitedRps));
    let rates = rows(run, from, end).map(|row| (failed[row] - limited[row]).max(0.0));
    (rates.filter(|rate| rate.is_finite()).sum::<f64>() * run.timeline.step_seconds).round()
}

/// From when on p99 was under `target`: the end of the last bad step that was no accident. A step is bad if its p99 is above the target, if
/// more than 1 % of its answers were failures, or if there was load and nobody was served; one that is bad alone, with no other within
/// five, is an accident, for with a hundred requests a single one is the p99. At least three steps have to follow.
pub fn steady(run: &Run, from: Time, end: Time, target: Span) -> Reading {
    let column = |column: Column| run.timeline.column(column);
    let (p99, offered) = (column(Column::P99Ms), column(Column::OfferedRps));
    let (succeeded, failed, limited) =
        (column(Column::SucceededRps), column(Column::FailedRps), column(Column::RateLimitedRps));
    let is_bad = |row: usize| {
        let failed = (failed[row] - limited[row]).max(0.0);
        let answered = succeeded[row] + failed;
        let is_slow = if p99[row].is_finite() { p99[row] > target.as_millis_f64() } else { offered[row] > 0.0 };
        is_slow || failed > MASKED * answered
    };
    let rows: Vec<usize> = rows(run, from, end).collect();
    let bad: Vec<usize> = (0..rows.len()).filter(|&i| is_bad(rows[i])).collect();
    let has_company = |i: usize| bad.iter().any(|&other| other != i && other.abs_diff(i) < CALM_ROWS);
    let last = bad.iter().copied().filter(|&i| has_company(i)).max();
    let watched = end.since(from).as_millis_f64();
    let step_ms = run.timeline.step_seconds * 1e3;
    match last {
        None if rows.is_empty() => Reading::Never(watched),
        None => Reading::Value(0.0),
        Some(i) if rows.len() - i <= CALM_ROWS / 2 + 1 => Reading::Never(watched),
        Some(i) => Reading::Value((i + 1) as f64 * step_ms),
    }
}

/// How a fleet became smaller.
#[derive(Default)]
struct Drains {
    decided: Option<Span>,
    drained: Option<Span>,
    longest: Option<Span>,
    settled: Option<Span>,
}

impl Drains {
    fn of(run: &Run, fell_at: Time) -> Drains {
        let later = || run.events.iter().filter(move |event| event.at >= fell_at);
        let first = later().find_map(|event| match &event.kind {
            EventKind::ScaledDown(scaling) => Some((event.at, scaling)),
            _ => None,
        });
        let Some((at, scaling)) = first else { return Drains::default() };
        let gone = |ids: &[InstanceId]| -> Option<Time> {
            let all: Option<Vec<Time>> = instances(run, ids).iter().map(|each| each.gone_at).collect();
            all?.into_iter().max()
        };
        let told: Vec<(Time, InstanceId)> = later()
            .filter_map(|event| match event.kind {
                EventKind::InstanceDraining { instance } => Some((event.at, instance)),
                _ => None,
            })
            .collect();
        let took: Option<Vec<Span>> = told.iter().map(|(at, id)| Some(gone(&[*id])?.since(*at))).collect();
        let everybody: Vec<InstanceId> = told.iter().map(|(_, id)| *id).collect();
        Drains {
            decided: Some(at.since(fell_at)),
            drained: gone(&scaling.instances).map(|at| at.since(fell_at)),
            longest: took.and_then(|took| took.into_iter().max()),
            settled: gone(&everybody).map(|at| at.since(fell_at)),
        }
    }
}

#[cfg(test)]
mod tests;
