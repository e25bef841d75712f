//! The file format: which keys each section has, what their values may be, and what they become.
//!
//! Each function reads one section into its validated type, or writes down what is wrong with it and returns `None`. A
//! section knows nothing of the others; what has to fit together across sections is in `check`.

pub(crate) mod analyzer;
pub(crate) mod autoscaler;
pub(crate) mod balancer;
pub(crate) mod breaker;
pub(crate) mod clients;
mod distribution;
mod ejection;
pub(crate) mod faults;
pub(crate) mod fleet;
pub(crate) mod limiter;
pub(crate) mod live;
pub(crate) mod load;
pub(crate) mod overload;
pub(crate) mod policy;
mod request;
pub(crate) mod service;
pub(crate) mod slo;
pub(crate) mod traffic;

use crate::scenario::reader::Field;

/// A weight relative to others.
fn weight(field: &Field) -> Option<f64> {
    field.number("a weight, 0 or more", |x| (0.0..=1e12).contains(&x))
}

/// Writes down that a name is taken.
fn duplicate<T>(field: &Field) -> Option<T> {
    field.unfit("a name that no earlier one has")
}
