//! One quota, several gateways: what it lets in too much or too little, by how they share it.
//!
//! ```text
//! independent   a quota of L each                          up to m · L
//! divided       a quota of L / m each                      as little as L / m, when traffic comes by one gateway
//! store         one quota, asked for every request         exactly L
//! sync          own counts, put together every T           up to (arrival rate) · T more per T
//! lease         batches of n taken from one quota          exactly L, of which up to m · n lie unused
//! ```
//!
//! The store (all but the first two) may be out of order. Then, until it is back, `local` enforces L / m at each gateway, `open` lets
//! everything pass, `closed` refuses with a 503: the client did nothing wrong. What the store knew is still there when it comes
//! back. A request that asks a store that is away waits for its time-out first; after five of those nobody asks for five seconds, so
//! that a dead store costs its time-out a few times and not for every request.
//!
//! A live gateway may ask a store that is really there instead ([`super::outside`]).
//!
//! What is absent: how long a store takes to answer when it is well, clocks that differ, a failover that loses writes.

use super::hierarchy::{Denial, peek, verdict};
use super::line::Line;
use super::{Config, Limiter, Verdict};
use crate::units::{Span, Time};

/// How gateways share a quota.
#[derive(Clone, Debug, PartialEq)]
pub struct Sharing {
    /// How many there are, ≥ 1. Requests come by any of them with equal chances.
    pub gateways: u32,
    /// How they share.
    pub mode: Mode,
    /// When the store does not answer: from, until.
    pub outages: Vec<(Time, Time)>,
    /// How long a request waits for an answer that does not come. Default 20 ms.
    pub timeout: Span,
    /// What then happens.
    pub on_failure: OnFailure,
}

impl Sharing {
    /// The default of [`Sharing::timeout`].
    pub const TIMEOUT: Span = Span::from_millis(20);
}

/// How gateways share a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each has all of it.
    Independent,
    /// Each has its part.
    Divided,
    /// They ask one store for every request.
    Store,
    /// They count by themselves, and put their counts together every so often.
    Sync {
        /// How often, > 0.
        every: Span,
    },
    /// They take batches from one store.
    Lease {
        /// Requests of cost 1 in a batch, ≥ 1.
        batch: u32,
    },
}

/// What happens while the store does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Each gateway enforces its part.
    #[default]
    Local,
    /// Everything passes.
    Open,
    /// Nothing passes.
    Closed,
}

/// The part of a quota that each of `gateways` enforces by itself.
pub(super) fn part(config: &Config, gateways: u32) -> Config {
    let limit = (config.limit / gateways).max(1);
    let burst = config.burst.map(|burst| (burst / gateways).max(1));
    Config { limit, burst, ..config.clone() }
}

/// One rule at all gateways.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    mode: Mode,
    outages: Vec<(Time, Time)>,
    timeout: Span,
    line: Line,
    /// How long what was let in last has waited for the store.
    waited: Span,
    on_failure: OnFailure,
    /// The store's; absent where there is none.
    central: Option<Limiter>,
    /// By gateway: its own quota, or its view of the store's.
    own: Vec<Limiter>,
    /// By gateway: its part, for when the store is away.
    parts: Vec<Limiter>,
    /// By gateway and key: what is left of a batch.
    leased: Vec<Vec<u32>>,
    /// What gateways let in since they last put their counts together: key and cost.
    unsynced: Vec<(Time, u32, u32)>,
    synced_at: Time,
}

impl Shared {
    pub(super) fn new(config: &Config, sharing: &Sharing, keys: usize) -> Shared {
        let m = sharing.gateways.max(1);
        let whole = || Limiter::new(config, keys);
        let part = || Limiter::new(&part(config, m), keys);
        let has_store = !matches!(sharing.mode, Mode::Independent | Mode::Divided);
        let own = match sharing.mode {
            Mode::Independent | Mode::Sync { .. } => (0..m).map(|_| whole()).collect(),
            Mode::Divided => (0..m).map(|_| part()).collect(),
            Mode::Store | Mode::Lease { .. } => Vec::new(),
        };
        let needs_parts = has_store && sharing.on_failure == OnFailure::Local && !sharing.outages.is_empty();
        Shared {
            mode: sharing.mode,
            outages: sharing.outages.clone(),
            timeout: sharing.timeout,
            line: Line::default(),
            waited: Span::ZERO,
            on_failure: sharing.on_failure,
            central: has_store.then(whole),
            own,
            parts: if needs_parts { (0..m).map(|_| part()).collect() } else { Vec::new() },
            leased: match sharing.mode {
                Mode::Lease { .. } => vec![vec![0; keys]; m as usize],
                _ => Vec::new(),
            },
            unsynced: Vec::new(),
            synced_at: Time::ZERO,
        }
    }

    /// How long a request waits that comes while the store is away.
    fn wait(&mut self, now: Time) -> Span {
        if self.line.is_silent(now) {
            return Span::ZERO;
        }
        self.line.failed(now, now + self.timeout);
        self.timeout
    }

