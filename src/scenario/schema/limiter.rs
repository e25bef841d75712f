//! `[limiter]`.

use crate::engine::limiter::{Algorithm, Config, Key};
use crate::scenario::reader::{Field, Section};

const PARTS: u32 = 60;

/// `[limiter]`.
pub(crate) fn limiter(field: &Field) -> Option<Config> {
    field.section(|s| {
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
    })
}

/// Settings that the algorithm never looks at, and rates that the clock cannot tell apart.
fn check(s: &Section, config: &Config) {
    let name = Algorithm::ALL.iter().find(|(_, each)| *each == config.algorithm).map_or("", |(name, _)| name);
    if let (Some(field), false) =
        (s.field("burst"), matches!(config.algorithm, Algorithm::TokenBucket | Algorithm::Gcra))
    {
        let sentence = format!("algorithm = {name:?} has no burst, only token_bucket and gcra have");
        let _: Option<()> = field.contradiction(sentence);
    }
    if let (Some(field), false) = (s.field("parts"), config.algorithm == Algorithm::SubWindows) {
        let sentence = format!("algorithm = {name:?} does not divide its window, only sub_windows does");
        let _: Option<()> = field.contradiction(sentence);
    }
    let finest = match config.algorithm {
        Algorithm::SubWindows => config.parts,
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
