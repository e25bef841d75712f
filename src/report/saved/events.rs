//! Events, read back.

use super::At;
use crate::engine::analyzer::advice::Advice;
use crate::engine::analyzer::verdict::{Class, Evidence, Verdict};
use crate::engine::events::{Block, Event, EventKind, Scaling, Spike, Stage, Timing, Wish};
use crate::engine::request::InstanceId;

/// Every event of a kind that is known.
pub(super) fn events(at: &At) -> Result<Vec<Event>, String> {
    let Some(items) = at.value.as_array() else { return at.unfit("an array") };
    let mut events = Vec::with_capacity(items.len());
    for value in items {
        let at = At { value, path: "events" };
        if let Some(kind) = kind(&at)? {
            events.push(Event { at: at.at("t").time()?, kind, cause: at.at("cause").text()?.to_string() });
        }
    }
    Ok(events)
}

fn kind(at: &At) -> Result<Option<EventKind>, String> {
    let text = |key| at.at(key).text().map(str::to_string);
    let instance = || at.at("instance").count().map(InstanceId);
    Ok(Some(match at.at("kind").text()? {
        "scaled_up" => EventKind::ScaledUp(scaling(at)?),
        "scaled_down" => EventKind::ScaledDown(scaling(at)?),
        "held" => EventKind::Held {
            rule: text("rule")?,
            from: at.at("from").count()?,
            to: at.at("to").count()?,
            blocked: at.list("blocked", |at| {
                Ok(Block {
                    reason: at.at("reason").text()?.to_string(),
                    clears_at: at.at("clears_at").optional(At::time)?,
                })
            })?,
        },
        "nearest" => EventKind::Nearest {
            rule: text("rule")?,
            value: at.at("value").optional(At::number)?.unwrap_or(f64::NAN),
            threshold: at.at("threshold").number()?,
            held_for: at.at("held_for").span()?,
        },
        "rule_opened_breaker" => EventKind::RuleOpenedBreaker { rule: text("rule")? },
        "alert" => EventKind::Alert { rule: text("rule")? },
        "instance_launched" => EventKind::InstanceLaunched { instance: instance()? },
        "instance_ready" => EventKind::InstanceReady {
            instance: instance()?,
            warming: at.at("warming").value.as_bool().unwrap_or(false),
        },
        "instance_draining" => EventKind::InstanceDraining { instance: instance()? },
        "instance_gone" => EventKind::InstanceGone { instance: instance()? },
        "instance_unhealthy" => EventKind::InstanceUnhealthy { instance: instance()? },
        "instance_healthy" => EventKind::InstanceHealthy { instance: instance()? },
        "hold_began" => EventKind::HoldBegan,
        "buffer_joined" => EventKind::BufferJoined { limit: at.at("limit").count()? },
        "buffer_left" => EventKind::BufferLeft,
        "hold_ended" => EventKind::HoldEnded {
            requests: at.at("requests").count()?,
            abandoned: at.at("abandoned").count()?,
            lasted: at.at("lasted").span()?,
        },
        "instance_ejected" => EventKind::InstanceEjected {
            instance: instance()?,
            length: at.at("length").span()?,
            row: at.at("row").count()?,
        },
        "instance_readmitted" => {
            EventKind::InstanceReadmitted { instance: instance()?, after: at.at("after").span()? }
        }
        "panic_began" => {
            EventKind::PanicBegan { healthy: at.at("healthy").count()?, initialised: at.at("initialised").count()? }
        }
        "panic_ended" => {
            EventKind::PanicEnded { healthy: at.at("healthy").count()?, initialised: at.at("initialised").count()? }
        }
        "regime_changed" => {
            EventKind::RegimeChanged { from_rps: at.at("from_rps").number()?, to_rps: at.at("to_rps").number()? }
        }
        "anomaly" => EventKind::Anomaly { score: at.at("score").number()?, rps: at.at("rps").number()? },
        "breaker_opened" => EventKind::BreakerOpened { scope: text("scope")?, open_for: at.at("open_for").span()? },
        "breaker_half_open" => EventKind::BreakerHalfOpen { scope: text("scope")? },
        "breaker_closed" => EventKind::BreakerClosed { scope: text("scope")? },
        "spike_detected" => EventKind::SpikeDetected(spike(at)?),
        "spike_ended" => EventKind::SpikeEnded(spike(at)?),
        "quota_store_lost" => EventKind::QuotaStoreLost,
        "quota_store_back" => EventKind::QuotaStoreBack { after: at.at("after").span()? },
        "fault_started" => {
            EventKind::FaultStarted { fault: text("fault")?, until: at.at("until").optional(At::time)? }
        }
        "fault_ended" => EventKind::FaultEnded { fault: text("fault")? },
        _ => return Ok(None),
    }))
}

fn scaling(at: &At) -> Result<Scaling, String> {
    let timing = at.at("timing").optional(|at| {
        Ok(Timing {
            sampled_at: at.at("sampled_at").time()?,
            since: at.at("since").time()?,
            held_at: at.at("held_at").time()?,
            ripe_at: at.at("ripe_at").time()?,
            fired_at: at.at("fired_at").time()?,
        })
    });
    let stage = |at: At| {
        Ok(Stage {
            stage: at.at("stage").text()?.to_string().into(),
            input: at.at("input").count()?,
            output: at.at("output").count()?,
            reason: at.at("reason").text()?.to_string(),
        })
    };
    Ok(Scaling {
        rule: at.at("rule").text()?.to_string(),
        from: at.at("from").count()?,
        to: at.at("to").count()?,
        instances: at.list("instances", |at| at.count().map(InstanceId))?,
        stages: at.list("stages", stage)?,
        timing: timing?,
        observed: at.at("observed").optional(At::number)?,
        // Earlier reports have none.
        wishes: if at.value["proposals"].is_array() { at.list("proposals", wish)? } else { Vec::new() },
    })
}

fn wish(at: At) -> Result<Wish, String> {
    Ok(Wish {
        policy: at.at("policy").text()?.to_string(),
        raw: at.at("raw").count()?,
        wanted: at.at("wanted").optional(At::count)?,
        cap: at.at("cap").optional(At::count)?,
        cause: at.at("cause").text()?.to_string(),
    })
}

fn spike(at: &At) -> Result<Spike, String> {
    Ok(Spike {
        id: at.at("id").count()?,
        started_at: at.at("started_at").time()?,
        baseline_rps: at.at("baseline_rps").number()?,
        peak_rps: at.at("peak_rps").number()?,
        magnitude: at.at("magnitude").number()?,
        drop: at.at("direction").text()? == "drop",
        verdict: if at.value["class"].is_string() { Some(verdict(at)?) } else { None },
        advice: if at.value["advice"].is_array() { at.list("advice", advice)? } else { Vec::new() },
    })
}

fn verdict(at: &At) -> Result<Verdict, String> {
    let evidence = &at.value["evidence"];
    Ok(Verdict {
        class: Class::from_name(at.at("class").text()?),
        score: at.at("score").number()?,
        confidence: at.at("confidence").number()?,
        evidence: Evidence::from_pieces(|name| evidence[name].as_f64()),
        // Not written down: it is in the text of the advice.
        dominant: 0.0,
    })
}

fn advice(at: At) -> Result<Advice, String> {
    Ok(Advice {
        id: at.at("id").text()?.to_string().into(),
        setting: at.at("setting").optional(|at| at.text().map(|text| text.to_string().into()))?,
        value: at.at("value").optional(At::number)?,
        text: at.at("text").text()?.to_string(),
    })
}