    /// Whether the store does not answer, or is not asked.
    fn is_out(&self, now: Time) -> bool {
        let away = || self.outages.iter().any(|&(from, until)| from <= now && now < until);
        self.central.is_some() && (self.line.is_silent(now) || away())
    }

    /// Whether `cost` would be let in; takes nothing, but may fetch a batch for it.
    pub(super) fn peek(&mut self, now: Time, gateway: u32, key: u32, cost: u32) -> Result<(), Denial> {
        let gateway = gateway as usize;
        if self.is_out(now) {
            return match self.on_failure {
                OnFailure::Open => Ok(()),
                OnFailure::Closed => Err(Denial::StoreDown),
                OnFailure::Local => peek(&mut self.parts[gateway], now, key, cost),
            };
        }
        self.sync(now);
        match self.mode {
            Mode::Independent | Mode::Divided | Mode::Sync { .. } => peek(&mut self.own[gateway], now, key, cost),
            Mode::Store => match &mut self.central {
                Some(central) => peek(central, now, key, cost),
                None => Ok(()),
            },
            Mode::Lease { batch } => self.fetch(now, gateway, key, cost, batch),
        }
    }

    /// Lets `cost` in, or says why not.
    pub(super) fn take(&mut self, now: Time, gateway: u32, key: u32, cost: u32) -> Result<(), Denial> {
        let place = gateway as usize;
        self.waited = Span::ZERO;
        if self.is_out(now) {
            self.waited = self.wait(now);
            return match self.on_failure {
                OnFailure::Open => Ok(()),
                OnFailure::Closed => Err(Denial::StoreDown),
                OnFailure::Local => verdict(self.parts[place].check(now, key, cost)),
            };
        }
        self.line.answered();
        self.sync(now);
        match self.mode {
            Mode::Independent | Mode::Divided => verdict(self.own[place].check(now, key, cost)),
            Mode::Sync { .. } => {
                verdict(self.own[place].check(now, key, cost))?;
                self.unsynced.push((now, key, cost));
                Ok(())
            }
            Mode::Store => match &mut self.central {
                Some(central) => verdict(central.check(now, key, cost)),
                None => Ok(()),
            },
            Mode::Lease { batch } => {
                self.fetch(now, place, key, cost, batch)?;
                self.leased[place][key as usize] -= cost;
                Ok(())
            }
        }
    }

    /// What is left for a key: in the store or, where there is none, at the first gateway.
    pub(super) fn state(&mut self, now: Time, key: u32) -> Verdict {
        let limiter = self.central.as_mut().unwrap_or_else(|| &mut self.own[0]);
        limiter.check(now, key, 0)
    }

    /// How long what a gateway let in last for a key waits.
    pub(super) fn delay(&self, gateway: u32, key: u32) -> Span {
        let limiter = self.own.get(gateway as usize).or(self.central.as_ref());
        limiter.map_or(Span::ZERO, |limiter| limiter.delay(key)).max(self.waited)
    }

    /// Sees to it that a gateway has `cost` of a key's quota: from what it has, or a new batch, or what is left for one.
    fn fetch(&mut self, now: Time, gateway: usize, key: u32, cost: u32, batch: u32) -> Result<(), Denial> {
        let leased = &mut self.leased[gateway];
        if key as usize >= leased.len() {
            leased.resize(key as usize + 1, 0);
        }
        let left = &mut leased[key as usize];
        if *left >= cost {
            return Ok(());
        }
        let Some(central) = &mut self.central else { return Ok(()) };
        let missing = cost - *left;
        let available = central.check(now, key, 0).remaining;
        let wanted = batch.max(missing).min(available).max(missing);
        verdict(central.check(now, key, wanted))?;
        *left += wanted;
        Ok(())
    }

