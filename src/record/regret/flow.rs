//! The optimum under any billing, as a minimum-cost flow.
//!
//! ```text
//!             pay the first period          pay one more
//!   step a ────────────────────────▶ end e ────────────▶ end e + period ─ ─ ▶
//!                                      │ stop                 │ stop
//!                                      ▼                      ▼
//!   step e ◀── unneeded ── step e + 1 …                       step e + period
//! ```
//!
//! Nodes are the beginnings of steps, twice: once as times, once as the ends of paid periods. An instance is a unit of flow from the
//! time that it is ready to the time that it stops. What is there without being needed flows back a step, for nothing. Node t supplies
//! `demand(t) − demand(t − 1)`, so that what crosses from before t to after it is the demand at t.
//!
//! A paid period is always used to its end, which costs nothing and never hurts. Periods repeat with the least common multiple
//! of step and granularity, so the arcs are a few per node, not one for each pair of nodes.
//!
//! The flow is found by the primal–dual method (Ford & Fulkerson 1957): shortest paths by Dijkstra with potentials, then a
//! blocking flow along all of them at once; as many rounds as there are different lengths of shortest paths. Costs are whole
//! nanoseconds, so nothing is rounded.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::{Optimum, Terms};

const UNLIMITED: u64 = u64::MAX / 4;
const FAR: u64 = u64::MAX;

/// An arc; its reverse is its neighbour in the list.
struct Arc {
    to: u32,
    room: u64,
    /// \[ns\]; negative for the reverse of one that costs.
    cost: i64,
}

/// A network with residual capacities.
struct Network {
    arcs: Vec<Arc>,
    /// Arcs that leave each node.
    leaving: Vec<Vec<u32>>,
    potential: Vec<i64>,
}

/// The cheapest fleet for an attainable demand.
pub(super) fn optimum(demand: &[u32], terms: &Terms) -> Optimum {
    let n = demand.len();
    // Times 0..=n, ends n+1..=2n+1, source, sink.
    let (time, end) = (|t: usize| t, |t: usize| n + 1 + t);
    let (source, sink, there) = (2 * n + 2, 2 * n + 3, 2 * n + 4);
    let mut network = Network::new(2 * n + 5);
    let at_first = if terms.can_be_ready(0) { UNLIMITED } else { u64::from(terms.initial) };
    network.join(time(0), there, at_first, 0);
    let granularity = terms.billing.granularity.0.max(1);
    let common = terms.step.0 / gcd(terms.step.0, granularity) * granularity;
    let period = (common / terms.step.0) as usize;
    for a in (0..n).filter(|&a| a == 0 || terms.can_be_ready(a)) {
        let from = if a == 0 { there } else { time(a) };
        for (b, bill) in first_periods(a, n, period, terms) {
            network.join(from, if b < n { end(b) } else { time(n) }, UNLIMITED, bill);
        }
    }
    for t in 0..n {
        // The last step may be shorter, so an extension to the end of the run is a start arc of its own.
        if t + period < n {
            network.join(end(t), end(t + period), UNLIMITED, common);
        }
        network.join(end(t), time(t), UNLIMITED, 0);
        network.join(time(t + 1), time(t), UNLIMITED, 0);
    }
    let mut before = 0;
    for (t, now) in demand.iter().copied().chain([0]).enumerate() {
        if now > before {
            network.join(source, time(t), u64::from(now - before), 0);
        } else if now < before {
            network.join(time(t), sink, u64::from(before - now), 0);
        }
        before = now;
    }
    let billed = network.cheapest_flow(source, sink);
    Optimum { ready: ready(&network, n), billed }
}

/// Instances in each step: what crosses into it forwards.
fn ready(network: &Network, n: usize) -> Vec<u32> {
    // The step at whose beginning a node stands; `None` for source and sink.
    let step = |node: u32| match node as usize {
        node if node <= 2 * n + 1 => Some(node % (n + 1)),
        node if node == 2 * n + 4 => Some(0),
        _ => None,
    };
    let mut change = vec![0i64; n + 1];
    for pair in network.arcs.chunks_exact(2) {
        let (arc, reverse) = (&pair[0], &pair[1]);
        if let (Some(from), Some(to)) = (step(reverse.to), step(arc.to))
            && from < to
        {
            // What went along an arc is the room of its reverse.
            change[from] += reverse.room as i64;
            change[to] -= reverse.room as i64;
        }
    }
    let running = change[..n].iter().scan(0i64, |now, change| {
        *now += change;
        Some(*now as u32)
    });
    running.collect()
}

/// Where each different bill of an instance that is ready from step `a` ends at the latest, and what it is \[ns\]: bills of one
/// period (later ones follow by extension), and the one to the end of the run.
fn first_periods(a: usize, n: usize, period: usize, terms: &Terms) -> Vec<(usize, u64)> {
    let mut out = Vec::new();
    let mut b = a + 1;
    while b < n {
        let bill = terms.billed(a, b);
        let latest = last_with(b, n - 1, |b| terms.billed(a, b) <= bill);
        out.push((latest, bill));
        if latest >= out[0].0 + period {
            break;
        }
        b = latest + 1;
    }
    out.push((n, terms.billed(a, n)));
    out
}

