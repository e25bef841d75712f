//! Rate over time: how many requests a second the plan calls for at each moment.
//!
//! A plan is a chain of [`Segment`]s, each with a curve, times whatever modifies it: keyed [`Noise`] and the
//! surges of [`Overlay`]s. Attacks are not in the product; they add requests of their own.
//!
//! Besides its value, every curve can bound itself: [`Bounds`] names a moment up to which the curve stays
//! between `low` and `high`, and is smooth and monotone where it is not constant. Products of bounds are bounds
//! of products, which is all that thinning and pacing need (`arrivals.rs`).
//!
//! What is absent: chance in time. Noise is a function of (seed, slot), so the same moment has the same rate
//! whoever asks, and how often.

use std::f64::consts::TAU;

use crate::rng::{Dice, Stream, open_unit};
use crate::units::{Span, Time};

/// The highest rate of any curve [1/s]: one request per nanosecond, the resolution of time.
pub const MAX_RPS: f64 = 1e9;

const DAY: u64 = 86_400_000_000_000;
/// A period of a sine is bounded in this many slices: within one, the rate moves by at most 1.2 % of the
/// amplitude, so that 99 in 100 candidates are accepted without a cosine, and a year has 190,000 slices.
const SINE_SLICES: u64 = 512;
/// Slices of a linear or exponential flank, and of each half-life of a decay.
const FLANK_SLICES: u64 = 32;
/// After as many half-lives, a decay is below the resolution of `f64`, and over.
const HALF_LIVES: u64 = 60;

/// A stretch of a plan with one curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The curve.
    pub kind: Kind,
    /// How long it lasts (`for` in scenarios); `None`: for ever, which only the last can.
    pub lasts: Option<Span>,
}

/// The curves a segment can have. Rates are in requests per second; times count from the start of the segment,
/// except the phase of [`Kind::Diurnal`] and [`Kind::Weekly`], which counts from the start of the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// The same rate throughout.
    Constant {
        /// The rate \[1/s\].
        rate: f64,
    },
    /// A straight line over the whole segment, which must therefore have an end.
    Ramp {
        /// The rate at the start \[1/s\].
        from: f64,
        /// The rate at the end \[1/s\].
        to: f64,
    },
    /// One rate, and then another.
    Step {
        /// The rate before `at` \[1/s\].
        from: f64,
        /// The rate from `at` on \[1/s\].
        to: f64,
        /// When it changes.
        at: Span,
    },
    /// A trapezoid on a base: a straight rise, a plateau, a straight fall.
    Spike {
        /// The rate outside the spike \[1/s\].
        base: f64,
        /// The plateau as a multiple of the base.
        magnitude: f64,
        /// When the rise begins.
        at: Span,
        /// How long it rises.
        rise: Span,
        /// How long it stays at the plateau.
        hold: Span,
        /// How long it falls.
        fall: Span,
    },
    /// A cosine: `mean · (1 + amplitude · cos(2π (t − peak_at) / period))`, never below zero.
    Diurnal {
        /// The mean rate \[1/s\].
        mean: f64,
        /// The swing as a share of the mean, usually 0..1; above 1 the night is cut off at zero.
        amplitude: f64,
        /// Time from peak to peak, usually 24 h.
        period: Span,
        /// When the rate peaks, from the start of the run.
        peak_at: Span,
    },
    /// A day as of [`Kind::Diurnal`] with a period of 24 h, times a factor for each day of the week.
    Weekly {
        /// The mean rate of a day whose factor is 1 \[1/s\].
        mean: f64,
        /// Factors for Monday to Sunday; the run starts on Monday at 00:00.
        days: [f64; 7],
        /// The daily swing as a share of the day's mean.
        amplitude: f64,
        /// When in the day the rate peaks.
        peak_at: Span,
    },
    /// The rate grows exponentially to a multiple of the base, then the excess halves again and again
    /// (Ari et al., "Managing Flash Crowds on the Internet", MASCOTS 2003).
    FlashCrowd {
        /// The rate outside the flash crowd \[1/s\].
        base: f64,
        /// The peak as a multiple of the base, above 0.
        magnitude: f64,
        /// When the growth begins.
        at: Span,
        /// How long it grows: the rate is `base · magnitude^(elapsed / rise)`.
        rise: Span,
        /// Half-life of the excess after the peak.
        decay: Span,
    },
}

