//! Retry tokens: what retries are paid with, earned by requests that succeed.
//!
//! ```text
//! throttle (gRPC, proposal A6)      failure −1, success +ratio, at most max; a retry needs more than max / 2, and takes none
//! cost (AWS SDKs, standard mode)    a retry takes 5, or 10 after a time-out; a success gives back what its retry took, or 1
//! ```
//!
//! Unlike a budget of so many retries per request, both fall silent in an outage however much is asked for: after a few failures the one,
//! after a hundred retries the other.

/// Which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Config {
    /// Failures close it, successes open it.
    Throttle {
        /// Most tokens, and those at the start, > 0.
        max: f64,
        /// Tokens of a success, > 0.
        ratio: f64,
    },
    /// Retries are bought.
    Cost {
        /// Most tokens, and those at the start.
        capacity: u32,
        /// Tokens of a retry.
        retry: u32,
        /// Tokens of a retry after a time-out.
        timeout: u32,
    },
}

impl Config {
    /// The example of gRPC's proposal: ten tokens, a tenth for a success.
    pub const GRPC: Config = Config::Throttle { max: 10.0, ratio: 0.1 };
    /// The standard retry mode of AWS's SDKs.
    pub const AWS: Config = Config::Cost { capacity: 500, retry: 5, timeout: 10 };
}

/// Tokens are counted in thousandths, so that a tenth is a tenth after a year.
const UNIT: f64 = 1000.0;

/// The tokens of one client, or of all that share them.
#[derive(Clone, Debug)]
pub struct Tokens {
    config: Config,
    /// \[1/1000\].
    balance: u64,
}

impl Tokens {
    /// As many as there can be.
    pub fn new(config: Config) -> Tokens {
        Tokens { config, balance: Tokens::most(&config) }
    }

    fn most(config: &Config) -> u64 {
        match config {
            Config::Throttle { max, .. } => (max * UNIT).round() as u64,
            Config::Cost { capacity, .. } => u64::from(*capacity) * UNIT as u64,
        }
    }

    /// How many there are.
    pub fn balance(&self) -> f64 {
        self.balance as f64 / UNIT
    }

    /// An attempt failed in a way that is tried again.
    pub fn failed(&mut self) {
        if let Config::Throttle { .. } = self.config {
            self.balance = self.balance.saturating_sub(UNIT as u64);
        }
    }

    /// Pays for a retry, after a time-out or another failure, and tells what it took; `None`: there is not enough.
    pub fn withdraw(&mut self, timed_out: bool) -> Option<u32> {
        match self.config {
            Config::Throttle { .. } => (2 * self.balance > Tokens::most(&self.config)).then_some(0),
            Config::Cost { retry, timeout, .. } => {
                let cost = if timed_out { timeout } else { retry };
                self.balance = self.balance.checked_sub(u64::from(cost) * UNIT as u64)?;
                Some(cost)
            }
        }
    }

    /// A request succeeded whose last retry `took` so many; 0 if it needed none.
    pub fn succeeded(&mut self, took: u32) {
        let back = match self.config {
            Config::Throttle { ratio, .. } => (ratio * UNIT).round() as u64,
            Config::Cost { .. } => u64::from(took.max(1)) * UNIT as u64,
        };
        self.balance = (self.balance + back).min(Tokens::most(&self.config));
    }
}
