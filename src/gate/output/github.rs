//! GitHub Actions: annotations on standard output, outputs and the job summary in files that its environment variables name.

use std::path::PathBuf;

use super::{Severity, Told};
use crate::report::verdict::Outcome;

/// Annotations that GitHub shows per step.
const SHOWN: usize = 10;

/// Where GitHub wants things; made from the environment by whoever may read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Github {
    /// `GITHUB_STEP_SUMMARY`: Markdown is appended.
    pub summary: Option<PathBuf>,
    /// `GITHUB_OUTPUT`: `name=value` lines are appended.
    pub output: Option<PathBuf>,
}

/// Workflow commands, a line each: an error for each criterion that failed, a warning for each that nobody can tell, a notice for
/// each drift.
pub fn annotations(x: &Told) -> String {
    let mut lines = Vec::new();
    if let Some(problem) = x.failed_run {
        lines.push(("error", None, "the run failed".to_string(), problem.to_string()));
    }
    for f in x.judgement.findings.iter().filter(|_| x.failed_run.is_none()) {
        let level = match (f.outcome, x.severity) {
            (Outcome::Pass, _) => continue,
            (Outcome::Fail, _) | (Outcome::Inconclusive, Severity::Fail | Severity::Error) => "error",
            (Outcome::Inconclusive, Severity::Pass) => "warning",
        };
        let title = format!("{}: {}", x.name, f.criterion.name());
        lines.push((
            level,
            f.criterion.place.clone(),
            title,
            format!("{}: {}; {}", f.outcome.word(), f.sentence(), f.arithmetic()),
        ));
    }
    for drift in x.trend.iter().flat_map(|trend| &trend.drifts) {
        lines.push(("notice", None, format!("{}: change of level", x.name), drift.sentence()));
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(("notice", None, x.name.to_string(), format!("and {more} more")));
    }
    lines.into_iter().map(|(level, place, title, message)| command(level, place, &title, &message)).collect()
}

fn command(level: &str, place: Option<(String, usize)>, title: &str, message: &str) -> String {
    let place = place.map_or(String::new(), |(file, line)| format!("file={},line={line},", property(&file)));
    format!("::{level} {place}title={}::{}\n", property(title), text(message))
}

/// What is appended to `GITHUB_OUTPUT`.
pub fn outputs(x: &Told) -> String {
    let mut out = format!("verdict={}\n", x.word());
    for f in &x.judgement.findings {
        if let (Some(observed), false) = (f.observed, matches!(f.criterion.bound, crate::gate::Bound::Regression(_)))
        {
            out.push_str(&format!("{}={observed}\n", f.criterion.quantity.key()));
        }
    }
    out
}

fn text(message: &str) -> String {
    message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(value: &str) -> String {
    text(value).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_commands_are_escaped() {
        assert_eq!(text("p99 > 500 ms: 100% of\nminutes"), "p99 > 500 ms: 100%25 of%0Aminutes");
        assert_eq!(property("a,b: 5%"), "a%2Cb%3A 5%25");
        let line = command("error", Some(("scenarios/s.toml".into(), 41)), "p99 612 ms, target 500 ms", "100%");
        assert_eq!(line, "::error file=scenarios/s.toml,line=41,title=p99 612 ms%2C target 500 ms::100%25\n");
    }
}
