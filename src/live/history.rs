//! The traffic's history on disk: what the analyzer has learned survives the gateway that learned it.
//!
//! ```text
//! every second    requests that were offered since the last ─▶ their bin's row, one transaction       database
//! at the start    rows that are kept ─▶ Past ─▶ engine.remember: baseline, patterns, forecast go on
//! ```
//!
//! A gateway that is killed loses what came in its last second, and never the file (`history/database.rs`). A second belongs to the bin in which its
//! middle lies; how long a bin was observed stands beside its requests, so that a restart is a gap and no zero.
//!
//! What is absent: spikes and who sent them, the state of policies, and a file that two gateways share: each has its own.

mod database;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use crate::engine::analyzer::past::{Bin, Past, Seen};
use crate::engine::input::Input;
use crate::engine::request::InstanceId;
use crate::live::clock::Clock;
use crate::live::driver::{Driver, Told};
use crate::scenario::live::History as Settings;
use crate::units::{Span, Time};
use database::{Database, Row};

/// A Monday at midnight, since which calendars here count \[ns after the Unix epoch\].
const MONDAY: u64 = 4 * DAY;
const DAY: u64 = 86_400_000_000_000;
/// How often rows that are too old are thrown away.
const TIDY_EVERY: Span = Span::from_mins(60);

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be used.
    #[error("live.history.path: cannot use {path:?} as a history of traffic")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A later program wrote it.
    #[error(
        "live.history.path: {path:?} was written by a later wavetank (version {version} of its tables, 1 is known here)"
    )]
    Later {
        /// The file.
        path: PathBuf,
        /// Of its tables.
        version: i64,
    },
    /// The file is damaged and stands in the way.
    #[error("live.history.path: {path:?} is damaged, and cannot be moved aside")]
    Stuck {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A row could not be written; it is kept for the next second.
#[derive(Debug, thiserror::Error)]
#[error("the traffic's history cannot be written, and goes on in memory")]
struct Unwritten(#[source] rusqlite::Error);

/// Where an engine's time and bins are on the calendar of the world \[ns after the Unix epoch\].
#[derive(Clone, Copy, Debug)]
struct Calendar {
    began: u64,
    bin: Span,
}

impl Calendar {
    fn at(&self, now: Time) -> u64 {
        self.began.saturating_add(now.0)
    }

    /// When the bin began in which a moment lies.
    fn bin_of(&self, unix: u64) -> u64 {
        let since = unix.saturating_sub(MONDAY);
        unix - since % self.bin.0
    }

    /// What rows say to an engine that begins now.
    fn past(&self, rows: &[Row]) -> Past {
        let current = self.bin_of(self.began);
        let origin = rows.first().map_or(self.began, |row| row.began.min(self.began));
        let origin = origin - origin.saturating_sub(MONDAY) % (7 * DAY);
        let over = rows.iter().take_while(|row| row.began < current);
        let bin = |row: &Row| Bin { began: Time(row.began.saturating_sub(origin)), seen: row.seen };
        let under_way = rows.iter().find(|row| row.began == current);
        Past {
            calendar: Span(self.began - origin),
            bins: over.map(bin).collect(),
            into_bin: Span(self.began - current),
            under_way: under_way.map_or(Seen::default(), |row| row.seen),
        }
    }
}

/// The history of a gateway that runs.
#[derive(Debug)]
pub struct History {
    stop: watch::Sender<bool>,
    keeping: JoinHandle<()>,
    /// What became of the file, where that is news.
    pub notes: Vec<String>,
}

impl History {
    /// Opens the file, has the engine remember it, and goes on in it. `bin` is the analyzer's.
    pub fn begin(settings: &Settings, bin: Span, driver: &Arc<Driver>) -> Result<History, Error> {
        let calendar = Calendar { began: driver.clock().unix_nanos(Time::ZERO), bin };
        let (mut database, notes) = Database::open(settings, driver.clock())?;
        let since = calendar.began.saturating_sub(settings.keep.0);
        let opened = |source| Error::Open { path: settings.path.clone(), source };
        database.forget(since).map_err(opened)?;
        let rows = database.rows(bin).map_err(opened)?;
        let past = calendar.past(&rows);
        let mut scribe = Scribe { calendar, keep: settings.keep, counted: 0, until: Time::ZERO, tidied: Time::ZERO };
        scribe.until = driver.with(|now, core| {
            core.feed(now, Input::Remember(past));
            now
        });
        let (stop, stopped) = watch::channel(false);
        let keeping = tokio::spawn(keep(Arc::clone(driver), database, scribe, stopped));
        Ok(History { stop, keeping, notes })
    }

    /// Writes down what is not yet written, and ends.
    pub async fn end(self) {
        // Whoever keeps it may have ended with the driver.
        let _ = self.stop.send(true);
        let _ = self.keeping.await;
    }
}

/// Knows what is written down.
#[derive(Debug)]
struct Scribe {
    calendar: Calendar,
    keep: Span,
    /// Requests of which rows tell, and until when they do.
    counted: u64,
    until: Time,
    /// When old rows were thrown away last.
    tidied: Time,
}

impl Scribe {
    /// What has come since `until`, as a row to be added, with what it takes to say that it was.
    fn row(&self, now: Time, offered: u64) -> Row {
        let observed = now.since(self.until);
        let began = self.calendar.bin_of(self.calendar.at(self.until + observed / 2));
        Row { began, seen: Seen { requests: offered - self.counted, observed } }
    }

    /// Before when rows are too old, if it is time to throw such away.
    fn tidy(&mut self, now: Time) -> Option<u64> {
        let is_time = now.since(self.tidied) >= TIDY_EVERY;
        is_time.then(|| {
            self.tidied = now;
            self.calendar.at(now).saturating_sub(self.keep.0)
        })
    }
}

/// Writes a row every second, until it is told to stop.
async fn keep(driver: Arc<Driver>, mut database: Database, mut scribe: Scribe, mut stop: watch::Receiver<bool>) {
    let mut news = driver.watch();
    let mut is_well = true;
    loop {
        let is_last = tokio::select! {
            told = news.recv() => match told {
                // Whoever is behind has missed seconds, but no count.
                Ok(Told::Second(_)) | Err(broadcast::error::RecvError::Lagged(_)) => false,
                Ok(Told::Event(_) | Told::Remark(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => true,
            },
            _ = stop.wait_for(|stop| *stop) => true,
        };
        let (now, offered) =
            driver.with(|now, core| (now, core.engine.analyzer().map_or(0, |analyzer| analyzer.offered())));
        let row = scribe.row(now, offered);
        let before = scribe.tidy(now);
        let bin = scribe.calendar.bin;
        // A disk may be slow: the threads that wait on sockets do not wait for it.
        let written = tokio::task::spawn_blocking(move || {
            let written = database.add(bin, &row, before);
            (database, written)
        });
        let Ok((returned, written)) = written.await else { return };
        database = returned;
        match written {
            Ok(()) => (scribe.counted, scribe.until, is_well) = (offered, now, true),
            Err(error) if is_well => {
                is_well = false;
                driver.with(|now, core| core.log.remark(now, InstanceId(u32::MAX), &Unwritten(error)));
            }
            // It has been said.
            Err(_) => {}
        }
        if is_last {
            return;
        }
    }
}

/// The date for the name of a file that is moved aside \[s after the Unix epoch\].
fn stamp(clock: &Clock) -> u64 {
    clock.unix_nanos(clock.now()) / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn row(began: u64, requests: u64, seconds: u64) -> Row {
        Row { began, seen: Seen { requests, observed: Span::from_secs(seconds) } }
    }

    #[test]
    fn an_hour_is_the_same_hour_for_the_next_engine() {
        // A Wednesday, 14:00:04.
        let began = MONDAY + 100 * 7 * DAY + 2 * DAY + 14 * 3600 * SECOND + 4 * SECOND;
        let calendar = Calendar { began, bin: Span::from_secs(10) };
        let rows =
            [row(began - 3604 * SECOND, 50, 10), row(began - 14 * SECOND, 60, 9), row(began - 4 * SECOND, 7, 2)];
        let past = calendar.past(&rows);
        let hours = |h: u64| Span::from_secs((2 * 24 + h) * 3600);
        assert_eq!((past.calendar, past.into_bin), (hours(14) + Span::from_secs(4), Span::from_secs(4)));
        assert_eq!(past.bins.len(), 2);
        assert_eq!(past.bins[0].began, Time(hours(13).0));
        assert_eq!(past.under_way, Seen { requests: 7, observed: Span::from_secs(2) });
        let none = calendar.past(&[]);
        assert_eq!((none.calendar, none.bins.len(), none.under_way), (past.calendar, 0, Seen::default()));
    }

    #[test]
    fn a_second_belongs_to_the_bin_of_its_middle() {
        let calendar = Calendar { began: MONDAY + 4 * SECOND, bin: Span::from_secs(10) };
        let at = Time::from_secs_f64;
        let mut scribe =
            Scribe { calendar, keep: Span::from_mins(60), counted: 5, until: at(5.4), tidied: Time::ZERO };
        assert_eq!(scribe.row(at(6.4), 12), row(MONDAY, 7, 1));
        scribe.until = at(5.8);
        assert_eq!(scribe.row(at(6.8), 12), row(MONDAY + 10 * SECOND, 7, 1));
        assert_eq!(scribe.tidy(at(3599.0)), None);
        assert_eq!(scribe.tidy(at(3601.0)), Some(MONDAY + 5 * SECOND));
        assert_eq!(scribe.tidy(at(3602.0)), None);
    }
}
