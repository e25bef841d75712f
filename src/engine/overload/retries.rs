//! Whether and when a client tries again: attempts, a budget, tokens, and how long to wait.
//!
//! ```text
//! failed ─▶ tokens lose one ─▶ attempts left? ─▶ budget ─▶ tokens ─▶ wait: what the server asked for, or a back-off
//! ```
//!
//! One for all clients that share a budget and a bag of tokens, as one application that calls the service. It keeps nothing of a request:
//! whoever follows one remembers what its last retry took.

use super::backoff::{Backoff, hinted};
use super::budget::{self, Budget};
use super::tokens::{self, Tokens};
use crate::units::{Span, Time};

/// When and how often a client tries again.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Attempts beyond the first, ≥ 1.
    pub max: u32,
    /// How long a client waits before each.
    pub backoff: Backoff,
    /// Whether a client that is told when to come back (`Retry-After` of a 429, or of a breaker's 503) waits for that instead.
    pub honor_retry_after: bool,
    /// What retries are paid with by requests, over all clients; `None`: no budget.
    pub budget: Option<budget::Config>,
    /// Tokens that retries are paid with, over all clients; `None`: none are needed.
    pub tokens: Option<tokens::Config>,
}

/// An attempt that failed in a way that is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Its number, 1 the first.
    pub attempt: u32,
    /// Whether the client's time ran out.
    pub timed_out: bool,
    /// How long the server asked the client to wait; `None`: it did not.
    pub hint: Option<Span>,
}

/// What is left for retries.
#[derive(Clone, Debug)]
pub struct Retries {
    config: Config,
    budget: Option<Budget>,
    tokens: Option<Tokens>,
}

impl Retries {
    /// No deposits yet, and all tokens.
    pub fn new(config: &Config) -> Retries {
        Retries {
            budget: config.budget.as_ref().map(Budget::new),
            tokens: config.tokens.map(Tokens::new),
            config: config.clone(),
        }
    }

    /// Whether retries are paid with tokens: then what they took is to be told when their requests succeed.
    #[inline]
    pub fn takes_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// A request begins.
    #[inline]
    pub fn offered(&mut self, now: Time) {
        if let Some(budget) = &mut self.budget {
            budget.deposit(now);
        }
    }

    /// A request succeeded whose last retry took so many tokens; 0 if it needed none.
    #[inline]
    pub fn succeeded(&mut self, took: u32) {
        if let Some(tokens) = &mut self.tokens {
            tokens.succeeded(took);
        }
    }

    /// How long the client waits before its next attempt, and the tokens that this takes; `None` if there is none. `unit(r)` is the
    /// draw for the r-th retry, in [0, 1).
    pub fn next(&mut self, now: Time, failed: Failed, unit: impl Fn(u32) -> f64) -> Option<(Span, u32)> {
        if let Some(tokens) = &mut self.tokens {
            tokens.failed();
        }
        if failed.attempt > self.config.max {
            return None;
        }
        if let Some(budget) = &mut self.budget
            && !budget.withdraw(now)
        {
            return None;
        }
        let took = match &mut self.tokens {
            Some(tokens) => tokens.withdraw(failed.timed_out)?,
            None => 0,
        };
        let hint = failed.hint.filter(|_| self.config.honor_retry_after);
        let hinted = hint.and_then(|hint| hinted(hint, unit(failed.attempt)));
        Some((hinted.unwrap_or_else(|| self.config.backoff.wait(failed.attempt, unit)), took))
    }
}

#[cfg(test)]
mod tests {
    use super::super::backoff::Kind;
    use super::*;

    fn config() -> Config {
        let backoff =
            Backoff { kind: Kind::Exponential, base: Span::from_millis(10), factor: 2.0, cap: None, jitter: 0.0 };
        Config { max: 2, backoff, honor_retry_after: true, budget: None, tokens: None }
    }

    fn failed(attempt: u32, hint: Option<Span>) -> Failed {
        Failed { attempt, timed_out: false, hint }
    }

    #[test]
    fn what_the_server_asks_for_comes_before_the_back_off() {
        let mut retries = Retries::new(&config());
        let mut wait = |attempt, hint| retries.next(Time::ZERO, failed(attempt, hint), |_| 0.0).map(|(wait, _)| wait);
        assert_eq!(wait(2, None), Some(Span::from_millis(20)));
        assert_eq!(wait(2, Some(Span::from_secs(7))), Some(Span::from_secs(7)));
        assert_eq!(wait(2, Some(Span::from_secs(7000))), Some(Span::from_millis(20)), "no client waits for hours");
        assert_eq!(wait(3, None), None);
    }

    #[test]
    fn tokens_come_back_with_success() {
        let tokens = Some(tokens::Config::Cost { capacity: 5, retry: 5, timeout: 10 });
        let mut retries = Retries::new(&Config { tokens, ..config() });
        let took = |retries: &mut Retries| retries.next(Time::ZERO, failed(1, None), |_| 0.0).map(|(_, took)| took);
        assert_eq!((took(&mut retries), took(&mut retries)), (Some(5), None));
        retries.succeeded(5);
        assert_eq!(took(&mut retries), Some(5));
    }
}