/// Multiplicative noise: one log-normal factor of mean 1 per slot, `exp(σ z − σ²/2)` with z ~ N(0, 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation of the factor's logarithm, ≥ 0.
    pub sigma: f64,
    /// How long a factor holds.
    pub slot: Span,
}

/// Something laid over the shape, at a time of the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// Multiplies the rate by a trapezoid.
    Spike {
        /// When the rise begins, from the start of the run.
        at: Span,
        /// The plateau as a multiple of the rate below.
        magnitude: f64,
        /// How long it rises.
        rise: Span,
        /// How long it stays.
        hold: Span,
        /// How long it falls.
        fall: Span,
    },
    /// Multiplies the rate by exponential growth and a decay.
    FlashCrowd {
        /// When the growth begins, from the start of the run.
        at: Span,
        /// The peak as a multiple of the rate below, above 0.
        magnitude: f64,
        /// How long it grows.
        rise: Span,
        /// Half-life of the excess.
        decay: Span,
    },
    /// Adds requests of attackers.
    Attack(Attack),
}

/// Requests that come on top of the plan, from clients that are not its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attack {
    /// When it begins, from the start of the run.
    pub at: Span,
    /// The added rate \[1/s\].
    pub rate: f64,
    /// How long it lasts (`for` in scenarios).
    pub lasts: Span,
    /// Distinct clients it comes from, at least 1.
    pub clients: u32,
    /// Number of the endpoint it asks for; `None`: the usual mix.
    pub endpoint: Option<u16>,
}

/// Up to when a curve stays between two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The bounds hold from the moment asked about until just before this one.
    pub until: Time,
    /// The curve is nowhere below.
    pub low: f64,
    /// The curve is nowhere above. Equal to `low` exactly if the curve is constant.
    pub high: f64,
}

impl Bounds {
    pub(crate) fn constant(until: u64, value: f64) -> Bounds {
        Bounds { until: Time(until), low: value, high: value }
    }

    /// Bounds of a curve that is monotone at the whole nanoseconds of `from..until`.
    fn monotone(from: u64, until: u64, value: impl Fn(u64) -> f64) -> Bounds {
        let (a, b) = (value(from), value(until.saturating_sub(1).max(from)));
        if a == b {
            return Bounds::constant(until, a);
        }
        // The margin covers the rounding of values in between.
        Bounds { until: Time(until), low: a.min(b) * (1.0 - 1e-12), high: a.max(b) * (1.0 + 1e-12) }
    }

    pub(crate) fn times(self, other: Bounds) -> Bounds {
        Bounds { until: self.until.min(other.until), low: self.low * other.low, high: self.high * other.high }
    }
}

/// The rate of a plan at every moment.
#[derive(Clone, Debug)]
pub struct Rate {
    segments: Vec<Placed>,
    noise: Option<(Noise, Dice)>,
    surges: Vec<Surge>,
    attacks: Vec<Attack>,
    /// How far into the plan the run begins \[ns\].
    skip: u64,
}

/// A segment at its place in the run, `[start, end)` \[ns\].
#[derive(Clone, Debug)]
struct Placed {
    start: u64,
    end: u64,
    curve: Curve,
}

/// A curve ready to be evaluated; `x` is nanoseconds since the segment's start, `t` since the run's.
#[derive(Clone, Debug)]
enum Curve {
    Constant(f64),
    Ramp { from: f64, to: f64, lasts: u64 },
    Step { from: f64, to: f64, at: u64 },
    Surge { base: f64, surge: Surge },
    Sine { mean: f64, amplitude: f64, period: u64, peak_at: u64, days: [f64; 7] },
}

