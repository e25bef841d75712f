//! `kind = "queueing"`, `"predictive"` and `"slo"`: policies that know queueing theory, and look ahead.

use super::name;
use crate::engine::autoscaler::predictive::{Capacity, Outlook};
use crate::engine::autoscaler::{Config, Policy, predictive, queueing, sizing, slo};
use crate::queueing::Scalability;
use crate::scenario::fleet::Fleet;
use crate::scenario::reader::{Field, Section};
use crate::scenario::service::Service;
use crate::traffic::replay::{Dataset, Options};
use crate::units::Span;

const RESPONSE_TIME: &str = "response_time = \"500ms\"";

pub(super) fn queueing(s: &Section, names: &mut Vec<String>) -> Option<queueing::Config> {
    let sizing = sizing(s);
    let headroom = s.optional("headroom", not_negative);
    let window = s.optional("stabilization_window", Field::span);
    let mut config = queueing::Config::new(sizing?);
    config.headroom = headroom.unwrap_or(config.headroom);
    config.stabilization_window = window.unwrap_or(config.stabilization_window);
    config.name = name(s, &config.name, names)?;
    Some(config)
}

pub(super) fn predictive(s: &Section, names: &mut Vec<String>) -> Option<predictive::Config> {
    let by_rate = s.field("instance_rps");
    let utilization = s.field("target_utilization");
    let capacity = match (&by_rate, s.field("response_time").is_some()) {
        (Some(field), true) => {
            field.contradiction("instance_rps and response_time exclude each other: a rate, or what keeps a target")
        }
        (Some(field), false) => {
            let rps = field.positive();
            let target_utilization = utilization.as_ref().map_or(Some(0.8), Field::positive_ratio);
            rps.zip(target_utilization)
                .map(|(instance_rps, target_utilization)| Capacity::Rate { instance_rps, target_utilization })
        }
        (None, true) => {
            if let Some(field) = &utilization {
                let _: Option<()> = field.contradiction("only instance_rps has a target_utilization");
            }
            sizing(s).map(Capacity::Queueing)
        }
        (None, false) => {
            s.missing("response_time", "response_time = \"500ms\" (or instance_rps = 50)");
            s.give_up()
        }
    };
    let outlook = outlook(s);
    let mut config = predictive::Config::new(capacity?);
    config.outlook = outlook?;
    config.name = name(s, &config.name, names)?;
    Some(config)
}

pub(super) fn slo(s: &Section, names: &mut Vec<String>) -> Option<slo::Config> {
    let sizing = sizing(s);
    let outlook = outlook(s);
    let drain = s.optional("drain_within", Field::positive_span);
    let window = s.optional("scale_in_window", Field::span);
    let band = s.optional("scale_in_band", Field::ratio);
    let mut config = slo::Config::new(sizing?);
    config.outlook = outlook?;
    config.drain_within = drain.unwrap_or(config.drain_within);
    config.scale_in_window = window.unwrap_or(config.scale_in_window);
    config.scale_in_band = band.unwrap_or(config.scale_in_band);
    config.name = name(s, &config.name, names)?;
    Some(config)
}

fn sizing(s: &Section) -> Option<sizing::Config> {
    let response_time = s.required("response_time", RESPONSE_TIME, Field::positive_span);
    let quantile = s.optional("quantile", |f| match f.ratio()? {
        q if q > 0.0 && q < 1.0 => Some(q),
        _ => f.unfit("a share above 0 and below 1, such as 0.99"),
    });
    let workers = s.optional("workers", |f| f.count(1));
    let service_time = s.optional("service_time", Field::positive_span);
    let service_cv = s.optional("service_cv", not_negative);
    let max_utilization = s.optional("max_utilization", Field::positive_ratio);
    let scalability = s.optional("scalability", |f| {
        f.section(|s| {
            let contention = s.or("contention", 0.0, |f| match f.ratio()? {
                share if share < 1.0 => Some(share),
                _ => f.unfit("a share from 0 to below 1"),
            });
            Some(Scalability { contention, coherency: s.or("coherency", 0.0, not_negative) })
        })
    });
    let mut config = sizing::Config::new(response_time?);
    config.quantile = quantile.unwrap_or(config.quantile);
    config.workers = workers;
    config.service_time = service_time;
    config.service_cv = service_cv;
    config.max_utilization = max_utilization.unwrap_or(config.max_utilization);
    config.scalability = scalability;
    Some(config)
}

fn outlook(s: &Section) -> Option<Outlook> {
    let default = Outlook::default();
    let step = s.or("step", default.step, |f| match f.span()? {
        step if step >= Span::from_secs(1) => Some(step),
        _ => f.unfit("a duration of at least 1s"),
    });
    let history = s.field("history").map(|field| history(&field, step));
    let outlook = Outlook {
        under_cost: s.or("under_cost", default.under_cost, Field::positive),
        over_cost: s.or("over_cost", default.over_cost, Field::positive),
        boot: s.optional("boot", Field::span),
        horizon: s.or("horizon", default.horizon, Field::span),
        step,
        refit_every: s.or("refit_every", default.refit_every, Field::positive_span),
        history: default.history,
    };
    match history {
        Some(history) => Some(Outlook { history: history?, ..outlook }),
        None => Some(outlook),
    }
}

/// The rates of a recording that ends where the run begins.
fn history(field: &Field, step: Span) -> Option<std::sync::Arc<[f64]>> {
    let path = field.file()?;
    let rates = Dataset::open(&path, &Options::default()).and_then(|dataset| dataset.rates(step));
    match rates {
        Ok(rates) => Some(rates.into()),
        Err(error) => field.contradiction(error.to_string()),
    }
}

fn not_negative(field: &Field) -> Option<f64> {
    field.number("a number, 0 or more", |x| (0.0..=1e6).contains(&x))
}

/// Tells policies what other sections say of an instance, where they do not say it themselves.
pub(crate) fn acquaint(config: &mut Config, service: &Service, fleet: &Fleet) {
    let full_speed = fleet.boot.mean() + fleet.warmup.map_or(Span::ZERO, |warmup| warmup.over);
    let learn = |sizing: &mut sizing::Config| {
        sizing.workers.get_or_insert(service.servers());
        sizing.service_cv.get_or_insert_with(|| service_cv(service));
    };
    for policy in &mut config.policies {
        let outlook = match policy {
            Policy::Queueing(queueing) => {
                learn(&mut queueing.sizing);
                continue;
            }
            Policy::Predictive(predictive) => {
                if let Capacity::Queueing(sizing) = &mut predictive.capacity {
                    learn(sizing);
                }
                &mut predictive.outlook
            }
            Policy::Slo(slo) => {
                learn(&mut slo.sizing);
                &mut slo.outlook
            }
            _ => continue,
        };
        outlook.boot.get_or_insert(full_speed);
    }
}

/// Coefficient of variation over the endpoint mix; at most 10, beyond which a log-normal says nothing.
fn service_cv(service: &Service) -> f64 {
    let total: f64 = service.endpoints.iter().map(|e| e.weight).sum();
    let mean = service.mean_demand();
    let squares: f64 = service
        .endpoints
        .iter()
        .map(|e| e.weight * e.time.mean().as_secs_f64().powi(2) * (1.0 + e.time.cv().min(10.0).powi(2)))
        .sum();
    (squares / total / (mean * mean) - 1.0).max(0.0).sqrt().min(10.0)
}
