//! The rate that is to come, for who does not want single requests.
//!
//! It is the rate behind the arrivals of [`Arrivals`](super::Arrivals), bounded in stretches as they use it, and asked from a moment
//! on that never goes back. What is absent: attacks, whose requests are not the plan's, and the bursts of a modulated process, which are
//! chance.

use std::collections::VecDeque;

use crate::traffic::Config;
use crate::traffic::replay::{self, Dataset, SeriesFeed};
use crate::traffic::shape::{Bounds, Rate};
use crate::units::Time;

/// The rate of a plan, or of a recorded series with what changes it.
#[derive(Debug)]
pub struct Ahead {
    /// The rate, or the factors on a series.
    rate: Rate,
    series: Option<Series>,
}

/// A recorded series, as far as it has been read and may be asked for again.
#[derive(Debug)]
struct Series {
    feed: SeriesFeed,
    /// When each step ends \[ns\], and its rate \[1/s\].
    steps: VecDeque<(u64, f64)>,
}

impl Series {
    /// The rate at `t` \[1/s\] and until when it holds \[ns\].
    fn at(&mut self, t: u64) -> (u64, f64) {
        loop {
            if let Some(&step) = self.steps.iter().find(|(until, _)| *until > t) {
                return step;
            }
            let read_to = self.steps.back().map_or(0, |&(until, _)| until);
            self.steps.push_back(self.feed.rate_from(read_to));
        }
    }
}

impl Ahead {
    /// The rate that `config` plans.
    pub fn new(config: &Config, seed: u64) -> Ahead {
        Ahead { rate: config.rate(seed), series: None }
    }

    /// The rate that is recorded in `dataset`, a series, modified by the noise and overlays of `config`. Reads the file again.
    pub fn replay(dataset: &Dataset, config: &Config, seed: u64) -> Result<Ahead, replay::Error> {
        let series = Series { feed: dataset.series_feed()?, steps: VecDeque::new() };
        Ok(Ahead { rate: Rate::new(&[], config.noise, &config.overlay, seed), series: Some(series) })
    }

    /// Bounds of the rate from `t` on \[1/s\].
    fn bounds(&mut self, t: Time) -> Bounds {
        let Some(series) = &mut self.series else { return self.rate.bounds(t) };
        let (until, rps) = series.at(t.0);
        let step = Bounds { until: Time(until), low: rps, high: rps };
        if rps > 0.0 { step.times(self.rate.factor_bounds(t)) } else { step }
    }

    /// Forgets what is before `now`: nobody asks for it again.
    pub fn pass(&mut self, now: Time) {
        if let Some(series) = &mut self.series {
            while series.steps.front().is_some_and(|(until, _)| *until <= now.0) {
                series.steps.pop_front();
            }
        }
    }

    /// The lowest and the highest rate that there may be from `from` up to `to` \[1/s\].
    pub fn range(&mut self, from: Time, to: Time) -> (f64, f64) {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        let mut at = from;
        loop {
            let bounds = self.bounds(at);
            (low, high) = (low.min(bounds.low), high.max(bounds.high));
            if bounds.until >= to || bounds.until == Time::MAX {
                return (low, high);
            }
            at = bounds.until;
        }
    }

    /// The first moment from `from` on, at most `to`, at which the rate may be below `low` or above `high` \[1/s\].
    pub fn stays_until(&mut self, from: Time, to: Time, low: f64, high: f64) -> Time {
        let mut at = from;
        while at < to {
            let bounds = self.bounds(at);
            if bounds.low < low || bounds.high > high {
                return at;
            }
            at = bounds.until;
        }
        to
    }

    /// About how many requests come before `end`.
    pub fn requests(mut self, end: Time) -> f64 {
        let (mut at, mut sum) = (Time::ZERO, 0.0);
        while at < end {
            self.pass(at);
            let bounds = self.bounds(at);
            let until = bounds.until.min(end);
            sum += f64::midpoint(bounds.low, bounds.high) * until.since(at).as_secs_f64();
            at = until;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{Arrivals, Kind, Noise, Process, Segment};
    use crate::units::Span;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Span::from_secs(seconds)
    }

    fn config() -> Config {
        let step = Kind::Step { from: 50.0, to: 80.0, at: Span::from_secs(100) };
        Config {
            arrivals: Process::Poisson,
            shape: vec![Segment { kind: step, lasts: None }],
            noise: Some(Noise { sigma: 0.01, slot: Span::from_secs(30) }),
            ..Config::default()
        }
    }

    #[test]
    fn a_jump_of_the_rate_is_seen_before_it_comes() {
        let mut ahead = Ahead::new(&config(), 1);
        assert_eq!(ahead.stays_until(at(10), at(300), 45.0, 55.0), at(100));
        assert_eq!(ahead.stays_until(at(10), at(90), 45.0, 55.0), at(90));
        assert_eq!(ahead.stays_until(at(10), at(90), 60.0, 70.0), at(10));
        let (low, high) = ahead.range(at(90), at(110));
        assert!(low < 52.0 && low > 48.0 && high > 75.0 && high < 85.0, "{low} to {high}");
    }

    #[test]
    fn arrivals_go_on_from_a_place_as_if_they_had_been_followed_to_it() {
        let mut followed = Arrivals::new(&config(), 7, at(300));
        let count = followed.by_ref().take_while(|arrival| arrival.at < at(120)).count() as u64;
        let place = followed.place().expect("a Poisson process has places");
        assert_eq!(place.arrivals(), count + 1);
        let mut resumed = Arrivals::new(&config(), 7, at(300));
        let _ = resumed.next();
        resumed.resume(place);
        assert!(resumed.eq(followed));
    }
}