/// A factor that is 1 outside its time.
#[derive(Clone, Debug)]
enum Surge {
    /// Corners of the trapezoid: rise from `a` to `b`, fall from `c` to `d`.
    Spike { a: u64, b: u64, c: u64, d: u64, magnitude: f64 },
    /// Growth from `a` to `b`, then half-lives of `decay`.
    Flash { a: u64, b: u64, decay: u64, magnitude: f64 },
}

impl Rate {
    /// The rate of `segments`, modified by `noise` (keyed by `seed`) and `overlays`.
    pub fn new(segments: &[Segment], noise: Option<Noise>, overlays: &[Overlay], seed: u64) -> Rate {
        let mut start = 0u64;
        let mut placed = Vec::with_capacity(segments.len());
        for segment in segments {
            let end = segment.lasts.map_or(u64::MAX, |lasts| start.saturating_add(lasts.0));
            placed.push(Placed { start, end, curve: Curve::of(segment) });
            start = end;
        }
        let noise = noise.filter(|n| n.sigma > 0.0 && n.sigma.is_finite() && !n.slot.is_zero());
        Rate {
            segments: placed,
            noise: noise.map(|n| (n, Dice::new(seed, Stream::Noise))),
            surges: overlays.iter().filter_map(Surge::of_overlay).collect(),
            attacks: overlays
                .iter()
                .filter_map(|o| if let Overlay::Attack(attack) = o { Some(*attack) } else { None })
                .collect(),
            skip: 0,
        }
    }

    /// The same plan, entered `skip` after its start: the run's time 0 is there.
    pub fn entered_at(self, skip: Span) -> Rate {
        Rate { skip: skip.0, ..self }
    }

    /// The plan's time at time `t` of the run.
    fn plan_time(&self, t: Time) -> Time {
        Time(t.0.saturating_add(self.skip))
    }

    /// Bounds in the run's time for bounds in the plan's.
    fn in_run_time(&self, bounds: Bounds) -> Bounds {
        let until = if bounds.until == Time::MAX { Time::MAX } else { Time(bounds.until.0 - self.skip) };
        Bounds { until, ..bounds }
    }

    /// Requests per second planned at `t`, attacks included.
    pub fn rps(&self, t: Time) -> f64 {
        let at = self.plan_time(t);
        let attacks = self.attacks.iter().filter(|a| a.at.0 <= at.0 && at.0 - a.at.0 < a.lasts.0);
        self.base(t) + attacks.map(|a| sane(a.rate)).sum::<f64>()
    }

    /// Requests per second at `t` without attacks.
    pub(crate) fn base(&self, t: Time) -> f64 {
        let at = self.plan_time(t).0;
        let shape = self.segment(at).map_or(0.0, |s| s.curve.value(at - s.start, at));
        (shape * self.factor(t)).min(MAX_RPS)
    }

    /// What noise and surges multiply the shape by at `t`.
    pub(crate) fn factor(&self, t: Time) -> f64 {
        let at = self.plan_time(t).0;
        let noise = self.noise.map_or(1.0, |(noise, dice)| noise.factor(dice, at / noise.slot.0));
        self.surges.iter().fold(noise, |product, surge| product * surge.value(at))
    }

    /// Bounds of the rate without attacks from `t` on.
    pub(crate) fn bounds(&self, t: Time) -> Bounds {
        let at = self.plan_time(t).0;
        let shape = match self.segment(at) {
            None => return Bounds::constant(u64::MAX, 0.0),
            Some(s) => {
                let bounds = s.curve.bounds(at - s.start, at, s.start);
                self.in_run_time(Bounds { until: bounds.until.min(Time(s.end)), ..bounds })
            }
        };
        // Nothing times anything is nothing: a dead stretch is not cut into slots of noise.
        if shape.high == 0.0 {
            return shape;
        }
        let all = shape.times(self.factor_bounds(t));
        Bounds { low: all.low.min(MAX_RPS), high: all.high.min(MAX_RPS), ..all }
    }

