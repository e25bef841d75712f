//! What a pick and an end cost under every strategy, with 10, 100 and 1,000 instances.
//!
//! ```text
//! cargo bench --bench balancer
//! ```
//!
//! Two requests per instance are in flight; each iteration ends the oldest and sends another. O(1) strategies cost the same in every
//! column, O(log n) ones a little more, and smooth weighted round robin, rendezvous hashing and least connections with weights grow
//! with the fleet, as they have to.

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wavetank::engine::balancer::prequal::Answer;
use wavetank::engine::balancer::{Balancer, Config, Joining, Strategy, Ties};
use wavetank::engine::request::{Completion, InstanceId, Outcome, Permit, Request};
use wavetank::rng::{Dice, Stream};
use wavetank::units::{Span, Time};

/// A balancer with requests in flight.
struct Under {
    balancer: Balancer,
    open: VecDeque<InstanceId>,
    dice: Dice,
    index: u64,
}

impl Under {
    fn new(config: &Config, n: u32) -> Under {
        let mut balancer = Balancer::new(config, 1, 0);
        (0..n).for_each(|i| balancer.join(Time::ZERO, InstanceId(i), Joining::Adopted));
        let dice = Dice::new(7, Stream::Balancer);
        let mut under = Under { balancer, open: VecDeque::new(), dice, index: 0 };
        (0..2 * n).for_each(|_| under.send());
        under
    }

    fn send(&mut self) {
        self.index += 1;
        let i = self.index;
        let now = Time(i * 1000);
        let client = (self.dice.bits(i) >> 40) as u32;
        let request = Request { index: i, attempt: 1, client, endpoint: 0, region: 0, avoid: None };
        let dice = self.dice;
        let id = self.balancer.pick(now, &request, || dice.draws(i)).expect("everybody is healthy");
        while let Some(id) = self.balancer.next_probe() {
            self.balancer.probed(now, id, Answer { rif: self.balancer.in_flight(id), latency: Span::from_millis(5) });
        }
        self.open.push_back(id);
    }

    fn step(&mut self) {
        let instance = self.open.pop_front().expect("requests are in flight");
        let latency = Span(2_000_000 + (self.index * 7919) % 1_000_000);
        let completion = Completion {
            instance,
            permit: Permit::default(),
            endpoint: 0,
            is_retry: false,
            outcome: Outcome::Success,
            latency,
        };
        self.balancer.finished(Time(self.index * 1000), &completion);
        self.send();
    }
}

fn strategies(c: &mut Criterion) {
    let plain = |(name, strategy)| (name, Config { strategy, ..Config::default() });
    let mut configs: Vec<(&str, Config)> = Strategy::ALL.into_iter().map(plain).collect();
    let with = |strategy, weights: &[u32]| Config { strategy, weights: weights.to_vec(), ..Config::default() };
    configs.push(("least_connections, random ties", Config { ties: Ties::Random, ..Config::default() }));
    configs.push(("least_connections, weights", with(Strategy::LeastConnections, &[1, 2, 3])));
    configs.push(("random, weights", with(Strategy::Random, &[1, 2, 3])));
    for (name, strategy) in [("ring_hash, bounded", Strategy::RingHash), ("maglev, bounded", Strategy::Maglev)] {
        configs.push((name, Config { strategy, bounded_load: Some(125), ..Config::default() }));
    }
    let mut group = c.benchmark_group("balancer");
    for (name, config) in &configs {
        for n in [10, 100, 1000] {
            let mut under = Under::new(config, n);
            group.bench_function(BenchmarkId::new(*name, n), |b| b.iter(|| black_box(&mut under).step()));
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_millis(700));
    targets = strategies
}
criterion_main!(benches);
