//! What the generator of load did, in `report.json`.

use serde_json::{Map, Value, json as value};

use super::{encoded, latency, number, object};
use crate::record::generator::{Generator, Shares, VERSIONS};

/// The section `generator`.
pub(super) fn generator(of: &Generator) -> Value {
    let versions: Map<String, Value> =
        VERSIONS.iter().zip(of.versions).map(|(name, n)| (name.to_string(), value!(n))).collect();
    object([
        ("faults", Value::Array(of.faults().into_iter().map(|fault| value!(fault.name())).collect())),
        ("shares", of.shares.as_ref().map_or(Value::Null, shares)),
        ("pool", value!(of.pool)),
        ("pool_needed", value!(of.pool_needed())),
        ("pacing", value!(of.pacing.name())),
        ("due", value!(of.due)),
        ("sent", value!(of.sent)),
        ("found_busy", value!(of.found_busy)),
        ("busiest_second", value!(of.busiest)),
        ("versions", Value::Object(versions)),
        ("warmed_connections", value!(of.warmed)),
        ("connects", value!(of.connects)),
        ("cpu", of.cpu.map_or(Value::Null, number)),
        ("lag_limit_ns", value!(of.lag_limit.0)),
        ("lag_ms", latency(&of.lag, "sent")),
        ("first_byte_ms", latency(&of.first_byte, "answered")),
        ("service_ms", latency(&of.service, "sent")),
        ("lag", encoded(&of.lag)),
        ("first_byte", encoded(&of.first_byte)),
        ("service", encoded(&of.service)),
    ])
}

fn shares(of: &Shares) -> Value {
    object([("of", value!(of.of)), ("here", value!(of.here))])
}