    /// Bounds of [`Rate::factor`] from `t` on.
    pub(crate) fn factor_bounds(&self, t: Time) -> Bounds {
        let at = self.plan_time(t).0;
        let noise = self.noise.map_or(Bounds::constant(u64::MAX, 1.0), |(noise, dice)| {
            let slot = at / noise.slot.0;
            Bounds::constant((slot + 1).saturating_mul(noise.slot.0), noise.factor(dice, slot))
        });
        self.in_run_time(self.surges.iter().fold(noise, |product, surge| product.times(surge.bounds(at))))
    }

    /// A rate that is not exceeded from `t` to `t + h`, attacks included \[1/s\]; as tight as the curves' own bounds.
    pub fn max_over(&self, t: Time, h: Span) -> f64 {
        let end = t.saturating_add(h);
        let (plan_start, plan_end) = (self.plan_time(t).0, self.plan_time(end).0);
        let mut at = t;
        let mut highest = 0.0f64;
        loop {
            let bounds = self.bounds(at);
            highest = highest.max(bounds.high);
            if bounds.until > end || bounds.until == Time::MAX {
                break;
            }
            at = bounds.until;
        }
        let touches = |a: &&Attack| a.at.0 <= plan_end && plan_start < a.at.0.saturating_add(a.lasts.0);
        highest + self.attacks.iter().filter(touches).map(|a| sane(a.rate)).sum::<f64>()
    }

    fn segment(&self, t: u64) -> Option<&Placed> {
        self.segments.get(self.segments.partition_point(|s| s.end <= t))
    }
}

/// Not negative, not NaN, at most [`MAX_RPS`].
pub(crate) fn sane(rate: f64) -> f64 {
    if rate > 0.0 { rate.min(MAX_RPS) } else { 0.0 }
}

/// The end of the slice that holds `x` when `[start, end)` is cut into `n` equal ones.
fn slice_end(x: u64, start: u64, end: u64, n: u64) -> u64 {
    let width = ((end - start) / n).max(1);
    start.saturating_add(((x - start) / width + 1).saturating_mul(width)).min(end)
}

fn blend(from: f64, to: f64, part: u64, whole: u64) -> f64 {
    from + (to - from) * (part as f64 / whole as f64)
}

impl Curve {
    fn of(segment: &Segment) -> Curve {
        match segment.kind {
            Kind::Constant { rate } => Curve::Constant(sane(rate)),
            Kind::Ramp { from, to } => match segment.lasts {
                Some(lasts) if !lasts.is_zero() => Curve::Ramp { from: sane(from), to: sane(to), lasts: lasts.0 },
                _ => Curve::Constant(sane(from)),
            },
            Kind::Step { from, to, at } => Curve::Step { from: sane(from), to: sane(to), at: at.0 },
            Kind::Spike { base, magnitude, at, rise, hold, fall } => {
                Curve::Surge { base: sane(base), surge: Surge::spike(at, magnitude, rise, hold, fall) }
            }
            Kind::FlashCrowd { base, magnitude, at, rise, decay } => {
                Curve::Surge { base: sane(base), surge: Surge::flash(at, magnitude, rise, decay) }
            }
            Kind::Diurnal { mean, amplitude, period, peak_at } => {
                Curve::sine(mean, amplitude, period.0, peak_at.0, [1.0; 7])
            }
            Kind::Weekly { mean, days, amplitude, peak_at } => {
                Curve::sine(mean, amplitude, DAY, peak_at.0, days.map(sane))
            }
        }
    }

