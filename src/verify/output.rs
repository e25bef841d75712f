//! What is told of a verification: as text, Markdown, JSON and a page.

mod html;
mod json;
mod markdown;
mod text;

use super::{Figure, Finding, Trial, Verdict, decisions};
use crate::report::verdict::millis;

pub use html::html;
pub use json::json;
pub use markdown::markdown;
pub use text::console;

/// What a trial shows, in a line.
pub(super) fn title(trial: &Trial) -> String {
    let findings = trial.findings();
    let error = |figure: Figure| {
        let found = findings.iter().find(|finding| finding.figure == figure);
        found.and_then(|finding| finding.error).map_or("–".to_string(), |error| figure.show_error(error))
    };
    format!("{}: simulated against live, p50 {}, p99 {}", trial.name, error(Figure::P50), error(Figure::P99))
}

/// A cell of the table with a row for each scenario: the error, and a sign where it is not within its aim.
fn cell(finding: &Finding) -> String {
    let sign = match finding.verdict {
        Verdict::Nothing => return "–".to_string(),
        Verdict::Within => "",
        Verdict::Machine => " ~",
        Verdict::Beyond => " !",
    };
    finding.error.map_or("–".to_string(), |error| finding.figure.show_error(error) + sign)
}

/// What the signs mean, and how many runs are behind the numbers.
fn legend(trials: &[Trial]) -> String {
    let runs = trials.iter().map(|trial| trial.live.runs.len()).max().unwrap_or(0);
    format!(
        "Errors of the simulator against the mean of up to {runs} live runs. ! is beyond its aim, ~ is as much as live runs differ among \
         themselves. fleet: time with more than one instance of difference; decisions: not both worlds' within one control interval; KS and W1: \
         distances of the histograms of latency (W1 relative to the mean)."
    )
}

/// Why figures are not within their aims, as far as the runs tell; a sentence each.
fn misses(trial: &Trial) -> Vec<String> {
    let mut told = Vec::new();
    let findings = trial.findings();
    for finding in findings.iter().filter(|finding| finding.verdict >= Verdict::Machine) {
        let figure = finding.figure;
        let error = finding.error.map_or("–".to_string(), |error| figure.show_error(error));
        let noise = finding.noise.map_or("unknown".to_string(), |noise| figure.show_noise(noise));
        let is_off = finding.error.is_some_and(|error| error.abs() > finding.aim);
        told.push(match finding.verdict {
            Verdict::Beyond => format!("{}: {error}, aim {}, noise {noise}", figure.title(), figure.show_aim()),
            _ if is_off => format!(
                "{}: {error} may be no more than the aim of {}, for live runs are {noise} apart",
                figure.title(),
                figure.show_aim()
            ),
            _ => format!("{}: {error} is not to be told, for live runs are {noise} apart", figure.title()),
        });
    }
    let is_latency =
        |finding: &&Finding| matches!(finding.figure, Figure::P50 | Figure::P90 | Figure::P95 | Figure::P99);
    let slower =
        |finding: &&Finding| finding.verdict >= Verdict::Machine && finding.error.is_some_and(|error| error < 0.0);
    let is_slower = findings.iter().filter(is_latency).any(|finding| slower(&finding));
    // What is left of an overhead that is simulated already is the machine's.
    let is_news = |ms: &f64| *ms > trial.simulated_way_ms().unwrap_or(0.0);
    if let (true, Some(ms)) = (is_slower, trial.on_the_way_ms().filter(is_news)) {
        told.push(format!(
            "a live request is {} on its way beside waiting and service (gateway, connections, being woken up): service.overhead = \"{:.0}us\" has it simulated",
            millis(ms),
            ms * 1e3
        ));
    }
    told
}

/// The decisions of the simulated run beside those of a live one, a row each: when, when, how far apart, what.
fn decision_rows(trial: &Trial) -> Vec<[String; 4]> {
    let Some(live) = trial.live.runs.first() else { return Vec::new() };
    let steps = decisions::align(&decisions::of(trial.simulated()), &decisions::of(live));
    let row = |step: &decisions::Step| {
        let at =
            |decision: &Option<decisions::Decision>| decision.as_ref().map_or("–".to_string(), |d| seconds(d.at));
        let sizes = |decision: &Option<decisions::Decision>| {
            decision.as_ref().map_or("–".to_string(), |d| format!("{} to {}", d.sizes.0, d.sizes.1))
        };
        let rule = step.first.as_ref().or(step.second.as_ref()).map_or("", |decision| &decision.rule);
        let what = match (sizes(&step.first), sizes(&step.second)) {
            (a, b) if a == b => format!("{a} ({rule})"),
            (a, b) => format!("{a}, live {b} ({rule})"),
        };
        let gap = step.gap().map_or("–".to_string(), |gap| format!("{:.2} s", gap.as_secs_f64()));
        [at(&step.first), at(&step.second), gap, what]
    };
    steps.iter().map(row).collect()
}

fn seconds(at: crate::units::Time) -> String {
    format!("{:.2} s", at.as_secs_f64())
}
