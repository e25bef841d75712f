//! `wavetank explain`: why it scaled, and why not.
//!
//! Works on `report.json` alone. Three parts: every scaling action with its delay split into what had to happen first; what
//! held the autoscaler when it wanted to act, and when that would have cleared; and every stretch in which there were too few
//! instances, with the rule that was nearest to doing something about it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde_json::Value;

use super::args::ExplainArgs;
use super::exit::{Exit, Failure, OrExit};
use crate::units::{Span, Time};

/// Explains a report.
pub fn explain(args: ExplainArgs) -> Result<Exit, Failure> {
    let path = if args.report.is_dir() { args.report.join("report.json") } else { args.report.clone() };
    let report = read(&path).or_bad_input()?;
    let window = Window { from: seconds(args.from).unwrap_or(0.0), to: seconds(args.to).unwrap_or(f64::INFINITY) };
    let explanation = Explanation::of(&report, &window);
    let text = if args.json { explanation.json().to_string() + "\n" } else { explanation.text(&report) };
    // A closed pipe is the reader's choice, not a failure.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Done)
}

fn read(path: &PathBuf) -> anyhow::Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not a report.json", path.display()))?;
    match report["schema"].as_str() {
        Some("wavetank.report/1") => Ok(report),
        Some(other) => Err(anyhow!("{}: found the schema {other:?}, expected \"wavetank.report/1\"", path.display())),
        None => Err(anyhow!("{}: JSON, but no wavetank report: it has no \"schema\"", path.display())),
    }
}

fn seconds(span: Option<Span>) -> Option<f64> {
    span.map(Span::as_secs_f64)
}

struct Window {
    from: f64,
    to: f64,
}

/// A scaling action and where its time went.
struct Action {
    at: f64,
    up: bool,
    from: u64,
    to: u64,
    cause: String,
    /// Part and length \[s\], in the order in which they passed.
    parts: Vec<(&'static str, f64)>,
}

/// A hold: somebody wanted to act.
struct Hold {
    at: f64,
    rule: String,
    from: u64,
    to: u64,
    cause: String,
    /// Reason, and when it clears \[s\].
    blocked: Vec<(String, Option<f64>)>,
}

/// A stretch with too few instances.
struct Shortage {
    from: f64,
    to: f64,
    missing: f64,
    nearest: Option<String>,
    first_action: Option<f64>,
}

struct Explanation {
    actions: Vec<Action>,
    holds: Vec<Hold>,
    shortages: Vec<Shortage>,
}

impl Explanation {
    fn of(report: &Value, window: &Window) -> Explanation {
        let none = Vec::new();
        let events = report["events"].as_array().unwrap_or(&none);
        let inside = |event: &&Value| number(&event["t"]).is_some_and(|t| t >= window.from && t <= window.to);
        let of_kind = |kinds: &'static [&str]| {
            events.iter().filter(inside).filter(move |event| kinds.contains(&text(&event["kind"])))
        };
        let actions: Vec<Action> =
            of_kind(&["scaled_up", "scaled_down"]).filter_map(|event| action(event, events)).collect();
        let holds = of_kind(&["held"]).filter_map(hold).collect();
        let shortages = shortages(report, window, events);
        Explanation { actions, holds, shortages }
    }

