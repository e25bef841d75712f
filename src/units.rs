//! The words for time: a moment of a run, and a span between two moments.
//!
//! Both are whole nanoseconds in a `u64`. `std::time::Instant` cannot be made up in a test, written to a file
//! or compared between machines; a `f64` of seconds loses nanoseconds after a few months. A `u64` of
//! nanoseconds covers 584 years.
//!
//! Text forms are those of scenario files: `"90s"`, `"250ms"`, `"1h30m"`, `"1.5h"`. A bare number is refused,
//! because nobody can know whether `300` meant seconds or milliseconds.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment, in nanoseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

/// A length of time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(pub u64);

/// The whole number nearest to `x` ≥ 0, to the even one from the middle; too large, and no number at all, as [`u64::MAX`].
///
/// A cast is ten instructions. Below 2⁵¹ (26 days of nanoseconds) this is two: next to 2⁵², the mantissa of a float is a whole number.
#[inline(always)]
pub fn whole(x: f64) -> u64 {
    const NEXT_TO: f64 = (1u64 << 52) as f64;
    const MANTISSA: u64 = (1 << 52) - 1;
    debug_assert!(x >= 0.0 || x.is_nan(), "{x} is below 0");
    if x < NEXT_TO / 2.0 { (x + NEXT_TO).to_bits() & MANTISSA } else { whole_of_large(x) }
}

#[cold]
fn whole_of_large(x: f64) -> u64 {
    if x.is_nan() { u64::MAX } else { x as u64 }
}

impl Time {
    /// The moment the run began.
    pub const ZERO: Time = Time(0);
    /// Later than every moment of any run; "never".
    pub const MAX: Time = Time(u64::MAX);

    /// The moment `seconds` \[s\] after the start, to the nearest nanosecond; negative counts as zero.
    pub fn from_secs_f64(seconds: f64) -> Time {
        Time(Span::from_secs_f64(seconds).0)
    }

    /// Seconds since the start \[s\].
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The span from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved forward, stopping at [`Time::MAX`].
    pub fn saturating_add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }

    /// This moment moved back, stopping at [`Time::ZERO`].
    pub fn saturating_sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// Longer than any run.
    pub const MAX: Span = Span(u64::MAX);

    /// `n` microseconds; too many are [`Span::MAX`], here and below.
    pub const fn from_micros(n: u64) -> Span {
        Span(n.saturating_mul(1_000))
    }

    /// `n` milliseconds.
    pub const fn from_millis(n: u64) -> Span {
        Span(n.saturating_mul(1_000_000))
    }

    /// `n` seconds.
    pub const fn from_secs(n: u64) -> Span {
        Span(n.saturating_mul(1_000_000_000))
    }

    /// `n` minutes.
    pub const fn from_mins(n: u64) -> Span {
        Span(n.saturating_mul(60_000_000_000))
    }

    /// `seconds` \[s\] to the nearest nanosecond; negative and NaN count as zero, too large as [`Span::MAX`].
    pub fn from_secs_f64(seconds: f64) -> Span {
        // `as` saturates and maps NaN to zero. Adding a half and truncating beats `round`, which is a call.
        Span((seconds * 1e9 + 0.5) as u64)
    }

    /// Seconds \[s\].
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Milliseconds \[ms\].
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Whole microseconds, truncated \[µs\].
    pub fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// Whether this is no time at all.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The span times a factor ≥ 0, to the nearest nanosecond.
    pub fn mul_f64(self, factor: f64) -> Span {
        Span((self.0 as f64 * factor + 0.5) as u64)
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0 + span.0)
    }
}

impl AddAssign<Span> for Time {
    fn add_assign(&mut self, span: Span) {
        self.0 += span.0;
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0 + other.0)
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        self.0 += other.0;
    }
}

impl Sub for Span {
    type Output = Span;
    fn sub(self, other: Span) -> Span {
        Span(self.0 - other.0)
    }
}

impl Mul<u64> for Span {
    type Output = Span;
    fn mul(self, n: u64) -> Span {
        Span(self.0 * n)
    }
}

impl Div<u64> for Span {
    type Output = Span;
    fn div(self, n: u64) -> Span {
        Span(self.0 / n)
    }
}

