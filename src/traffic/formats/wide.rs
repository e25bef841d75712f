//! Series in rows: a name, and then the counts of its steps, of equal length and without times (the M4 competition's files, and
//! transposed exports). One of the rows is read; the others are other series.

use memchr::memchr;

use super::csv_series::Fields;
use super::{Reading, is_blank, number, reading};

/// The fewest counts by which a row is known to be a series.
const LEAST: usize = 24;

/// Whether every line is a name and then nothing but counts.
pub fn recognize(lines: &[&[u8]]) -> bool {
    let mut rows = lines.iter().filter(|line| !is_blank(line)).peekable();
    rows.peek().is_some()
        && rows.all(|line| {
            let mut fields = Fields::new(line, b',');
            let name = fields.next().unwrap_or_default();
            let counts = fields.clone().count();
            number(name).is_none()
                && counts >= LEAST
                && fields.all(|field| number(field).is_some() || field.is_empty())
        })
}

/// The name of a row.
pub fn name(line: &[u8]) -> &[u8] {
    Fields::new(&line[..memchr(b',', line).unwrap_or(line.len())], b',').next().unwrap_or_default()
}

/// The counts of a row; those that are absent are `None`, and what is no count ends the series.
pub fn counts(line: &[u8]) -> Vec<Option<f64>> {
    let mut counts: Vec<Option<f64>> = Fields::new(line, b',')
        .skip(1)
        .map_while(|field| match reading(field) {
            Ok(Reading::Plain(n) | Reading::PerSecond(n)) => Some(Some(n)),
            Ok(Reading::Absent) => Some(None),
            Err(_) => None,
        })
        .collect();
    // Rows of different lengths are filled up by some programs.
    let length = counts.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    counts.truncate(length);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_many_counts_are_a_series() {
        let row = format!("\"H1\",{}5,,7,,", "3,".repeat(30));
        let row = row.trim_end_matches(',');
        assert!(recognize(&[row.as_bytes(), b""]) && !recognize(&[row.as_bytes(), b"a,b"]) && !recognize(&[]));
        assert_eq!(name(row.as_bytes()), b"H1");
        let counts = counts(row.as_bytes());
        assert_eq!(counts[29..], [Some(3.0), Some(5.0), None, Some(7.0)]);
    }
}
