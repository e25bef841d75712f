//! `--results`: what shares of a study leave for each other, as Parquet tables in a folder or a bucket.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::dataset::{Trial, Trials, read_trials, write_trials};
use crate::sim::Monitor;
use crate::store::Store;
use crate::tune::judge::Outcome;
use crate::tune::laboratory::{Exchange, Share};
use crate::tune::study::{self as studies, Record};
use crate::units::Span;

/// Between two looks at what others have left.
const POLL: Duration = Duration::from_millis(500);
const ENDING: &str = ".parquet";

/// The results of one study in a place.
pub struct Results<'a> {
    pub store: Store,
    pub meta: studies::Meta,
    pub share: Option<Share>,
    /// How long others are waited for.
    pub patience: Span,
    pub monitor: &'a Monitor,
    seen: BTreeSet<String>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl<'a> Results<'a> {
    pub fn new(
        store: Store,
        meta: studies::Meta,
        share: Option<Share>,
        patience: Span,
        monitor: &'a Monitor,
    ) -> Results<'a> {
        Results { store, meta, share, patience, monitor, seen: BTreeSet::new() }
    }

    fn put(&mut self, played: &[(Record, Outcome)]) -> Result<(), Failure> {
        if played.is_empty() {
            return Ok(());
        }
        let rows: Vec<Trial> = played.iter().map(|(record, outcome)| row(record, outcome)).collect();
        // A share that is started again leaves the same runs under the same name.
        let of_rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        let of_rows: Vec<&str> = of_rows.iter().map(String::as_str).collect();
        let name = studies::fingerprint(&of_rows, &[])?;
        let share = self.share.map_or(String::new(), |share| format!("-share-{}-of-{}", share.index, share.of));
        let file =
            format!("trials-{}{share}-{}{ENDING}", &self.meta.digest[..8.min(self.meta.digest.len())], &name[..8]);
        let trials = Trials { digest: self.meta.digest.clone(), definition: self.meta.definition.clone(), rows };
        self.store.put(&file, write_trials(&trials)?)?;
        self.seen.insert(file);
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<(Record, Outcome)>, Failure> {
        let mut runs = Vec::new();
        for file in self.store.list(ENDING)? {
            if !self.seen.insert(file.clone()) {
                continue;
            }
            if let Some(trials) = read_trials(self.store.get(&file)?, &self.store.called(&file))?
                && trials.digest == self.meta.digest
            {
                runs.extend(of_table(&trials, &self.store.called(&file))?);
            }
        }
        Ok(runs)
    }
}

impl Exchange for Results<'_> {
    #[expect(clippy::disallowed_methods, reason = "a folder and a bucket do not say when something new is there")]
    fn swap(&mut self, played: &[(Record, Outcome)], wanted: &[Record]) -> Result<Vec<(Record, Outcome)>, Failure> {
        self.put(played)?;
        let mut runs = self.take()?;
        let mut missing: BTreeSet<&Record> = wanted.iter().collect();
        let looks = (self.patience.as_secs_f64() / POLL.as_secs_f64()).ceil() as u64;
        for _ in 0..looks {
            for (record, _) in &runs {
                missing.remove(record);
            }
            if missing.is_empty() || self.monitor.stop.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(POLL);
            runs.extend(self.take()?);
        }
        Ok(runs)
    }
}

/// Every study of which there are runs in a place, with these.
pub fn all(store: &Store) -> Result<Vec<studies::Runs>, Failure> {
    let mut all: Vec<studies::Runs> = Vec::new();
    for file in store.list(ENDING)? {
        let called = store.called(&file);
        let Some(trials) = read_trials(store.get(&file)?, &called)? else { continue };
        let rows = of_table(&trials, &called)?;
        match all.iter_mut().find(|runs| runs.meta.digest == trials.digest) {
            Some(runs) => runs.rows.extend(rows),
            None => {
                let meta = studies::Meta { digest: trials.digest, definition: trials.definition };
                all.push(studies::Runs { place: called, meta, rows });
            }
        }
    }
    Ok(all)
}

fn row(record: &Record, outcome: &Outcome) -> Trial {
    Trial {
        settings: record.settings.clone(),
        day: record.day.clone(),
        block: record.block.name().to_string(),
        seed: record.seed,
        stress: record.stress.name(),
        cost: outcome.cost,
        p99_ms: outcome.p99_ms,
        availability: outcome.availability,
        outcome: serde_json::to_string(outcome).expect("outcomes are plain numbers"),
    }
}

fn of_table(trials: &Trials, called: &str) -> Result<Vec<(Record, Outcome)>, Failure> {
    let run = |(i, row): (usize, &Trial)| {
        let record = Record::of_words(&row.settings, &row.day, &row.block, row.seed, &row.stress);
        let outcome = serde_json::from_str(&row.outcome).map_err(|error| format!("outcome: {error}"));
        let run = record.and_then(|record| Ok((record, outcome?)));
        run.map_err(|problem| format!("{called}: row {}: {problem}", i + 1).into())
    };
    trials.rows.iter().enumerate().map(run).collect()
}
