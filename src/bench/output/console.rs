//! The benchmark on a terminal.

use std::fmt::Write;

use super::{ORDER, cell, finding, order, orders, rate, sentence};
use crate::bench::figure::Kind;
use crate::bench::result::{Bench, World};
use crate::gate::Judgement;
use crate::report::plain;
use crate::report::verdict::Outcome;

/// The benchmark as text, in color if asked, with what was judged.
pub fn console(x: &Bench, judgement: Option<&Judgement>, color: bool) -> String {
    let paint = |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() };
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{}  {}",
        paint("1", &plain(&format!("{} of {}", x.definition.kind.name(), x.name))),
        sentence(x)
    );
    for world in &x.worlds {
        let _ = writeln!(out, "  {}: {}", plain(&world.name), finding(x, world));
    }
    out.push('\n');
    match x.definition.kind {
        Kind::Baseline => x.worlds.iter().for_each(|world| levels(&mut out, x, world)),
        _ => moments(&mut out, x),
    }
    for world in &x.worlds {
        let ups = world.groups.first().map_or(&[][..], orders);
        if ups.len() > 1 {
            let _ = writeln!(out, "\n  every order of a repetition, {}, since load rose", plain(&world.name));
            let rows: Vec<[String; 8]> =
                std::iter::once(ORDER.map(ToString::to_string)).chain(ups.iter().map(order)).collect();
            grid(&mut out, &rows);
        }
    }
    if let Some(judgement) = judgement {
        out.push('\n');
        for finding in &judgement.findings {
            let code = match finding.outcome {
                Outcome::Pass => "1;32",
                Outcome::Inconclusive => "1;33",
                Outcome::Fail => "1;31",
            };
            let _ = writeln!(out, "  {}  {}", paint(code, finding.outcome.word()), finding.sentence());
            let arithmetic = finding.arithmetic();
            if finding.outcome == Outcome::Inconclusive && !arithmetic.is_empty() {
                let _ = writeln!(out, "      {}", paint("2", &plain(&arithmetic)));
            }
        }
    }
    for (i, note) in x.notes.iter().enumerate() {
        let gap = if i == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{gap}  {}", paint("2", &plain(note)));
    }
    out
}

/// A row for each figure, a column for each world.
fn moments(out: &mut String, x: &Bench) {
    let mut rows = vec![Vec::from(["".to_string()])];
    rows[0].extend(x.worlds.iter().map(|world| plain(&world.name)));
    rows[0].push(String::new());
    for figure in x.definition.kind.figures() {
        let mut row = vec![figure.to_string()];
        row.extend(x.worlds.iter().map(|world| cell(*figure, &world.groups[0].spread(*figure))));
        row.push(figure.means().to_string());
        rows.push(row);
    }
    grid(out, &rows);
}

/// A row for each level, a column for each figure.
fn levels(out: &mut String, x: &Bench, world: &World) {
    let figures = x.definition.kind.figures();
    let mut rows = vec![vec![plain(&world.name)]];
    rows[0].extend(figures.iter().map(ToString::to_string));
    for group in &world.groups {
        let mut row = vec![format!("{}/s", rate(group.rate))];
        row.extend(figures.iter().map(|figure| cell(*figure, &group.spread(*figure))));
        rows.push(row);
    }
    grid(out, &rows);
}

/// Columns as wide as what is in them; the last needs no end.
fn grid<R: AsRef<[String]>>(out: &mut String, rows: &[R]) {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.as_ref().get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.as_ref().iter().zip(&widths).map(|(text, &width)| format!("{text:<width$}"));
        let line: Vec<String> = cells.collect();
        let _ = writeln!(out, "  {}", line.join("  ").trim_end());
    }
}
