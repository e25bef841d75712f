//! What is refused or asked twice under overload, and where.

use crate::engine::overload::{self, codel, hedge, throttle};

/// Overload control; everything is off by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overload {
    /// What the gateway does.
    pub gateway: overload::Config,
    /// How instances shed what waits in a standing queue; `None`: they do not.
    pub codel: Option<codel::Config>,
    /// Whether the newest is served first while a queue stands.
    pub adaptive_lifo: bool,
    /// Whether requests carry their client's deadline, and nothing that would miss it is begun.
    pub deadlines: bool,
    /// How clients stop asking; `None`: they do not.
    pub throttle: Option<throttle::Config>,
    /// When clients ask twice; `None`: never.
    pub hedge: Option<hedge::Config>,
}

impl Overload {
    /// Whether clients or instances do anything.
    pub fn is_on(&self) -> bool {
        self.codel.is_some() || self.deadlines || self.throttle.is_some() || self.hedge.is_some()
    }
}
