use super::*;
use crate::engine::request::Permit;
use crate::rng::{Dice, Stream};
use crate::units::Span;

pub(super) const NOW: Time = Time::ZERO;

pub(super) fn with(config: Config, n: u32) -> Balancer {
    let mut balancer = Balancer::new(&config, 1, 16);
    (0..n).for_each(|i| balancer.join(NOW, InstanceId(i), Joining::Adopted));
    balancer
}

pub(super) fn balancer(strategy: Strategy, weights: &[u32], n: u32) -> Balancer {
    with(Config { strategy, weights: weights.to_vec(), ..Config::default() }, n)
}

pub(super) fn of_client(client: u32) -> Request {
    Request { index: 0, attempt: 1, client, endpoint: 0, region: 0, avoid: None }
}

pub(super) fn avoiding(client: u32, id: u32) -> Request {
    Request { attempt: 2, avoid: Some(InstanceId(id)), ..of_client(client) }
}

pub(super) fn ends(balancer: &mut Balancer, now: Time, instance: InstanceId, outcome: Outcome, latency: Span) {
    let permit = Permit::default();
    balancer.finished(now, &Completion { instance, permit, endpoint: 0, is_retry: false, outcome, latency });
}

pub(super) fn ends_well(balancer: &mut Balancer, instance: InstanceId) {
    ends(balancer, NOW, instance, Outcome::Success, Span::from_millis(10));
}

/// Picks `n` times, as letters in the order of ids, each request ending at once.
pub(super) fn picks(balancer: &mut Balancer, n: usize) -> String {
    let dice = Dice::new(1, Stream::Balancer);
    (0..n)
        .map(|i| {
            let id = balancer.pick(NOW, &of_client(0), || dice.draws(i as u64)).unwrap();
            ends_well(balancer, id);
            char::from(b'A' + id.0 as u8)
        })
        .collect()
}

/// Shares of `n` picks at `now`, each request ending at once.
pub(super) fn shares(balancer: &mut Balancer, now: Time, n: u32) -> Vec<f64> {
    let dice = Dice::new(9, Stream::Balancer);
    let mut counts = vec![0u32; balancer.places.len()];
    for i in 0..n {
        let id = balancer.pick(now, &of_client(i), || dice.draws(u64::from(i))).unwrap();
        balancer.withdraw(id);
        counts[id.0 as usize] += 1;
    }
    counts.into_iter().map(|count| f64::from(count) / f64::from(n)).collect()
}

#[test]
fn round_robin_follows_the_instance_picked_last_through_changes_of_the_fleet() {
    assert_eq!(picks(&mut balancer(Strategy::RoundRobin, &[], 3), 4), "ABCA", "LB-04");

    let mut b = balancer(Strategy::RoundRobin, &[], 3);
    assert_eq!(picks(&mut b, 1), "A");
    b.leave(NOW, InstanceId(1));
    assert_eq!(picks(&mut b, 2), "CA", "LB-05");

    let mut b = balancer(Strategy::RoundRobin, &[], 3);
    assert_eq!(picks(&mut b, 3), "ABC");
    b.join(NOW, InstanceId(3), Joining::Started);
    assert_eq!(picks(&mut b, 2), "DA", "LB-06");

    let mut b = balancer(Strategy::RoundRobin, &[], 3);
    picks(&mut b, 1);
    b.leave(NOW, InstanceId(0));
    assert_eq!(picks(&mut b, 1), "B", "LB-07");
}

#[test]
fn smooth_weighted_round_robin_spreads_the_heavy_one() {
    for (id, weights, expected, states) in [
        (
            "LB-08",
            vec![5, 1, 1],
            "AABACAA",
            vec![[-2, 1, 1], [-4, 2, 2], [1, -4, 3], [-1, -3, 4], [4, -2, -2], [2, -1, -1], [0, 0, 0]],
        ),
        (
            "LB-09",
            vec![4, 2, 1],
            "ABACABA",
            vec![[-3, 2, 1], [1, -3, 2], [-2, -1, 3], [2, 1, -3], [-1, 3, -2], [3, -2, -1], [0, 0, 0]],
        ),
    ] {
        let mut b = balancer(Strategy::Weighted, &weights, 3);
        for (pick, state) in expected.chars().zip(states) {
            assert_eq!(picks(&mut b, 1), pick.to_string(), "{id}");
            assert_eq!(b.members.iter().map(|m| m.current).collect::<Vec<_>>(), state, "{id}");
        }
    }
    assert_eq!(picks(&mut balancer(Strategy::Weighted, &[3, 2], 2), 5), "ABABA", "LB-10");
}

#[test]
fn a_departed_member_does_not_bias_the_weights_of_the_others() {
    let mut b = balancer(Strategy::Weighted, &[5, 1, 1], 3);
    picks(&mut b, 3);
    b.leave(NOW, InstanceId(0));
    assert_eq!(b.members.iter().map(|m| m.current).sum::<i64>(), 0);
}

