//! The calibration as JSON: schema `wavetank.calibration/1`.

use serde_json::{Value, json as value};

use super::text::shape_name;
use crate::calibrate::{Calibration, Concurrency, Demand, Family, Interval};
use crate::report::json::number;

/// The calibration, with the scenario that was written of it.
pub fn json(x: &Calibration, scenario: &str) -> String {
    let (workers, range) = match x.concurrency {
        Concurrency::Workers { best, low, high } => (best, value!([low, high])),
        Concurrency::AtLeast { seen } => (seen, value!([seen, null])),
        Concurrency::Unclear => (1, value!([1, null])),
    };
    let all = value!({
        "schema": "wavetank.calibration/1",
        "demands": x.demands.iter().map(demand).collect::<Vec<_>>(),
        "concurrency": {
            "seen": matches!(x.concurrency, Concurrency::Workers { .. }),
            "workers": workers,
            "ci": range,
        },
        "overhead_seconds": x.overhead.as_ref().map_or(Value::Null, interval),
        "boot": x.boot.as_ref().map(|boot| value!({
            "launches": boot.launches,
            "mean_seconds": interval(&boot.mean),
            "distribution": family(&boot.family),
        })),
        "warmup": x.warmup.as_ref().map(|warmup| value!({
            "seconds": number(warmup.seconds),
            "slowdown": interval(&warmup.slowdown),
        })),
        "instances": x.instances,
        "rate_rps": number(x.rate_rps),
        "notes": x.notes,
        "scenario": scenario,
    });
    serde_json::to_string_pretty(&all).expect("a tree of values can be written") + "\n"
}

fn interval(x: &Interval) -> Value {
    value!({ "value": number(x.value), "low": number(x.low), "high": number(x.high) })
}

fn demand(x: &Demand) -> Value {
    value!({
        "path": x.path,
        "requests": number(x.requests),
        "share": number(x.share),
        "error_rate": number(x.error_rate),
        "distribution": family(&x.fit.family),
        "mean_seconds": interval(&x.fit.mean),
        "shape": x.fit.shape.as_ref().map_or(Value::Null, interval),
        "shape_is": x.fit.shape.as_ref().map(|_| shape_name(x.fit.family.name())),
        "bic": number(x.fit.bic),
        "next": x.fit.next.as_ref().map(|(next, worse)| value!({ "dist": next.name(), "bic_worse_by": number(*worse) })),
        "ks": number(x.fit.distance),
        "as_measured": !x.measured.is_empty(),
    })
}

fn family(x: &Family) -> Value {
    let mut map = serde_json::Map::new();
    map.insert("dist".to_string(), value!(x.name()));
    let mut put = |key: &str, x: f64| map.insert(key.to_string(), number(x));
    match *x {
        Family::Constant { value } => put("value_seconds", value),
        Family::Uniform { low, high } => {
            put("low_seconds", low);
            put("high_seconds", high)
        }
        _ => put("mean_seconds", x.mean()),
    };
    match *x {
        Family::LogNormal { sigma, .. } => put("sigma", sigma),
        Family::Gamma { shape, .. } | Family::Weibull { shape, .. } => put("shape", shape),
        Family::Pareto { alpha, .. } => put("alpha", alpha),
        _ => None,
    };
    Value::Object(map)
}
