//! The history of a gate: an entry for each, as a line of JSON or a row of an SQLite database, so that drifts that no single gate
//! fails are found.
//!
//! A gate against a target, or against the last release, lets four per cent pass every time. Here each figure is a series over gates,
//! searched for changes of level; each change is told with the entry at which it began.
//!
//! Jobs that run at the same time append to one file: each locks it for as long as it reads and writes. A line that a killed job
//! left unfinished is closed, kept, and left out of the series; a database forgets what a killed job began.

#[cfg(feature = "history")]
mod sqlite;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json as value};

use super::criterion::Quantity;
use crate::report::json::number;
use crate::statistics::change::{Change, SHORTEST, changes};

/// Changes smaller than this are not told.
pub const LEAST: f64 = 0.02;

/// What one gate leaves in the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When, RFC 3339.
    pub at: String,
    /// What was judged; series are of entries with one name.
    pub name: String,
    /// The commit or build, if it is known.
    pub revision: Option<String>,
    /// The verdict's word.
    pub verdict: String,
    /// Runs behind it.
    pub runs: usize,
    /// Figures by the key of their quantity: means over the runs.
    pub figures: Vec<(String, f64)>,
}

/// A change of level in a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The figure's key.
    pub figure: String,
    /// The change; its place counts entries of the name from 0.
    pub change: Change,
    /// When the first entry of the new level was written.
    pub at: String,
    /// Its commit or build.
    pub revision: Option<String>,
}

/// What the history says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trend {
    /// Entries of the name, this one included.
    pub entries: usize,
    /// Changes, oldest first, figure by figure.
    pub drifts: Vec<Drift>,
    /// Lines that are no entries.
    pub unreadable: usize,
}

impl Trend {
    /// Why there is nothing to see yet; `None` if there is enough.
    pub fn too_short(&self) -> Option<String> {
        let n = self.entries;
        (n < SHORTEST)
            .then(|| format!("{n} entries are too short a history: changes are looked for from {SHORTEST} on"))
    }
}

/// Why the history could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the history {}: {cause}", path.display())]
pub struct Error {
    /// Which file.
    pub path: PathBuf,
    /// What the operating system, or the database, says.
    pub cause: Cause,
}

/// Whether a file of this name is a database: `.db`, `.sqlite` or `.sqlite3`; everything else is JSON lines.
fn is_database(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ["db", "sqlite", "sqlite3"].contains(&extension.as_str())
}

/// Whether entries can be appended to `path`, as far as that can be told before there is one: a file that is something else is left
/// as it is.
pub fn check(path: &Path) -> Result<(), Error> {
    let checked = if is_database(path) { check_database(path) } else { check_lines(path) };
    checked.map_err(|cause| Error { path: path.to_path_buf(), cause })
}

/// Appends an entry and says what the series look like with it. Waits while another job has the file.
pub fn append(path: &Path, entry: &Entry) -> Result<Trend, Error> {
    let kept = if is_database(path) { in_database(path, entry) } else { in_lines(path, entry) };
    kept.map_err(|cause| Error { path: path.to_path_buf(), cause })
}

type Cause = Box<dyn std::error::Error + Send + Sync>;
type Kept = Result<Trend, Cause>;

#[cfg(feature = "history")]
fn check_database(path: &Path) -> Result<(), Cause> {
    if path.exists() { Ok(sqlite::check(path)?) } else { check_folder(path) }
}

#[cfg(not(feature = "history"))]
fn check_database(_: &Path) -> Result<(), Cause> {
    Err(NO_SQLITE.into())
}

fn check_lines(path: &Path) -> Result<(), Cause> {
    if !path.exists() {
        return check_folder(path);
    }
    // A killed job may have left half a line, which begins as one.
    let first = BufReader::new(File::open(path)?)
        .bytes()
        .find(|byte| !matches!(byte, Ok(byte) if byte.is_ascii_whitespace()));
    match first.transpose()? {
        None | Some(b'{') => Ok(()),
        Some(_) => Err("it is something else: a history is lines of JSON, each an object".into()),
    }
}

fn check_folder(path: &Path) -> Result<(), Cause> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("there is no folder {}", folder.display()).into())
        }
        _ => Ok(()),
    }
}

#[cfg(feature = "history")]
fn in_database(path: &Path, entry: &Entry) -> Kept {
    let all = sqlite::append(path, entry)?;
    Ok(of_entries(&all, 0, &entry.name))
}

#[cfg(not(feature = "history"))]
fn in_database(_: &Path, _: &Entry) -> Kept {
    Err(NO_SQLITE.into())
}

#[cfg(not(feature = "history"))]
const NO_SQLITE: &str =
    "this program was built without SQLite (feature history): a name that ends in .jsonl takes JSON lines";

fn in_lines(path: &Path, entry: &Entry) -> Kept {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    file.lock()?;
    let written = locked(&mut file, entry);
    // Closing the file would do as well; whoever waits need not wait for that.
    let _ = file.unlock();
    Ok(trend(&written?, &entry.name))
}

