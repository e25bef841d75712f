//! Gateways that share their quotas in a Redis server: exactly, and by a known rule when it is away.

mod server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use server::{Asker, Server};
use wavetank::engine::limiter::outside::{Lapse, Tally};
use wavetank::engine::limiter::{Algorithm, Config, Key, Limiter, WindowStart};
use wavetank::rng::{Dice, Stream};
use wavetank::units::{Span, Time};

use crate::gateway::teller::Teller;
use crate::gateway::world::Gateway;

/// Fifty requests at once, and then one a day: nothing comes back while a test runs.
const FIFTY: &str = "algorithm = \"gcra\"\nlimit = 1\nwindow = \"1d\"\nburst = 50\nkey = \"global\"";

/// A gateway with a quota in the store.
fn gateway(server: &Server, teller: &Teller, store: &str, limiter: &str, shared: &str) -> Gateway {
    let port = server.port;
    Gateway::before(
        &[teller],
        &format!(
            "quota_store = {{ url = \"redis://127.0.0.1:{port}/0\"{store} }}\n[limiter]\n{limiter}\n\
             shared = {{ gateways = 2, mode = \"store\"{shared} }}"
        ),
    )
}

fn tally(gateway: &Gateway) -> Tally {
    gateway.system.as_ref().unwrap().driver().with(|_, core| core.engine.store().copied().unwrap_or_default())
}

/// How often something happened.
fn count(gateway: &Gateway, kind: &str) -> usize {
    let driver = gateway.system.as_ref().unwrap().driver();
    driver.with(|_, core| core.log.entries().filter(|entry| entry.event.kind.name() == kind).count())
}

/// Looks until it holds; what happens is looked for in the log, which the control loop writes.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{what} never came");
}

/// How many of so many requests pass.
fn passed(gateway: &Gateway, requests: usize) -> usize {
    (0..requests).filter(|_| gateway.get("/").status == 200).count()
}

#[test]
fn two_gateways_have_one_quota_between_them() {
    let Some(server) = Server::start() else { return };
    let teller = Teller::start();
    let both = [(); 2].map(|()| gateway(&server, &teller, "", FIFTY, ", timeout = \"10s\""));
    let let_in = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (both, let_in) = (&both, &let_in);
            scope.spawn(move || let_in.fetch_add(passed(&both[i % 2], 25), Ordering::Relaxed));
        }
    });
    assert_eq!(let_in.into_inner(), 50, "as many as one caller would have had");
    let tallies = both.each_ref().map(tally);
    assert_eq!(tallies.iter().map(|tally| tally.allowed).sum::<u64>(), 50);
    assert_eq!(tallies.map(|tally| tally.allowed + tally.refused), [100, 100]);
    assert!(tallies.iter().all(|tally| tally.failed == [0; 3] && tally.longest > Span::ZERO));
    let refused = both[0].get("/");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.field("x-ratelimit-limit").as_deref(), Some("50"));
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "the store says when: {wait} s");
    both.iter().for_each(Gateway::settles);
}

#[test]
fn a_server_that_has_forgotten_the_script_is_given_it_again() {
    let Some(server) = Server::start() else { return };
    let teller = Teller::start();
    let one = gateway(&server, &teller, "", FIFTY, ", timeout = \"10s\", on_failure = \"closed\"");
    assert_eq!(passed(&one, 20), 20);
    server.connect().ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(passed(&one, 40), 30, "what was counted is still there");
    assert_eq!(tally(&one).failed, [0; 3]);
}

