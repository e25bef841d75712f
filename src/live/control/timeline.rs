//! `/api/scaling/timeline`: the last ten minutes, second by second, in columns.

use serde_json::{Value, json};

use super::number;
use crate::live::clock::Clock;
use crate::live::driver::Driver;
use crate::live::meter::Second;

/// Everything that is remembered.
pub fn timeline(driver: &Driver) -> Value {
    let clock = *driver.clock();
    driver.with(|_, core| json!({ "seconds": core.meter.seconds().map(|s| second(&clock, s)).collect::<Vec<_>>() }))
}

/// One second.
pub fn second(clock: &Clock, second: &Second) -> Value {
    let per_second = |n: u64| number(if second.seconds > 0.0 { n as f64 / second.seconds } else { 0.0 });
    json!({
        "timestamp": clock.date(second.at),
        "t": number(second.at.as_secs_f64()),
        "offeredRPS": per_second(second.offered),
        "succeededRPS": per_second(second.succeeded),
        "failedRPS": per_second(second.failed),
        "rateLimitedRPS": per_second(second.limited),
        "p50": number(second.p50_ms),
        "p99": number(second.p99_ms),
        "ready": second.fleet.ready,
        "total": second.fleet.total,
        "desired": second.fleet.desired,
        "cpuUtilization": number(second.fleet.cpu_percent),
        "memoryUtilization": number(second.fleet.memory_percent),
        "activeConnections": second.fleet.active,
        "heldRequests": second.fleet.held,
        "breakersOpen": second.fleet.breakers_open,
        "baselineRPS": number(second.fleet.baseline_rps),
        "forecastRPS": number(second.fleet.forecast_rps),
    })
}
