//! `[limiter]`.

use crate::engine::limiter::hierarchy::Extras;
use crate::engine::limiter::shared::{Mode, OnFailure, Sharing};
use crate::engine::limiter::{Algorithm, Compare, Config, Key, WindowStart};
use crate::scenario::reader::{Field, Section};
use crate::units::Time;

mod preset;
mod stored;

use preset::Preset;
pub(crate) use stored::check_stored;

/// `[limiter]`.
pub(crate) fn limiter(field: &Field) -> Option<(Config, Extras)> {
    field.section(|s| {
        let preset = s.optional("preset", Preset::read);
        let first = rule(s, preset);
        let on_failure = preset.map_or_else(OnFailure::default, Preset::on_failure);
        let extras = Extras {
            also: s.or("also", Vec::new(), |f| {
                f.list(|element| element.section(|s| rule(s, s.optional("preset", Preset::read))))
            }),
            costs: Vec::new(),
            sharing: s.optional("shared", |f| sharing(f, on_failure)),
            shadow: s.or("shadow", false, Field::boolean),
        };
        Some((first?, extras))
    })
}

/// One quota. What is written wins over the `preset`.
fn rule(s: &Section, preset: Option<Preset>) -> Option<Config> {
    let algorithm = match preset {
        Some(preset) => {
            let own = preset.algorithm();
            Some(s.or("algorithm", own, |f| f.choice(&[(name_of(own), own)])))
        }
        // What a preset that will not do would have had is not missing.
        None if s.field("preset").is_some() => s.optional("algorithm", |f| f.choice(&Algorithm::ALL)),
        None => s.required("algorithm", "algorithm = \"sliding_log\"", |f| f.choice(&Algorithm::ALL)),
    };
    let key = s.optional("key", |f| f.choice(&Key::ALL));
    let limit = s.required("limit", "limit = 1000", |f| f.count(1));
    let window = s.required("window", "window = \"1m\"", Field::positive_span);
    let burst = s.optional("burst", |f| f.count(1));
    let parts = s.or("parts", Config::DEFAULT_PARTS, |f| match f.count(1)? {
        parts if parts <= Config::MAX_PARTS => Some(parts),
        _ => f.unfit(format!("1 to {} parts", Config::MAX_PARTS)),
    });
    let delay = s.optional("delay", delay);
    let warm_up = s.optional("warm_up", Field::positive_span);
    let window_start = s.optional("window_start", |f| f.choice(&WindowStart::ALL));
    let compare = s.optional("compare", |f| f.choice(&Compare::ALL));
    let charge_rejected = s.optional("charge_rejected", Field::boolean);
    let burst = preset.and_then(|preset| preset.max_burst(s)).or(burst);
    let plain = Config { burst, ..Config::new(algorithm?, Key::Client, limit?, window?) };
    let base = preset.map_or(plain.clone(), |preset| preset.config(plain));
    let config = Config {
        key: key.unwrap_or(base.key),
        parts,
        delay: delay.unwrap_or(base.delay),
        warm_up,
        window_start: window_start.unwrap_or(base.window_start),
        compare: compare.unwrap_or(base.compare),
        charge_rejected: charge_rejected.unwrap_or(base.charge_rejected),
        ..base
    };
    if s.is_sound() {
        check(s, &config);
        if let Some(preset) = preset {
            preset.check(s, &config);
        }
    }
    Some(config)
}

/// How many pass at once, or NGINX's word for all of them.
fn delay(field: &Field) -> Option<Option<u32>> {
    match field.raw_text() {
        Some("nodelay") => Some(None),
        Some(_) => field.unfit("a whole number, or \"nodelay\""),
        None => field.count(0).map(Some),
    }
}

fn name_of(algorithm: Algorithm) -> &'static str {
    Algorithm::ALL.iter().find(|(_, each)| *each == algorithm).map_or("", |(name, _)| name)
}

