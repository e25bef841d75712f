//! A study as an SQLite database.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::{Error, Record, Study, Writer};
use crate::tune::judge::Outcome;

/// How long a process waits for another one that has the database.
const PATIENCE: Duration = Duration::from_secs(60);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS trial (
        id INTEGER PRIMARY KEY, block TEXT NOT NULL, day TEXT NOT NULL, seed INTEGER NOT NULL, stress TEXT NOT NULL,
        settings TEXT NOT NULL, cost REAL NOT NULL, p99_ms REAL, availability REAL, outcome TEXT NOT NULL,
        UNIQUE (settings, block, day, seed, stress)
    );";

/// What a study is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Fingerprint of everything that decides what a run leaves: scenario, recording, targets, program.
    pub digest: String,
    /// How it was asked for, as JSON, to go on without being asked again.
    pub definition: String,
}

impl Study {
    /// Opens the study at `path`, or begins it.
    pub fn open(path: &Path, meta: &Meta) -> Result<Study, Error> {
        let failed = |cause| Error::Database { path: path.to_path_buf(), cause };
        let database = connect(path).map_err(failed)?;
        database.execute_batch(TABLES).map_err(failed)?;
        match value(&database, "digest").map_err(failed)? {
            Some(digest) if digest != meta.digest => return Err(Error::Other(path.to_path_buf())),
            _ => {
                let put = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
                for (key, value) in [("digest", &meta.digest), ("definition", &meta.definition)] {
                    database.execute(put, params![key, value]).map_err(failed)?;
                }
            }
        }
        let mut study = Study::in_memory();
        for (record, outcome) in rows(&database, path)? {
            study.remember(record, outcome);
        }
        study.writer = Writer { file: Some((path.to_path_buf(), Mutex::new(database))) };
        Ok(study)
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    // A commit of its own for each run would wait for the disk each time; the log survives a killed process without.
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(database)
}

fn value(database: &Connection, key: &str) -> Result<Option<String>, rusqlite::Error> {
    database.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// The fingerprint of texts and of the contents of files, with that of this version of the program: 32 hex digits.
pub fn fingerprint(texts: &[&str], files: &[PathBuf]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    for path in files {
        let failed = |cause| Error::Unreadable { path: path.clone(), cause };
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match std::io::Read::read(&mut file, &mut buffer).map_err(failed)? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
    }
    Ok(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// What the study at `path` is of.
pub fn meta(path: &Path) -> Result<Meta, Error> {
    let failed = |cause| Error::Database { path: path.to_path_buf(), cause };
    if !path.is_file() {
        return Err(Error::NoStudy(path.to_path_buf()));
    }
    let database = connect(path).map_err(failed)?;
    let of = |key| value(&database, key).ok().flatten().ok_or_else(|| Error::NoStudy(path.to_path_buf()));
    Ok(Meta { digest: of("digest")?, definition: of("definition")? })
}

/// A study with all its runs, in the order in which they ended.
pub fn runs(path: &Path) -> Result<Runs, Error> {
    let meta = meta(path)?;
    let database = connect(path).map_err(|cause| Error::Database { path: path.to_path_buf(), cause })?;
    Ok(Runs { place: path.display().to_string(), meta, rows: rows(&database, path)? })
}

/// The runs of a study from somewhere.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Where they are from.
    pub place: String,
    /// What they are of.
    pub meta: Meta,
    /// The runs.
    pub rows: Vec<(Record, Outcome)>,
}

/// Puts runs into the study at `into`, which begins as one of the same if it is not there; how many were new. All have to be of the same
/// study.
pub fn merge(into: &Path, from: Vec<Runs>) -> Result<usize, Error> {
    let Some(first) = from.first() else { return Ok(0) };
    let digest = first.meta.digest.clone();
    if let Some(other) = from.iter().find(|runs| runs.meta.digest != digest) {
        return Err(Error::Mixed { place: other.place.clone(), first: first.place.clone() });
    }
    let mut study = Study::open(into, &first.meta)?;
    let before = study.runs().len();
    for (record, outcome) in from.into_iter().flat_map(|runs| runs.rows) {
        if study.get(&record).is_none() {
            study.writer().write(&record, &outcome)?;
            study.remember(record, outcome);
        }
    }
    Ok(study.runs().len() - before)
}

fn rows(database: &Connection, path: &Path) -> Result<Vec<(Record, Outcome)>, Error> {
    let failed = |cause| Error::Database { path: path.to_path_buf(), cause };
    let mut query = database
        .prepare("SELECT id, block, day, seed, stress, settings, outcome FROM trial ORDER BY id")
        .map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let id: i64 = row.get(0).map_err(failed)?;
        let text = |i: usize| row.get::<_, String>(i).map_err(failed);
        let bad = |problem: String| Error::Row { path: path.to_path_buf(), row: id, problem };
        let seed = row.get(3).map_err(failed)?;
        let record = Record::of_words(&text(5)?, &text(2)?, &text(1)?, seed, &text(4)?).map_err(&bad)?;
        let outcome = serde_json::from_str(&text(6)?).map_err(|error| bad(format!("outcome: {error}")))?;
        all.push((record, outcome));
    }
    Ok(all)
}

impl Writer {
    /// Writes a run that was finished.
    pub fn write(&self, record: &Record, outcome: &Outcome) -> Result<(), Error> {
        let Some((path, database)) = &self.file else { return Ok(()) };
        let json = serde_json::to_string(outcome).expect("outcomes are plain numbers");
        let insert =
            "INSERT OR IGNORE INTO trial (block, day, seed, stress, settings, cost, p99_ms, availability, outcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        // A thread that died while writing left a transaction that SQLite has rolled back.
        let database = database.lock().unwrap_or_else(PoisonError::into_inner);
        database
            .execute(
                insert,
                params![
                    record.block.name(),
                    record.day,
                    record.seed,
                    record.stress.name(),
                    record.settings,
                    outcome.cost,
                    outcome.p99_ms,
                    outcome.availability,
                    json
                ],
            )
            .map(|_| ())
            .map_err(|cause| Error::Database { path: path.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::judge::tests::outcome;
    use crate::tune::laboratory::{Block, Stress};

    fn record(seed: u32) -> Record {
        Record {
            settings: "autoscaler.min=2".into(),
            day: "day 1".into(),
            block: Block::Fresh,
            seed,
            stress: Stress::Boot(120),
        }
    }

    #[test]
    fn what_was_finished_is_there_again_and_another_study_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.db");
        let meta_of = |digest: &str| Meta { digest: digest.into(), definition: "{}".into() };
        let study = Study::open(&path, &meta_of("a")).unwrap();
        study.writer().write(&record(3), &outcome(1.5, &[0.25])).unwrap();
        drop(study);
        let again = Study::open(&path, &meta_of("a")).unwrap();
        assert_eq!(again.get(&record(3)), Some(&outcome(1.5, &[0.25])));
        assert_eq!(again.get(&record(4)), None);
        assert!(matches!(Study::open(&path, &meta_of("b")), Err(Error::Other(_))));
        assert_eq!(meta(&path).unwrap(), meta_of("a"));
        assert!(matches!(meta(&folder.path().join("none.db")), Err(Error::NoStudy(_))));
    }

    #[test]
    fn studies_of_the_same_merge() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let meta = Meta { digest: "a".into(), definition: "{}".into() };
        for (name, seeds) in [("1.db", [1, 2]), ("2.db", [2, 3])] {
            let study = Study::open(&file(name), &meta).unwrap();
            seeds
                .iter()
                .for_each(|&seed| study.writer().write(&record(seed), &outcome(f64::from(seed), &[])).unwrap());
        }
        assert_eq!(
            merge(&file("all.db"), vec![runs(&file("1.db")).unwrap(), runs(&file("2.db")).unwrap()]).unwrap(),
            3
        );
        let all = Study::open(&file("all.db"), &meta).unwrap();
        assert_eq!(all.runs().map(|(record, _)| record.seed).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