#[test]
fn while_the_server_is_away_it_is_as_was_said_and_then_the_quota_holds_again() {
    let Some(mut server) = Server::start() else { return };
    let teller = Teller::start();
    let of = |on_failure| {
        gateway(&server, &teller, "", FIFTY, &format!(", timeout = \"10s\", on_failure = \"{on_failure}\""))
    };
    let [open, closed, local] = ["open", "closed", "local"].map(of);
    assert_eq!(passed(&open, 60), 50);
    server.kill();
    assert_eq!(passed(&open, 60), 60, "open: everything passes");
    assert_eq!(passed(&local, 60), 25, "RL-48: local: its part of the quota, as one of two");
    assert_eq!(passed(&closed, 60), 0, "closed: nothing passes");
    let refused = closed.get("/");
    assert_eq!((refused.status, refused.field("retry-after").as_deref()), (503, Some("5")), "RL-49");
    assert_eq!(refused.field("wavetank-refused").as_deref(), Some("shed"), "RL-49: not rate_limited");
    for gateway in [&open, &closed, &local] {
        until("the loss", || count(gateway, "quota_store_lost") == 1);
        let tally = tally(gateway);
        assert!(tally.failed[Lapse::Unreachable as usize] >= 5 && tally.unasked > 0, "RL-47: {tally:?}");
    }
    server.begin();
    for gateway in [&open, &closed, &local] {
        until("its return", || {
            gateway.get("/");
            count(gateway, "quota_store_back") == 1
        });
    }
    let used = [&open, &closed, &local].map(|gateway| tally(gateway).allowed).iter().sum::<u64>() - 50;
    assert_eq!(passed(&closed, 60), 50 - used as usize, "an empty server begins with a full quota, and holds it");
    assert_eq!(passed(&open, 10), 0);
    [open, closed, local].iter().for_each(Gateway::settles);
}

#[test]
fn nobody_is_held_longer_than_the_time_out() {
    let Some(server) = Server::start() else { return };
    let teller = Teller::start();
    let one = gateway(&server, &teller, "", FIFTY, ", timeout = \"20ms\", on_failure = \"open\"");
    server.signal("STOP");
    // A server that is stopped answers none of these, ever: that answers come at all is the proof.
    assert_eq!(passed(&one, 20), 20);
    let stopped = tally(&one);
    let late = stopped.failed[Lapse::TimedOut as usize];
    assert!(late >= 5 && stopped.unasked > 0, "RL-47: a few wait, the others do not: {stopped:?}");
    server.signal("CONT");
    until("its return", || {
        one.get("/");
        count(&one, "quota_store_back") == 1
    });
    until("the end of the quota", || one.get("/").status == 429);
}

#[test]
fn questions_under_way_are_bounded() {
    let Some(server) = Server::start() else { return };
    let teller = Teller::start();
    let one = gateway(&server, &teller, ", in_flight = 1", FIFTY, ", timeout = \"60s\", on_failure = \"open\"");
    server.signal("STOP");
    let mut clients = [(); 2].map(|()| one.send(crate::gateway::world::get("/")));
    until("the second of two", || tally(&one).failed[Lapse::Crowded as usize] == 1);
    server.signal("CONT");
    assert!(clients.iter_mut().all(|client| client.answer().unwrap().status == 200));
    let tally = tally(&one);
    assert_eq!((tally.allowed, tally.failed), (1, [0, 0, 1]));
}

#[test]
fn a_request_that_one_rule_refuses_is_charged_to_none() {
    let Some(server) = Server::start() else { return };
    let teller = Teller::start();
    let rules = "algorithm = \"gcra\"\nlimit = 1\nwindow = \"1d\"\nburst = 3\nkey = \"global\"\n\
                 also = [{ algorithm = \"fixed_window\", limit = 5, window = \"52w\", key = \"client\" }]";
    let one = gateway(&server, &teller, "", rules, ", timeout = \"10s\"");
    assert_eq!(passed(&one, 10), 3);
    let mut asker = server.connect();
    assert_eq!(asker.ask(&["DBSIZE"]), [2], "a key for each rule");
    let metrics = one.system.as_ref().unwrap().control();
    let page = crate::serving::raw(
        metrics,
        &format!("GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n"),
    );
    for line in [
        "wavetank_quota_store_decisions_total{decision=\"allowed\"} 3",
        "wavetank_quota_store_decisions_total{decision=\"refused\"} 7",
        "wavetank_quota_store_failures_total{reason=\"timeout\"} 0",
        "wavetank_quota_store_duration_seconds_count 10",
        "wavetank_quota_store_up 1",
    ] {
        assert!(page.1.contains(line), "{line} is not in {}", page.1);
    }
}

