//! Warm-up: by how much instances are slower while they are young.
//!
//! As the simulator has it, demand is multiplied by a factor that falls linearly from `slowdown` to 1 over some time. For each of a few
//! lengths the factor follows by least squares; the length is taken that explains most.

use std::collections::BTreeMap;

use super::{Interval, Observations};

/// Lengths that are tried \[s\].
const LENGTHS: [f64; 12] = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0];
/// Requests to young instances that it takes.
const FEWEST: usize = 30;

/// How slow new instances are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warming {
    /// How long it lasts \[s\].
    pub seconds: f64,
    /// Factor on demand at first.
    pub slowdown: Interval,
}

impl Warming {
    /// The factor at an age \[s\].
    pub fn factor(&self, age: f64) -> f64 {
        1.0 + (self.slowdown.value - 1.0) * (1.0 - age / self.seconds).max(0.0)
    }
}

/// What there is to say.
pub enum Seen {
    /// They are slower at first.
    Warming(Warming),
    /// They are not, or nobody can tell; a sentence if there was anybody to look at.
    Nothing(Option<String>),
}

/// Age and relative slowness of requests to instances that were launched during the run.
fn young(observations: &Observations, room: Option<u32>) -> Vec<(f64, f64)> {
    let ready: BTreeMap<u32, f64> =
        observations.launches.iter().filter(|launch| launch.launched > 0.0).map(|l| (l.instance, l.ready)).collect();
    // What is usual is what the others do, by endpoint.
    let mut usual: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    let is_young = |instance: Option<u32>| instance.is_some_and(|instance| ready.contains_key(&instance));
    for sample in observations.with_room(room).filter(|sample| !is_young(sample.instance)) {
        let of = usual.entry(sample.endpoint).or_default();
        *of = (of.0 + sample.took, of.1 + 1.0);
    }
    let relative = |sample: &super::Sample| {
        let age = sample.at - ready.get(&sample.instance?)?;
        let (sum, n) = *usual.get(&sample.endpoint)?;
        (age >= 0.0 && n >= FEWEST as f64).then(|| (age, sample.took / (sum / n)))
    };
    observations.with_room(room).filter_map(relative).collect()
}

/// Looks at the young.
pub fn fit(observations: &Observations, room: Option<u32>) -> Seen {
    let young = young(observations, room);
    if young.is_empty() {
        return Seen::Nothing(None);
    }
    if young.len() < FEWEST {
        let n = young.len();
        return Seen::Nothing(Some(format!("new instances served {n} requests: too few to see a warm-up")));
    }
    let best = LENGTHS.into_iter().filter_map(|seconds| line(&young, seconds)).min_by(|a, b| a.2.total_cmp(&b.2));
    let Some((warming, error, _)) = best else { return Seen::Nothing(None) };
    let excess = warming.slowdown.value - 1.0;
    // Three standard errors, for the best of a dozen lengths was taken.
    if excess < 3.0 * error || excess < 0.05 {
        let most = 1.0 + (excess.max(0.0) + 1.96 * error);
        return Seen::Nothing(Some(format!(
            "no warm-up is seen: new instances are at most {most:.2} times slower when they begin"
        )));
    }
    Seen::Warming(warming)
}

/// The slowdown that fits a length best, its standard error, and the sum of squares that is left; `None` without requests that young.
fn line(young: &[(f64, f64)], seconds: f64) -> Option<(Warming, f64, f64)> {
    let left = |age: f64| (1.0 - age / seconds).max(0.0);
    let squares: f64 = young.iter().map(|(age, _)| left(*age).powi(2)).sum();
    if young.iter().filter(|(age, _)| *age < seconds).count() < 10 || squares <= 0.0 {
        return None;
    }
    let excess = young.iter().map(|(age, y)| left(*age) * (y - 1.0)).sum::<f64>() / squares;
    let rest: f64 = young.iter().map(|(age, y)| (y - 1.0 - excess * left(*age)).powi(2)).sum();
    let error = (rest / (young.len() as f64 - 1.0) / squares).sqrt();
    let slowdown = Interval::new(1.0 + excess, error);
    Some((Warming { seconds, slowdown }, error, rest))
}
