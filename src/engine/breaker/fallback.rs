//! What a client gets whose call was refused.

use std::fmt;

use crate::units::Span;

/// The answer to a refused call. It tells nothing about thresholds or instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// HTTP status (default 503).
    pub status: u16,
    /// Value of `Content-Type` (default `application/json`).
    pub content_type: String,
    /// The body, at most [`Fallback::MAX_BODY`] bytes; `{retry_after}` stands for the seconds of `Retry-After`.
    pub body: String,
}

impl Default for Fallback {
    fn default() -> Fallback {
        Fallback {
            status: 503,
            content_type: "application/json".to_string(),
            body: r#"{"error":"Service Temporarily Unavailable"}"#.to_string(),
        }
    }
}

impl Fallback {
    /// Longest body \[bytes\].
    pub const MAX_BODY: usize = 64 * 1024;
    const PLACEHOLDER: &str = "{retry_after}";

    /// Whether every client gets the same body, so that it can be sent as it stands.
    pub fn is_constant(&self) -> bool {
        !self.body.contains(Fallback::PLACEHOLDER)
    }

    /// Writes the body with `retry_after` \[s\] filled in, into the caller's buffer and without one of its own.
    pub fn write_body(&self, out: &mut impl fmt::Write, retry_after: u64) -> fmt::Result {
        for (i, part) in self.body.split(Fallback::PLACEHOLDER).enumerate() {
            if i > 0 {
                write!(out, "{retry_after}")?;
            }
            out.write_str(part)?;
        }
        Ok(())
    }
}

/// The value of `Retry-After` \[s\]: `remaining` rounded up, at least 1; if it is not known, `open_for`.
pub fn retry_after_seconds(remaining: Option<Span>, open_for: Span) -> u64 {
    remaining.unwrap_or(open_for).0.div_ceil(1_000_000_000).max(1)
}