/// The last of `from..=to` for which a condition holds that holds for `from` and, once it fails, fails for ever.
fn last_with(from: usize, to: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (from, to);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

impl Network {
    fn new(nodes: usize) -> Network {
        Network { arcs: Vec::new(), leaving: vec![Vec::new(); nodes], potential: vec![0; nodes] }
    }

    fn join(&mut self, from: usize, to: usize, room: u64, cost: u64) {
        let arc = self.arcs.len();
        self.arcs.push(Arc { to: to as u32, room, cost: cost as i64 });
        self.arcs.push(Arc { to: from as u32, room: 0, cost: -(cost as i64) });
        self.leaving[from].push(arc as u32);
        self.leaving[to].push(arc as u32 + 1);
    }

    /// Sends as much as fits from `source` to `sink` as cheaply as can be; the cost \[ns\].
    fn cheapest_flow(&mut self, source: usize, sink: usize) -> u128 {
        let mut total = 0i128;
        while self.shortest_paths(source, sink) {
            let length = self.potential[sink] - self.potential[source];
            loop {
                let levels = self.levels(source, sink);
                if levels[sink] == u32::MAX {
                    break;
                }
                let mut next = vec![0; self.leaving.len()];
                while let Some(sent) = self.push_along(source, sink, &levels, &mut next) {
                    total += i128::from(length) * i128::from(sent);
                }
            }
        }
        total as u128
    }

    /// Moves the potentials so that arcs of shortest paths cost nothing and no arc with room costs less; whether
    /// there is a path at all.
    fn shortest_paths(&mut self, source: usize, sink: usize) -> bool {
        let mut distance = vec![FAR; self.leaving.len()];
        let mut heap = BinaryHeap::from([Reverse((0u64, source as u32))]);
        distance[source] = 0;
        while let Some(Reverse((d, node))) = heap.pop() {
            if d > distance[node as usize] {
                continue;
            }
            if node as usize == sink {
                break;
            }
            for &arc in &self.leaving[node as usize] {
                let Arc { to, room, .. } = self.arcs[arc as usize];
                let reached = d + self.reduced(node, arc);
                if room > 0 && reached < distance[to as usize] {
                    distance[to as usize] = reached;
                    heap.push(Reverse((reached, to)));
                }
            }
        }
        let far = distance[sink];
        if far == FAR {
            return false;
        }
        for (potential, d) in self.potential.iter_mut().zip(distance) {
            *potential += d.min(far) as i64;
        }
        true
    }

    /// Cost of an arc that leaves `node` under the potentials; meaningful, and not negative, if it has room.
    fn reduced(&self, node: u32, arc: u32) -> u64 {
        let Arc { to, room, cost } = self.arcs[arc as usize];
        let reduced = cost + self.potential[node as usize] - self.potential[to as usize];
        debug_assert!(room == 0 || reduced >= 0, "potentials keep costs from being negative");
        reduced.max(0) as u64
    }

    /// Arcs between `source` and each node on the way of arcs that cost nothing; `u32::MAX` where there is none.
    fn levels(&self, source: usize, sink: usize) -> Vec<u32> {
        let mut level = vec![u32::MAX; self.leaving.len()];
        let mut queue = VecDeque::from([source]);
        level[source] = 0;
        while let Some(node) = queue.pop_front() {
            if node == sink {
                break;
            }
            for &arc in &self.leaving[node] {
                let to = self.arcs[arc as usize].to as usize;
                let free = self.arcs[arc as usize].room > 0 && self.reduced(node as u32, arc) == 0;
                if free && level[to] == u32::MAX {
                    level[to] = level[node] + 1;
                    queue.push_back(to);
                }
            }
        }
        level
    }

    /// Sends what fits along one path of free arcs, level by level; `None` if there is no more.
    fn push_along(&mut self, source: usize, sink: usize, levels: &[u32], next: &mut [usize]) -> Option<u64> {
        let mut path: Vec<u32> = Vec::new();
        let mut node = source;
        while node != sink {
            let forward = self.leaving[node][next[node]..].iter().position(|&arc| {
                let to = self.arcs[arc as usize].to as usize;
                self.arcs[arc as usize].room > 0
                    && levels[to] == levels[node] + 1
                    && self.reduced(node as u32, arc) == 0
            });
            match forward {
                Some(skipped) => {
                    next[node] += skipped;
                    let arc = self.leaving[node][next[node]];
                    path.push(arc);
                    node = self.arcs[arc as usize].to as usize;
                }
                None => {
                    next[node] = self.leaving[node].len();
                    // A dead end: one step back, and not that way again.
                    let arc = path.pop()?;
                    node = self.arcs[arc as usize ^ 1].to as usize;
                    next[node] += 1;
                }
            }
        }
        let sent = path.iter().map(|&arc| self.arcs[arc as usize].room).min()?;
        for arc in path {
            self.arcs[arc as usize].room -= sent;
            self.arcs[arc as usize ^ 1].room += sent;
        }
        Some(sent)
    }
}
