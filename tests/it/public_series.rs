//! Public series, read from `../shared/data/series` where it is there.

use std::io::Read;
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

/// A file of the shared data as text; `None`, with a word about it, where it is not there.
pub fn text(path: &str) -> Option<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/series").join(path);
    let Ok(bytes) = std::fs::read(&file) else {
        println!("skipped: ../shared/data/series/{path} is not there");
        return None;
    };
    if !path.ends_with(".gz") {
        return Some(String::from_utf8(bytes).expect("text"));
    }
    let mut text = String::new();
    MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
    Some(text)
}

/// Seconds since 1970 of `2015-03-26T14:00:00`, with a blank for the `T` and a zone at the end that is left out.
pub fn seconds(stamp: &str) -> i64 {
    let civil: jiff::civil::DateTime =
        stamp[..19.min(stamp.len())].replace(' ', "T").parse().unwrap_or_else(|e| panic!("{stamp}: {e}"));
    jiff::tz::TimeZone::UTC.to_timestamp(civil).expect("a date").as_second()
}

/// A series with a value every `step` seconds; NaN where none was recorded.
pub struct Regular {
    /// What it is.
    pub name: String,
    /// Seconds between values.
    pub step: i64,
    /// Seconds since 1970 of the first, in the clock of the series.
    pub start: i64,
    /// The values.
    pub values: Vec<f64>,
}

/// Puts (time, value) on a regular grid.
pub fn regular(name: &str, step: i64, points: impl Iterator<Item = (i64, f64)>) -> Regular {
    let points: Vec<_> = points.collect();
    let start = points[0].0.div_euclid(step) * step;
    let end = points.iter().map(|p| p.0).max().expect("points");
    let mut values = vec![f64::NAN; ((end - start) / step + 1) as usize];
    for (t, value) in points {
        values[((t - start) / step) as usize] = value;
    }
    Regular { name: name.to_string(), step, start, values }
}

/// Sums of `factor` values; NaN unless all of them are there, or `gaps` of them may be missing.
pub fn sums(series: &Regular, factor: usize, gaps: usize) -> Regular {
    let step = series.step * factor as i64;
    // Whole steps of the clock.
    let skip = ((step - series.start.rem_euclid(step)) % step / series.step) as usize;
    let values = series.values[skip..]
        .chunks_exact(factor)
        .map(|chunk| {
            let seen: Vec<f64> = chunk.iter().copied().filter(|v| v.is_finite()).collect();
            if chunk.len() - seen.len() > gaps { f64::NAN } else { seen.iter().sum() }
        })
        .collect();
    Regular { name: series.name.clone(), step, start: series.start + skip as i64 * series.step, values }
}

/// A CSV whose first two columns are a time stamp and a value.
pub fn stamped(path: &str, name: &str, step: i64) -> Option<Regular> {
    let text = text(path)?;
    let points = text.lines().skip(1).filter_map(|line| {
        let mut cells = line.split(',');
        let stamp = cells.next()?;
        let value = cells.next()?.parse().ok()?;
        let t = if stamp.contains('-') && stamp.len() >= 19 { seconds(stamp) } else { stamp.parse().ok()? };
        Some((t, value))
    });
    Some(regular(name, step, points))
}

/// A series of the M4 competition: what was given, and what followed.
pub struct Competition {
    /// `H1`, …
    pub id: String,
    /// Given.
    pub train: Vec<f64>,
    /// What followed.
    pub test: Vec<f64>,
}

/// The hourly series of the M4 competition.
pub fn m4_hourly() -> Option<Vec<Competition>> {
    let rows = |text: String| -> Vec<(String, Vec<f64>)> {
        text.lines()
            .filter_map(|line| {
                let mut cells = line.split(',');
                let id = cells.next()?.trim_matches('"').to_string();
                let values: Vec<f64> = cells.filter_map(|c| c.trim_matches('"').parse().ok()).collect();
                (!values.is_empty() && id.starts_with('H')).then_some((id, values))
            })
            .collect()
    };
    let (train, test) = (rows(text("m4-hourly/train.csv.gz")?), rows(text("m4-hourly/test.csv.gz")?));
    Some(
        train
            .into_iter()
            .zip(test)
            .map(|((id, train), (other, test))| {
                assert_eq!(id, other);
                Competition { id, train, test }
            })
            .collect(),
    )
}
