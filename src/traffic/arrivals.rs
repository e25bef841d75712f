//! From rate to instants: paced, Poisson, thinned, Markov-modulated; and recorded requests merged with them.
//!
//! **Poisson.** A unit-rate Poisson process is carried through the integral of a bound on the rate; each of its
//! points is a *candidate*, kept with probability rate/bound (Lewis and Shedler, "Simulation of Nonhomogeneous
//! Poisson Processes by Thinning", 1979). The bound is that of a short window (`shape.rs`), so a quiet night
//! costs no more candidates than it has arrivals, and where the rate is constant every candidate is kept. The
//! window's lowest rate is a squeeze: a draw below it keeps the candidate without evaluating the curve.
//!
//! **Paced.** Arrival k is where the integral of the rate reaches k; a constant rate r has arrivals at k/r. In a
//! window that is not constant the rate is a parabola through three of its points: exact for straight lines, and
//! with an error below 10⁻⁹ of a request for the other curves.
//!
//! **MMPP.** A two-state Markov-modulated Poisson process (Fischer and Meier-Hellstern, 1993): exponential
//! sojourns in bursts and between them multiply whatever rate the plan has, preserving its mean.
//!
//! Nothing is computed ahead: a source knows its next arrival and no other. What is absent: memory of the past,
//! and the requests' clients, endpoints and demands, which are functions of the arrival's index.

use rand_distr::{Distribution, Exp1};

use crate::rng::{Dice, Stream};
use crate::traffic::formats::Work;
use crate::traffic::method::Method;
use crate::traffic::replay::{self, Dataset, LogFeed, SeriesFeed};
use crate::traffic::shape::{Bounds, Kind, MAX_RPS, Rate, Segment};
use crate::traffic::{Burst, Config, Process};
use crate::units::{self, Time};

/// One request reaching the system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When.
    pub at: Time,
    /// Index of the request's random numbers, unique in the run. Requests of the plan count 0, 1, 2, …; those of
    /// attack k count from (k + 1)·2⁴⁸, and clone c of a recorded request n has index n + c·2⁴⁰, so that adding an
    /// attack or a clone changes no other request.
    pub index: u64,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Origin {
    /// The plan: client and endpoint are drawn.
    Base,
    /// The k-th attack among the overlays, from 0.
    Attack(u16),
    /// A line of an access log, which says who asked for what.
    Recorded {
        /// Dense number of the client's address, in order of first appearance.
        client: u32,
        /// Number of the path in [`replay::Summary::endpoints`].
        endpoint: u16,
        /// How it was asked for.
        method: Method,
        /// The status that was answered; 0 if not recorded.
        status: u16,
        /// What work it is; a size is relative to the mean of all.
        work: Work,
    },
}

/// A place between two arrivals, from which what comes next follows without what came before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The arrival before \[ns\].
    at: u64,
    candidate: u64,
    index: u64,
}

impl Place {
    /// Arrivals before it.
    pub fn arrivals(&self) -> u64 {
        self.index
    }
}

/// First index of the requests of attack `k`.
fn attack_index(k: usize) -> u64 {
    (k as u64 + 1) << 48
}

/// The arrivals of a run, in order of time; an iterator.
#[derive(Debug)]
pub struct Arrivals {
    sources: Sources,
}

/// One source needs no merging, and most runs have one.
#[derive(Debug)]
enum Sources {
    One(Flow),
    Many(Vec<(Option<Arrival>, Flow)>),
}

impl Arrivals {
    /// The arrivals that `config` plans before `horizon`.
    pub fn new(config: &Config, seed: u64, horizon: Time) -> Arrivals {
        let rate = config.rate(seed);
        let base = Flow::planned(config.arrivals, Plan::Rate(rate), seed, horizon);
        Arrivals::merged(base, config, seed, horizon)
    }

    /// The arrivals recorded in `dataset`, modified by the noise and overlays of `config` (whose shape is not
    /// used), before `horizon`. Requests of a log have their own times; a series of rates becomes arrivals by
    /// `config.arrivals`. Reads the file again, in one pass.
    pub fn replay(dataset: &Dataset, config: &Config, seed: u64, horizon: Time) -> Result<Arrivals, replay::Error> {
        let factor = Rate::new(&[], config.noise, &config.overlay, seed);
        let base = if dataset.summary().is_log {
            Flow::Recorded(Box::new(dataset.log_feed(factor, seed, horizon)?))
        } else {
            let plan = Plan::Series(Box::new(dataset.series_feed()?), factor);
            Flow::planned(config.arrivals, plan, seed, horizon)
        };
        Ok(Arrivals::merged(base, config, seed, horizon))
    }

