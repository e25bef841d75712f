//! `[balancer]`.

use super::ejection::ejection;
use crate::engine::balancer::ejection::Config as Ejection;
use crate::engine::balancer::routing::ZoneAware;
use crate::engine::balancer::{
    Config, HashKey, HealthCheck, LimitRamp, Panic, Sampling, Score, Strategy, Ties, maglev, passive, peak_ewma,
    prequal, reports, ring, slow_start,
};
use crate::scenario::reader::{Field, Section};
use crate::units::Span;

/// A system whose numbers and edges a balancer takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preset {
    Envoy,
    Haproxy,
    Nginx,
    Finagle,
    Prequal,
}

impl Preset {
    const ALL: [(&'static str, Preset); 5] = [
        ("envoy", Preset::Envoy),
        ("haproxy", Preset::Haproxy),
        ("nginx", Preset::Nginx),
        ("finagle", Preset::Finagle),
        ("prequal", Preset::Prequal),
    ];

    /// Strategies that the system has, under their names here; its own default first.
    fn strategies(self) -> &'static [Strategy] {
        use Strategy as S;
        match self {
            Preset::Envoy => &[S::RoundRobin, S::LeastConnections, S::Random, S::RingHash, S::Maglev],
            Preset::Haproxy => &[S::RoundRobin, S::LeastConnections, S::Random, S::PowerOfTwoChoices],
            Preset::Nginx => &[S::RoundRobin, S::LeastConnections, S::IpHash, S::Random, S::PowerOfTwoChoices],
            Preset::Finagle => &[S::PowerOfTwoChoices, S::PeakEwma],
            Preset::Prequal => &[S::Prequal],
        }
    }

    /// Settings as the system has them. `uneven` says that weights differ.
    fn config(self, strategy: Strategy, uneven: bool) -> Config {
        use Strategy as S;
        let plain = Config { strategy, ..Config::default() };
        match (self, strategy) {
            // Round robin is earliest deadline first there, and starts over with every change of the fleet.
            (Preset::Envoy, S::RoundRobin) => Config { strategy: S::WeightedEdf, ..plain },
            (Preset::Envoy, S::LeastConnections) if uneven => Config { strategy: S::LeastConnectionsEdf, ..plain },
            (Preset::Envoy, S::LeastConnections) => Config {
                strategy: S::PowerOfTwoChoices,
                sampling: Sampling::Replacement,
                score: Some(Score::Ratio),
                ..plain
            },
            (Preset::Envoy, _) => plain,
            (Preset::Haproxy, S::RoundRobin) => Config { strategy: S::Weighted, panic_threshold: 0.0, ..plain },
            (Preset::Haproxy, S::LeastConnections) => {
                Config { score: Some(Score::IdleFirst), ties: Ties::LeastRecent, panic_threshold: 0.0, ..plain }
            }
            // "balance random" draws twice.
            (Preset::Haproxy, _) => Config {
                strategy: S::PowerOfTwoChoices,
                sampling: Sampling::WeightedReplacement,
                score: Some(Score::Ratio),
                panic_threshold: 0.0,
                ..plain
            },
            (Preset::Nginx, _) => Config {
                strategy: match strategy {
                    S::RoundRobin => S::Weighted,
                    S::IpHash => S::NginxIpHash,
                    other => other,
                },
                ties: Ties::Weighted,
                score: Some(Score::Ratio),
                sampling: Sampling::ByWeight,
                panic_threshold: 0.0,
                passive: Some(passive::Config::default()),
                ..plain
            },
            (Preset::Finagle, _) => Config {
                score: Some(Score::Ratio),
                peak_ewma: peak_ewma::Config {
                    default_rtt: Span::ZERO,
                    error_penalty: Span::ZERO,
                    ..peak_ewma::Config::default()
                },
                panic_threshold: 0.0,
                ejection: Some(Ejection::finagle()),
                ..plain
            },
            (Preset::Prequal, _) => plain,
        }
    }

    fn health_check(self) -> HealthCheck {
        match self {
            Preset::Haproxy => HealthCheck {
                interval: Span::from_secs(2),
                timeout: Span(1_999_999_999),
                unhealthy_after: 3,
                healthy_after: 2,
                ..HealthCheck::default()
            },
            _ => HealthCheck::default(),
        }
    }

    fn ejection(self) -> Ejection {
        match self {
            Preset::Envoy => Ejection::envoy(),
            Preset::Finagle => Ejection::finagle(),
            _ => Ejection::default(),
        }
    }
}

fn name_of(strategy: Strategy) -> &'static str {
    Strategy::ALL.iter().find(|(_, each)| *each == strategy).map_or("", |(name, _)| name)
}

