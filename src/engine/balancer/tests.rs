use super::*;
use crate::rng::{Dice, Stream};

fn balancer(strategy: Strategy, weights: &[u32], n: u32) -> Balancer {
    let mut balancer =
        Balancer::new(&Config { strategy, ties: Ties::RoundRobin, weights: weights.to_vec(), health_check: None });
    (0..n).for_each(|i| balancer.join(InstanceId(i), true));
    balancer
}

/// Picks `n` times, as letters in the order of ids, each request ending at once.
fn picks(balancer: &mut Balancer, n: usize) -> String {
    let dice = Dice::new(1, Stream::Balancer);
    (0..n)
        .map(|i| {
            let id = balancer.pick(0, None, || dice.draws(i as u64)).unwrap();
            balancer.finished(id);
            char::from(b'A' + id.0 as u8)
        })
        .collect()
}

#[test]
fn round_robin_follows_the_instance_picked_last_through_changes_of_the_fleet() {
    assert_eq!(picks(&mut balancer(Strategy::RoundRobin, &[], 3), 4), "ABCA", "LB-04");

    let mut b = balancer(Strategy::RoundRobin, &[], 3);
    assert_eq!(picks(&mut b, 1), "A");
    b.leave(InstanceId(1));
    assert_eq!(picks(&mut b, 2), "CA", "LB-05");

    let mut b = balancer(Strategy::RoundRobin, &[], 3);
    assert_eq!(picks(&mut b, 3), "ABC");
    b.join(InstanceId(3), true);
    assert_eq!(picks(&mut b, 2), "DA", "LB-06");

    let mut b = balancer(Strategy::RoundRobin, &[], 3);
    picks(&mut b, 1);
    b.leave(InstanceId(0));
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
    b.leave(InstanceId(0));
    assert_eq!(b.members.iter().map(|m| m.current).sum::<i64>(), 0);
}

fn loaded(weights: &[u32], in_flight: &[u32]) -> Balancer {
    let mut b = balancer(Strategy::LeastConnections, weights, in_flight.len() as u32);
    for (member, &n) in b.members.iter_mut().zip(in_flight) {
        member.in_flight = n;
    }
    b.refresh();
    b
}

#[test]
fn least_connections_compares_load_to_weight_and_shares_ties_in_turn() {
    assert_eq!(picks(&mut loaded(&[], &[3, 1, 2]), 1), "B", "LB-16");
    assert_eq!(picks(&mut loaded(&[4, 1], &[4, 2]), 1), "A", "LB-17");
    assert_eq!(picks(&mut loaded(&[], &[0, 0, 0]), 3), "ABC", "LB-18");
    let mut b = loaded(&[], &[5, 5]);
    b.last = Some(InstanceId(0));
    assert_eq!(picks(&mut b, 1), "B", "LB-19");
}

#[test]
fn two_choices_are_always_two_different_instances() {
    let at = |i: u64, n: u64| ((u128::from(i) << 64) / u128::from(n)) as u64 + 1;
    assert_eq!(two_different(at(2, 4), at(2, 3), 4), (2, 3), "LB-26");
    assert_eq!(two_different(at(3, 4), at(0, 3), 4), (3, 0), "LB-27");
}

/// 60,000 picks: the standard error of a share of 1/3 is 0.0019; four of them are 0.0077.
#[test]
fn two_choices_without_replacement_never_take_the_most_loaded() {
    let shares = |n: usize| {
        let mut b = balancer(Strategy::PowerOfTwoChoices, &[], n as u32);
        for (i, member) in b.members.iter_mut().enumerate() {
            member.in_flight = i as u32;
        }
        let dice = Dice::new(9, Stream::Balancer);
        let mut counts = vec![0u32; n];
        for i in 0..60_000 {
            let id = b.pick(0, None, || dice.draws(i)).unwrap();
            b.finished(id);
            counts[id.0 as usize] += 1;
        }
        counts.into_iter().map(|c| f64::from(c) / 60_000.0).collect::<Vec<_>>()
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
    let place = |b: &Balancer, client| b.members[b.rendezvous(client, None)].id;
    let before: Vec<InstanceId> = (0..20_000).map(|client| place(&b, client)).collect();
    for i in 0..5 {
        // Binomial(20,000, 1/5): sd 56.6.
        let share = before.iter().filter(|id| id.0 == i).count();
        assert!((3774..4227).contains(&share), "instance {i} has {share} clients of 20,000");
    }
    b.leave(InstanceId(2));
    for client in 0..20_000 {
        let was = before[client as usize];
        assert!(was == InstanceId(2) || place(&b, client) == was, "client {client} moved");
    }
}

#[test]
fn the_finalizer_of_rendezvous_is_splitmix64() {
    let mixed = |z: u64| mix(z.wrapping_add(0x9E37_79B9_7F4A_7C15));
    assert_eq!([mixed(0), mixed(1)], [0xe220_a839_7b1d_cdaf, 0x910a_2dec_8902_5cc1], "LB-37");
}

#[test]
fn an_instance_that_failed_the_last_attempt_is_avoided_while_there_is_another() {
    for (_, strategy) in Strategy::ALL {
        let mut b = balancer(strategy, &[], 2);
        let dice = Dice::new(4, Stream::Balancer);
        for i in 0..50 {
            let id = b.pick(i as u32, Some(InstanceId(0)), || dice.draws(i)).unwrap();
            assert_eq!(id, InstanceId(1), "LB-120 {strategy:?}");
        }
        b.leave(InstanceId(1));
        assert_eq!(b.pick(0, Some(InstanceId(0)), || dice.draws(0)), Some(InstanceId(0)), "{strategy:?}");
        b.leave(InstanceId(0));
        assert_eq!(b.pick(0, None, || dice.draws(0)), None, "{strategy:?}");
    }
}

#[test]
fn unhealthy_and_broken_members_get_nothing_but_keep_their_counts() {
    for (_, strategy) in Strategy::ALL {
        let mut b = balancer(strategy, &[], 3);
        let dice = Dice::new(4, Stream::Balancer);
        let first: Vec<_> = (0..9).map(|i| b.pick(i as u32, None, || dice.draws(i)).unwrap()).collect();
        b.set_healthy(InstanceId(0), false);
        b.set_broken(InstanceId(2), true);
        for i in 0..20 {
            assert_eq!(b.pick(i as u32, None, || dice.draws(i)), Some(InstanceId(1)), "{strategy:?}");
            b.finished(InstanceId(1));
        }
        first.into_iter().for_each(|id| b.finished(id));
        assert_eq!(b.in_flight_total(), 0, "{strategy:?}");
        b.set_healthy(InstanceId(0), true);
        b.set_broken(InstanceId(2), false);
        assert_eq!(b.candidates(), 3);
    }
}