    fn merged(base: Flow, config: &Config, seed: u64, horizon: Time) -> Arrivals {
        let attacks: Vec<Flow> = config
            .attacks()
            .enumerate()
            .map(|(k, attack)| {
                let segments = [
                    Segment { kind: Kind::Constant { rate: 0.0 }, lasts: Some(attack.at) },
                    Segment { kind: Kind::Constant { rate: attack.rate }, lasts: Some(attack.lasts) },
                ];
                let plan = Plan::Rate(Rate::new(&segments, None, &[], seed).entered_at(config.skip));
                // Attackers do not pause with the plan's clients: a modulated plan is attacked by plain Poisson.
                let process = if config.arrivals == Process::Paced { Process::Paced } else { Process::Poisson };
                let mut flow = Flow::planned(process, plan, seed, horizon);
                flow.start_at(attack_index(k), Origin::Attack(k.min(usize::from(u16::MAX)) as u16));
                flow
            })
            .collect();
        if attacks.is_empty() {
            return Arrivals { sources: Sources::One(base) };
        }
        let pending = |mut flow: Flow| (flow.next(), flow);
        let flows = std::iter::once(base).chain(attacks).map(pending).collect();
        Arrivals { sources: Sources::Many(flows) }
    }

    /// Puts the next `count` arrivals into `batch`, or as many as there are. What kind of source it is is asked once for all.
    pub fn take_into(&mut self, batch: &mut Vec<Arrival>, count: usize) {
        match &mut self.sources {
            Sources::One(Flow::Poisson(flow)) => batch.extend(std::iter::from_fn(|| flow.next()).take(count)),
            Sources::One(flow) => batch.extend(std::iter::from_fn(|| flow.next()).take(count)),
            Sources::Many(flows) => batch.extend(std::iter::from_fn(|| next_of(flows)).take(count)),
        }
    }

    /// Where the next arrival will be looked for; `None`: this source has no such place, and can only be followed.
    pub fn place(&self) -> Option<Place> {
        match &self.sources {
            Sources::One(Flow::Poisson(flow)) if flow.windows.modulation.is_none() => Some(flow.place()),
            _ => None,
        }
    }

    /// Goes on at a place that these arrivals would come to, as if they had been followed to it.
    pub fn resume(&mut self, place: Place) {
        if let Sources::One(Flow::Poisson(flow)) = &mut self.sources {
            flow.resume(place);
        }
    }

    /// What stopped a replay before its end, if anything did: the run has fewer requests than the file promised.
    pub fn truncation(&self) -> Option<replay::Truncation<'_>> {
        match &self.sources {
            Sources::One(flow) => flow.truncation(),
            Sources::Many(flows) => flows.iter().find_map(|(_, flow)| flow.truncation()),
        }
    }

    /// Requests of a replayed log so far that came too late for their second and were put into a later one.
    pub fn moved(&self) -> u64 {
        match &self.sources {
            Sources::One(flow) => flow.moved(),
            Sources::Many(flows) => flows.iter().map(|(_, flow)| flow.moved()).sum(),
        }
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    #[inline(always)]
    fn next(&mut self) -> Option<Arrival> {
        match &mut self.sources {
            Sources::One(flow) => flow.next(),
            Sources::Many(flows) => next_of(flows),
        }
    }
}

/// The earliest pending arrival; of equal ones, that of the first source. Attacks are few, so a scan it is.
fn next_of(flows: &mut [(Option<Arrival>, Flow)]) -> Option<Arrival> {
    let (_, first) = flows.iter().enumerate().filter_map(|(i, (arrival, _))| arrival.map(|a| (a.at, i))).min()?;
    let (pending, flow) = &mut flows[first];
    let arrival = *pending;
    *pending = flow.next();
    arrival
}

/// One source of arrivals.
#[derive(Debug)]
enum Flow {
    Poisson(Box<Poisson>),
    Paced(Box<Paced>),
    Recorded(Box<LogFeed>),
}

