//! `[balancer.ejection]`.

use crate::engine::balancer::ejection::{Config, FailurePercentage, LatencyOutlier, Method, SuccessRate};
use crate::scenario::reader::Field;

/// `ejection = { … }`; what is not said is `default`'s.
pub(super) fn ejection(field: &Field, default: Config) -> Option<Config> {
    field.section(|s| {
        let config = Config {
            consecutive: s.field("consecutive").map_or(default.consecutive, |f| count_or_off(&f)),
            consecutive_gateway: s
                .field("consecutive_gateway")
                .map_or(default.consecutive_gateway, |f| count_or_off(&f)),
            interval: s.or("interval", default.interval, Field::positive_span),
            base: s.or("base", default.base, Field::positive_span),
            max: s.or("max", default.max.max(default.base), Field::positive_span),
            max_percent: s
                .optional("max_share", Field::ratio)
                .map_or(default.max_percent, |r| (r * 100.0).round() as u32),
            at_least_one: s.or("at_least_one", default.at_least_one, Field::boolean),
            success_rate: match s.field("success_rate") {
                Some(f) if is_off(&f) => None,
                Some(f) => success_rate(&f),
                None => default.success_rate,
            },
            failure_percentage: s.optional("failure_percentage", failure_percentage).or(default.failure_percentage),
            latency: s.optional("latency", latency).or(default.latency),
            replace_after: s.field("replace_after").map_or(default.replace_after, |f| count_or_off(&f)),
        };
        if s.is_sound() && config.base > config.max {
            let field = s.field("base").or_else(|| s.field("max"));
            let sentence = format!("base \"{}\" is more than max \"{}\"", config.base, config.max);
            return field.and_then(|f| f.contradiction(sentence));
        }
        Some(config)
    })
}

fn is_off(field: &Field) -> bool {
    field.raw_text() == Some("off")
}

/// A number ≥ 1, or `"off"`.
fn count_or_off(field: &Field) -> Option<u32> {
    if is_off(field) { None } else { field.count(1) }
}

fn success_rate(field: &Field) -> Option<SuccessRate> {
    field.section(|s| {
        let by = s.or("method", true, |f| f.choice(&[("median", true), ("mean", false)]));
        let default = if by { SuccessRate::MEDIAN } else { SuccessRate::MEAN };
        let method = match default.method {
            Method::Median { min_gap } => {
                Method::Median { min_gap: s.or("min_gap", min_gap, |f| f.ratio().map(|ratio| ratio * 100.0)) }
            }
            Method::Mean { factor } => Method::Mean {
                factor: s
                    .or("factor", factor, |f| f.number("a number from 0 to 100", |x| (0.0..=100.0).contains(&x))),
            },
        };
        Some(SuccessRate {
            method,
            min_hosts: s.or("min_instances", default.min_hosts, |f| f.count(1)),
            min_requests: s.or("min_requests", default.min_requests, |f| f.count(1)),
        })
    })
}

fn failure_percentage(field: &Field) -> Option<FailurePercentage> {
    field.section(|s| {
        let default = FailurePercentage::default();
        Some(FailurePercentage {
            threshold: s.optional("threshold", Field::positive_ratio).map_or(default.threshold, |r| r * 100.0),
            min_hosts: s.or("min_instances", default.min_hosts, |f| f.count(1)),
            min_requests: s.or("min_requests", default.min_requests, |f| f.count(1)),
        })
    })
}

fn latency(field: &Field) -> Option<LatencyOutlier> {
    field.section(|s| {
        let default = LatencyOutlier::default();
        Some(LatencyOutlier {
            factor: s.or("factor", default.factor, |f| {
                f.number("a factor above 1, up to 1000", |x| x > 1.0 && x <= 1000.0)
            }),
            min_hosts: s.or("min_instances", default.min_hosts, |f| f.count(1)),
            min_requests: s.or("min_requests", default.min_requests, |f| f.count(1)),
        })
    })
}
