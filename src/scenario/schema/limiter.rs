//! `[limiter]`.

use crate::engine::limiter::hierarchy::Extras;
use crate::engine::limiter::shared::{Mode, OnFailure, Sharing};
use crate::engine::limiter::{Algorithm, Config, Key};
use crate::scenario::reader::{Field, Section};
use crate::units::Time;

const PARTS: u32 = 60;

/// `[limiter]`.
pub(crate) fn limiter(field: &Field) -> Option<(Config, Extras)> {
    field.section(|s| {
        let first = rule(s);
        let extras = Extras {
            also: s.or("also", Vec::new(), |f| f.list(|element| element.section(rule))),
            costs: Vec::new(),
            sharing: s.optional("shared", sharing),
            shadow: s.or("shadow", false, Field::boolean),
        };
        Some((first?, extras))
    })
}

/// One quota.
fn rule(s: &Section) -> Option<Config> {
    let algorithm = s.required("algorithm", "algorithm = \"sliding_log\"", |f| f.choice(&Algorithm::ALL));
    let key = s.or("key", Key::Client, |f| f.choice(&Key::ALL));
    let limit = s.required("limit", "limit = 1000", |f| f.count(1));
    let window = s.required("window", "window = \"1m\"", Field::positive_span);
    let burst = s.optional("burst", |f| f.count(1));
    let parts = s.or("parts", PARTS, |f| match f.count(1)? {
        parts if parts <= 10_000 => Some(parts),
        _ => f.unfit("1 to 10000 parts"),
    });
    let config = Config { algorithm: algorithm?, key, limit: limit?, window: window?, burst, parts };
    if s.is_sound() {
        check(s, &config);
    }
    Some(config)
}

/// `{ gateways = 4, mode = "store" }`.
fn sharing(field: &Field) -> Option<Sharing> {
    field.section(|s| {
        let gateways = s.required("gateways", "gateways = 4", |f| match f.count(1)? {
            n if n <= 1000 => Some(n),
            _ => f.unfit("1 to 1000 gateways"),
        });
        let modes = [("independent", 0), ("divided", 1), ("store", 2), ("sync", 3), ("lease", 4)];
        let mode = match s.required("mode", "mode = \"store\"", |f| f.choice(&modes)) {
            None => return s.give_up(),
            Some(0) => Some(Mode::Independent),
            Some(1) => Some(Mode::Divided),
            Some(2) => Some(Mode::Store),
            Some(3) => {
                s.required("every", "every = \"200ms\"", Field::positive_span).map(|every| Mode::Sync { every })
            }
            Some(_) => s.required("batch", "batch = 50", |f| f.count(1)).map(|batch| Mode::Lease { batch }),
        };
        let has_store = !matches!(mode, Some(Mode::Independent | Mode::Divided));
        let (mut outages, mut on_failure) = (Vec::new(), OnFailure::default());
        if has_store {
            outages = s.or("outage", Vec::new(), |f| f.list(outage));
            let choices = [("local", OnFailure::Local), ("open", OnFailure::Open), ("closed", OnFailure::Closed)];
            on_failure = s.or("on_failure", on_failure, |f| f.choice(&choices));
        }
        Some(Sharing { gateways: gateways?, mode: mode?, outages, on_failure })
    })
}

/// `{ at = "5m", for = "1m" }`.
fn outage(field: Field) -> Option<(Time, Time)> {
    field.section(|s| {
        let at = s.required("at", "at = \"5m\"", Field::time);
        let lasts = s.required("for", "for = \"1m\"", Field::positive_span);
        at.zip(lasts).map(|(at, lasts)| (at, at + lasts))
    })
}

/// Settings that the algorithm never looks at, and rates that the clock cannot tell apart.
fn check(s: &Section, config: &Config) {
    let name = Algorithm::ALL.iter().find(|(_, each)| *each == config.algorithm).map_or("", |(name, _)| name);
    if let (Some(field), false) = (
        s.field("burst"),
        matches!(config.algorithm, Algorithm::TokenBucket | Algorithm::Gcra | Algorithm::LeakyBucket),
    ) {
        let sentence = format!("algorithm = {name:?} has no burst, only token_bucket, gcra and leaky_bucket have");
        let _: Option<()> = field.contradiction(sentence);
    }
    if let (Some(field), false) =
        (s.field("parts"), matches!(config.algorithm, Algorithm::SubWindows | Algorithm::InterpolatedSubWindows))
    {
        let sentence = format!(
            "algorithm = {name:?} does not divide its window, only sub_windows and interpolated_sub_windows do"
        );
        let _: Option<()> = field.contradiction(sentence);
    }
    if config.algorithm == Algorithm::LeakyBucket
        && u128::from(config.limit) * 1_000_000_000_000 < u128::from(config.window.0)
        && let Some(field) = s.field("window")
    {
        let sentence = format!(
            "{} in \"{}\" is less than a thousandth a second, which is as slow as a leaky_bucket leaks",
            config.limit, config.window
        );
        let _: Option<()> = field.contradiction(sentence);
    }
    let finest = match config.algorithm {
        Algorithm::SubWindows | Algorithm::InterpolatedSubWindows => config.parts,
        Algorithm::TokenBucket | Algorithm::Gcra => config.limit,
        _ => 1,
    };
    if config.window.0 < u64::from(finest)
        && let Some(field) = s.field("window")
    {
        let sentence =
            format!("\"{}\" has fewer nanoseconds than limit or parts: they cannot be spread over it", config.window);
        let _: Option<()> = field.contradiction(sentence);
    }
}
