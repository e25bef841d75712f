//! Tables as text and in Markdown; what comes from files is made plain.

use std::fmt::Write;

use crate::report::plain;

// Writing to a string cannot fail, so the results of `write!` are let go below.

/// The heading of a column of settings, which stands to the left.
const SETTINGS: &str = "--set";

/// Columns in line, two spaces in front; the first to the left, the others to the right but for the last if it is a setting.
pub(in crate::storm) fn aligned(out: &mut String, head: &[String], rows: &[Vec<String>]) {
    let width = |i: usize| {
        let cells = rows.iter().map(|row| row[i].as_str()).chain([head[i].as_str()]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in std::iter::once(&head.to_vec()).chain(rows) {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[i] - cell.chars().count());
            let is_left = i == 0 || head[i] == SETTINGS;
            let _ = if is_left { write!(line, "  {cell}{pad}") } else { write!(line, "  {pad}{cell}") };
        }
        let _ = writeln!(out, "{}", plain(line.trim_end()));
    }
}

/// A table of Markdown.
pub(in crate::storm) fn piped(out: &mut String, head: &[String], rows: &[Vec<String>]) {
    let line = |cells: &[String]| {
        format!("| {} |", cells.iter().map(|cell| cell_text(cell)).collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<&str> =
        head.iter().enumerate().map(|(i, name)| if i == 0 || name == SETTINGS { "---" } else { "--:" }).collect();
    let _ = writeln!(out, "{}\n|{}|", line(head), rule.join("|"));
    for row in rows {
        let _ = writeln!(out, "{}", line(row));
    }
}

/// Text that is safe in a table of Markdown.
pub(in crate::storm) fn cell_text(text: &str) -> String {
    plain(text).replace('|', "\\|")
}