    fn sine(mean: f64, amplitude: f64, period: u64, peak_at: u64, days: [f64; 7]) -> Curve {
        let mean = sane(mean);
        let swings = amplitude.is_finite() && amplitude != 0.0 && period >= SINE_SLICES;
        if !swings && days == [1.0; 7] {
            return Curve::Constant(mean);
        }
        let (amplitude, period) = if swings { (amplitude, period) } else { (0.0, DAY) };
        Curve::Sine { mean, amplitude, period, peak_at: peak_at % period, days }
    }

    fn value(&self, x: u64, t: u64) -> f64 {
        match *self {
            Curve::Constant(rate) => rate,
            Curve::Ramp { from, to, lasts } => blend(from, to, x, lasts),
            Curve::Step { from, to, at } => {
                if x < at {
                    from
                } else {
                    to
                }
            }
            Curve::Surge { base, ref surge } => sane(base * surge.value(x)),
            Curve::Sine { mean, amplitude, period, peak_at, days } => {
                let phase = (t % period + period - peak_at) % period;
                let wave = 1.0 + amplitude * libm::cos(TAU * (phase as f64 / period as f64));
                sane(mean * days[(t / DAY % 7) as usize] * wave)
            }
        }
    }

    /// Bounds from `x` on; the answer's `until` counts from the start of the run.
    fn bounds(&self, x: u64, t: u64, start: u64) -> Bounds {
        match *self {
            Curve::Constant(rate) => Bounds::constant(u64::MAX, rate),
            Curve::Step { from, at, .. } if x < at => Bounds::constant(start.saturating_add(at), from),
            Curve::Step { to, .. } => Bounds::constant(u64::MAX, to),
            Curve::Ramp { from, to, lasts } => {
                let until = slice_end(x, 0, lasts, FLANK_SLICES);
                let bounds = Bounds::monotone(x, until, |x| blend(from, to, x, lasts));
                Bounds { until: Time(start.saturating_add(until)), ..bounds }
            }
            Curve::Surge { base, ref surge } => {
                let bounds = surge.bounds(x);
                Bounds {
                    until: Time(start.saturating_add(bounds.until.0)),
                    low: sane(base * bounds.low),
                    high: sane(base * bounds.high),
                }
            }
            Curve::Sine { period, peak_at, amplitude, .. } => {
                let midnight = (t / DAY + 1).saturating_mul(DAY);
                if amplitude == 0.0 {
                    return Bounds::constant(midnight, self.value(x, t));
                }
                // Slices are counted from the peak and even in number, so that peak and trough are ends of slices.
                let phase = (t % period + period - peak_at) % period;
                let edge = |i: u64| (u128::from(i) * u128::from(period)).div_ceil(u128::from(SINE_SLICES)) as u64;
                let slice = (u128::from(phase) * u128::from(SINE_SLICES) / u128::from(period)) as u64;
                let until = t.saturating_add(edge(slice + 1) - phase).min(midnight);
                Bounds::monotone(t, until, |t| self.value(0, t))
            }
        }
    }
}

impl Surge {
    fn spike(at: Span, magnitude: f64, rise: Span, hold: Span, fall: Span) -> Surge {
        let b = at.0.saturating_add(rise.0);
        let c = b.saturating_add(hold.0);
        Surge::Spike { a: at.0, b, c, d: c.saturating_add(fall.0), magnitude: sane(magnitude) }
    }

    fn flash(at: Span, magnitude: f64, rise: Span, decay: Span) -> Surge {
        // A power of zero would jump to zero at once; a millionth is as good as nothing.
        let magnitude = sane(magnitude).max(1e-6);
        Surge::Flash { a: at.0, b: at.0.saturating_add(rise.0), decay: decay.0, magnitude }
    }

    fn of_overlay(overlay: &Overlay) -> Option<Surge> {
        match *overlay {
            Overlay::Spike { at, magnitude, rise, hold, fall } => Some(Surge::spike(at, magnitude, rise, hold, fall)),
            Overlay::FlashCrowd { at, magnitude, rise, decay } => Some(Surge::flash(at, magnitude, rise, decay)),
            Overlay::Attack(_) => None,
        }
    }

