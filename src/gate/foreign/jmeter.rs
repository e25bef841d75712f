//! JMeter: results in CSV (JTL), with the header that JMeter writes by default.

use super::Tally;
use crate::gate::sample::Sample;

/// Samples, one a row.
pub(super) fn jtl(text: &str) -> Result<Sample, String> {
    if text.trim_start().starts_with('<') {
        return Err("a JTL in XML: set jmeter.save.saveservice.output_format=csv".to_string());
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| error.to_string())?.clone();
    let place = |name: &str| head.iter().position(|each| each.trim() == name);
    let elapsed = place("elapsed").ok_or("found no column elapsed: was the JTL written without its header?")?;
    let success = place("success").ok_or("found no column success")?;
    let (stamp, transaction) = (place("timeStamp"), place("responseMessage"));
    let mut tally = Tally::default();
    for (row, number) in reader.records().zip(2..) {
        let row = row.map_err(|error| error.to_string())?;
        let bad = |what: &str| {
            format!("row {number}: found {:?}, expected {what}", row.iter().collect::<Vec<_>>().join(","))
        };
        // A transaction controller adds a row for the sum of its samples.
        if transaction
            .and_then(|i| row.get(i))
            .is_some_and(|text| text.starts_with("Number of samples in transaction"))
        {
            continue;
        }
        let ms: f64 = row.get(elapsed).and_then(|ms| ms.trim().parse().ok()).ok_or_else(|| bad("elapsed in ms"))?;
        let ok = match row.get(success).map(str::trim) {
            Some("true") => true,
            Some("false") => false,
            _ => return Err(bad("success as true or false")),
        };
        let started: Option<f64> = stamp.and_then(|i| row.get(i)).and_then(|ms| ms.trim().parse().ok());
        tally
            .request(ms, ok, started.map(|started| started + ms))
            .map_err(|problem| format!("row {number}: {problem}"))?;
    }
    Ok(tally.sample())
}
