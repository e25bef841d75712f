//! A wish to end, which wakes a thread that sleeps until something is due.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::live::clock::Clock;
use crate::units::Time;

/// A wish to end that comes once and stays.
#[derive(Debug, Default)]
pub struct Stop {
    wished: Mutex<bool>,
    told: Condvar,
}

impl Stop {
    /// Asks for the end. Asking again changes nothing: some shells and CI runners deliver a signal twice.
    pub fn stop(&self) {
        *self.wished.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }

    /// Whether somebody asked.
    pub fn is_wished(&self) -> bool {
        *self.wished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until `at`, or until somebody asks for the end; whether somebody did.
    pub fn sleep_until(&self, clock: &Clock, at: Time) -> bool {
        let mut wished = self.wished.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = at.since(clock.now());
            if *wished || left.is_zero() {
                return *wished;
            }
            let slept = self.told.wait_timeout(wished, Duration::from_nanos(left.0));
            wished = slept.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_wakes_whoever_sleeps_and_stays() {
        let (stop, clock) = (Stop::default(), Clock::start());
        assert!(!stop.sleep_until(&clock, Time::ZERO), "what is due already is not waited for");
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| stop.sleep_until(&clock, Time::MAX));
            stop.stop();
            assert!(sleeper.join().unwrap());
        });
        stop.stop();
        assert!(stop.is_wished() && stop.sleep_until(&clock, Time::MAX));
    }
}
