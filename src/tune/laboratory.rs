//! The laboratory: plays trials in the simulator, on any number of threads, and remembers them.
//!
//! A trial's seed depends on its number only, so all candidates meet the same requests, clients, demands, boots and faults. Confirmation's
//! seeds are a block of their own. What the study has is not played again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::days::Day;
use super::judge::{Outcome, Rules, Score};
use super::search::{Candidate, Play, Trial};
use super::space::{Value, overrides};
use super::study::{self, Record, Study};
use crate::distribution::Distribution;
use crate::record::Run;
use crate::record::fidelity::Fidelity;
use crate::record::run::Ended;
use crate::report::figure::short;
use crate::rng::{Dice, Stream, replication_seed};
use crate::scenario::{LoadError, Scenario, Traffic};
use crate::sim::survey::Survey;
use crate::sim::{Monitor, Plan};
use crate::traffic::replay::{self, Dataset};
use crate::traffic::shape::Kind;
use crate::traffic::{Config, Overlay};

/// Which seeds trials take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    /// Those of the search.
    Search,
    /// Those that only confirmation takes.
    Fresh,
}

/// What is not as the scenario says, to see whether a setting still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stress {
    /// Nothing.
    None,
    /// Service times are so many percent of what they are.
    Service(u32),
    /// Boots take so many percent of their time.
    Boot(u32),
    /// Traffic is so many percent of what it is.
    Traffic(u32),
}

impl Stress {
    /// What the winner has to endure: a fifth less and a fifth more of each.
    pub const TRIED: [Stress; 6] = [
        Stress::Service(80),
        Stress::Service(120),
        Stress::Boot(80),
        Stress::Boot(120),
        Stress::Traffic(80),
        Stress::Traffic(120),
    ];

    /// In words.
    pub fn name(self) -> String {
        let words = |what: &str, percent: u32| format!("{what} {:+} %", i64::from(percent) - 100);
        match self {
            Stress::None => "as it is".to_string(),
            Stress::Service(percent) => words("service time", percent),
            Stress::Boot(percent) => words("boot time", percent),
            Stress::Traffic(percent) => words("traffic", percent),
        }
    }

    fn apply(self, scenario: &mut Scenario) {
        let times = |time: &mut Distribution, percent: u32| *time = time.scaled(f64::from(percent) / 100.0);
        match self {
            Stress::None => {}
            Stress::Service(percent) => {
                times(&mut scenario.service.time, percent);
                scenario.service.endpoints.iter_mut().for_each(|endpoint| times(&mut endpoint.time, percent));
            }
            Stress::Boot(percent) => times(&mut scenario.fleet.boot, percent),
            Stress::Traffic(percent) => {
                let factor = f64::from(percent) / 100.0;
                match &mut scenario.traffic {
                    Traffic::Open(config) => scale(config, factor),
                    Traffic::Replay { recording, .. } => recording.options.scale *= factor,
                    Traffic::Closed(users) => users.count = (f64::from(users.count) * factor).round().max(1.0) as u32,
                }
            }
        }
    }
}

fn scale(config: &mut Config, factor: f64) {
    for segment in &mut config.shape {
        match &mut segment.kind {
            Kind::Constant { rate } => *rate *= factor,
            Kind::Ramp { from, to } | Kind::Step { from, to, .. } => {
                *from *= factor;
                *to *= factor;
            }
            Kind::Spike { base, .. } | Kind::FlashCrowd { base, .. } => *base *= factor,
            Kind::Diurnal { mean, .. } | Kind::Weekly { mean, .. } => *mean *= factor,
        }
    }
    for overlay in &mut config.overlay {
        if let Overlay::Attack(attack) = overlay {
            attack.rate *= factor;
        }
    }
}

/// Why trials were not played to their end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Somebody pressed Ctrl-C; what was finished is in the study.
    #[error("interrupted; what was finished is kept")]
    Interrupted,
    /// The scenario cannot have a candidate's settings.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The recording could not be read.
    #[error(transparent)]
    Traffic(#[from] replay::Error),
    /// The recording could not be read to its end.
    #[error("the traffic of {day} was lost at {at}: {problem}")]
    TrafficLost {
        /// On which day.
        day: String,
        /// When, in virtual time.
        at: String,
        /// What the reader said.
        problem: String,
    },
    /// The study cannot be written.
    #[error(transparent)]
    Study(#[from] study::Error),
    /// What other shares left cannot be had, or what was played cannot be left for them.
    #[error(transparent)]
    Exchange(Box<dyn std::error::Error + Send + Sync>),
}

/// Reads the scenario with overrides.
pub type Load<'a> = &'a (dyn Fn(&[String]) -> Result<Scenario, LoadError> + Sync);

/// Plays trials.
pub struct Laboratory<'a> {
    load: Load<'a>,
    rules: &'a Rules,
    days: &'a [Day],
    /// The recording of each day, if traffic is recorded.
    datasets: Vec<Option<Dataset>>,
    seed: u64,
    priced: bool,
    block: Block,
    stress: Stress,
    /// How the search's runs are simulated; confirmation's are in full.
    fidelity: Fidelity,
    /// Where the requests of a day with a seed are, once for all candidates.
    surveys: BTreeMap<(usize, u32), Arc<Survey>>,
    study: &'a mut Study,
    monitor: &'a Monitor,
    progress: &'a Progress,
    /// Requests simulated, those of trials that the study had not included.
    pub simulated: u64,
    share: Option<Share>,
    exchange: Option<Box<dyn Exchange + Send + Sync + 'a>>,
}

