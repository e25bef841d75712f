//! Demand: how long a request of each endpoint takes on a server that has room for it.
//!
//! What all requests have in common (a connection, a parser, a way there and back) is in every response time. It keeps no worker busy, and
//! it is not of the demand's family: an exponential that begins at a millisecond is none. So a shift is fitted with the families, for all
//! endpoints together, and taken if Schwarz's criterion says that it is worth its parameter.

use super::family::{Fit, Moments};
use super::warmup::Warming;
use super::{Interval, Observations};

/// Requests of an endpoint below which it is fitted together with the others.
const FEWEST: f64 = 30.0;
/// Shifts that are tried, as shares of the shortest response time.
const SHIFTS: u32 = 40;
/// The shortest demand \[s\]: what is left of a response time that is shorter than what all have in common.
const SHORTEST: f64 = 1e-6;
/// Values that stand for what no family fits.
const QUANTILES: usize = 400;

/// The demand of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Its path.
    pub path: String,
    /// Requests that were fitted.
    pub requests: f64,
    /// Its share of all requests.
    pub share: f64,
    /// Share of its requests that were answered badly.
    pub error_rate: f64,
    /// What fits best.
    pub fit: Fit,
    /// Quantiles of what was measured \[s\], ascending and equally likely: for what no family fits.
    pub measured: Vec<f64>,
}

/// What was fitted.
pub struct Fitted {
    /// By endpoint, in their order; those that nobody asked for are left out.
    pub demands: Vec<Demand>,
    /// Time on the way \[s\].
    pub overhead: Option<Interval>,
    /// What the data cannot tell.
    pub notes: Vec<String>,
}

/// Response times by endpoint, ascending, with weights.
fn by_endpoint(observations: &Observations, room: Option<u32>, warmup: Option<&Warming>) -> Vec<Vec<(f64, f64)>> {
    let ready = |instance: u32| {
        let launch = observations.launches.iter().find(|launch| launch.instance == instance && launch.launched > 0.0);
        launch.map(|launch| launch.ready)
    };
    let mut all = vec![Vec::new(); observations.endpoints.len()];
    for sample in observations.with_room(room) {
        let is_cold = warmup.is_some_and(|warmup| {
            sample.instance.and_then(ready).is_some_and(|ready| sample.at - ready < warmup.seconds)
        });
        if !is_cold {
            all[sample.endpoint].push((sample.took, sample.weight));
        }
    }
    all.iter_mut().for_each(|times| times.sort_by(|a, b| a.0.total_cmp(&b.0)));
    all
}

/// Fits every endpoint.
pub fn fit(observations: &Observations, room: Option<u32>, warmup: Option<&Warming>) -> Fitted {
    let mut times = by_endpoint(observations, room, warmup);
    let mut notes = Vec::new();
    let weight = |times: &[(f64, f64)]| times.iter().map(|(_, w)| w).sum::<f64>();
    let mut together: Vec<(f64, f64)> = times.iter().flatten().copied().collect();
    together.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (path, own) in observations.endpoints.iter().zip(&mut times) {
        if !own.is_empty() && weight(own) < FEWEST && weight(&together) >= FEWEST {
            notes.push(format!("{path} has {:.0} requests with room: it is given the demand of all", weight(own)));
            own.clone_from(&together);
        }
    }
    let shift = match observations.way_inside {
        Some(known) => known.max(0.0),
        None => shift(&times),
    };
    let shifted = |times: &[(f64, f64)]| -> Vec<(f64, f64)> {
        times.iter().map(|&(x, w)| ((x - shift).max(SHORTEST), w)).collect()
    };
    let of = |endpoint: usize| observations.samples.iter().filter(move |sample| sample.endpoint == endpoint);
    let all: f64 = observations.samples.iter().map(|sample| sample.weight).sum();
    let mut demands = Vec::new();
    for (endpoint, own) in times.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
        let own = shifted(own);
        let asked: f64 = of(endpoint).map(|sample| sample.weight).sum();
        let failed: f64 = of(endpoint).filter(|sample| !sample.good).map(|sample| sample.weight).sum();
        let fit = Moments::of(&own).fit();
        demands.push(Demand {
            path: observations.endpoints[endpoint].clone(),
            requests: weight(&own),
            share: asked / all,
            error_rate: failed / asked,
            measured: if fit.is_far { quantiles(&own) } else { Vec::new() },
            fit,
        });
    }
    let n = weight(&together);
    let overhead = observations.way_before + shift;
    let is_known = observations.way_inside.is_some() || observations.way_before > 0.0 || shift > 0.0;
    if observations.way_inside.is_none() && shift == 0.0 {
        notes.push(
            "what requests spend on their way cannot be told from their service: it is a part of it".to_string(),
        );
    }
    Fitted {
        demands,
        // A minimum of n is known to a mean over n.
        overhead: is_known.then(|| Interval::new(overhead, overhead.max(1e-6) / n.max(1.0).sqrt())),
        notes,
    }
}

/// The shift \[s\] with which the families fit best, all endpoints together; 0 if none is worth its parameter.
fn shift(times: &[Vec<(f64, f64)>]) -> f64 {
    let least = times.iter().filter_map(|own| own.first()).map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let n: f64 = times.iter().flatten().map(|(_, w)| w).sum();
    let bic = |shift: f64| -> f64 {
        let of = |own: &Vec<(f64, f64)>| {
            let shifted: Vec<(f64, f64)> = own.iter().map(|&(x, w)| ((x - shift).max(SHORTEST), w)).collect();
            Moments::of(&shifted).fit().bic
        };
        times.iter().filter(|own| !own.is_empty()).map(of).sum()
    };
    let plain = bic(0.0);
    if !plain.is_finite() {
        return 0.0;
    }
    // Not up to the shortest itself, where densities may be infinite.
    let tried = (1..SHIFTS).map(|i| least * f64::from(i) / f64::from(SHIFTS));
    let scored = tried.map(|shift| (shift, bic(shift) + n.ln())).filter(|(_, bic)| bic.is_finite());
    match scored.min_by(|a, b| a.1.total_cmp(&b.1)) {
        // Ten is very strong evidence (Kass & Raftery 1995).
        Some((shift, bic)) if bic + 10.0 < plain => shift,
        _ => 0.0,
    }
}

/// Equally likely values \[s\].
fn quantiles(sorted: &[(f64, f64)]) -> Vec<f64> {
    let all: f64 = sorted.iter().map(|(_, w)| w).sum();
    let points = QUANTILES.min(sorted.len());
    let (mut values, mut below, mut next) = (Vec::with_capacity(points), 0.0, 0);
    for &(x, w) in sorted {
        below += w;
        while next < points && below / all >= (next as f64 + 0.5) / points as f64 {
            values.push(x);
            next += 1;
        }
    }
    values
}
