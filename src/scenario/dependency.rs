//! Dependencies: what the service calls, and what does not scale with it.

use crate::distribution::Distribution;

/// A downstream shared by all instances: a database with so many connections.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Calls it serves at once, over the whole fleet; the others wait, first come first served. ≥ 1.
    pub connections: u32,
    /// Time a call holds its connection.
    pub time: Distribution,
    /// Mean calls of a request, one after the other, after its own demand; a fraction is drawn per request.
    pub calls_per_request: f64,
}