    fn value(&self, x: u64) -> f64 {
        match *self {
            Surge::Spike { a, b, c, d, magnitude } => match x {
                x if x < a || x >= d => 1.0,
                x if x < b => blend(1.0, magnitude, x - a, b - a),
                x if x < c => magnitude,
                x => blend(magnitude, 1.0, x - c, d - c),
            },
            Surge::Flash { a, b, decay, magnitude } => match x {
                x if x < a || x >= Surge::flash_end(b, decay) => 1.0,
                x if x < b => libm::pow(magnitude, (x - a) as f64 / (b - a) as f64),
                x => 1.0 + (magnitude - 1.0) * libm::exp2(-((x - b) as f64 / decay as f64)),
            },
        }
    }

    fn bounds(&self, x: u64) -> Bounds {
        let flank = |start, end, n| Bounds::monotone(x, slice_end(x, start, end, n), |x| self.value(x));
        match *self {
            Surge::Spike { a, b, c, d, magnitude } => match x {
                x if x < a => Bounds::constant(a, 1.0),
                x if x >= d => Bounds::constant(u64::MAX, 1.0),
                x if x < b => flank(a, b, FLANK_SLICES),
                x if x < c => Bounds::constant(c, magnitude),
                _ => flank(c, d, FLANK_SLICES),
            },
            Surge::Flash { a, b, decay, .. } => match x {
                x if x < a => Bounds::constant(a, 1.0),
                x if x < b => flank(a, b, FLANK_SLICES),
                x if x >= Surge::flash_end(b, decay) => Bounds::constant(u64::MAX, 1.0),
                _ => flank(b, Surge::flash_end(b, decay), HALF_LIVES * FLANK_SLICES),
            },
        }
    }

    fn flash_end(b: u64, decay: u64) -> u64 {
        b.saturating_add(decay.saturating_mul(HALF_LIVES))
    }
}

