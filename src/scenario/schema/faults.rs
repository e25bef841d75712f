//! `[[fault]]`.

use crate::scenario::faults::{Fault, FaultKind, When};
use crate::scenario::reader::{Field, Section};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Crash,
    Slow,
    Errors,
    ZoneOutage,
    SlowBoot,
    LostMetrics,
}

const KINDS: [(&str, Kind); 6] = [
    ("crash", Kind::Crash),
    ("slow", Kind::Slow),
    ("errors", Kind::Errors),
    ("zone_outage", Kind::ZoneOutage),
    ("slow_boot", Kind::SlowBoot),
    ("lost_metrics", Kind::LostMetrics),
];

/// `[[fault]]`; the fleet lives in `zones` zones.
pub(crate) fn faults(field: &Field, zones: u32) -> Option<Vec<Fault>> {
    field.list(|element| element.section(|s| fault(s, zones)))
}

fn fault(s: &Section, zones: u32) -> Option<Fault> {
    let Some(kind) = s.required("kind", "kind = \"crash\"", |f| f.choice(&KINDS)) else { return s.give_up() };
    if let Some((name, _)) = KINDS.iter().find(|(_, each)| *each == kind) {
        s.is_of_kind(format!("kind = {name:?}"));
    }
    let when = when(s);
    // A crash is over at once.
    let duration = if kind == Kind::Crash { None } else { s.optional("duration", Field::positive_span) };
    let instances = || s.or("instances", 1, |f| f.count(1));
    let factor =
        |example| s.required("factor", example, |f| f.number("a factor of 1 or more", |x| (1.0..=1e6).contains(&x)));
    let kind = match kind {
        Kind::Crash => FaultKind::Crash { instances: instances() },
        Kind::Slow => {
            let instances = instances();
            FaultKind::Slow { instances, factor: factor("factor = 4.0")? }
        }
        Kind::Errors => {
            let instances = s.optional("instances", |f| f.count(1));
            let rate = s.required("rate", "rate = 0.2", Field::positive_ratio);
            let latency = s.optional("latency", Field::span);
            FaultKind::Errors { instances, rate: rate?, latency }
        }
        Kind::ZoneOutage => FaultKind::ZoneOutage { zone: s.required("zone", "zone = 0", |f| zone(f, zones))? },
        Kind::SlowBoot => FaultKind::SlowBoot { factor: factor("factor = 5.0")? },
        Kind::LostMetrics => FaultKind::LostMetrics,
    };
    Some(Fault { kind, when: when?, duration })
}

fn when(s: &Section) -> Option<When> {
    match (s.field("at"), s.field("every")) {
        (Some(at), None) => at.time().map(When::At),
        (None, Some(every)) => every.positive_span().map(When::Every),
        (Some(_), Some(every)) => {
            every.contradiction("a fault strikes once (at) or again and again (every), not both: remove one")
        }
        (None, None) => {
            s.missing("at", "at = \"30m\" (once) or every = \"6h\" (at random, on average so often)");
            None
        }
    }
}

fn zone(field: &Field, zones: u32) -> Option<u32> {
    let zone = field.count(0)?;
    if zone < zones {
        return Some(zone);
    }
    match zones {
        1 => field.unfit("zone 0: fleet.zones is 1"),
        zones => field.unfit(format!("a zone from 0 to {}: fleet.zones is {zones}", zones - 1)),
    }
}
