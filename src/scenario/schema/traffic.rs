//! `[traffic]`: a plan (`shape`), a recording (`replay`) or a closed loop (`users`).

use super::distribution::distribution;
use crate::distribution::Distribution;
use crate::scenario::clients::Users;
use crate::scenario::reader::{Field, Section};
use crate::scenario::service::Endpoint;
use crate::scenario::{Recording, Traffic};
use std::fmt::Display;
use std::str::FromStr;

use crate::traffic::formats::{Format, Value};
use crate::traffic::replay::Options;
use crate::traffic::{Attack, Burst, Config, Kind, Noise, Overlay, Process, Segment};
use crate::units::Span;

/// One request per nanosecond, the resolution of time.
const MAX_RPS: f64 = crate::traffic::shape::MAX_RPS;

/// `[traffic]`; attacks name one of `endpoints`.
pub(crate) fn traffic(field: &Field, endpoints: &[Endpoint]) -> Option<Traffic> {
    field.section(|s| {
        let sources = ["shape", "replay", "users"].map(|key| s.field(key));
        let mut given = sources.iter().flatten();
        match (given.next(), given.next()) {
            (None, _) => {
                s.missing(
                    "shape",
                    "shape = [{ kind = \"constant\", rate = 100 }], or replay = { path = \"access.log\" }, or users = { \
                     count = 100, think = \"1s\" }",
                );
                return s.give_up();
            }
            (Some(first), Some(second)) => {
                let sentence = format!("traffic comes from one source, but there is {} too: remove one", first.path());
                return second.contradiction(sentence).or_else(|| s.give_up());
            }
            (Some(_), None) => {}
        }
        let [shape, replay, users] = sources;
        if let Some(users) = users {
            return closed(s, &users);
        }
        let arrivals = arrivals(s);
        let noise = s.optional("noise", noise);
        let overlay = s.or("overlay", Vec::new(), |f| f.list(|each| overlay(&each, endpoints)));
        let skip = s.or("skip", Span::ZERO, Field::span);
        if let Some(field) = replay {
            if let Some(skip) = s.field("skip") {
                let sentence = "a recording is entered by replay.from: remove this or replay";
                return skip.contradiction(sentence).or_else(|| s.give_up());
            }
            let source = recording(&field)?;
            return Some(Traffic::Replay { recording: source, changes: Config { arrivals, noise, overlay, ..Config::default() } });
        }
        let shape = segments(&shape?)?;
        Some(Traffic::Open(Config { arrivals, shape, noise, overlay, skip }))
    })
}

fn closed(s: &Section, users: &Field) -> Option<Traffic> {
    for key in ["arrivals", "burst", "noise", "overlay", "skip"] {
        if let Some(field) = s.field(key) {
            let _: Option<()> =
                field.contradiction("users ask when they have an answer, not at a rate: remove this or users");
        }
    }
    users.section(|s| {
        let count = s.required("count", "count = 100", |f| f.count(1));
        let think = s.or("think", Distribution::Constant(Span::ZERO), distribution);
        Some(Traffic::Closed(Users { count: count?, think }))
    })
}

fn recording(field: &Field) -> Option<Recording> {
    field.section(|s| {
        let default = Options::default();
        let factor = |most: f64, words: &'static str| move |f: &Field| f.number(words, |x| x > 0.0 && x <= most);
        let paths = s.required("path", "path = \"access.log\"", Field::files);
        let options = Options {
            format: s.or("format", default.format, |f| f.choice(&Format::ALL)),
            log_format: s.optional("log_format", Field::text),
            time: s.optional("time", Field::text),
            value: s.optional("value", Field::text),
            kind: s.or("kind", default.kind, |f| f.choice(&Value::ALL)),
            zone: s.or("tz", default.zone, parsed),
            demand: s.or("demand", default.demand, parsed),
            filter: s.or("filter", default.filter, parsed),
            from: s.optional("from", parsed),
            to: s.optional("to", parsed),
            speed: s.or("speed", default.speed, factor(1e6, "a factor above 0, up to 1000000")),
            scale: s.or("scale", default.scale, factor(1e3, "a factor above 0, up to 1000")),
            repeat: s.or("repeat", default.repeat, |f| f.count(1)),
            step: s.optional("step", Field::positive_span),
            max_bad_lines: s.or("max_bad_lines", default.max_bad_lines, Field::ratio),
            max_clients: s.or("max_clients", default.max_clients, |f| f.count(1)),
            tables: None,
        };
        Some(Recording { paths: paths?, options })
    })
}

