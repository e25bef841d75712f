//! Worked examples of whole balancers: what a configuration does, pick by pick.

use super::tests::{NOW, avoiding, balancer, ends, ends_well, of_client, picks, shares, with};
use super::*;
use crate::engine::request::Outcome;
use crate::rng::{Dice, Stream};
use crate::units::Span;

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

/// A balancer whose members have so many requests in flight.
fn loaded(config: Config, in_flight: &[u32]) -> Balancer {
    let mut b = with(config, in_flight.len() as u32);
    for (member, &n) in b.members.iter_mut().zip(in_flight) {
        member.in_flight = n;
    }
    b.refresh(NOW);
    b
}

fn least(score: Score, weights: &[u32]) -> Config {
    Config { score: Some(score), weights: weights.to_vec(), ..Config::default() }
}

#[test]
fn variants_of_least_loaded_differ_where_they_are_known_to() {
    for (id, score, weights, in_flight, expected) in [
        ("LB-24", Score::RatioPlusOne, [1, 4], [0, 0], "B"),
        ("LB-25", Score::RatioPlusOne, [4, 1], [4, 2], "A"),
        ("all idle tie", Score::Ratio, [1, 4], [0, 0], "A"),
        ("idle first", Score::IdleFirst, [9, 1], [1, 0], "B"),
        ("else plus one", Score::IdleFirst, [4, 1], [4, 1], "A"),
    ] {
        assert_eq!(picks(&mut loaded(least(score, &weights), &in_flight), 1), expected, "{id}");
    }
}

#[test]
fn a_bias_makes_requests_in_flight_count_against_a_weight() {
    for (id, weight, in_flight, bias, expected) in [
        ("LB-20", 2, 4, 1.0, 0.4),
        ("LB-21", 10, 3, 1.0, 2.5),
        ("LB-22", 10, 3, 0.5, 5.0),
        ("LB-23", 10, 3, 2.0, 0.625),
    ] {
        assert!((strategies::biased_weight(weight, in_flight, bias) - expected).abs() < 1e-12, "{id}");
    }
}

#[test]
fn deadlines_share_by_weight() {
    let edf = |strategy, weights: &[u32]| balancer(strategy, weights, weights.len() as u32);
    assert_eq!(picks(&mut edf(Strategy::WeightedEdf, &[5, 1, 1]), 7), "AAAABCA", "LB-11");
    assert_eq!(picks(&mut edf(Strategy::WeightedEdf, &[1, 2]), 6), "BABBAB", "LB-12");
    assert_eq!(picks(&mut edf(Strategy::LeastConnectionsEdf, &[3, 2]), 5), "ABABA", "LB-13: idle, it is round robin");
}

#[test]
fn two_choices_with_replacement_sometimes_take_the_most_loaded() {
    // 60,000 picks: the standard error of a share of 1/4 is 0.0018; four of them are 0.0071.
    for (id, n, expected) in [("LB-29", 2, vec![0.75, 0.25]), ("LB-31", 5, vec![0.36, 0.28, 0.20, 0.12, 0.04])] {
        let in_flight: Vec<u32> = (0..n).collect();
        let config =
            Config { strategy: Strategy::PowerOfTwoChoices, sampling: Sampling::Replacement, ..Config::default() };
        let shares = shares(&mut loaded(config, &in_flight), NOW, 60_000);
        for (share, want) in shares.into_iter().zip(expected) {
            assert!((share - want).abs() < 0.0071, "{id}: {share} for {want}");
        }
    }
}

