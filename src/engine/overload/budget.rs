//! A retry budget: so many retries for so many requests.
//!
//! Finagle's: every request deposits `ratio` retries for ten seconds, beside a reserve of three per second.

use crate::units::Time;

/// Length of the window of deposits \[s\].
const WINDOW: u64 = 10;
/// Retries per second that are always allowed.
const RESERVE_PER_SECOND: f64 = 3.0;

/// What is left for retries.
#[derive(Clone, Debug)]
pub struct Budget {
    ratio: f64,
    /// Deposits less withdrawals, by second modulo the window.
    seconds: [f64; WINDOW as usize],
    newest: u64,
}

impl Budget {
    /// No deposits yet; each will be `ratio` retries, 0..1.
    pub fn new(ratio: f64) -> Budget {
        Budget { ratio, seconds: [0.0; WINDOW as usize], newest: 0 }
    }

    /// A request begins.
    #[inline]
    pub fn deposit(&mut self, now: Time) {
        self.advance(now);
        self.seconds[(self.newest % WINDOW) as usize] += self.ratio;
    }

    /// Takes a retry out; false if there is none left.
    pub fn withdraw(&mut self, now: Time) -> bool {
        self.advance(now);
        let balance: f64 = self.seconds.iter().sum::<f64>() + RESERVE_PER_SECOND * WINDOW as f64;
        if balance < 1.0 {
            return false;
        }
        self.seconds[(self.newest % WINDOW) as usize] -= 1.0;
        true
    }

    #[inline]
    fn advance(&mut self, now: Time) {
        let second = now.0 / 1_000_000_000;
        if second != self.newest {
            for stale in (self.newest + 1..=second).take(WINDOW as usize) {
                self.seconds[(stale % WINDOW) as usize] = 0.0;
            }
            self.newest = second;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    #[test]
    fn retries_are_a_share_of_requests_beside_a_reserve() {
        let at = |seconds| Time(Span::from_secs(seconds).0);
        let mut budget = Budget::new(0.25);
        (0..100).for_each(|_| budget.deposit(at(5)));
        assert_eq!((0..100).filter(|_| budget.withdraw(at(6))).count(), 55, "25 deposited, 30 in reserve");
        assert!(!budget.withdraw(at(7)));
        assert!(budget.withdraw(at(20)), "what was long ago does not count");
    }
}
