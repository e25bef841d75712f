//! CoDel for queues of requests (Nichols, Jacobson 2012; Maurer, *Fail at Scale*, 2015), with adaptive LIFO.
//!
//! A queue that is empty now and then is good: it absorbs bursts. One whose smallest delay over an interval stays above a target *stands*:
//! it only adds latency.
//!
//! ```text
//! on dequeue, with delay d:   interval over: overloaded = (smallest d of it > target)
//!                             shed if overloaded and d > 2 · target
//! ```
//!
//! That is the form for queues of requests, which sheds all at once what the clients would not wait for. The classic one for packets,
//! which sheds one after another at a growing rate, is there to compare.
//!
//! While overloaded, adaptive LIFO puts new requests in front: first in, first out under sustained overload serves only those whose
//! clients have given up.

mod classic;

use crate::units::{Span, Time};

use classic::Classic;

/// What is shed of a queue that stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// All that waited for more than twice the target (Facebook, Folly).
    #[default]
    RequestQueue,
    /// One, and the next after interval / √1, √2, √3, … (RFC 8289).
    Classic,
}

impl Form {
    /// Every form with its name in scenario files.
    pub const ALL: [(&'static str, Form); 2] = [("request_queue", Form::RequestQueue), ("classic", Form::Classic)];
}

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Delay that is fine, > 0. Default 5 ms.
    pub target: Span,
    /// How long the smallest delay is looked for, > 0. Default 100 ms.
    pub interval: Span,
    /// What is shed. Default [`Form::RequestQueue`].
    pub form: Form,
}

impl Default for Config {
    fn default() -> Config {
        Config { target: Span::from_millis(5), interval: Span::from_millis(100), form: Form::default() }
    }
}

/// The state of one queue.
#[derive(Clone, Copy, Debug)]
pub struct Codel {
    config: Config,
    ends_at: Time,
    /// Of the current interval; `None`: nothing was taken yet.
    smallest: Option<Span>,
    overloaded: bool,
    classic: Classic,
}

impl Codel {
    /// A queue that was never used.
    pub fn new(config: Config) -> Codel {
        Codel { config, ends_at: Time::ZERO, smallest: None, overloaded: false, classic: Classic::default() }
    }

    /// Whether the queue stands.
    pub fn is_overloaded(&self) -> bool {
        match self.config.form {
            Form::RequestQueue => self.overloaded,
            Form::Classic => self.classic.is_dropping(),
        }
    }

    /// A request is taken from the queue after `delay`; true if it is to be shed.
    pub fn sheds(&mut self, now: Time, delay: Span) -> bool {
        if self.config.form == Form::Classic {
            return self.classic.sheds(&self.config, now, delay);
        }
        if now >= self.ends_at {
            self.overloaded = self.smallest.is_some_and(|smallest| smallest > self.config.target);
            self.smallest = None;
            self.ends_at = now + self.config.interval;
        }
        self.smallest = Some(self.smallest.map_or(delay, |smallest| smallest.min(delay)));
        self.overloaded && delay > self.config.target * 2
    }

    /// A request found nobody waiting: its delay is zero.
    pub fn passed(&mut self, now: Time) {
        self.sheds(now, Span::ZERO);
    }

    /// Percent of overload by the smallest delay: 100 at twice the target.
    pub fn load_percent(smallest: Span, target: Span) -> f64 {
        (100.0 * smallest.0 as f64 / (2.0 * target.0 as f64)).min(100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Time {
        Time(n * 1_000_000)
    }

    #[test]
    fn load_is_the_smallest_delay_over_twice_the_target() {
        let load = |n| Codel::load_percent(Span::from_millis(n), Span::from_millis(5));
        assert_eq!([0, 2, 5, 8, 12].map(load), [0.0, 20.0, 50.0, 80.0, 100.0], "CB-97");
    }

    #[test]
    fn the_classic_form_sheds_the_faster_the_longer_the_queue_stands() {
        let mut codel = Codel::new(Config { form: Form::Classic, ..Config::default() });
        // Somebody is taken every tenth of a millisecond, and everybody has waited for 50 ms.
        let tenths = (0..6000).filter(|tenth| codel.sheds(Time(tenth * 100_000), Span::from_millis(50)));
        let shed_at: Vec<f64> = tenths.map(|tenth| tenth as f64 / 10.0).collect();
        assert_eq!(shed_at[0], 100.0, "above the target for an interval");
        let pauses = shed_at.windows(2).map(|pair| pair[1] - pair[0]);
        for (k, (pause, expected)) in pauses.zip([100.0, 70.71, 57.74, 50.0, 44.72]).enumerate() {
            let exact = classic::pause(Span::from_millis(100), k as u32 + 1).as_millis_f64();
            assert!((exact - expected).abs() < 0.005, "CB-98: {exact} ms");
            // The next one taken is shed: up to a tenth later, which the one after makes up for.
            assert!((pause - expected).abs() <= 0.1 + 1e-9, "CB-98: {pause} ms");
        }
    }

    #[test]
    fn the_classic_form_stops_at_the_first_short_wait_and_remembers_the_rate_for_a_while() {
        let shed_in = |codel: &mut Codel, from: u64, until: u64| {
            (from..until).filter(|&at| codel.sheds(ms(at), Span::from_millis(50))).count()
        };
        let stopped_at = |codel: &mut Codel, at| {
            assert!(codel.is_overloaded());
            codel.passed(ms(at));
            assert!(!codel.is_overloaded());
        };
        let mut codel = Codel::new(Config { form: Form::Classic, ..Config::default() });
        let first = shed_in(&mut codel, 0, 1000);
        stopped_at(&mut codel, 1000);
        let again = shed_in(&mut codel, 1001, 2001);
        assert!(again > 2 * first, "{first}, then {again}");
        stopped_at(&mut codel, 2001);
        assert_eq!(shed_in(&mut codel, 10_000, 11_000), first, "and forgets it");
    }

    #[test]
    fn only_a_standing_queue_sheds() {
        let mut codel = Codel::new(Config::default());
        let delay = Span::from_millis;
        // A burst: long delays, and one short one within the interval.
        assert!(!codel.sheds(ms(0), delay(50)));
        assert!(!codel.sheds(ms(50), delay(4)));
        assert!(!codel.sheds(ms(100), delay(50)), "the closed interval had a short delay");
        assert!(!codel.is_overloaded());
        // Everybody waits for an interval.
        assert!(!codel.sheds(ms(150), delay(60)));
        assert!(codel.sheds(ms(200), delay(60)), "over, and none was below 5 ms");
        assert!(!codel.sheds(ms(210), delay(10)), "not above twice the target");
        codel.passed(ms(220));
        assert!(!codel.sheds(ms(301), delay(60)), "somebody did not wait");
    }
}
