//! The runs of a study as a table: what shares of it leave for each other, and what anybody may look at.

use std::io::Cursor;
use std::path::Path;

use polars::prelude::*;

use super::Error;

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Settings as overrides, a line each.
    pub settings: String,
    /// Name of the day.
    pub day: String,
    /// Name of the block that its seed is of.
    pub block: String,
    /// Number of the seed.
    pub seed: u32,
    /// What was not as the scenario says.
    pub stress: String,
    /// Cost of a day.
    pub cost: f64,
    /// p99 \[ms\].
    pub p99_ms: Option<f64>,
    /// Availability [0..1].
    pub availability: Option<f64>,
    /// Everything that was measured, as JSON.
    pub outcome: String,
}

/// Runs, and the study that they are of.
#[derive(Clone, Debug, PartialEq)]
pub struct Trials {
    /// Fingerprint of the study.
    pub digest: String,
    /// How it was asked for, as JSON.
    pub definition: String,
    /// The runs.
    pub rows: Vec<Trial>,
}

const TEXTS: [&str; 7] = ["digest", "definition", "settings", "day", "block", "stress", "outcome"];

/// The table as Parquet.
pub fn write_trials(trials: &Trials) -> Result<Vec<u8>, Error> {
    let rows = &trials.rows;
    let text = |name: &str, of: &dyn Fn(&Trial) -> String| {
        Column::new(name.into(), rows.iter().map(of).collect::<Vec<String>>())
    };
    let columns = vec![
        text("settings", &|row| row.settings.clone()),
        text("day", &|row| row.day.clone()),
        text("block", &|row| row.block.clone()),
        Column::new("seed".into(), rows.iter().map(|row| row.seed).collect::<Vec<_>>()),
        text("stress", &|row| row.stress.clone()),
        Column::new("cost".into(), rows.iter().map(|row| row.cost).collect::<Vec<_>>()),
        Column::new("p99_ms".into(), rows.iter().map(|row| row.p99_ms).collect::<Vec<_>>()),
        Column::new("availability".into(), rows.iter().map(|row| row.availability).collect::<Vec<_>>()),
        text("outcome", &|row| row.outcome.clone()),
        text("digest", &|_| trials.digest.clone()),
        text("definition", &|_| trials.definition.clone()),
    ];
    let failed = Error::table(Path::new("trials"));
    let mut frame = DataFrame::new_infer_height(columns).map_err(&failed)?;
    let mut bytes = Vec::new();
    let writer = ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None));
    writer.finish(&mut frame).map_err(&failed)?;
    Ok(bytes)
}

/// The table that [`write_trials`] wrote, which is called `name` in messages. One without rows is of no study: `None`.
pub fn read_trials(bytes: Vec<u8>, name: &str) -> Result<Option<Trials>, Error> {
    let failed = Error::table(Path::new(name));
    let frame = ParquetReader::new(Cursor::new(bytes)).finish().map_err(&failed)?;
    if frame.height() == 0 {
        return Ok(None);
    }
    let column = |name: &str| frame.column(name);
    let [digest, definition, settings, day, block, stress, outcome] = {
        let mut columns = Vec::new();
        for name in TEXTS {
            columns.push(column(name).and_then(Column::str).map_err(&failed)?);
        }
        <[&StringChunked; 7]>::try_from(columns).expect("as many as names")
    };
    let seeds = column("seed").and_then(Column::u32).map_err(&failed)?;
    let figure = |name| column(name).and_then(Column::f64).map_err(&failed);
    let (cost, p99, availability) = (figure("cost")?, figure("p99_ms")?, figure("availability")?);
    let absent =
        |row: usize| Error::Table { path: name.into(), message: format!("row {}: a value is absent", row + 1) };
    let mut rows = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        let text = |column: &StringChunked| column.get(row).map(str::to_string).ok_or_else(|| absent(row));
        // A file of runs of two studies was put together by somebody else.
        if digest.get(row) != digest.get(0) {
            let message = format!("row {}: a run of another study than row 1", row + 1);
            return Err(Error::Table { path: name.into(), message });
        }
        rows.push(Trial {
            settings: text(settings)?,
            day: text(day)?,
            block: text(block)?,
            seed: seeds.get(row).ok_or_else(|| absent(row))?,
            stress: text(stress)?,
            cost: cost.get(row).ok_or_else(|| absent(row))?,
            p99_ms: p99.get(row),
            availability: availability.get(row),
            outcome: text(outcome)?,
        });
    }
    let of_study = |column: &StringChunked| column.get(0).map(str::to_string);
    Ok(of_study(digest).zip(of_study(definition)).map(|(digest, definition)| Trials { digest, definition, rows }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_same_after_they_were_a_table() {
        let row = |seed| Trial {
            settings: "autoscaler.min=2\nautoscaler.max=\"ü\"".into(),
            day: "day 1".into(),
            block: "search".into(),
            seed,
            stress: "as it is".into(),
            cost: 0.1 + 0.2,
            p99_ms: (seed > 1).then_some(1.0 / 3.0),
            availability: None,
            outcome: "{\"cost\":0.30000000000000004}".into(),
        };
        let trials = Trials { digest: "d".into(), definition: "{}".into(), rows: vec![row(1), row(2)] };
        let bytes = write_trials(&trials).unwrap();
        assert_eq!(read_trials(bytes.clone(), "x").unwrap(), Some(trials.clone()));
        assert_eq!(write_trials(&trials).unwrap(), bytes, "the same bytes each time");
        let none = write_trials(&Trials { rows: Vec::new(), ..trials }).unwrap();
        assert_eq!(read_trials(none, "x").unwrap(), None);
    }

    #[test]
    fn what_is_no_such_table_is_told_with_its_name() {
        let told = read_trials(b"PAR1 nonsense".to_vec(), "share.parquet").unwrap_err().to_string();
        assert!(told.starts_with("share.parquet: "), "{told}");
    }
}
