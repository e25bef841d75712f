//! The autoscaler of a managed instance group.

use super::{Table, level, list, named, number, span, text};
use crate::engine::autoscaler::gcp::{Config, Mode, Replicas, Signal};

pub(super) fn table(t: &mut Table, config: &Config) {
    let default = Config::new(Vec::new());
    t.put("kind", "\"gcp\"");
    t.put("name", text(&config.name));
    let signal = |signal: &Signal| {
        let mut t = Table::default();
        t.put("metric", text(signal.metric.name()));
        t.put("target", level(signal.target, signal.metric));
        t
    };
    t.put("signals", list(config.signals.iter().map(signal)));
    t.differ("initialization_period", &config.initialization_period, &default.initialization_period, span);
    t.differ("stabilization_period", &config.stabilization_period, &default.stabilization_period, span);
    if let Some(control) = &config.scale_in_control {
        let replicas = match control.max_scaled_in_replicas {
            Replicas::Fixed(n) => n.to_string(),
            Replicas::Percent(percent) => format!("\"{}%\"", number(&percent)),
        };
        let window = span(&control.time_window);
        t.put("scale_in_control", format!("{{ max_scaled_in_replicas = {replicas}, time_window = {window} }}"));
    }
    t.differ("mode", &config.mode, &default.mode, |x| named(&Mode::ALL, x));
}
