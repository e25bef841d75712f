//! What is told of a calibration: as text, as JSON, and as a scenario.

mod document;
mod json;
mod text;

pub use document::{Written, document};
pub use json::json;
pub use text::console;

use super::family::Family;
use crate::report::verdict::millis;

/// A duration in seconds as scenarios write it: four digits.
fn duration(seconds: f64) -> String {
    let us = seconds * 1e6;
    let round = |x: f64| {
        // Four significant digits, and no more places than that takes.
        let places = (3 - x.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{x:.places$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
    };
    match us {
        us if us < 1000.0 => format!("{}us", round(us)),
        us if us < 1e6 => format!("{}ms", round(us / 1e3)),
        us => format!("{}s", round(us / 1e6)),
    }
}

/// A number with four digits.
fn figure(x: f64) -> f64 {
    format!("{x:.3e}").parse().unwrap_or(x)
}

/// A family in words.
fn words(family: &Family) -> String {
    let mean = millis(family.mean() * 1e3);
    match family {
        Family::Constant { .. } => format!("constant {mean}"),
        Family::Exponential { .. } => format!("exponential, mean {mean}"),
        Family::LogNormal { sigma, .. } => format!("lognormal, mean {mean}, sigma {sigma:.3}"),
        Family::Gamma { shape, .. } => format!("gamma, mean {mean}, shape {shape:.3}"),
        Family::Weibull { shape, .. } => format!("weibull, mean {mean}, shape {shape:.3}"),
        Family::Pareto { alpha, .. } => format!("pareto, mean {mean}, alpha {alpha:.3}"),
        Family::Uniform { low, high } => format!("uniform, {} to {}", millis(low * 1e3), millis(high * 1e3)),
    }
}
