//! Shares of one load, joined to what a single generator would have recorded.
//!
//! Counts and histograms add up exactly; rows of the timeline are added by their times, and their quantiles follow from the joined histograms of
//! the step. Quantiles are never averaged. The order of the shares does not matter.

use crate::record::Run;
use crate::record::generator::{Generator, Shares};
use crate::record::heat::LatencyHeat;
use crate::record::latency::{Encoded, Latency, StepHistogram};
use crate::record::outcome::Failure;
use crate::record::run::Ended;
use crate::record::timeline::{Column, Timeline};
use crate::units::{Span, Time};

/// Why runs are no shares of one load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It says nothing of shares.
    #[error("not a share of a load: it was not made by load --shard")]
    NotShare,
    /// Another number of shares, seed, length of steps, or other endpoints.
    #[error("a share of another load: its {0} differs")]
    Other(&'static str),
    /// A share is there already.
    #[error("share {share}/{of} is there already")]
    Twice {
        /// Which.
        share: u32,
        /// Of how many.
        of: u32,
    },
    /// A histogram of a step cannot be read.
    #[error("latency_steps: {0}")]
    Damaged(String),
}

/// What is added row by row; the other columns but quantiles are those of a fleet, which no generator of load sees.
const ADDED: [Column; 6] = [
    Column::OfferedRps,
    Column::SucceededRps,
    Column::FailedRps,
    Column::RateLimitedRps,
    Column::RetriesRps,
    Column::ActiveConnections,
];

impl Run {
    /// Adds another share of the same load; on an error nothing was added.
    pub fn join(&mut self, other: &Run) -> Result<(), Problem> {
        let shares = joined(self, other)?;
        let steps = steps(&self.latency_steps, &other.latency_steps)?;
        let seconds = self.measured.max(other.measured).as_secs_f64();
        let completions = |run: &Run| (run.throughput_rps * run.measured.as_secs_f64()).round();
        if seconds > 0.0 {
            self.throughput_rps = (completions(self) + completions(other)) / seconds;
        }
        self.measured = self.measured.max(other.measured);
        self.ended = earlier(&self.ended, &other.ended);
        self.counts.add(&other.counts);
        self.simulated += other.simulated;
        for (mine, theirs) in [
            (&mut self.latency, &other.latency),
            (&mut self.latency_all, &other.latency_all),
            (&mut self.service_time, &other.service_time),
            (&mut self.waiting_time, &other.waiting_time),
        ] {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.endpoints.iter_mut().zip(&other.endpoints) {
            mine.counts.add(&theirs.counts);
            mine.latency.absorb(&theirs.latency);
        }
        for reason in Failure::ALL {
            let (mine, theirs) = (&mut self.failures_seen[reason as usize], other.failures_seen[reason as usize]);
            *mine = match (*mine, theirs) {
                (Some((first, last)), Some((earlier, later))) => Some((first.min(earlier), last.max(later))),
                (mine, theirs) => mine.or(theirs),
            };
        }
        self.timeline = timeline(&self.timeline, &other.timeline, &steps);
        self.latency_steps = steps;
        self.latency_heat = heat(self.latency_heat.take(), other.latency_heat.as_ref());
        if let (Some(mine), Some(theirs)) = (&mut self.generator, &other.generator) {
            mine.add(theirs);
            mine.shares = Some(shares);
        }
        Ok(())
    }
}

/// The shares of both, if they are of one load.
fn joined(a: &Run, b: &Run) -> Result<Shares, Problem> {
    let of = |run: &Run| run.generator.as_ref().and_then(|generator| generator.shares.clone());
    let (mut mine, theirs) = (of(a).ok_or(Problem::NotShare)?, of(b).ok_or(Problem::NotShare)?);
    let paths = |run: &Run| run.endpoints.iter().map(|each| each.path.clone()).collect::<Vec<_>>();
    for (what, is_same) in [
        ("number of shares", mine.of == theirs.of),
        ("seed", a.seed == b.seed),
        ("step of the timeline", a.timeline.step_seconds == b.timeline.step_seconds),
        ("list of endpoints", paths(a) == paths(b)),
    ] {
        if !is_same {
            return Err(Problem::Other(what));
        }
    }
    if let Some(share) = theirs.here.iter().find(|share| mine.here.contains(share)) {
        return Err(Problem::Twice { share: *share, of: mine.of });
    }
    mine.here.extend(theirs.here);
    mine.here.sort_unstable();
    Ok(mine)
}

/// The one that ended first; a share that came to its end has nothing to say.
fn earlier(a: &Ended, b: &Ended) -> Ended {
    let at = |ended: &Ended| match ended {
        Ended::Completed => Time::MAX,
        Ended::Interrupted { at } | Ended::TrafficLost { at, .. } => *at,
    };
    // What is lost counts more than what somebody ended, and of two at once the words decide, not the order.
    let key = |ended: &Ended| {
        let (kind, problem) = match ended {
            Ended::TrafficLost { problem, .. } => (0, problem.clone()),
            Ended::Interrupted { .. } => (1, String::new()),
            Ended::Completed => (2, String::new()),
        };
        (kind, at(ended), problem)
    };
    if key(b) < key(a) { b.clone() } else { a.clone() }
}

fn steps(a: &[Encoded], b: &[Encoded]) -> Result<Vec<Encoded>, Problem> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let read = |of: &Encoded| Latency::from_encoded(of).map_err(Problem::Damaged);
    let sum = |(i, of): (usize, &Encoded)| match short.get(i) {
        // Most steps of a small share are empty, and the others need no second look.
        Some(other) if other.min <= other.max => {
            let mut sum = read(of)?;
            sum.merge(&read(other)?);
            Ok(sum.encoded())
        }
        _ => Ok(of.clone()),
    };
    long.iter().enumerate().map(sum).collect()
}

