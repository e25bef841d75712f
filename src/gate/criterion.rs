//! What is asked of runs: `p99<500ms`, `availability>=99.9%`, `scale_up_time<90s`, `cost<12`; and against a baseline, `p99=5%`.

use std::fmt;
use std::str::FromStr;

use crate::report::verdict::{millis, percent};
use crate::scenario::slo::Target;
use crate::units::Span;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// A quantile of latency \[ms\].
    Latency {
        /// In 0..1.
        q: f64,
    },
    /// Mean latency \[ms\].
    Mean,
    /// Share of requests that succeeded.
    Availability,
    /// Share that did not.
    ErrorRate,
    /// Requests that ended, per second.
    Throughput,
    /// Cost of the fleet.
    Cost,
    /// Instance-hours billed.
    InstanceHours,
    /// The slowest scale-up, from its decision until its instances took traffic \[ms\].
    ScaleUpTime,
    /// Scaling actions undone within a quarter of an hour.
    Flaps,
    /// Cost beyond the cheapest fleet, knowing the future.
    Regret,
    /// What only whoever made the run knows of it, such as a phase of a scale-up.
    Measured(Measure),
}

/// A figure with a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its name: lower case, words joined by underscores.
    pub name: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// Whether more of it is better.
    pub more_is_better: bool,
}

/// What a measure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A time \[ms\].
    Millis,
    /// A share of a whole \[0..1\].
    Share,
    /// Events a second \[1/s\].
    Rate,
    /// A number of things.
    Count,
}

impl Measure {
    /// A value of it as people write it.
    pub fn show(self, x: f64) -> String {
        match self.unit {
            Unit::Millis if x == 0.0 => "0 s".to_string(),
            Unit::Millis => millis(x),
            Unit::Share => percent(x),
            Unit::Rate => format!("{x:.1}/s"),
            Unit::Count if x.fract() == 0.0 => format!("{x:.0}"),
            Unit::Count => format!("{x:.1}"),
        }
    }
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// It is at most this.
    AtMost(f64),
    /// It is at least this.
    AtLeast(f64),
    /// It is worse than the baseline's by at most this, relative.
    Regression(f64),
}

/// One thing that is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// Of what.
    pub quantity: Quantity,
    /// What has to hold.
    pub bound: Bound,
    /// Where it stands: file and line, if it came from one.
    pub place: Option<(String, usize)>,
}

/// Why a text is no criterion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {problem}")]
pub struct CriterionError {
    /// What was given.
    pub text: String,
    /// What is wrong, and what would do.
    pub problem: String,
}

const NAMES: &str = "p50, p90, p95, p99, p99.9 (any quantile), mean, availability, error_rate, throughput, cost, \
                     instance_hours, scale_up_time, flaps or regret";

impl Quantity {
    /// Whether it is compared by ratio, on the scale of logarithms.
    pub fn is_ratio(self) -> bool {
        if let Quantity::Measured(measure) = self {
            return matches!(measure.unit, Unit::Millis | Unit::Rate);
        }
        !matches!(self, Quantity::Availability | Quantity::ErrorRate | Quantity::Flaps | Quantity::Regret)
    }

    /// Whether more of it is better.
    pub fn more_is_better(self) -> bool {
        match self {
            Quantity::Measured(measure) => measure.more_is_better,
            other => matches!(other, Quantity::Availability | Quantity::Throughput),
        }
    }

    /// Whether it is a time \[ms\].
    fn is_time(self) -> bool {
        self.is_measured_in(Unit::Millis)
            || matches!(self, Quantity::Latency { .. } | Quantity::Mean | Quantity::ScaleUpTime)
    }

    fn is_share(self) -> bool {
        self.is_measured_in(Unit::Share) || matches!(self, Quantity::Availability | Quantity::ErrorRate)
    }

    fn is_measured_in(self, unit: Unit) -> bool {
        matches!(self, Quantity::Measured(measure) if measure.unit == unit)
    }

    /// A value of it as people write it.
    pub fn show(self, x: f64) -> String {
        match self {
            Quantity::Measured(measure) => measure.show(x),
            _ if self.is_time() => millis(x),
            _ if self.is_share() => percent(x),
            Quantity::Throughput => format!("{x:.1}/s"),
            _ => format!("{x:.2}"),
        }
    }

