//! What a benchmark tells: people on a terminal and in a page, programs, forges. One set of words for all of them.

mod console;
mod html;
mod json;
mod junit;

use super::figure::{Figure, Kind};
use super::moments::ScaleUp;
use super::result::{Bench, Group, Spread, World};
use crate::report::figure::short;
use crate::report::verdict::millis;
use crate::units::Span;

pub use console::console;
pub use html::html;
pub use json::json;
pub use junit::junit;

/// What was measured and how, in a line.
pub fn sentence(x: &Bench) -> String {
    let d = &x.definition;
    let load = match d.kind {
        Kind::Baseline => {
            format!("{} levels from {}/s to {}/s, {} each", d.levels.len(), rate(d.low), rate(d.high), d.hold)
        }
        Kind::ScaleUp => format!("{}/s, after {} {}/s for {}", rate(d.low), d.calm, rate(d.high), d.hold),
        Kind::ScaleDown => format!("{}/s, after {} {}/s for {}", rate(d.high), d.calm, rate(d.low), d.hold),
        Kind::Spike => {
            format!("{}/s, after {} {}/s for {}, {} more", rate(d.low), d.calm, rate(d.high), d.hold, d.after)
        }
    };
    let times = match x.repetitions {
        1 => "once".to_string(),
        n => format!("{n} times"),
    };
    format!("{load}; p99 target {}; {times}", millis(d.target.as_millis_f64()))
}

/// The finding of a world, in a line.
pub fn finding(x: &Bench, world: &World) -> String {
    let d = &x.definition;
    let group = &world.groups[0];
    let of = |figure: Figure| cell(figure, &group.spread(figure));
    let after = |word: &str, figure: Figure| match group.spread(figure) {
        spread if spread.unseen => format!("when it is {word} is not seen"),
        Spread { median: None, never: (_, ms), .. } => format!("not {word} within {}", millis(ms)),
        _ => format!("{word} after {}", of(figure)),
    };
    match d.kind {
        Kind::Baseline => match world.knee() {
            Some(knee) => format!("serves {}/s with p99 under its target", rate(knee)),
            None => "no level held the p99 target".to_string(),
        },
        Kind::ScaleUp => after("steady", Figure::Steady),
        Kind::ScaleDown => format!("{}, {} requests lost", after("drained", Figure::Drained), of(Figure::Lost)),
        Kind::Spike => format!("worst p99 {}, {}", of(Figure::WorstP99), after("recovered", Figure::Recovered)),
    }
}

/// A figure over the repetitions: its median and, if there were several, its range; or why there is none.
pub fn cell(figure: Figure, spread: &Spread) -> String {
    if spread.unseen {
        return "unseen".to_string();
    }
    let never = match spread.never {
        (0, _) => String::new(),
        (n, ms) if figure.measure().unit == crate::gate::Unit::Millis && ms > 0.0 => {
            format!("not within {} ({n})", millis(ms))
        }
        (n, _) => format!("none ({n})"),
    };
    let Some(median) = spread.median else { return if never.is_empty() { "–".to_string() } else { never } };
    let range = match spread.range {
        Some((low, high)) if low < high => format!(" [{} … {}]", figure.show(low), figure.show(high)),
        _ => String::new(),
    };
    let never = if never.is_empty() { never } else { format!(", {never}") };
    format!("{}{range}{never}", figure.show(median))
}

/// The chart of a benchmark: the first run of each world over time, or the levels of a baseline.
#[cfg(feature = "render")]
pub fn picture(x: &Bench) -> crate::report::chart::bench::Picture {
    use crate::record::timeline::Column;
    use crate::report::chart::bench::{Curve, Moments, Picture};
    let d = &x.definition;
    let found: Vec<String> = x.worlds.iter().map(|world| format!("{} {}", world.name, finding(x, world))).collect();
    let moments = |world: &World| {
        let run = world.runs.first()?;
        let column = |column: Column| run.timeline.column(column).to_vec();
        let figures =
            [Figure::Decide, Figure::Ready, Figure::FirstByte, Figure::Steady, Figure::Recovered, Figure::Drained];
        let mark = |figure: Figure| {
            let median = world.groups[0].spread(figure).median?;
            d.kind.figures().contains(&figure).then(|| (figure.to_string(), d.calm.as_secs_f64() + median / 1e3))
        };
        Some(Moments {
            name: world.name.clone(),
            t: run.timeline.t.clone(),
            step: run.timeline.step_seconds,
            offered: column(Column::OfferedRps),
            total: column(Column::InstancesTotal),
            ready: column(Column::InstancesReady),
            p99_ms: column(Column::P99Ms),
            marks: figures.into_iter().filter_map(mark).collect(),
        })
    };
    let curves = |world: &World| {
        let curve = |figure: Figure| Curve {
            name: format!("{figure} {}", world.name),
            points: world
                .groups
                .iter()
                .filter_map(|group| Some((group.rate, group.spread(figure).median?)))
                .collect(),
        };
        [Figure::P50, Figure::P95, Figure::P99].map(curve)
    };
    let is_baseline = d.kind == Kind::Baseline;
    Picture {
        title: format!("{}: {}", d.kind.name(), found.join("; ")),
        changes_at: d.calm.as_secs_f64(),
        end: d.length().as_secs_f64(),
        target_ms: d.target.as_millis_f64(),
        moments: x.worlds.iter().filter(|_| !is_baseline).filter_map(moments).collect(),
        curves: x.worlds.iter().filter(|_| is_baseline).map(curves).collect(),
    }
}

/// A PNG picture as a URI that a page can have in it.
#[cfg(feature = "render")]
pub fn data_uri(png: &[u8]) -> String {
    use base64::Engine as _;
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png))
}

/// A rate as people write it.
fn rate(rps: f64) -> String {
    short((rps * 10.0).round() / 10.0)
}

/// An order to scale up, from its line in tables: who, how many, and its moments.
fn order(up: &ScaleUp) -> [String; 8] {
    let at = |span: Option<Span>| span.map_or("–".to_string(), |span| millis(span.as_millis_f64()));
    [
        format!("{} → {}", up.from, up.to),
        up.rule.clone(),
        at(Some(up.detect)),
        at(Some(up.decide)),
        at(up.start),
        at(up.ready),
        at(up.first_byte),
        at(up.complete),
    ]
}

/// The names of what [`order`] has.
const ORDER: [&str; 8] = ["instances", "by", "detect", "decide", "start", "ready", "first byte", "complete"];

/// The orders of the first repetition of a world that had some.
fn orders(group: &Group) -> &[ScaleUp] {
    group.scale_ups.iter().find(|ups| !ups.is_empty()).map_or(&[], Vec::as_slice)
}
