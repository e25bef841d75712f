//! A recording as rates, step after step: what forecasts and plans of load begin with.

use super::{Dataset, Error};
use crate::units::Span;

impl Dataset {
    /// The recorded rate \[1/s\] of each `step` from the first moment to the last, as recorded: neither speed nor scale applies. Where
    /// nothing was recorded it is 0; a step of a series that straddles two is divided between them.
    pub fn rates(&self, step: Span) -> Result<Vec<f64>, Error> {
        let step = step.0.max(1);
        let mut counts = vec![0.0; self.summary.recorded.0.div_ceil(step).max(1) as usize];
        let last = counts.len() - 1;
        let origin = self.summary.origin;
        if self.summary.is_log {
            self.for_each_request(|second, record| -> Result<(), Error> {
                let within = record.subsecond.filter(|_| record.second == second).unwrap_or(0);
                let at = second.saturating_sub(origin).max(0) as u64 * 1_000_000_000 + u64::from(within);
                counts[((at / step) as usize).min(last)] += 1.0;
                Ok(())
            })?;
        } else {
            let (length, factor) = (self.summary.step.map_or(step, |s| s.0.max(1)), self.counts_per_value());
            self.for_each_step(|at, value| -> Result<(), Error> {
                let (mut from, requests) = (at.saturating_sub(origin).max(0) as u64, value * factor);
                let until = from + length;
                while from < until {
                    let end = (from / step + 1) * step;
                    let part = end.min(until) - from;
                    counts[((from / step) as usize).min(last)] += requests * part as f64 / length as f64;
                    from += part;
                }
                Ok(())
            })?;
        }
        let seconds = step as f64 / 1e9;
        Ok(counts.into_iter().map(|n| n / seconds).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::replay::Options;

    fn rates(name: &str, text: &str, step: u64) -> Vec<f64> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Dataset::open(&path, &Options::default()).unwrap().rates(Span::from_secs(step)).unwrap()
    }

    #[test]
    fn steps_are_put_together_and_divided() {
        let series = "time,requests\n2024-01-01T00:00:00Z,60\n2024-01-01T00:01:00Z,120\n2024-01-01T00:02:00Z,240\n";
        assert_eq!(rates("a.csv", series, 60), [1.0, 2.0, 4.0]);
        assert_eq!(rates("a.csv", series, 30), [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]);
        assert_eq!(rates("a.csv", series, 90), [(60.0 + 60.0) / 90.0, (60.0 + 240.0) / 90.0]);
    }

    #[test]
    fn requests_of_a_log_are_counted() {
        let line = |s: u32| format!("h - - [01/Jan/2024:00:00:{s:02} +0000] \"GET / HTTP/1.1\" 200 1\n");
        let log: String = [0, 1, 1, 12, 29].into_iter().map(line).collect();
        assert_eq!(rates("a.log", &log, 10), [0.3, 0.1, 0.1]);
    }
}
