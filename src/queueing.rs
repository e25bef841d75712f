//! Queueing theory: how many servers a load takes, and how long requests wait.
//!
//! With offered load `a = λ/μ` (erlangs), `c` servers and `ρ = a/c < 1`:
//!
//! ```text
//! B(0) = 1,  B(k) = a·B(k−1) / (k + a·B(k−1))        Erlang B (Erlang 1917)
//! C = B / (1 − ρ(1 − B))                              Erlang C: an arrival waits
//! P(W > t) = C · e^{−θt},  θ = 2(cμ − λ)/(ca² + cs²)  Allen & Cunneen 1978; M/M/c where ca² = cs² = 1
//! P(R > t) = E[P(W > t − S)]                          response time: the wait, then the service
//! ```
//!
//! ca² and cs² are the squared coefficients of variation of the times between arrivals and of service. Service times are taken as
//! log-normal, which is what those of web services look like, and the expectation over them is a sum over strata of equal
//! probability, finer in the tail. Kleinrock 1975 has the derivations; Whitt 1993 how good the approximation is.

use statrs::distribution::{ContinuousCDF, Normal};

/// Erlang B: the probability that all of `servers` are busy when nobody waits, at an offered load of `erlangs` ≥ 0.
pub fn erlang_b(servers: u32, erlangs: f64) -> f64 {
    (1..=servers).fold(1.0, |b, k| erlangs * b / (f64::from(k) + erlangs * b))
}

/// Erlang C: the probability that an arrival waits, with `servers` and an offered load of `erlangs`; 1 when saturated.
pub fn erlang_c(servers: u32, erlangs: f64) -> f64 {
    if erlangs >= f64::from(servers) {
        return 1.0;
    }
    let blocking = erlang_b(servers, erlangs);
    blocking / (1.0 - erlangs / f64::from(servers) * (1.0 - blocking))
}

/// The rule of square-root staffing, `a + β√a` servers, rounded up (Halfin & Whitt 1981); β is 1 to 2 in practice.
pub fn square_root_staffing(erlangs: f64, beta: f64) -> u32 {
    (erlangs + beta * erlangs.sqrt() - 1e-9).ceil().max(0.0) as u32
}

/// The Universal Scalability Law (Gunther 1993): `X(n) = γn / (1 + σ(n−1) + κn(n−1))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scalability {
    /// σ: the share of work that instances queue for, 0..1.
    pub contention: f64,
    /// κ: what keeping two instances in step costs, ≥ 0.
    pub coherency: f64,
}

impl Scalability {
    /// What `n` instances do, in units of what one does.
    pub fn speedup(&self, n: u32) -> f64 {
        let n = f64::from(n);
        n / (1.0 + self.contention * (n - 1.0) + self.coherency * n * (n - 1.0))
    }

    /// n* = √((1 − σ)/κ): beyond it more instances do less; infinite if κ is 0.
    pub fn peak(&self) -> f64 {
        ((1.0 - self.contention) / self.coherency).max(1.0).sqrt()
    }
}

/// Strata of service times up to the 95th percentile, and beyond.
const STRATA: [(f64, f64, u32); 2] = [(0.0, 0.95, 24), (0.95, 1.0, 24)];

/// A pool of servers in front of which requests wait in one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    service_scv: f64,
    /// Service times relative to their mean, with their probabilities.
    strata: Vec<(f64, f64)>,
}

impl Pool {
    /// Servers whose service times have this coefficient of variation, ≥ 0: 1 is exponential, 0 constant.
    pub fn new(service_cv: f64) -> Pool {
        let cv = if service_cv.is_finite() { service_cv.max(0.0) } else { 1.0 };
        let sigma = libm::log(1.0 + cv * cv).sqrt();
        let normal = Normal::standard();
        let mut strata = Vec::new();
        for (from, to, n) in STRATA {
            for i in 0..n {
                let width = (to - from) / f64::from(n);
                let z = normal.inverse_cdf(from + width * (f64::from(i) + 0.5));
                strata.push((libm::exp(sigma * z - sigma * sigma / 2.0), width));
            }
        }
        let mean: f64 = strata.iter().map(|(x, p)| x * p).sum();
        strata.iter_mut().for_each(|(x, _)| *x /= mean);
        Pool { service_scv: cv * cv, strata }
    }

    /// The probability of a wait, and the rate at which longer ones are rarer \[1/s\] (Allen-Cunneen); `None`: more comes than is
    /// served.
    fn wait(&self, load: Load) -> Option<(f64, f64)> {
        let Load { rps, service, arrival_scv, servers } = load;
        let spare = f64::from(servers) / service - rps;
        let decay = 2.0 * spare / (arrival_scv + self.service_scv).max(1e-9);
        (spare > 0.0).then(|| (erlang_c(servers, rps * service), decay))
    }

