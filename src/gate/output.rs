//! What a gate tells: a person at a terminal, a forge, another program. One set of words for all of them.

mod console;
mod github;
mod json;
mod junit;
mod markdown;
mod metrics;

use super::criterion::{Bound, Quantity, short_percent};
use super::decide::{Finding, Judgement};
use super::history::Trend;
use crate::report::verdict::Outcome;

pub use console::console;
pub use github::{Github, annotations, outputs};
pub use json::json;
pub use junit::{Case, End, Suite, end, junit};
pub use markdown::markdown;
pub use metrics::metrics;

/// A verdict with what it was about.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// What was judged.
    pub name: &'a str,
    /// The baseline, if there was one.
    pub baseline: Option<&'a str>,
    /// The verdict.
    pub judgement: &'a Judgement,
    /// What counts as a failure of the build.
    pub severity: Severity,
    /// Notes about what was judged.
    pub notes: &'a [String],
    /// What the history says, if one is kept.
    pub trend: Option<&'a Trend>,
    /// When it began, RFC 3339 without fractions.
    pub started: &'a str,
    /// How long it took \[s\].
    pub seconds: f64,
    /// The command that repeats it.
    pub command: &'a str,
    /// Why the runs themselves failed; `None` if they did not.
    pub failed_run: Option<&'a str>,
}

/// What "inconclusive" is to the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As good as a pass.
    Pass,
    /// As bad as a fail.
    Fail,
    /// Neither: an exit code of its own.
    Error,
}

impl Told<'_> {
    /// The verdict in a word.
    pub fn word(&self) -> &'static str {
        match self.failed_run {
            Some(_) => "error",
            None => self.judgement.outcome().word(),
        }
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        if let Some(problem) = self.failed_run {
            return format!("The run failed: {problem}.");
        }
        let outcome = self.judgement.outcome();
        let telling: Vec<String> =
            self.judgement.findings.iter().filter(|f| f.outcome == outcome).map(|f| f.sentence()).collect();
        let lead = match outcome {
            Outcome::Pass => "Everything holds",
            Outcome::Inconclusive => "Nobody can tell yet",
            Outcome::Fail => "Missed",
        };
        format!("{lead}: {}.", telling.join("; "))
    }

    /// How it was decided: looks, errors, confidences.
    pub fn arithmetic(&self) -> String {
        if self.judgement.looks.is_empty() {
            let how = "With several runs a 95 % interval decides; a single run is judged by what it observed.";
            return how.to_string();
        }
        let design = &self.judgement.design;
        let looks: Vec<String> = design.looks.iter().map(usize::to_string).collect();
        let runs = self.judgement.looks.last().map_or(0, |(runs, _)| *runs);
        let look = design.looks.iter().copied().find(|look| *look >= runs).unwrap_or(runs);
        let (fail_at, pass_at) = design.confidences(look, self.judgement.findings.len());
        let taken: Vec<String> =
            self.judgement.looks.iter().map(|(n, outcome)| format!("{} after {n}", outcome.word())).collect();
        format!(
            "Looks after {} runs, taken: {}. All looks together fail what holds at most once in {:.0} gates, and pass what does not at \
             most once in 100 (nominally {:.0}; runs are skewed). This look fails at a one-sided confidence of {:.4} %, and passes at \
             {:.4} %.",
            looks.join(", "),
            taken.join(", "),
            1.0 / design.fail_error,
            1.0 / design.miss_error,
            fail_at * 100.0,
            pass_at * 100.0
        )
    }
}

impl Finding {
    /// A value of the finding as people write it.
    pub fn show(&self, x: f64) -> String {
        let quantity = self.criterion.quantity;
        match self.criterion.bound {
            Bound::Regression(_) if quantity.is_ratio() => format!("{:+.2} %", x * 100.0),
            Bound::Regression(_) if matches!(quantity, Quantity::Availability | Quantity::ErrorRate) => {
                format!("{:+.3} pp", x * 100.0)
            }
            Bound::Regression(_) => format!("{x:+.2}"),
            Bound::AtMost(_) | Bound::AtLeast(_) => quantity.show(x),
        }
    }

    /// The bound as people write it.
    pub fn bound(&self) -> String {
        match self.criterion.bound {
            Bound::AtMost(x) => format!("< {}", self.show(x)),
            Bound::AtLeast(x) => format!(">= {}", self.show(x)),
            Bound::Regression(m) if self.criterion.quantity.is_ratio() => format!("≤ +{}", short_percent(m)),
            Bound::Regression(m) => format!("≤ {}", self.show(m)),
        }
    }

    /// What was observed, its interval and the target: `p99 612 ms [588 ms, 641 ms] (95 % CI, 8 runs), target < 500 ms`.
    pub fn sentence(&self) -> String {
        let observed = self.observed.map_or("nothing observed".to_string(), |x| self.show(x));
        let what = match self.runs {
            1 => "1 run".to_string(),
            n if self.paired => format!("{n} pairs"),
            n => format!("{n} runs"),
        };
        let interval = match self.interval {
            Some((low, high)) => format!(" [{}, {}] (95 % CI, {what})", self.show(low), self.show(high)),
            None => format!(" ({what})"),
        };
        format!("{} {observed}{interval}, target {}", self.criterion.quantity, self.bound())
    }

    /// What decided, how many more runs would, and what is visible.
    pub fn arithmetic(&self) -> String {
        let mut parts = Vec::new();
        if let Some((low, high)) = self.deciding {
            parts.push(format!("decided by {} … {}", self.show(low), self.show(high)));
        }
        if self.outcome == Outcome::Inconclusive && self.interval.is_some() {
            parts.push(match self.more_runs {
                Some(1) => "1 more run like these would decide".to_string(),
                Some(n) => format!("{n} more runs like these would decide"),
                None => "no number of runs like these would decide".to_string(),
            });
        }
        if let Some(visible) = self.visible {
            parts.push(format!("sees {} in 99 of 100", self.smallest(visible)));
        }
        parts.extend(self.note.clone());
        parts.join("; ")
    }

    /// The smallest truth on the bad side that is caught.
    fn smallest(&self, visible: f64) -> String {
        let by_ratio = self.criterion.quantity.is_ratio();
        match self.criterion.bound {
            Bound::AtMost(x) if by_ratio => format!("{} ({:+.2} %)", self.show(x * (1.0 + visible)), visible * 100.0),
            Bound::AtMost(x) => self.show(x + visible),
            Bound::AtLeast(x) if by_ratio => {
                format!("{} (-{:.2} %)", self.show(x / (1.0 + visible)), visible * 100.0)
            }
            Bound::AtLeast(x) => self.show((x - visible).max(0.0)),
            Bound::Regression(m) if by_ratio => self.show((1.0 + m) * (1.0 + visible) - 1.0),
            Bound::Regression(m) => self.show(m + visible),
        }
    }
}
