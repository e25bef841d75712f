//! The file: an SQLite database with a row for each bin. Other programs may read it while it is written.
//!
//! Its journal is a write-ahead log, with `synchronous = NORMAL`: what is committed is with the operating system, so that a process that is
//! killed loses nothing of it. Where the machine itself loses power the last commits may be gone, but the file is sound; waiting for the disk
//! every second (`FULL`) would buy seconds of counts for wear.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Error as Sqlite, ErrorCode, params};

use super::{Error, Settings, stamp};
use crate::engine::analyzer::past::Seen;
use crate::live::clock::Clock;
use crate::units::Span;

/// How long a reader's lock is waited for. A row that finds it shut is written with the next.
const PATIENCE: Duration = Duration::from_millis(500);
/// Version of the tables.
const VERSION: i64 = 1;

/// Times are nanoseconds, those of a day since the Unix epoch.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS traffic (
        bin_ns INTEGER NOT NULL, began_ns INTEGER NOT NULL, requests INTEGER NOT NULL, observed_ns INTEGER NOT NULL,
        PRIMARY KEY (bin_ns, began_ns)
    ) WITHOUT ROWID;";

/// A bin, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// When the bin began \[ns after the Unix epoch\].
    pub began: u64,
    /// What was seen of it.
    pub seen: Seen,
}

/// The file, open.
#[derive(Debug)]
pub(super) struct Database(Connection);

impl Database {
    /// Opens the file, or makes it. One that is damaged is moved aside, which is news.
    pub fn open(settings: &Settings, clock: &Clock) -> Result<(Database, Vec<String>), Error> {
        let path = &settings.path;
        match Database::sound(path) {
            Ok(database) => Ok((database, Vec::new())),
            Err(Error::Open { source, .. }) if is_damage(&source) => {
                let aside =
                    move_aside(path, stamp(clock)).map_err(|source| Error::Stuck { path: path.clone(), source })?;
                let note = format!(
                    "the history of traffic {path:?} is damaged ({source}): it was moved to {aside:?}, and a new one begins"
                );
                Database::sound(path).map(|database| (database, vec![note]))
            }
            Err(error) => Err(error),
        }
    }

    /// The file, if all of it can be read.
    fn sound(path: &Path) -> Result<Database, Error> {
        let opened = |source| Error::Open { path: path.to_path_buf(), source };
        let database = Connection::open(path).map_err(opened)?;
        database.busy_timeout(PATIENCE).map_err(opened)?;
        let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(opened)?;
        if version > VERSION {
            return Err(Error::Later { path: path.to_path_buf(), version });
        }
        let check: String = database.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(opened)?;
        if check != "ok" {
            let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(opened(Sqlite::SqliteFailure(damage, Some(check))));
        }
        database.pragma_update(None, "journal_mode", "WAL").map_err(opened)?;
        database.pragma_update(None, "synchronous", "NORMAL").map_err(opened)?;
        database.execute_batch(TABLES).map_err(opened)?;
        database.pragma_update(None, "user_version", VERSION).map_err(opened)?;
        Ok(Database(database))
    }

    /// The bins of this length, the oldest first.
    pub fn rows(&self, bin: Span) -> Result<Vec<Row>, Sqlite> {
        let sentence = "SELECT began_ns, requests, observed_ns FROM traffic WHERE bin_ns = ?1 ORDER BY began_ns";
        let mut found = self.0.prepare(sentence)?;
        let whole = |n: i64| u64::try_from(n).unwrap_or(0);
        let rows = found.query_map([bin.0 as i64], |row| {
            let seen = Seen { requests: whole(row.get(1)?), observed: Span(whole(row.get(2)?)) };
            Ok(Row { began: whole(row.get(0)?), seen })
        })?;
        rows.collect()
    }