fn loaded(weights: &[u32], in_flight: &[u32]) -> Balancer {
    let mut b = balancer(Strategy::LeastConnections, weights, in_flight.len() as u32);
    for (member, &n) in b.members.iter_mut().zip(in_flight) {
        member.in_flight = n;
    }
    b.refresh(NOW);
    b
}

#[test]
fn least_connections_compares_load_to_weight_and_shares_ties_in_turn() {
    assert_eq!(picks(&mut loaded(&[], &[3, 1, 2]), 1), "B", "LB-16");
    assert_eq!(picks(&mut loaded(&[4, 1], &[4, 2]), 1), "A", "LB-17");
    assert_eq!(picks(&mut loaded(&[], &[0, 0, 0]), 3), "ABC", "LB-18");
    let mut b = loaded(&[], &[5, 5]);
    b.groups[0].last = Some(InstanceId(0));
    assert_eq!(picks(&mut b, 1), "B", "LB-19");
}

/// 60,000 picks: the standard error of a share of 1/3 is 0.0019; four of them are 0.0077.
#[test]
fn two_choices_without_replacement_never_take_the_most_loaded() {
    let shares = |n: usize| {
        let mut b = balancer(Strategy::PowerOfTwoChoices, &[], n as u32);
        for (i, member) in b.members.iter_mut().enumerate() {
            member.in_flight = i as u32;
        }
        self::shares(&mut b, NOW, 60_000)
    };
    for (id, expected) in [
        ("LB-28", vec![1.0, 0.0]),
        ("LB-30", vec![2.0 / 3.0, 1.0 / 3.0, 0.0]),
        ("LB-31", vec![0.4, 0.3, 0.2, 0.1, 0.0]),
    ] {
        for (share, want) in shares(expected.len()).into_iter().zip(expected) {
            assert!((share - want).abs() < 0.0077, "{id}: {share} for {want}");
        }
    }
}

#[test]
fn a_departing_instance_moves_its_own_clients_and_nobody_elses() {
    let mut b = balancer(Strategy::IpHash, &[], 5);
    let dice = Dice::new(1, Stream::Balancer);
    let place = |b: &mut Balancer, client| {
        let id = b.pick(NOW, &of_client(client), || dice.draws(0)).unwrap();
        b.withdraw(id);
        id
    };
    let before: Vec<InstanceId> = (0..20_000).map(|client| place(&mut b, client)).collect();
    for i in 0..5 {
        // Binomial(20,000, 1/5): sd 56.6.
        let share = before.iter().filter(|id| id.0 == i).count();
        assert!((3774..4227).contains(&share), "instance {i} has {share} clients of 20,000");
    }
    b.leave(NOW, InstanceId(2));
    for client in 0..20_000 {
        let was = before[client as usize];
        assert!(was == InstanceId(2) || place(&mut b, client) == was, "client {client} moved");
    }
}

#[test]
fn an_instance_that_failed_the_last_attempt_is_avoided_while_there_is_another() {
    for (_, strategy) in Strategy::ALL {
        let mut b = balancer(strategy, &[], 2);
        let dice = Dice::new(4, Stream::Balancer);
        for i in 0..50 {
            let id = b.pick(NOW, &avoiding(i as u32, 0), || dice.draws(i)).unwrap();
            assert_eq!(id, InstanceId(1), "LB-120 {strategy:?}");
        }
        b.leave(NOW, InstanceId(1));
        assert_eq!(b.pick(NOW, &avoiding(0, 0), || dice.draws(0)), Ok(InstanceId(0)), "{strategy:?}");
        b.leave(NOW, InstanceId(0));
        assert_eq!(b.pick(NOW, &of_client(0), || dice.draws(0)), Err(Refusal::Nobody), "{strategy:?}");
    }
}

#[test]
fn unhealthy_and_broken_members_get_nothing_but_keep_their_counts() {
    for (_, strategy) in Strategy::ALL {
        let mut b = balancer(strategy, &[], 3);
        let dice = Dice::new(4, Stream::Balancer);
        let first: Vec<_> = (0..9).map(|i| b.pick(NOW, &of_client(i as u32), || dice.draws(i)).unwrap()).collect();
        b.set_healthy(NOW, InstanceId(0), false);
        b.set_broken(NOW, InstanceId(2), true);
        for i in 0..20 {
            assert_eq!(b.pick(NOW, &of_client(i as u32), || dice.draws(i)), Ok(InstanceId(1)), "{strategy:?}");
            ends_well(&mut b, InstanceId(1));
        }
        first.into_iter().for_each(|id| ends_well(&mut b, id));
        assert_eq!(b.in_flight_total(), 0, "{strategy:?}");
        b.set_healthy(NOW, InstanceId(0), true);
        b.set_broken(NOW, InstanceId(2), false);
        assert_eq!(b.candidates(), 3);
    }
}
