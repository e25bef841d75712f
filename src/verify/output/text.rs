//! The verification on a terminal: a row a scenario, and for one alone a row a figure.

use std::fmt::Write;

use super::{cell, decision_rows, legend, misses};
use crate::report::plain;
use crate::verify::{Figure, Trial, Verdict, Verification};

/// The verification as text, in color if asked.
pub fn console(x: &Verification, color: bool) -> String {
    let ink = Ink(color);
    let mut out = String::new();
    if let [trial] = x.trials.as_slice() {
        one(&mut out, trial, &ink);
    } else {
        table(&mut out, &x.trials, &ink);
    }
    let several = x.trials.len() > 1;
    for trial in &x.trials {
        let name = if several { format!("{}: ", plain(&trial.name)) } else { String::new() };
        for line in misses(trial).into_iter().chain(trial.notes.iter().map(|note| plain(note).to_string())) {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {name}{line}");
        }
    }
    let _ = writeln!(out, "\n  {}", ink.dim(&legend(&x.trials)));
    for note in &x.notes {
        let _ = writeln!(out, "  {}", ink.dim(&plain(note)));
    }
    out
}

struct Ink(bool);

impl Ink {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn verdict(&self, verdict: Verdict, text: &str) -> String {
        let code = match verdict {
            Verdict::Within => "32",
            Verdict::Beyond => "31",
            Verdict::Machine => "33",
            Verdict::Nothing => "2",
        };
        self.paint(code, text)
    }
}

fn one(out: &mut String, trial: &Trial, ink: &Ink) {
    let runs = trial.live.runs.len();
    let head = format!("{}: simulated, and {runs} times live on this machine", plain(&trial.name));
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}\n", ink.paint("1", &head));
    let head = ["figure", "simulated", "live", "error", "live runs apart", "aim", "verdict"];
    let _ = writeln!(out, "{}", ink.dim(&row(&head.map(str::to_string))));
    for finding in trial.findings() {
        let shown = |x: Option<f64>| x.map_or("–".to_string(), |x| finding.figure.show(x));
        let cells = [
            finding.figure.title().to_string(),
            shown(finding.simulated),
            shown(finding.live),
            finding.error.map_or("–".to_string(), |error| finding.figure.show_error(error)),
            finding.noise.map_or("–".to_string(), |noise| finding.figure.show_noise(noise)),
            finding.figure.show_aim(),
        ];
        let verdict = ink.verdict(finding.verdict, finding.verdict.word());
        let _ = writeln!(out, "{}  {verdict}", row(&cells));
    }
    let decisions = decision_rows(trial);
    if !decisions.is_empty() {
        let _ = writeln!(out, "\n{}", ink.dim("  decision at    live at      apart  instances"));
        for [sim, live, gap, what] in decisions {
            let _ = writeln!(out, "  {sim:>11}  {live:>9}  {gap:>9}  {}", plain(&what));
        }
    }
    out.push('\n');
}

fn row(cells: &[String]) -> String {
    const WIDTHS: [usize; 7] = [13, 10, 10, 10, 15, 8, 0];
    let mut line = " ".to_string();
    for (i, cell) in cells.iter().enumerate() {
        let width = WIDTHS[i];
        let _ = if i == 0 { write!(line, " {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
    }
    line
}

fn table(out: &mut String, trials: &[Trial], ink: &Ink) {
    let widest = trials.iter().map(|trial| plain(&trial.name).chars().count()).max().unwrap_or(0).max(8);
    let mut head = format!("  {:<widest$}", "scenario");
    for figure in Figure::ALL {
        let _ = write!(head, "  {:>12}", figure.title());
    }
    let _ = writeln!(out, "{}", ink.dim(&(head + "  verdict")));
    for trial in trials {
        let mut line = format!("  {:<widest$}", plain(&trial.name));
        for finding in trial.findings() {
            line += &format!("  {}", ink.verdict(finding.verdict, &format!("{:>12}", cell(&finding))));
        }
        let verdict = trial.verdict();
        let _ = writeln!(out, "{line}  {}", ink.verdict(verdict, verdict.word()));
    }
    out.push('\n');
}