    /// Adds to a bin and throws away what began before `before`, both or neither.
    pub fn add(&mut self, bin: Span, row: &Row, before: Option<u64>) -> Result<(), Sqlite> {
        let work = self.0.transaction()?;
        work.prepare_cached(
            "INSERT INTO traffic (bin_ns, began_ns, requests, observed_ns) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, observed_ns = observed_ns + excluded.observed_ns",
        )?
        .execute(params![bin.0 as i64, row.began as i64, row.seen.requests as i64, row.seen.observed.0 as i64])?;
        if let Some(before) = before {
            work.execute("DELETE FROM traffic WHERE began_ns < ?1", [before as i64])?;
        }
        work.commit()
    }

    /// Throws away what began before a moment.
    pub fn forget(&mut self, before: u64) -> Result<(), Sqlite> {
        self.0.execute("DELETE FROM traffic WHERE began_ns < ?1", [before as i64]).map(|_| ())
    }
}

/// Whether it is the file that is to blame, and not whoever holds it, or the disk.
fn is_damage(error: &Sqlite) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Moves a file and its journals aside; where it is then.
fn move_aside(path: &Path, stamp: u64) -> std::io::Result<PathBuf> {
    let with = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".damaged-{stamp}"));
    std::fs::rename(path, &aside)?;
    for journal in ["-wal", "-shm"] {
        match std::fs::rename(with(path, journal), with(&aside, journal)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        Settings { path: folder.join("traffic.db"), keep: Span::from_mins(60) }
    }

    fn open(settings: &Settings) -> (Database, Vec<String>) {
        Database::open(settings, &Clock::start()).unwrap()
    }

    fn row(began: u64, requests: u64) -> Row {
        Row { began, seen: Seen { requests, observed: Span::from_secs(1) } }
    }

    #[test]
    fn seconds_add_up_to_bins_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let bin = Span::from_secs(10);
        let (mut database, notes) = open(&settings);
        assert!(notes.is_empty());
        for (began, requests) in [(20, 5), (20, 7), (30, 1)] {
            database.add(bin, &row(began, requests), None).unwrap();
        }
        database.add(Span::from_secs(60), &row(20, 100), None).unwrap();
        drop(database);
        let (mut database, _) = open(&settings);
        let two = Row { began: 20, seen: Seen { requests: 12, observed: Span::from_secs(2) } };
        assert_eq!(database.rows(bin).unwrap(), [two, row(30, 1)]);
        database.add(bin, &row(40, 2), Some(30)).unwrap();
        assert_eq!(database.rows(bin).unwrap(), [row(30, 1), row(40, 2)]);
        database.forget(40).unwrap();
        assert_eq!(database.rows(bin).unwrap(), [row(40, 2)]);
    }

    #[test]
    fn a_damaged_file_is_moved_aside_and_a_new_one_begins() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let bin = Span::from_secs(10);
        let (mut database, _) = open(&settings);
        (0..2000).for_each(|i| database.add(bin, &row(i * 10, i), None).unwrap());
        drop(database);
        let mut bytes = std::fs::read(&settings.path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 2000].fill(0xaa);
        for damaged in [bytes, b"GET / HTTP/1.1\r\n".repeat(100)] {
            std::fs::write(&settings.path, &damaged).unwrap();
            let (mut database, notes) = open(&settings);
            assert!(notes[0].contains("is damaged") && notes[0].contains("traffic.db.damaged-"), "{notes:?}");
            assert_eq!(database.rows(bin).unwrap(), []);
            database.add(bin, &row(10, 1), None).unwrap();
            let is_aside = |name: &str| {
                name.starts_with("traffic.db.damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
            };
            let aside = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
            let aside: Vec<_> = aside.filter(|entry| is_aside(&entry.file_name().to_string_lossy())).collect();
            assert_eq!(aside.len(), 1);
            assert_eq!(std::fs::read(aside[0].path()).unwrap(), damaged, "nothing of it is thrown away");
            std::fs::remove_file(aside[0].path()).unwrap();
            drop(database);
        }
    }

    #[test]
    fn a_file_of_a_later_program_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        open(&settings).0.0.pragma_update(None, "user_version", 2).unwrap();
        let error = Database::open(&settings, &Clock::start()).unwrap_err();
        assert!(matches!(error, Error::Later { version: 2, .. }), "{error}");
    }
}