impl Noise {
    fn factor(self, dice: Dice, slot: u64) -> f64 {
        // Box and Muller (1958); two numbers per slot are cheaper to reason about than a ziggurat here.
        let mut draws = dice.draws(slot);
        let (u, v) = (open_unit(draws.bits()), open_unit(draws.bits()));
        let z = libm::sqrt(-2.0 * libm::log(u)) * libm::cos(TAU * v);
        libm::exp(self.sigma * z - self.sigma * self.sigma / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: f64) -> Span {
        Span::from_secs_f64(seconds)
    }

    fn rate(segments: &[(Kind, Option<f64>)], noise: Option<Noise>, overlays: &[Overlay]) -> Rate {
        let segments: Vec<Segment> =
            segments.iter().map(|(kind, lasts)| Segment { kind: kind.clone(), lasts: lasts.map(s) }).collect();
        Rate::new(&segments, noise, overlays, 7)
    }

    fn spike(at: f64) -> Overlay {
        Overlay::Spike { at: s(at), magnitude: 3.0, rise: s(10.0), hold: s(20.0), fall: s(40.0) }
    }

    #[test]
    fn every_curve_has_the_rate_its_formula_says() {
        use Kind::*;
        let flash = FlashCrowd { base: 10.0, magnitude: 16.0, at: s(100.0), rise: s(40.0), decay: s(60.0) };
        let day = Diurnal { mean: 300.0, amplitude: 0.6, period: s(86_400.0), peak_at: s(50_400.0) };
        let week =
            Weekly { mean: 100.0, days: [1.0, 1.1, 1.2, 1.3, 1.4, 0.5, 0.0], amplitude: 0.5, peak_at: s(43_200.0) };
        let base_spike =
            Spike { base: 50.0, magnitude: 4.0, at: s(10.0), rise: s(10.0), hold: s(5.0), fall: s(20.0) };
        // Name, rate, and its values at moments [s].
        type Case<'a> = (&'a str, Rate, &'a [(f64, f64)]);
        let cases: [Case<'_>; 9] = [
            ("constant", rate(&[(Constant { rate: 5.0 }, None)], None, &[]), &[(0.0, 5.0), (1e9, 5.0)]),
            (
                "ramp, then nothing",
                rate(&[(Ramp { from: 200.0, to: 1500.0 }, Some(60.0))], None, &[]),
                &[(0.0, 200.0), (30.0, 850.0), (59.999_999_999, 1500.0), (60.0, 0.0), (1e6, 0.0)],
            ),
            (
                "segments follow each other",
                rate(
                    &[(Constant { rate: 1.0 }, Some(10.0)), (Step { from: 2.0, to: 3.0, at: s(5.0) }, None)],
                    None,
                    &[],
                ),
                &[(9.9, 1.0), (10.0, 2.0), (14.9, 2.0), (15.0, 3.0)],
            ),
            (
                "spike",
                rate(&[(base_spike, None)], None, &[]),
                &[(9.0, 50.0), (15.0, 125.0), (20.0, 200.0), (25.0, 200.0), (35.0, 125.0), (45.0, 50.0)],
            ),
            (
                "flash crowd",
                rate(&[(flash, None)], None, &[]),
                &[(99.0, 10.0), (110.0, 20.0), (120.0, 40.0), (140.0, 160.0), (200.0, 85.0), (1e5, 10.0)],
            ),
            (
                "diurnal: phase from the start of the run, not of the segment",
                rate(&[(Constant { rate: 0.0 }, Some(3600.0)), (day, None)], None, &[]),
                &[(50_400.0, 480.0), (7_200.0, 120.0), (28_800.0, 300.0), (136_800.0, 480.0)],
            ),
            (
                "weekly",
                rate(&[(week, None)], None, &[]),
                &[(43_200.0, 150.0), (86_400.0, 55.0), (5.5 * 86_400.0, 75.0), (6.5 * 86_400.0, 0.0)],
            ),
            (
                "overlays multiply, attacks add",
                rate(
                    &[(Constant { rate: 10.0 }, None)],
                    None,
                    &[
                        spike(100.0),
                        Overlay::FlashCrowd { at: s(110.0), magnitude: 2.0, rise: s(0.0), decay: s(10.0) },
                        Overlay::Attack(Attack {
                            at: s(105.0),
                            rate: 7.0,
                            lasts: s(5.0),
                            clients: 2,
                            endpoint: None,
                        }),
                    ],
                ),
                &[(0.0, 10.0), (105.0, 27.0), (109.9, 36.8), (110.0, 60.0), (120.0, 45.0)],
            ),
            (
                "nonsense is no rate",
                rate(&[(Constant { rate: f64::NAN }, Some(1.0)), (Constant { rate: -4.0 }, None)], None, &[]),
                &[(0.0, 0.0), (2.0, 0.0)],
            ),
        ];
        for (name, rate, points) in cases {
            for &(t, expected) in points {
                let found = rate.rps(Time::from_secs_f64(t));
                assert!(
                    (found - expected).abs() < 1e-6 * expected.max(1.0),
                    "{name} at {t} s: {found}, not {expected}"
                );
            }
        }
    }

    /// The mean of n log-normal factors of mean 1 has sd √((e^{σ²} − 1)/n); 4 of them either side.
    #[test]
    fn noise_has_mean_one_and_belongs_to_its_slot() {
        let noise = Noise { sigma: 0.5, slot: s(10.0) };
        let rate = rate(&[(Kind::Constant { rate: 1.0 }, None)], Some(noise), &[]);
        let n = 20_000;
        let factors: Vec<f64> = (0..n).map(|i| rate.rps(Time::from_secs_f64(10.0 * f64::from(i)))).collect();
        let mean = factors.iter().sum::<f64>() / f64::from(n);
        let sd = ((0.25f64.exp() - 1.0) / f64::from(n)).sqrt();
        assert!((mean - 1.0).abs() < 4.0 * sd, "mean {mean}");
        assert_eq!(rate.rps(Time::from_secs_f64(19.9)), factors[1]);
        assert_ne!(factors[1], factors[2]);
    }

    fn any_span() -> impl Strategy<Value = Span> {
        prop_oneof![Just(Span(0)), (0u64..1000).prop_map(Span), (0u64..200).prop_map(Span::from_secs)]
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        let r = 0.0f64..500.0;
        let m = 0.0f64..20.0;
        prop_oneof![
            r.clone().prop_map(|rate| Kind::Constant { rate }),
            (r.clone(), r.clone()).prop_map(|(from, to)| Kind::Ramp { from, to }),
            (r.clone(), r.clone(), any_span()).prop_map(|(from, to, at)| Kind::Step { from, to, at }),
            (r.clone(), m.clone(), any_span(), any_span(), any_span(), any_span()).prop_map(
                |(base, magnitude, at, rise, hold, fall)| Kind::Spike { base, magnitude, at, rise, hold, fall }
            ),
            (r.clone(), 0.0f64..2.0, any_span(), any_span())
                .prop_map(|(mean, amplitude, period, peak_at)| Kind::Diurnal { mean, amplitude, period, peak_at }),
            (r.clone(), proptest::array::uniform7(0.0f64..3.0), 0.0f64..1.5, any_span())
                .prop_map(|(mean, days, amplitude, peak_at)| Kind::Weekly { mean, days, amplitude, peak_at }),
            (r, m, any_span(), any_span(), any_span()).prop_map(|(base, magnitude, at, rise, decay)| {
                Kind::FlashCrowd { base, magnitude, at, rise, decay }
            }),
        ]
    }

    proptest! {
        /// Bounds move on, and hold everywhere inside; a plan entered late is the same plan.
        #[test]
        fn bounds_hold_for_every_curve(
            kinds in proptest::collection::vec((any_kind(), any_span()), 1..4),
            at in any_span(),
            noisy in any::<bool>(),
            skip in any_span(),
            points in proptest::collection::vec(0.0f64..1.0, 8),
        ) {
            let segments: Vec<Segment> =
                kinds.into_iter().map(|(kind, lasts)| Segment { kind, lasts: Some(lasts) }).collect();
            let noise = noisy.then_some(Noise { sigma: 0.3, slot: Span::from_millis(700) });
            let overlay = Overlay::Spike { at, magnitude: 2.5, rise: at, hold: Span(5), fall: Span::from_secs(3) };
            let whole = Rate::new(&segments, noise, &[overlay], 3);
            let rate = whole.clone().entered_at(skip);
            let mut t = Time::ZERO;
            for _ in 0..400 {
                let bounds = rate.bounds(t);
                prop_assert!(bounds.until > t);
                if bounds.until == Time::MAX {
                    break;
                }
                for p in &points {
                    let inside = Time(t.0 + ((bounds.until.0 - t.0) as f64 * p) as u64);
                    let value = rate.base(inside);
                    prop_assert!(bounds.low <= value && value <= bounds.high, "{value} at {inside:?}, {bounds:?}");
                    prop_assert_eq!(value, whole.base(inside.saturating_add(skip)));
                }
                t = bounds.until;
            }
        }
    }

    #[test]
    fn the_bound_over_a_stretch_covers_its_peak_and_little_more() {
        let day = Kind::Diurnal { mean: 300.0, amplitude: 0.6, period: s(86_400.0), peak_at: s(50_400.0) };
        let rate = rate(&[(day, None)], None, &[]);
        let night = rate.max_over(Time::from_secs_f64(7000.0), s(400.0));
        assert!((120.0..121.0).contains(&night), "{night}");
        let all = rate.max_over(Time::ZERO, s(86_400.0));
        assert!((480.0..480.001).contains(&all), "{all}");
    }
}