/// The script, told the time instead of asking for it.
fn told_the_time() -> String {
    let script = include_str!("../../src/live/quotas/decide.lua");
    let told = script.replace("redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }");
    assert_ne!(script, told);
    told
}

/// The script's answer for one rule.
fn decides(asker: &mut Asker, script: &str, key: &str, rule: [&str; 4], cost: u32, micros: u64) -> Vec<i64> {
    let (cost, seconds, rest) =
        (cost.to_string(), (micros / 1_000_000).to_string(), (micros % 1_000_000).to_string());
    let [kind, limit, window, burst] = rule;
    asker.ask(&["EVAL", script, "1", key, &cost, kind, limit, window, burst, &seconds, &rest])
}

#[test]
fn the_store_decides_as_the_engine_does() {
    let Some(server) = Server::start() else { return };
    let (mut asker, script) = (server.connect(), told_the_time());
    let dice = Dice::new(7, Stream::Noise);
    // 7 a second is no whole number of microseconds; 2^53 is near with the last.
    let cases = [
        (7u32, 1_000_000u64, 7u32),
        (3, 1_000_000, 10),
        (1000, 60_000_000, 1000),
        (100_000, 86_400_000_000, 100_000),
    ];
    let kinds = [
        ("gcra", Algorithm::Gcra, WindowStart::Aligned),
        ("sliding", Algorithm::SlidingWindow, WindowStart::Aligned),
        ("fixed", Algorithm::FixedWindow, WindowStart::Aligned),
        ("first", Algorithm::FixedWindow, WindowStart::FirstRequest),
    ];
    for (kind, algorithm, window_start) in kinds {
        for (case, (limit, window, burst)) in cases.into_iter().enumerate() {
            let bucket = algorithm == Algorithm::Gcra;
            let burst = if bucket { burst } else { limit };
            let config = Config {
                burst: bucket.then_some(burst),
                window_start,
                ..Config::new(algorithm, Key::Global, limit, Span::from_micros(window))
            };
            let mut limiter = Limiter::new(&config, 1);
            let words = [kind, &limit.to_string(), &window.to_string(), &burst.to_string()];
            let mut now = 1_795_000_000_123_456u64;
            for i in 0..400u64 {
                let mut draws = dice.sub(case as u64, i);
                // Mostly a few requests apart, at times half a window or a step back.
                let apart = (draws.unit() * 3.0 * window as f64 / f64::from(limit)) as u64;
                now = match draws.bits() % 20 {
                    0 => now + window / 2 + apart,
                    1 => now - apart,
                    _ => now + apart,
                };
                let cost = match draws.bits() % 8 {
                    0 => limit / 2 + 1,
                    1 => burst + 1,
                    _ => 1,
                };
                let verdict = limiter.check(Time(now * 1000), 0, cost);
                let up = |span: Span| span.0.div_ceil(1000) as i64;
                let expected = vec![
                    i64::from(verdict.allowed),
                    0,
                    i64::from(verdict.remaining),
                    verdict.retry_after.map_or(-1, up),
                    up(verdict.reset_after),
                ];
                let key = format!("{kind}{case}");
                let decided = decides(&mut asker, &script, &key, words, cost, now);
                assert_eq!(decided, expected, "{config:?}, request {i} at {now} µs of cost {cost}");
            }
            let lasts = asker.ask(&["PTTL", &format!("{kind}{case}")]);
            assert!(lasts[0] > 0, "{kind}: a key without an end is a client locked out for ever");
        }
    }
}
