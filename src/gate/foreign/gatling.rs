//! Gatling: the simulation log as text, as it was written from version 2 to 3.12.
//!
//! Columns moved between versions, but a request always has its start and its end \[ms\] followed by OK or KO.

use super::Tally;
use crate::gate::sample::Sample;

/// Requests, one a line.
pub(super) fn log(text: &str) -> Result<Sample, String> {
    let mut tally = Tally::default();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| line.starts_with("REQUEST\t")) {
        let fields: Vec<&str> = line.split('\t').collect();
        let found = fields.windows(3).find_map(|window| {
            let ok = match window[2] {
                "OK" => true,
                "KO" => false,
                _ => return None,
            };
            Some((window[0].parse::<u64>().ok()?, window[1].parse::<u64>().ok()?, ok))
        });
        let Some((start, end, ok)) = found else {
            return Err(format!("line {number}: found {line:?}, expected start, end, OK or KO"));
        };
        let ms = end.checked_sub(start).ok_or_else(|| format!("line {number}: it ends before it starts"))?;
        tally.request(ms as f64, ok, Some(end as f64)).map_err(|problem| format!("line {number}: {problem}"))?;
    }
    Ok(tally.sample())
}
