//! `timeline.csv`: one row per step, units in the header names. And what any text has to become to be a cell.

use crate::record::timeline::{Column, Timeline};

/// The timeline as CSV; an empty cell where there is no value.
pub fn timeline_csv(timeline: &Timeline) -> String {
    let mut text = String::from("t_seconds");
    for column in Column::ALL {
        text.push(',');
        text.push_str(column.name());
    }
    text.push('\n');
    for (i, t) in timeline.t.iter().enumerate() {
        text.push_str(&t.to_string());
        for column in Column::ALL {
            let value = timeline.column(column)[i];
            text.push(',');
            if value.is_finite() {
                text.push_str(&super::json::rounded(value).to_string());
            }
        }
        text.push('\n');
    }
    text
}

/// A text as a cell: quoted where CSV asks for it, and never the beginning of a formula, which spreadsheets would run.
pub fn csv_cell(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let formula = plain.trim_start().starts_with(['=', '+', '-', '@']);
    let text = if formula { format!("'{plain}") } else { plain };
    if text.contains([',', '"', ';']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    #[test]
    fn no_cell_begins_a_formula() {
        for (text, cell) in [
            ("GET_/cart", "GET_/cart"),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t+1", "' +1"),
            ("-2+3|cmd", "'-2+3|cmd"),
            ("a,b", "\"a,b\""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
