//! What the generator of load did, in `report.json`.

use serde_json::{Value, json as value};

use super::{encoded, latency, number, object};
use crate::record::generator::Generator;

/// The section `generator`.
pub(super) fn generator(of: &Generator) -> Value {
    object([
        ("faults", Value::Array(of.faults().into_iter().map(|fault| value!(fault.name())).collect())),
        ("pool", value!(of.pool)),
        ("pool_needed", value!(of.pool_needed)),
        ("due", value!(of.due)),
        ("sent", value!(of.sent)),
        ("found_busy", value!(of.found_busy)),
        ("cpu", of.cpu.map_or(Value::Null, number)),
        ("lag_limit_ns", value!(of.lag_limit.0)),
        ("lag_ms", latency(&of.lag, "sent")),
        ("first_byte_ms", latency(&of.first_byte, "answered")),
        ("lag", encoded(&of.lag)),
        ("first_byte", encoded(&of.first_byte)),
    ])
}
