//! The retry budget of Finagle and tower: requests deposit, retries withdraw.
//!
//! ```text
//! every request deposits `ratio` retries, which last for `ttl`
//! a reserve of `min_per_second` · ttl is always there
//! balance = deposits − withdrawals of the last ttl + reserve;  a retry needs 1
//! ```
//!
//! Counted in thousandths: tower keeps 1 / ratio as a whole number, so that 0.3 acts as a third, and a sum of floats may lose the last retry.
//! A ttl is ten buckets, of which the oldest is forgotten whole.
//!
//! What it does not do: notice that retries are of no use. In an outage it still allows `ratio` of them; [`super::tokens`] stop.

use crate::units::{Span, Time};

/// How many retries requests pay for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Retries that a request pays for, ≥ 0, to the thousandth.
    pub ratio: f64,
    /// Retries per second that are always allowed \[1/s\], ≥ 0; Finagle's default is 10.
    pub min_per_second: f64,
    /// How long a deposit lasts, > 0.
    pub ttl: Span,
}

impl Config {
    /// A ratio, with a reserve of three retries per second over ten seconds.
    pub const fn of(ratio: f64) -> Config {
        Config { ratio, min_per_second: 3.0, ttl: Span::from_secs(10) }
    }
}

const BUCKETS: u64 = 10;
/// A retry, in thousandths.
const RETRY: i64 = 1000;

/// The budget of all clients that share it.
#[derive(Clone, Debug)]
pub struct Budget {
    /// What a request deposits, and what is always there \[1/1000\].
    deposit: i64,
    reserve: i64,
    bucket: u64,
    /// Deposits less withdrawals, by bucket modulo their number.
    balances: [i64; BUCKETS as usize],
    newest: u64,
}

impl Budget {
    /// Only the reserve.
    pub fn new(config: &Config) -> Budget {
        let thousandths = |x: f64| (x * RETRY as f64).round() as i64;
        Budget {
            deposit: thousandths(config.ratio),
            reserve: thousandths(config.min_per_second * config.ttl.as_secs_f64()),
            bucket: (config.ttl.0 / BUCKETS).max(1),
            balances: [0; BUCKETS as usize],
            newest: 0,
        }
    }

    /// A request begins.
    #[inline]
    pub fn deposit(&mut self, now: Time) {
        *self.current(now) += self.deposit;
    }

    /// The bucket of `now`; older ones than the ttl are forgotten.
    #[inline]
    fn current(&mut self, now: Time) -> &mut i64 {
        let bucket = (now.0 / self.bucket).max(self.newest);
        if bucket != self.newest {
            for stale in (self.newest + 1..=bucket).take(BUCKETS as usize) {
                self.balances[(stale % BUCKETS) as usize] = 0;
            }
            self.newest = bucket;
        }
        &mut self.balances[(bucket % BUCKETS) as usize]
    }

    /// Retries that could be made now.
    pub fn available(&mut self, now: Time) -> u64 {
        self.current(now);
        let balance = self.balances.iter().sum::<i64>().saturating_add(self.reserve);
        (balance / RETRY).max(0) as u64
    }

    /// Takes a retry; false if there is none.
    pub fn withdraw(&mut self, now: Time) -> bool {
        let is_there = self.available(now) > 0;
        if is_there {
            *self.current(now) -= RETRY;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(ratio: f64, min_per_second: f64) -> Budget {
        Budget::new(&Config { ratio, min_per_second, ttl: Span::from_secs(10) })
    }

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    #[test]
    fn requests_pay_for_retries_beyond_the_reserve() {
        let mut budget = budget(0.2, 10.0);
        assert_eq!(budget.available(at(0.0)), 100, "CB-57");
        (0..100).for_each(|i| budget.deposit(at(f64::from(i) / 100.0)));
        assert_eq!(budget.available(at(1.0)), 120, "CB-58");
    }

    #[test]
    fn without_a_reserve_there_is_what_was_paid_for_and_it_lapses() {
        let mut budget = budget(0.2, 0.0);
        (0..100).for_each(|i| budget.deposit(at(f64::from(i) / 10.0)));
        let granted = (0..30).filter(|_| budget.withdraw(at(9.95))).count();
        assert_eq!(granted, 20, "CB-59");
        let mut budget = Budget::new(&Config { ratio: 0.2, min_per_second: 0.0, ttl: Span::from_secs(10) });
        (0..100).for_each(|_| budget.deposit(at(9.99)));
        assert_eq!([budget.available(at(18.9)), budget.available(at(20.0))], [20, 0], "CB-60");
    }

    #[test]
    fn three_tenths_are_three_tenths() {
        let mut budget = budget(0.3, 0.0);
        (0..10).for_each(|_| budget.deposit(at(0.0)));
        assert_eq!(budget.available(at(0.0)), 3, "CB-61");
        let layers = 1.0 + Config::of(0.2).ratio;
        assert!((layers * layers * layers - 1.728).abs() < 1e-12, "CB-55");
    }
}
