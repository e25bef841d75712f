//! The verdict on a terminal.

use std::fmt::Write;

use super::Told;
use crate::report::plain;
use crate::report::verdict::Outcome;

/// The verdict as text, in color if asked.
pub fn console(x: &Told, color: bool) -> String {
    let paint = |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() };
    let ink = |outcome: Outcome| match outcome {
        Outcome::Pass => "1;32",
        Outcome::Inconclusive => "1;33",
        Outcome::Fail => "1;31",
    };
    let code = if x.failed_run.is_some() { "1;31" } else { ink(x.judgement.outcome()) };
    let mut out = String::new();
    // Writing to a string cannot fail.
    let against = x.baseline.map_or(String::new(), |baseline| format!(" against {}", plain(baseline)));
    let _ = writeln!(
        out,
        "{}  {}{against}  {}\n",
        paint(code, &x.word().to_uppercase()),
        paint("1", &plain(x.name)),
        plain(&x.sentence())
    );
    for finding in &x.judgement.findings {
        let mark = match finding.outcome {
            Outcome::Pass => "✓",
            Outcome::Inconclusive => "?",
            Outcome::Fail => "✗",
        };
        let word = paint(ink(finding.outcome), &format!("{mark} {:<12}", finding.outcome.word()));
        let _ = writeln!(out, "  {word} {}", finding.sentence());
        let arithmetic = finding.arithmetic();
        if !arithmetic.is_empty() {
            let _ = writeln!(out, "                 {}", paint("2", &plain(&arithmetic)));
        }
    }
    let _ = writeln!(out, "\n  {}", paint("2", &x.arithmetic()));
    for note in x.notes {
        let _ = writeln!(out, "  {}", paint("2", &plain(note)));
    }
    if let Some(trend) = x.trend {
        match trend.too_short() {
            Some(text) => {
                let _ = writeln!(out, "\n  {}", paint("2", &text));
            }
            None if trend.drifts.is_empty() => {
                let _ = writeln!(out, "\n  No change of level in {} entries of the history.", trend.entries);
            }
            None => {
                let _ = writeln!(out, "\n  {}", paint("1", "Changes of level in the history"));
                for drift in &trend.drifts {
                    let _ = writeln!(out, "  {}", plain(&drift.sentence()));
                }
            }
        }
    }
    out
}

impl crate::gate::history::Drift {
    /// The change in words, with the run at which it began.
    pub fn sentence(&self) -> String {
        let revision = self.revision.as_ref().map_or(String::new(), |revision| format!(" ({revision})"));
        format!(
            "{} {:+.1} % ({:.4} → {:.4}, p {:.1e}) from entry {} of {}{revision}",
            self.figure,
            self.change.ratio() * 100.0,
            self.change.before,
            self.change.after,
            self.change.p,
            self.change.at + 1,
            self.at
        )
    }
}
