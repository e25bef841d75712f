//! `[[fault]]`.

use crate::scenario::dependency::Dependency;
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
    SlowDependency,
    CacheLoss,
}

const KINDS: [(&str, Kind); 8] = [
    ("crash", Kind::Crash),
    ("slow", Kind::Slow),
    ("errors", Kind::Errors),
    ("zone_outage", Kind::ZoneOutage),
    ("slow_boot", Kind::SlowBoot),
    ("lost_metrics", Kind::LostMetrics),
    ("slow_dependency", Kind::SlowDependency),
    ("cache_loss", Kind::CacheLoss),
];

/// `[[fault]]`; the fleet lives in `zones` zones and calls `dependencies`.
pub(crate) fn faults(field: &Field, zones: u32, dependencies: &[Dependency]) -> Option<Vec<Fault>> {
    field.list(|element| element.section(|s| fault(s, zones, dependencies)))
}

fn fault(s: &Section, zones: u32, dependencies: &[Dependency]) -> Option<Fault> {
    let Some(kind) = s.required("kind", "kind = \"crash\"", |f| f.choice(&KINDS)) else { return s.give_up() };
    if let Some((name, _)) = KINDS.iter().find(|(_, each)| *each == kind) {
        s.is_of_kind(format!("kind = {name:?}"));
    }
    let when = when(s);
    let is_over_at_once = matches!(kind, Kind::Crash | Kind::CacheLoss);
    let duration = if is_over_at_once { None } else { s.optional("duration", Field::positive_span) };
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
        Kind::SlowDependency => {
            let (dependency, factor) = (dependency(s, dependencies, false), factor("factor = 20.0"));
            FaultKind::SlowDependency { dependency: dependency?, factor: factor? }
        }
        Kind::CacheLoss => {
            let share = s.or("share", 1.0, Field::positive_ratio);
            FaultKind::CacheLoss { dependency: dependency(s, dependencies, true)?, share }
        }
    };
    Some(Fault { kind, when: when?, duration })
}

/// The number of the dependency that a fault is about, of those with a cache if it has to have one; a single one need not be named.
fn dependency(s: &Section, dependencies: &[Dependency], has_cache: bool) -> Option<usize> {
    let names: Vec<(&str, usize)> = dependencies
        .iter()
        .enumerate()
        .filter(|(_, each)| each.cache.is_some() || !has_cache)
        .map(|(i, each)| (each.name.as_str(), i))
        .collect();
    let what = if has_cache { "a [[dependency]] with a cache" } else { "a [[dependency]]" };
    match (s.field("dependency"), names.as_slice()) {
        (Some(field), []) => field.unfit(format!("the name of {what}: there is none")),
        (Some(field), _) => field.choice(&names),
        (None, [(_, only)]) => Some(*only),
        (None, []) => {
            s.field("kind").and_then(|kind| kind.contradiction(format!("there is nothing to strike: add {what}")))
        }
        (None, [(first, _), ..]) => {
            s.missing("dependency", &format!("dependency = {first:?}"));
            None
        }
    }
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
