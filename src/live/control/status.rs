//! `/api/scaling/status` and `/api/scaling/actions`.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Problem, number};
use crate::engine::analyzer::advice::Findings;
use crate::engine::autoscaler::Manual;
use crate::engine::events::{EventKind, Scaling};
use crate::live::clock::Clock;
use crate::live::driver::log::{BreakerState, Entry};
use crate::live::driver::{Core, Driver};
use crate::live::fleet::Fleet;
use crate::units::Time;

/// Actions that are told of.
const ACTIONS: usize = 20;
/// Seconds that current metrics are means of.
pub const LATELY: usize = 10;

/// The whole state.
pub fn status(driver: &Driver) -> Value {
    let clock = *driver.clock();
    driver.with(|now, core| {
        let recent = core.log.entries().rev().filter_map(|entry| action(&clock, entry)).take(ACTIONS);
        let recent: Vec<Value> = recent.collect();
        let bounds = core.engine.bounds();
        json!({
            "enabled": bounds.is_some(),
            "running": true,
            "instances": core.engine.counts().existing,
            "healthyInstances": core.engine.candidates(),
            "desiredInstances": core.engine.desired(),
            "minInstances": bounds.map(|(min, _)| min),
            "maxInstances": bounds.map(|(_, max)| max),
            "circuitBreakerState": breaker(core),
            "quotaStore": core.engine.store().map(|tally| if tally.lost_since.is_none() { "ok" } else { "degraded" }),
            "recentActions": recent,
            "currentMetrics": metrics(&clock, now, core),
            "fleet": instances(&clock, core),
            "recommendations": recommendations(core),
        })
    })
}

/// The worst of the breakers.
pub fn breaker(core: &Core) -> &'static str {
    match core.log.breaker() {
        BreakerState::Closed => "CLOSED",
        BreakerState::HalfOpen => "HALF_OPEN",
        BreakerState::Open => "OPEN",
    }
}

/// An event as an action; `None` if it is none.
fn action(clock: &Clock, entry: &Entry) -> Option<Value> {
    let event = &entry.event;
    let told = |rule: &str, action: &str, success: bool, details: Value| {
        json!({
            "id": entry.number.to_string(),
            "rule": rule,
            "action": action,
            "timestamp": clock.date(event.at),
            "reason": event.cause,
            "success": success,
            "details": details,
        })
    };
    let scaling = |scaling: &Scaling| {
        let ids: Vec<u32> = scaling.instances.iter().map(|id| id.0).collect();
        json!({
            "newInstance": ids.first().map(u32::to_string),
            "instances": ids,
            "previousInstances": scaling.from,
            "totalInstances": scaling.to,
        })
    };
    match &event.kind {
        EventKind::ScaledUp(it) => Some(told(&it.rule, "scale_up", true, scaling(it))),
        EventKind::ScaledDown(it) => Some(told(&it.rule, "scale_down", true, scaling(it))),
        EventKind::RuleOpenedBreaker { rule } => Some(told(rule, "circuit_break", true, json!({}))),
        EventKind::Alert { rule } => Some(told(rule, "alert", true, json!({}))),
        _ => None,
    }
}

fn metrics(clock: &Clock, now: Time, core: &Core) -> Value {
    let lately = core.meter.lately(LATELY);
    let of =
        |value: fn(&crate::live::meter::Second) -> f64| lately.as_ref().map_or(Value::Null, |s| number(value(s)));
    json!({
        "timestamp": clock.date(now),
        "requestsPerSecond": of(|s| s.rps()),
        "averageResponseTime": of(|s| s.mean_ms()),
        "p99ResponseTime": of(|s| s.p99_ms),
        "errorRate": of(|s| s.error_share() * 100.0),
        "cpuUtilization": of(|s| s.fleet.cpu_percent),
        "memoryUtilization": of(|s| s.fleet.memory_percent),
        "activeConnections": core.roster.active(),
        "heldRequests": core.held(),
        "eventLoopLag": of(|s| s.fleet.event_loop_lag_ms),
    })
}