impl Flow {
    fn planned(process: Process, plan: Plan, seed: u64, horizon: Time) -> Flow {
        let modulation = match process {
            Process::Mmpp(burst) => Some(Modulation::new(burst, seed)),
            Process::Paced | Process::Poisson => None,
        };
        let windows = Windows::new(plan, modulation, horizon);
        match process {
            Process::Paced => Flow::Paced(Box::new(Paced::new(windows))),
            Process::Poisson | Process::Mmpp(_) => Flow::Poisson(Box::new(Poisson::new(windows, seed))),
        }
    }

    fn start_at(&mut self, index: u64, from: Origin) {
        match self {
            Flow::Poisson(flow) => {
                (flow.index, flow.candidate, flow.origin) = (index, index, from);
            }
            Flow::Paced(flow) => (flow.index, flow.origin) = (index, from),
            Flow::Recorded(_) => {}
        }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<Arrival> {
        match self {
            Flow::Poisson(flow) => flow.next(),
            Flow::Paced(flow) => flow.next(),
            Flow::Recorded(feed) => feed.next(),
        }
    }

    fn truncation(&self) -> Option<replay::Truncation<'_>> {
        let (requests, error) = match self {
            Flow::Poisson(flow) => (flow.index, flow.windows.error()),
            Flow::Paced(flow) => (flow.index, flow.windows.error()),
            Flow::Recorded(feed) => (feed.requests(), feed.error()),
        };
        error.map(|error| replay::Truncation { requests, error })
    }

    fn moved(&self) -> u64 {
        if let Flow::Recorded(feed) = self { feed.moved() } else { 0 }
    }
}

/// What the rate is taken from.
#[derive(Debug)]
enum Plan {
    Rate(Rate),
    /// A recorded series, and the factors on it.
    Series(Box<SeriesFeed>, Rate),
}

/// Windows of the rate, one after the other, up to the horizon.
#[derive(Debug)]
struct Windows {
    plan: Plan,
    modulation: Option<Modulation>,
    horizon: u64,
    now: Window,
}

/// A stretch of time and bounds on the rate in it.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: u64,
    /// Where it ends or the horizon is.
    end: u64,
    /// Where it would end without a horizon: what happens before one does not depend on it.
    until: u64,
    /// Highest rate \[1/s\].
    high: f64,
    /// Lowest rate as a share of the highest.
    squeeze: f64,
    /// Nanoseconds per unit of the integrated bound, 10⁹/high.
    scale: f64,
    /// Factor on [`Plan::value`] that is constant in this window: modulation, and the rate of a series.
    level: f64,
}

impl Windows {
    fn new(plan: Plan, modulation: Option<Modulation>, horizon: Time) -> Windows {
        let now = Window { start: 0, end: 0, until: 0, high: 0.0, squeeze: 0.0, scale: f64::INFINITY, level: 0.0 };
        let mut windows = Windows { plan, modulation, horizon: horizon.0, now };
        windows.open(0);
        windows
    }

    /// Moves on to the next window; `false` at the horizon.
    #[inline(never)]
    fn advance(&mut self) -> bool {
        if self.now.end >= self.horizon {
            return false;
        }
        self.open(self.now.end);
        true
    }

    fn open(&mut self, start: u64) {
        let mut level = 1.0;
        let mut bounds = match &mut self.plan {
            Plan::Rate(rate) => rate.bounds(Time(start)),
            Plan::Series(feed, factor) => {
                let (until, rps) = feed.rate_from(start);
                level = rps;
                // As with a plan, a dead stretch is not cut into pieces.
                let of_series = Bounds::constant(until, 1.0);
                if rps > 0.0 { of_series.times(factor.factor_bounds(Time(start))) } else { of_series }
            }
        };
        if let Some(modulation) = self.modulation.as_mut().filter(|_| bounds.high * level > 0.0) {
            modulation.advance(start);
            level *= modulation.factor();
            bounds.until = bounds.until.min(Time(modulation.until));
        }
        let high = (bounds.high * level).min(MAX_RPS);
        let low = (bounds.low * level).min(MAX_RPS);
        let squeeze = if bounds.low == bounds.high { 1.0 } else { low / high };
        let until = bounds.until.0;
        let end = until.min(self.horizon);
        self.now = Window { start, end, until, high, squeeze, scale: 1e9 / high, level };
    }

