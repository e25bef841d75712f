//! One number a line: requests in each step of equal length, zeros included.
//!
//! Blank lines and lines that begin with `#` are passed over, and so is a heading in the first line.

use crate::traffic::formats::{Fault, Reading, Row, is_blank, number, reading};
use crate::units::Span;

/// How the numbers are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Length of a step; one second unless told otherwise.
    pub step: Span,
    /// Line of the heading, from 1; 0 if there is none.
    heading: u64,
}

/// Whether all of `lines` but a heading and a few broken ones are numbers.
pub fn recognize(lines: &[&[u8]]) -> bool {
    let data: Vec<&[u8]> = lines.iter().copied().filter(|line| !passed_over(line)).collect();
    let numbers = data.iter().filter(|line| number(line).is_some()).count();
    numbers > 0 && numbers * 10 >= data.len().saturating_sub(1) * 9
}

fn passed_over(line: &[u8]) -> bool {
    is_blank(line) || line.starts_with(b"#")
}

impl Numbers {
    /// The layout of a file that begins with `lines`, with steps of `step`.
    pub fn new(lines: &[&[u8]], step: Option<Span>) -> Numbers {
        let first = lines.iter().position(|line| !passed_over(line));
        let heading = first.filter(|&i| number(lines[i]).is_none()).map_or(0, |i| i as u64 + 1);
        Numbers { step: step.filter(|s| !s.is_zero()).unwrap_or(Span::from_secs(1)), heading }
    }

    /// Whether a line is no row.
    pub fn skips(&self, line_number: u64, line: &[u8]) -> bool {
        line_number == self.heading || passed_over(line)
    }

    /// The row in a line, which is number `ordinal` of all, from 0; `None` if it is `NaN` or `null`.
    pub fn row(&self, ordinal: u64, line: &[u8]) -> Result<Option<Row>, Fault> {
        let at = i64::try_from(u128::from(ordinal) * u128::from(self.step.0)).map_err(|_| Fault::BadTime)?;
        Ok(match reading(line)? {
            Reading::Plain(count) | Reading::PerSecond(count) => Some(Row { at, count }),
            Reading::Absent => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_a_line_is_a_step_each() {
        let lines: Vec<&[u8]> = vec![b"# made by hand", b"requests", b"5", b"", b" 2.5 ", b"-1", b"many", b"NaN"];
        let numbers = Numbers::new(&lines, Some(Span::from_secs(60)));
        let mut ordinal = 0;
        let rows: Vec<Result<Option<Row>, Fault>> = (1..)
            .zip(&lines)
            .filter(|(n, line)| !numbers.skips(*n, line))
            .map(|(_, line)| {
                ordinal += 1;
                numbers.row(ordinal - 1, line)
            })
            .collect();
        assert_eq!(
            rows,
            [
                Ok(Some(Row { at: 0, count: 5.0 })),
                Ok(Some(Row { at: 60_000_000_000, count: 2.5 })),
                Err(Fault::NegativeCount),
                Err(Fault::BadCount),
                Ok(None)
            ]
        );
        assert!(!recognize(&lines) && recognize(&lines[..6]));
        assert!(!recognize(&[b"# only", b"words"]) && !recognize(&[]));
    }
}