/// How far a study is, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Runs finished, those that the study had included.
    pub done: AtomicU64,
    /// Who leads, in words.
    pub leader: Mutex<String>,
}

/// A share of the trials, for several machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

/// Where shares of a study leave runs for each other.
pub trait Exchange {
    /// Leaves what was played here, and answers with what others left since it was asked last. It may wait until the runs that are `wanted`
    /// are there.
    fn swap(
        &mut self,
        played: &[(Record, Outcome)],
        wanted: &[Record],
    ) -> Result<Vec<(Record, Outcome)>, Box<dyn std::error::Error + Send + Sync>>;
}

/// What a laboratory needs.
pub struct Setup<'a> {
    /// Reads the scenario with overrides.
    pub load: Load<'a>,
    /// What counts.
    pub rules: &'a Rules,
    /// The days, those of trials by their number.
    pub days: &'a [Day],
    /// The study that remembers.
    pub study: &'a mut Study,
    /// To stop it.
    pub monitor: &'a Monitor,
    /// Counts finished trials, and hears who leads.
    pub progress: &'a Progress,
    /// The share that is played here; `None`: everything.
    pub share: Option<Share>,
    /// Where shares leave runs for each other; `None`: nowhere.
    pub exchange: Option<Box<dyn Exchange + Send + Sync + 'a>>,
    /// How the search's runs are simulated; confirmation's are in full.
    pub fidelity: Fidelity,
}

impl<'a> Laboratory<'a> {
    /// Opens the recordings of all days.
    pub fn new(setup: Setup<'a>) -> Result<Laboratory<'a>, Stop> {
        let scenario = (setup.load)(&[])?;
        let open = |day: &Day| {
            let scenario = (setup.load)(&day.overrides)?;
            Ok::<_, Stop>(match &scenario.traffic {
                Traffic::Replay { recording, .. } => Some(Dataset::open_all(&recording.paths, &recording.options)?),
                Traffic::Open(_) | Traffic::Closed(_) => None,
            })
        };
        let datasets = setup.days.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Laboratory {
            load: setup.load,
            rules: setup.rules,
            days: setup.days,
            datasets,
            seed: scenario.seed,
            priced: scenario.fleet.billing.price_per_hour > 0.0,
            block: Block::Search,
            stress: Stress::None,
            fidelity: setup.fidelity,
            surveys: BTreeMap::new(),
            study: setup.study,
            monitor: setup.monitor,
            progress: setup.progress,
            simulated: 0,
            share: setup.share,
            exchange: setup.exchange,
        })
    }

    /// What trials from now on are played with.
    pub fn set(&mut self, block: Block, stress: Stress) {
        (self.block, self.stress) = (block, stress);
    }

    /// Plays a day with a seed, and keeps the whole run.
    pub fn run(&self, settings: &[(String, Value)], day: usize, seed: u32) -> Result<(Plan, Run), Stop> {
        let plan = self.plan(settings, day)?;
        let run = plan.run(self.seed_of(seed), self.monitor)?;
        Ok((plan, run))
    }

    /// The seed of trials with this number.
    pub fn seed_of(&self, number: u32) -> u64 {
        match self.block {
            Block::Search => replication_seed(self.seed, number),
            Block::Fresh => Dice::new(self.seed, Stream::TuneFresh).bits(u64::from(number)),
        }
    }

    fn plan(&self, settings: &[(String, Value)], day: usize) -> Result<Plan, Stop> {
        let mut all = overrides(settings);
        all.extend(self.days[day].overrides.iter().cloned());
        let mut scenario = (self.load)(&all)?;
        scenario.replications = 1;
        self.stress.apply(&mut scenario);
        let varied = settings.iter().any(|(path, _)| path.starts_with("traffic"));
        let dataset = match (&self.datasets[day], &scenario.traffic) {
            (Some(_), Traffic::Replay { recording, .. }) if varied => {
                Some(Dataset::open_all(&recording.paths, &recording.options)?)
            }
            (Some(dataset), Traffic::Replay { recording, .. }) => {
                Some(dataset.clone().scaled(recording.options.scale)?)
            }
            _ => None,
        };
        Ok(Plan::with(scenario, dataset))
    }