    fn text(&self, report: &Value) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}: why it scaled, and why not\n", text(&report["scenario"]["name"]));
        if self.actions.is_empty() {
            out.push_str("It never scaled.\n");
        }
        for action in &self.actions {
            let word = if action.up { "up  " } else { "down" };
            let _ =
                writeln!(out, "{:>9}  {word} {} → {}  {}", clock(action.at), action.from, action.to, action.cause);
            let parts: Vec<String> = action.parts.iter().map(|(name, s)| format!("{name} {}", clock(*s))).collect();
            if !parts.is_empty() {
                let total: f64 = action.parts.iter().map(|(_, s)| s).sum();
                let _ = writeln!(out, "           {} = {} in all", parts.join(" + "), clock(total));
            }
        }
        if !self.shortages.is_empty() {
            out.push_str("\nToo few instances:\n");
        }
        for each in &self.shortages {
            let _ = write!(
                out,
                "{:>9}  for {}, up to {:.0} missing",
                clock(each.from),
                clock(each.to - each.from),
                each.missing
            );
            let _ = match (each.first_action, &each.nearest) {
                (Some(at), _) => writeln!(out, "; the first scale-up came after {}", clock(at - each.from)),
                (None, Some(nearest)) => writeln!(out, "; nothing was added: {nearest}"),
                (None, None) => writeln!(out, "; nothing was added: no rule had a value to act on"),
            };
        }
        if !self.holds.is_empty() {
            out.push_str("\nWanted to act, and was held:\n");
        }
        for hold in &self.holds {
            let _ = writeln!(out, "{:>9}  {} {} → {}: {}", clock(hold.at), hold.rule, hold.from, hold.to, hold.cause);
            for (reason, clears) in &hold.blocked {
                let until = clears.map_or(String::new(), |at| format!(", would clear at {}", clock(at)));
                let _ = writeln!(out, "           held by {reason}{until}");
            }
        }
        out
    }

    fn json(&self) -> Value {
        let action = |a: &Action| {
            let parts: serde_json::Map<String, Value> =
                a.parts.iter().map(|(name, s)| (name.replace([' ', '-'], "_"), Value::from(*s))).collect();
            serde_json::json!({ "t": a.at, "direction": if a.up { "up" } else { "down" }, "from": a.from, "to": a.to,
                "cause": a.cause, "delay_seconds": parts })
        };
        let hold = |h: &Hold| {
            let blocked: Vec<Value> = h
                .blocked
                .iter()
                .map(|(reason, at)| serde_json::json!({ "reason": reason, "clears_at": at }))
                .collect();
            serde_json::json!({ "t": h.at, "rule": h.rule, "from": h.from, "to": h.to, "cause": h.cause, "blocked": blocked })
        };
        let shortage = |s: &Shortage| {
            serde_json::json!({ "from": s.from, "to": s.to, "missing": s.missing, "nearest": s.nearest,
                "first_scale_up": s.first_action })
        };
        serde_json::json!({
            "actions": self.actions.iter().map(action).collect::<Vec<_>>(),
            "shortages": self.shortages.iter().map(shortage).collect::<Vec<_>>(),
            "holds": self.holds.iter().map(hold).collect::<Vec<_>>(),
        })
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn clock(seconds: f64) -> String {
    Time::from_secs_f64(seconds).to_string()
}

fn action(event: &Value, events: &[Value]) -> Option<Action> {
    let up = text(&event["kind"]) == "scaled_up";
    let at = number(&event["t"])?;
    let mut parts = Vec::new();
    let timing = &event["timing"];
    if let (Some(sampled), Some(since), Some(held), Some(ripe), Some(fired)) = (
        number(&timing["sampled_at"]),
        number(&timing["since"]),
        number(&timing["held_at"]),
        number(&timing["ripe_at"]),
        number(&timing["fired_at"]),
    ) {
        parts.extend([
            ("metric delay", since - sampled),
            ("persistence", held - since),
            ("tick", ripe - held),
            ("cooldown", fired - ripe),
        ]);
    }
    if up {
        let launched: Vec<u64> =
            event["instances"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        // The last of the ordered instances counts: until then the order is not filled.
        let is_ready = |event: &&Value| {
            text(&event["kind"]) == "instance_ready"
                && event["instance"].as_u64().is_some_and(|id| launched.contains(&id))
        };
        let last_of = |warming: bool| {
            events
                .iter()
                .filter(is_ready)
                .filter(|event| event["warming"].as_bool() == Some(warming))
                .filter_map(|event| number(&event["t"]))
                .reduce(f64::max)
        };
        match (last_of(true), last_of(false)) {
            (Some(up), Some(warm)) => parts.extend([("boot", up - at), ("warm-up", warm - up)]),
            (Some(up), None) | (None, Some(up)) => parts.push(("boot", up - at)),
            (None, None) => {}
        }
    }
    parts.retain(|(_, length)| *length > 0.0);
    Some(Action {
        at,
        up,
        from: event["from"].as_u64()?,
        to: event["to"].as_u64()?,
        cause: text(&event["cause"]).to_string(),
        parts,
    })
}

fn hold(event: &Value) -> Option<Hold> {
    let block = |block: &Value| (text(&block["reason"]).to_string(), number(&block["clears_at"]));
    Some(Hold {
        at: number(&event["t"])?,
        rule: text(&event["rule"]).to_string(),
        from: event["from"].as_u64()?,
        to: event["to"].as_u64()?,
        cause: text(&event["cause"]).to_string(),
        blocked: event["blocked"].as_array().into_iter().flatten().map(block).collect(),
    })
}

/// Stretches of the timeline in which fewer instances took traffic than were needed; those that are shorter than three steps or a
/// minute apart are joined or left out, for they are noise.
fn shortages(report: &Value, window: &Window, events: &[Value]) -> Vec<Shortage> {
    let columns = &report["timeline"]["columns"];
    let column = |name: &str| -> Vec<f64> {
        columns[name].as_array().into_iter().flatten().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
    };
    let (t, needed, ready) = (column("t"), column("needed"), column("instances_ready"));
    let step = number(&report["timeline"]["step_seconds"]).unwrap_or(1.0);
    let mut stretches: Vec<Shortage> = Vec::new();
    for i in 0..t.len().min(needed.len()).min(ready.len()) {
        let missing = (needed[i] - ready[i]).ceil();
        if !(missing >= 1.0 && t[i] >= window.from && t[i] <= window.to) {
            continue;
        }
        match stretches.last_mut() {
            Some(last) if t[i] - last.to <= 60.0 => {
                last.to = t[i] + step;
                last.missing = last.missing.max(missing);
            }
            _ => stretches.push(Shortage { from: t[i], to: t[i] + step, missing, nearest: None, first_action: None }),
        }
    }
    stretches.retain(|each| each.to - each.from >= 3.0 * step);
    for each in &mut stretches {
        let within = |event: &&Value| number(&event["t"]).is_some_and(|at| at >= each.from && at <= each.to);
        each.first_action =
            events.iter().filter(within).find(|e| text(&e["kind"]) == "scaled_up").and_then(|e| number(&e["t"]));
        let until = |event: &&Value| number(&event["t"]).is_some_and(|at| at <= each.to);
        let last = events.iter().filter(until).rfind(|e| matches!(text(&e["kind"]), "nearest" | "held"));
        each.nearest = last.map(|event| {
            let blocked: Vec<&str> =
                event["blocked"].as_array().into_iter().flatten().map(|block| text(&block["reason"])).collect();
            match blocked.is_empty() {
                true => text(&event["cause"]).to_string(),
                false => format!("{} wanted to, held by {}", text(&event["rule"]), blocked.join(", ")),
            }
        });
    }
    stretches
}
