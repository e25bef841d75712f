//! Quotas in a store that is really there (`live.quota_store`): which of them it can keep.

use super::name_of;
use crate::engine::limiter::hierarchy::Extras;
use crate::engine::limiter::shared::Mode;
use crate::engine::limiter::{Algorithm, Compare, Config};
use crate::scenario::reader::Field;

/// Whole numbers that a store counts with are below this: scripts have nothing but doubles.
const WHOLE: u128 = 1 << 53;

/// Writes down what of the quotas a store cannot keep. `limiter` is the section's field, `None` if there is none.
pub(crate) fn check_stored(store: &Field, limiter: Option<&Field>, first: Option<&Config>, extras: &Extras) {
    let (Some(limiter), Some(first)) = (limiter, first) else {
        let sentence = "there are no quotas to keep: add [limiter], with shared = { gateways = 2, mode = \"store\" }";
        store.contradiction::<()>(sentence);
        return;
    };
    if extras.sharing.as_ref().is_none_or(|sharing| sharing.mode != Mode::Store) {
        let sentence =
            "gateways do not share their quotas by a store: add limiter.shared = { gateways = 2, mode = \"store\" }";
        store.contradiction::<()>(sentence);
        return;
    }
    let also = limiter.member("also").and_then(|also| also.elements()).unwrap_or_default();
    let rules = std::iter::once((limiter, first)).chain(also.iter().zip(&extras.also));
    for (rule, config) in rules {
        if let Some((key, why)) = beyond(config) {
            // A preset may have set it.
            rule.member(key).as_ref().unwrap_or(rule).contradiction::<()>(why);
        }
    }
}

/// The key for which a store cannot keep a quota, and why; `None`: it can.
fn beyond(config: &Config) -> Option<(&'static str, String)> {
    let name = name_of(config.algorithm);
    match config.algorithm {
        Algorithm::TokenBucket | Algorithm::Gcra => {}
        Algorithm::FixedWindow if config.burst.is_none() => {}
        Algorithm::FixedWindow => {
            let why = "live.quota_store keeps nothing of a fixed window for the next: token_bucket has a burst";
            return Some(("burst", why.to_string()));
        }
        Algorithm::SlidingWindow if config.compare == Compare::AfterAdding => {}
        Algorithm::SlidingWindow => {
            let why = "live.quota_store compares sliding windows after adding only: set compare = \"after_adding\"";
            return Some(("compare", why.to_string()));
        }
        _ => {
            let counts = "fixed_window, sliding_window, token_bucket and gcra";
            return Some(("algorithm", format!("live.quota_store does not count by {name:?}, only by {counts}")));
        }
    }
    let window = config.window;
    if !window.0.is_multiple_of(1000) {
        return Some(("window", format!("live.quota_store counts in whole microseconds, and \"{window}\" is none")));
    }
    let most = u128::from(config.limit.max(config.burst.unwrap_or(0)));
    (most * u128::from(window.0 / 1000) >= WHOLE).then(|| {
        let why = "live.quota_store counts exactly while limit or burst times window [µs] is below 2^53";
        ("window", format!("{why}, and {most} times \"{window}\" is not"))
    })
}
