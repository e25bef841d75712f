//! Attempts one by one, as a CSV that a live run leaves beside its report: for those who fit models to what happened.
//!
//! ```text
//! sent_s,took_ms,instance,path,outcome
//! 12.034511,41.220,1,/api/search,success
//! ```

use std::fmt::Write;

use crate::engine::request::{InstanceId, Outcome};
use crate::units::{Span, Time};

/// The first line.
pub const HEAD: &str = "sent_s,took_ms,instance,path,outcome";
/// The name of the file beside a report.
pub const FILE: &str = "attempts.csv";

/// An attempt at an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// When it was sent.
    pub sent_at: Time,
    /// How long until it was answered, or given up.
    pub took: Span,
    /// To which instance.
    pub instance: InstanceId,
    /// What was asked for.
    pub path: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// A line that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: found {found:?}, expected {HEAD}")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What it is.
    pub found: String,
}

const OUTCOMES: [(&str, Outcome); 7] = [
    ("success", Outcome::Success),
    ("server_error", Outcome::ServerError),
    ("timeout", Outcome::Timeout),
    ("connection", Outcome::Connection),
    ("queue_full", Outcome::QueueFull),
    ("shed", Outcome::Shed),
    ("abandoned", Outcome::Abandoned),
];

/// Writes a line.
pub fn write(to: &mut String, sent_at: Time, took: Span, instance: InstanceId, path: &str, outcome: Outcome) {
    let name = OUTCOMES.iter().find(|(_, each)| *each == outcome).map_or("", |(name, _)| *name);
    let is_plain = !path.contains([',', '"', '\n', '\r']);
    // Writing to a string cannot fail.
    let _ = write!(to, "{:.6},{:.3},{},", sent_at.as_secs_f64(), took.as_millis_f64(), instance.0);
    let _ = match is_plain {
        true => writeln!(to, "{path},{name}"),
        false => writeln!(to, "\"{}\",{name}", path.replace('"', "\"\"")),
    };
}

/// Reads what was written; a last line that was cut off is left out.
pub fn read(text: &str) -> Result<Vec<Attempt>, BadLine> {
    let bad = |line: usize, found: &str| BadLine { line, found: found.chars().take(60).collect() };
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(whole.as_bytes());
    let mut attempts = Vec::new();
    for (record, number) in reader.records().zip(1..) {
        let record = record.map_err(|error| bad(number, &error.to_string()))?;
        let found = || record.iter().collect::<Vec<_>>().join(",");
        if number == 1 {
            if found() != HEAD {
                return Err(bad(number, &found()));
            }
            continue;
        }
        attempts.push(attempt(&record).ok_or_else(|| bad(number, &found()))?);
    }
    if attempts.is_empty() && whole.is_empty() {
        return Err(bad(1, text));
    }
    Ok(attempts)
}

fn attempt(record: &csv::StringRecord) -> Option<Attempt> {
    let number = |i: usize| record.get(i)?.parse::<f64>().ok().filter(|x| (0.0..1e12).contains(x));
    let outcome = record.get(4)?;
    (record.len() == 5).then_some(())?;
    Some(Attempt {
        sent_at: Time::from_secs_f64(number(0)?),
        took: Span::from_secs_f64(number(1)? / 1e3),
        instance: InstanceId(record.get(2)?.parse().ok()?),
        path: record.get(3)?.to_string(),
        outcome: OUTCOMES.iter().find(|(name, _)| *name == outcome)?.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut text = format!("{HEAD}\n");
        let all: Vec<Attempt> = OUTCOMES
            .iter()
            .zip(["/", "/a,b", "/\"q\"", "", "/x", "/y", "/z"])
            .zip(0u32..)
            .map(|((&(_, outcome), path), i)| Attempt {
                sent_at: Time::ZERO + Span::from_micros(1_234_567 * u64::from(i)),
                took: Span::from_micros(41_220 + u64::from(i)),
                instance: InstanceId(i),
                path: path.to_string(),
                outcome,
            })
            .collect();
        all.iter().for_each(|a| write(&mut text, a.sent_at, a.took, a.instance, &a.path, a.outcome));
        assert_eq!(read(&text).unwrap(), all);
        // A run that was killed in the middle of a line.
        assert_eq!(read(&text[..text.len() - 3]).unwrap(), all[..6]);
        assert!(read("").is_err() && read("a,b\n1,2\n").unwrap_err().to_string().contains("line 1"));
        assert!(read(&format!("{HEAD}\n1,2,3,/,no\n")).unwrap_err().to_string().contains("line 2"));
    }
}
