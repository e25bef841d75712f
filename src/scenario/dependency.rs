//! Dependencies: what the service calls, and what does not scale with it.

use crate::distribution::Distribution;
use crate::units::Span;

/// A downstream shared by all instances: a database with so many connections.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Calls it serves at once, over the whole fleet; the others wait, first come first served. ≥ 1.
    pub connections: u32,
    /// Time a call holds its connection, when it is alone.
    pub time: Distribution,
    /// Mean calls of a request, one after the other, after its own demand; a fraction is drawn per request.
    pub calls_per_request: f64,
    /// Contention α ≥ 0 of the universal scalability law: calls queue for something inside. Default 0.
    pub contention: f64,
    /// Coherency β ≥ 0 of the same: calls at once wait for each other, and beyond √((1 − α) / β) of them throughput falls. Default 0.
    pub coherency: f64,
    /// What answers in its place; `None`: nothing, every call goes to it.
    pub cache: Option<Cache>,
    /// How long the service waits for a call, its connection included; `None`: for ever. The dependency does not learn of it: the
    /// connection is taken until the call ends there.
    pub timeout: Option<Span>,
    /// Whether a request whose call timed out goes on without it; else it ends as an error of the server. Default false.
    pub optional: bool,
}

/// A cache before a dependency. It begins full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    /// Share of calls that it answers when it is full, in (0, 1].
    pub hit_ratio: f64,
    /// Entries, asked for equally often, ≥ 1. A call that misses one brings it in when its answer is there, unless its request was given up
    /// by then.
    pub entries: u32,
}
