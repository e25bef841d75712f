//! How well supply followed demand: the elasticity metrics of the SPEC RG Cloud group (Herbst et al., *Ready for
//! Rain? A View from SPEC Research on the Future of Cloud Metrics*, 2016).
//!
//! Demand d(t) is the fewest instances that carry the load of time t; supply s(t) the instances that take traffic.
//!
//! ```text
//! θ_U = 1/T · Σ max(d − s, 0)/d · Δt     under_accuracy        τ_U = 1/T · Σ [d > s] · Δt     under_provisioned_share
//! θ_O = 1/T · Σ max(s − d, 0)/d · Δt     over_accuracy         τ_O = 1/T · Σ [s > d] · Δt     over_provisioned_share
//! υ   = 1/(T − t₁) · Σ min(|sgn Δs − sgn Δd|, 1) · Δt          instability
//! ```
//!
//! Demand comes from the Erlang C formula (Erlang 1917; Kleinrock 1975, sec. 3.5) with all workers as one pool: see
//! [`instances_needed`].

use crate::queueing::erlang_c;

/// How well supply followed demand; all are ratios.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Elasticity {
    /// Share of time with fewer instances than needed, τ_U.
    pub under_provisioned_share: f64,
    /// Share of time with more instances than needed, τ_O.
    pub over_provisioned_share: f64,
    /// Missing instances relative to demand, on average over time, θ_U.
    pub under_accuracy: f64,
    /// Surplus instances relative to demand, on average over time, θ_O.
    pub over_accuracy: f64,
    /// Share of time in which supply and demand moved in different directions, υ.
    pub instability: f64,
}

/// Elasticity of a supply that followed a demand, both one value per step of equal length.
pub fn elasticity(demand: &[f64], supply: &[f64]) -> Elasticity {
    let n = demand.len().min(supply.len());
    if n == 0 {
        return Elasticity::default();
    }
    let mut e = Elasticity::default();
    for (&d, &s) in demand.iter().zip(supply) {
        let (under, over) = ((d - s).max(0.0), (s - d).max(0.0));
        e.under_provisioned_share += f64::from(under > 0.0);
        e.over_provisioned_share += f64::from(over > 0.0);
        if d > 0.0 {
            e.under_accuracy += under / d;
            e.over_accuracy += over / d;
        }
    }
    let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    let opposed = (1..n)
        .map(|i| (sign(supply[i] - supply[i - 1]) - sign(demand[i] - demand[i - 1])).abs().min(1.0))
        .sum::<f64>();
    let steps = n as f64;
    Elasticity {
        under_provisioned_share: e.under_provisioned_share / steps,
        over_provisioned_share: e.over_provisioned_share / steps,
        under_accuracy: e.under_accuracy / steps,
        over_accuracy: e.over_accuracy / steps,
        instability: if n > 1 { opposed / (steps - 1.0) } else { 0.0 },
    }
}

/// The fewest instances that carry `arrival_rps` \[1/s\] so that at most one request in a hundred waits longer than
/// `wait_bound` \[s\], with `workers` per instance and a mean demand of `demand` \[s\]; at least 1.
pub fn instances_needed(arrival_rps: f64, demand: f64, workers: u32, wait_bound: f64) -> u32 {
    let erlangs = arrival_rps * demand;
    let mut instances = ((erlangs / f64::from(workers)).floor() as u32).max(1);
    loop {
        let servers = instances.saturating_mul(workers);
        let spare = f64::from(servers) - erlangs;
        // P(W > t) = C · e^{−(cμ − λ)t}, with (cμ − λ)t = spare · t/S.
        if spare > 0.0 && erlang_c(servers, erlangs) * libm::exp(-spare * wait_bound / demand) <= 0.01 {
            return instances;
        }
        instances += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_agree_with_a_hand_worked_example() {
        let e = elasticity(&[2.0, 4.0, 6.0, 4.0, 2.0], &[2.0, 2.0, 4.0, 6.0, 4.0]);
        assert!((e.under_accuracy - 1.0 / 6.0).abs() < 1e-12);
        assert!((e.over_accuracy - 0.3).abs() < 1e-12);
        assert!((e.under_provisioned_share - 0.4).abs() < 1e-12);
        assert!((e.over_provisioned_share - 0.4).abs() < 1e-12);
        assert!((e.instability - 0.5).abs() < 1e-12);
        assert_eq!(elasticity(&[3.0; 4], &[3.0; 4]), Elasticity::default());
    }

    #[test]
    fn needed_instances_are_the_fewest_that_keep_waits_short() {
        // λ = 80/s, μ = 10/s: P(W > 0.1 s) is 0.0554 with 10 servers, 0.0122 with 11.
        assert_eq!(instances_needed(80.0, 0.1, 1, 0.1), 12);
        assert_eq!(instances_needed(0.0, 0.1, 1, 0.1), 1);
        assert_eq!(instances_needed(80.0, 0.1, 4, 0.1), 3);
    }
}
