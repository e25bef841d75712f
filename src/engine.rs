//! The engine: what lets requests in, chooses an instance, and decides how many instances there should be.

pub mod analyzer;
pub mod autoscaler;
pub mod balancer;
pub mod breaker;
pub mod events;
pub mod limiter;
pub mod metrics;
pub mod request;
pub mod window;
