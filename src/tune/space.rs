//! What may be varied: a few settings with their ranges, each a map from [0, 1) to values that a scenario takes.
//!
//! | written | means | value at u |
//! |---|---|---|
//! | `0.4..0.9` | continuous | lo + u·(hi − lo) |
//! | `0.1..10 log` | continuous on a logarithmic scale | lo·(hi/lo)ᵘ |
//! | `2..20` | every integer, both ends | lo + ⌊u·(hi − lo + 1)⌋ |
//! | `0s..600s step 15s` | a grid | lo + step·⌊u·(k + 1)⌋, k = (hi − lo)/step |
//! | `{a, b, c}` | choices without an order | number ⌊u·n⌋ |
//! | `30s..10m log` | durations, to the millisecond | as numbers |
//! | `= up.threshold - 20` | follows others | no dimension of its own |

use std::fmt;

use super::expression::{self, Constraint, Expression, Unknown, number};
use super::sobol::MAX_DIMENSIONS;
use crate::units::Span;

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any number, to six digits.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// A duration, to the millisecond.
    Duration(Span),
    /// One of the choices, as it was written.
    Choice(String),
}

impl Value {
    /// As formulas read it.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(x) => Some(*x),
            Value::Integer(n) => Some(*n as f64),
            Value::Duration(span) => Some(span.as_secs_f64()),
            Value::Choice(text) => number(text),
        }
    }
}

impl fmt::Display for Value {
    /// As TOML writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(x) => write!(f, "{x}"),
            Value::Integer(n) => write!(f, "{n}"),
            Value::Duration(span) => write!(f, "\"{}\"", exact(*span)),
            Value::Choice(text) => f.write_str(text),
        }
    }
}

/// A duration in the largest unit that says it exactly.
fn exact(span: Span) -> String {
    let millis = span.0 / 1_000_000;
    let unit =
        [(3_600_000, "h"), (60_000, "m"), (1000, "s")].into_iter().find(|(length, _)| millis.is_multiple_of(*length));
    match unit {
        Some(_) if millis == 0 => "0s".to_string(),
        Some((length, name)) => format!("{}{name}", millis / length),
        None => format!("{millis}ms"),
    }
}

/// Which values a setting may have.
#[derive(Clone, Debug, PartialEq)]
pub enum Range {
    /// Any number between two.
    Numbers {
        /// Least.
        low: f64,
        /// Greatest.
        high: f64,
        /// Whether equal shares are equal factors; then `low` > 0.
        log: bool,
    },
    /// Any duration between two.
    Durations {
        /// Shortest.
        low: Span,
        /// Longest.
        high: Span,
        /// Whether equal shares are equal factors; then `low` > 0.
        log: bool,
    },
    /// Every whole number between two.
    Integers {
        /// Least.
        low: i64,
        /// Greatest.
        high: i64,
    },
    /// Values in equal steps, in order.
    Grid(Vec<Value>),
    /// Values without an order.
    Choices(Vec<Value>),
    /// What others make of it.
    Tied(Expression),
}

/// A setting with its range.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Path of its key in the scenario.
    pub path: String,
    /// Its values.
    pub range: Range,
    /// The range as it was written.
    pub text: String,
}

/// A `--vary` that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: found {found:?}, expected {expected}")]
pub struct Error {
    /// The path; empty if there is none.
    path: String,
    found: String,
    expected: String,
}

const FORMS: &str = "40..90, 0.4..0.9, 0.1..10 log, 30s..10m, 0s..600s step 15s, {a, b, c}, or '= other.key - 20' behind the equals sign";

impl std::str::FromStr for Dimension {
    type Err = Error;

    fn from_str(text: &str) -> Result<Dimension, Error> {
        let bad = |path: &str, found: &str, expected: &str| Error {
            path: path.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        };
        let Some((path, range)) = text.split_once('=') else {
            return Err(bad("--vary", text, "PATH=RANGE, such as autoscaler.policy.target=40..90"));
        };
        let (path, range) = (path.trim(), range.trim());
        if path.is_empty() {
            return Err(bad("--vary", text, "PATH=RANGE, such as autoscaler.policy.target=40..90"));
        }
        let error = |expected: &str| bad(path, range, expected);
        let read = if let Some(formula) = range.strip_prefix('=') {
            Range::Tied(
                Expression::parse(formula)
                    .map_err(|e: expression::Error| bad(path, range, &format!("a formula: {e}")))?,
            )
        } else if let Some(list) = range.strip_prefix('{') {
            let list = list.strip_suffix('}').ok_or_else(|| error("a closing brace after the choices"))?;
            let choices: Vec<Value> =
                split_list(list).into_iter().map(|each| Value::Choice(each.to_string())).collect();
            let distinct = (1..choices.len()).all(|i| !choices[..i].contains(&choices[i]));
            if choices.len() < 2 || !distinct {
                return Err(error("two different choices or more"));
            }
            Range::Choices(choices)
        } else {
            interval(range).map_err(|expected| error(&expected))?
        };
        Ok(Dimension { path: path.to_string(), range: read, text: range.to_string() })
    }
}