fn timeline(a: &Timeline, b: &Timeline, steps: &[Encoded]) -> Timeline {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut all = long.clone();
    for column in ADDED {
        let mut values = long.column(column).to_vec();
        for (value, more) in values.iter_mut().zip(short.column(column)) {
            *value += more;
        }
        all.set(column, values);
    }
    let quantiles: Vec<[f64; 3]> = (0..all.len())
        .map(|i| {
            let latency = steps.get(i).and_then(|of| Latency::from_encoded(of).ok());
            let quantiles = latency.and_then(|latency| StepHistogram::from(&latency).quantiles([0.5, 0.9, 0.99]));
            quantiles.map_or([f64::NAN; 3], |q| q.map(Span::as_millis_f64))
        })
        .collect();
    for (place, column) in [Column::P50Ms, Column::P90Ms, Column::P99Ms].into_iter().enumerate() {
        all.set(column, quantiles.iter().map(|q| q[place]).collect());
    }
    all
}

fn heat(a: Option<LatencyHeat>, b: Option<&LatencyHeat>) -> Option<LatencyHeat> {
    let (mut a, b) = (a?, b?);
    if a.column_seconds != b.column_seconds {
        return None;
    }
    for (place, column) in b.columns.iter().enumerate() {
        match a.columns.get_mut(place) {
            Some(mine) => mine.iter_mut().zip(column).for_each(|(mine, n)| *mine += n),
            None => a.columns.push(column.clone()),
        }
    }
    Some(a)
}

