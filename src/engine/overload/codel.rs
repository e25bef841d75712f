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
//! While overloaded, adaptive LIFO puts new requests in front: first in, first out under sustained overload serves only those whose
//! clients have given up.

use crate::units::{Span, Time};

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Delay that is fine, > 0. Default 5 ms.
    pub target: Span,
    /// How long the smallest delay is looked for, > 0. Default 100 ms.
    pub interval: Span,
}

impl Default for Config {
    fn default() -> Config {
        Config { target: Span::from_millis(5), interval: Span::from_millis(100) }
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
}

impl Codel {
    /// A queue that was never used.
    pub fn new(config: Config) -> Codel {
        Codel { config, ends_at: Time::ZERO, smallest: None, overloaded: false }
    }

    /// Whether the queue stands.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    /// A request is taken from the queue after `delay`; true if it is to be shed.
    pub fn sheds(&mut self, now: Time, delay: Span) -> bool {
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
