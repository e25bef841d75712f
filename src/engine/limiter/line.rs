//! The line to a store of quotas: whether it is worth asking a store that may be away.
//!
//! Who asks a store that is away waits for its time-out first. After [`Line::FAILURES`] of those nobody asks for [`Line::SILENCE`], so that a
//! dead store costs its time-out a few times and not for every request.

use crate::units::{Span, Time};

/// Whether a store is asked.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Requests that asked in vain since it last answered, or since the last silence.
    in_vain: u32,
    /// When as many as it takes have failed.
    silent_from: Option<Time>,
}

impl Line {
    /// Failures after which nobody asks for a while.
    pub const FAILURES: u32 = 5;
    /// How long nobody asks.
    pub const SILENCE: Span = Span::from_secs(5);

    /// Whether nobody asks now.
    pub fn is_silent(&self, now: Time) -> bool {
        self.silent_from.is_some_and(|from| from <= now && now < from + Line::SILENCE)
    }

    /// Who asked at `asked_at` knows at `known_at` that it was in vain; whether a silence begins with that.
    pub(super) fn failed(&mut self, asked_at: Time, known_at: Time) -> bool {
        if self.silent_from.is_some_and(|from| from + Line::SILENCE <= asked_at) {
            self.answered();
        }
        self.in_vain += 1;
        let begins = self.in_vain == Line::FAILURES;
        if begins {
            self.silent_from = Some(known_at);
        }
        begins
    }

    /// The store has answered.
    pub(super) fn answered(&mut self) {
        *self = Line::default();
    }
}