/// `{ gateways = 4, mode = "store" }`; what happens without a store unless it is told.
fn sharing(field: &Field, on_failure: OnFailure) -> Option<Sharing> {
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
        let (mut outages, mut on_failure) = (Vec::new(), on_failure);
        let mut timeout = Sharing::TIMEOUT;
        if has_store {
            timeout = s.or("timeout", timeout, Field::positive_span);
            outages = s.or("outage", Vec::new(), |f| f.list(outage));
            let choices = [("local", OnFailure::Local), ("open", OnFailure::Open), ("closed", OnFailure::Closed)];
            on_failure = s.or("on_failure", on_failure, |f| f.choice(&choices));
        }
        Some(Sharing { gateways: gateways?, mode: mode?, outages, timeout, on_failure })
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

/// How the two algorithms with windows count them.
fn counting(s: &Section, config: &Config, name: &str) {
    if let (Some(field), false) = (s.field("window_start"), config.algorithm == Algorithm::FixedWindow) {
        let sentence = format!("algorithm = {name:?} has no fixed windows, only fixed_window has");
        field.contradiction::<()>(sentence);
    }
    if let (Some(field), true) = (s.field("burst"), config.window_start == WindowStart::FirstRequest) {
        let sentence = "window_start = \"first_request\" leaves nothing of a window for the next: it has no burst";
        field.contradiction::<()>(sentence);
    }
    if let (Some(field), false) = (s.field("compare"), config.algorithm == Algorithm::SlidingWindow) {
        let sentence = format!("algorithm = {name:?} has no estimate to compare, only sliding_window has");
        field.contradiction::<()>(sentence);
    }
    if let Some(field) = s.field("charge_rejected") {
        match (config.algorithm, config.compare) {
            (Algorithm::SlidingWindow, Compare::BeforeAdding) => {}
            (Algorithm::SlidingWindow, Compare::AfterAdding) if !config.charge_rejected => {}
            (Algorithm::SlidingWindow, Compare::AfterAdding) => {
                let sentence =
                    "only an estimate compared before adding counts refusals: set compare = \"before_adding\"";
                field.contradiction::<()>(sentence);
            }
            _ => {
                let sentence =
                    format!("algorithm = {name:?} has no choice of what it counts, only sliding_window has");
                field.contradiction::<()>(sentence);
            }
        }
    }
}

/// Settings that the algorithm never looks at, and rates that the clock cannot tell apart.
fn check(s: &Section, config: &Config) {
    let name = name_of(config.algorithm);
    use Algorithm as A;
    if let (Some(field), false) =
        (s.field("burst"), matches!(config.algorithm, A::TokenBucket | A::Gcra | A::LeakyBucket | A::FixedWindow))
    {
        let sentence =
            format!("algorithm = {name:?} has no burst, only token_bucket, gcra, leaky_bucket and fixed_window have");
        let _: Option<()> = field.contradiction(sentence);
    }
    counting(s, config, name);
    if let (Some(field), false) =
        (s.field("parts"), matches!(config.algorithm, Algorithm::SubWindows | Algorithm::InterpolatedSubWindows))
    {
        let sentence = format!(
            "algorithm = {name:?} does not divide its window, only sub_windows and interpolated_sub_windows do"
        );
        let _: Option<()> = field.contradiction(sentence);
    }
    if let (Some(field), false) = (s.field("delay"), config.algorithm == Algorithm::LeakyBucket) {
        let sentence = format!("algorithm = {name:?} makes nobody wait, only leaky_bucket does");
        let _: Option<()> = field.contradiction(sentence);
    }
    if let (Some(delay), Some(field)) = (config.delay, s.field("delay"))
        && config.algorithm == Algorithm::LeakyBucket
        && delay >= config.burst.unwrap_or(0)
    {
        let burst = config.burst.unwrap_or(0);
        let sentence =
            format!("{delay} pass at once, and burst = {burst} lets no more than that in: nobody would wait");
        let _: Option<()> = field.contradiction(sentence);
    }
    if (config.algorithm == Algorithm::WarmUp) != config.warm_up.is_some() {
        let _: Option<()> = match s.field("warm_up") {
            Some(field) => field.contradiction(format!("algorithm = {name:?} is never cold, only warm_up is")),
            None => s.required("warm_up", "warm_up = \"10s\"", Field::positive_span).map(|_| ()),
        };
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
