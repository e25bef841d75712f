//! The twin: does the simulator tell what really happens?
//!
//! ```text
//! scenario ─┬─▶ sim                    ─┐
//!           ├─▶ live, first repetition ─┼─▶ figures ─▶ within · beyond · the machine
//!           ├─▶ live, second …         ─┤
//!           └─▶ live, last             ─┘
//! ```
//!
//! All runs have one seed, and so the very same requests: each with its own arrival, client, endpoint and demand. What differs between two
//! live runs is the machine; what differs between live and simulated beyond that is the model.
//!
//! A figure is compared with an *aim*, how far off a simulator may be and still be believed. Nobody blames the model for the machine: the
//! noise of the host is measured first, live against live, and where it is as large as what is to be told, the verdict is just that.
//!
//! - A figure of one run (a quantile, a rate): its error is that of the simulated value against the mean of the live ones (of their
//!   logarithms, for latencies and rates), the noise is the half-width of the 90 % interval of that mean (Student 1908): within if the
//!   error is in the aim and the noise is no larger than the aim; beyond if the error less the noise is outside of it (an equivalence
//!   test by two one-sided ones: Schuirmann 1987); else the machine.
//! - A distance between two runs (of histograms, of timelines, of decisions): its error is the mean distance of the simulated run from
//!   the live ones, the noise that of live runs from one another. By the triangle inequality the model is at least as far off as the
//!   difference of the two.
//!
//! What is absent: runs. They are made by whoever can reach both worlds.

mod decisions;
mod distance;
mod figure;
mod output;

use std::path::Path;

use crate::record::Run;
use crate::report::{self, Experiment};
use crate::units::Span;

pub use decisions::{Decision, Step};
pub use figure::{Figure, Finding, Verdict};
pub use output::{console, html, json, markdown};

/// One scenario in both worlds.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// What it is called; unique among those that are verified together.
    pub name: String,
    /// How often the autoscaler decides; `None` without one.
    pub interval: Option<Span>,
    /// In virtual time: one run.
    pub sim: Experiment<'a>,
    /// On this machine: two runs or more of the same seed.
    pub live: Experiment<'a>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Scenarios in both worlds.
#[derive(Clone, Debug)]
pub struct Verification<'a> {
    /// At least one.
    pub trials: Vec<Trial<'a>>,
    /// What a reader should know of all.
    pub notes: Vec<String>,
}

impl Trial<'_> {
    /// The simulated run.
    pub fn simulated(&self) -> &Run {
        self.sim.first()
    }

    /// Every figure, in the order of tables.
    pub fn findings(&self) -> Vec<Finding> {
        Figure::ALL.into_iter().map(|figure| figure::judge(figure, self)).collect()
    }

    /// The worst of the verdicts: beyond, then the machine, then within.
    pub fn verdict(&self) -> Verdict {
        worst(self.findings().iter().map(|finding| finding.verdict))
    }

    /// Time that live requests spend beside their rounds, waits and services \[ms\], on average: the gateway, connections, and being woken
    /// up. `None` where instances do not say how long they took, or where attempts were repeated.
    pub fn on_the_way_ms(&self) -> Option<f64> {
        let rests: Option<Vec<f64>> = self.live.runs.iter().map(of_run).collect();
        let rests = rests.filter(|rests| !rests.is_empty())?;
        Some(rests.iter().sum::<f64>() / rests.len() as f64 - self.simulated_way_ms()?)
    }

    /// The same of the simulated run: round trips, and what `service.overhead` says.
    fn simulated_way_ms(&self) -> Option<f64> {
        of_run(self.simulated())
    }
}

/// The overhead that a simulated run would have had to have, to be on its way for as long as a live one of the same requests; `None` where
/// that cannot be told.
pub fn overhead(live: &Run, simulated: &Run) -> Option<Span> {
    let ms = of_run(live)? - of_run(simulated)?;
    Some(Span::from_secs_f64(ms.max(0.0) / 1e3))
}

/// What is left of the mean latency of a run beside waiting and service \[ms\].
fn of_run(run: &Run) -> Option<f64> {
    let mean = |of: &crate::record::latency::Latency| of.mean().map(Span::as_millis_f64);
    let service = mean(&run.service_time).filter(|service| *service > 0.0)?;
    // The time of earlier attempts is in the latency of a request and nowhere else.
    (run.counts.retries == 0).then_some(())?;
    Some(mean(&run.latency)? - service - mean(&run.waiting_time).unwrap_or(0.0))
}

impl Verification<'_> {
    /// The worst of the verdicts.
    pub fn verdict(&self) -> Verdict {
        worst(self.trials.iter().map(Trial::verdict))
    }
}

fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.max().unwrap_or(Verdict::Nothing)
}

/// Writes everything into the folder `dir`, which exists: `verify.json`, `verify.md`, `verify.html`, a picture of each scenario, and the
/// reports of all runs.
pub fn write(x: &Verification, dir: &Path) -> Result<(), report::Error> {
    report::write_file(&dir.join("verify.json"), json(x).as_bytes())?;
    report::write_file(&dir.join("verify.md"), markdown(x).as_bytes())?;
    report::write_file(&dir.join("verify.html"), html(x).as_bytes())?;
    for trial in &x.trials {
        let folder = dir.join(&trial.name);
        for (name, experiment) in [("sim", &trial.sim), ("live", &trial.live)] {
            let folder = folder.join(name);
            std::fs::create_dir_all(&folder).map_err(|cause| report::Error::Write { path: folder.clone(), cause })?;
            report::write_file(&folder.join("report.json"), report::json(experiment).as_bytes())?;
        }
        #[cfg(feature = "render")]
        {
            let title = output::title(trial);
            let draw = |path: &Path| report::chart::twin(&trial.sim, &trial.live, &title, path);
            report::write_chart(&folder, "twin.png", draw)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
