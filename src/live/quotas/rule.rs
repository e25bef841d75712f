//! A rule as the store has it: what its script counts by, and whose quota is which key.

use crate::engine::limiter::{Algorithm, Config, Key, WindowStart};
use crate::engine::request::Request;

/// Who asks, by a name that every gateway has for the same client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A network address, as [`of_address`](crate::engine::limiter::keys::of_address) has it.
    Address(u128),
    /// A client of a run's.
    OfRun(u32),
}

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    key: Key,
    /// Begins the names of its keys.
    stem: String,
    /// Kind, limit, window \[µs\] and burst, as the script takes them.
    words: [String; 4],
    capacity: u32,
}

impl Rule {
    /// The rule at `place`, 0 the first, of keys that begin with `prefix`.
    pub fn new(place: usize, config: &Config, prefix: &str) -> Rule {
        let limit = config.limit.max(1);
        let (kind, capacity) = match config.algorithm {
            Algorithm::TokenBucket | Algorithm::Gcra => ("gcra", config.burst.unwrap_or(limit).max(1)),
            Algorithm::SlidingWindow => ("sliding", limit),
            // Whoever reads a scenario lets nothing else come this far.
            _ if config.window_start == WindowStart::FirstRequest => ("first", limit),
            _ => ("fixed", limit),
        };
        let micros = (config.window.0 / 1000).max(1);
        let words = [kind.to_string(), limit.to_string(), micros.to_string(), capacity.to_string()];
        Rule { key: config.key, stem: format!("{prefix}:{place}:{}", words.join("/")), words, capacity }
    }

    /// The most that is let in at once.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// What the script is told of it.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The key of the quota that a request is counted against.
    pub fn key(&self, request: &Request, whose: Whose) -> String {
        let stem = &self.stem;
        match (self.key, whose) {
            (Key::Client, Whose::Address(address)) => format!("{stem}:client/{address:x}"),
            (Key::Client, Whose::OfRun(number)) => format!("{stem}:run/{number}"),
            (Key::Endpoint, _) => format!("{stem}:endpoint/{}", request.endpoint),
            (Key::Region, _) => format!("{stem}:region/{}", request.region),
            (Key::Global, _) => format!("{stem}:global"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    #[test]
    fn a_key_says_of_which_rule_it_is_and_whose() {
        let config =
            Config { burst: Some(20), ..Config::new(Algorithm::TokenBucket, Key::Client, 100, Span::from_secs(60)) };
        let request = Request { index: 9, attempt: 1, client: 3, endpoint: 2, region: 1, avoid: None };
        let rule = Rule::new(1, &config, "shop");
        assert_eq!(rule.key(&request, Whose::Address(0xabc)), "shop:1:gcra/100/60000000/20:client/abc");
        assert_eq!(rule.key(&request, Whose::OfRun(3)), "shop:1:gcra/100/60000000/20:run/3");
        let all = Rule::new(0, &Config { key: Key::Global, burst: None, ..config }, "shop");
        assert_eq!(all.key(&request, Whose::OfRun(3)), "shop:0:gcra/100/60000000/100:global");
    }
}
