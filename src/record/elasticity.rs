//! How well supply followed demand: the elasticity metrics of the SPEC RG Cloud group (Herbst et al., *Ready for
//! Rain? A View from SPEC Research on the Future of Cloud Metrics*, 2016).
//!
//! Demand d(t) is the fewest instances that carry the load of time t; supply s(t) the instances that take traffic.
//!
//! ```text
//! θ_U = 1/T · Σ max(d − s, 0)/d · Δt     under_accuracy        τ_U = 1/T · Σ [d > s] · Δt     under_provisioned_share
//! θ_O = 1/T · Σ max(s − d, 0)/d · Δt     over_accuracy         τ_O = 1/T · Σ [s > d] · Δt     over_provisioned_share
//! υ   = 1/(T − t₁) · Σ min(|sgn Δs − sgn Δd|, 1) · Δt          instability
//! j   = (changes of s − changes of d) / T                      jitter
//! σ_p = (Σ x^p)^(1/p) over θ_U, θ_O, τ_U, τ_O, υ               deviation
//! ε   = (Π x_base / x)^(1/4) over θ_U, θ_O, τ_U, τ_O           speed-up over a fleet that does something else
//! ```
//!
//! Demand comes from the Erlang C formula (Erlang 1917; Kleinrock 1975, sec. 3.5) with all workers as one pool: see
//! [`instances_needed`].

use serde::{Deserialize, Serialize};

use crate::queueing::erlang_c;

/// How well supply followed demand; all are ratios.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// What a quotient by 0 counts as: in the speed-up one figure must not decide alone.
const CAP: f64 = 1000.0;

impl Elasticity {
    /// How far from perfect, in one number: the `p`-norm of the five figures, `p` ≥ 1; 0 is perfect.
    pub fn deviation(&self, p: f64) -> f64 {
        let Elasticity {
            under_provisioned_share,
            over_provisioned_share,
            under_accuracy,
            over_accuracy,
            instability,
        } = *self;
        let all = [under_accuracy, over_accuracy, under_provisioned_share, over_provisioned_share, instability];
        all.iter().map(|x| x.powf(p)).sum::<f64>().powf(1.0 / p)
    }

    /// How many times more elastic than `base`: above 1 is better. Where neither is ever off it is the same; where only one is,
    /// the quotient counts as a thousand, or a thousandth.
    pub fn speed_up(&self, base: &Elasticity) -> f64 {
        let ratio = |base: f64, own: f64| match (base == 0.0, own == 0.0) {
            (true, true) => 1.0,
            _ => (base / own).clamp(1.0 / CAP, CAP),
        };
        let product = ratio(base.under_accuracy, self.under_accuracy)
            * ratio(base.over_accuracy, self.over_accuracy)
            * ratio(base.under_provisioned_share, self.under_provisioned_share)
            * ratio(base.over_provisioned_share, self.over_provisioned_share);
        product.sqrt().sqrt()
    }
}

/// How much more often a supply changes than its demand, in an hour of `step_hours` \[h\] a step; below 0: less often.
pub fn jitter(demand: &[f64], supply: &[f64], step_hours: f64) -> f64 {
    let n = demand.len().min(supply.len());
    let changes = |values: &[f64]| values[..n].windows(2).filter(|pair| pair[0] != pair[1]).count() as f64;
    if n == 0 { 0.0 } else { (changes(supply) - changes(demand)) / (n as f64 * step_hours) }
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
        assert!((e.under_accuracy - 1.0 / 6.0).abs() < 1e-12, "M-01");
        assert!((e.over_accuracy - 0.3).abs() < 1e-12);
        assert!((e.under_provisioned_share - 0.4).abs() < 1e-12);
        assert!((e.over_provisioned_share - 0.4).abs() < 1e-12);
        assert!((e.instability - 0.5).abs() < 1e-12, "M-02");
        assert_eq!(elasticity(&[3.0; 4], &[3.0; 4]), Elasticity::default(), "M-05");
        let jitter = jitter(&[2.0, 4.0, 6.0, 4.0, 2.0], &[2.0, 2.0, 4.0, 6.0, 4.0], 1.0);
        assert!((jitter + 0.2).abs() < 1e-12, "M-02: three changes for four, in five steps");
        for (p, expected) in [(1.0, 1.76667), (2.0, 0.82932), (3.0, 0.65780), (5.0, 0.55840)] {
            assert!((e.deviation(p) - expected).abs() < 5e-6, "M-03, p = {p}: {}", e.deviation(p));
        }
    }

    #[test]
    fn a_speed_up_is_the_geometric_mean_of_four_quotients() {
        let of = |under_accuracy, over_accuracy, under_provisioned_share, over_provisioned_share| Elasticity {
            under_provisioned_share,
            over_provisioned_share,
            under_accuracy,
            over_accuracy,
            instability: 0.3,
        };
        let (base, auto) = (of(0.4, 0.05, 0.6, 0.2), of(0.1, 0.2, 0.15, 0.4));
        assert!((auto.speed_up(&base) - 1.18921).abs() < 1e-5, "M-04");
        assert_eq!(base.speed_up(&base), 1.0);
        let perfect = of(0.0, 0.0, 0.0, 0.0);
        assert_eq!((perfect.speed_up(&perfect), perfect.speed_up(&base)), (1.0, 1000.0), "M-05: capped");
    }

    #[test]
    fn what_is_behind_a_reaction_is_an_area() {
        // M-06 and M-07, by the sum over seconds: a step of 100/s, or a ramp of 2/s each second, and 270 s to react.
        let behind = |rise: fn(f64) -> f64| (0..270).map(|t| rise(f64::from(t) + 0.5)).sum::<f64>();
        assert_eq!((behind(|_| 100.0), behind(|_| 100.0) / 50.0), (27_000.0, 540.0), "M-06");
        assert_eq!(behind(|t| 2.0 * t), 72_900.0, "M-07");
    }

    #[test]
    fn needed_instances_are_the_fewest_that_keep_waits_short() {
        // λ = 80/s, μ = 10/s: P(W > 0.1 s) is 0.0554 with 10 servers, 0.0122 with 11.
        assert_eq!(instances_needed(80.0, 0.1, 1, 0.1), 12);
        assert_eq!(instances_needed(0.0, 0.1, 1, 0.1), 1);
        assert_eq!(instances_needed(80.0, 0.1, 4, 0.1), 3);
    }
}
