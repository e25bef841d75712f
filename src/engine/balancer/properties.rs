//! What holds for every strategy in every history.

use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

use super::Strategy;
use super::tests::{balancer, ends, of_client};
use super::*;
use crate::engine::request::Outcome;
use crate::rng::{Dice, Stream};
use crate::units::Span;

/// Something that happens to a balancer.
#[derive(Clone, Debug)]
enum Step {
    Pick { client: u32, avoid: Option<u32> },
    End { which: u32, outcome: u8 },
    Join(bool),
    Leave(u32),
    Healthy(u32, bool),
    Broken(u32, bool),
    Wait(u32),
}

fn step() -> impl Generator<Value = Step> {
    prop_oneof![
        8 => (0u32..50, proptest::option::of(0u32..12)).prop_map(|(client, avoid)| Step::Pick { client, avoid }),
        6 => (any::<u32>(), 0u8..5).prop_map(|(which, outcome)| Step::End { which, outcome }),
        1 => any::<bool>().prop_map(Step::Join),
        1 => (0u32..12).prop_map(Step::Leave),
        1 => (0u32..12, any::<bool>()).prop_map(|(id, healthy)| Step::Healthy(id, healthy)),
        1 => (0u32..12, any::<bool>()).prop_map(|(id, broken)| Step::Broken(id, broken)),
        2 => (0u32..20_000).prop_map(Step::Wait),
    ]
}