/// `[balancer]`; the fleet has so many `zones`.
pub(crate) fn balancer(field: &Field, zones: u32) -> Option<Config> {
    field.section(|s| {
        let preset = s.optional("preset", |f| f.choice(&Preset::ALL));
        let chosen = s.optional("strategy", |f| {
            let Some(preset) = preset else { return f.choice(&Strategy::ALL) };
            let own: Vec<_> = preset.strategies().iter().map(|&each| (name_of(each), each)).collect();
            f.choice(&own)
        });
        let weights =
            s.or("weights", Vec::new(), |f| numbers(f, "a weight from 1 to 1000", |w| (1..=1000).contains(&w)));
        let uneven = weights.windows(2).any(|pair| pair[0] != pair[1]);
        let asked = chosen.or(preset.map(|preset| preset.strategies()[0])).unwrap_or_default();
        let base = match preset {
            Some(preset) => preset.config(asked, uneven),
            None => Config { strategy: asked, ..Config::default() },
        };
        let limit = s.optional("instance_limit", instance_limit);
        let config = Config {
            ties: s.or("ties", base.ties, |f| f.choice(&Ties::ALL)),
            score: s.optional("score", |f| f.choice(&Score::ALL)).or(base.score),
            bias: s.or("bias", base.bias, |f| f.number("a number from 0 to 100", |x| (0.0..=100.0).contains(&x))),
            weights,
            choices: s.or("choices", base.choices, |f| match f.count(1)? {
                d if d <= Config::MAX_CHOICES => Some(d),
                _ => f.unfit(format!("1 to {} choices", Config::MAX_CHOICES)),
            }),
            sampling: s.or("sampling", base.sampling, |f| f.choice(&Sampling::ALL)),
            hash_key: s.or("hash_key", base.hash_key, |f| {
                f.choice(&[("client", HashKey::Client), ("endpoint", HashKey::Endpoint)])
            }),
            ring: s.or("ring", base.ring, ring),
            table_size: s.or("table_size", base.table_size, table_size),
            bounded_load: s.optional("bounded_load", bounded_load),
            reports: s.or("reports", base.reports, reports),
            peak_ewma: s.or("ewma", base.peak_ewma, |f| ewma(f, base.peak_ewma)),
            prequal: s.or("probing", base.prequal, probing),
            sticky: s.optional("sticky", Field::positive_span),
            zone_aware: s.optional("zone_aware", |f| zone_aware(f, zones)),
            priorities: s.or("priorities", Vec::new(), |f| numbers(f, "a tier from 0 to 15", |tier| tier <= 15)),
            overprovisioning: s.or("overprovisioning", base.overprovisioning, |f| {
                let factor = f.number("a factor from 1 to 100", |x| (1.0..=100.0).contains(&x));
                factor.map(|factor| (factor * 100.0).round() as u32)
            }),
            slow_start: s.optional("slow_start", |f| slow_start(f, preset != Some(Preset::Haproxy))),
            panic_threshold: s.or("panic_threshold", base.panic_threshold, Field::ratio),
            panic: s.or("panic", base.panic, panic),
            instance_limit: limit.map(|(most, _)| most),
            limit_ramp: limit.and_then(|(_, ramp)| ramp),
            health_check: s.optional("health_check", |f| {
                health_check(f, preset.map_or_else(HealthCheck::default, Preset::health_check))
            }),
            ejection: match s.field("ejection") {
                Some(f) => ejection(&f, preset.map_or_else(Ejection::default, Preset::ejection)),
                None => base.ejection,
            },
            passive: s.optional("passive", passive).or(base.passive),
            propagation_delay: s.or("propagation_delay", Span::ZERO, Field::span),
            ..base
        };
        if s.is_sound() {
            check(s, &config, asked);
        }
        Some(config)
    })
}

/// `{ balancers = 4 }`.
fn reports(field: &Field) -> Option<reports::Config> {
    field.section(|s| {
        let default = reports::Config::default();
        Some(reports::Config {
            balancers: s.or("balancers", default.balancers, |f| f.count(1)),
            error_penalty: s.or("error_penalty", default.error_penalty, |f| {
                f.number("a number from 0 to 100", |x| (0.0..=100.0).contains(&x))
            }),
        })
    })
}

/// `100`, or HAProxy's `{ most = 100, least = 10, full = 1000 }`.
fn instance_limit(field: &Field) -> Option<(u32, Option<LimitRamp>)> {
    if !field.is_table() {
        return field.count(1).map(|most| (most, None));
    }
    field.section(|s| {
        let most = s.required("most", "most = 100", |f| f.count(1));
        let least = s.required("least", "least = 10", |f| f.count(1));
        let full = s.required("full", "full = 1000", |f| f.count(1));
        let (most, ramp) = (most?, LimitRamp { least: least?, full: full? });
        if ramp.least > most {
            let sentence = format!("{} is more than most = {most}", ramp.least);
            return s.field("least").and_then(|f| f.contradiction(sentence));
        }
        Some((most, Some(ramp)))
    })
}