fn locked(file: &mut File, entry: &Entry) -> io::Result<String> {
    let mut text = String::new();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    text.push_str(&String::from_utf8_lossy(&bytes));
    let mut line = String::new();
    if !text.is_empty() && !text.ends_with('\n') {
        line.push('\n');
    }
    line.push_str(&written(entry).to_string());
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    text.push_str(&line);
    Ok(text)
}

fn written(entry: &Entry) -> Value {
    let figures: serde_json::Map<String, Value> =
        entry.figures.iter().map(|(key, x)| (key.clone(), number(*x))).collect();
    value!({
        "schema": "wavetank.history/1",
        "at": entry.at,
        "name": entry.name,
        "revision": entry.revision,
        "verdict": entry.verdict,
        "runs": entry.runs,
        "figures": figures,
    })
}

fn read(line: &str) -> Option<Entry> {
    let json: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| json[key].as_str().map(str::to_string);
    Some(Entry {
        at: text("at")?,
        name: text("name")?,
        revision: text("revision"),
        verdict: text("verdict")?,
        runs: json["runs"].as_u64()? as usize,
        figures: json["figures"]
            .as_object()?
            .iter()
            .filter_map(|(key, x)| Some((key.clone(), x.as_f64()?)))
            .collect(),
    })
}

/// What a history in JSON lines says about the entries of one name.
pub fn trend(text: &str, name: &str) -> Trend {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let all: Vec<Entry> = lines.iter().filter_map(|line| read(line)).collect();
    of_entries(&all, lines.len() - all.len(), name)
}

fn of_entries(all: &[Entry], unreadable: usize, name: &str) -> Trend {
    let of_name: Vec<&Entry> = all.iter().filter(|entry| entry.name == name).collect();
    let mut keys: Vec<&String> = Vec::new();
    for (key, _) in of_name.iter().flat_map(|entry| &entry.figures) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut drifts = Vec::new();
    for key in keys {
        let series: Vec<(&&Entry, f64)> = of_name
            .iter()
            .filter_map(|entry| Some((entry, entry.figures.iter().find(|(each, _)| each == key)?.1)))
            .collect();
        let values: Vec<f64> = series.iter().map(|(_, x)| *x).collect();
        for change in changes(&values, LEAST).unwrap_or_default() {
            let (entry, _) = series[change.at];
            let (at, revision) = (entry.at.clone(), entry.revision.clone());
            drifts.push(Drift { figure: key.clone(), change, at, revision });
        }
    }
    Trend { entries: of_name.len(), drifts, unreadable }
}

/// Quantities that are kept, beside those that were asked for.
pub const KEPT: [Quantity; 5] = [
    Quantity::Latency { q: 0.5 },
    Quantity::Latency { q: 0.99 },
    Quantity::Availability,
    Quantity::Cost,
    Quantity::ScaleUpTime,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(i: usize, p99: f64) -> Entry {
        Entry {
            at: format!("2026-01-{:02}T00:00:00Z", i + 1),
            name: "shop".to_string(),
            revision: Some(format!("commit-{i}")),
            verdict: "pass".to_string(),
            runs: 5,
            figures: vec![("p99_ms".to_string(), p99), ("cost".to_string(), 12.0)],
        }
    }

    #[test]
    fn five_drifts_of_four_per_cent_are_told_with_the_run_they_began_at() {
        for name in FILES {
            five_drifts(name);
        }
    }

    /// Every kind of file that this build can keep.
    const FILES: &[&str] = if cfg!(feature = "history") { &["h.jsonl", "h.db"] } else { &["h.jsonl"] };

    fn five_drifts(name: &str) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(name);
        let noise = [0.3, -0.5, 0.1, 0.6, -0.4, -0.2, 0.5, -0.1];
        let mut last = Trend::default();
        for i in 0..48usize {
            let p99 = 200.0 * 1.04f64.powi((i / 8) as i32) * (1.0 + noise[(i * 5 + i / 8) % 8] / 100.0);
            last = append(&path, &entry(i, p99)).unwrap();
            assert_eq!(last.too_short().is_some(), i < 9);
        }
        let began: Vec<_> = last.drifts.iter().map(|drift| drift.revision.clone().unwrap()).collect();
        assert_eq!(began, ["commit-8", "commit-16", "commit-24", "commit-32", "commit-40"]);
        assert!(last.drifts.iter().all(|drift| drift.figure == "p99_ms"));
    }

    #[test]
    fn jobs_that_append_at_once_lose_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("history.jsonl");
        // A job that was killed in the middle of a line.
        std::fs::write(&path, "{\"schema\":\"wavetank.hist").unwrap();
        std::thread::scope(|scope| {
            for job in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    (0..25).for_each(|i| drop(append(path, &entry(i, 100.0 + f64::from(job))).unwrap()))
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let trend = trend(&text, "shop");
        assert_eq!((trend.entries, trend.unreadable, text.lines().count()), (200, 1, 201));
        assert_eq!(super::trend(&text, "other").entries, 0);
    }
}