    /// The rate at `t`, which lies in the current window \[1/s\].
    #[inline(never)]
    fn rps(&self, t: u64) -> f64 {
        let value = match &self.plan {
            Plan::Rate(rate) => rate.base(Time(t)),
            Plan::Series(_, factor) => factor.factor(Time(t)),
        };
        value * self.now.level
    }

    fn error(&self) -> Option<&replay::Error> {
        match &self.plan {
            Plan::Rate(_) => None,
            Plan::Series(feed, _) => feed.error(),
        }
    }
}

/// A Poisson process of any rate.
#[derive(Debug)]
struct Poisson {
    windows: Windows,
    gaps: Dice,
    thinning: Dice,
    /// The last candidate, or the start of the window if it has had none.
    at: u64,
    /// Number of the next candidate; the index of its numbers.
    candidate: u64,
    index: u64,
    origin: Origin,
}

impl Poisson {
    fn new(windows: Windows, seed: u64) -> Poisson {
        Poisson {
            windows,
            gaps: Dice::new(seed, Stream::Arrival),
            thinning: Dice::new(seed, Stream::Thinning),
            at: 0,
            candidate: 0,
            index: 0,
            origin: Origin::Base,
        }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<Arrival> {
        loop {
            let candidate = self.candidate;
            self.candidate += 1;
            let mut gap: f64 = Exp1.sample(&mut self.gaps.draws(candidate));
            loop {
                let window = &self.windows.now;
                let step = gap * window.scale;
                let nanos = units::whole(step);
                if nanos < window.end - self.at {
                    self.at += nanos;
                    break;
                }
                let room = (window.end - self.at) as f64;
                if step < room {
                    // It is rounded up to the end.
                    self.at = window.end - 1;
                    break;
                }
                // What is left of the gap is measured by the next window's bound.
                gap = (gap - room / window.scale).max(0.0);
                self.at = window.end;
                if !self.windows.advance() {
                    return None;
                }
            }
            if self.kept(candidate) {
                let arrival = Arrival { at: Time(self.at), index: self.index, origin: self.origin };
                self.index += 1;
                return Some(arrival);
            }
        }
    }

    #[inline]
    fn place(&self) -> Place {
        Place { at: self.at, candidate: self.candidate, index: self.index }
    }

    fn resume(&mut self, place: Place) {
        while self.windows.now.end <= place.at && self.windows.advance() {}
        Place { at: self.at, candidate: self.candidate, index: self.index } = place;
    }

    #[inline]
    fn kept(&self, candidate: u64) -> bool {
        let window = &self.windows.now;
        if window.squeeze >= 1.0 {
            return true;
        }
        let u = self.thinning.unit(candidate);
        u < window.squeeze || u * window.high < self.windows.rps(self.at)
    }
}

/// Arrivals where the integral of the rate reaches 1, 2, 3, …
#[derive(Debug)]
struct Paced {
    windows: Windows,
    parabola: Parabola,
    /// Integral still missing for the first arrival at the start of the window.
    need: f64,
    /// Arrivals this window has had.
    had: u64,
    index: u64,
    origin: Origin,
}

impl Paced {
    fn new(windows: Windows) -> Paced {
        let parabola = Parabola::through(&windows);
        Paced { windows, parabola, need: 1.0, had: 0, index: 0, origin: Origin::Base }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<Arrival> {
        loop {
            let target = self.need + self.had as f64;
            let total = self.parabola.total;
            // The tolerance keeps an arrival at the very end of a window from being lost to rounding.
            if total > 0.0 && target <= total + 1e-9 * total.max(1.0) {
                self.had += 1;
                let window = &self.windows.now;
                let at = window.start.saturating_add(self.parabola.reaches(target)).min(window.until);
                if at >= self.windows.horizon {
                    return None;
                }
                let arrival = Arrival { at: Time(at), index: self.index, origin: self.origin };
                self.index += 1;
                return Some(arrival);
            }
            if !self.windows.advance() {
                return None;
            }
            self.need = target - total;
            self.had = 0;
            self.parabola = Parabola::through(&self.windows);
        }
    }
}

/// The rate in a window as `a + b x + c x²`, x in seconds from its start.
#[derive(Clone, Copy, Debug)]
struct Parabola {
    a: f64,
    b: f64,
    c: f64,
    /// Length of the window \[s\].
    length: f64,
    /// Integral over the window.
    total: f64,
    /// Where the last arrival was found: the next is not earlier \[s\].
    last: f64,
}

impl Parabola {
    fn through(windows: &Windows) -> Parabola {
        let Window { start, until, high, squeeze, .. } = windows.now;
        let span = until - start;
        let length = span as f64 / 1e9;
        let constant = |a: f64| Parabola { a, b: 0.0, c: 0.0, length, total: a * length, last: 0.0 };
        if squeeze >= 1.0 {
            return constant(high);
        }
        if span < 8 {
            return constant(windows.rps(start));
        }
        // The last node is the last nanosecond inside: the curve may jump at the end of the window.
        let (m, e) = (span / 2, span - 1);
        let [x, z] = [m, e].map(|offset| offset as f64 / 1e9);
        let [p, q, r] = [0, m, e].map(|offset| windows.rps(start + offset));
        let (d, f) = ((q - p) / x, (r - p) / z);
        let c = (f - d) / (z - x);
        let b = d - c * x;
        let mut parabola = Parabola { a: p, b, c, length, total: 0.0, last: 0.0 };
        parabola.total = parabola.integral(length).max(0.0);
        parabola
    }

