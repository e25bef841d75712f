//! `[[autoscaler.policy]]`, a file for each kind.

mod ahead;
mod aws;
mod azure;
mod gcp;
mod hpa;
mod keda;
mod kpa;
mod nomad;
mod schedule;

pub(crate) use ahead::acquaint;

use super::autoscaler::{level, metric, name_of};
use super::service::unique;
use crate::engine::autoscaler::{Policy, rules, target_tracking};
use crate::scenario::reader::{Field, Section};
use crate::units::Span;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    TargetTracking,
    Hpa,
    Kpa,
    Step,
    Simple,
    AwsTargetTracking,
    Keda,
    NomadTargetValue,
    NomadThreshold,
    Schedule,
    Gcp,
    Azure,
    Queueing,
    Predictive,
    Slo,
}

pub(super) fn policies(field: &Field, rules: &[rules::Config]) -> Option<Vec<Policy>> {
    let mut names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
    let elements = field.elements()?;
    let policies: Vec<Option<Policy>> =
        elements.iter().map(|element| element.section(|s| policy(s, &mut names))).collect();
    policies.into_iter().collect()
}

fn policy(s: &Section, names: &mut Vec<String>) -> Option<Policy> {
    let kinds = [
        ("target_tracking", Kind::TargetTracking),
        ("hpa", Kind::Hpa),
        ("kpa", Kind::Kpa),
        ("step", Kind::Step),
        ("simple", Kind::Simple),
        ("aws_target_tracking", Kind::AwsTargetTracking),
        ("keda", Kind::Keda),
        ("nomad_target_value", Kind::NomadTargetValue),
        ("nomad_threshold", Kind::NomadThreshold),
        ("schedule", Kind::Schedule),
        ("gcp", Kind::Gcp),
        ("azure", Kind::Azure),
        ("queueing", Kind::Queueing),
        ("predictive", Kind::Predictive),
        ("slo", Kind::Slo),
    ];
    let kind = s.required("kind", "kind = \"target_tracking\"", |f| f.choice(&kinds));
    let Some(kind) = kind else { return s.give_up() };
    s.is_of_kind(format!("kind = {:?}", name_of(&kinds, kind)));
    match kind {
        Kind::TargetTracking => target_tracking(s, names).map(Policy::TargetTracking),
        Kind::Hpa => hpa::hpa(s, names).map(Policy::Hpa),
        Kind::Kpa => kpa::kpa(s, names).map(Policy::Kpa),
        Kind::Step => aws::step(s, names).map(Policy::Step),
        Kind::Simple => aws::simple(s, names).map(Policy::Simple),
        Kind::AwsTargetTracking => aws::target_tracking(s, names).map(Policy::AwsTargetTracking),
        Kind::Keda => keda::keda(s, names).map(Policy::Keda),
        Kind::NomadTargetValue => nomad::target_value(s, names).map(Policy::Nomad),
        Kind::NomadThreshold => nomad::threshold(s, names).map(Policy::Nomad),
        Kind::Schedule => schedule::schedule(s, names).map(Policy::Schedule),
        Kind::Gcp => gcp::gcp(s, names).map(Policy::Gcp),
        Kind::Azure => azure::azure(s, names).map(Policy::Azure),
        Kind::Queueing => ahead::queueing(s, names).map(Policy::Queueing),
        Kind::Predictive => ahead::predictive(s, names).map(Policy::Predictive),
        Kind::Slo => ahead::slo(s, names).map(Policy::Slo),
    }
}

/// The name of a policy: what the file says, or `base`, or `base_2`, `base_3`, … if that is taken.
fn name(s: &Section, base: &str, names: &mut Vec<String>) -> Option<String> {
    match s.field("name") {
        Some(field) => unique(&field, names),
        None => Some(free_name(base, names)),
    }
}

fn target_tracking(s: &Section, names: &mut Vec<String>) -> Option<target_tracking::Config> {
    let metric = s.required("metric", "metric = \"cpu_utilization\"", metric);
    let target = s.field("target");
    if target.is_none() {
        s.missing("target", "target = 60");
    }
    let target = target.zip(metric).and_then(|(field, metric)| match level(&field, metric)? {
        0.0 => field.unfit("a target above 0"),
        target => Some(target),
    });
    let tolerance = s.optional("tolerance", Field::ratio);
    let scale_in = s.optional("scale_in", Field::boolean);
    let window = s.optional("stabilization_window", Field::span);
    let mut config = target_tracking::Config::new(metric?, target?);
    config.name = name(s, &config.name, names)?;
    config.tolerance = tolerance.unwrap_or(config.tolerance);
    config.scale_in = scale_in.unwrap_or(config.scale_in);
    config.stabilization_window = window.unwrap_or(config.stabilization_window);
    Some(config)
}

/// `base`, or `base_2`, `base_3`, … if that is taken; it joins `names`.
fn free_name(base: &str, names: &mut Vec<String>) -> String {
    let numbered = (2..).map(|n| format!("{base}_{n}"));
    let name = std::iter::once(base.to_string())
        .chain(numbered)
        .find(|name| !names.contains(name))
        .expect("there are more numbers than names");
    names.push(name.clone());
    name
}

/// A duration of at least `least` and at most `most`.
fn span_within(field: &Field, least: Span, most: Span) -> Option<Span> {
    match field.span()? {
        span if span >= least && span <= most => Some(span),
        _ => field.unfit(format!("a duration from {least} to {most}")),
    }
}