#[test]
fn the_least_of_d_choices_is_the_least_of_all_when_d_is_all() {
    let config =
        Config { strategy: Strategy::PowerOfTwoChoices, choices: 4, score: Some(Score::Ratio), ..Config::default() };
    assert_eq!(shares(&mut loaded(config, &[3, 2, 0, 1]), NOW, 1000), [0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn random_follows_weights() {
    let shares = shares(&mut balancer(Strategy::Random, &[1, 2, 5], 3), NOW, 60_000);
    for (share, want) in shares.into_iter().zip([0.125, 0.25, 0.625]) {
        assert!((share - want).abs() < 0.008, "{share} for {want}");
    }
}

#[test]
fn the_idle_are_joined_and_otherwise_anybody() {
    let config = Config { strategy: Strategy::JoinIdleQueue, ..Config::default() };
    assert_eq!(shares(&mut loaded(config.clone(), &[3, 0, 1]), NOW, 500), [0.0, 1.0, 0.0]);
    let anybody = shares(&mut loaded(config, &[3, 1, 1]), NOW, 30_000);
    assert!(anybody.iter().all(|share| (share - 1.0 / 3.0).abs() < 0.011), "{anybody:?}");
}

#[test]
fn bounded_load_is_in_whole_slots() {
    for (id, in_flight, percent, share, expected) in [
        ("LB-54", 19, 125, (1, 4), 7),
        ("LB-55", 0, 125, (1, 4), 1),
        ("LB-56", 99, 120, (1, 5), 24),
        ("LB-57", 19, 150, (1, 10), 3),
    ] {
        assert_eq!(strategies::slots(in_flight, percent, share.0, share.1), expected, "{id}");
    }
}

#[test]
fn a_hot_key_spills_over_and_its_neighbours_stay() {
    for strategy in [Strategy::IpHash, Strategy::NginxIpHash, Strategy::RingHash, Strategy::Maglev] {
        let config = Config { strategy, bounded_load: Some(125), ..Config::default() };
        let mut b = with(config, 8);
        let dice = Dice::new(2, Stream::Balancer);
        let mut held = vec![0u64; 8];
        for i in 0..400 {
            // One client asks for everything and nothing ends.
            let id = b.pick(NOW, &of_client(7), || dice.draws(i)).unwrap();
            let slots = strategies::slots(i, 125, 1, 8);
            assert!(held[id.0 as usize] < slots, "{strategy:?}: {held:?} with {i} in flight");
            held[id.0 as usize] += 1;
        }
        assert_eq!(b.in_flight_total(), 400);
        let unbounded = Config { strategy, ..Config::default() };
        let first = |b: &mut Balancer, client| b.pick(NOW, &of_client(client), || dice.draws(0)).unwrap();
        let (mut bounded, mut free) =
            (with(Config { bounded_load: Some(200), ..unbounded.clone() }, 8), with(unbounded, 8));
        for client in 0..100 {
            let (a, b) = (first(&mut bounded, client), first(&mut free, client));
            assert_eq!(a, b, "{strategy:?}: an idle fleet knows no bound");
            bounded.withdraw(a);
        }
    }
}

#[test]
fn hashing_sends_a_client_to_one_instance_and_a_retry_to_another() {
    let dice = Dice::new(2, Stream::Balancer);
    for strategy in [Strategy::IpHash, Strategy::NginxIpHash, Strategy::RingHash, Strategy::Maglev] {
        let mut b = with(Config { strategy, weights: vec![1, 3], ..Config::default() }, 6);
        let mut counts = vec![0u32; 6];
        for client in 0..20_000 {
            let id = b.pick(NOW, &of_client(client), || dice.draws(u64::from(client))).unwrap();
            let again = b.pick(NOW, &of_client(client), || dice.draws(77)).unwrap();
            assert_eq!(id, again, "{strategy:?}");
            let other = b.pick(NOW, &avoiding(client, id.0), || dice.draws(3)).unwrap();
            assert_ne!(id, other, "{strategy:?}");
            [id, again, other].into_iter().for_each(|id| b.withdraw(id));
            counts[id.0 as usize] += 1;
        }
        if strategy != Strategy::NginxIpHash {
            // Weights 1 and 3 in turn: shares of 1/12 and 3/12, and a ring of 1,024 points is a tenth off.
            for (i, &count) in counts.iter().enumerate() {
                let share = f64::from(count) / 20_000.0 * 12.0;
                let want = [1.0, 3.0][i % 2];
                assert!((share / want - 1.0).abs() < 0.35, "{strategy:?}: {counts:?}");
            }
        }
    }
}

fn aware(zones: u32, callers: &[f64]) -> Option<routing::ZoneAware> {
    Some(routing::ZoneAware { zones, callers: callers.to_vec(), min_instances: 0 })
}

#[test]
fn traffic_stays_in_its_zone_as_far_as_it_has_instances() {
    // Zone 0 has instances 0 and 3, zone 1 the other four of seven… which join as 1, 2 mod 3: three zones of two.
    let config = Config { zone_aware: aware(3, &[0.5, 0.25, 0.25]), strategy: Strategy::Random, ..Config::default() };
    let shares = shares(&mut with(config, 6), NOW, 90_000);
    // Two thirds of zone 0's half stay, a sixth is spread: everybody has an equal share.
    assert!(shares.iter().all(|share| (share - 1.0 / 6.0).abs() < 0.006), "{shares:?}");
    let config = Config { zone_aware: aware(3, &[0.2, 0.4, 0.4]), strategy: Strategy::Random, ..Config::default() };
    let mut b = with(config, 6);
    b.set_broken(NOW, InstanceId(1), true);
    b.set_broken(NOW, InstanceId(4), true);
    let shares = super::tests::shares(&mut b, NOW, 90_000);
    // Zone 1 has nobody: its 0.4 go to the zones with room, 0.3 to zone 0 and 0.1 to zone 2.
    for (share, want) in shares.into_iter().zip([0.25, 0.0, 0.25, 0.25, 0.0, 0.25]) {
        assert!((share - want).abs() < 0.007, "{share} for {want}");
    }
}

#[test]
fn a_tier_gets_what_the_one_before_has_no_health_for() {
    let config = Config { priorities: vec![0, 1], strategy: Strategy::Random, ..Config::default() };
    let mut b = with(config, 8);
    assert_eq!(shares(&mut b, NOW, 1000).iter().skip(1).step_by(2).sum::<f64>(), 0.0, "the first tier carries all");
    b.set_healthy(NOW, InstanceId(0), false);
    b.set_healthy(NOW, InstanceId(2), false);
    // LB-115: half of the first tier is healthy, 70 percent.
    let second: f64 = shares(&mut b, NOW, 60_000).iter().skip(1).step_by(2).sum();
    assert!((second - 0.3).abs() < 0.008, "{second}");
    for id in [0, 2, 4, 6] {
        b.set_healthy(NOW, InstanceId(id), false);
    }
    assert!(!b.panics(), "the second tier carries all of it");
    let shares = shares(&mut b, NOW, 1000);
    assert_eq!(shares.iter().step_by(2).sum::<f64>(), 0.0, "LB-117");
}

#[test]
fn panic_sends_to_all_that_were_ever_healthy() {
    let mut b = with(Config { strategy: Strategy::RoundRobin, ..Config::default() }, 4);
    for id in [0, 1] {
        b.set_healthy(NOW, InstanceId(id), false);
    }
    assert_eq!((b.panics(), b.candidates()), (false, 2), "LB-109");
    b.set_healthy(NOW, InstanceId(2), false);
    assert_eq!((b.panics(), b.candidates()), (true, 4), "LB-110");
    assert!(matches!(
        b.take_notices()[..],
        [Notice::PanicBegan { health: TierHealth { healthy: 1, initialised: 4 }, .. }]
    ));

    let mut b = with(Config { strategy: Strategy::RoundRobin, ..Config::default() }, 3);
    (3..7).for_each(|id| b.join(NOW, InstanceId(id), Joining::Unchecked));
    assert_eq!((b.panics(), b.candidates()), (false, 3), "LB-111");

    let mut b = with(Config { panic_threshold: 0.0, ..Config::default() }, 4);
    (0..4).for_each(|id| b.set_healthy(NOW, InstanceId(id), false));
    assert_eq!(
        b.pick(NOW, &of_client(0), || Dice::new(1, Stream::Balancer).draws(0)),
        Err(Refusal::Nobody),
        "LB-112"
    );
}

#[test]
fn panic_may_shed_instead() {
    let config = Config { panic: Panic::Shed { above: 2 }, ..Config::default() };
    let mut b = with(config, 4);
    (0..3).for_each(|id| b.set_healthy(NOW, InstanceId(id), false));
    let dice = Dice::new(1, Stream::Balancer);
    let mut pick = || b.pick(NOW, &of_client(0), || dice.draws(0));
    assert_eq!([pick(), pick(), pick()], [Ok(InstanceId(3)), Ok(InstanceId(3)), Err(Refusal::Shed)]);
}

#[test]
fn a_full_instance_is_passed_over_and_a_full_fleet_refuses() {
    for (_, strategy) in Strategy::ALL {
        let mut b = with(Config { strategy, instance_limit: Some(2), ..Config::default() }, 3);
        let dice = Dice::new(1, Stream::Balancer);
        let mut pick = |i: u64| b.pick(NOW, &of_client(5), || dice.draws(i));
        let mut counts = [0; 3];
        (0..6).for_each(|i| counts[pick(i).unwrap().0 as usize] += 1);
        assert_eq!(counts, [2, 2, 2], "{strategy:?}");
        assert_eq!(pick(6), Err(Refusal::Full), "{strategy:?}");
    }
}

#[test]
fn a_sticky_client_stays_until_its_instance_may_get_no_more() {
    let config = Config { sticky: Some(Span::from_secs(60)), strategy: Strategy::RoundRobin, ..Config::default() };
    let mut b = with(config, 3);
    let dice = Dice::new(1, Stream::Balancer);
    let pick = |b: &mut Balancer, now, client| {
        let id = b.pick(now, &of_client(client), || dice.draws(0)).unwrap();
        ends_well(b, id);
        id.0
    };
    assert_eq!([0, 1, 0, 1, 0].map(|client| pick(&mut b, NOW, client)), [0, 1, 0, 1, 0]);
    b.set_healthy(NOW, InstanceId(0), false);
    assert_eq!([0, 0, 1].map(|client| pick(&mut b, NOW, client)), [2, 2, 1]);
    b.set_healthy(NOW, InstanceId(0), true);
    assert_eq!(pick(&mut b, at(59.0), 0), 2, "a session is not given up for the old one");
    assert_eq!(pick(&mut b, at(200.0), 1), 0, "after a long silence it is a new client");
}

fn slow_start(strategy: Strategy) -> Config {
    let slow_start = Some(slow_start::Config::over(Span::from_secs(60)));
    Config { strategy, slow_start, ..Config::default() }
}

#[test]
fn a_new_instance_gets_a_share_that_grows() {
    for strategy in [Strategy::RoundRobin, Strategy::Weighted, Strategy::Random, Strategy::WeightedEdf] {
        let mut b = with(slow_start(strategy), 4);
        b.join(at(100.0), InstanceId(4), Joining::Started);
        let share = shares(&mut b, at(115.0), 20_000)[4];
        // Binomial sd 0.0017 for the random one; the others are exact.
        assert!((share - 0.25 / 4.25).abs() < 0.007, "LB-85 {strategy:?}: {share}");
        let share = shares(&mut b, at(161.0), 20_000)[4];
        assert!((share - 0.2).abs() < 0.012, "{strategy:?}: {share}");
    }
}

#[test]
fn least_connections_with_slow_start_is_no_magnet() {
    for strategy in [Strategy::LeastConnections, Strategy::PowerOfTwoChoices] {
        let config = Config { score: Some(Score::RatioPlusOne), ..slow_start(strategy) };
        let mut b = loaded(config, &[5, 5, 5, 5]);
        b.join(at(100.0), InstanceId(4), Joining::Started);
        let dice = Dice::new(1, Stream::Balancer);
        for i in 0..20 {
            b.pick(at(101.0), &of_client(0), || dice.draws(i)).unwrap();
        }
        assert!(b.in_flight(InstanceId(4)) <= 1, "{strategy:?}: {}", b.in_flight(InstanceId(4)));
    }
}

#[test]
fn a_fleet_of_new_instances_uses_plain_weights_and_a_second_one_restarts_nobody() {
    let mut b = Balancer::new(&slow_start(Strategy::Weighted), 1, 1);
    (0..2).for_each(|id| b.join(at(0.0), InstanceId(id), Joining::Started));
    assert_eq!(b.members.iter().map(|m| m.weight).collect::<Vec<_>>(), [1000, 1000]);
    b.join(at(30.0), InstanceId(2), Joining::Started);
    b.join(at(40.0), InstanceId(3), Joining::Started);
    shares(&mut b, at(61.0), 1);
    assert_eq!(b.members.iter().map(|m| m.weight).collect::<Vec<_>>(), [1000, 1000, 517, 350]);
}

#[test]
fn an_ejection_shorter_than_the_window_does_not_restart_it() {
    for (base, expected) in [(30, 1000), (120, 100)] {
        let ejection = ejection::Config {
            base: Span::from_secs(base),
            consecutive: Some(1),
            success_rate: None,
            ..ejection::Config::default()
        };
        let mut b = with(Config { ejection: Some(ejection), ..slow_start(Strategy::Weighted) }, 10);
        let dice = Dice::new(1, Stream::Balancer);
        let id = b.pick(NOW, &of_client(0), || dice.draws(0)).unwrap();
        ends(&mut b, NOW, id, Outcome::Connection, Span::ZERO);
        assert_eq!((b.candidates(), b.ejected()), (9, 1));
        let mut now = NOW;
        while b.ejected() > 0 {
            now = b.next_wake();
            b.tick(now);
        }
        assert_eq!(now, at(base as f64));
        b.pick(now, &of_client(0), || dice.draws(0)).unwrap();
        assert_eq!(b.members[id.0 as usize].weight, expected);
    }
}

fn nginx(weights: &[u32], max_fails: u32) -> Config {
    Config {
        strategy: Strategy::Weighted,
        weights: weights.to_vec(),
        passive: Some(passive::Config { max_fails, ..passive::Config::default() }),
        panic_threshold: 0.0,
        ..Config::default()
    }
}

#[test]
fn an_effective_weight_recovers_round_by_round() {
    let mut b = with(nginx(&[5, 1], 1), 2);
    b.peers[0].effective = 0;
    assert_eq!(picks(&mut b, 10), "BABAAAABAA", "LB-15");
    assert_eq!(b.peers[0].effective, 5, "LB-15");
}

#[test]
fn a_peer_that_failed_is_skipped_and_then_tried_by_one() {
    let mut b = with(nginx(&[], 1), 2);
    let dice = Dice::new(1, Stream::Balancer);
    let pick = |b: &mut Balancer, now| b.pick(now, &of_client(0), || dice.draws(0)).map(|id| id.0);
    assert_eq!(pick(&mut b, at(0.0)), Ok(0));
    ends(&mut b, at(0.0), InstanceId(0), Outcome::ServerError, Span::ZERO);
    assert_eq!([pick(&mut b, at(1.0)), pick(&mut b, at(9.9))], [Ok(1), Ok(1)], "LB-91");
    let after: Vec<_> = (0..4).map(|_| pick(&mut b, at(10.1)).unwrap()).collect();
    assert_eq!(after.iter().filter(|&&id| id == 0).count(), 1, "LB-91: one tries it, {after:?}");
    // Everybody is skipped: nobody is picked, and then all are tried again.
    ends(&mut b, at(11.0), InstanceId(0), Outcome::Timeout, Span::ZERO);
    ends(&mut b, at(11.0), InstanceId(1), Outcome::Timeout, Span::ZERO);
    assert_eq!(pick(&mut b, at(11.0)), Err(Refusal::Nobody));
    assert!(pick(&mut b, at(11.0)).is_ok());
}

#[test]
fn a_single_peer_is_never_skipped() {
    let mut b = with(nginx(&[], 1), 1);
    let dice = Dice::new(1, Stream::Balancer);
    for _ in 0..100 {
        let id = b.pick(NOW, &of_client(0), || dice.draws(0)).expect("LB-92");
        ends(&mut b, NOW, id, Outcome::Connection, Span::ZERO);
    }
}

#[test]
fn the_slow_one_of_two_gets_less_by_peak_ewma() {
    let peak_ewma = peak_ewma::Config { default_rtt: Span::ZERO, ..peak_ewma::Config::default() };
    let mut b = with(Config { strategy: Strategy::PeakEwma, peak_ewma, ..Config::default() }, 2);
    let dice = Dice::new(1, Stream::Balancer);
    let mut counts = [0; 2];
    for i in 0..1000 {
        let now = at(i as f64 * 0.01);
        let id = b.pick(now, &of_client(0), || dice.draws(i)).unwrap();
        counts[id.0 as usize] += 1;
        let latency = Span::from_millis(if id.0 == 0 { 80 } else { 20 });
        ends(&mut b, now, id, Outcome::Success, latency);
    }
    assert!(counts[1] > 900, "{counts:?}");
    // A fast failure is no fast answer.
    let mut counts = [0; 2];
    for i in 0..1000 {
        let now = at(10.0 + i as f64 * 0.01);
        let id = b.pick(now, &of_client(0), || dice.draws(i)).unwrap();
        counts[id.0 as usize] += 1;
        let (outcome, ms) = if id.0 == 1 { (Outcome::ServerError, 1) } else { (Outcome::Success, 80) };
        ends(&mut b, now, id, outcome, Span::from_millis(ms));
    }
    assert!(counts[0] > 980, "{counts:?}");
}

#[test]
fn probes_decide_and_every_request_asks_for_more() {
    let config = Config {
        strategy: Strategy::Prequal,
        prequal: prequal::Config { pool: 4, probes: 2.5, ..prequal::Config::default() },
        ..Config::default()
    };
    let mut b = with(config, 8);
    let dice = Dice::new(1, Stream::Balancer);
    let mut asked = 0;
    let mut counts = [0; 8];
    for i in 0..2000 {
        let now = at(i as f64 * 0.01);
        let id = b.pick(now, &of_client(0), || dice.draws(i)).unwrap();
        b.withdraw(id);
        counts[id.0 as usize] += 1;
        while let Some(id) = b.next_probe() {
            asked += 1;
            // Instance 5 is slow, instance 6 is loaded.
            let rif = if id.0 == 6 { 50 } else { 2 };
            let latency = Span::from_millis(if id.0 == 5 { 500 } else { 20 });
            b.probed(now, id, prequal::Answer { rif, latency });
        }
    }
    assert_eq!(asked, 5000);
    assert!(counts[5] < 20 && counts[6] < 20, "{counts:?}");
    assert!(counts.iter().enumerate().all(|(i, &n)| i == 5 || i == 6 || n > 150), "{counts:?}");
}
