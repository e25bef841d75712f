//! Distributions of durations: a plain duration, or a table with `dist`.

use std::sync::Arc;

use crate::distribution::{Distribution, Empirical};
use crate::scenario::document::quoted;
use crate::scenario::reader::{Field, Section};
use crate::units::Span;

#[derive(Clone, Copy)]
enum Kind {
    Constant,
    Exponential,
    LogNormal,
    Gamma,
    Weibull,
    Pareto,
    Uniform,
    Mixture,
    Empirical,
}

const KINDS: [(&str, Kind); 9] = [
    ("constant", Kind::Constant),
    ("exponential", Kind::Exponential),
    ("lognormal", Kind::LogNormal),
    ("gamma", Kind::Gamma),
    ("weibull", Kind::Weibull),
    ("pareto", Kind::Pareto),
    ("uniform", Kind::Uniform),
    ("mixture", Kind::Mixture),
    ("empirical", Kind::Empirical),
];

/// A distribution of durations ≥ 0.
pub(super) fn distribution(field: &Field) -> Option<Distribution> {
    if !field.is_table() {
        return field
            .span_or(", or a table such as { dist = \"exponential\", mean = \"40ms\" }")
            .map(Distribution::Constant);
    }
    field.section(|s| {
        let Some(kind) = s.required("dist", "dist = \"exponential\"", |f| f.choice(&KINDS)) else {
            return s.give_up();
        };
        if let Some((name, _)) = KINDS.iter().find(|(_, each)| *each as u8 == kind as u8) {
            s.is_of_kind(format!("dist = {name:?}"));
        }
        of_kind(kind, s)
    })
}

/// A distribution with a mean above zero.
pub(super) fn positive_distribution(field: &Field) -> Option<Distribution> {
    let distribution = distribution(field)?;
    if distribution.mean().is_zero() {
        return field.unfit_part("a mean of 0s", "a time above 0");
    }
    Some(distribution)
}

fn of_kind(kind: Kind, s: &Section) -> Option<Distribution> {
    let mean = || s.required("mean", "mean = \"40ms\"", Field::positive_span);
    // Beyond these bounds the moments of the distributions leave the range of floating-point numbers.
    let shape = || {
        let fits = |x: f64| (0.05..=1000.0).contains(&x);
        s.required("shape", "shape = 2.0", |f| f.number("a shape from 0.05 to 1000", fits))
    };
    match kind {
        Kind::Constant => s.required("value", "value = \"40ms\"", Field::span).map(Distribution::Constant),
        Kind::Exponential => mean().map(|mean| Distribution::Exponential { mean }),
        Kind::LogNormal => {
            let mean = mean();
            let fits = |x: f64| (0.0..=10.0).contains(&x);
            let sigma = s.required("sigma", "sigma = 0.5", |f| {
                f.number("the standard deviation of the logarithm, from 0 to 10", fits)
            });
            Some(Distribution::LogNormal { mean: mean?, sigma: sigma? })
        }
        Kind::Gamma => {
            let (mean, shape) = (mean(), shape());
            Some(Distribution::Gamma { mean: mean?, shape: shape? })
        }
        Kind::Weibull => {
            let (mean, shape) = (mean(), shape());
            Some(Distribution::Weibull { mean: mean?, shape: shape? })
        }
        Kind::Pareto => {
            let mean = mean();
            let alpha = s.required("alpha", "alpha = 2.5", |f| {
                f.number("a tail exponent above 1 (at 1 or below there is no mean), up to 1000", |x| {
                    x > 1.0 && x <= 1000.0
                })
            });
            Some(Distribution::Pareto { mean: mean?, alpha: alpha? })
        }
        Kind::Uniform => {
            let low = s.required("low", "low = \"20ms\"", Field::span);
            let high = s.required("high", "high = \"60ms\"", Field::span);
            let (low, high) = (low?, high?);
            if high < low {
                let sentence = format!("\"{high}\" is less than low = \"{low}\"");
                return s.field("high").and_then(|f| f.contradiction(sentence));
            }
            Some(Distribution::Uniform { low, high })
        }
        Kind::Mixture => {
            s.required("parts", "parts = [{ weight = 0.9, time = \"20ms\" }, { weight = 0.1, time = \"1s\" }]", parts)
        }
        Kind::Empirical => empirical(s),
    }
}

fn parts(field: &Field) -> Option<Distribution> {
    let elements = field.elements()?;
    let n = elements.len();
    let parts: Vec<(f64, Distribution)> = elements
        .into_iter()
        .filter_map(|part| {
            part.section(|s| {
                let weight = s.required("weight", "weight = 0.5", super::weight);
                let time = s.required("time", "time = \"40ms\"", distribution);
                Some((weight?, time?))
            })
        })
        .collect();
    if parts.len() < n {
        return None;
    }
    if parts.iter().map(|(weight, _)| weight).sum::<f64>() <= 0.0 {
        return field.unfit_part(
            if n == 0 { "no parts" } else { "only weights of 0" },
            "at least one part with a weight above 0",
        );
    }
    Some(Distribution::Mixture(parts))
}

/// `path` names a text file: a duration per line, after which, separated by a comma or a blank, its weight may stand. Empty
/// lines and lines that begin with `#` are skipped. `unit` is that of numbers that have none.
fn empirical(s: &Section) -> Option<Distribution> {
    let unit = s.optional("unit", |f| f.choice(&["ns", "us", "ms", "s"].map(|unit| (unit, unit))));
    let path = s.required("path", "path = \"latencies.csv\"", |f| Some(f.clone()))?;
    if !s.is_sound() {
        return None;
    }
    let file = path.file()?;
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) => return path.unfit(format!("a file that can be read ({error})")),
    };
    let Ok(text) = String::from_utf8(bytes) else { return path.unfit("a text file in UTF-8") };
    let name = quoted(&file.to_string_lossy());
    let mut samples = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some(sample) = sample(line, unit) else {
            let found = format!("{} on line {} of {name}", quoted(line), i + 1);
            let hint = if unit.is_none() && line.parse::<f64>().is_ok() {
                "; for bare numbers, say unit = \"ms\""
            } else {
                ""
            };
            return path.unfit_part(
                found,
                format!("a duration such as 12ms and, after a comma, its weight if it has one{hint}"),
            );
        };
        samples.push(sample);
    }
    match Empirical::new(samples) {
        Some(empirical) => Some(Distribution::Empirical(Arc::new(empirical))),
        None => path.unfit_part(format!("no durations in {name}"), "at least one, with a weight above 0"),
    }
}

fn sample(line: &str, unit: Option<&str>) -> Option<(Span, f64)> {
    let (value, weight) = match line.split_once([',', ';', '\t', ' ']) {
        Some((value, weight)) => (value.trim(), weight.trim().parse().ok()?),
        None => (line, 1.0),
    };
    let is_bare = value.bytes().last().is_some_and(|c| c.is_ascii_digit() || c == b'.');
    let span = match unit {
        Some(unit) if is_bare => format!("{value}{unit}").parse().ok()?,
        _ => value.parse().ok()?,
    };
    (0.0..f64::INFINITY).contains(&weight).then_some((span, weight))
}
