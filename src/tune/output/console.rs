//! Tuning on a terminal: the advice first, then what was searched beside what was confirmed.

use std::fmt::Write;

use super::Told;
use super::words::{availability, changes, cost, cost_unit, headline, key, name, notes, p99};
use crate::report::plain;
use crate::report::verdict::{millis, percent, thousands};
use crate::tune::confirm::Advice;
use crate::tune::judge::Safety;

/// The study as text, in color if asked.
pub fn console(x: &Told, color: bool) -> String {
    let paint = |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() };
    let tuned = x.tuned;
    let mut out = String::new();
    let code = if matches!(tuned.advice, Advice::NoneHolds(_)) { "1;31" } else { "1" };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}: {}\n", paint("1", &plain(x.name)), paint(code, &plain(&headline(x))));
    if let Advice::Change(_) = tuned.advice {
        let changes = changes(x);
        let width = changes.iter().map(|(path, ..)| path.chars().count()).max().unwrap_or(0);
        for (path, from, to) in changes {
            let _ = writeln!(out, "  {path:<width$}  {from} → {}", paint("1", &to));
        }
        out.push('\n');
    }
    let head = format!(
        "  {:<26}  {:>12}  {:>12}  {:>10}  {:>12}  targets",
        "on days and seeds it had not seen",
        cost_unit(x),
        "in search",
        "p99",
        "availability"
    );
    let _ = writeln!(out, "{}", paint("2", &head));
    for confirmed in &tuned.confirmation.all {
        let searched = tuned.found.score(confirmed.candidate, &x.question.rules);
        let word = match confirmed.safety {
            Safety::Safe => paint("32", "safe"),
            Safety::Undecided => paint("33", "undecided"),
            Safety::Unsafe => paint("31", "unsafe"),
        };
        let _ = writeln!(
            out,
            "  {:<33}  {:>12}  {:>12}  {:>10}  {:>12}  {word}",
            name(x, confirmed.candidate),
            cost(x, confirmed.score.cost),
            searched.map_or("–".to_string(), |score| cost(x, score.cost)),
            p99(&confirmed.samples).map_or("–".to_string(), millis),
            availability(&confirmed.samples).map_or("–".to_string(), percent),
        );
    }
    let mut importance: Vec<_> = tuned.importance.iter().collect();
    importance.sort_by(|a, b| b.of_cost.max(b.of_targets).total_cmp(&a.of_cost.max(a.of_targets)));
    let shares: Vec<String> = importance
        .iter()
        .map(|each| format!("{} {:.0}/{:.0} %", key(x, &each.path), each.of_cost * 100.0, each.of_targets * 100.0))
        .collect();
    let _ = writeln!(out, "\n  what matters, share of cost/of targets: {}", shares.join(", "));
    for note in notes(x) {
        let _ = writeln!(out, "  {}", plain(&note));
    }
    let _ = writeln!(
        out,
        "  {} runs, {} of them to confirm; {} requests",
        thousands(tuned.runs.0 + tuned.runs.1),
        thousands(tuned.runs.1),
        thousands(tuned.requests)
    );
    out
}
