//! `verify.md`: the table of errors, and the misses explained.

use std::fmt::Write;

use super::{cell, decision_rows, legend, misses};
use crate::report::plain;
use crate::verify::{Figure, Verification};

/// The table of errors.
pub fn markdown(x: &Verification) -> String {
    let mut out = format!("# Simulated against live: {}\n\n| scenario |", x.verdict().word());
    let figures = || Figure::ALL.into_iter();
    figures().for_each(|figure| out += &format!(" {} |", figure.title()));
    out += " verdict |\n|---|";
    figures().for_each(|_| out += "--:|");
    out += "---|\n";
    for trial in &x.trials {
        let cells: Vec<String> = trial.findings().iter().map(cell).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| {} | {} | {} |", safe(&trial.name), cells.join(" | "), trial.verdict().word());
    }
    let _ = writeln!(out, "\n{}\n", legend(&x.trials));
    for trial in &x.trials {
        for line in misses(trial).iter().chain(&trial.notes) {
            let _ = writeln!(out, "- {}: {}", safe(&trial.name), safe(line));
        }
    }
    for note in &x.notes {
        let _ = writeln!(out, "- {}", safe(note));
    }
    for trial in &x.trials {
        let rows = decision_rows(trial);
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "\n## {}: decisions\n\n| simulated | live | apart | instances |\n|--:|--:|--:|---|",
            safe(&trial.name)
        );
        for cells in rows {
            let _ = writeln!(out, "| {} |", cells.map(|cell| safe(&cell)).join(" | "));
        }
    }
    out
}

/// Text that neither opens a tag nor ends a cell.
fn safe(text: &str) -> String {
    plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "\\|")
}
