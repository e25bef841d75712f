//! Fixed limits in Envoy's sense ("circuit breakers" there): connections, pending, requests, retries.
//!
//! A gateway that multiplexes has `max_connections · 1` requests on the wire; what is beyond waits as pending, and beyond that is
//! refused. Here a request in flight takes a connection of its own (HTTP/1), so at most `max_connections + max_pending` and at most
//! `max_requests` are in flight; which of them wait is the instances' business.
//!
//! Retries in flight are limited by a number, or by a budget: a share of all in flight, and at least a few.

/// Settings; `None`: no such limit. Envoy's defaults are 1,024 each, and 3 retries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Requests with a connection.
    pub connections: Option<u32>,
    /// Requests that wait for one; counted only with `connections`.
    pub pending: Option<u32>,
    /// Requests in flight.
    pub requests: Option<u32>,
    /// Retries in flight.
    pub retries: Option<Retries>,
}

/// How many retries may be in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retries {
    /// So many.
    AtMost(u32),
    /// A share of the requests in flight.
    Budget {
        /// Percent.
        percent: f64,
        /// So many in any case. Default 3.
        at_least: u32,
    },
}

impl Retries {
    /// Retries in flight that are allowed beside `active` requests.
    pub fn allowed(self, active: u32) -> u32 {
        match self {
            Retries::AtMost(n) => n,
            Retries::Budget { percent, at_least } => ((f64::from(active) * percent / 100.0) as u32).max(at_least),
        }
    }
}

/// What is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    requests: u32,
    retries: u32,
}

impl InFlight {
    /// One more.
    pub fn begin(&mut self, is_retry: bool) {
        self.requests += 1;
        self.retries += u32::from(is_retry);
    }

    /// One less.
    pub fn end(&mut self, is_retry: bool) {
        debug_assert!(self.requests > 0, "every end has a beginning");
        self.requests -= 1;
        self.retries -= u32::from(is_retry);
    }

    /// Requests in flight.
    pub fn requests(&self) -> u32 {
        self.requests
    }
}

impl Limits {
    /// Whether one more may be in flight.
    pub fn admits(&self, in_flight: &InFlight, is_retry: bool) -> bool {
        let room = match (self.connections, self.pending) {
            (None, _) => u32::MAX,
            (Some(connections), pending) => connections.saturating_add(pending.unwrap_or(u32::MAX)),
        };
        let most = room.min(self.requests.unwrap_or(u32::MAX));
        if in_flight.requests >= most {
            return false;
        }
        match self.retries {
            Some(retries) if is_retry => in_flight.retries < retries.allowed(in_flight.requests),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_follows_what_is_in_flight() {
        let budget = Retries::Budget { percent: 20.0, at_least: 3 };
        assert_eq!([2, 15].map(|n| budget.allowed(n)), [3, 3], "CB-41");
        assert_eq!(budget.allowed(16), 3, "CB-42");
        assert_eq!([25, 100].map(|n| budget.allowed(n)), [5, 20], "CB-43");
    }

    #[test]
    fn what_is_beyond_connections_waits_and_what_is_beyond_that_is_refused() {
        let limits = Limits { connections: Some(2), pending: Some(1), ..Limits::default() };
        let mut in_flight = InFlight::default();
        for _ in 0..3 {
            assert!(limits.admits(&in_flight, false));
            in_flight.begin(false);
        }
        assert!(!limits.admits(&in_flight, false));
        in_flight.end(false);
        assert!(limits.admits(&in_flight, true), "no limit on retries");
        let limits = Limits { retries: Some(Retries::AtMost(1)), ..Limits::default() };
        in_flight.begin(true);
        assert!(!limits.admits(&in_flight, true) && limits.admits(&in_flight, false));
    }
}
