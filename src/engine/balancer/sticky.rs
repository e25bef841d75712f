//! Sticky sessions: a client stays with the instance that it met first, as by a cookie, while it keeps coming.
//!
//! A session is over when its client was silent for the idle time, or its instance may get no traffic any more; the strategy
//! then chooses anew. Clients are dense numbers, so sessions are a flat table.

use crate::engine::request::InstanceId;
use crate::units::{Span, Time};

/// All sessions.
#[derive(Clone, Debug)]
pub struct Sticky {
    idle: Span,
    sessions: Vec<Session>,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    instance: InstanceId,
    used_at: Time,
}

const NONE: Session = Session { instance: InstanceId(u32::MAX), used_at: Time::ZERO };

impl Sticky {
    /// No sessions yet, and room for so many clients; more make the table grow.
    pub fn new(idle: Span, clients: usize) -> Sticky {
        Sticky { idle, sessions: vec![NONE; clients] }
    }

    /// The instance of a client's session, if it has one.
    #[inline]
    pub fn instance(&self, now: Time, client: u32) -> Option<InstanceId> {
        let session = self.sessions.get(client as usize)?;
        let is_on = session.instance != NONE.instance && now.since(session.used_at) < self.idle;
        is_on.then_some(session.instance)
    }

    /// A client was sent to `instance`.
    #[inline]
    pub fn sent(&mut self, now: Time, client: u32, instance: InstanceId) {
        let client = client as usize;
        if client >= self.sessions.len() {
            self.sessions.resize(client + 1, NONE);
        }
        self.sessions[client] = Session { instance, used_at: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_while_its_client_keeps_coming() {
        let s = |n: u64| Time(n * 1_000_000_000);
        let mut sticky = Sticky::new(Span::from_secs(60), 1);
        assert_eq!(sticky.instance(s(0), 7), None);
        sticky.sent(s(0), 7, InstanceId(3));
        assert_eq!(sticky.instance(s(59), 7), Some(InstanceId(3)));
        sticky.sent(s(59), 7, InstanceId(3));
        assert_eq!(sticky.instance(s(118), 7), Some(InstanceId(3)));
        assert_eq!(sticky.instance(s(119), 7), None, "silent for a minute");
        assert_eq!(sticky.instance(s(1), 3), None);
    }
}