    fn integral(&self, x: f64) -> f64 {
        x * (self.a + x * (self.b / 2.0 + x * (self.c / 3.0)))
    }

    /// Nanoseconds from the window's start to where the integral reaches `target`.
    #[inline]
    fn reaches(&mut self, target: f64) -> u64 {
        if self.b == 0.0 && self.c == 0.0 {
            return (target * 1e9 / self.a + 0.5) as u64;
        }
        // Newton's steps inside a bracket that bisection shrinks: the rate may be zero at either end.
        let (mut low, mut high) = (self.last, self.length);
        let mut x = self.last;
        for _ in 0..60 {
            let excess = self.integral(x) - target;
            if excess < 0.0 {
                low = x;
            } else {
                high = x;
            }
            let slope = self.a + x * (self.b + x * self.c);
            let mut next = x - excess / slope;
            if !(next >= low && next <= high) {
                next = low + (high - low) / 2.0;
            }
            if (next - x).abs() < 1e-10 {
                x = next;
                break;
            }
            x = next;
        }
        self.last = x;
        (x * 1e9 + 0.5) as u64
    }
}

/// The two-state chain behind an MMPP.
#[derive(Debug)]
struct Modulation {
    dice: Dice,
    /// Factors on the rate: between bursts, and in them.
    factors: [f64; 2],
    /// Mean sojourns \[ns\].
    means: [f64; 2],
    on: bool,
    until: u64,
    state: u64,
}

impl Modulation {
    /// Begins in the stationary state, so that the mean holds from the first moment.
    fn new(burst: Burst, seed: u64) -> Modulation {
        let dice = Dice::new(seed, Stream::Modulation);
        let (on, off) = (burst.mean_on.0 as f64, burst.mean_off.0 as f64);
        let share = if on + off > 0.0 { on / (on + off) } else { 0.0 };
        let factor = if burst.factor >= 0.0 { burst.factor.min(MAX_RPS) } else { 1.0 };
        let quiet = 1.0 / (share * factor + (1.0 - share)).max(1e-9);
        let mut chain = Modulation {
            dice,
            factors: [quiet, quiet * factor],
            means: [off, on],
            on: dice.unit(0) < share,
            until: 0,
            state: 0,
        };
        chain.until = chain.sojourn();
        chain
    }

    fn factor(&self) -> f64 {
        self.factors[usize::from(self.on)]
    }

    fn advance(&mut self, t: u64) {
        while self.until <= t {
            self.on = !self.on;
            self.until = self.until.saturating_add(self.sojourn());
        }
    }

    /// Length of the current state, at least a nanosecond; for ever if it never ends.
    fn sojourn(&mut self) -> u64 {
        let other = self.means[usize::from(!self.on)];
        if other <= 0.0 {
            return u64::MAX;
        }
        self.state += 1;
        let mean = self.means[usize::from(self.on)];
        ((-libm::log(self.dice.unit(self.state)) * mean) as u64).max(1)
    }
}

#[cfg(test)]
mod tests;
