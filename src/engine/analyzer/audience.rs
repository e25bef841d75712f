//! Who asks, for what, from where: what is usual, and what a spike is made of.
//!
//! Ordinary bins flow into a reference that forgets (half-life ten minutes); bins of a spike are kept apart. Addresses of a spike
//! are not remembered as seen, or the second minute of an attack would be an old friend. Clients are compared by the
//! rate that one in a thousand exceeds in ordinary minutes, raised in proportion when all send more. A request costs a few
//! hashes and no allocation; memory is fixed, about 1 MiB.

use crate::engine::analyzer::diversity::{entropy, jensen_shannon};
use crate::engine::analyzer::sketch::{Distinct, Heavy, Seen};
use crate::engine::analyzer::verdict::Evidence;
use crate::units::{Span, Time};

/// A request, as far as the analyzer cares.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// When it was offered.
    pub at: Time,
    /// Who asks; equal for the same client.
    pub client: u64,
    /// The network the client is in (/24 or /48), or the client itself where there are no addresses.
    pub prefix: u64,
    /// User agent, hashed; `None` if it is not known.
    pub agent: Option<u64>,
    /// What is asked for, numbered.
    pub endpoint: u32,
    /// Where from, numbered.
    pub region: u32,
    /// Whether it was answered with a 4xx; `None` if that is not known.
    pub client_error: Option<bool>,
}

/// Endpoints, agents and regions told apart; the last takes all others.
const ENDPOINTS: usize = 256;
const AGENTS: usize = 256;
const REGIONS: usize = 64;
/// Half-life of the reference.
const HALF_LIFE: Span = Span::from_mins(10);
/// Length of an ordinary window of clients.
const MINUTE: Span = Span::from_mins(1);
/// How long a prefix is remembered at least.
const REMEMBERED: Span = Span::from_mins(7 * 24 * 60);
/// Requests of a client from which its regularity is judged, and the variation below which it is regular.
const REGULAR_FROM: u64 = 10;
const REGULAR: f64 = 0.1;

/// Counts of a stretch of time.
#[derive(Clone, Debug)]
struct Mix {
    total: f64,
    new: f64,
    endpoints: Vec<f64>,
    regions: Vec<f64>,
    agents: Vec<f64>,
    agents_known: f64,
    errors: f64,
    errors_known: f64,
}

impl Mix {
    fn new() -> Mix {
        Mix {
            total: 0.0,
            new: 0.0,
            endpoints: vec![0.0; ENDPOINTS],
            regions: vec![0.0; REGIONS],
            agents: vec![0.0; AGENTS],
            agents_known: 0.0,
            errors: 0.0,
            errors_known: 0.0,
        }
    }

    /// Everything times `keep`, and `other` added, which becomes empty.
    fn take(&mut self, other: &mut Mix, keep: f64) {
        let each = |own: &mut f64, theirs: &mut f64| *own = *own * keep + std::mem::take(theirs);
        each(&mut self.total, &mut other.total);
        each(&mut self.new, &mut other.new);
        each(&mut self.agents_known, &mut other.agents_known);
        each(&mut self.errors, &mut other.errors);
        each(&mut self.errors_known, &mut other.errors_known);
        for (own, theirs) in [
            (&mut self.endpoints, &mut other.endpoints),
            (&mut self.regions, &mut other.regions),
            (&mut self.agents, &mut other.agents),
        ] {
            own.iter_mut().zip(theirs).for_each(|(own, theirs)| each(own, theirs));
        }
    }
}

/// What is usual, and what is now.
#[derive(Clone, Debug)]
pub struct Audience {
    bin: Span,
    /// Prefixes seen lately, and before that.
    seen: [Seen; 2],
    rotate_at: Time,
    /// Prefixes of the bin, until it is known to be ordinary.
    pending: Seen,
    now: Mix,
    reference: Mix,
    /// What the spike is made of, and the bins it has lasted.
    spike: Option<Mix>,
    spike_bins: u32,
    heavy: Heavy,
    distinct: Distinct,
    heavy_since: Time,
    /// Of ordinary minutes: the rate that one client in a thousand exceeds, and the total \[1/s\].
    client_rate: f64,
    total_rate: f64,
    /// Ordinary minutes seen.
    minutes: u64,
}