/// A setting that nothing ever looks at was meant for another strategy.
fn check(s: &Section, config: &Config, asked: Strategy) {
    let strategy = config.strategy;
    let name = name_of(asked);
    let idle = |key: &'static str, fits: bool, what: &str, who: &str| {
        if let (Some(field), false) = (s.field(key), fits) {
            let _: Option<()> = field.contradiction(format!("strategy = {name:?} has no {what}, only {who}"));
        }
    };
    let edf = strategy == Strategy::LeastConnectionsEdf;
    idle("ties", strategy == Strategy::LeastConnections, "ties", "\"least_connections\" has");
    idle(
        "score",
        matches!(strategy, Strategy::LeastConnections | Strategy::PowerOfTwoChoices),
        "score",
        "\"least_connections\" and \"power_of_two_choices\" have",
    );
    idle("bias", edf, "bias", "\"least_connections_edf\" has");
    idle("choices", strategy.samples(), "choices", "\"power_of_two_choices\" and \"peak_ewma\" have");
    idle("sampling", strategy.samples(), "sampling", "\"power_of_two_choices\" and \"peak_ewma\" have");
    idle("hash_key", strategy.is_hash() && strategy != Strategy::NginxIpHash, "hash_key", "hash strategies have");
    idle("bounded_load", strategy.is_hash(), "bounded load", "hash strategies have");
    idle("ring", strategy == Strategy::RingHash, "ring", "\"ring_hash\" has");
    idle("table_size", strategy == Strategy::Maglev, "table", "\"maglev\" has");
    idle("ewma", strategy == Strategy::PeakEwma, "average", "\"peak_ewma\" has");
    idle("reports", strategy.takes_reports(), "reports", "\"c3\" and \"reported_utilization\" have");
    idle("probing", strategy == Strategy::Prequal, "probes", "\"prequal\" has");
    if let (Some(field), false) = (s.field("weights"), strategy.takes_weights()) {
        let _: Option<()> = field.contradiction(format!("strategy = {name:?} looks at no weights"));
    }
    if let (Some(field), false) = (s.field("slow_start"), strategy.takes_slow_start()) {
        let sentence =
            format!("strategy = {name:?} looks at no weights that could grow: slow start would do nothing");
        let _: Option<()> = field.contradiction(sentence);
    }
    if let (Some(field), true) = (s.field("overprovisioning"), config.priorities.iter().all(|&tier| tier == 0)) {
        let _: Option<()> = field.contradiction("without tiers (priorities) there is nobody to hand traffic on to");
    }
    let can_be_ill = config.health_check.is_some() || config.ejection.is_some();
    for key in ["panic", "panic_threshold"] {
        if let (Some(field), false) = (s.field(key), can_be_ill) {
            let sentence = "no instance is ever found unhealthy: there is neither health_check nor ejection";
            let _: Option<()> = field.contradiction(sentence);
        }
    }
}

/// A list of whole numbers, not empty.
fn numbers(field: &Field, expected: &str, fits: impl Fn(u32) -> bool) -> Option<Vec<u32>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit_part("an empty list", "at least one number, or no such key at all");
    }
    let number = |f: &Field| match f.raw_number() {
        Some(x) if x.fract() == 0.0 && (0.0..=4e9).contains(&x) && fits(x as u32) => Some(x as u32),
        _ => f.unfit(expected),
    };
    elements.iter().map(number).collect::<Vec<_>>().into_iter().collect()
}

fn ring(field: &Field) -> Option<ring::Size> {
    field.section(|s| {
        let default = ring::Size::default();
        let points = |f: &Field| match f.count(1)? {
            n if n <= 8_388_608 => Some(n),
            _ => f.unfit("1 to 8388608 points"),
        };
        let size = ring::Size { min: s.or("min", default.min, points), max: s.or("max", default.max, points) };
        if s.is_sound() && size.min > size.max {
            let field = s.field("min").or_else(|| s.field("max"));
            return field.and_then(|f| f.contradiction(format!("min {} is more than max {}", size.min, size.max)));
        }
        Some(size)
    })
}

fn table_size(field: &Field) -> Option<u32> {
    match field.count(2)? {
        size if size > maglev::MAX_SIZE => field.unfit(format!("a prime of at most {}", maglev::MAX_SIZE)),
        size if !maglev::is_prime(size) => field.unfit("a prime, such as 65537"),
        size => Some(size),
    }
}

