//! Comparing: policies, scenarios or finished reports side by side.
//!
//! Simulated contenders meet the same requests: every random number is keyed by seed, stream and index. So runs of one seed form a
//! pair, and what is estimated is the mean difference within pairs, which is known far more precisely than either mean. Runs
//! without a partner are compared as independent samples, which takes many more of them, and the table says so.
//!
//! Costs and latencies are compared by ratio (a Student interval of the differences of logarithms), everything else by difference.
//! p-values are adjusted for the number of comparisons that are made (Holm 1979).

mod difference;
mod html;
mod json;
mod measure;
mod table;

use std::path::Path;

use crate::report::{self, Experiment};

pub use difference::{Difference, Pairing, Trend};
pub use html::html;
pub use json::json;
pub use measure::Measure;
pub use table::console;

/// One of those that are compared.
#[derive(Clone, Debug)]
pub struct Contender<'a> {
    /// What it is called in the comparison; unique there.
    pub label: String,
    /// What was run.
    pub experiment: Experiment<'a>,
}

/// Contenders; the first is what the others are compared with.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    /// What is compared, in a line.
    pub title: String,
    /// At least two.
    pub contenders: Vec<Contender<'a>>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Comparison<'_> {
    /// The measures that a first table shows: cost in money where there are prices, else in instance-hours.
    pub fn headline(&self) -> [Measure; 6] {
        let priced = self.contenders.iter().all(|each| each.experiment.price_per_hour > 0.0);
        let (cost, regret) =
            if priced { (Measure::Cost, Measure::Regret) } else { (Measure::Hours, Measure::RegretHours) };
        [cost, Measure::P99, Measure::Availability, Measure::Flaps, regret, Measure::Missing]
    }

    /// Differences of every contender but the first from the first, for `measures`, contender by contender; p-values are adjusted
    /// among all of them.
    pub fn differences(&self, measures: &[Measure]) -> Vec<Vec<Difference>> {
        let base = &self.contenders[0].experiment;
        let mut all: Vec<Vec<Difference>> = self.contenders[1..]
            .iter()
            .map(|each| measures.iter().map(|&m| Difference::between(m, base, &each.experiment)).collect())
            .collect();
        difference::adjust(all.iter_mut().flatten());
        all
    }

    /// Which contenders no other beats in cost and in p99 at once, by their means.
    pub fn front(&self) -> Vec<bool> {
        let cost = self.headline()[0];
        let at: Vec<Option<(f64, f64)>> = self
            .contenders
            .iter()
            .map(|each| Some((cost.mean(&each.experiment)?, Measure::P99.mean(&each.experiment)?)))
            .collect();
        let beats = |a: (f64, f64), b: (f64, f64)| a.0 <= b.0 && a.1 <= b.1 && a != b;
        at.iter().map(|each| each.is_some_and(|each| !at.iter().flatten().any(|&other| beats(other, each)))).collect()
    }
}

/// Writes everything into the folder `dir`, which exists.
pub fn write(x: &Comparison, dir: &Path) -> Result<(), report::Error> {
    report::write_file(&dir.join("compare.json"), json(x).as_bytes())?;
    report::write_file(&dir.join("compare.html"), html(x).as_bytes())?;
    #[cfg(feature = "render")]
    {
        let rows: Vec<(String, &Experiment)> =
            x.contenders.iter().map(|each| (each.label.clone(), &each.experiment)).collect();
        report::write_chart(dir, "timelines.png", |path| report::chart::timelines(&rows, path))?;
        let (points, target) = (html::points(x), html::target_ms(x));
        let cost = x.headline()[0].title();
        let finding = report::html::comparison::unbeaten(&points);
        report::write_chart(dir, "front.png", |path| report::chart::front(&points, cost, target, &finding, path))?;
    }
    Ok(())
}
