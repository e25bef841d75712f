//! `timeline.csv`: one row per step, units in the header names.

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
