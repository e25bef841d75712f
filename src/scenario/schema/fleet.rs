//! `[fleet]` and `[balancer]`.

use super::distribution::distribution;
use crate::distribution::Distribution;
use crate::engine::balancer::{self, HealthCheck, Strategy, Ties};
use crate::record::cost::Billing;
use crate::scenario::fleet::{Fleet, Memory};
use crate::scenario::reader::{Field, Section};
use crate::scenario::service::Warmup;
use crate::units::Span;

/// The fleet of a scenario that has no `[fleet]`.
pub(crate) fn default_fleet(initial: u32) -> Fleet {
    Fleet {
        initial,
        boot: Distribution::Constant(Span::ZERO),
        warmup: None,
        memory: None,
        billing: Billing::default(),
        zones: 1,
        drain_timeout: None,
    }
}

/// `[fleet]`; `initial` is the default of the key of that name.
pub(crate) fn fleet(field: &Field, initial: u32) -> Option<Fleet> {
    field.section(|s| {
        let default = default_fleet(initial);
        let mut fleet = Fleet {
            // Where the autoscaler may go to zero, a run may begin there.
            initial: s.or("initial", initial, |f| f.count(initial.min(1))),
            boot: s.or("boot", default.boot, distribution),
            warmup: s.optional("warmup", warmup),
            memory: s.optional("memory", memory),
            billing: Billing { price_per_hour: s.or("price_per_hour", 0.0, price), ..default.billing },
            zones: s.or("zones", 1, |f| f.count(1)),
            drain_timeout: s.optional("drain_timeout", Field::span),
        };
        if let Some(billing) = s.optional("billing", billing) {
            fleet.billing = Billing { price_per_hour: fleet.billing.price_per_hour, ..billing };
        }
        Some(fleet)
    })
}

fn price(field: &Field) -> Option<f64> {
    field.number("a price, 0 or more", |x| x >= 0.0)
}

fn billing(field: &Field) -> Option<Billing> {
    field.section(|s| {
        Some(Billing {
            granularity: s.or("granularity", Span::ZERO, Field::span),
            minimum: s.or("minimum", Span::ZERO, Field::span),
            ..Billing::default()
        })
    })
}

fn warmup(field: &Field) -> Option<Warmup> {
    field.section(|s| {
        let over = s.required("for", "for = \"30s\"", Field::positive_span);
        let slowdown = s.required("slowdown", "slowdown = 2.0", |f| {
            f.number("a factor of 1 or more", |x| (1.0..=1e6).contains(&x))
        });
        Some(Warmup { over: over?, slowdown: slowdown? })
    })
}

fn memory(field: &Field) -> Option<Memory> {
    field.section(|s| {
        let base = s.or("base", 0.0, Field::size);
        let per_request = s.or("per_request", 0.0, Field::size);
        let limit = s.required("limit", "limit = \"1GB\"", |f| {
            f.size().and_then(|size| if size > 0.0 { Some(size) } else { f.unfit("a size above 0") })
        })?;
        if s.is_sound() && base >= limit {
            return s
                .field("base")
                .and_then(|f| f.contradiction("an idle instance would already be at its memory limit"));
        }
        Some(Memory { base, per_request, limit })
    })
}

/// `[balancer]`.
pub(crate) fn balancer(field: &Field) -> Option<balancer::Config> {
    field.section(|s| {
        let default = balancer::Config::default();
        let strategy = s.or("strategy", default.strategy, |f| f.choice(&Strategy::ALL));
        let ties = [("random", Ties::Random), ("round_robin", Ties::RoundRobin)];
        let config = balancer::Config {
            strategy,
            ties: s.or("ties", default.ties, |f| f.choice(&ties)),
            weights: s.or("weights", Vec::new(), weights),
            health_check: s.optional("health_check", health_check),
        };
        if s.is_sound() {
            check_strategy(s, strategy);
        }
        Some(config)
    })
}

/// A setting that the chosen strategy never looks at was meant for another strategy.
fn check_strategy(s: &Section, strategy: Strategy) {
    let name = Strategy::ALL.iter().find(|(_, each)| *each == strategy).map_or("", |(name, _)| name);
    if let (Some(field), false) = (s.field("ties"), strategy == Strategy::LeastConnections) {
        let _: Option<()> =
            field.contradiction(format!("strategy = {name:?} has no ties, only \"least_connections\" has"));
    }
    if let (Some(field), false) = (s.field("weights"), strategy == Strategy::Weighted) {
        let _: Option<()> =
            field.contradiction(format!("strategy = {name:?} looks at no weights, only \"weighted\" does"));
    }
}

fn weights(field: &Field) -> Option<Vec<u32>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit_part("no weights", "at least one, or no weights key at all");
    }
    let weight =
        |f: &Field| f.count(1).and_then(|w| if w <= 1000 { Some(w) } else { f.unfit("a weight from 1 to 1000") });
    elements.iter().map(weight).collect::<Vec<_>>().into_iter().collect()
}

fn health_check(field: &Field) -> Option<HealthCheck> {
    field.section(|s| {
        let default = HealthCheck::default();
        let check = HealthCheck {
            interval: s.or("interval", default.interval, Field::positive_span),
            timeout: s.or("timeout", default.timeout, Field::positive_span),
            unhealthy_after: s.or("unhealthy_after", default.unhealthy_after, |f| f.count(1)),
            healthy_after: s.or("healthy_after", default.healthy_after, |f| f.count(1)),
            jitter: s.or("jitter", default.jitter, Field::ratio),
        };
        if s.is_sound() && check.timeout >= check.interval {
            let sentence = format!(
                "a check must end before the next begins: timeout \"{}\" is not less than interval \"{}\"",
                check.timeout, check.interval
            );
            return s.field("timeout").or_else(|| s.field("interval")).and_then(|f| f.contradiction(sentence));
        }
        Some(check)
    })
}
