//! The yardstick: workload W1 as the loop that any good engineer writes in an afternoon.
//!
//! It is ordinary, sound code with the parts that one reaches for: a `BinaryHeap` of events, `StdRng`, `rand_distr`, the
//! `hdrhistogram` crate, a `VecDeque` per instance and a scan over the instances for least connections. It allocates
//! nothing per request and computes nothing twice; it is also not tuned. What Wavetank does with the same workload is told
//! as a multiple of its speed in the same run, for that number means the same on every machine.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp};

const INSTANCES: usize = 50;
const WORKERS: u32 = 4;
/// Requests per nanosecond: 16,000 per second.
const ARRIVAL_RATE: f64 = 16_000.0 / 1e9;
/// Completions of a busy worker per nanosecond: one in 10 milliseconds.
const SERVICE_RATE: f64 = 1.0 / 10e6;
/// The longest latency that the histogram can tell [nanoseconds]: one minute.
const LONGEST: u64 = 60_000_000_000;

/// Something that happens at an instant; ordered by the instant first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Arrival,
    Completion { instance: usize, arrived_at: u64 },
}

#[derive(Clone, Default)]
struct Instance {
    /// Requests in service and in the queue.
    in_flight: u32,
    busy: u32,
    /// When the requests in the queue arrived.
    queue: VecDeque<u64>,
}

/// Follows `requests` requests to their end and returns their latencies in nanoseconds.
pub fn run(requests: u64, seed: u64) -> Histogram<u64> {
    let mut rng = StdRng::seed_from_u64(seed);
    let gap = Exp::new(ARRIVAL_RATE).expect("the rate is positive");
    let service = Exp::new(SERVICE_RATE).expect("the rate is positive");
    let mut latencies = Histogram::new_with_bounds(1_000, LONGEST, 3).expect("the bounds are in order");
    let mut instances = vec![Instance::default(); INSTANCES];
    let mut arrivals_left = requests;
    let mut events = BinaryHeap::new();
    events.push(Reverse(Event { at: gap.sample(&mut rng) as u64, kind: Kind::Arrival }));
    while let Some(Reverse(Event { at: now, kind })) = events.pop() {
        let mut serve = |instance, arrived_at, rng: &mut StdRng| {
            let at = now + service.sample(rng) as u64;
            events.push(Reverse(Event { at, kind: Kind::Completion { instance, arrived_at } }));
        };
        match kind {
            Kind::Arrival => {
                let place = least_connections(&instances, &mut rng);
                let instance = &mut instances[place];
                instance.in_flight += 1;
                if instance.busy < WORKERS {
                    instance.busy += 1;
                    serve(place, now, &mut rng);
                } else {
                    instance.queue.push_back(now);
                }
                arrivals_left -= 1;
                if arrivals_left > 0 {
                    let at = now + gap.sample(&mut rng) as u64;
                    events.push(Reverse(Event { at, kind: Kind::Arrival }));
                }
            }
            Kind::Completion { instance: place, arrived_at } => {
                latencies.saturating_record(now - arrived_at);
                let instance = &mut instances[place];
                instance.in_flight -= 1;
                match instance.queue.pop_front() {
                    Some(arrived_at) => serve(place, arrived_at, &mut rng),
                    None => instance.busy -= 1,
                }
            }
        }
    }
    latencies
}

/// An instance with the fewest requests in flight; each of several with equal chance.
fn least_connections(instances: &[Instance], rng: &mut StdRng) -> usize {
    let mut least = u32::MAX;
    let mut ties = 0;
    for instance in instances {
        if instance.in_flight < least {
            least = instance.in_flight;
            ties = 1;
        } else if instance.in_flight == least {
            ties += 1;
        }
    }
    let chosen = if ties > 1 { rng.random_range(0..ties) } else { 0 };
    let mut tied = instances.iter().enumerate().filter(|(_, instance)| instance.in_flight == least);
    tied.nth(chosen).expect("one of the ties was chosen").0
}