/// A text of a form that says itself what would do.
fn parsed<T: FromStr<Err: Display>>(field: &Field) -> Option<T> {
    match field.text()?.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            let words = error.to_string();
            field.unfit(words.rsplit_once("expected ").map_or(&words[..], |(_, expected)| expected))
        }
    }
}

fn arrivals(s: &Section) -> Process {
    let choices = [("paced", 0), ("poisson", 1), ("mmpp", 2)];
    let process = s.or("arrivals", 1, |f| f.choice(&choices));
    match (process, s.field("burst")) {
        (2, None) => s.missing("burst", "burst = { factor = 5, mean_on = \"10s\", mean_off = \"50s\" }"),
        (2, Some(field)) => return burst(&field).map(Process::Mmpp).unwrap_or_default(),
        (_, Some(field)) if s.is_sound() => {
            let _: Option<()> = field.contradiction("only arrivals = \"mmpp\" come in bursts");
        }
        _ => {}
    }
    if process == 0 { Process::Paced } else { Process::Poisson }
}

fn burst(field: &Field) -> Option<Burst> {
    field.section(|s| {
        let factor =
            s.required("factor", "factor = 5", |f| f.number("a factor, 0 or more", |x| (0.0..=1e6).contains(&x)));
        let mean_on = s.required("mean_on", "mean_on = \"10s\"", Field::positive_span);
        let mean_off = s.required("mean_off", "mean_off = \"50s\"", Field::positive_span);
        Some(Burst { factor: factor?, mean_on: mean_on?, mean_off: mean_off? })
    })
}

fn noise(field: &Field) -> Option<Noise> {
    field.section(|s| {
        let sigma = s.required("sigma", "sigma = 0.2", |f| {
            f.number("the standard deviation of the logarithm, from 0 to 10", |x| (0.0..=10.0).contains(&x))
        });
        let slot = s.required("slot", "slot = \"10s\"", Field::positive_span);
        Some(Noise { sigma: sigma?, slot: slot? })
    })
}

fn segments(field: &Field) -> Option<Vec<Segment>> {
    let elements = field.elements()?;
    let segments: Vec<Segment> = elements
        .iter()
        .enumerate()
        .filter_map(|(i, element)| element.section(|s| segment(s, i + 1 == elements.len())))
        .collect();
    if segments.len() < elements.len() {
        return None;
    }
    if segments.iter().all(|segment| is_silent(&segment.kind)) {
        let found = if segments.is_empty() { "no segments" } else { "only rates of 0" };
        return field.unfit_part(found, "a segment with requests, such as { kind = \"constant\", rate = 100 }");
    }
    Some(segments)
}

fn is_silent(kind: &Kind) -> bool {
    match kind {
        Kind::Constant { rate } => *rate == 0.0,
        Kind::Ramp { from, to } | Kind::Step { from, to, .. } => *from == 0.0 && *to == 0.0,
        _ => false,
    }
}

const SHAPES: [(&str, &str); 7] = [
    ("constant", "constant"),
    ("ramp", "ramp"),
    ("step", "step"),
    ("spike", "spike"),
    ("diurnal", "diurnal"),
    ("weekly", "weekly"),
    ("flash_crowd", "flash_crowd"),
];

