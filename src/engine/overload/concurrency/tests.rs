use super::*;
use proptest::prelude::*;

const MS: f64 = 1e6;

fn at(algorithm: Algorithm, limit: f64) -> Limiter {
    let mut limiter = Limiter::new(Config::of(algorithm), 1);
    limiter.limit = limit;
    limiter.probing = false;
    limiter
}

#[test]
fn aimd_adds_one_and_takes_a_tenth() {
    for (id, limit, rtt, in_flight, dropped, expected) in [
        ("CB-75", 100.0, 10.0, 50, false, 101.0),
        ("CB-75", 100.0, 10.0, 49, false, 100.0),
        ("CB-76", 100.0, 10.0, 100, true, 90.0),
        ("CB-76", 100.0, 5001.0, 100, false, 90.0),
        ("CB-77", 20.0, 10.0, 20, true, 20.0),
        ("CB-77", 200.0, 10.0, 200, false, 200.0),
    ] {
        let mut limiter = at(Algorithm::Aimd, limit);
        limiter.aimd(rtt * MS, in_flight, dropped);
        assert_eq!(limiter.limit, expected, "{id}");
    }
}

#[test]
fn vegas_holds_a_small_queue() {
    for (id, limit, rtt, in_flight, dropped, expected) in [
        ("CB-78", 20.0, 10.0, 20, false, 26.0),
        ("CB-79", 20.0, 11.0, 20, false, 21.0),
        ("CB-80", 20.0, 12.0, 20, false, 20.0),
        ("CB-80", 20.0, 14.0, 20, false, 20.0),
        ("CB-81", 20.0, 20.0, 20, false, 19.0),
        ("CB-82", 20.0, 20.0, 9, false, 20.0),
        ("CB-83", 20.0, 10.0, 20, true, 19.0),
        ("CB-84", 100.0, 10.0, 60, false, 112.0),
        ("CB-85", 100.0, 11.0, 80, false, 100.0),
        ("CB-85", 100.0, 20.0, 100, false, 98.0),
    ] {
        let mut limiter = at(Algorithm::Vegas, limit);
        limiter.least = 10.0 * MS;
        limiter.vegas(rtt * MS, in_flight, dropped);
        assert_eq!(limiter.limit, expected, "{id} {rtt}");
    }
}

#[test]
fn gradient2_follows_short_against_long() {
    for (id, limit, long, short, in_flight, expected, long_after) in [
        ("CB-86", 20.0, 100.0, 100.0, 20, 20.8, 100.0),
        ("CB-87", 100.0, 100.0, 200.0, 100, 95.8, 100.0),
        ("CB-88", 100.0, 100.0, 300.0, 100, 90.8, 100.0),
        ("CB-89", 100.0, 100.0, 100.0, 40, 100.0, 100.0),
        ("CB-90", 100.0, 300.0, 100.0, 100, 100.8, 285.0),
    ] {
        let mut limiter = at(Algorithm::Gradient2, limit);
        limiter.long = long * MS;
        limiter.follow(short * MS, in_flight, false);
        assert!((limiter.limit - expected).abs() < 1e-9, "{id}: {}", limiter.limit);
        assert!((limiter.long - long_after * MS).abs() < 1e-3, "{id}");
    }
    let mut limiter = at(Algorithm::Gradient2, 100.0);
    limiter.config.min = 1;
    for _ in 0..500 {
        limiter.long = 0.8 / 1.5 * MS;
        limiter.follow(MS, 200, false);
    }
    assert!((limiter.limit - 20.0).abs() < 1e-6, "CB-91: {}", limiter.limit);
}

#[test]
fn the_gradient_of_envoy_leaves_room_for_a_burst() {
    for (id, limit, rtt, expected) in [
        ("CB-92", 100.0, 10.0, 136.1803),
        ("CB-93", 100.0, 12.5, 110.0),
        ("CB-94", 100.0, 25.0, 57.0711),
        ("CB-94", 100.0, 100.0, 57.0711),
        ("CB-95", 4.0, 12.5, 6.0),
        ("CB-95", 900.0, 10.0, 1000.0),
    ] {
        let mut limiter = at(Algorithm::Gradient, limit);
        limiter.least = 10.0 * MS;
        limiter.gradient(rtt * MS, false);
        assert!((limiter.limit - expected).abs() < 1e-4, "{id}: {}", limiter.limit);
    }
    for (g, expected) in [(0.8, 20.0), (0.9, 90.0)] {
        let mut limiter = at(Algorithm::Gradient, 100.0);
        limiter.least = g / 1.25 * MS;
        for _ in 0..500 {
            limiter.gradient(MS, false);
        }
        assert!((limiter.limit - expected).abs() < 1e-6, "CB-96: {}", limiter.limit);
    }
}

#[test]
fn the_least_latency_is_measured_at_a_pinned_limit() {
    let mut limiter = Limiter::new(Config::of(Algorithm::Gradient), 1);
    assert_eq!(limiter.limit(), 3);
    let mut now = Time::ZERO;
    for _ in 0..50 {
        assert!(limiter.acquire(now));
        now += Span::from_millis(10);
        limiter.release(now, Span::from_millis(10), End::Sample);
    }
    assert_eq!(limiter.least, 10.0 * MS);
    assert!(!limiter.probing);
    assert!(limiter.acquire(now + Span::from_secs(36)), "it is measured again, with a limit of three");
    assert!(limiter.probing);
}

