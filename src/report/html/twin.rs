//! Both worlds on one chart: latency and instances over time, simulated and live.

use super::panel::{Form, Panel, Series, draw};
use crate::record::Run;
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::figure::aligned;
use crate::report::verdict::millis;

/// The panels of a scenario, whose names begin with `id`: `sim` is one run, of `live` each is drawn.
pub(crate) fn twin(id: &str, sim: &Experiment, live: &Experiment) -> String {
    let timeline = &sim.first().timeline;
    if timeline.len() < 2 {
        return "<p>The run was too short for a timeline.</p>".to_string();
    }
    let end = timeline.t.last().copied().unwrap_or(0.0) + timeline.step_seconds;
    let column = |run: &Run, column: Column| aligned(&run.timeline, column, timeline.len(), timeline.step_seconds);
    let series = |what: Column, form: Form, of_live: &'static str, of_sim: &'static str| {
        let mut all: Vec<Series> = Vec::new();
        for (i, run) in live.runs.iter().enumerate() {
            let name = if i == 0 { "live" } else { "live again" };
            all.push(Series { name, class: of_live, values: column(run, what), form: form.clone() });
        }
        all.push(Series { name: "simulated", class: of_sim, values: column(sim.first(), what), form });
        all
    };
    let peak =
        |run: &Run, of: Column| run.timeline.column(of).iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let peaks = |of: Column| {
        let all: Vec<f64> = live.runs.iter().map(|run| peak(run, of)).collect();
        (peak(sim.first(), of), all.iter().copied().fold(0.0, f64::max))
    };
    let mut out = super::TOOLS.to_string();
    for (name, title, of) in [("p99", "p99", Column::P99Ms), ("p50", "p50", Column::P50Ms)] {
        let (simulated, lived) = peaks(of);
        let panel = Panel {
            id: &format!("{id}-{name}"),
            title,
            finding: format!("peaks at {} simulated, at {} live", millis(simulated), millis(lived)),
            unit: "ms",
            height: 170.0,
            log: true,
            series: series(of, Form::Line, "c3 dash", "c1"),
            names: name == "p99",
            ..Panel::default()
        };
        out.push_str(&draw(sim, &panel, end));
    }
    let (simulated, lived) = peaks(Column::InstancesReady);
    let panel = Panel {
        id: &format!("{id}-fleet"),
        title: "Instances",
        finding: format!("at most {simulated:.0} simulated, {lived:.0} live"),
        unit: "instances",
        height: 140.0,
        series: series(Column::InstancesReady, Form::Step, "c3 dash", "c1"),
        marks: true,
        ..Panel::default()
    };
    out.push_str(&draw(sim, &panel, end));
    out
}
