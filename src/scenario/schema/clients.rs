//! `[clients]`.

use super::service::unique;
use super::weight;
use crate::engine::overload::backoff::{Backoff, Kind};
use crate::engine::overload::{budget, retries, tokens};
use crate::record::outcome::Failure;
use crate::scenario::clients::{Clients, Retry, RetryOn};
use crate::scenario::reader::{Field, Section};
use crate::traffic::population::{ClientsConfig, MAX_POPULATION, Region};
use crate::units::Span;

/// `[clients]`.
pub(crate) fn clients(field: &Field) -> Option<Clients> {
    field.section(|s| {
        let default = ClientsConfig::default();
        Some(Clients {
            population: ClientsConfig {
                population: s.or("population", default.population, |f| match f.count(1)? {
                    n if n <= MAX_POPULATION => Some(n),
                    _ => f.unfit(format!("at most {MAX_POPULATION} clients")),
                }),
                zipf: s.or("zipf", default.zipf, |f| {
                    f.number("Zipf's exponent, from 0 (all the same) to 100", |x| (0.0..=100.0).contains(&x))
                }),
                regions: s.or("regions", default.regions, regions),
                bots: s.or("bots", default.bots, Field::ratio),
            },
            timeout: s.optional("timeout", Field::positive_span),
            cancel: s.or("cancel", false, Field::boolean),
            retry: s.optional("retry", retry),
        })
    })
}

fn regions(field: &Field) -> Option<Vec<Region>> {
    let elements = field.elements()?;
    let mut names = Vec::new();
    let regions: Vec<Region> = elements
        .iter()
        .filter_map(|element| {
            element.section(|s| {
                let name = s.required("name", "name = \"eu\"", |f| unique(f, &mut names));
                let share = s.required("share", "share = 0.4", weight);
                let rtt = s.or("rtt", Span::ZERO, Field::span);
                Some(Region { name: name?, share: share?, rtt })
            })
        })
        .collect();
    if regions.len() < elements.len() {
        return None;
    }
    if regions.len() > usize::from(u16::MAX) {
        return field.unfit_part(format!("{} regions", regions.len()), "at most 65535");
    }
    if regions.iter().all(|region| region.share == 0.0) {
        let found = if regions.is_empty() { "no regions" } else { "only shares of 0" };
        return field.unfit_part(found, "at least one region with a share above 0");
    }
    Some(regions)
}

fn retry(field: &Field) -> Option<Retry> {
    field.section(|s| {
        let max = s.required("max", "max = 2", |f| f.count(1));
        let backoff = backoff(s);
        let honor_retry_after = s.or("honor_retry_after", false, Field::boolean);
        let budget = s.optional("budget", budget);
        let tokens = s.optional("tokens", tokens);
        let on = s.or("on", RetryOn::default(), retry_on);
        let policy = retries::Config { max: max?, backoff: backoff?, honor_retry_after, budget, tokens };
        Some(Retry { policy, on })
    })
}

/// The keys of `retry` that say how long a client waits.
fn backoff(s: &Section) -> Option<Backoff> {
    let kind = s.or("kind", Kind::Exponential, |f| f.choice(&Kind::ALL));
    let base = s.or("backoff", Span::from_millis(if kind == Kind::Envoy { 25 } else { 100 }), Field::span);
    let default_cap = (kind == Kind::Envoy).then(|| base.mul_f64(10.0));
    let backoff = Backoff {
        kind,
        base,
        factor: s.or("factor", 2.0, |f| f.number("a factor from 1 to 1000", |x| (1.0..=1000.0).contains(&x))),
        cap: s.optional("cap", Field::positive_span).or(default_cap),
        jitter: s.or("jitter", 1.0, Field::ratio),
    };
    if !s.is_sound() {
        return Some(backoff);
    }
    if kind != Kind::Exponential
        && let Some(field) = s.field("factor").or_else(|| s.field("jitter"))
    {
        let name = Kind::ALL.iter().find(|(_, each)| *each == kind).map_or("", |(name, _)| name);
        return field.contradiction(format!("kind = {name:?} has its own, only \"exponential\" is told"));
    }
    if let (Some(cap), Some(field)) = (backoff.cap.filter(|&cap| cap < base), s.field("cap")) {
        return field.contradiction(format!("\"{cap}\" is less than the first wait, backoff = \"{base}\""));
    }
    Some(backoff)
}

/// `0.2`, or a table.
fn budget(field: &Field) -> Option<budget::Config> {
    let ratio = |f: &Field| f.number("retries per request, 0 or more", |x| x >= 0.0);
    if !field.is_table() {
        return ratio(field).map(budget::Config::of);
    }
    field.section(|s| {
        let default = budget::Config::of(0.2);
        Some(budget::Config {
            ratio: s.or("ratio", default.ratio, ratio),
            min_per_second: s.or("min_per_second", default.min_per_second, |f| {
                f.number("retries per second, 0 or more", |x| x >= 0.0)
            }),
            ttl: s.or("ttl", default.ttl, Field::positive_span),
        })
    })
}

/// `"grpc"`, `"aws"`, or a table.
fn tokens(field: &Field) -> Option<tokens::Config> {
    if field.is_text() {
        return field.choice(&[("grpc", tokens::Config::GRPC), ("aws", tokens::Config::AWS)]);
    }
    field.section(|s| {
        let kinds = [("throttle", false), ("cost", true)];
        let Some(is_cost) = s.required("kind", "kind = \"throttle\"", |f| f.choice(&kinds)) else {
            return s.give_up();
        };
        s.is_of_kind(format!("kind = {:?}", if is_cost { "cost" } else { "throttle" }));
        if is_cost {
            return Some(tokens::Config::Cost {
                capacity: s.or("capacity", 500, |f| f.count(1)),
                retry: s.or("retry", 5, |f| f.count(1)),
                timeout: s.or("timeout", 10, |f| f.count(1)),
            });
        }
        let tokens = |f: &Field| f.number("a number of tokens from 0.001 to 1000", |x| (0.001..=1000.0).contains(&x));
        Some(tokens::Config::Throttle { max: s.or("max", 10.0, tokens), ratio: s.or("ratio", 0.1, tokens) })
    })
}

fn retry_on(field: &Field) -> Option<RetryOn> {
    let names: Vec<(&str, Failure)> = Failure::ALL.iter().map(|&failure| (failure.name(), failure)).collect();
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit_part("an empty array", "at least one failure, or no retry at all");
    }
    let mut on = RetryOn([false; 8]);
    for element in elements {
        on.0[element.choice(&names)? as usize] = true;
    }
    Some(on)
}
