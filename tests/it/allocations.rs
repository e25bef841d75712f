//! The way of a request through the engine allocates nothing, whatever the engine is set to: counted, not believed.

use std::collections::VecDeque;

use allocation_counter::measure;
use wavetank::engine::balancer::prequal::Answer;
use wavetank::engine::balancer::{self, Joining, Sampling, Score, Strategy, Ties};
use wavetank::engine::overload::{self, concurrency, limits, priority};
use wavetank::engine::request::{Admission, Completion, InstanceId, Outcome, Request};
use wavetank::engine::{Config, Engine, balancer::Balancer, breaker, limiter};
use wavetank::rng::{Dice, Stream};
use wavetank::units::{Span, Time};

const CLIENTS: u32 = 64;

/// Plays `requests` requests from number `from` on, a few in flight at a time, every seventh a retry that avoids an instance.
fn play(engine: &mut Engine, open: &mut VecDeque<Completion>, from: u64, requests: u64) {
    for i in from..from + requests {
        let now = Time(i * 100_000);
        let retries = i % 7 == 0;
        let request = Request {
            index: i,
            attempt: if retries { 2 } else { 1 },
            client: (i % u64::from(CLIENTS)) as u32,
            endpoint: 0,
            region: 0,
            avoid: retries.then_some(InstanceId((i % 5) as u32)),
        };
        if let Admission::Forward { instance, permit } = engine.admit(now, &request) {
            let outcome = if i % 50 == 0 { Outcome::ServerError } else { Outcome::Success };
            let latency = Span(1_000_000 + i % 1000);
            open.push_back(Completion { instance, permit, endpoint: 0, is_retry: false, outcome, latency });
        }
        while let Some(id) = engine.next_probe() {
            engine.probed(now, id, Answer { rif: (i % 9) as u32, latency: Span(i % 77) });
        }
        if open.len() > 40 {
            let completion = open.pop_front().expect("it is not empty");
            engine.completed(now, &completion);
        }
    }
}

/// Allocations of 20,000 requests after 20,000 that make tables and queues as large as they get.
fn allocations(config: &Config) -> u64 {
    let mut engine = Engine::new(config);
    (0..12).for_each(|_| {
        engine.adopt(Time::ZERO);
    });
    let mut open = VecDeque::with_capacity(64);
    play(&mut engine, &mut open, 0, 20_000);
    let info = measure(|| play(&mut engine, &mut open, 20_000, 20_000));
    info.count_total
}

fn engine(balancer: balancer::Config) -> Config {
    Config {
        seed: 1,
        endpoints: vec!["/".to_string()],
        clients: CLIENTS as usize,
        regions: 1,
        balancer,
        ..Config::default()
    }
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(std::hint::black_box(vec![1u8; 100]))).count_total > 0);
}

#[test]
fn no_strategy_allocates_for_a_request() {
    for (name, strategy) in Strategy::ALL {
        for weights in [vec![], vec![1, 3]] {
            for (_, sampling) in Sampling::ALL {
                let config = balancer::Config { strategy, weights: weights.clone(), sampling, ..Default::default() };
                assert_eq!(allocations(&engine(config)), 0, "{name}, weights {weights:?}, {sampling:?}");
            }
        }
    }
}

#[test]
fn no_feature_of_the_balancer_allocates_for_a_request() {
    for (_, ties) in Ties::ALL {
        for (_, score) in Score::ALL {
            let config = balancer::Config { ties, score: Some(score), weights: vec![1, 2, 2], ..Default::default() };
            assert_eq!(allocations(&engine(config)), 0, "{ties:?} {score:?}");
        }
    }
    let aware = balancer::routing::ZoneAware { zones: 2, callers: vec![0.7, 0.3], min_instances: 0 };
    let all = balancer::Config {
        sticky: Some(Span::from_millis(1)),
        zone_aware: Some(aware),
        priorities: vec![0, 0, 1],
        slow_start: Some(balancer::slow_start::Config::over(Span::from_secs(1))),
        instance_limit: Some(4),
        ejection: Some(balancer::ejection::Config::default()),
        passive: Some(balancer::passive::Config { max_fails: 2, fail_timeout: Span::from_millis(50) }),
        ..Default::default()
    };
    for strategy in [Strategy::LeastConnections, Strategy::Weighted, Strategy::PeakEwma] {
        assert_eq!(allocations(&engine(balancer::Config { strategy, ..all.clone() })), 0, "{strategy:?}");
    }
    for strategy in [Strategy::IpHash, Strategy::RingHash, Strategy::Maglev] {
        let config = balancer::Config { strategy, bounded_load: Some(125), ..Default::default() };
        assert_eq!(allocations(&engine(config)), 0, "{strategy:?}");
    }
}