    /// Puts counts together, if that is due: the store learns what was let in, and every gateway what the store knows.
    fn sync(&mut self, now: Time) {
        let Mode::Sync { every } = self.mode else { return };
        if now.since(self.synced_at) < every {
            return;
        }
        self.synced_at = Time(now.0 - now.0 % every.0);
        let Some(central) = &mut self.central else { return };
        for (at, key, cost) in self.unsynced.drain(..) {
            // What is beyond the quota finds it full already.
            let left = central.check(at, key, 0).remaining;
            central.check(at, key, cost.min(left));
        }
        for own in &mut self.own {
            own.clone_from(central);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Algorithm, Key};
    use super::*;

    fn config(limit: u32) -> Config {
        Config::new(Algorithm::FixedWindow, Key::Global, limit, Span::from_secs(1))
    }

    fn shared(limit: u32, gateways: u32, mode: Mode) -> Shared {
        let sharing =
            Sharing { gateways, mode, outages: Vec::new(), timeout: Sharing::TIMEOUT, on_failure: OnFailure::Local };
        Shared::new(&config(limit), &sharing, 1)
    }

    /// Admitted of `rps` requests in the first second, by gateways in turn.
    fn admitted(shared: &mut Shared, rps: u32, gateways: u32) -> u32 {
        let at = |i: u32| Time(u64::from(i) * 1_000_000_000 / u64::from(rps));
        (0..rps).filter(|&i| shared.take(at(i), i % gateways, 0, 1).is_ok()).count() as u32
    }

    #[test]
    fn independent_gateways_let_in_as_many_times_the_quota() {
        assert_eq!(admitted(&mut shared(90, 3, Mode::Independent), 900, 3), 270, "RL-46");
        assert_eq!(admitted(&mut shared(90, 3, Mode::Divided), 900, 1), 30, "RL-45: all traffic on one");
        assert_eq!(admitted(&mut shared(90, 3, Mode::Store), 900, 3), 90);
    }

    #[test]
    fn a_sync_lag_lets_in_at_most_what_arrives_in_it() {
        let mode = Mode::Sync { every: Span::from_millis(200) };
        let admitted = admitted(&mut shared(500, 4, mode), 800, 4);
        assert!(admitted > 500 && admitted <= 500 + 160, "RL-43: {admitted}");
    }

    #[test]
    fn leases_never_exceed_the_quota_and_park_at_most_a_batch_each() {
        let mut four = shared(500, 4, Mode::Lease { batch: 50 });
        assert_eq!(admitted(&mut four, 2000, 4), 500);
        let mut four = shared(500, 4, Mode::Lease { batch: 50 });
        // Each gateway lets one in, and keeps the rest of its batch.
        (0..4).for_each(|gateway| four.take(Time::ZERO, gateway, 0, 1).unwrap());
        let parked: u32 = four.leased.iter().flatten().sum();
        assert!(parked <= 200, "RL-44: {parked}");
        let rest = (0..1000).filter(|_| four.take(Time::ZERO, 0, 0, 1).is_ok()).count();
        assert_eq!(rest as u32, 500 - 4 - 3 * 49, "what the others hold lies unused");
    }

    #[test]
    fn a_store_that_is_away_is_replaced_as_it_was_said() {
        let down = |on_failure| {
            let outages = vec![(Time::ZERO, Time::from_secs_f64(10.0))];
            let sharing = Sharing { gateways: 4, mode: Mode::Store, outages, timeout: Sharing::TIMEOUT, on_failure };
            Shared::new(&config(100), &sharing, 1)
        };
        let mut local = down(OnFailure::Local);
        for gateway in 0..4 {
            let admitted = (0..200).filter(|_| local.take(Time::ZERO, gateway, 0, 1).is_ok()).count();
            assert_eq!(admitted, 25, "RL-48");
        }
        assert!((0..500).all(|_| down(OnFailure::Open).take(Time::ZERO, 0, 0, 1).is_ok()));
        assert_eq!(down(OnFailure::Closed).take(Time::ZERO, 0, 0, 1), Err(Denial::StoreDown), "RL-49");
        // It comes back with what it knew.
        let back = Time::from_secs_f64(10.5);
        assert_eq!((0..200).filter(|_| local.take(back, 0, 0, 1).is_ok()).count(), 100);
    }

    #[test]
    fn a_dead_store_costs_its_time_out_a_few_times_and_not_for_every_request() {
        let outages = vec![(Time::from_secs_f64(1.0), Time::from_secs_f64(60.0))];
        let sharing = Sharing {
            gateways: 1,
            mode: Mode::Store,
            outages,
            timeout: Sharing::TIMEOUT,
            on_failure: OnFailure::Open,
        };
        let mut shared = Shared::new(&config(1_000_000), &sharing, 1);
        let mut waited = |seconds: std::ops::Range<u64>| {
            let mut waits = |ms: u64| {
                shared.take(Time(ms * 1_000_000), 0, 0, 1).expect("all are let in");
                !shared.delay(0, 0).is_zero()
            };
            (seconds.start * 1000..seconds.end * 1000).filter(|&ms| waits(ms)).count()
        };
        assert_eq!(waited(0..1), 0);
        for five_seconds in [1..6, 6..11] {
            let n = waited(five_seconds);
            assert!((5..=25).contains(&n), "RL-47: {n} waited 20 ms");
        }
    }

    /// With one gateway, a store decides as a limiter of one's own.
    #[test]
    fn one_gateway_with_a_store_is_a_local_limiter() {
        for (name, algorithm) in Algorithm::ALL {
            let config = Config { algorithm, ..config(7) };
            for mode in [Mode::Store, Mode::Independent, Mode::Divided, Mode::Lease { batch: 1 }] {
                let sharing = Sharing {
                    gateways: 1,
                    mode,
                    outages: Vec::new(),
                    timeout: Sharing::TIMEOUT,
                    on_failure: OnFailure::Local,
                };
                let (mut shared, mut alone) = (Shared::new(&config, &sharing, 1), Limiter::new(&config, 1));
                for i in 0..500u64 {
                    let now = Time(i * 37_000_000 + i * i % 50_000_000);
                    let same = shared.take(now, 0, 0, 1).is_ok() == alone.admit(now, 0).is_ok();
                    assert!(same, "{name} {mode:?} at {i}");
                }
            }
        }
    }
}
