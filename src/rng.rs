//! Random numbers that depend on what they are for, never on who asked first.
//!
//! Every draw is a function of (seed, [`Stream`], index): request 1,234 has the same arrival gap, client and
//! demand whatever the policy does. Comparing two policies on one seed then compares the policies, not the dice
//! (common random numbers; Law, *Simulation Modeling and Analysis*, ch. 11).
//!
//! The generator is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) used as a counter: the state for an index is
//! `key(seed, stream) + index · γ`, its output the finalizer of that state. It passes BigCrush, costs two
//! multiplications, and needs no state besides the key.
//!
//! What is absent: a clock, an operating-system generator, a thread-local one. `cli` picks a seed if none is given.

use std::convert::Infallible;

use rand::rand_core::TryRng;

/// What a random number is for. Streams never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Gap before an arrival; index: candidate arrival.
    Arrival = 1,
    /// Whether a candidate arrival survives thinning; index: candidate arrival.
    Thinning,
    /// State changes of a Markov-modulated source; index: state number.
    Modulation,
    /// Multiplicative noise on a rate; index: slot.
    Noise,
    /// Which client asks; index: request.
    Client,
    /// Region of a client; index: client.
    Region,
    /// Which endpoint is asked for; index: request.
    Endpoint,
    /// Service demand; index: request.
    Demand,
    /// Whether the service fails; index: request, further draws: attempt.
    Failure,
    /// Number of dependency calls and their demands; index: request.
    Dependency,
    /// Think time of closed-loop users; index: user × 2³² + turn.
    Think,
    /// Jitter of retry back-off; index: request, further draws: attempt.
    RetryJitter,
    /// Provisioning delay; index: launch ordinal.
    Boot,
    /// Random faults; index: fault, further draws: occurrence.
    Fault,
    /// Balancer's dice; index: request, further draws: attempt.
    Balancer,
    /// Jitter of health checks; index: instance, further draws: check.
    HealthJitter,
    /// Jitter of a breaker's open interval; index: scope, further draws: opens.
    BreakerJitter,
    /// Where inside its second or step a recorded request falls; index: record.
    Spread,
    /// Seeds of replications; index: replication.
    Replication,
    /// Shifts of a tuner's first points; index: setting.
    TuneShift,
    /// Children of a tuner's local search; index: generation × 2¹⁶ + child, further draws: setting.
    TuneLocal,
    /// Candidates of a tuner's random search; index: candidate, further draws: setting.
    TuneRandom,
    /// Seeds that only a tuner's confirmation uses; index: run.
    TuneFresh,
    /// Which of the requests that stand for others do so once more; index: moment.
    Echo,
    /// What parameters of a request are; index: request, a draw for each.
    Parameter,
    /// Points that a tuner's Parzen estimators draw; index: candidate, further draws: setting × 48 + draw.
    TuneParzen,
}

/// The weyl constant of SplitMix64: 2⁶⁴ / φ, odd.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of SplitMix64: a bijection on 64 bits that avalanches.
#[inline]
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The numbers of one stream of one seed, addressable by index.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    key: u64,
}

impl Dice {
    /// The dice of `stream` under `seed`.
    pub fn new(seed: u64, stream: Stream) -> Dice {
        Dice { key: mix(mix(seed ^ 0x5741_5645_5441_4E4B).wrapping_add((stream as u64).wrapping_mul(GAMMA))) }
    }

    /// The first 64 bits for `index`.
    #[inline]
    pub fn bits(self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_mul(GAMMA)))
    }

    /// The first number for `index`, uniform in the open interval (0, 1).
    #[inline]
    pub fn unit(self, index: u64) -> f64 {
        open_unit(self.bits(index))
    }

    /// As many numbers as a draw may need for `index`; its first equals [`Dice::bits`].
    #[inline]
    pub fn draws(self, index: u64) -> Draws {
        Draws {
            seed: self.key.wrapping_add(index.wrapping_mul(GAMMA)),
            state: index.wrapping_add(self.key.rotate_left(32)),
        }
    }

    /// Independent numbers for the `k`-th thing under `index` (an attempt of a request, say). `k` = 0 is not
    /// the same sequence as [`Dice::draws`].
    #[inline]
    pub fn sub(self, index: u64, k: u64) -> Draws {
        Dice { key: self.bits(index) ^ GAMMA }.draws(k)
    }
}

/// Maps 64 bits to the open interval (0, 1) with 52 bits of resolution.
#[inline]
pub fn open_unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
}

/// Maps 64 bits to `0..n` without modulo: `(bits × n) >> 64`. `n` = 0 gives 0.
#[inline]
pub fn pick(bits: u64, n: usize) -> usize {
    ((u128::from(bits) * n as u128) >> 64) as usize
}

/// The sequence of numbers behind one (seed, stream, index); a [`rand::Rng`], so `rand_distr` can use it.
#[derive(Clone, Debug)]
pub struct Draws {
    /// What the next number is mixed from; most draws need but one.
    seed: u64,
    state: u64,
}

impl Draws {
    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let bits = mix(self.seed);
        self.state = self.state.wrapping_add(GAMMA);
        self.seed = bits.wrapping_add(self.state);
        bits
    }

    /// The next number, uniform in the open interval (0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        open_unit(self.bits())
    }
}

impl TryRng for Draws {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.bits() >> 32) as u32)
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// The seed of replication `r` of a run with `seed`; replication 0 is not the seed itself, so that a scenario's
/// own seed never equals another scenario's replication by accident.
pub fn replication_seed(seed: u64, r: u32) -> u64 {
    Dice::new(seed, Stream::Replication).bits(u64::from(r))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_stream_and_index_only() {
        let a = Dice::new(7, Stream::Demand);
        assert_eq!(a.bits(1234), Dice::new(7, Stream::Demand).bits(1234));
        assert_ne!(a.bits(1234), a.bits(1235));
        assert_ne!(a.bits(1234), Dice::new(8, Stream::Demand).bits(1234));
        assert_ne!(a.bits(1234), Dice::new(7, Stream::Client).bits(1234));
        assert_eq!(a.draws(5).bits(), a.bits(5));
    }

    /// χ² over 256 cells of 2²⁰ draws has 255 degrees of freedom: mean 255, sd 22.6; 4 sd either side.
    #[test]
    fn neighbouring_indices_and_following_draws_are_uniform() {
        let dice = Dice::new(42, Stream::Arrival);
        let mut by_index = [0u32; 256];
        let mut by_draw = [0u32; 256];
        let mut draws = dice.draws(0);
        for i in 0..1u64 << 20 {
            by_index[pick(dice.bits(i), 256)] += 1;
            by_draw[pick(draws.bits(), 256)] += 1;
        }
        for cells in [by_index, by_draw] {
            let chi2: f64 = cells.iter().map(|&n| (f64::from(n) - 4096.0).powi(2) / 4096.0).sum();
            assert!((165.0..345.0).contains(&chi2), "χ² {chi2}");
        }
    }

    #[test]
    fn bits_are_mapped_to_a_range_without_modulo() {
        assert_eq!([pick(0, 5), pick(1 << 63, 5), pick(u64::MAX, 5)], [0, 2, 4], "LB-01 to LB-03");
        assert_eq!([pick(u64::MAX, 1), pick(u64::MAX, 0)], [0, 0]);
    }

    #[test]
    fn the_finalizer_is_that_of_splitmix64() {
        assert_eq!(mix(GAMMA), 0xe220_a839_7b1d_cdaf);
    }
}
