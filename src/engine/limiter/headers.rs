//! What a client is told of its quota, as values: the standard headers' texts, and how long to wait.
//!
//! ```text
//! Retry-After       whole seconds, at least 1, never less than the real wait         (RFC 9110 §10.2.3)
//! X-RateLimit-*     limit, remaining, seconds until the quota is full                 (the de-facto family)
//! RateLimit-Policy  "name";q=quota;w=window seconds                                   (draft-ietf-httpapi-ratelimit-headers)
//! RateLimit         "name";r=remaining;t=seconds
//! ```
//!
//! A gateway in front of another limiter only ever makes values stricter.

use super::Verdict;
use crate::units::Span;

/// Whole seconds not less than `wait`.
fn seconds_up(wait: Span) -> u64 {
    wait.0.div_ceil(1_000_000_000)
}

/// `Retry-After` \[s\] for a wait: rounded up, at least 1, so that no client comes back too early.
pub fn retry_after_seconds(wait: Span) -> u64 {
    seconds_up(wait).max(1)
}

/// The values of one answer's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// `X-RateLimit-Limit`.
    pub limit: u32,
    /// `X-RateLimit-Remaining`.
    pub remaining: u32,
    /// `X-RateLimit-Reset` \[s from now\].
    pub reset: u64,
    /// `Retry-After` \[s\]; `None` on requests that were let in, and on those that never will be.
    pub retry_after: Option<u64>,
    /// `RateLimit-Policy`.
    pub policy: String,
    /// `RateLimit`.
    pub rate_limit: String,
}

impl Headers {
    /// The headers for a verdict of the rule called `name` over `window`. `upstream` is what a limiter behind this one left.
    pub fn new(verdict: &Verdict, name: &str, window: Span, upstream: Option<u32>) -> Headers {
        let remaining = if verdict.allowed { verdict.remaining } else { 0 };
        let remaining = upstream.map_or(remaining, |upstream| upstream.min(remaining));
        let retry_after = if verdict.allowed { None } else { verdict.retry_after.map(retry_after_seconds) };
        let reset = seconds_up(verdict.reset_after);
        // A client that obeys `t` must not come back before `Retry-After`.
        let t = reset.max(retry_after.unwrap_or(0));
        Headers {
            limit: verdict.limit,
            remaining,
            reset,
            retry_after,
            policy: format!("\"{name}\";q={};w={}", verdict.limit, seconds_up(window)),
            rate_limit: format!("\"{name}\";r={remaining};t={t}"),
        }
    }
}

/// `RateLimit-Policy` and `RateLimit` of a limit on requests at the same time.
pub fn concurrent(name: &str, slots: u32, used: u32) -> (String, String) {
    let left = slots.saturating_sub(used);
    (format!("\"{name}\";q={slots};qu=\"concurrent-requests\""), format!("\"{name}\";r={left}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(limit: u32, remaining: u32, reset_ms: u64) -> Verdict {
        let reset_after = Span::from_millis(reset_ms);
        Verdict { allowed: true, limit, remaining, retry_after: Some(Span::ZERO), reset_after }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let waits = [1, 1000, 1001, 59_200].map(|ms| retry_after_seconds(Span::from_millis(ms)));
        assert_eq!(waits, [1, 1, 2, 60], "RL-50");
        assert_eq!(retry_after_seconds(Span::ZERO), 1);
    }

    #[test]
    fn headers_say_what_is_left() {
        let headers = Headers::new(&allowed(1000, 998, 120), "default", Span::from_secs(60), None);
        assert_eq!(headers.policy, "\"default\";q=1000;w=60", "RL-51");
        assert_eq!(headers.rate_limit, "\"default\";r=998;t=1", "RL-51");
        let (policy, left) = concurrent("slots", 8, 3);
        assert_eq!(policy, "\"slots\";q=8;qu=\"concurrent-requests\"", "RL-53");
        assert_eq!(left, "\"slots\";r=5", "RL-53");
        let headers = Headers::new(&allowed(100, 50, 0), "default", Span::from_secs(60), Some(3));
        assert_eq!(headers.remaining, 3, "RL-54");
    }

    #[test]
    fn a_refused_client_is_told_when_to_come_back() {
        let refused = Verdict {
            allowed: false,
            limit: 50,
            remaining: 0,
            retry_after: Some(Span::from_millis(715)),
            reset_after: Span::from_millis(100),
        };
        let headers = Headers::new(&refused, "default", Span::from_secs(60), None);
        assert_eq!((headers.retry_after, headers.remaining), (Some(1), 0), "RL-55");
        assert_eq!(headers.rate_limit, "\"default\";r=0;t=1", "t is not before Retry-After");
        let never = Verdict { retry_after: None, ..refused };
        assert_eq!(Headers::new(&never, "default", Span::from_secs(60), None).retry_after, None);
    }
}