fn segment(s: &Section, is_last: bool) -> Option<Segment> {
    let Some(name) = s.required("kind", "kind = \"constant\"", |f| f.choice(&SHAPES)) else { return s.give_up() };
    s.is_of_kind(format!("kind = {name:?}"));
    let may_be_zero = |key, example| s.required(key, example, rate);
    let rate = |key, example| s.required(key, example, positive_rate);
    let kind = match name {
        "constant" => may_be_zero("rate", "rate = 100").map(|rate| Kind::Constant { rate }),
        "ramp" => {
            let (from, to) = (may_be_zero("from", "from = 100"), may_be_zero("to", "to = 500"));
            from.zip(to).map(|(from, to)| Kind::Ramp { from, to })
        }
        "step" => {
            let (from, to) = (may_be_zero("from", "from = 100"), may_be_zero("to", "to = 500"));
            let at = s.required("at", "at = \"5m\"", Field::span);
            from.zip(to).zip(at).map(|((from, to), at)| Kind::Step { from, to, at })
        }
        "spike" => {
            let base = rate("base", "base = 100");
            let at = s.required("at", "at = \"5m\"", Field::span);
            let (magnitude, edges) = (magnitude(s), trapezoid(s));
            base.zip(at).zip(magnitude).zip(edges).map(|(((base, at), magnitude), Trapezoid { rise, hold, fall })| {
                Kind::Spike { base, magnitude, at, rise, hold, fall }
            })
        }
        "diurnal" => {
            let (mean, amplitude) = (rate("mean", "mean = 100"), amplitude(s));
            let period = s.or("period", Span::from_mins(24 * 60), Field::positive_span);
            let peak_at = s.or("peak_at", Span::ZERO, Field::span);
            mean.zip(amplitude).map(|(mean, amplitude)| Kind::Diurnal { mean, amplitude, period, peak_at })
        }
        "weekly" => {
            let (mean, amplitude) = (rate("mean", "mean = 100"), amplitude(s));
            let days = s.required("days", "days = [1, 1, 1, 1, 1, 0.5, 0.4]", days);
            let peak_at = s.or("peak_at", Span::ZERO, Field::span);
            mean.zip(amplitude).zip(days).map(|((mean, amplitude), days)| Kind::Weekly {
                mean,
                days,
                amplitude,
                peak_at,
            })
        }
        _ => {
            let base = rate("base", "base = 100");
            let at = s.required("at", "at = \"5m\"", Field::span);
            let (magnitude, flanks) = (magnitude(s), growth(s));
            base.zip(at).zip(magnitude).zip(flanks).map(|(((base, at), magnitude), (rise, decay))| Kind::FlashCrowd {
                base,
                magnitude,
                at,
                rise,
                decay,
            })
        }
    };
    let lasts = match s.field("for") {
        Some(field) => Some(field.positive_span()?),
        None if is_last && name != "ramp" => None,
        None => {
            s.missing(
                "for",
                if is_last { "for = \"10m\"" } else { "for = \"10m\" (only the last segment can go without)" },
            );
            return None;
        }
    };
    Some(Segment { kind: kind?, lasts })
}

/// The edges of a spike.
struct Trapezoid {
    rise: Span,
    hold: Span,
    fall: Span,
}

fn trapezoid(s: &Section) -> Option<Trapezoid> {
    let rise = s.or("rise", Span::ZERO, Field::span);
    let hold = s.required("hold", "hold = \"2m\"", Field::span);
    let fall = s.or("fall", Span::ZERO, Field::span);
    Some(Trapezoid { rise, hold: hold?, fall })
}

/// Rise and half-life of a flash crowd.
fn growth(s: &Section) -> Option<(Span, Span)> {
    let rise = s.required("rise", "rise = \"1m\"", Field::positive_span);
    rise.zip(s.required("decay", "decay = \"5m\"", Field::positive_span))
}

fn magnitude(s: &Section) -> Option<f64> {
    s.required("magnitude", "magnitude = 3.0", |f| f.number("a factor above 0", |x| x > 0.0 && x <= 1e6))
}

