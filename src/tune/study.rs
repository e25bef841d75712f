//! The study: every run that was finished, and what it was a run of, in one file.
//!
//! The file is an SQLite database with two tables that anybody may read: `meta` (what is searched, and its fingerprint) and `trial` (a row for
//! each run: settings, day, seeds, cost, latency, availability, and all of it as JSON). A row is written when its run ends, in a
//! transaction of its own: what was finished survives Ctrl-C and `kill -9`. A search asks for the same runs in the same order whenever it
//! is started, so going on is looking first whether a run is there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::judge::Outcome;
use super::laboratory::{Block, Stress};

/// What a run was of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The settings as overrides, a line each; empty for the present ones.
    pub settings: String,
    /// The day, by its name.
    pub day: String,
    /// Which seeds.
    pub block: Block,
    /// Number of the seed in its block.
    pub seed: u32,
    /// What was not as the scenario says.
    pub stress: Stress,
}

impl Record {
    /// Of the names of its parts, as files have them; the error says which of them means nothing.
    pub fn of_words(settings: &str, day: &str, block: &str, seed: u32, stress: &str) -> Result<Record, String> {
        let known = std::iter::once(Stress::None).chain(Stress::TRIED).find(|each| each.name() == stress);
        Ok(Record {
            settings: settings.to_string(),
            day: day.to_string(),
            block: [Block::Search, Block::Fresh]
                .into_iter()
                .find(|each| each.name() == block)
                .ok_or_else(|| format!("block {block:?}"))?,
            seed,
            stress: known.ok_or_else(|| format!("stress {stress:?}"))?,
        })
    }
}

/// Why a study cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused.
    #[cfg(feature = "history")]
    #[error("{}: {cause}", path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        cause: rusqlite::Error,
    },
    /// A file that the study depends on cannot be read.
    #[cfg(feature = "history")]
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// It is no study.
    #[error("{}: not a study that wavetank tune wrote", .0.display())]
    NoStudy(PathBuf),
    /// It is the study of something else.
    #[error(
        "{}: the study of something else (scenario, recording, ranges or program differ): remove it, or give another --out",
        .0.display()
    )]
    Other(PathBuf),
    /// Runs of different studies do not go together.
    #[error("{place}: runs of another study than those of {first} (scenario, recording, ranges or program differ)")]
    Mixed {
        /// Where they are.
        place: String,
        /// Where those are that they should be joined with.
        first: String,
    },
    /// A row says what no version wrote.
    #[error("{}: row {row} of the table trial: {problem}", path.display())]
    Row {
        /// Which file.
        path: PathBuf,
        /// Which row.
        row: i64,
        /// What is wrong with it.
        problem: String,
    },
    /// A share of the runs is done, and the search waits for those of the others.
    #[error("this share's {own} runs are done; {missing} are those of other shares: join them with wavetank merge")]
    Shared {
        /// Played here.
        own: usize,
        /// To be played elsewhere.
        missing: usize,
    },
}

/// Runs that were finished.
#[derive(Debug, Default)]
pub struct Study {
    known: BTreeMap<Record, Outcome>,
    writer: Writer,
}

impl Study {
    /// A study that is kept nowhere.
    pub fn in_memory() -> Study {
        Study::default()
    }

    /// What a run left, if it was finished.
    pub fn get(&self, record: &Record) -> Option<&Outcome> {
        self.known.get(record)
    }

    /// Keeps in mind what a run left; [`Writer::write`] keeps it in the file.
    pub fn remember(&mut self, record: Record, outcome: Outcome) {
        self.known.insert(record, outcome);
    }

    /// What writes runs into the file, from any thread.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Every run, in an order that does not depend on when it ended.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = (&Record, &Outcome)> {
        self.known.iter()
    }
}

/// Writes runs into the file.
#[derive(Debug, Default)]
pub struct Writer {
    #[cfg(feature = "history")]
    file: Option<(PathBuf, std::sync::Mutex<rusqlite::Connection>)>,
}

#[cfg(not(feature = "history"))]
impl Writer {
    /// Writes nothing: studies are kept in files by feature `history`.
    pub fn write(&self, _: &Record, _: &Outcome) -> Result<(), Error> {
        Ok(())
    }
}

impl Block {
    /// Its name in a study.
    pub fn name(self) -> &'static str {
        match self {
            Block::Search => "search",
            Block::Fresh => "fresh",
        }
    }
}

#[cfg(feature = "history")]
mod file;

#[cfg(feature = "history")]
pub use file::{Meta, Runs, fingerprint, merge, meta, runs};
