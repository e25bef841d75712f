//! A store of quotas that is really there: whoever drives the engine asks it, and tells the engine what it said.
//!
//! ```text
//! driver:  engine.asks_store? ─▶ the store ─▶ Decided ──────▶ engine.admit_told   as the store has it
//!               no │                └──────▶ Failed ────────▶        "            as `on_failure` has it: local, open, closed
//!                  └──────────────────────▶ Unasked ────────▶        "
//! ```
//!
//! What a store that fails is replaced by, and when it is not worth asking, is the same as where it is simulated ([`super::shared`]). The
//! quotas of this gateway's own part are full when the store is lost for the first time, and go on from where they were after that.
//!
//! What is absent: the store, its clock, and any wait.

use super::hierarchy::{Denial, Hierarchy};
use super::line::Line;
use super::shared::OnFailure;
use super::{Verdict, hierarchy};
use crate::engine::events::{Event, EventKind};
use crate::engine::request::Request;
use crate::units::{Span, Time};

/// What came of asking a store about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It decided.
    Decided {
        /// The rule that a client is told of, 0 the first: of a refusal the one with the longest wait, else the one that leaves least.
        rule: u32,
        /// What it decided.
        verdict: Verdict,
        /// From the question to the answer.
        took: Span,
    },
    /// It did not.
    Failed {
        /// Why.
        why: Lapse,
        /// From the question until that was known.
        took: Span,
    },
    /// It was not asked, as it has not answered lately ([`Line::SILENCE`]).
    Unasked,
}

/// Why a store did not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// It did not answer in time. It may have counted the request all the same.
    TimedOut,
    /// There is no connection to it, or it broke off, or it answered with an error.
    Unreachable,
    /// As many questions as may be are under way already. That says nothing about the store.
    Crowded,
}

