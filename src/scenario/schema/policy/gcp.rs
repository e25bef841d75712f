//! `kind = "gcp"`: the autoscaler of a managed instance group.

use super::name;
use crate::engine::autoscaler::gcp::{Config, Mode, Replicas, ScaleInControl, Signal};
use crate::scenario::reader::{Field, Section};
use crate::scenario::schema::autoscaler::{level, metric};

pub(super) fn gcp(s: &Section, names: &mut Vec<String>) -> Option<Config> {
    let signals = s.required("signals", "signals = [{ metric = \"cpu_utilization\", target = 60 }]", signals);
    let initialization = s.optional("initialization_period", Field::span);
    let stabilization = s.optional("stabilization_period", Field::span);
    let control = s.optional("scale_in_control", control);
    let mode = s.or("mode", Mode::default(), |f| f.choice(&Mode::ALL));
    let mut config = Config::new(signals?);
    config.initialization_period = initialization.unwrap_or(config.initialization_period);
    config.stabilization_period = stabilization.unwrap_or(config.stabilization_period);
    config.scale_in_control = control;
    config.mode = mode;
    config.name = name(s, &config.name, names)?;
    Some(config)
}

fn signals(field: &Field) -> Option<Vec<Signal>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit("at least one signal");
    }
    let signal = |s: &Section| {
        let metric = s.required("metric", "metric = \"cpu_utilization\"", metric);
        let target = s.field("target");
        if target.is_none() {
            s.missing("target", "target = 60");
        }
        let target = target.zip(metric).and_then(|(field, metric)| match level(&field, metric)? {
            0.0 => field.unfit("a target above 0"),
            target => Some(target),
        });
        Some(Signal { metric: metric?, target: target? })
    };
    let signals: Vec<Option<Signal>> = elements.iter().map(|element| element.section(signal)).collect();
    signals.into_iter().collect()
}

fn control(field: &Field) -> Option<ScaleInControl> {
    field.section(|s| {
        let replicas = s.required("max_scaled_in_replicas", "max_scaled_in_replicas = 10", |f| {
            let percent = f.raw_text().and_then(|text| text.trim().strip_suffix('%')?.trim().parse::<f64>().ok());
            match percent {
                Some(percent) if (0.0..=100.0).contains(&percent) => Some(Replicas::Percent(percent)),
                _ if f.is_text() => f.unfit("a number of instances, or a percentage such as \"10%\""),
                _ => f.count(0).map(Replicas::Fixed),
            }
        });
        let window = s.required("time_window", "time_window = \"10m\"", Field::positive_span);
        Some(ScaleInControl { max_scaled_in_replicas: replicas?, time_window: window? })
    })
}