impl Generator {
    /// Adds the account of another generator of the same load, but for its shares.
    fn add(&mut self, other: &Generator) {
        self.pool = self.pool.saturating_add(other.pool);
        self.due += other.due;
        self.sent += other.sent;
        self.found_busy += other.found_busy;
        self.lag.merge(&other.lag);
        self.first_byte.merge(&other.first_byte);
        self.service.merge(&other.service);
        self.lag_limit = self.lag_limit.min(other.lag_limit);
        self.busiest += other.busiest;
        // Each has cores of its own: the busiest of them is the one that may have been late.
        self.cpu = self.cpu.into_iter().chain(other.cpu).reduce(f64::max);
        self.versions.iter_mut().zip(other.versions).for_each(|(mine, n)| *mine += n);
        self.warmed += other.warmed;
        self.connects += other.connects;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::cost::Billing;
    use crate::record::generator::Fault;
    use crate::record::recorder::{Recorder, Settings, Sizing};

    fn nothing() -> Run {
        let settings = Settings {
            duration: Span::from_secs(2),
            warmup: Span::ZERO,
            endpoints: vec!["/".to_string()],
            billing: Billing::default(),
            boot: Span::ZERO,
            initial: 0,
            sizing: Sizing { demand: 1.0, servers: 1, wait_bound: 1.0 },
            spotlight: Vec::new(),
            keeps_steps: true,
        };
        Recorder::new(settings).finish(7, Ended::Completed, Time(Span::from_secs(2).0), Vec::new(), Vec::new())
    }

    fn share(index: u32, of: u32, millis: &[u64]) -> Run {
        let mut run = nothing();
        let mut step = Latency::default();
        for ms in millis {
            run.latency.record(Span::from_millis(*ms));
            step.record(Span::from_millis(*ms));
        }
        run.counts.offered = millis.len() as u64;
        run.counts.succeeded = millis.len() as u64;
        run.throughput_rps = millis.len() as f64 / 2.0;
        run.latency_steps = vec![step.encoded()];
        run.timeline.push(0.0, &[(Column::OfferedRps, millis.len() as f64)]);
        run.generator = Some(Generator {
            shares: Some(Shares { of, here: vec![index] }),
            due: run.counts.offered,
            sent: run.counts.offered,
            ..Generator::default()
        });
        run
    }

    #[test]
    fn shares_add_up_in_any_order_and_quantiles_are_those_of_all() {
        let shares = [share(0, 3, &[10, 10, 10]), share(1, 3, &[20, 1000]), share(2, 3, &[30])];
        let mut forth = shares[0].clone();
        forth.join(&shares[1]).unwrap();
        assert_eq!(forth.generator.as_ref().unwrap().faults(), [Fault::SharesMissing]);
        forth.join(&shares[2]).unwrap();
        let mut back = shares[2].clone();
        back.join(&shares[1]).unwrap();
        back.join(&shares[0]).unwrap();
        assert_eq!(format!("{forth:?}"), format!("{back:?}"));
        assert_eq!(forth.generator.as_ref().unwrap().faults(), []);
        assert_eq!((forth.counts.offered, forth.throughput_rps), (6, 3.0));
        assert_eq!(forth.timeline.column(Column::OfferedRps), [6.0]);
        // The median of all six is 10 ms, though the medians of two shares are 20 and 30.
        assert_eq!(forth.timeline.column(Column::P50Ms)[0].floor(), 10.0);
        assert_eq!(forth.latency.max(), Some(Span::from_millis(1000)));
    }

    #[test]
    fn what_does_not_belong_together_is_not_joined() {
        let mut one = share(0, 3, &[10]);
        let of_four = share(1, 4, &[10]);
        assert_eq!(one.join(&of_four), Err(Problem::Other("number of shares")));
        assert_eq!(one.join(&share(0, 3, &[10])), Err(Problem::Twice { share: 0, of: 3 }));
        assert_eq!(one.join(&Run { seed: 8, ..share(1, 3, &[10]) }), Err(Problem::Other("seed")));
        let whole = Run { generator: None, ..share(1, 3, &[10]) };
        assert_eq!(one.join(&whole), Err(Problem::NotShare));
        assert_eq!(one.counts.offered, 1, "nothing was added");
    }

    #[test]
    fn a_share_that_was_cut_short_cuts_the_whole_short() {
        let at = Time(1);
        let mut one = share(0, 2, &[10]);
        one.join(&Run { ended: Ended::Interrupted { at }, ..share(1, 2, &[10]) }).unwrap();
        assert_eq!(one.ended, Ended::Interrupted { at });
    }
}