impl Audience {
    /// Has seen nobody.
    pub fn new(bin: Span) -> Audience {
        Audience {
            bin,
            seen: [Seen::default(), Seen::default()],
            rotate_at: Time(REMEMBERED.0),
            pending: Seen::default(),
            now: Mix::new(),
            reference: Mix::new(),
            spike: None,
            spike_bins: 0,
            heavy: Heavy::default(),
            distinct: Distinct::default(),
            heavy_since: Time::ZERO,
            client_rate: 0.0,
            total_rate: 0.0,
            minutes: 0,
        }
    }

    /// A request was offered.
    #[inline]
    pub fn visit(&mut self, visit: &Visit) {
        let mix = &mut self.now;
        mix.total += 1.0;
        if !self.seen[0].has(visit.prefix) && !self.seen[1].has(visit.prefix) {
            mix.new += 1.0;
            self.pending.add(visit.prefix);
        }
        mix.endpoints[(visit.endpoint as usize).min(ENDPOINTS - 1)] += 1.0;
        mix.regions[(visit.region as usize).min(REGIONS - 1)] += 1.0;
        if let Some(agent) = visit.agent {
            mix.agents[(crate::rng::mix(agent) % AGENTS as u64) as usize] += 1.0;
            mix.agents_known += 1.0;
        }
        if let Some(error) = visit.client_error {
            mix.errors += f64::from(u8::from(error));
            mix.errors_known += 1.0;
        }
        // Intervals matter in a spike only.
        if self.spike.is_some() {
            self.heavy.add_at(visit.at, visit.client);
        } else {
            self.heavy.add(visit.client);
        }
        self.distinct.add(visit.client);
    }

    /// A bin ended at `now`, and is `ordinary`, or part of what may be a spike.
    pub fn close_bin(&mut self, now: Time, ordinary: bool) {
        if !ordinary {
            if self.spike.is_none() {
                self.restart_clients(now);
                self.spike_bins = 0;
            }
            self.spike_bins += 1;
            self.spike.get_or_insert_with(Mix::new).take(&mut self.now, 1.0);
            self.pending.clear();
            return;
        }
        self.spike = None;
        let keep = libm::exp2(-(self.bin.as_secs_f64() / HALF_LIFE.as_secs_f64()));
        self.reference.take(&mut self.now, keep);
        self.seen[0].absorb(&mut self.pending);
        if now >= self.rotate_at {
            self.seen.swap(0, 1);
            self.seen[0].clear();
            self.rotate_at = now + REMEMBERED;
        }
        if now.since(self.heavy_since) >= MINUTE {
            self.learn_clients(now);
        }
    }

    fn restart_clients(&mut self, now: Time) {
        self.heavy.clear();
        self.distinct.clear();
        self.heavy_since = now;
    }

    fn learn_clients(&mut self, now: Time) {
        let seconds = now.since(self.heavy_since).as_secs_f64();
        let rate = self.heavy.p999(self.distinct.count()) as f64 / seconds;
        let total = self.heavy.total() as f64 / seconds;
        self.minutes += 1;
        let weight = (1.0 / self.minutes as f64).max(0.1);
        self.client_rate += weight * (rate - self.client_rate);
        self.total_rate += weight * (total - self.total_rate);
        self.restart_clients(now);
    }

    /// Requests of the spike so far.
    pub fn spike_requests(&self) -> u64 {
        self.spike.as_ref().map_or(0, |mix| mix.total as u64)
    }

    /// Share of the spike's requests that would have come anyway, 0..0.95.
    fn beneath(&self, spike: &Mix) -> f64 {
        let seconds = f64::from(self.spike_bins) * self.bin.as_secs_f64();
        (self.total_rate * seconds / spike.total.max(1.0)).clamp(0.0, 0.95)
    }

