//! Lines of a recording: inputs, outputs and events as JSON, and inputs back.

use serde_json::{Value, json};

use crate::engine::autoscaler::Manual;
use crate::engine::autoscaler::rules;
use crate::engine::balancer::prequal;
use crate::engine::events::Event;
use crate::engine::input::{Input, Output};
use crate::engine::limiter::Verdict;
use crate::engine::limiter::outside::{Answer, Lapse};
use crate::engine::observation::{FleetObservation, InstanceSample};
use crate::engine::request::{Admission, Completion, InstanceId, Outcome, Permit, Rejection, Request};
use crate::engine::{Command, InstanceState};
use crate::live::control::rules as told;
use crate::scenario::Scenario;
use crate::units::Span;

const OUTCOMES: [(&str, Outcome); 7] = [
    ("success", Outcome::Success),
    ("server_error", Outcome::ServerError),
    ("timeout", Outcome::Timeout),
    ("connection", Outcome::Connection),
    ("queue_full", Outcome::QueueFull),
    ("shed", Outcome::Shed),
    ("abandoned", Outcome::Abandoned),
];

const STATES: [(&str, InstanceState); 3] =
    [("warming", InstanceState::Warming), ("ready", InstanceState::Ready), ("gone", InstanceState::Gone)];

fn name<T: PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, each)| *each == value).map_or("", |(name, _)| name)
}