fn bounded_load(field: &Field) -> Option<u32> {
    let factor = field.number("a factor from 1 to 100, such as 1.25", |x| (1.0..=100.0).contains(&x))?;
    Some((factor * 100.0).round() as u32)
}

fn ewma(field: &Field, default: peak_ewma::Config) -> Option<peak_ewma::Config> {
    field.section(|s| {
        Some(peak_ewma::Config {
            tau: s.or("tau", default.tau, Field::positive_span),
            default_rtt: s.or("default_rtt", default.default_rtt, Field::span),
            error_penalty: s.or("error_penalty", default.error_penalty, Field::span),
        })
    })
}

fn probing(field: &Field) -> Option<prequal::Config> {
    field.section(|s| {
        let default = prequal::Config::default();
        let per_request = |f: &Field| f.number("a number from 0 to 16", |x| (0.0..=16.0).contains(&x));
        Some(prequal::Config {
            pool: s.or("pool", default.pool, |f| match f.count(1)? {
                n if n <= 1024 => Some(n),
                _ => f.unfit("1 to 1024 probes"),
            }),
            probes: s.or("probes", default.probes, per_request),
            removals: s.or("removals", default.removals, per_request),
            max_age: s.or("max_age", default.max_age, Field::positive_span),
            quantile: s.or("quantile", default.quantile, Field::ratio),
            delta: s
                .or("delta", default.delta, |f| f.number("a number from 0 to 100", |x| (0.0..=100.0).contains(&x))),
            round_trip: s.or("round_trip", default.round_trip, Field::span),
            error_limit: s.or("error_limit", default.error_limit, Field::ratio),
            penalty: s.or("penalty", default.penalty, |f| f.count(0)),
        })
    })
}

/// `true`, or a table.
fn zone_aware(field: &Field, zones: u32) -> Option<ZoneAware> {
    if zones < 2 {
        return field.contradiction("fleet.zones is 1: there is no other zone to stay away from");
    }
    let even = vec![1.0 / f64::from(zones); zones as usize];
    if !field.is_table() {
        return match field.boolean()? {
            true => Some(ZoneAware { zones, callers: even, min_instances: 6 }),
            false => field.unfit("true, or a table such as { callers = [0.5, 0.5] }"),
        };
    }
    field.section(|s| {
        let callers = s.or("callers", even, |f| {
            let shares: Vec<f64> = f.elements()?.iter().map(Field::ratio).collect::<Option<_>>()?;
            if shares.len() != zones as usize {
                return f.unfit_part(format!("{} shares", shares.len()), format!("one for each of {zones} zones"));
            }
            let sum: f64 = shares.iter().sum();
            if (sum - 1.0).abs() > 1e-6 {
                return f.unfit_part(format!("shares with the sum {sum}"), "shares with the sum 1");
            }
            Some(shares)
        });
        Some(ZoneAware { zones, callers, min_instances: s.or("min_instances", 6, |f| f.count(0)) })
    })
}

/// A duration, or a table.
fn slow_start(field: &Field, on_join: bool) -> Option<slow_start::Config> {
    if field.is_text() {
        return field
            .positive_span()
            .map(|window| slow_start::Config { on_join, ..slow_start::Config::over(window) });
    }
    field.section(|s| {
        let window = s.required("window", "window = \"60s\"", Field::positive_span);
        let default = slow_start::Config::over(Span(1));
        let min_weight = s.or("min_weight", default.min_weight, Field::positive_ratio);
        let aggression = s.or("aggression", default.aggression, |f| {
            f.number("a number above 0, up to 100", |x| x > 0.0 && x <= 100.0)
        });
        let on_join = s.or("on_join", on_join, Field::boolean);
        Some(slow_start::Config { window: window?, min_weight, aggression, on_join })
    })
}

/// `"spread"`, or `{ shed_above = 16 }`.
fn panic(field: &Field) -> Option<Panic> {
    if !field.is_table() {
        return match field.raw_text() {
            Some("spread") => Some(Panic::Spread),
            _ => field.unfit("\"spread\" or { shed_above = 16 }"),
        };
    }
    field.section(|s| {
        let above = s.required("shed_above", "shed_above = 16", |f| f.count(1));
        above.map(|above| Panic::Shed { above })
    })
}

fn passive(field: &Field) -> Option<passive::Config> {
    field.section(|s| {
        let default = passive::Config::default();
        Some(passive::Config {
            max_fails: s.or("max_fails", default.max_fails, |f| f.count(1)),
            fail_timeout: s.or("fail_timeout", default.fail_timeout, Field::positive_span),
        })
    })
}

fn health_check(field: &Field, default: HealthCheck) -> Option<HealthCheck> {
    field.section(|s| {
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