    fn play_one(&self, candidate: &Candidate, trial: &Trial) -> Result<Outcome, Stop> {
        if self.monitor.stop.load(Ordering::Relaxed) {
            return Err(Stop::Interrupted);
        }
        let mut plan = self.plan(&candidate.settings, trial.day)?;
        if self.samples() {
            plan = plan.with_fidelity(self.fidelity);
            if let Some(survey) = self.surveys.get(&(trial.day, trial.seed)) {
                plan = plan.with_survey(Arc::clone(survey));
            }
        }
        let run = plan.run(self.seed_of(trial.seed), self.monitor)?;
        match &run.ended {
            Ended::Completed => Ok(Outcome::of(&run, &self.rules.goals, self.priced)),
            Ended::Interrupted { .. } => Err(Stop::Interrupted),
            Ended::TrafficLost { at, problem } => Err(Stop::TrafficLost {
                day: self.days[trial.day].name.clone(),
                at: at.to_string(),
                problem: problem.clone(),
            }),
        }
    }

    /// Whether runs leave out what samples tell of: screening may, deciding must not.
    fn samples(&self) -> bool {
        self.block == Block::Search && self.fidelity != Fidelity::Full
    }

    /// Surveys the requests of what is to be played, where that has not been done.
    fn survey(&mut self, trials: impl Iterator<Item = Trial>) -> Result<(), Stop> {
        if !self.samples() {
            return Ok(());
        }
        let mut wanted: Vec<(usize, u32)> = trials.map(|trial| (trial.day, trial.seed)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|place| !self.surveys.contains_key(place));
        let survey = |&(day, seed): &(usize, u32)| {
            let plan = self.plan(&[], day)?.with_fidelity(self.fidelity);
            Ok(((day, seed), Arc::new(plan.survey(self.seed_of(seed))?)))
        };
        let surveys: Vec<_> = wanted.par_iter().map(survey).collect::<Result<_, Stop>>()?;
        self.surveys.extend(surveys);
        Ok(())
    }

    fn record(&self, candidate: &Candidate, trial: &Trial) -> Record {
        Record {
            settings: overrides(&candidate.settings).join("\n"),
            day: self.days[trial.day].name.clone(),
            block: self.block,
            seed: trial.seed,
            stress: self.stress,
        }
    }
}

impl Play for Laboratory<'_> {
    type Stop = Stop;

    fn play(&mut self, candidates: &[Candidate], trials: &[Trial]) -> Result<Vec<Outcome>, Stop> {
        let records: Vec<Record> =
            trials.iter().map(|trial| self.record(&candidates[trial.candidate], trial)).collect();
        let wanted: Vec<usize> = (0..trials.len()).filter(|&i| self.study.get(&records[i]).is_none()).collect();
        let had = (trials.len() - wanted.len()) as u64;
        self.progress.done.fetch_add(had, Ordering::Relaxed);
        let own: Vec<usize> = match self.share {
            None => wanted.clone(),
            Some(share) => wanted.iter().copied().filter(|i| *i as u32 % share.of == share.index).collect(),
        };
        self.survey(own.iter().map(|&i| trials[i]))?;
        let this = &*self;
        let writer = self.study.writer();
        let played: Vec<(usize, Result<Outcome, Stop>)> = own
            .par_iter()
            .map(|&i| {
                let outcome = this.play_one(&candidates[trials[i].candidate], &trials[i]);
                let outcome = outcome.and_then(|outcome| {
                    writer.write(&records[i], &outcome)?;
                    Ok(outcome)
                });
                this.progress.done.fetch_add(1, Ordering::Relaxed);
                (i, outcome)
            })
            .collect();
        let mut fresh = BTreeMap::new();
        let mut stop = None;
        for (i, outcome) in played {
            match outcome {
                Ok(outcome) => {
                    self.simulated += outcome.simulated;
                    self.study.remember(records[i].clone(), outcome.clone());
                    fresh.insert(i, outcome);
                }
                // What is wrong is told before that somebody stopped it.
                Err(why) if matches!(stop, None | Some(Stop::Interrupted)) => stop = Some(why),
                Err(_) => {}
            }
        }
        if let Some(stop) = stop {
            return Err(stop);
        }
        if let Some(exchange) = &mut self.exchange {
            let played: Vec<(Record, Outcome)> =
                fresh.iter().map(|(&i, outcome)| (records[i].clone(), outcome.clone())).collect();
            let of_others: Vec<Record> =
                wanted.iter().filter(|i| !fresh.contains_key(i)).map(|&i| records[i].clone()).collect();
            for (record, outcome) in exchange.swap(&played, &of_others).map_err(Stop::Exchange)? {
                self.study.writer().write(&record, &outcome)?;
                self.study.remember(record, outcome);
            }
        }
        let outcomes: Vec<Option<Outcome>> = records.iter().map(|record| self.study.get(record).cloned()).collect();
        let missing = outcomes.iter().filter(|outcome| outcome.is_none()).count();
        if missing > 0 {
            return Err(Stop::Study(study::Error::Shared { own: own.len(), missing }));
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    fn leads(&mut self, candidate: usize, score: &Score) {
        let words = format!("best so far: candidate {candidate}, {} a day", short(score.cost));
        *self.progress.leader.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    fn admits(&mut self, settings: &[(String, Value)]) -> Result<(), String> {
        (self.load)(&overrides(settings)).map(|_| ()).map_err(|error| error.to_string())
    }
}
