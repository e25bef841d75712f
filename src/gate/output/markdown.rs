//! The verdict as Markdown: a job's summary, or a comment on a pull request.

use std::fmt::Write;

use super::Told;
use crate::report::verdict::Outcome;

/// What GitHub takes in a comment, with room for what others put around it \[bytes\].
const MOST: usize = 60_000;

/// The verdict first, then the criteria, then how it was decided.
pub fn markdown(x: &Told) -> String {
    let mut out = String::new();
    let mark = match (x.failed_run, x.judgement.outcome()) {
        (Some(_), _) => "💥",
        (None, Outcome::Pass) => "✅",
        (None, Outcome::Inconclusive) => "❔",
        (None, Outcome::Fail) => "❌",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "### {mark} {}: {}\n\n{}\n", cell(x.name), x.word(), cell(&x.sentence()));
    out.push_str("| verdict | what | observed | 95 % interval | target | runs |\n|---|---|--:|--:|--:|--:|\n");
    for f in &x.judgement.findings {
        let interval =
            f.interval.map_or("–".to_string(), |(low, high)| format!("{} … {}", f.show(low), f.show(high)));
        let _ = writeln!(
            out,
            "| **{}** | {} | {} | {interval} | {} | {}{} |",
            f.outcome.word(),
            cell(&f.criterion.quantity.to_string()),
            f.observed.map_or("–".to_string(), |x| f.show(x)),
            cell(&f.bound()),
            f.runs,
            if f.paired { " pairs" } else { "" }
        );
    }
    if let Some(trend) = x.trend.filter(|trend| !trend.drifts.is_empty()) {
        out.push_str("\n#### Changes of level in the history\n\n");
        for drift in &trend.drifts {
            let _ = writeln!(out, "- {}", cell(&drift.sentence()));
        }
    }
    out.push_str("\n<details><summary>How it was decided</summary>\n\n");
    for f in &x.judgement.findings {
        let _ = writeln!(out, "- {}: {}", cell(&f.criterion.name()), cell(&f.arithmetic()));
    }
    let _ = writeln!(out, "\n{}\n", x.arithmetic());
    for note in x.notes {
        let _ = writeln!(out, "- {}", cell(note));
    }
    let _ = writeln!(out, "\n```\n{}\n```\n\n</details>", x.command.replace("```", "'''"));
    cut(out)
}

/// Text that neither opens a tag nor ends a cell.
fn cell(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('|', "\\|")
        .replace(['\n', '\r'], " ")
}

/// No longer than fits, at the end of a line.
fn cut(mut text: String) -> String {
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        let end = text[..end].rfind('\n').unwrap_or(end);
        text.truncate(end);
        text.push_str("\n\n(cut: the rest is in the report)\n");
    }
    text
}
