//! Calibrating: a service model from what a real service did.
//!
//! ```text
//! live run, load test, access log ─▶ observations ─┬─▶ concurrency   from where response times begin to grow
//!                                                  ├─▶ warm-up       from how slow the young are
//!                                                  ├─▶ demand        from requests that found room, by endpoint
//!                                                  ├─▶ overhead      from what all requests have in common
//!                                                  └─▶ boot          from launches
//! ```
//!
//! A request that finds a worker free takes as long as its demand; one that does not waits first. So the many that found few others are
//! where demand is read, and the few that found many are where the number of workers is. What the data cannot tell is said, and what is
//! written instead is a bound.
//!
//! Every number has a 95 % interval, asymptotic from the likelihood (the information of its family) or from the profile of what was fitted.
//!
//! What is absent: processor sharing (a service whose requests slow one another down looks like one with few workers), dependencies, and
//! what arrivals are like, which recordings replay by themselves.

mod boot;
mod concurrency;
mod demand;
mod family;
mod observed;
mod output;
mod warmup;

pub use boot::Boot;
pub use concurrency::Concurrency;
pub use demand::Demand;
pub use family::{Family, Fit};
pub use observed::{Launch, Observations, Sample};
pub use output::{Written, console, document, json};
pub use warmup::Warming;

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// An estimate with its standard error.
    pub fn new(value: f64, error: f64) -> Interval {
        Interval { value, low: (value - 1.96 * error).max(0.0), high: value + 1.96 * error }
    }

    /// Whether `x` may be the truth.
    pub fn contains(&self, x: f64) -> bool {
        (self.low..=self.high).contains(&x)
    }
}

/// What could be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Demand of each endpoint that was asked for.
    pub demands: Vec<Demand>,
    /// Requests served at once.
    pub concurrency: Concurrency,
    /// Time on the way beside waiting and service \[s\]; `None`: the data cannot tell it from service, of which it is a part.
    pub overhead: Option<Interval>,
    /// How long new instances take; `None`: nobody was launched.
    pub boot: Option<Boot>,
    /// How slow new instances are; `None`: it was not seen.
    pub warmup: Option<Warming>,
    /// Instances that were there at the beginning; `None` if the data does not say.
    pub instances: Option<u32>,
    /// Requests per second \[1/s\].
    pub rate_rps: f64,
    /// What the data cannot tell, and what was assumed; a sentence each.
    pub notes: Vec<String>,
}

/// Why nothing can be fitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is too little.
    #[error("{0} requests that succeeded have a response time, expected {FEWEST} at least")]
    TooFew(u64),
}

/// Requests below which nothing is fitted.
pub const FEWEST: u64 = 30;

/// Fits.
pub fn calibrate(observations: &Observations) -> Result<Calibration, Error> {
    let good: f64 = observations.samples.iter().filter(|sample| sample.good).map(|sample| sample.weight).sum();
    if good < FEWEST as f64 {
        return Err(Error::TooFew(good as u64));
    }
    let mut notes = observations.notes.clone();
    let concurrency = concurrency::fit(observations);
    notes.extend(concurrency.note());
    let room = concurrency.room();
    let warmup = match warmup::fit(observations, room) {
        warmup::Seen::Warming(warming) => Some(warming),
        warmup::Seen::Nothing(note) => {
            notes.extend(note);
            None
        }
    };
    let fitted = demand::fit(observations, room, warmup.as_ref());
    notes.extend(fitted.notes);
    let boot = boot::fit(&observations.launches);
    if let Some(boot) = boot.as_ref().filter(|boot| boot.launches < 10) {
        notes.push(format!("boot times are those of {} launches: too few for a distribution", boot.launches));
    }
    Ok(Calibration {
        demands: fitted.demands,
        concurrency,
        overhead: fitted.overhead,
        boot,
        warmup,
        instances: observations.instances,
        rate_rps: observations.rate_rps(),
        notes,
    })
}

#[cfg(test)]
mod tests;