#[test]
fn breakwater_grants_more_below_the_target_and_less_the_more_it_is_above() {
    for (id, delay, clients, expected) in [
        ("CB-102", 40.0, 5000, 1005.0),
        ("CB-102", 40.0, 100, 1001.0),
        ("CB-103", 80.0, 100, 1000.0),
        ("CB-104", 160.0, 100, 980.0),
        ("CB-105", 4800.0, 100, 500.0),
    ] {
        let mut limiter = at(Algorithm::Breakwater, 1000.0);
        (limiter.config.clients, limiter.config.max) = (clients, 2000);
        limiter.grant(delay, 80.0);
        assert_eq!(limiter.limit, expected, "{id}");
    }
}

/// Credits as Breakwater's server keeps account of them, with what clients get beyond their demand; by client.
#[derive(Debug)]
struct Ledger {
    credits: u32,
    held: Vec<u32>,
    in_flight: Vec<u32>,
}

impl Ledger {
    fn issued(&self) -> u32 {
        self.held.iter().sum()
    }

    fn over_commitment(&self) -> u32 {
        (self.credits.saturating_sub(self.issued()) / self.held.len() as u32).max(1)
    }

    /// What client `x` may hold from now on, as it is told with an answer, or when it says that it has something to send.
    fn grant(&mut self, x: usize, demand: u32) {
        let most = demand + self.over_commitment();
        let free = self.credits.saturating_sub(self.issued());
        let held = if free > 0 { self.held[x] + free } else { self.held[x].saturating_sub(1) };
        self.held[x] = held.min(most).max(self.in_flight[x]);
    }

    /// Takes an unused credit from somebody; true if there was one. Over a network this takes a message, and an answer.
    fn revoke(&mut self) -> bool {
        let unused = (0..self.held.len()).find(|&x| self.held[x] > self.in_flight[x]);
        unused.inspect(|&x| self.held[x] -= 1).is_some()
    }

    fn admits(&mut self, x: usize) -> bool {
        if self.held[x] == self.in_flight[x] {
            if self.issued() >= self.credits {
                self.revoke();
            }
            self.grant(x, self.in_flight[x] + 1);
        }
        let has_one = self.held[x] > self.in_flight[x];
        self.in_flight[x] += u32::from(has_one);
        has_one
    }

    fn ended(&mut self, x: usize) {
        self.in_flight[x] -= 1;
        self.grant(x, self.in_flight[x]);
    }

    fn set(&mut self, credits: u32) {
        self.credits = credits;
        while self.issued() > credits && self.revoke() {}
    }
}

#[test]
fn breakwater_gives_clients_a_share_of_what_is_not_issued_or_one() {
    let ledger = |issued: u32| Ledger { credits: 1000, held: vec![issued / 50; 50], in_flight: vec![0; 50] };
    assert_eq!([ledger(800), ledger(1200)].map(|ledger| ledger.over_commitment()), [4, 1], "CB-106");
}

proptest! {
    /// Who keeps the credits himself lets the same in with over-commitment as without.
    #[test]
    fn credits_beyond_demand_change_nothing_where_the_gateway_keeps_them(
        clients in 1usize..6,
        steps in proptest::collection::vec((0usize..6, 0u8..8, 1u32..12), 1..200),
    ) {
        let mut limiter = at(Algorithm::Breakwater, 5.0);
        let mut ledger = Ledger { credits: 5, held: vec![0; clients], in_flight: vec![0; clients] };
        for (client, step, limit) in steps {
            let client = client % clients;
            match step {
                0 => {
                    limiter.limit = f64::from(limit);
                    ledger.set(limit);
                }
                1..=4 => prop_assert_eq!(limiter.acquire(Time::ZERO), ledger.admits(client)),
                _ if ledger.in_flight[client] == 0 => {}
                _ => {
                    limiter.release(Time::ZERO, Span::ZERO, End::Ignored);
                    ledger.ended(client);
                }
            }
        }
    }
}

/// A thousand requests that all time out look stable: only a limiter that counts them as drops shrinks.
#[test]
fn time_outs_shrink_every_limit() {
    for (name, algorithm) in Algorithm::ALL {
        let mut limiter = at(algorithm, 150.0);
        limiter.config.min = 5;
        limiter.probe_at = Time::MAX;
        let mut now = Time::ZERO;
        for _ in 0..100 {
            let taken = (0..20).filter(|_| limiter.acquire(now)).count();
            now += Span::from_secs(1);
            (0..taken).for_each(|_| limiter.release(now, Span::from_secs(1), End::Dropped));
        }
        assert!(limiter.limit < 130.0, "{name}: {}", limiter.limit);
    }
}

proptest! {
    #[test]
    fn limits_stay_within_their_bounds(
        algorithm in 0usize..5,
        ends in proptest::collection::vec((0u64..20_000_000_000, 0u8..3, 1usize..40), 1..200),
    ) {
        let config = Config::of(Algorithm::ALL[algorithm].1);
        let mut limiter = Limiter::new(config, 1);
        let mut now = Time::ZERO;
        for (rtt, end, burst) in ends {
            let taken = (0..burst).filter(|_| limiter.acquire(now)).count();
            prop_assert!(limiter.in_flight as usize == taken);
            now += Span(rtt / 7 + 1);
            for _ in 0..taken {
                limiter.release(now, Span(rtt), [End::Sample, End::Dropped, End::Ignored][end as usize]);
            }
            prop_assert!(limiter.limit >= f64::from(config.min) && limiter.limit <= f64::from(config.max));
            prop_assert_eq!(limiter.in_flight, 0);
        }
    }
}
