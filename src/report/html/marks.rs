//! What happened, on the charts: spans behind the lines (warm-up, faults, spikes, breakers), and decisions as marks that explain
//! themselves.

use std::fmt::Write;

use super::escape;
use super::panel::{INNER, LEFT, TOP};
use crate::engine::events::{Event, EventKind};
use crate::report::Experiment;
use crate::report::figure::clock;

/// Marks of a panel at most: more than these are put together where they are near to one another.
const MARKS: usize = 400;

/// A span of time that is shaded.
struct Shade {
    class: &'static str,
    name: String,
    from: f64,
    to: f64,
    title: String,
}

/// Every span, in the order in which they are drawn.
fn all(x: &Experiment, end: f64) -> Vec<Shade> {
    let mut shades = Vec::new();
    if !x.warmup.is_zero() {
        shades.push(Shade {
            class: "warmup",
            name: "warm-up".to_string(),
            from: 0.0,
            to: x.warmup.as_secs_f64(),
            title: "warm-up: left out of the statistics".to_string(),
        });
    }
    let events = &x.first().events;
    for (i, event) in events.iter().enumerate() {
        let from = event.at.as_secs_f64();
        match &event.kind {
            EventKind::FaultStarted { fault, until } => shades.push(Shade {
                class: "fault",
                name: fault.replace('_', " "),
                from,
                to: until.map_or(from, |until| until.as_secs_f64()),
                title: format!("{fault}: {}", event.cause),
            }),
            EventKind::SpikeDetected(spike) => {
                let ended =
                    events[i..].iter().find(|e| matches!(&e.kind, EventKind::SpikeEnded(s) if s.id == spike.id));
                shades.push(Shade {
                    class: "spike",
                    name: if spike.drop { "drop" } else { "spike" }.to_string(),
                    from: spike.started_at.as_secs_f64(),
                    to: ended.map_or(end, |event| event.at.as_secs_f64()),
                    title: event.cause.clone(),
                });
            }
            _ => {}
        }
    }
    shades.extend(breakers(events, end));
    merged(shades, end)
}

/// When a breaker or more were open or half-open.
fn breakers(events: &[Event], end: f64) -> Vec<Shade> {
    let mut shades: Vec<Shade> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::BreakerOpened { scope, .. } => {
                if open.is_empty() {
                    let at = event.at.as_secs_f64();
                    let title = format!("breaker of {scope} open: {}", event.cause);
                    shades.push(Shade {
                        class: "breaker",
                        name: "breaker open".to_string(),
                        from: at,
                        to: end,
                        title,
                    });
                }
                if !open.contains(&scope.as_str()) {
                    open.push(scope);
                }
            }
            EventKind::BreakerClosed { scope } => {
                open.retain(|each| each != scope);
                if let (true, Some(last)) = (open.is_empty(), shades.last_mut()) {
                    last.to = last.to.min(event.at.as_secs_f64());
                }
            }
            _ => {}
        }
    }
    shades
}

/// Spans of a kind that nobody could tell apart on a screen are one.
fn merged(mut shades: Vec<Shade>, end: f64) -> Vec<Shade> {
    shades.sort_by(|a, b| a.class.cmp(b.class).then(a.from.total_cmp(&b.from)));
    let mut out: Vec<(Shade, usize)> = Vec::new();
    for shade in shades {
        match out.last_mut() {
            Some((last, n)) if last.class == shade.class && shade.from - last.to < end / INNER => {
                last.to = last.to.max(shade.to);
                *n += 1;
            }
            _ => out.push((shade, 1)),
        }
    }
    let told = |(shade, n): (Shade, usize)| match n {
        1 => shade,
        n => Shade { title: format!("{}, and {} more", shade.title, n - 1), ..shade },
    };
    out.into_iter().map(told).collect()
}

/// The spans behind the lines, for the part with the data.
pub(super) fn shades(x: &Experiment, end: f64, height: f64) -> String {
    let mut out = String::new();
    for shade in all(x, end) {
        let (a, b) = (shade.from / end * INNER, shade.to.min(end) / end * INNER);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<rect class=\"shade {}\" x=\"{a:.1}\" y=\"0\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
            shade.class,
            (b - a).max(1.5),
            escape(&shade.title)
        );
    }
    out
}

/// Names of the spans at the top, as far as there is room for them.
pub(super) fn names(x: &Experiment, end: f64) -> String {
    let mut shades = all(x, end);
    shades.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut out = String::new();
    let mut free = 0.0;
    for shade in shades {
        let at = LEFT + shade.from / end * INNER + 3.0;
        let width = 7.0 * shade.name.chars().count() as f64;
        if at < free || at + width > LEFT + INNER {
            continue;
        }
        free = at + width + 6.0;
        let _ = write!(
            out,
            "<g data-t=\"{:.3}\" transform=\"translate({:.1} {TOP})\"><text class=\"label\" x=\"3\" y=\"11\">{}</text></g>",
            shade.from,
            at - 3.0,
            escape(&shade.name)
        );
    }
    out
}

/// A decision or an alert.
struct Mark {
    at: f64,
    class: &'static str,
    shape: &'static str,
    text: String,
}

fn mark(event: &Event) -> Option<Mark> {
    let (class, shape, what) = match &event.kind {
        EventKind::ScaledUp(scaling) => ("up", "M-5 9H5L0 0Z", format!("{} → {}", scaling.from, scaling.to)),
        EventKind::ScaledDown(scaling) => ("down", "M-5 0H5L0 9Z", format!("{} → {}", scaling.from, scaling.to)),
        EventKind::Alert { rule } => ("alert", "M0 0L5 5L0 10L-5 5Z", format!("alert {rule}")),
        _ => return None,
    };
    Some(Mark { at: event.at.as_secs_f64(), class, shape, text: format!("{} {what}: {}", event.at, event.cause) })
}

/// Decisions to scale, and alerts: each says what and why when it is pointed at.
pub(super) fn decisions(x: &Experiment, end: f64) -> String {
    let mut marks: Vec<Mark> = x.first().events.iter().filter_map(mark).collect();
    if marks.len() > MARKS {
        marks = together(marks, end);
    }
    let mut out = String::from("<g class=\"marks\">");
    for mark in marks {
        let _ = write!(
            out,
            "<g class=\"mark {}\" data-t=\"{:.3}\" transform=\"translate({:.1} {TOP})\"><title>{}</title><path d=\"{}\"/></g>",
            mark.class,
            mark.at,
            LEFT + mark.at.min(end) / end * INNER,
            escape(&mark.text),
            mark.shape
        );
    }
    out + "</g>"
}

/// Marks of a kind that would lie on one another, as one that tells how many they are and what the first was.
fn together(marks: Vec<Mark>, end: f64) -> Vec<Mark> {
    let width = end / (MARKS as f64 / 3.0);
    let mut out: Vec<(Mark, usize, f64)> = Vec::new();
    for mark in marks {
        let near = |other: &&mut (Mark, usize, f64)| other.0.class == mark.class;
        match out.iter_mut().rev().take(3).find(near) {
            Some((first, n, last)) if mark.at - first.at < width => {
                *n += 1;
                *last = mark.at;
            }
            _ => {
                let at = mark.at;
                out.push((mark, 1, at));
            }
        }
    }
    let told = |(mark, n, last): (Mark, usize, f64)| match n {
        1 => mark,
        n => Mark { text: format!("{n} decisions until {}, the first: {}", clock(last, end), mark.text), ..mark },
    };
    out.into_iter().map(told).collect()
}