fn named<T: Copy>(all: &[(&'static str, T)], name: &Value) -> Option<T> {
    all.iter().find(|(each, _)| *name == *each).map(|&(_, value)| value)
}

/// A number as the shortest text that is read back as it was.
fn exact(x: f64) -> Value {
    json!(format!("{x:?}"))
}

fn inexact(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

/// What an engine is told.
pub fn input(input: &Input) -> Value {
    let request = |kind: &str, r: &Request| {
        json!([kind, r.index, r.attempt, r.client, r.endpoint, r.region, r.avoid.map(|id| id.0)])
    };
    match input {
        Input::Adopt => json!(["adopt"]),
        Input::Admit(it) => request("admit", it),
        Input::AdmitTold(it, answer) => {
            let mut told = request("admit_told", it);
            if let Value::Array(parts) = &mut told {
                parts.push(store_answer(answer));
            }
            told
        }
        Input::AdmitHeld(it) => request("admit_held", it),
        Input::AdmitDelayed(it) => request("admit_delayed", it),
        Input::AbandonHeld => json!(["abandon_held"]),
        Input::Completed(it) => {
            let outcome = name(&OUTCOMES, it.outcome);
            json!(["completed", it.instance.0, it.permit.0, it.endpoint, it.is_retry, outcome, it.latency.0])
        }
        Input::Hinted(id, retry_after) => json!(["hinted", id.0, retry_after.0]),
        Input::InstanceChanged(id, state) => json!(["instance", id.0, name(&STATES, *state)]),
        Input::HealthChecked(id, passed) => json!(["health", id.0, passed]),
        Input::Probed(id, answer) => json!(["probed", id.0, answer.rif, answer.latency.0]),
        Input::Scale(Manual::Up(n)) => json!(["scale", "up", n]),
        Input::Scale(Manual::Down(n)) => json!(["scale", "down", n]),
        Input::Scale(Manual::To(n)) => json!(["scale", "to", n]),
        Input::Rules(rules) => json!(["rules", rules.iter().map(told::shown).collect::<Vec<_>>()]),
        Input::Tick(None) => json!(["tick", null]),
        Input::Tick(Some(fleet)) => {
            let sample = |s: &InstanceSample| {
                json!([
                    s.id.0,
                    exact(s.cpu_percent),
                    s.memory_percent.map(exact),
                    exact(s.active),
                    exact(s.queued),
                    exact(s.event_loop_lag_ms)
                ])
            };
            let instances: Vec<Value> = fleet.instances.iter().map(sample).collect();
            json!(["tick", { "instances": instances, "lost": fleet.lost, "held": exact(fleet.held) }])
        }
    }
}

/// What came of asking a store of quotas.
fn store_answer(answer: &Answer) -> Value {
    match answer {
        Answer::Decided { rule, verdict: v, took } => {
            let retry_after = v.retry_after.map(|wait| wait.0);
            json!(["decided", rule, v.allowed, v.limit, v.remaining, retry_after, v.reset_after.0, took.0])
        }
        Answer::Failed { why, took } => json!(["failed", name(&Lapse::ALL, *why), took.0]),
        Answer::Unasked => json!(["unasked"]),
    }
}

fn read_store_answer(said: &Value) -> Option<Answer> {
    let whole = |i: usize| said[i].as_u64();
    let small = |i: usize| whole(i).and_then(|n| u32::try_from(n).ok());
    Some(match said[0].as_str()? {
        "decided" => {
            let retry_after = if said[5].is_null() { None } else { Some(Span(whole(5)?)) };
            let (allowed, reset_after) = (said[2].as_bool()?, Span(whole(6)?));
            let verdict = Verdict { allowed, limit: small(3)?, remaining: small(4)?, retry_after, reset_after };
            Answer::Decided { rule: small(1)?, verdict, took: Span(whole(7)?) }
        }
        "failed" => Answer::Failed { why: named(&Lapse::ALL, &said[1])?, took: Span(whole(2)?) },
        "unasked" => Answer::Unasked,
        _ => return None,
    })
}

/// What a line says that an engine is told; `None`: nothing.
pub fn read_input(line: &Value, scenario: &Scenario) -> Option<Input> {
    let whole = |i: usize| line[i].as_u64();
    let small = |i: usize| whole(i).and_then(|n| u32::try_from(n).ok());
    let short = |i: usize| whole(i).and_then(|n| u16::try_from(n).ok());
    let id = || small(1).map(InstanceId);
    let request = || {
        let avoid = if line[6].is_null() { None } else { Some(InstanceId(small(6)?)) };
        Some(Request {
            index: whole(1)?,
            attempt: small(2)?,
            client: small(3)?,
            endpoint: short(4)?,
            region: short(5)?,
            avoid,
        })
    };
    Some(match line[0].as_str()? {
        "adopt" => Input::Adopt,
        "admit" => Input::Admit(request()?),
        "admit_told" => Input::AdmitTold(request()?, read_store_answer(&line[7])?),
        "admit_held" => Input::AdmitHeld(request()?),
        "admit_delayed" => Input::AdmitDelayed(request()?),
        "abandon_held" => Input::AbandonHeld,
        "completed" => Input::Completed(Completion {
            instance: id()?,
            permit: Permit(small(2)?),
            endpoint: short(3).filter(|&n| usize::from(n) < scenario.service.endpoints.len())?,
            is_retry: line[4].as_bool()?,
            outcome: named(&OUTCOMES, &line[5])?,
            latency: Span(whole(6)?),
        }),
        "hinted" => Input::Hinted(id()?, Span(whole(2)?)),
        "instance" => Input::InstanceChanged(id()?, named(&STATES, &line[2])?),
        "health" => Input::HealthChecked(id()?, line[2].as_bool()?),
        "probed" => Input::Probed(id()?, prequal::Answer { rif: small(2)?, latency: Span(whole(3)?) }),
        "scale" => Input::Scale(match line[1].as_str()? {
            "up" => Manual::Up(small(2)?),
            "down" => Manual::Down(small(2)?),
            "to" => Manual::To(small(2)?),
            _ => return None,
        }),
        "rules" => {
            let rules: Option<Vec<rules::Config>> =
                line[1].as_array()?.iter().map(|rule| told::parse(rule).ok()).collect();
            Input::Rules(rules?)
        }
        "tick" if line[1].is_null() => Input::Tick(None),
        "tick" => {
            let sample = |s: &Value| {
                Some(InstanceSample {
                    id: InstanceId(u32::try_from(s[0].as_u64()?).ok()?),
                    cpu_percent: inexact(&s[1])?,
                    memory_percent: if s[2].is_null() { None } else { Some(inexact(&s[2])?) },
                    active: inexact(&s[3])?,
                    queued: inexact(&s[4])?,
                    event_loop_lag_ms: inexact(&s[5])?,
                })
            };
            let instances: Option<Vec<InstanceSample>> =
                line[1]["instances"].as_array()?.iter().map(sample).collect();
            let (lost, held) = (line[1]["lost"].as_bool()?, inexact(&line[1]["held"])?);
            Input::Tick(Some(FleetObservation { instances: instances?, lost, held }))
        }
        _ => return None,
    })
}

/// What an engine answered.
pub fn output(output: &Output) -> Value {
    let mut said: Vec<Value> = Vec::new();
    said.extend(output.adopted.map(|id| json!(["adopted", id.0])));
    said.extend(output.admission.map(|admission| match admission {
        Admission::Forward { instance, permit } => json!(["forward", instance.0, permit.0]),
        Admission::Hold { until } => json!(["hold", until.0]),
        Admission::Delay { until } => json!(["delay", until.0]),
        Admission::Reject(Rejection::RateLimited { retry_after }) => json!(["rate_limited", retry_after.0]),
        Admission::Reject(Rejection::BreakerOpen { until }) => json!(["breaker_open", until.map(|at| at.0)]),
        Admission::Reject(Rejection::NoReadyInstance) => json!(["no_instance"]),
        Admission::Reject(Rejection::QueueFull) => json!(["queue_full"]),
        Admission::Reject(Rejection::Shed) => json!(["shed"]),
        Admission::Reject(Rejection::QuotaStoreDown) => json!(["quota_store_down"]),
    }));
    said.extend(output.commands.iter().map(|command| match command {
        Command::Launch(id) => json!(["launch", id.0]),
        Command::Drain(id) => json!(["drain", id.0]),
        Command::Terminate(id) => json!(["terminate", id.0]),
        Command::CheckHealth(id) => json!(["check_health", id.0]),
    }));
    Value::Array(said)
}

/// What happened, by name and cause.
pub fn events(events: &[Event]) -> Value {
    Value::Array(events.iter().map(|event| json!([event.at.0, event.kind.name(), event.cause])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let scenario = crate::scenario::parse("live = {}", "it.toml", "".as_ref(), &[]).unwrap();
        let request = Request { index: 7, attempt: 2, client: 3, endpoint: 0, region: 1, avoid: Some(InstanceId(4)) };
        let completion = Completion {
            instance: InstanceId(2),
            permit: Permit(9),
            endpoint: 0,
            is_retry: true,
            outcome: Outcome::Shed,
            latency: Span(12_345),
        };
        let sample = InstanceSample {
            id: InstanceId(0),
            cpu_percent: 0.1 + 0.2,
            memory_percent: None,
            active: 1.0 / 3.0,
            queued: 1e-300,
            event_loop_lag_ms: f64::NAN,
        };
        let fleet = FleetObservation { instances: vec![sample], lost: true, held: 2.5 };
        let rule = told::parse(&json!({ "name": "a", "metric": "error_rate", "operator": "lte", "threshold": 0.1,
            "action": "alert" }));
        let verdict = Verdict {
            allowed: false,
            limit: 10,
            remaining: 0,
            retry_after: Some(Span(77)),
            reset_after: Span(1 << 40),
        };
        let refused = Answer::Decided { rule: 1, verdict, took: Span(9) };
        for it in [
            Input::AdmitTold(request, refused),
            Input::AdmitTold(request, Answer::Failed { why: Lapse::Crowded, took: Span(0) }),
            Input::AdmitTold(request, Answer::Unasked),
            Input::Adopt,
            Input::Admit(request),
            Input::AdmitHeld(Request { avoid: None, ..request }),
            Input::AdmitDelayed(request),
            Input::AbandonHeld,
            Input::Completed(completion),
            Input::Hinted(InstanceId(1), Span(7)),
            Input::InstanceChanged(InstanceId(1), InstanceState::Gone),
            Input::HealthChecked(InstanceId(1), false),
            Input::Probed(InstanceId(1), prequal::Answer { rif: 3, latency: Span(5) }),
            Input::Scale(Manual::To(3)),
            Input::Rules(vec![rule.unwrap()]),
            Input::Tick(None),
            Input::Tick(Some(fleet)),
        ] {
            let written = input(&it).to_string();
            let read = read_input(&serde_json::from_str(&written).unwrap(), &scenario).expect(&written);
            assert_eq!(format!("{read:?}"), format!("{it:?}"));
        }
    }
}
