//! The history as an SQLite database: a row for each gate, and one for each of its figures. Other programs may read it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Error, TransactionBehavior, params};

use super::Entry;

/// How long a job waits for another one that has the database.
const PATIENCE: Duration = Duration::from_secs(60);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS gate (
        id INTEGER PRIMARY KEY, at TEXT NOT NULL, name TEXT NOT NULL, revision TEXT, verdict TEXT NOT NULL, runs INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS figure (
        id INTEGER PRIMARY KEY, gate INTEGER NOT NULL REFERENCES gate (id), key TEXT NOT NULL, value REAL NOT NULL,
        UNIQUE (gate, key)
    );";

/// Whether a file is a database.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    Connection::open(path)?.pragma_query_value(None, "schema_version", |_| Ok(()))
}

/// Appends an entry; every entry of its name, this one last.
pub(super) fn append(path: &Path, entry: &Entry) -> Result<Vec<Entry>, Error> {
    let mut database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    // The lock is taken before anything is read: two jobs that both had read could not both write.
    let work = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    work.execute_batch(TABLES)?;
    work.execute(
        "INSERT INTO gate (at, name, revision, verdict, runs) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![entry.at, entry.name, entry.revision, entry.verdict, entry.runs as i64],
    )?;
    let id = work.last_insert_rowid();
    for (key, value) in &entry.figures {
        work.execute("INSERT INTO figure (gate, key, value) VALUES (?1, ?2, ?3)", params![id, key, value])?;
    }
    let all = read(&work, &entry.name)?;
    work.commit()?;
    Ok(all)
}

fn read(database: &Connection, name: &str) -> Result<Vec<Entry>, Error> {
    let mut gates =
        database.prepare("SELECT id, at, revision, verdict, runs FROM gate WHERE name = ?1 ORDER BY id")?;
    let mut figures = database.prepare("SELECT key, value FROM figure WHERE gate = ?1 ORDER BY id")?;
    let mut all = Vec::new();
    let mut rows = gates.query([name])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let of_gate = figures.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        all.push(Entry {
            at: row.get(1)?,
            name: name.to_string(),
            revision: row.get(2)?,
            verdict: row.get(3)?,
            runs: row.get::<_, i64>(4)?.max(0) as usize,
            figures: of_gate.collect::<Result<_, _>>()?,
        });
    }
    Ok(all)
}