    /// The name for machines, with its unit.
    pub fn key(self) -> String {
        match self {
            Quantity::ScaleUpTime => "scale_up_time_ms".to_string(),
            Quantity::Mean => "mean_ms".to_string(),
            Quantity::Latency { .. } => format!("{}_ms", self.to_string().replace('.', "_")),
            Quantity::Measured(Measure { name, unit: Unit::Millis, .. }) => format!("{name}_ms"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Latency { q } => {
                let shown = format!("{:.4}", q * 100.0);
                write!(f, "p{}", shown.trim_end_matches('0').trim_end_matches('.'))
            }
            Quantity::Mean => f.write_str("mean"),
            Quantity::Availability => f.write_str("availability"),
            Quantity::ErrorRate => f.write_str("error_rate"),
            Quantity::Throughput => f.write_str("throughput"),
            Quantity::Cost => f.write_str("cost"),
            Quantity::InstanceHours => f.write_str("instance_hours"),
            Quantity::ScaleUpTime => f.write_str("scale_up_time"),
            Quantity::Flaps => f.write_str("flaps"),
            Quantity::Regret => f.write_str("regret"),
            Quantity::Measured(measure) => f.write_str(measure.name),
        }
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Quantity, String> {
        Ok(match text.trim() {
            "mean" | "avg" => Quantity::Mean,
            "availability" => Quantity::Availability,
            "error_rate" | "error-rate" => Quantity::ErrorRate,
            "throughput" | "rps" => Quantity::Throughput,
            "cost" => Quantity::Cost,
            "instance_hours" => Quantity::InstanceHours,
            "scale_up_time" => Quantity::ScaleUpTime,
            "flaps" => Quantity::Flaps,
            "regret" => Quantity::Regret,
            "p999" => Quantity::Latency { q: 0.999 },
            "p9999" => Quantity::Latency { q: 0.9999 },
            "median" => Quantity::Latency { q: 0.5 },
            text => {
                let percent = text.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok());
                match percent {
                    Some(percent) if percent > 0.0 && percent < 100.0 => Quantity::Latency { q: percent / 100.0 },
                    _ => return Err(format!("found {text:?}, expected {NAMES}")),
                }
            }
        })
    }
}

impl Criterion {
    /// The criterion of a target of `[slo]`.
    pub fn of_target(target: &Target) -> Criterion {
        let ms = |span: &Span| Bound::AtMost(span.as_millis_f64());
        let (quantity, bound) = match target {
            Target::Quantile { q, at_most } => (Quantity::Latency { q: *q }, ms(at_most)),
            Target::Mean(at_most) => (Quantity::Mean, ms(at_most)),
            Target::Availability(at_least) => (Quantity::Availability, Bound::AtLeast(*at_least)),
            Target::Cost(at_most) => (Quantity::Cost, Bound::AtMost(*at_most)),
            Target::ScaleUpTime(at_most) => (Quantity::ScaleUpTime, ms(at_most)),
        };
        Criterion { quantity, bound, place: None }
    }

    /// Reads a tolerated worsening against the baseline, `p99=5%`.
    pub fn regression(text: &str) -> Result<Criterion, CriterionError> {
        let bad = |problem: String| CriterionError { text: text.to_string(), problem };
        let (name, value) = text.split_once('=').ok_or_else(|| bad("expected for example p99=5%".to_string()))?;
        let quantity: Quantity = name.parse().map_err(bad)?;
        let tolerance = ratio(value).ok_or_else(|| bad(format!("found {value:?}, expected a ratio such as 5%")))?;
        Ok(Criterion { quantity, bound: Bound::Regression(tolerance), place: None })
    }

    /// Its name in tables and test reports.
    pub fn name(&self) -> String {
        match self.bound {
            Bound::AtMost(x) => format!("{} < {}", self.quantity, self.quantity.show(x)),
            Bound::AtLeast(x) => format!("{} >= {}", self.quantity, self.quantity.show(x)),
            Bound::Regression(m) => format!("{} not worse than baseline by {}", self.quantity, short_percent(m)),
        }
    }
}

/// Percent without zeros that say nothing.
pub(crate) fn short_percent(ratio: f64) -> String {
    let shown = format!("{:.2}", ratio * 100.0);
    format!("{} %", shown.trim_end_matches('0').trim_end_matches('.'))
}

impl FromStr for Criterion {
    type Err = CriterionError;

