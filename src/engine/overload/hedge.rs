//! Hedging: a second copy of a request whose answer is later than nearly all answers; the first answer wins (Dean, Barroso,
//! *The Tail at Scale*, 2013).
//!
//! The delay is a quantile of recent latencies, followed by stochastic approximation: with every answer the estimate moves up by
//! `step · q` if the answer was later, else down by `step · (1 − q)`, so that it rests where a share q is below. A budget holds
//! copies to a share of requests whatever the estimate does.

use crate::units::Span;

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Which quantile of latency is waited for, in (0, 1). Default 0.95.
    pub quantile: f64,
    /// Copies per request, 0..=1. Default 0.05.
    pub budget: f64,
    /// The least delay. Default 1 ms.
    pub at_least: Span,
}

impl Default for Config {
    fn default() -> Config {
        Config { quantile: 0.95, budget: 0.05, at_least: Span::from_millis(1) }
    }
}

/// When to send a copy, and whether.
#[derive(Clone, Copy, Debug)]
pub struct Hedge {
    config: Config,
    /// \[ns\]
    estimate: f64,
    seen: u64,
    /// Copies that may be sent.
    balance: f64,
}

/// Answers after which the estimate is believed.
const LEARNING: u64 = 100;

/// Copies that may come at once.
const MOST: f64 = 10.0;

impl Hedge {
    /// Nothing was answered yet.
    pub fn new(config: Config) -> Hedge {
        Hedge { config, estimate: 0.0, seen: 0, balance: 0.0 }
    }

    /// A request begins; after how long a copy is due, `None` while too little is known.
    pub fn begun(&mut self) -> Option<Span> {
        self.balance = (self.balance + self.config.budget).min(MOST);
        (self.seen >= LEARNING).then(|| Span(self.estimate as u64).max(self.config.at_least))
    }

    /// A request was answered after `latency`.
    pub fn answered(&mut self, latency: Span) {
        let latency = latency.0 as f64;
        if self.seen == 0 {
            self.estimate = latency;
        }
        self.seen += 1;
        // A step that is a share of the estimate follows changes of scale; more at first.
        let step = self.estimate.max(1.0) * (1.0 / self.seen as f64).max(0.02);
        let q = self.config.quantile;
        self.estimate += if latency > self.estimate { step * q } else { -step * (1.0 - q) };
    }

    /// Takes a copy out of the budget; false if it is used up.
    pub fn withdraw(&mut self) -> bool {
        let has_room = self.balance >= 1.0;
        if has_room {
            self.balance -= 1.0;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Dice, Stream};

    #[test]
    fn the_delay_is_about_the_quantile() {
        let mut hedge = Hedge::new(Config::default());
        let dice = Dice::new(4, Stream::Demand);
        let mut above = 0;
        for i in 0..20_000 {
            let latency = Span((-libm::log(dice.unit(i)) * 1e8) as u64);
            if i >= 2000 && hedge.begun().is_some_and(|delay| latency > delay) {
                above += 1;
            }
            hedge.answered(latency);
        }
        // 5% of 18,000 are 900, give or take what the steps of the estimate add.
        assert!((650..1200).contains(&above), "{above}");
    }

    #[test]
    fn copies_are_a_share_of_requests_whatever_happens() {
        let mut hedge = Hedge::new(Config::default());
        (0..200).for_each(|_| hedge.answered(Span(1)));
        let copies = (0..10_000).filter(|_| hedge.begun().is_some() && hedge.withdraw()).count();
        assert!((490..=500).contains(&copies), "{copies}");
    }
}