/// Why a text is not a span; its words are meant for the author of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Only digits: the unit is missing. Holds the text.
    #[error("a duration needs a unit: write \"{0}s\" or \"{0}ms\"")]
    NoUnit(String),
    /// A minus sign.
    #[error("a duration cannot be negative")]
    Negative,
    /// A unit that is none of ns, us, µs, ms, s, m, h, d, w.
    #[error("unknown unit {0:?}: use ns, us, ms, s, m (minutes), h, d or w")]
    UnknownUnit(String),
    /// Not of the form number-unit, repeated.
    #[error("expected a duration such as \"250ms\", \"90s\" or \"1h30m\"")]
    Malformed,
    /// More than 584 years.
    #[error("too long: a run lasts at most 584 years")]
    TooLong,
}

const UNITS: [(&str, f64); 10] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("min", 60e9),
    ("h", 3600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
];

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Span, SpanError> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err(SpanError::Negative);
        }
        if text.parse::<f64>().is_ok_and(f64::is_finite) {
            return if text == "0" { Ok(Span::ZERO) } else { Err(SpanError::NoUnit(text.to_string())) };
        }
        let mut total = 0.0;
        let mut rest = text;
        if rest.is_empty() {
            return Err(SpanError::Malformed);
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(SpanError::Malformed)?;
            let number: f64 = rest[..digits].parse().map_err(|_| SpanError::Malformed)?;
            rest = &rest[digits..];
            let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            let unit = rest[..end].trim();
            let (_, nanos) = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(|| SpanError::UnknownUnit(unit.to_string()))?;
            total += number * nanos;
            rest = &rest[end..];
        }
        if total >= u64::MAX as f64 {
            return Err(SpanError::TooLong);
        }
        Ok(Span((total + 0.5) as u64))
    }
}

impl fmt::Display for Span {
    /// At most the two largest units, so that it can be read at a glance: `53m`, `1h30m`, `250ms`, `1.5ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const S: u64 = 1_000_000_000;
        let n = self.0;
        let pair = |f: &mut fmt::Formatter<'_>, big: u64, b: &str, small: u64, s: &str| {
            let (whole, rest) = (n / big, (n % big + small / 2) / small);
            match rest {
                0 => write!(f, "{whole}{b}"),
                r if r * small >= big => write!(f, "{}{b}", whole + 1),
                r => write!(f, "{whole}{b}{r}{s}"),
            }
        };
        let decimal = |f: &mut fmt::Formatter<'_>, unit: u64, name: &str| {
            let text = format!("{:.3}", n as f64 / unit as f64);
            write!(f, "{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
        };
        match n {
            0 => write!(f, "0s"),
            n if n >= 86_400 * S => pair(f, 86_400 * S, "d", 3600 * S, "h"),
            n if n >= 3600 * S => pair(f, 3600 * S, "h", 60 * S, "m"),
            n if n >= 60 * S => pair(f, 60 * S, "m", S, "s"),
            n if n >= S => decimal(f, S, "s"),
            n if n >= 1_000_000 => decimal(f, 1_000_000, "ms"),
            n if n >= 1_000 => decimal(f, 1_000, "µs"),
            n => write!(f, "{n}ns"),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(self.0).fmt(f)
    }
}

/// A number with commas between thousands.
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                write!(f, ",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_operators_write_them() {
        for (text, span) in [
            ("250ms", Span::from_millis(250)),
            ("90s", Span::from_secs(90)),
            ("1h30m", Span::from_mins(90)),
            ("1.5h", Span::from_mins(90)),
            ("0", Span::ZERO),
            ("7d", Span::from_secs(604_800)),
            ("10us", Span::from_micros(10)),
        ] {
            assert_eq!(text.parse(), Ok(span), "{text}");
        }
    }

    #[test]
    fn a_span_that_cannot_be_meant_says_what_would_do() {
        let words = |text: &str| text.parse::<Span>().unwrap_err().to_string();
        assert_eq!(words("300"), "a duration needs a unit: write \"300s\" or \"300ms\"");
        assert_eq!(words("-5s"), "a duration cannot be negative");
        assert_eq!(words("5M"), "unknown unit \"M\": use ns, us, ms, s, m (minutes), h, d or w");
        assert_eq!(words("soon"), "expected a duration such as \"250ms\", \"90s\" or \"1h30m\"");
        assert_eq!(words("999999w"), "too long: a run lasts at most 584 years");
    }

    #[test]
    fn spans_are_shown_in_at_most_two_units() {
        for (span, text) in [
            (Span::from_secs(3180), "53m"),
            (Span::from_mins(90), "1h30m"),
            (Span::from_millis(1500), "1.5s"),
            (Span(1_500_000), "1.5ms"),
            (Span::from_secs(7199), "2h"),
            (Span::ZERO, "0s"),
        ] {
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 999, 1000, 1_234_567].map(|n| Grouped(n).to_string());
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
