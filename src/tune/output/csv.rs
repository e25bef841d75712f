//! `trials.csv`: a row for each run.

use super::Told;
use crate::tune::judge::Sample;
use crate::tune::search::Candidate;

/// Every run of the search and of the confirmation, candidate by candidate.
pub fn csv(x: &Told) -> String {
    let tuned = x.tuned;
    let paths: Vec<&str> =
        x.question.space.free.iter().chain(&x.question.space.tied).map(|d| d.path.as_str()).collect();
    let mut out = ::csv::Writer::from_writer(Vec::new());
    let mut head: Vec<String> = ["candidate", "origin", "block", "day", "seed"].map(String::from).to_vec();
    head.extend(paths.iter().map(|path| (*path).to_string()));
    head.extend(["cost_per_day", "instance_hours_per_day", "p50_ms", "p99_ms", "availability"].map(String::from));
    head.extend(["actions_per_hour", "requests"].map(String::from));
    head.extend(x.question.rules.goals.iter().map(|goal| format!("g_{}", goal.name())));
    let days: Vec<&str> = x.days.searched.iter().chain(&x.days.held_out).map(|day| day.name.as_str()).collect();
    let row = |number: usize, candidate: &Candidate, block: &str, sample: &Sample| {
        let day = days.get(sample.day).copied().unwrap_or_default();
        let mut row =
            vec![number.to_string(), candidate.origin.word().to_string(), block.to_string(), day.to_string()];
        row.push(sample.seed.to_string());
        for path in &paths {
            let value = candidate.settings.iter().find(|(each, _)| each == path).map(|(_, value)| value.to_string());
            let present = || x.present.iter().find(|(each, _)| each == path).and_then(|(_, value)| value.clone());
            row.push(value.or_else(present).unwrap_or_default().trim_matches('"').to_string());
        }
        let outcome = &sample.outcome;
        let optional = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
        row.extend([outcome.cost.to_string(), outcome.instance_hours.to_string()]);
        row.extend([outcome.p50_ms, outcome.p99_ms, outcome.availability].map(optional));
        row.extend([outcome.actions_per_hour.to_string(), outcome.simulated.to_string()]);
        let goals = x.question.rules.goals.iter().zip(&outcome.observed);
        row.extend(goals.map(|(goal, observed)| goal.distance(*observed).to_string()));
        row
    };
    const IN_MEMORY: &str = "writing to memory does not fail";
    out.write_record(&head).expect(IN_MEMORY);
    for (number, candidate) in tuned.found.candidates.iter().enumerate() {
        for sample in &tuned.found.samples[number] {
            out.write_record(row(number, candidate, "search", sample)).expect(IN_MEMORY);
        }
        for confirmed in tuned.confirmation.all.iter().filter(|each| each.candidate == number) {
            for sample in &confirmed.samples {
                out.write_record(row(number, candidate, "fresh", sample)).expect(IN_MEMORY);
            }
        }
    }
    String::from_utf8(out.into_inner().expect(IN_MEMORY)).expect("texts and numbers are UTF-8")
}
