//! The sentences that every form has.

use super::Told;
use crate::report::figure::short;
use crate::report::verdict::millis;
use crate::tune::confirm::Advice;
use crate::tune::judge::{Goal, Safety, Sample, Score, Standing};
use crate::tune::laboratory::Stress;
use crate::tune::search::Candidate;

/// Cost of a day.
pub fn cost(x: &Told, cost: f64) -> String {
    if x.priced { short(cost) } else { format!("{} h", short(cost)) }
}

/// The unit of costs.
pub fn cost_unit(x: &Told) -> &'static str {
    if x.priced { "cost a day" } else { "instance-hours a day" }
}

/// A relative change, with its sign.
pub fn percent_change(log: f64) -> String {
    let change = (log.exp() - 1.0) * 100.0;
    format!("{}{:.1} %", if change > 0.0 { "+" } else { "−" }, change.abs())
}

/// A difference of milliseconds, with its sign.
fn millis_change(ms: f64) -> String {
    format!("{}{}", if ms > 0.0 { "+" } else { "−" }, millis(ms.abs()))
}

/// Mean p99 of runs \[ms\].
pub fn p99(samples: &[Sample]) -> Option<f64> {
    let all: Option<Vec<f64>> = samples.iter().map(|sample| sample.outcome.p99_ms).collect();
    all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
}

/// Mean availability of runs.
pub fn availability(samples: &[Sample]) -> Option<f64> {
    let all: Option<Vec<f64>> = samples.iter().map(|sample| sample.outcome.availability).collect();
    all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
}

/// What a candidate is called.
pub fn name(x: &Told, candidate: usize) -> String {
    match candidate {
        0 => "present".to_string(),
        c if c == x.tuned.confirmed().candidate => format!("candidate {c} (recommended)"),
        c => format!("candidate {c}"),
    }
}

/// The settings of a candidate in short: the ends of paths that tell them apart.
pub fn settings(x: &Told, candidate: &Candidate) -> String {
    if candidate.settings.is_empty() {
        return "as it is".to_string();
    }
    assigned(x, candidate.settings.iter().map(|(path, value)| (path.as_str(), value.to_string())))
}

/// Settings in a line, by their short names.
fn assigned<'p>(x: &Told, settings: impl Iterator<Item = (&'p str, String)>) -> String {
    let all: Vec<String> = settings.map(|(path, value)| format!("{}={value}", key(x, path))).collect();
    all.join(" ").replace('"', "")
}

/// The shortest end of a path that no other varied setting shares, but at least its last two parts where it is a rule's.
pub fn key<'p>(x: &Told, path: &'p str) -> &'p str {
    let space = &x.question.space;
    let others = || space.free.iter().chain(&space.tied).map(|d| d.path.as_str()).filter(|other| *other != path);
    let dots: Vec<usize> = path.rmatch_indices('.').map(|(i, _)| i).collect();
    let least = if path.contains(".rule.") { 1 } else { 0 };
    for &dot in dots.iter().skip(least) {
        let end = &path[dot..];
        if !others().any(|other| other.ends_with(end)) {
            return &path[dot + 1..];
        }
    }
    path
}

/// What a standing says, with its margin or its gap.
pub fn standing(x: &Told, standing: &Standing) -> String {
    let goal = &x.question.rules.goals[standing.goal];
    let day = standing.day.map_or(String::new(), |day| format!(" on {}", day_name(x, day)));
    let (observed, bound) =
        (goal.observed_at(standing.center), goal.observed_at(standing.high(x.tuned.confirmation.confidence)));
    format!(
        "{}{day} {} (bound {}, target {})",
        goal.name(),
        goal.show(observed),
        goal.show(bound),
        goal.show(goal.bound())
    )
}

fn day_name<'a>(x: &'a Told, day: usize) -> &'a str {
    let all: Vec<&str> = x.days.searched.iter().chain(&x.days.held_out).map(|day| day.name.as_str()).collect();
    all.get(day).copied().unwrap_or("")
}