/// Settings with a few features at random.
fn config() -> impl Generator<Value = Config> {
    (0..Strategy::ALL.len(), 0u32..512, 1u32..5, 0usize..4, 0usize..4).prop_map(
        |(i, bits, choices, ties, sampling)| {
            let on = |bit: u32| bits >> bit & 1 == 1;
            Config {
                strategy: Strategy::ALL[i].1,
                weights: if on(0) { vec![3, 1, 2] } else { Vec::new() },
                choices,
                ties: Ties::ALL[ties].1,
                sampling: Sampling::ALL[sampling].1,
                table_size: 251,
                bounded_load: on(1).then_some(150),
                sticky: on(2).then_some(Span::from_secs(5)),
                zone_aware: on(3).then(|| routing::ZoneAware { zones: 2, callers: vec![0.7, 0.3], min_instances: 2 }),
                priorities: if on(4) { vec![0, 0, 1] } else { Vec::new() },
                slow_start: on(5).then(|| slow_start::Config::over(Span::from_secs(10))),
                instance_limit: on(6).then_some(3),
                ejection: on(7).then(|| ejection::Config { consecutive: Some(2), ..ejection::Config::default() }),
                passive: on(8).then(passive::Config::default),
                ..Config::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A pick is a member that may get requests; the count of requests in flight is what was begun less what has ended, whatever way
    /// it ended; the same calls give the same picks.
    #[test]
    fn counts_are_kept_and_picks_are_candidates(
        config in config(),
        steps in proptest::collection::vec(step(), 1..250),
    ) {
        let dice = Dice::new(3, Stream::Balancer);
        let play = |config: &Config| -> Result<Vec<Option<u32>>, TestCaseError> {
            let mut b = super::tests::with(config.clone(), 4);
            let mut now = Time::ZERO;
            let mut next = 4;
            let mut open: Vec<InstanceId> = Vec::new();
            let mut picked = Vec::new();
            for (i, step) in steps.iter().enumerate() {
                match *step {
                    Step::Pick { client, avoid } => {
                        let request = Request { avoid: avoid.map(InstanceId), ..of_client(client) };
                        let pick = b.pick(now, &request, || dice.draws(i as u64));
                        if let Ok(id) = pick {
                            let place = b.place(id).expect("a pick is a member");
                            prop_assert!(!b.standings[place].broken);
                            prop_assert!(b.standings[place].is_well() || b.panics());
                            if let Some(limit) = config.instance_limit {
                                prop_assert!(b.members[place].in_flight <= limit);
                            }
                            open.push(id);
                        } else if config.instance_limit.is_none() && config.passive.is_none() {
                            prop_assert!(b.groups.iter().any(|group| group.candidates.is_empty()));
                        }
                        while let Some(id) = b.next_probe() {
                            b.probed(now, id, prequal::Answer { rif: id.0, latency: Span(u64::from(client)) });
                        }
                        picked.push(pick.ok().map(|id| id.0));
                    }
                    Step::End { which, outcome } if !open.is_empty() => {
                        let id = open.swap_remove(which as usize % open.len());
                        match outcome {
                            0 => b.withdraw(id),
                            1 => ends(&mut b, now, id, Outcome::Abandoned, Span(7)),
                            2 => ends(&mut b, now, id, Outcome::Timeout, Span(7)),
                            3 => ends(&mut b, now, id, Outcome::ServerError, Span(7)),
                            _ => ends(&mut b, now, id, Outcome::Success, Span(7)),
                        }
                    }
                    Step::End { .. } => {}
                    Step::Join(checked) => {
                        b.join(now, InstanceId(next), if checked { Joining::Started } else { Joining::Unchecked });
                        next += 1;
                    }
                    Step::Leave(id) => {
                        b.leave(now, InstanceId(id));
                        open.retain(|open| open.0 != id);
                    }
                    Step::Healthy(id, healthy) => b.set_healthy(now, InstanceId(id), healthy),
                    Step::Broken(id, broken) => b.set_broken(now, InstanceId(id), broken),
                    Step::Wait(ms) => {
                        now += Span::from_millis(u64::from(ms));
                        b.tick(now);
                    }
                }
                for member in &b.members {
                    let begun = open.iter().filter(|&&id| id == member.id).count();
                    prop_assert_eq!(member.in_flight as usize, begun);
                }
                prop_assert_eq!(b.in_flight_total(), open.len() as u64);
                prop_assert_eq!(b.members.iter().map(|m| m.current).sum::<i64>(), 0);
            }
            Ok(picked)
        };
        prop_assert_eq!(play(&config)?, play(&config)?);
    }

    /// Smooth weighted round robin is exactly proportional over a cycle.
    #[test]
    fn a_cycle_is_exactly_proportional(weights in proptest::collection::vec(1u32..40, 1..12)) {
        let mut b = balancer(Strategy::Weighted, &weights, weights.len() as u32);
        let total: u32 = weights.iter().sum();
        let dice = Dice::new(1, Stream::Balancer);
        let mut counts = vec![0; weights.len()];
        for i in 0..total {
            let id = b.pick(Time::ZERO, &of_client(0), || dice.draws(u64::from(i))).unwrap();
            counts[id.0 as usize] += 1;
        }
        prop_assert_eq!(counts, weights);
        prop_assert!(b.members.iter().all(|member| member.current == 0));
    }

    /// Rings and rendezvous move nobody but the clients of who leaves.
    #[test]
    fn only_the_clients_of_who_leaves_move(n in 2u32..12, leaver in 0u32..12) {
        prop_assume!(leaver < n);
        for strategy in [Strategy::IpHash, Strategy::RingHash] {
            // A ring whose size does not depend on the number of hosts: a multiple of every number below 12.
            let ring = ring::Size { min: 1, max: 1 };
            let config = Config { strategy, ring, ..Config::default() };
            let config = if strategy == Strategy::RingHash {
                Config { ring: ring::Size { min: 64 * n, max: 8_388_608 }, ..config }
            } else {
                config
            };
            let mut b = super::tests::with(config, n);
            let dice = Dice::new(1, Stream::Balancer);
            let owner = |b: &mut Balancer, client| {
                let id = b.pick(Time::ZERO, &of_client(client), || dice.draws(0)).unwrap();
                b.withdraw(id);
                id
            };
            let before: Vec<InstanceId> = (0..500).map(|client| owner(&mut b, client)).collect();
            b.config.ring.min = 64 * (n - 1);
            b.leave(Time::ZERO, InstanceId(leaver));
            for client in 0..500u32 {
                let was = before[client as usize];
                prop_assert!(was.0 == leaver || owner(&mut b, client) == was);
            }
        }
    }
}