    /// What the rise is made of, at the end of a bin: the spike less what would have come anyway. `step_onset` is the share of the rise
    /// reached within one bin. `None` of a piece that is not known; all are `None` without a spike.
    pub fn evidence(&self, now: Time, step_onset: Option<f64>) -> Evidence {
        let Some(spike) = &self.spike else { return Evidence::default() };
        let reference = &self.reference;
        if reference.total <= 0.0 || spike.total <= 0.0 {
            return Evidence { step_onset, regularity: self.regularity(), ..Evidence::default() };
        }
        let beneath = self.beneath(spike);
        // A share of the spike, less the part of what would have come anyway.
        let of_rise = |now: f64, before: f64| ((now - beneath * before) / (1.0 - beneath)).clamp(0.0, 1.0);
        let of = |now: &[f64], before: &[f64]| rise(now, before, beneath);
        let agents = spike.agents_known > 0.0 && reference.agents_known > 0.0;
        let errors = spike.errors_known > 0.0 && reference.errors_known > 0.0;
        Evidence {
            new_sources: Some(of_rise(spike.new / spike.total, reference.new / reference.total)),
            per_client: self.above_usual(now).map(|share| of_rise(share, 0.0)),
            agent_collapse: agents.then(|| {
                let before = entropy(&reference.agents);
                let after = entropy(&of(&spike.agents, &reference.agents));
                if before > 0.0 { (1.0 - after / before).clamp(0.0, 1.0) } else { 0.0 }
            }),
            regularity: self.regularity(),
            step_onset,
            errors: errors.then(|| {
                let before = reference.errors / reference.errors_known;
                (of_rise(spike.errors / spike.errors_known, before) - before).max(0.0)
            }),
            geo_shift: Some(jensen_shannon(&of(&spike.regions, &reference.regions), &reference.regions)),
            path_shift: Some(jensen_shannon(&of(&spike.endpoints, &reference.endpoints), &reference.endpoints)),
        }
    }

    /// Share of requests from clients beyond the usual.
    fn above_usual(&self, now: Time) -> Option<f64> {
        let seconds = now.since(self.heavy_since).as_secs_f64();
        let total = self.heavy.total() as f64;
        if self.minutes == 0 || seconds <= 0.0 || total < 1.0 {
            return None;
        }
        let more = (total / seconds / self.total_rate.max(1e-9)).max(1.0);
        // In a short window a few requests are a high rate: that many are granted to anybody.
        let limit = (self.client_rate * more * seconds).max(5.0);
        let above: u64 = self.heavy.clients().map(|c| c.surely()).filter(|n| *n as f64 > 1.5 * limit).sum();
        Some(above as f64 / total)
    }

    fn regularity(&self) -> Option<f64> {
        let busy = || self.heavy.clients().filter(|client| client.surely() >= REGULAR_FROM);
        let judged = busy().filter_map(|client| client.variation()).count();
        let regular = busy().filter_map(|client| client.variation()).filter(|cv| *cv < REGULAR).count();
        (judged > 0).then(|| regular as f64 / judged as f64)
    }

    /// The busiest client of the spike: its share of the rise over what is usual, 0..1, and its rate \[1/s\].
    pub fn busiest(&self, now: Time) -> Option<Busiest> {
        let seconds = now.since(self.heavy_since).as_secs_f64();
        let client = self.heavy.clients().max_by_key(|client| (client.surely(), client.key))?;
        let rise = self.heavy.total() as f64 - self.total_rate * seconds;
        let own = client.surely() as f64;
        let share = if rise > 0.0 { ((own - self.client_rate * seconds) / rise).clamp(0.0, 1.0) } else { 0.0 };
        (seconds > 0.0).then(|| Busiest { client: client.key, share, rps: own / seconds })
    }

    /// The rate that one client in a thousand exceeds in ordinary minutes \[1/s\]; 0 before the first minute.
    pub fn client_rate(&self) -> f64 {
        self.client_rate
    }

    /// Requests of the spike by endpoint, as shares, the largest first, at most `most`.
    pub fn endpoints(&self, most: usize) -> Vec<(usize, f64)> {
        let mix = self.spike.as_ref().unwrap_or(&self.reference);
        let mut shares: Vec<(usize, f64)> = mix
            .endpoints
            .iter()
            .map(|n| n / mix.total.max(1.0))
            .enumerate()
            .filter(|(_, share)| *share > 0.0)
            .collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        shares.truncate(most);
        shares
    }
}

/// The client that sends most in a spike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busiest {
    /// Its key.
    pub client: u64,
    /// Its share of the rise, 0..1.
    pub share: f64,
    /// Its rate \[1/s\].
    pub rps: f64,
}

/// Counts that came on top: those of a spike less the share `beneath` that would have come anyway, in the mix of the reference.
fn rise(spike: &[f64], reference: &[f64], beneath: f64) -> Vec<f64> {
    let (all, usual): (f64, f64) = (spike.iter().sum(), reference.iter().sum());
    let scale = beneath * all / usual.max(1e-9);
    spike.iter().zip(reference).map(|(now, before)| (now - scale * before).max(0.0)).collect()
}