/// Every instance.
fn instances(clock: &Clock, core: &Core) -> Vec<Value> {
    let one = |(id, state): (crate::engine::request::InstanceId, &'static str)| {
        let member = core.roster.get(id);
        json!({
            "id": id.0.to_string(),
            "state": state,
            "address": member.and_then(|m| m.upstream.as_ref()).map(|upstream| upstream.address().to_string()),
            "launchedAt": member.map(|m| clock.date(m.launched_at)),
            "readyAt": member.and_then(|m| m.ready_at).map(|at| clock.date(at)),
            "activeRequests": member.map_or(0, |m| m.active),
            "requests": member.map_or(0, |m| m.attempts),
            "failures": member.map_or(0, |m| m.failures),
            "memoryBytes": member.and_then(|m| m.vitals.memory_bytes).map_or(Value::Null, number),
        })
    };
    core.engine.instances().map(one).collect()
}

/// What to do, in words.
pub fn recommendations(core: &Core) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for spike in core.log.active_spikes() {
        said.extend(spike.advice.iter().map(|advice| advice.text.clone()));
    }
    if said.is_empty()
        && let Some(analyzer) = core.engine.analyzer()
    {
        let bounds = core.engine.bounds();
        let found =
            Findings { min: bounds.map(|(min, _)| min), max: bounds.map(|(_, max)| max), ..Findings::default() };
        said.extend(analyzer.analysis(found).advice.into_iter().map(|advice| advice.text));
    }
    said
}

/// Carries out an order.
pub fn act(fleet: &Arc<Fleet>, body: &Value) -> Result<Value, Problem> {
    let given = |key: &str| match body.get(key) {
        None => Ok(None),
        Some(value) => match whole(value) {
            Some(n) => Ok(Some(n)),
            None => Err(Problem::bad(format!("{key}: found {value}, expected a whole number, 0 or more"))),
        },
    };
    let count = given("count")?;
    let at_least_one = |n: u32| if n > 0 { Ok(n) } else { Err(Problem::bad("count: found 0, expected 1 or more")) };
    let order = match body["action"].as_str() {
        Some("scale_up") => Manual::Up(at_least_one(count.unwrap_or(1))?),
        Some("scale_down") => Manual::Down(at_least_one(count.unwrap_or(1))?),
        Some("set") => Manual::To(match (given("instances")?, count) {
            (Some(n), _) | (None, Some(n)) => n,
            (None, None) => return Err(Problem::bad("instances is missing: say how many, e.g. 3")),
        }),
        _ => {
            let found = &body["action"];
            let expected = "\"scale_up\", \"scale_down\" or \"set\"";
            return Err(Problem::bad(format!("action: found {found}, expected {expected}")));
        }
    };
    let driver = fleet.driver();
    let (bounds, before) = driver.with(|_, core| (core.engine.bounds(), core.engine.counts().existing));
    let Some((min, max)) = bounds else {
        let message = "the fleet is fixed: it takes an [autoscaler] section to change it";
        return Err(Problem::new(StatusCode::CONFLICT, message));
    };
    fleet.scale(order);
    let after = driver.with(|_, core| core.engine.counts().existing);
    let wanted = match order {
        Manual::Up(n) => before.saturating_add(n),
        Manual::Down(n) => before.saturating_sub(n),
        Manual::To(n) => n,
    };
    let (success, message) = if after == wanted {
        (true, format!("from {before} to {after} instances"))
    } else {
        (false, format!("{wanted} instances are not within {min} and {max}: there are {after}"))
    };
    Ok(json!({ "success": success, "message": message, "newInstanceCount": after }))
}

/// A number of instances; 3.0 is 3 to JSON.
fn whole(value: &Value) -> Option<u32> {
    let x = value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(x))?;
    Some(x as u32)
}
