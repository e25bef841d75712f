//! How faithfully a run was simulated: every request, or samples of the calm.
//!
//! What is promised of a run that is not simulated in full is that it is near the full simulation of the same seed ([`Spread::BOUNDS`]). It
//! is kept by a check of every run: two runs with different samples have to agree by half of that, or all is simulated.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::run::Run;
use crate::units::Span;

/// How much of a run is simulated request by request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fidelity {
    /// Every request.
    #[default]
    Full,
    /// Every request near saturation and while the fleet or the rate changes, and one in twenty-five of the rest.
    Hybrid,
    /// The same with one in a hundred of the rest.
    Fluid,
}

impl Fidelity {
    /// Every fidelity with its name.
    pub const ALL: [(&'static str, Fidelity); 3] =
        [("full", Fidelity::Full), ("hybrid", Fidelity::Hybrid), ("fluid", Fidelity::Fluid)];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Fidelity::Full => "full",
            Fidelity::Hybrid => "hybrid",
            Fidelity::Fluid => "fluid",
        }
    }
}

/// What was asked for, and what was done, where less than the full simulation was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Faithfulness {
    /// What was asked for.
    pub asked: Fidelity,
    /// What was done: that, or [`Fidelity::Full`].
    pub used: Fidelity,
    /// Why that is not what was asked for; `None` if it is.
    pub reason: Option<String>,
    /// Requests that were simulated one by one over those that there were, warm-up and the second set of samples included.
    pub simulated_share: f64,
    /// How far two sets of samples were apart; `None` if there were none.
    pub spread: Option<Spread>,
}

/// How far apart two runs of one scenario are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Points of availability.
    pub availability_points: f64,
    /// Percent of p99.
    pub p99_percent: f64,
    /// Percent of instance-hours.
    pub instance_hours_percent: f64,
}

impl Spread {
    /// What is promised of a run that is not simulated in full, beside the full simulation of it.
    pub const BOUNDS: Spread = Spread { availability_points: 0.1, p99_percent: 5.0, instance_hours_percent: 1.0 };

    /// How far `other` is from `run`; what neither of them has does not differ.
    pub fn between(run: &Run, other: &Run) -> Spread {
        let availability = |run: &Run| run.counts.availability().unwrap_or(1.0) * 100.0;
        let p99 = |run: &Run| run.latency.quantile(0.99).map_or(0.0, Span::as_secs_f64);
        let hours = |run: &Run| run.fleet.cost.instance_hours;
        let percent =
            |of: &dyn Fn(&Run) -> f64| if of(run) == of(other) { 0.0 } else { (of(other) / of(run) - 1.0) * 100.0 };
        Spread {
            availability_points: availability(other) - availability(run),
            p99_percent: percent(&p99),
            instance_hours_percent: percent(&hours),
        }
    }

    /// The figure that is farthest apart, as a share of what is promised of it: above 1, the promise is broken.
    pub fn of_bounds(&self) -> f64 {
        let Spread { availability_points, p99_percent, instance_hours_percent } = Spread::BOUNDS;
        let shares = [
            self.availability_points / availability_points,
            self.p99_percent / p99_percent,
            self.instance_hours_percent / instance_hours_percent,
        ];
        shares.iter().fold(0.0, |most, share| share.abs().max(most))
    }

    /// Whether two sets of samples that are so far apart agree: by half of what is promised.
    pub fn is_small(&self) -> bool {
        self.of_bounds() <= 0.5
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3} points of availability, {:.2} % of p99 and {:.2} % of instance-hours",
            self.availability_points.abs(),
            self.p99_percent.abs(),
            self.instance_hours_percent.abs()
        )
    }
}

impl Faithfulness {
    /// In one line.
    pub fn in_words(&self) -> String {
        let Faithfulness { asked, used, reason, simulated_share, spread } = self;
        let used = used.name();
        let apart = spread.map_or(String::new(), |spread| format!("; two sets of samples are {spread} apart"));
        match reason {
            Some(reason) => format!("{used}, asked {}: {reason}", asked.name()),
            None => format!("{used}, {:.1} % of requests simulated one by one{apart}", simulated_share * 100.0),
        }
    }
}