#[test]
fn an_exact_log_takes_eight_bytes_for_each_request_of_its_window() {
    // A minute of so many a second, spread over so many keys.
    for (id, per_second, keys, megabytes) in [("RL-01", 5_000, 1, 2.4), ("RL-02", 100_000, 100, 48.0)] {
        let (all, window) = (60 * per_second, Span::from_secs(60));
        let config = limiter::Config::new(limiter::Algorithm::SlidingLog, limiter::Key::Client, all / keys, window);
        let mut log = None;
        let info = measure(|| {
            let log = log.insert(limiter::Limiter::new(&config, keys as usize));
            let mut at = |i: u64| log.admit(Time(i * 1_000_000_000 / u64::from(per_second)), i as u32 % keys);
            assert!((0..u64::from(all)).all(|i| at(i).is_ok()), "{id}");
            // The next minute takes the places of the first.
            assert!((u64::from(all)..2 * u64::from(all)).all(|i| at(i).is_ok()), "{id}");
        });
        let beyond = info.bytes_current as f64 / 1e6 - megabytes;
        // What a key has beside its log is less than 64 bytes.
        assert!((0.0..64e-6 * f64::from(keys)).contains(&beyond), "{id}: {} bytes", info.bytes_current);
    }
}

#[test]
fn neither_limiters_nor_breakers_allocate_for_a_request() {
    for (name, algorithm) in limiter::Algorithm::ALL {
        for scope in [breaker::Scope::Instance, breaker::Scope::Service, breaker::Scope::Endpoint] {
            let limiter = limiter::Config::new(algorithm, limiter::Key::Client, 8, Span::from_millis(50));
            let breaker = breaker::Config { scope, ..breaker::Config::default() };
            let config =
                Config { limiter: Some(limiter), breaker: Some(breaker), ..engine(balancer::Config::default()) };
            assert_eq!(allocations(&config), 0, "{name} {scope:?}");
        }
    }
}

#[test]
fn overload_control_allocates_nothing_for_a_request() {
    for (name, algorithm) in concurrency::Algorithm::ALL {
        let overload = overload::Config {
            limits: Some(limits::Limits { requests: Some(30), ..Default::default() }),
            concurrency: Some(concurrency::Config::of(algorithm)),
            priority: Some(priority::Config::default()),
            criticality: vec![1],
        };
        let config = Config { overload, ..engine(balancer::Config::default()) };
        assert_eq!(allocations(&config), 0, "{name}");
    }
}

/// The same at a fleet that is never in the tests' cache: growing tables would show.
#[test]
fn a_thousand_instances_allocate_nothing_either() {
    let dice = Dice::new(1, Stream::Balancer);
    for (name, strategy) in Strategy::ALL {
        let mut balancer = Balancer::new(&balancer::Config { strategy, ..Default::default() }, 1, 1);
        (0..1000).for_each(|i| balancer.join(Time::ZERO, InstanceId(i), Joining::Adopted));
        let mut play = |from: u64| {
            for i in from..from + 2000 {
                let request = Request { index: i, attempt: 1, client: 0, endpoint: 0, region: 0, avoid: None };
                let id = balancer.pick(Time(i), &request, || dice.draws(i)).expect("there are a thousand");
                while let Some(id) = balancer.next_probe() {
                    balancer.probed(Time(i), id, Answer { rif: 1, latency: Span(1) });
                }
                balancer.withdraw(id);
            }
        };
        play(0);
        assert_eq!(measure(|| play(2000)).count_total, 0, "{name}");
    }
}