/// What was found, in a sentence or two.
pub fn headline(x: &Told) -> String {
    let tuned = x.tuned;
    let candidate = tuned.candidate();
    match tuned.advice {
        Advice::Keep => {
            let safe = tuned.confirmation.present().safety == Safety::Safe;
            let holds = if safe { "it holds the targets" } else { "nothing else holds them better" };
            format!("Keep what you have: {holds}, and no setting is cheaper for sure.")
        }
        Advice::NoneHolds(_) => {
            let confidence = tuned.confirmation.confidence;
            let binding = tuned
                .confirmed()
                .score
                .standings
                .iter()
                .max_by(|a, b| a.high(confidence).total_cmp(&b.high(confidence)));
            let why = binding.map_or(String::new(), |binding| format!(": {}", standing(x, binding)));
            let which =
                if candidate.settings.is_empty() { "the present one".to_string() } else { settings(x, candidate) };
            format!("No setting holds the targets on what it has not seen. The least unsafe is {which}{why}.")
        }
        Advice::Change(_) => {
            let change = tuned.saving.map_or(String::new(), |saving| {
                let (low, high) = saving.interval(0.95);
                format!(
                    ": {} of the cost ({} to {})",
                    percent_change(saving.center),
                    percent_change(low),
                    percent_change(high)
                )
            });
            let before = p99(&tuned.confirmation.present().samples);
            let slower = match (before, p99(&tuned.confirmed().samples)) {
                (Some(before), Some(after)) => format!(", p99 {}", millis_change(after - before)),
                _ => String::new(),
            };
            let money = (tuned.confirmation.present().score.cost, tuned.confirmed().score.cost);
            let also = if tuned.confirmation.present().safety == Safety::Safe {
                ""
            } else {
                ". The present setting does not hold its targets"
            };
            let changes = changes(x);
            let what = match changes.len() {
                0..4 => assigned(x, changes.iter().map(|(path, _, to)| (path.as_str(), to.clone()))),
                n => format!("change {n} settings"),
            };
            format!("{what}{change}{slower}; {} instead of {} a day{also}.", cost(x, money.1), cost(x, money.0))
        }
    }
}

/// Each setting that changes, from and to.
pub fn changes(x: &Told) -> Vec<(String, String, String)> {
    let present = |path: &str| {
        x.present
            .iter()
            .find(|(each, _)| each == path)
            .and_then(|(_, value)| value.clone())
            .unwrap_or_else(|| "not set".into())
    };
    x.tuned
        .candidate()
        .settings
        .iter()
        .map(|(path, value)| (path.clone(), present(path), value.to_string()))
        .filter(|(_, from, to)| from != to)
        .collect()
}

/// What a reader has to know besides.
pub fn notes(x: &Told) -> Vec<String> {
    let tuned = x.tuned;
    let mut notes = vec![x.days.note.clone()];
    let equivalent: Vec<String> = tuned
        .equivalent
        .iter()
        .filter(|&&i| i != tuned.recommended())
        .map(|&i| settings(x, &tuned.found.candidates[tuned.confirmation.all[i].candidate]))
        .collect();
    if !equivalent.is_empty() && matches!(tuned.advice, Advice::Change(_)) {
        notes.push(format!("as cheap within {:.1} %: {}", x.question.precision * 100.0, equivalent.join("; ")));
    }
    let recommended = tuned.recommended();
    for &i in &tuned.on_cliffs {
        let which = settings(x, &tuned.found.candidates[tuned.confirmation.all[i].candidate]);
        notes.push(match i == recommended {
            true => {
                format!("{which} stands on a cliff, as all that were looked at: a small step misses a target by far")
            }
            false => format!("passed over, as it stands on a cliff (a small step misses a target by far): {which}"),
        });
    }
    let dull = tuned.importance.iter().filter(|each| !each.matters()).map(|each| each.path.as_str());
    let dull: Vec<&str> = dull.collect();
    // The end of what makes no difference is none.
    for (path, end) in tuned.at_edge.iter().filter(|(path, _)| !dull.contains(&path.as_str())) {
        notes.push(format!("{} is at an end of its range, {end}: the optimum may be outside", key(x, path)));
    }
    // What was changed all the same was cheaper so on what nobody had seen.
    let changes = changes(x);
    let left = dull.into_iter().filter(|path| !changes.iter().any(|(changed, ..)| changed == path));
    let left: Vec<&str> = left.map(|path| key(x, path)).collect();
    if !left.is_empty() {
        notes.push(format!("does not matter here, leave it: {}", left.join(", ")));
    }
    let broken: Vec<String> = tuned
        .stressed
        .iter()
        .filter(|(_, score)| score.worst(0.0) > 0.0)
        .map(|(stress, score)| format!("{} ({})", stress.name(), missed(x, score)))
        .collect();
    notes.push(match broken.is_empty() {
        true => format!("it still holds with {}", Stress::TRIED.map(Stress::name).join(", ")),
        false => format!("it does not hold any more with {}", broken.join(", ")),
    });
    if tuned.found.refused > 0 {
        notes.push(format!("{} points were not possible and cost nothing", tuned.found.refused));
    }
    notes
}

/// The target that is missed most, with what was observed.
pub fn missed(x: &Told, score: &Score) -> String {
    score.binding(0.0).map_or(String::new(), |standing| {
        let goal: &Goal = &x.question.rules.goals[standing.goal];
        format!("{} {}", goal.name(), goal.show(goal.observed_at(standing.center)))
    })
}