impl Lapse {
    /// Every lapse with its name in metrics and recordings.
    pub const ALL: [(&'static str, Lapse); 3] =
        [("timeout", Lapse::TimedOut), ("unreachable", Lapse::Unreachable), ("crowded", Lapse::Crowded)];
}

/// What a store was asked so far, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that it let in.
    pub allowed: u64,
    /// Attempts that it refused.
    pub refused: u64,
    /// Questions that it did not decide, in the order of [`Lapse::ALL`].
    pub failed: [u64; Lapse::ALL.len()],
    /// Attempts about which it was not asked.
    pub unasked: u64,
    /// Time until its answers, all together.
    pub took: Span,
    /// The longest of them.
    pub longest: Span,
    /// Since when it is lost; `None`: it is not.
    pub lost_since: Option<Time>,
}

/// The engine's side of a store.
#[derive(Debug)]
pub(super) struct Outside {
    line: Line,
    on_failure: OnFailure,
    /// This gateway's part of every quota, where a store that is lost is replaced by that.
    parts: Option<Hierarchy>,
    tally: Tally,
}

impl Outside {
    pub(super) fn new(on_failure: OnFailure, parts: Option<Hierarchy>) -> Outside {
        Outside { line: Line::default(), on_failure, parts, tally: Tally::default() }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn is_silent(&self, now: Time) -> bool {
        self.line.is_silent(now)
    }

    /// What this gateway's own part leaves a client; `None`: it has none of its own.
    pub(super) fn tightest(&mut self, now: Time, request: &Request) -> Option<(usize, Verdict)> {
        self.parts.as_mut().map(|parts| parts.tightest(now, request))
    }

    /// What the answer means for the request.
    pub(super) fn decide(
        &mut self,
        now: Time,
        request: &Request,
        answer: &Answer,
        events: &mut Vec<Event>,
    ) -> Result<(), Denial> {
        match *answer {
            Answer::Decided { verdict, took, .. } => {
                self.answered(now, took, events);
                *(if verdict.allowed { &mut self.tally.allowed } else { &mut self.tally.refused }) += 1;
                return hierarchy::verdict(verdict);
            }
            Answer::Failed { why, took } => self.failed(now, why, took, events),
            Answer::Unasked => self.tally.unasked += 1,
        }
        match (self.on_failure, &mut self.parts) {
            (OnFailure::Closed, _) => Err(Denial::StoreDown),
            (OnFailure::Local, Some(parts)) => parts.admit(now, request).map(|_| ()),
            (OnFailure::Open, _) | (OnFailure::Local, None) => Ok(()),
        }
    }

    fn answered(&mut self, now: Time, took: Span, events: &mut Vec<Event>) {
        self.line.answered();
        self.tally.took += took;
        self.tally.longest = self.tally.longest.max(took);
        if let Some(since) = self.tally.lost_since.take() {
            let after = now.since(since);
            let cause =
                format!("the store of quotas decides again after {after}; it still has what it counted before");
            events.push(Event { at: now, kind: EventKind::QuotaStoreBack { after }, cause });
        }
    }

    fn failed(&mut self, now: Time, why: Lapse, took: Span, events: &mut Vec<Event>) {
        self.tally.failed[why as usize] += 1;
        if why == Lapse::Crowded {
            return;
        }
        let is_silent_now = self.line.failed(Time(now.0.saturating_sub(took.0)), now);
        if is_silent_now && self.tally.lost_since.is_none() {
            self.tally.lost_since = Some(now);
            let how = if why == Lapse::TimedOut { "not in time" } else { "not at all" };
            let instead = match self.on_failure {
                OnFailure::Local => "each gateway enforces its part of the quotas",
                OnFailure::Open => "every request passes",
                OnFailure::Closed => "every request is refused",
            };
            let cause = format!(
                "the store of quotas answered {how}, {} times in a row: {instead} until it is back, and it is not asked for {} at a time",
                Line::FAILURES,
                Line::SILENCE
            );
            events.push(Event { at: now, kind: EventKind::QuotaStoreLost, cause });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hierarchy::Extras;
    use super::super::shared::{Mode, Sharing};
    use super::super::{Algorithm, Config, Key};
    use super::*;

    fn hierarchy(on_failure: OnFailure) -> Hierarchy {
        let config = Config::new(Algorithm::FixedWindow, Key::Global, 100, Span::from_secs(60));
        let sharing =
            Sharing { gateways: 4, mode: Mode::Store, outages: Vec::new(), timeout: Sharing::TIMEOUT, on_failure };
        Hierarchy::new(&config, &Extras { sharing: Some(sharing), ..Extras::default() }, |_| 1, 1)
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    const ASKED: Request = Request { index: 0, attempt: 1, client: 0, endpoint: 0, region: 0, avoid: None };

    fn late() -> Answer {
        Answer::Failed { why: Lapse::TimedOut, took: Sharing::TIMEOUT }
    }

    fn decided(allowed: bool) -> Answer {
        let retry_after = Some(if allowed { Span::ZERO } else { Span::from_secs(7) });
        let verdict = Verdict { allowed, limit: 100, remaining: 3, retry_after, reset_after: Span::from_secs(9) };
        Answer::Decided { rule: 0, verdict, took: Span::from_millis(2) }
    }

    #[test]
    fn the_store_decides_as_long_as_it_answers() {
        let (mut quotas, mut events) = (hierarchy(OnFailure::Open), Vec::new());
        assert_eq!(quotas.admit_told(at(0), &ASKED, &decided(true), &mut events), Ok(Span::ZERO));
        let denial = Denial::Quota { retry_after: Some(Span::from_secs(7)) };
        assert_eq!(quotas.admit_told(at(1), &ASKED, &decided(false), &mut events), Err(denial));
        let tally = quotas.tally().unwrap();
        assert_eq!((tally.allowed, tally.refused, tally.took), (1, 1, Span::from_millis(4)));
        assert_eq!(events, []);
    }

    #[test]
    fn five_failures_are_a_loss_and_then_nobody_asks_for_five_seconds() {
        let (mut quotas, mut events) = (hierarchy(OnFailure::Open), Vec::new());
        for i in 0..5 {
            assert!(quotas.asks_store(at(i)) && events.is_empty());
            assert!(quotas.admit_told(at(i), &ASKED, &late(), &mut events).is_ok(), "open lets all pass");
        }
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].at, &events[0].kind), (at(4), &EventKind::QuotaStoreLost));
        assert!(!quotas.asks_store(at(4)) && !quotas.asks_store(at(5003)) && quotas.asks_store(at(5004)));
        assert!(quotas.admit_told(at(100), &ASKED, &Answer::Unasked, &mut events).is_ok());
        // It is asked in vain again, which is no news, and then answers.
        (0..5).for_each(|i| assert!(quotas.admit_told(at(6000 + i), &ASKED, &late(), &mut events).is_ok()));
        assert!(!quotas.asks_store(at(6004)) && events.len() == 1);
        assert!(quotas.admit_told(at(12_004), &ASKED, &decided(true), &mut events).is_ok());
        assert_eq!(events[1].kind, EventKind::QuotaStoreBack { after: Span::from_secs(12) });
        let tally = quotas.tally().unwrap();
        assert_eq!((tally.failed, tally.unasked, tally.lost_since), ([10, 0, 0], 1, None));
    }

    #[test]
    fn a_crowd_is_not_the_stores_fault() {
        let (mut quotas, mut events) = (hierarchy(OnFailure::Open), Vec::new());
        let crowded = Answer::Failed { why: Lapse::Crowded, took: Span::ZERO };
        (0..50).for_each(|i| assert!(quotas.admit_told(at(i), &ASKED, &crowded, &mut events).is_ok()));
        assert!(quotas.asks_store(at(50)) && events.is_empty());
    }

    #[test]
    fn a_store_that_is_lost_is_replaced_as_it_was_said() {
        let passed = |on_failure| {
            let (mut quotas, mut events) = (hierarchy(on_failure), Vec::new());
            (0..200).filter(|&i| quotas.admit_told(at(i), &ASKED, &late(), &mut events).is_ok()).count()
        };
        assert_eq!([OnFailure::Local, OnFailure::Open, OnFailure::Closed].map(passed), [25, 200, 0], "RL-48, RL-49");
        let mut closed = hierarchy(OnFailure::Closed);
        assert_eq!(closed.admit_told(at(0), &ASKED, &Answer::Unasked, &mut Vec::new()), Err(Denial::StoreDown));
    }
}
