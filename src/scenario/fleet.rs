//! The fleet: how instances come and go, and what they cost.

use crate::distribution::Distribution;
use crate::record::cost::Billing;
use crate::scenario::service::Warmup;
use crate::units::Span;

/// How instances come and go.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Instances that are ready when the run begins.
    pub initial: u32,
    /// From the launch command until an instance takes traffic (the provisioning delay).
    pub boot: Distribution,
    /// Slowness after that; `None`: full speed at once.
    pub warmup: Option<Warmup>,
    /// Memory of an instance; `None`: not modelled, and memory_utilization is missing.
    pub memory: Option<Memory>,
    /// Price and rounding.
    pub billing: Billing,
    /// Availability zones; instance i lives in zone i mod zones. ≥ 1.
    pub zones: u32,
    /// A draining instance that still has requests after this is terminated, and they fail as `connection`; `None`: it
    /// may take as long as it needs.
    pub drain_timeout: Option<Span>,
    /// How long an instance that is told to drain goes on serving what still comes, whatever it has left. Default zero.
    pub pre_stop_delay: Span,
}

/// Memory of an instance \[bytes\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Used when idle.
    pub base: f64,
    /// Used by each request inside, waiting or served.
    pub per_request: f64,
    /// 100 % of memory_utilization.
    pub limit: f64,
}