    fn from_str(text: &str) -> Result<Criterion, CriterionError> {
        Criterion::read(text, str::parse)
    }
}

impl Criterion {
    /// Reads a target, `p99<500ms`, whose `quantity` somebody knows by its name.
    pub fn read(
        text: &str,
        quantity: impl FnOnce(&str) -> Result<Quantity, String>,
    ) -> Result<Criterion, CriterionError> {
        let bad = |problem: String| CriterionError { text: text.to_string(), problem };
        let at = text.find(['<', '>', '=']).ok_or_else(|| bad("expected for example p99<500ms".to_string()))?;
        let quantity = quantity(&text[..at]).map_err(bad)?;
        let (at_most, value) = match &text.as_bytes()[at..] {
            [b'<', b'=', ..] => (true, &text[at + 2..]),
            [b'<', ..] => (true, &text[at + 1..]),
            [b'>', b'=', ..] => (false, &text[at + 2..]),
            [b'>', ..] => (false, &text[at + 1..]),
            _ => return Err(bad("expected <, <=, > or >=".to_string())),
        };
        if at_most == quantity.more_is_better() {
            let side = if at_most { "at least (>=)" } else { "at most (<)" };
            return Err(bad(format!("{quantity} is to be {side} something")));
        }
        let number = match () {
            () if quantity.is_time() => {
                let span: Span = value
                    .trim()
                    .parse()
                    .map_err(|_| bad(format!("found {value:?}, expected a duration such as 500ms or 90s")))?;
                span.as_millis_f64()
            }
            () if quantity.is_share() => ratio(value)
                .filter(|x| *x <= 1.0)
                .ok_or_else(|| bad(format!("found {value:?}, expected a share such as 99.9% or 0.999")))?,
            () => value
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|x| x.is_finite() && *x >= 0.0)
                .ok_or_else(|| bad(format!("found {value:?}, expected a number")))?,
        };
        let bound = if at_most { Bound::AtMost(number) } else { Bound::AtLeast(number) };
        Ok(Criterion { quantity, bound, place: None })
    }
}

/// `5%` or `0.05`.
fn ratio(text: &str) -> Option<f64> {
    let text = text.trim();
    let x: f64 = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (x.is_finite() && x >= 0.0).then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_read_as_people_write_them() {
        for (text, quantity, bound) in [
            ("p99<500ms", Quantity::Latency { q: 0.99 }, Bound::AtMost(500.0)),
            ("p99.9 <= 1.5s", Quantity::Latency { q: 0.999 }, Bound::AtMost(1500.0)),
            ("availability>=99.9%", Quantity::Availability, Bound::AtLeast(0.999)),
            ("error-rate<1%", Quantity::ErrorRate, Bound::AtMost(0.01)),
            ("scale_up_time<90s", Quantity::ScaleUpTime, Bound::AtMost(90_000.0)),
            ("cost<12", Quantity::Cost, Bound::AtMost(12.0)),
            ("rps>=200", Quantity::Throughput, Bound::AtLeast(200.0)),
        ] {
            let read: Criterion = text.parse().unwrap();
            let same = match (read.bound, bound) {
                (Bound::AtMost(a), Bound::AtMost(b)) | (Bound::AtLeast(a), Bound::AtLeast(b)) => (a - b).abs() < 1e-9,
                _ => false,
            };
            assert!(same && read.quantity.to_string() == quantity.to_string(), "{text}: {read:?}");
        }
        assert_eq!(Criterion::regression("p99=5%").unwrap().name(), "p99 not worse than baseline by 5 %");
        assert_eq!("p99<500ms".parse::<Criterion>().unwrap().name(), "p99 < 500 ms");
        for (text, told) in [
            ("p99", "expected for example"),
            ("p99<500", "expected a duration"),
            ("p101<1s", "expected p50"),
            ("availability<1", "at least"),
            ("availability>=150%", "expected a share"),
            ("cost<many", "expected a number"),
            ("p99=1s", "expected <"),
        ] {
            let error = text.parse::<Criterion>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        assert!(Criterion::regression("p99=-1%").is_err());
    }
}
