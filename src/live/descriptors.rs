//! File descriptors: how many clients and callers fit, so that what keeps the gateway alive never lacks one.
//!
//! ```text
//! limit ─┬─ kept back: listeners, files, 4 for each instance, callers of the control API
//!        └─ clients: two each, their own and one to an instance
//! ```
//!
//! A client that does not fit is turned away at once. One that was let in without a descriptor for its instance would fail later, and one
//! that waits for the last descriptor would take it from the control API, whose callers could help.

use rustix::process::{Resource, getrlimit};

/// Descriptors for what is there always: listeners, standard streams, wake-ups, files.
const ALWAYS: u64 = 128;
/// Descriptors of an instance: its leash, a health check, a look, one more while it starts.
const INSTANCE: u64 = 4;
/// Most callers of the control API at once: its descriptors are a quarter of what is kept back, and this many are plenty.
const CALLERS: u64 = 64;

/// How many fit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Clients of the gateway.
    pub clients: u32,
    /// Callers of the control API.
    pub callers: u32,
}

impl Room {
    /// What this process has room for, with at most so many instances.
    pub fn here(instances: u32) -> Room {
        Room::of(getrlimit(Resource::Nofile).current, instances)
    }

    /// What there is room for under a limit; `None`: there is no limit.
    fn of(limit: Option<u64>, instances: u32) -> Room {
        let limit = limit.unwrap_or(u64::MAX);
        let kept = (ALWAYS + INSTANCE * u64::from(instances)).min(limit / 2);
        let clients = (limit - kept) / 2;
        Room {
            clients: u32::try_from(clients).unwrap_or(u32::MAX).max(1),
            callers: (kept / 4).clamp(1, CALLERS) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_few_descriptors_is_kept_back_and_little_of_many() {
        assert_eq!(Room::of(Some(48), 4), Room { clients: 12, callers: 6 });
        assert_eq!(Room::of(Some(1024), 10), Room { clients: 428, callers: 42 });
        assert_eq!(Room::of(Some(20_000), 100), Room { clients: 9736, callers: 64 });
        assert_eq!(Room::of(None, 1).clients, u32::MAX);
        assert_eq!(Room::of(Some(0), 1), Room { clients: 1, callers: 1 });
    }
}