    /// The probability that a request waits longer than `t` \[s\].
    pub fn waits_beyond(&self, t: f64, load: Load) -> f64 {
        self.wait(load).map_or(1.0, |(waits, decay)| waits * libm::exp(-decay * t.max(0.0)))
    }

    /// The probability that a request takes longer than `t` \[s\], its wait and its service together.
    pub fn takes_beyond(&self, t: f64, load: Load) -> f64 {
        let Some((waits, decay)) = self.wait(load) else { return 1.0 };
        let beyond = |&(x, p): &(f64, f64)| match t - x * load.service {
            left if left <= 0.0 => p,
            left => p * waits * libm::exp(-decay * left),
        };
        self.strata.iter().map(beyond).sum()
    }

    /// The probability that service alone takes longer than `t` \[s\]: no number of servers gets below it.
    pub fn serves_beyond(&self, t: f64, service: f64) -> f64 {
        self.strata.iter().filter(|(x, _)| x * service >= t).map(|(_, p)| p).sum()
    }
}

/// A load on a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Arrivals, λ \[1/s\].
    pub rps: f64,
    /// Mean time in service, 1/μ \[s\], > 0.
    pub service: f64,
    /// Squared coefficient of variation of the times between arrivals, ca²: 1 for Poisson arrivals.
    pub arrival_scv: f64,
    /// Servers, c.
    pub servers: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() <= within, "{a} is not {b}");
    }

    fn load(servers: u32) -> Load {
        Load { rps: 80.0, service: 0.1, arrival_scv: 1.0, servers }
    }

    #[test]
    fn erlang_formulas_agree_with_worked_examples() {
        close(erlang_b(10, 8.0), 0.121_661, 1e-6);
        let pool = Pool::new(1.0);
        for (servers, waits, beyond) in
            [(10, 0.409_180, 0.055_377), (9, 0.653_327, 0.240_346), (11, 0.244_958, 0.012_196)]
        {
            close(erlang_c(servers, 8.0), waits, 1e-6);
            close(pool.waits_beyond(0.1, load(servers)), beyond, 1e-6);
        }
        close(erlang_c(10, 8.0) / (100.0 - 80.0), 0.020_459, 1e-6);
        close(erlang_c(1000, 990.0), 0.659_080_421_880_854, 1e-9);
        assert_eq!(erlang_c(3, 3.0), 1.0);
        assert_eq!(square_root_staffing(100.0, 1.0), 110);
    }

    #[test]
    fn throughput_has_a_peak_beyond_which_more_is_less() {
        let usl = Scalability { contention: 0.02, coherency: 0.0005 };
        for (n, throughput) in [(10, 816.327), (44, 1568.068), (100, 1261.034)] {
            close(100.0 * usl.speedup(n), throughput, 1e-3);
        }
        close(usl.peak(), 44.27, 0.01);
        assert_eq!(Scalability { contention: 0.1, coherency: 0.0 }.peak(), f64::INFINITY);
    }

    /// M/M/1: the response time is exponential with rate μ − λ. M/D/1 at low load: hardly anything but the service.
    #[test]
    fn response_times_agree_with_closed_forms() {
        let one = Load { rps: 5.0, service: 0.1, arrival_scv: 1.0, servers: 1 };
        for t in [0.1, 0.3, 0.6] {
            // Log-normal service times of the same mean and variance, not exponential ones: near, not equal.
            close(Pool::new(1.0).takes_beyond(t, one), libm::exp(-5.0 * t), 0.08);
        }
        let constant = Pool::new(0.0);
        let light = Load { rps: 0.01, ..one };
        close(constant.takes_beyond(0.05, light), 1.0, 1e-9);
        close(constant.takes_beyond(0.11, light), 0.0, 2e-3);
        close(constant.serves_beyond(0.1, 0.1), 1.0, 1e-9);
        close(constant.serves_beyond(0.11, 0.1), 0.0, 0.0);
        assert_eq!(constant.takes_beyond(9.0, Load { rps: 10.0, ..one }), 1.0);
    }

    #[test]
    fn variance_makes_waits_longer() {
        let beyond =
            |service_cv, arrival_scv| Pool::new(service_cv).waits_beyond(0.1, Load { arrival_scv, ..load(10) });
        assert!(beyond(0.0, 1.0) < beyond(1.0, 1.0) && beyond(1.0, 1.0) < beyond(1.0, 4.0));
        let mean: f64 = Pool::new(2.0).strata.iter().map(|(x, p)| x * p).sum();
        close(mean, 1.0, 1e-12);
    }
}
