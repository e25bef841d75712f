//! Percentiles on the HDR axis: the further to the right, the rarer.

use std::fmt::Write;

use super::escape;
use super::panel::{Axis, INNER, LEFT, TOP, WIDTH, open_svg};
use crate::record::latency::Latency;
use crate::report::Experiment;
use crate::report::figure::log_bounds;
use crate::report::verdict::millis;
use crate::scenario::slo::Target;

/// Latency and time in service against the number of nines.
pub fn percentiles(x: &Experiment) -> String {
    let (latency, service) = (x.latency(), x.service_time());
    let Some(p99) = latency.quantile(0.99) else { return "<p>No request succeeded.</p>".to_string() };
    let height = 260.0;
    let nines = (latency.count() as f64).log10().clamp(1.0, 6.0);
    let px = |q: f64| LEFT + (-(1.0 - q).log10()).min(nines) / nines * INNER;
    let curve = |of: &Latency| -> Vec<(f64, f64)> {
        (0..=200)
            .map(|i| 1.0 - 10f64.powf(-nines * f64::from(i) / 200.0))
            .filter_map(|q| of.quantile(q).map(|v| (q, v.as_millis_f64().max(0.001))))
            .collect()
    };
    let (of_latency, of_service) = (curve(&latency), curve(&service));
    let values = || of_latency.iter().chain(&of_service).map(|(_, v)| *v);
    let (low, high) = log_bounds(values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let axis = Axis::new(height, true, (low, high));
    let py = |v: f64| TOP + axis.y(v);
    let finding = format!("99 of 100 requests took at most {}", millis(p99.as_millis_f64()));
    let mut svg = open_svg("percentiles", "Percentiles of latency", &finding, height);
    svg.push_str(&axis.grid());
    for (name, q) in
        [("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("99.99 %", 0.9999), ("99.999 %", 0.99999)]
    {
        if -(1.0f64 - q).log10() <= nines + 1e-9 {
            let x = px(q);
            let anchor = if x > WIDTH - 40.0 { "end" } else { "middle" };
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.1}\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name}</text>",
                TOP + axis.inner,
                height - 8.0
            );
        }
    }
    for (class, points) in [("c2 dash", &of_service), ("c3", &of_latency)] {
        let d: Vec<String> = points.iter().map(|(q, v)| format!("{:.1} {:.1}", px(*q), py(*v))).collect();
        let _ = write!(svg, "<path class=\"{class}\" d=\"M{}\"/>", d.join("L"));
    }
    for target in x.slo {
        if let Target::Quantile { q, at_most } = target {
            let (cx, cy) = (px(*q), py(at_most.as_millis_f64()));
            let _ = write!(
                svg,
                "<path class=\"cross\" d=\"M{:.1} {:.1}l12 12m0 -12l-12 12\"><title>{} target {}</title></path>",
                cx - 6.0,
                cy - 6.0,
                target.name(),
                millis(at_most.as_millis_f64())
            );
        }
    }
    svg.push_str("</svg>");
    format!(
        "<figure><figcaption><b>Percentiles</b> [ms, by how rare]: {}. Solid: latency from the scheduled time; dashed: time in service, what a generator that waits for answers would call latency; crosses: targets.</figcaption>{svg}</figure>\n",
        escape(&finding)
    )
}