fn amplitude(s: &Section) -> Option<f64> {
    s.required("amplitude", "amplitude = 0.6", |f| {
        f.number("a share of the mean, usually 0 to 1", |x| (0.0..=1000.0).contains(&x))
    })
}

fn rate(field: &Field) -> Option<f64> {
    field.number("a rate in requests per second, from 0 to 1e9", |x| (0.0..=MAX_RPS).contains(&x))
}

fn positive_rate(field: &Field) -> Option<f64> {
    field.number("a rate in requests per second, above 0 and up to 1e9", |x| x > 0.0 && x <= MAX_RPS)
}

fn days(field: &Field) -> Option<[f64; 7]> {
    let elements = field.elements()?;
    let n = elements.len();
    let factor = |f: &Field| f.number("a factor, 0 or more", |x| (0.0..=1e6).contains(&x));
    let days: Vec<f64> = elements.iter().filter_map(factor).collect();
    match days.try_into() {
        Ok(days) => Some(days),
        Err(_) if n == 7 => None,
        Err(_) => field.unfit_part(format!("{n} factors"), "7, for Monday to Sunday"),
    }
}

fn overlay(element: &Field, endpoints: &[Endpoint]) -> Option<Overlay> {
    element.section(|s| {
        let kinds = ["spike", "flash_crowd", "attack", "reconnect"].map(|kind| (kind, kind));
        let Some(name) = s.required("kind", "kind = \"spike\"", |f| f.choice(&kinds)) else { return s.give_up() };
        s.is_of_kind(format!("kind = {name:?}"));
        let at = s.required("at", "at = \"25m\"", Field::span);
        match name {
            "spike" => {
                let (magnitude, edges) = (magnitude(s), trapezoid(s));
                let (at, magnitude, Trapezoid { rise, hold, fall }) = (at?, magnitude?, edges?);
                Some(Overlay::Spike { at, magnitude, rise, hold, fall })
            }
            "flash_crowd" => {
                let (magnitude, flanks) = (magnitude(s), growth(s));
                let (at, magnitude, (rise, decay)) = (at?, magnitude?, flanks?);
                Some(Overlay::FlashCrowd { at, magnitude, rise, decay })
            }
            "attack" => {
                let rate = s.required("rate", "rate = 1000", positive_rate);
                let lasts = s.required("for", "for = \"5m\"", Field::positive_span);
                let clients = s.or("clients", 1, |f| f.count(1));
                let endpoint = aimed_at(s, endpoints)?;
                Some(Overlay::Attack(Attack { at: at?, rate: rate?, lasts: lasts?, clients, endpoint }))
            }
            // Clients whose connections broke at one moment: each asks once.
            _ => {
                let clients = s.required("clients", "clients = 10000", |f| f.count(1));
                let within = s.or("within", Span::from_millis(1000), Field::positive_span);
                let endpoint = aimed_at(s, endpoints)?;
                let (at, clients) = (at?, clients?);
                let rate = f64::from(clients) / within.as_secs_f64();
                if rate > MAX_RPS {
                    return s
                        .field("within")
                        .and_then(|f| f.unfit("a longer time: more than 1e9 a second do not come"));
                }
                Some(Overlay::Attack(Attack { at, rate, lasts: within, clients, endpoint }))
            }
        }
    })
}

/// The endpoint that an overlay asks for, which may be any; `None` if what is written will not do.
fn aimed_at(s: &Section, endpoints: &[Endpoint]) -> Option<Option<u16>> {
    match s.field("endpoint") {
        Some(field) => endpoint(&field, endpoints).map(Some),
        None => Some(None),
    }
}

/// The number of the endpoint with a path; there are none if what is wrong with them is already written down.
fn endpoint(field: &Field, endpoints: &[Endpoint]) -> Option<u16> {
    if endpoints.is_empty() {
        return None;
    }
    let names: Vec<(&str, u16)> = endpoints.iter().zip(0..).map(|(each, i)| (each.path.as_str(), i)).collect();
    field.choice(&names)
}