/// The parts of a list, which may hold brackets and quotes.
fn split_list(list: &str) -> Vec<&str> {
    let (mut depth, mut quotes, mut start, mut parts) = (0, false, 0, Vec::new());
    for (i, c) in list.char_indices() {
        match c {
            '"' => quotes = !quotes,
            '[' | '{' if !quotes => depth += 1,
            ']' | '}' if !quotes => depth -= 1,
            ',' if !quotes && depth == 0 => {
                parts.push(list[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(list[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn interval(text: &str) -> Result<Range, String> {
    let (low, rest) = text.split_once("..").ok_or(FORMS)?;
    let mut words = rest.split_whitespace();
    let high = words.next().ok_or(FORMS)?;
    let (mut log, mut step) = (false, None);
    match (words.next(), words.next(), words.next()) {
        (None, ..) => {}
        (Some("log"), None, _) => log = true,
        (Some("step"), Some(width), None) => step = Some(width),
        _ => return Err(FORMS.to_string()),
    }
    let (low, high) = (low.trim(), high.trim());
    let order = || "the smaller end first".to_string();
    let above_zero = || "a lower end above 0 on a logarithmic scale".to_string();
    if let (Ok(low), Ok(high)) = (low.parse::<Span>(), high.parse::<Span>()) {
        if low >= high {
            return Err(order());
        }
        return match step {
            Some(step) => {
                let step: Span =
                    step.parse().ok().filter(|step: &Span| !step.is_zero()).ok_or("a step such as 15s")?;
                let n = (high.0 - low.0) / step.0;
                grid(n, |k| Value::Duration(Span(low.0 + k * step.0)))
            }
            None if log && low.is_zero() => Err(above_zero()),
            None => Ok(Range::Durations { low, high, log }),
        };
    }
    let finite = |text: &str| text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or(FORMS.to_string());
    let (a, b) = (finite(low)?, finite(high)?);
    if a >= b {
        return Err(order());
    }
    let whole = (low.parse::<i64>(), high.parse::<i64>());
    match (step, whole) {
        (Some(step), whole) => {
            let step_number = finite(step).ok().filter(|x| *x > 0.0).ok_or("a step above 0")?;
            let n = ((b - a) / step_number + 1e-9).floor() as u64;
            match (whole, step.parse::<i64>()) {
                ((Ok(a), Ok(_)), Ok(step)) => grid(n, |k| Value::Integer(a + k as i64 * step)),
                _ => grid(n, |k| Value::Number(six_digits(a + k as f64 * step_number))),
            }
        }
        (None, (Ok(low), Ok(high))) if !log => Ok(Range::Integers { low, high }),
        _ if log && a <= 0.0 => Err(above_zero()),
        _ => Ok(Range::Numbers { low: a, high: b, log }),
    }
}

fn grid(n: u64, value: impl Fn(u64) -> Value) -> Result<Range, String> {
    match n {
        0 => Err("a step that fits between the ends".to_string()),
        n if n >= 10_000 => Err("a step that leaves at most 10,000 values".to_string()),
        n => Ok(Range::Grid((0..=n).map(value).collect())),
    }
}

/// Rounded to six significant digits: no operator reads more, and what is printed is what was simulated.
fn six_digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().expect("a number that was just written")
}

/// An end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where values are least.
    Low,
    /// Where they are greatest.
    High,
}

/// How far beyond its end a range without steps goes on, as a share of its width.
const BEYOND: f64 = 0.05;

impl Range {
    /// The next value beyond an end; `None` where there is none, for below zero no duration lies, and choices have no order.
    pub fn beyond(&self, end: End) -> Option<Value> {
        let sign = if end == End::Low { -1.0 } else { 1.0 };
        let off = |low: f64, high: f64| {
            let from = if end == End::Low { low } else { high };
            from + sign * BEYOND * (high - low)
        };
        let span = |nanos: f64| (nanos >= 0.0).then_some(Value::Duration(Span(nanos as u64)));
        match self {
            Range::Numbers { low, high, .. } => Some(Value::Number(six_digits(off(*low, *high)))),
            Range::Durations { low, high, .. } => {
                // To the millisecond, as all durations here are.
                span(off(low.as_millis_f64(), high.as_millis_f64()).round() * 1e6)
            }
            Range::Integers { low, high } => {
                Some(Value::Integer(if end == End::Low { low.checked_sub(1)? } else { high.checked_add(1)? }))
            }
            Range::Grid(values) => {
                let (last, before) = match end {
                    End::Low => (values.first()?, values.get(1)?),
                    End::High => (values.last()?, values.get(values.len().checked_sub(2)?)?),
                };
                match (last, before) {
                    (Value::Number(a), Value::Number(b)) => Some(Value::Number(six_digits(a + (a - b)))),
                    (Value::Integer(a), Value::Integer(b)) => Some(Value::Integer(a + (a - b))),
                    (Value::Duration(a), Value::Duration(b)) => span(2.0 * a.0 as f64 - b.0 as f64),
                    _ => None,
                }
            }
            Range::Choices(_) | Range::Tied(_) => None,
        }
    }

    /// The value at `u` in [0, 1); `None` for a setting that follows others.
    pub fn value(&self, u: f64) -> Option<Value> {
        let between = |low: f64, high: f64, log: bool| {
            if log { low * (high / low).powf(u) } else { low + u * (high - low) }
        };
        let place = |n: usize| ((u * n as f64) as usize).min(n - 1);
        Some(match self {
            Range::Numbers { low, high, log } => Value::Number(six_digits(between(*low, *high, *log))),
            Range::Durations { low, high, log } => {
                let millis = between(low.as_millis_f64(), high.as_millis_f64(), *log).round();
                Value::Duration(Span::from_millis(millis as u64))
            }
            Range::Integers { low, high } => {
                let n = (high - low) as f64 + 1.0;
                Value::Integer(low.saturating_add((u * n) as i64).min(*high))
            }
            Range::Grid(values) | Range::Choices(values) => values[place(values.len())].clone(),
            Range::Tied(_) => return None,
        })
    }

    /// Where in [0, 1) a value lies, in the middle of those that map to it; `None` if it is outside.
    pub fn place(&self, value: &str) -> Option<f64> {
        let x = number(value);
        let between = |low: f64, high: f64, log: bool| {
            let u = x.map(|x| if log { (x / low).ln() / (high / low).ln() } else { (x - low) / (high - low) })?;
            (0.0..=1.0).contains(&u).then(|| u.min(BELOW_ONE))
        };
        let of_list = |values: &[Value]| {
            let same = |each: &Value| match (each.number(), x) {
                (Some(a), Some(b)) => a == b,
                _ => each.to_string().trim_matches('"') == value.trim_matches('"'),
            };
            values.iter().position(same).map(|i| (i as f64 + 0.5) / values.len() as f64)
        };
        match self {
            Range::Numbers { low, high, log } => between(*low, *high, *log),
            Range::Durations { low, high, log } => between(low.as_secs_f64(), high.as_secs_f64(), *log),
            Range::Integers { low, high } => {
                let n = (high - low) as f64 + 1.0;
                x.filter(|x| *x >= *low as f64 && *x <= *high as f64).map(|x| (x - *low as f64 + 0.5) / n)
            }
            Range::Grid(values) | Range::Choices(values) => of_list(values),
            Range::Tied(_) => None,
        }
    }

    /// How many values there are; `None`: as many as one likes.
    pub fn size(&self) -> Option<u64> {
        match self {
            Range::Integers { low, high } => Some((high - low) as u64 + 1),
            Range::Grid(values) | Range::Choices(values) => Some(values.len() as u64),
            Range::Numbers { .. } | Range::Durations { .. } | Range::Tied(_) => None,
        }
    }
}

/// The largest number below 1 that the maps tell from it.
pub const BELOW_ONE: f64 = 1.0 - 1.0 / (1u64 << 40) as f64;

/// Settings, and what has to hold between them.
#[derive(Clone, Debug, Default)]
pub struct Space {
    /// The settings that have a dimension of their own.
    pub free: Vec<Dimension>,
    /// Those that follow others, in the order of evaluation.
    pub tied: Vec<Dimension>,
    /// Conditions.
    pub constraints: Vec<Constraint>,
    /// Values of the other keys that formulas name, by their names there.
    pub present: Vec<(String, f64)>,
}

/// Why there is no space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Nothing to vary.
    #[error("nothing is varied, expected at least one --vary PATH=RANGE that follows no other setting")]
    Empty,
    /// Too much to vary.
    #[error(
        "{0} settings are varied, expected at most {MAX_DIMENSIONS}: keep those that matter, and tie the others to them"
    )]
    TooMany(usize),
    /// One setting twice.
    #[error("{0}: varied twice")]
    Twice(String),
}

impl Space {
    /// Of these settings and conditions; `present` finds the scenario's own value of a key that formulas name.
    pub fn new(
        dimensions: Vec<Dimension>,
        constraints: Vec<Constraint>,
        present: impl Fn(&str) -> Option<f64>,
    ) -> Result<Space, SpaceError> {
        if let Some(i) = (1..dimensions.len()).find(|&i| dimensions[..i].iter().any(|d| d.path == dimensions[i].path))
        {
            return Err(SpaceError::Twice(dimensions[i].path.clone()));
        }
        let (tied, free): (Vec<_>, Vec<_>) = dimensions.into_iter().partition(|d| matches!(d.range, Range::Tied(_)));
        match free.len() {
            0 => return Err(SpaceError::Empty),
            n if n > MAX_DIMENSIONS => return Err(SpaceError::TooMany(n)),
            _ => {}
        }
        let mut space = Space { free, tied, constraints, present: Vec::new() };
        for name in space.names() {
            if space.dimension(&name).is_none()
                && let Some(x) = present(&name)
            {
                space.present.push((name, x));
            }
        }
        Ok(space)
    }

    /// The names in formulas and conditions.
    fn names(&self) -> Vec<String> {
        let tied = self.tied.iter().filter_map(|each| if let Range::Tied(e) = &each.range { Some(e) } else { None });
        let formulas = tied.chain(self.constraints.iter().flat_map(Constraint::sides));
        let mut names: Vec<String> = formulas.flat_map(Expression::names).map(String::from).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The setting that a formula names: by its path, or by the end of one path only.
    fn dimension(&self, name: &str) -> Option<&str> {
        let all = || self.free.iter().chain(&self.tied).map(|d| d.path.as_str());
        if let Some(path) = all().find(|path| *path == name) {
            return Some(path);
        }
        let mut ends = all().filter(|path| path.strip_suffix(name).is_some_and(|before| before.ends_with('.')));
        match (ends.next(), ends.next()) {
            (Some(path), None) => Some(path),
            _ => None,
        }
    }

    /// The settings at a point of the cube, those that follow others last; `None` if a condition does not hold there.
    pub fn settings(&self, point: &[f64]) -> Result<Option<Vec<(String, Value)>>, Unknown> {
        let mut settings: Vec<(String, Value)> = self
            .free
            .iter()
            .zip(point)
            .map(|(d, &u)| (d.path.clone(), d.range.value(u).expect("free settings have values")))
            .collect();
        for each in &self.tied {
            let Range::Tied(expression) = &each.range else { continue };
            let x = expression.value(&|name| self.look_up(&settings, name))?;
            settings.push((each.path.clone(), self.like(expression, x)));
        }
        for constraint in &self.constraints {
            if !constraint.holds(&|name| self.look_up(&settings, name))? {
                return Ok(None);
            }
        }
        Ok(Some(settings))
    }

    fn look_up(&self, settings: &[(String, Value)], name: &str) -> Option<f64> {
        let path = self.dimension(name);
        let varied = path.and_then(|path| settings.iter().find(|(each, _)| each == path));
        match varied {
            Some((_, value)) => value.number(),
            None => self.present.iter().find(|(each, _)| each == name).map(|(_, x)| *x),
        }
    }

    /// A setting that follows a duration is one, one that follows whole numbers is whole if it can be.
    fn like(&self, expression: &Expression, x: f64) -> Value {
        let is_duration = expression.names().into_iter().filter_map(|name| self.dimension(name)).any(|path| {
            self.free.iter().find(|d| d.path == path).is_some_and(|d| match &d.range {
                Range::Durations { .. } => true,
                Range::Grid(values) => matches!(values[0], Value::Duration(_)),
                _ => false,
            })
        });
        match is_duration {
            true => Value::Duration(Span::from_millis((x.max(0.0) * 1e3).round() as u64)),
            false if x == x.trunc() && x.abs() < 1e15 => Value::Integer(x as i64),
            false => Value::Number(six_digits(x)),
        }
    }
}

/// The overrides that put settings into a scenario.
pub fn overrides(settings: &[(String, Value)]) -> Vec<String> {
    settings.iter().map(|(path, value)| format!("{path}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        format!("key={text}").parse::<Dimension>().unwrap().range
    }

    fn shown(text: &str, u: f64) -> String {
        range(text).value(u).unwrap().to_string()
    }

    #[test]
    fn every_form_of_range_maps_as_specified() {
        // T-04 to T-07.
        assert_eq!(shown("0.4..0.9", 0.3), "0.55");
        assert_eq!(shown("0.1..10 log", 0.3), "0.398107");
        assert_eq!((shown("2..20", 0.3), shown("2..20", 0.999999)), ("7".into(), "20".into()));
        assert_eq!(shown("0s..600s step 15s", 0.3), "\"3m\"");
        assert_eq!(shown("{a, b, c, d}", 0.74), "c");
        assert_eq!(shown("30s..10m log", 0.5), "\"134164ms\"");
        assert_eq!(shown("0..1 step 0.25", 0.99), "1");
        assert_eq!(shown("{\"a, b\", [1, 2]}", 0.9), "[1, 2]");
    }

    #[test]
    fn a_range_goes_on_beyond_its_ends_unless_nothing_is_there() {
        let beyond = |text: &str| {
            let shown = |end| range(text).beyond(end).map_or("nothing".to_string(), |value| value.to_string());
            (shown(End::Low), shown(End::High))
        };
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(beyond("40..90"), pair("39", "91"));
        assert_eq!(beyond("0.4..0.9"), pair("0.375", "0.925"));
        assert_eq!(beyond("15s..60s step 15s"), pair("\"0s\"", "\"75s\""));
        assert_eq!(beyond("0s..60s step 15s"), pair("nothing", "\"75s\""));
        assert_eq!(beyond("10s..1m"), pair("\"7500ms\"", "\"62500ms\""));
        assert_eq!(beyond("{a, b}"), pair("nothing", "nothing"));
    }

    #[test]
    fn values_map_back_to_where_they_come_from() {
        for text in
            ["0.4..0.9", "0.1..10 log", "2..20", "0s..600s step 15s", "{a, b, c, d}", "30s..10m log", "10s..1m"]
        {
            let range = range(text);
            for i in 0..50 {
                let value = range.value(f64::from(i) / 50.0).unwrap();
                let u = range.place(&value.to_string()).unwrap_or_else(|| panic!("{text}: {value}"));
                let again = range.value(u).unwrap();
                let close = match (value.number(), again.number()) {
                    (Some(a), Some(b)) => (a - b).abs() <= 2e-5 * a.abs().max(b.abs()) + 1e-3,
                    _ => value == again,
                };
                assert!(close, "{text}: {value} came back as {again}");
            }
        }
        assert_eq!(range("2..20").place("21"), None);
    }

    #[test]
    fn what_is_no_range_is_told() {
        let error = |text: &str| text.parse::<Dimension>().unwrap_err().to_string();
        assert!(error("autoscaler.min").contains("expected PATH=RANGE"));
        assert_eq!(error("a=9..3"), "a: found \"9..3\", expected the smaller end first");
        assert_eq!(error("a=0..3 log"), "a: found \"0..3 log\", expected a lower end above 0 on a logarithmic scale");
        assert_eq!(error("a={x}"), "a: found \"{x}\", expected two different choices or more");
        assert!(error("a=5").contains("40..90"), "{}", error("a=5"));
        assert_eq!(
            error("a=0s..10s step 20s"),
            "a: found \"0s..10s step 20s\", expected a step that fits between the ends"
        );
    }

    fn space(vary: &[&str], require: &[&str]) -> Space {
        let dimensions = vary.iter().map(|text| text.parse().unwrap()).collect();
        let constraints = require.iter().map(|text| Constraint::parse(text).unwrap()).collect();
        Space::new(dimensions, constraints, |name| (name == "autoscaler.max").then_some(10.0)).unwrap()
    }

    #[test]
    fn tied_settings_follow_and_conditions_refuse() {
        let space = space(
            &["rule.up.threshold=40..90", "rule.down.threshold== up.threshold - 20", "autoscaler.min=1..20"],
            &["autoscaler.min <= autoscaler.max"],
        );
        let settings = space.settings(&[0.5, 0.2]).unwrap().unwrap();
        assert_eq!(overrides(&settings), ["rule.up.threshold=65", "autoscaler.min=5", "rule.down.threshold=45"]);
        assert_eq!(space.settings(&[0.5, 0.9]).unwrap(), None);
    }
}
