//! What is varied when nobody says: what an operator would turn on the policy at hand, with the ranges that an operator would try.
//!
//! | key | range |
//! |---|---|
//! | a target or threshold in percent | 30..90 for growing, 10..60 for shrinking |
//! | any other number that is a target or threshold | a third to three times what it is, on a logarithmic scale |
//! | `min` | from half of it to three times, up to `max` |
//! | a step | 1 to 6 |
//! | a target or threshold that is a duration | half of it to twice that, in steps of a twentieth |
//! | durations, cooldowns and windows | 15 s to 10 m, or twice what it is, in steps of 15 s |

use super::expression::{Constraint, number};
use super::space::Dimension;
use crate::scenario::Keys;
use crate::units::Span;

/// The most settings that are varied: the best way to tune is to have fewer knobs.
const MOST: usize = 6;

/// The settings of the autoscaler that are worth varying, the most telling first, and what has to hold between them.
pub fn space(keys: &Keys) -> (Vec<Dimension>, Vec<Constraint>) {
    let all = keys.below("autoscaler");
    let of = |path: &str| all.iter().find(|(each, _)| each == path).map(|(_, value)| value.as_str());
    let mut found: Vec<(u8, Dimension)> = Vec::new();
    for (path, value) in &all {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let shrinks = of(&format!("{parent}.action")) == Some("\"scale_down\"");
        if let Some((rank, range)) = range(key, value, shrinks, of("autoscaler.max")) {
            let dimension = format!("{path}={range}").parse().unwrap_or_else(|error| unreachable!("{path}: {error}"));
            found.push((rank, dimension));
        }
    }
    // Stable: within a rank, as in the file.
    found.sort_by_key(|(rank, _)| *rank);
    found.truncate(MOST);
    let dimensions: Vec<Dimension> = found.into_iter().map(|(_, dimension)| dimension).collect();
    let constraints = between(&dimensions, &|path| of(path).map(String::from));
    (dimensions, constraints)
}

fn range(key: &str, value: &str, shrinks: bool, max: Option<&str>) -> Option<(u8, String)> {
    let x = number(value)?;
    let is_duration = value.trim_matches('"').parse::<Span>().is_ok() && value.starts_with('"');
    let is_whole = value.parse::<i64>().is_ok();
    let around = |low: f64, high: f64| format!("{low}..{high}");
    match key {
        "threshold" | "target" | "average_utilization" | "concurrency" | "average_value" if !is_duration => {
            let is_percent = is_whole && (1.0..=100.0).contains(&x) && key != "average_value";
            Some((
                0,
                match (is_percent, shrinks) {
                    (true, true) => "10..60".to_string(),
                    (true, false) => "30..90".to_string(),
                    (false, _) => format!("{:?}..{:?} log", x / 3.0, x * 3.0),
                },
            ))
            .filter(|_| x > 0.0)
        }
        "min" if is_whole => {
            let max = max.and_then(number).unwrap_or(f64::INFINITY);
            let (low, high) = ((x / 2.0).floor().max(1.0), (x * 3.0).max(x + 2.0).min(max));
            (low < high).then(|| (1, around(low, high)))
        }
        "step" | "scale_by" if is_whole && x > 0.0 => Some((2, "1..6".to_string())),
        "threshold" | "target" if x > 0.0 => {
            let step = Span::from_millis(((x * 50.0) as u64).max(1));
            Some((3, steps(Span(step.0 * 10), Span(step.0 * 40), step)))
        }
        "duration"
        | "cooldown"
        | "scale_up_cooldown"
        | "scale_down_cooldown"
        | "stabilization_window"
        | "downscale_stabilization"
        | "scale_in_cooldown"
        | "scale_out_cooldown"
        | "stable_window"
        | "scale_down_delay"
            if is_duration && x > 0.0 =>
        {
            let quarter = Span::from_secs(15);
            let high = Span::from_secs_f64(x * 2.0).max(Span::from_mins(10));
            Some((
                if shrinks || ["scale_down", "downscale", "scale_in"].iter().any(|start| key.starts_with(start)) {
                    4
                } else {
                    3
                },
                steps(quarter, high, quarter),
            ))
        }
        _ => None,
    }
}

fn steps(low: Span, high: Span, step: Span) -> String {
    let millis = |span: Span| span.0 / 1_000_000;
    format!("{}ms..{}ms step {}ms", millis(low), millis(high), millis(step))
}

/// A fleet must not shrink at a load at which it would have to grow again: thresholds of one metric stay apart.
fn between(dimensions: &[Dimension], of: &dyn Fn(&str) -> Option<String>) -> Vec<Constraint> {
    let rules: Vec<&str> = dimensions
        .iter()
        .filter_map(|d| d.path.strip_suffix(".threshold"))
        .filter(|path| path.contains(".rule."))
        .collect();
    let key = |rule: &str, key: &str| of(&format!("{rule}.{key}"));
    let mut constraints = Vec::new();
    for down in rules.iter().filter(|rule| key(rule, "action").as_deref() == Some("\"scale_down\"")) {
        for up in rules.iter().filter(|rule| key(rule, "action").as_deref() == Some("\"scale_up\"")) {
            let percent = |rule: &str| key(rule, "threshold").is_some_and(|value| value.parse::<i64>().is_ok());
            if key(up, "metric") == key(down, "metric") && percent(up) && percent(down) {
                let text = format!("{down}.threshold <= {up}.threshold - 10");
                constraints.extend(Constraint::parse(&text));
            }
        }
    }
    constraints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(&path, text).unwrap();
        let (dimensions, constraints) = space(&crate::scenario::keys(&path, None, &[]).unwrap());
        let dimensions = dimensions.iter().map(|d| format!("{}={}", d.path, d.text));
        dimensions.chain(constraints.iter().map(|c| c.text.clone())).collect()
    }

    #[test]
    fn rules_are_varied_by_what_an_operator_would_turn() {
        let text = "
            [autoscaler]
            min = 2
            max = 20
            scale_up_cooldown = '2m'
            [[autoscaler.rule]]
            name = 'up'
            metric = 'cpu_utilization'
            threshold = 70
            duration = '2m'
            action = 'scale_up'
            [[autoscaler.rule]]
            name = 'down'
            metric = 'cpu_utilization'
            threshold = 20
            duration = '10m'
            action = 'scale_down'";
        assert_eq!(
            shown(text),
            [
                "autoscaler.rule.up.threshold=30..90",
                "autoscaler.rule.down.threshold=10..60",
                "autoscaler.min=1..6",
                "autoscaler.scale_up_cooldown=15000ms..600000ms step 15000ms",
                "autoscaler.rule.up.duration=15000ms..600000ms step 15000ms",
                "autoscaler.rule.down.duration=15000ms..1200000ms step 15000ms",
                "autoscaler.rule.down.threshold <= autoscaler.rule.up.threshold - 10",
            ]
        );
    }

    #[test]
    fn a_policy_without_anything_to_turn_has_no_space() {
        assert!(shown("[autoscaler]\nmax = 3").is_empty());
    }
}
