//! `[overload]`.

use crate::engine::overload::concurrency::{self, Algorithm};
use crate::engine::overload::limits::{Limits, Retries};
use crate::engine::overload::{Config, codel, hedge, priority, throttle};
use crate::scenario::overload::Overload;
use crate::scenario::reader::Field;
use crate::units::Span;

/// `[overload]`; clients wait for `timeout`, and retry or do not; `criticality` is that of the endpoints.
pub(crate) fn overload(
    field: &Field,
    timeout: Option<Span>,
    has_retries: bool,
    criticality: Vec<u8>,
) -> Option<Overload> {
    field.section(|s| {
        let overload = Overload {
            gateway: Config {
                limits: s.optional("limits", |f| limits(f, has_retries)),
                concurrency: s.optional("concurrency", concurrency),
                priority: s.optional("priority", |f| or_true(f, priority)),
                criticality,
            },
            codel: s.optional("codel", |f| or_true(f, codel)),
            adaptive_lifo: s.or("adaptive_lifo", false, Field::boolean),
            deadlines: s.or("deadlines", false, Field::boolean),
            throttle: s.optional("throttle", throttle),
            hedge: s.optional("hedge", |f| or_true(f, hedge)),
        };
        if let (Some(field), true, None) = (s.field("adaptive_lifo"), overload.adaptive_lifo, overload.codel) {
            return field.contradiction("codel is what tells that a queue stands: set codel = true");
        }
        if let (Some(field), true, None) = (s.field("deadlines"), overload.deadlines, timeout) {
            return field.contradiction("clients wait for ever: set clients.timeout");
        }
        Some(overload)
    })
}

/// `true` for all defaults, or a table.
fn or_true<T: Default>(field: &Field, read: impl FnOnce(&Field) -> Option<T>) -> Option<T> {
    if field.is_table() {
        return read(field);
    }
    match field.boolean() {
        Some(true) => Some(T::default()),
        Some(false) => None,
        None => None,
    }
}

fn limits(field: &Field, has_retries: bool) -> Option<Limits> {
    field.section(|s| {
        let limits = Limits {
            connections: s.optional("connections", |f| f.count(1)),
            pending: s.optional("pending", |f| f.count(0)),
            requests: s.optional("requests", |f| f.count(1)),
            retries: s.optional("retries", |f| {
                if !f.is_table() {
                    return f.count(0).map(Retries::AtMost);
                }
                f.section(|s| {
                    let share = s.required("share", "share = 0.2", Field::ratio)?;
                    let at_least = s.or("at_least", 3, |f| f.count(0));
                    Some(Retries::Budget { percent: share * 100.0, at_least })
                })
            }),
        };
        if let (Some(field), None) = (s.field("pending"), limits.connections) {
            return field.contradiction("nothing is pending while connections is unlimited");
        }
        if let (Some(field), false) = (s.field("retries"), has_retries) {
            return field.contradiction("nobody retries: there is no clients.retry");
        }
        Some(limits)
    })
}

/// The name of an algorithm, or a table with it.
fn concurrency(field: &Field) -> Option<concurrency::Config> {
    if field.is_text() {
        return field.choice(&Algorithm::ALL).map(concurrency::Config::of);
    }
    field.section(|s| {
        let algorithm = s.required("algorithm", "algorithm = \"gradient2\"", |f| f.choice(&Algorithm::ALL));
        let Some(algorithm) = algorithm else { return s.give_up() };
        let default = concurrency::Config::of(algorithm);
        let mut config = concurrency::Config {
            algorithm,
            min: s.or("min", default.min, |f| f.count(1)),
            max: s.or("max", default.max, |f| f.count(1)),
            initial: s.or("initial", default.initial, |f| f.count(1)),
            window: s.or("window", default.window, Field::positive_span),
            ..default
        };
        if algorithm == Algorithm::Aimd {
            config.timeout = s.or("timeout", default.timeout, Field::positive_span);
        }
        if algorithm == Algorithm::Gradient {
            config.probe_concurrency = s.or("probe_concurrency", default.probe_concurrency, |f| f.count(1));
            config.probe_interval = s.or("probe_interval", default.probe_interval, Field::positive_span);
        }
        if algorithm == Algorithm::Breakwater {
            config.target = s.or("target", default.target, Field::positive_span);
            config.clients = s.or("clients", default.clients, |f| f.count(1));
        }
        if s.is_sound() && config.min > config.max {
            let field = s.field("min").or_else(|| s.field("max"));
            return field
                .and_then(|f| f.contradiction(format!("min {} is more than max {}", config.min, config.max)));
        }
        config.initial = config.initial.clamp(config.min, config.max);
        Some(config)
    })
}

fn priority(field: &Field) -> Option<priority::Config> {
    field.section(|s| {
        let default = priority::Config::default();
        Some(priority::Config {
            queueing: s.or("queueing", default.queueing, Field::positive_span),
            window: s.or("window", default.window, Field::positive_span),
            requests: s.or("requests", default.requests, |f| f.count(1)),
            down: s.or("down", default.down, Field::positive_ratio),
            up: s.or("up", default.up, Field::positive_ratio),
        })
    })
}

fn codel(field: &Field) -> Option<codel::Config> {
    field.section(|s| {
        let default = codel::Config::default();
        Some(codel::Config {
            target: s.or("target", default.target, Field::positive_span),
            interval: s.or("interval", default.interval, Field::positive_span),
            form: s.or("form", default.form, |f| f.choice(&codel::Form::ALL)),
        })
    })
}

/// `"sre"`, `"envoy"`, or a table.
fn throttle(field: &Field) -> Option<throttle::Config> {
    if field.is_text() {
        return field.choice(&[("sre", throttle::Config::SRE), ("envoy", throttle::Config::ENVOY)]);
    }
    field.section(|s| {
        let default = throttle::Config::SRE;
        let at_least_one = |f: &Field| f.number("a number from 1 to 1000", |x| (1.0..=1000.0).contains(&x));
        Some(throttle::Config {
            k: s.or("k", default.k, at_least_one),
            aggression: s.or("aggression", default.aggression, at_least_one),
            at_most: s.or("at_most", default.at_most, Field::ratio),
            window: s.or("window", default.window, Field::positive_span),
        })
    })
}

fn hedge(field: &Field) -> Option<hedge::Config> {
    field.section(|s| {
        let default = hedge::Config::default();
        Some(hedge::Config {
            quantile: s.or("quantile", default.quantile, |f| {
                f.number("a quantile above 0 and below 1", |x| x > 0.0 && x < 1.0)
            }),
            budget: s.or("budget", default.budget, Field::positive_ratio),
            at_least: s.or("at_least", default.at_least, Field::span),
        })
    })
}
