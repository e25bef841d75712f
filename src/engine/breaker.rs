//! Circuit breaker: stops sending to what keeps failing, and probes it before trusting it again.
//!
//! The pattern is Nygard's (*Release It!*, ch. 5); the windows and conditions are those that resilience4j, Hystrix,
//! Polly and Sentinel offer, with differences where theirs wedge or flap.
//!
//! ```text
//!             a condition holds                 now >= until, when a call asks
//!   ┌────────┐ ───────────────▶ ┌──────┐ ──────────────────────▶ ┌───────────┐
//!   │ closed │                  │ open │                         │ half-open │
//!   └────────┘ ◀──────┐         └──────┘ ◀── too many bad ────── └───────────┘
//!        ▲            └──────────────────── enough good probes ────────┘
//!    ramping (optional): admits a rising share
//!
//!   forced open: refuses until told otherwise       forced closed: never trips, still counts
//!   in shadow:   runs all of this, and lets every call pass
//! ```
//!
//! - Conditions are looked at after every recorded outcome, never on the passage of time, and `>=` trips.
//! - **Generations.** A call that was admitted while closed and times out after the breaker has opened says nothing
//!   about the probes. Each state entered gets a new number, each probe a number of its own, permits carry it, and an
//!   outcome with any other number is *stale*: counted, and of no effect. (resilience4j counts it, Polly lets a late
//!   success close the breaker.)
//! - **Leases.** A probe that is not reported within its lease is lost, and its place is free again. Without this, one
//!   lost callback leaves a breaker half-open for ever, the most reported defect of this pattern.
//! - **Verdict when certain.** With k probes of which `need` failures re-open, the `need`-th failure opens and the
//!   (k − need + 1)-th success closes; the rest is not waited for.
//! - Time never runs backwards inside: a `now` smaller than an earlier one counts as that one.
//!
//! What is absent: a clock or timer (open ends when a call asks), retries, any knowledge of what a failure is
//! ([`Outcome::is_failure`] decides), and names: the caller knows which scope a breaker guards.

mod config;
mod fallback;
pub mod false_trips;
mod half_open;
mod ramp;
mod transition;

use crate::engine::request::{Outcome, Permit};
use crate::engine::window::{History, SlidingMaximum, Tally, Window};
use crate::rng::open_unit;
use crate::units::{Span, Time};

pub use config::{Config, Recovery, Rules, Scope, Slow};
pub use fallback::{Fallback, retry_after_seconds};
pub use transition::{Cause, Change, Transition};

use half_open::{Probes, Verdict};
use ramp::Ramp;

/// The breaker of one scope. Its rules are shared, and passed to every call.
///
/// One takes 176 bytes, and 108 more on the heap for a time window of ten buckets. While closed, [`Breaker::admit`] and
/// [`Breaker::record`] neither allocate nor divide (but for the end of a bucket): together 3 to 6 ns on a machine that
/// takes 2 ns for a loop around one multiplication, with 2,000 breakers asked at random.
#[derive(Clone, Debug)]
pub struct Breaker {
    history: History,
    phase: Phase,
    /// What permits of the current state carry; never 0.
    generation: u32,
    /// The newest number given to a state or a probe.
    serial: u32,
    /// Failures since the last success.
    streak: u32,
    /// Times it opened without a quiet time between.
    opens_in_a_row: u32,
    /// Times it opened at all; index of the jitter.
    opens: u32,
    /// Which breaker this is among those of the same rules; index of its random numbers.
    index: u32,
    /// The latest moment seen.
    latest: Time,
    /// When the current state was entered.
    since: Time,
    /// `Retry-After` of failures in the window.
    hints: Option<Box<SlidingMaximum>>,
    refused: u64,
    /// `refused` when the current state was entered.
    refused_before: u64,
    stale: u64,
    lost_probes: u64,
    in_shadow: bool,
}

#[derive(Clone, Debug)]
enum Phase {
    Closed,
    ForcedClosed,
    Ramping(Box<Ramp>),
    HalfOpen(Box<Probes>),
    Open { until: Time },
    ForcedOpen,
}

/// The answer to a call that asks to pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Passage {
    /// It may pass; its end must be reported with the same permit.
    Granted {
        /// For [`Breaker::record`] or [`Breaker::cancel`].
        permit: Permit,
        /// What this call changed, if it did.
        transition: Option<Box<Transition>>,
    },
    /// It may not.
    Refused {
        /// When asking again makes sense; `None` while half-open or forced open: nobody knows.
        until: Option<Time>,
        /// What this call changed, if it did.
        transition: Option<Box<Transition>>,
    },
}

/// What a person or a rule wants of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Refuse until told otherwise.
    Open,
    /// Let pass until told otherwise, and go on counting.
    Closed,
    /// End [`Force::Open`] or [`Force::Closed`], by closing with an empty window.
    Auto,
    /// Open as if a condition had held, then half-open as usual. While open it can only lengthen that; forced states
    /// ignore it.
    Trip {
        /// For how long; `None` for the breaker's own time.
        open_for: Option<Span>,
    },
}

/// The state of a breaker as shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Traffic flows, all of it or (while recovery ramps up) a rising share.
    Closed,
    /// Traffic is refused.
    Open {
        /// When probes will be let through.
        until: Time,
    },
    /// Probes are let through.
    HalfOpen,
    /// Traffic is refused until somebody says otherwise.
    ForcedOpen,
    /// Traffic flows whatever happens.
    ForcedClosed,
}

/// A breaker at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// In which state; in shadow, the one that callers do not notice.
    pub state: State,
    /// When it entered it.
    pub since: Time,
    /// Number of that state; larger for later ones.
    pub generation: u32,
    /// What the window holds; while half-open, the probes that were reported. It is kept while open, as the reason.
    pub total: Tally,
    /// How long it stays open; zero if that is over or it is not open. `None` if nobody knows.
    pub remaining: Option<Span>,
    /// Times it opened without a quiet time between.
    pub opens_in_a_row: u32,
    /// Calls refused in this state; in shadow, those that would have been.
    pub refused: u64,
    /// Calls refused since the beginning; in shadow, those that would have been.
    pub refused_total: u64,
    /// Outcomes that came from an earlier state, or from a probe whose lease had ended.
    pub stale: u64,
    /// Probes that were never reported in time.
    pub lost_probes: u64,
}

impl Breaker {
    /// A closed breaker; `index` tells it from others under the same rules, for its random numbers.
    pub fn new(rules: &Rules, index: u32) -> Breaker {
        Breaker {
            history: History::new(rules.window),
            phase: Phase::Closed,
            generation: 1,
            serial: 1,
            streak: 0,
            opens_in_a_row: 0,
            opens: 0,
            index,
            latest: Time::ZERO,
            since: Time::ZERO,
            hints: None,
            refused: 0,
            refused_before: 0,
            stale: 0,
            lost_probes: 0,
            in_shadow: rules.shadow,
        }
    }

    /// Lets a call pass at `now`, or says when it is worth asking again.
    ///
    /// `draw` is uniform over 64 bits and belongs to the call; it is looked at only while recovery ramps up.
    pub fn admit(&mut self, rules: &Rules, now: Time, draw: u64) -> Passage {
        match self.admit_if_closed(now) {
            Some(permit) => Passage::Granted { permit, transition: None },
            None => self.admit_unless_closed(rules, self.latest, draw),
        }
    }

    /// [`Breaker::admit`] for nearly every call there is: lets it pass if that needs no thought.
    #[inline(always)]
    pub fn admit_if_closed(&mut self, now: Time) -> Option<Permit> {
        self.advance_clock(now);
        matches!(self.phase, Phase::Closed | Phase::ForcedClosed).then_some(Permit(self.generation))
    }

    /// [`Breaker::record`] for nearly every call there is: a good one through a closed breaker that remembers good ones only. No
    /// condition can come to hold. False: nothing was counted, and the call is still to be recorded.
    #[inline(always)]
    pub fn record_among_good(
        &mut self,
        rules: &Rules,
        now: Time,
        permit: Permit,
        outcome: Outcome,
        latency: Span,
    ) -> bool {
        let is_good = outcome == Outcome::Success && latency <= rules.slow_over;
        let is_counted = is_good
            && matches!(self.phase, Phase::Closed)
            && permit.0 == self.generation
            && self.streak == 0
            && self.history.record_among_good();
        if is_counted {
            self.advance_clock(now);
        }
        is_counted
    }

    /// Counts how an admitted call ended; [`Outcome::Abandoned`] and [`Outcome::Shed`] count nothing.
    ///
    /// `retry_after` is what a failure's answer asked for, if it did.
    #[inline]
    #[must_use = "a transition is an event to be written"]
    pub fn record(
        &mut self,
        rules: &Rules,
        now: Time,
        permit: Permit,
        outcome: Outcome,
        latency: Span,
        retry_after: Option<Span>,
    ) -> Option<Box<Transition>> {
        let now = self.advance_clock(now);
        if matches!(outcome, Outcome::Abandoned | Outcome::Shed) {
            self.cancel(rules, now, permit);
            return None;
        }
        let failed = outcome.is_failure();
        let call = Call { failed, slow: latency > rules.slow_over, retry_after: retry_after.filter(|_| failed) };
        match self.phase {
            Phase::Closed if permit.0 == self.generation => {
                self.count(rules, now, call);
                if self.is_tripped(rules) { Some(self.trip(rules, now)) } else { None }
            }
            _ => self.record_unless_closed(rules, now, permit, call),
        }
    }

    /// Takes back a permit whose call says nothing: a probe's place is free again, and nothing is counted.
    pub fn cancel(&mut self, rules: &Rules, now: Time, permit: Permit) {
        let now = self.advance_clock(now);
        if let Phase::HalfOpen(probes) = &mut self.phase {
            probes.take(permit.0, now, rules.probe_lease);
        }
    }

    /// Does what a person or a rule wants; `None` if that changes nothing, or only lengthens the time it is open.
    #[must_use = "a transition is an event to be written"]
    pub fn force(&mut self, rules: &Rules, now: Time, force: Force) -> Option<Box<Transition>> {
        let now = self.advance_clock(now);
        match (force, &mut self.phase) {
            (Force::Open, Phase::ForcedOpen)
            | (Force::Closed, Phase::ForcedClosed)
            | (Force::Trip { .. }, Phase::ForcedOpen | Phase::ForcedClosed) => None,
            (Force::Trip { open_for }, Phase::Open { until }) => {
                let open_for = open_for.unwrap_or_else(|| rules.open_for(self.opens_in_a_row));
                *until = now.saturating_add(open_for).max(*until);
                None
            }
            (Force::Trip { open_for }, _) => Some(self.open(rules, now, Cause::Tripped, open_for)),
            (Force::Open, _) => {
                self.enter(Phase::ForcedOpen, now);
                Some(self.transition(Change::Opened { open_for: Span::MAX }, Cause::ForcedOpen))
            }
            (Force::Closed, _) => {
                self.close(Phase::ForcedClosed, now);
                Some(self.transition(Change::Closed, Cause::ForcedClosed))
            }
            (Force::Auto, Phase::ForcedOpen | Phase::ForcedClosed) => {
                self.close(Phase::Closed, now);
                Some(self.transition(Change::Closed, Cause::Released))
            }
            (Force::Auto, _) => None,
        }
    }

    /// The breaker as it is at `now`, for people. An open breaker whose time is over stays open until a call asks,
    /// unless the rules report eagerly.
    pub fn state(&self, rules: &Rules, now: Time) -> Snapshot {
        let now = now.max(self.latest);
        let (state, total, remaining) = match &self.phase {
            Phase::Closed | Phase::Ramping(_) => (State::Closed, self.history.total_at(now), Some(Span::ZERO)),
            Phase::ForcedClosed => (State::ForcedClosed, self.history.total_at(now), Some(Span::ZERO)),
            Phase::HalfOpen(probes) => (State::HalfOpen, probes.decided(), None),
            Phase::Open { until } if rules.eager && now >= *until => (State::HalfOpen, Tally::default(), None),
            Phase::Open { until } => (State::Open { until: *until }, self.history.total(), Some(until.since(now))),
            Phase::ForcedOpen => (State::ForcedOpen, self.history.total(), None),
        };
        Snapshot {
            state,
            since: self.since,
            generation: self.generation,
            total,
            remaining,
            opens_in_a_row: self.opens_in_a_row_at(rules, now),
            refused: self.refused - self.refused_before,
            refused_total: self.refused,
            stale: self.stale,
            lost_probes: self.lost_probes,
        }
    }

    /// Whether callers see it closed, forced or not; always true in shadow.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.in_shadow || matches!(self.phase, Phase::Closed | Phase::ForcedClosed | Phase::Ramping(_))
    }

    /// When an open breaker will let probes pass; `None` in other states.
    pub fn next_wake(&self) -> Option<Time> {
        match self.phase {
            Phase::Open { until } => Some(until),
            _ => None,
        }
    }

    #[inline]
    fn advance_clock(&mut self, now: Time) -> Time {
        self.latest = self.latest.max(now);
        self.latest
    }

    #[cold]
    fn admit_unless_closed(&mut self, rules: &Rules, now: Time, draw: u64) -> Passage {
        match &mut self.phase {
            Phase::Closed | Phase::ForcedClosed => {
                Passage::Granted { permit: Permit(self.generation), transition: None }
            }
            Phase::Ramping(ramp) => match ramp.admitted_share(self.since, now) {
                None => {
                    self.phase = Phase::Closed;
                    Passage::Granted { permit: Permit(self.generation), transition: None }
                }
                Some(share) if open_unit(draw) < share => {
                    Passage::Granted { permit: Permit(self.generation), transition: None }
                }
                Some(_) => {
                    let until = ramp.ends_at(self.since);
                    self.refuse(Some(until), None)
                }
            },
            Phase::Open { until } if now < *until => {
                let until = *until;
                self.refuse(Some(until), None)
            }
            Phase::Open { .. } => {
                let open_for = now.since(self.since);
                self.enter(Phase::HalfOpen(Box::default()), now);
                let cause = Cause::OpenTimeOver { open_for, probes: rules.half_open_calls };
                let transition = self.transition(Change::HalfOpened, cause);
                self.probe(rules, now, Some(transition))
            }
            Phase::HalfOpen(probes) => {
                let lost = probes.drop_lost(now, rules.probe_lease);
                self.lost_probes += u64::from(lost);
                if let Some(cause) = probes.hung(rules, now) {
                    let transition = self.open(rules, now, cause, None);
                    return self.refuse(self.next_wake(), Some(transition));
                }
                let cause = Cause::ProbesLost { probes: lost, lease: rules.probe_lease };
                let transition = (lost > 0).then(|| self.transition(Change::ProbesLost, cause));
                self.probe(rules, now, transition)
            }
            Phase::ForcedOpen => self.refuse(None, None),
        }
    }

    /// Grants a probe if there is room for one.
    fn probe(&mut self, rules: &Rules, now: Time, transition: Option<Box<Transition>>) -> Passage {
        let serial = self.next_serial();
        match &mut self.phase {
            Phase::HalfOpen(probes) if probes.taken() < rules.half_open_calls => {
                probes.issue(serial, now);
                self.serial = serial;
                Passage::Granted { permit: Permit(serial), transition }
            }
            _ => self.refuse(None, transition),
        }
    }

    fn refuse(&mut self, until: Option<Time>, transition: Option<Box<Transition>>) -> Passage {
        self.refused += 1;
        if self.in_shadow {
            // 0 is nobody's number: how this call ends must not feed the machine that would not have let it pass.
            return Passage::Granted { permit: Permit(0), transition };
        }
        Passage::Refused { until, transition }
    }

    #[inline(never)]
    fn record_unless_closed(
        &mut self,
        rules: &Rules,
        now: Time,
        permit: Permit,
        call: Call,
    ) -> Option<Box<Transition>> {
        let is_current = permit.0 == self.generation;
        match &mut self.phase {
            Phase::ForcedClosed if is_current => {
                self.count(rules, now, call);
                None
            }
            Phase::Ramping(ramp) if is_current => {
                let step = ramp.count(self.since, now, call);
                if ramp.admitted_share(self.since, now).is_none() {
                    self.phase = Phase::Closed;
                }
                self.count(rules, now, call);
                if self.is_tripped(rules) {
                    Some(self.trip(rules, now))
                } else if rules.is_failing(step) {
                    let cause = Cause::RampStep { total: step, at: rules.failure_rate };
                    Some(self.open(rules, now, cause, None))
                } else {
                    None
                }
            }
            Phase::HalfOpen(probes) => {
                if !probes.take(permit.0, now, rules.probe_lease) {
                    return self.note_stale(permit);
                }
                match probes.decide(rules, now, call) {
                    Verdict::Open(cause) => Some(self.open(rules, now, cause, None)),
                    Verdict::Close(cause) => {
                        let phase = self.after_recovery(rules);
                        self.close(phase, now);
                        Some(self.transition(Change::Closed, cause))
                    }
                    Verdict::Wait => None,
                }
            }
            _ => self.note_stale(permit),
        }
    }

    fn note_stale(&mut self, permit: Permit) -> Option<Box<Transition>> {
        // Calls that only the shadow let pass are not stale: they were never the machine's.
        self.stale += u64::from(permit.0 != 0);
        None
    }

    #[inline]
    fn count(&mut self, rules: &Rules, now: Time, call: Call) {
        self.history.record(now, call.failed, call.slow);
        self.streak = if call.failed { (self.streak + 1).min(u32::MAX - 1) } else { 0 };
        if let Some(hint) = call.retry_after
            && rules.honor_retry_after
        {
            self.note_hint(hint);
        }
    }

    #[cold]
    fn note_hint(&mut self, hint: Span) {
        let (position, oldest) = (self.history.position(), self.history.oldest_position());
        self.hints.get_or_insert_default().note(position, hint, oldest);
    }

    /// Whether any condition holds. Conditions that are off have thresholds that no count reaches, so this has no
    /// branches to mispredict.
    #[inline]
    fn is_tripped(&self, rules: &Rules) -> bool {
        let total = self.history.total();
        let is_rate_reached = rules.failure_rate.is_reached(total.failures, total.calls)
            | rules.slow_rate.is_reached(total.slow, total.calls);
        (is_rate_reached & (total.calls >= rules.minimum_calls))
            | (total.failures >= rules.failures)
            | (self.streak >= rules.consecutive)
    }

    #[cold]
    fn trip(&mut self, rules: &Rules, now: Time) -> Box<Transition> {
        let total = self.history.total();
        let cause = if rules.is_failing(total) {
            Cause::FailureRate { total, at: rules.failure_rate, window: rules.window }
        } else if rules.is_slow(total) {
            Cause::SlowRate { total, at: rules.slow_rate, over: rules.slow_over, window: rules.window }
        } else if total.failures >= rules.failures {
            Cause::Failures { failures: total.failures, at: rules.failures, window: rules.window }
        } else {
            Cause::Consecutive { failures: self.streak, at: rules.consecutive }
        };
        self.open(rules, now, cause, None)
    }

    /// Opens for `fixed`, or for the time that the rules, the row of failures and the service's own hints give.
    fn open(&mut self, rules: &Rules, now: Time, cause: Cause, fixed: Option<Span>) -> Box<Transition> {
        self.opens_in_a_row = self.opens_in_a_row_at(rules, now).saturating_add(1);
        self.opens = self.opens.wrapping_add(1);
        let open_for = fixed.unwrap_or_else(|| {
            let hint = self.hint().unwrap_or(Span::ZERO).min(rules.open_max);
            rules.jittered(rules.open_for(self.opens_in_a_row).max(hint), self.index, self.opens)
        });
        self.enter(Phase::Open { until: now.saturating_add(open_for) }, now);
        self.transition(Change::Opened { open_for }, cause)
    }

    /// The longest `Retry-After` among the failures that count.
    fn hint(&self) -> Option<Span> {
        match &self.phase {
            Phase::HalfOpen(probes) => probes.hint(),
            _ => self.hints.as_ref().and_then(|hints| hints.largest(self.history.oldest_position())),
        }
    }

    fn after_recovery(&self, rules: &Rules) -> Phase {
        if rules.ramp_over.is_zero() {
            return Phase::Closed;
        }
        let probes = rules.half_open_calls;
        Phase::Ramping(Box::new(Ramp::new(probes, self.refused - self.refused_before, rules.ramp_over)))
    }

    fn close(&mut self, phase: Phase, now: Time) {
        self.history.clear();
        self.streak = 0;
        self.hints = None;
        self.enter(phase, now);
    }

    fn enter(&mut self, phase: Phase, now: Time) {
        self.phase = phase;
        self.serial = self.next_serial();
        self.generation = self.serial;
        self.since = now;
        self.refused_before = self.refused;
    }

    fn next_serial(&self) -> u32 {
        self.serial.checked_add(1).unwrap_or(1)
    }

    /// Opens in a row, zero once it has been closed for long enough.
    fn opens_in_a_row_at(&self, rules: &Rules, now: Time) -> u32 {
        let is_quiet = match (rules.reset_after, rules.window) {
            (Some(span), _) | (None, Window::Time { span, .. }) => now.since(self.since) >= span,
            (None, Window::Calls(n)) => self.history.position() > u64::from(n),
        };
        match self.phase {
            Phase::Closed | Phase::Ramping(_) | Phase::ForcedClosed if is_quiet => 0,
            _ => self.opens_in_a_row,
        }
    }

    fn transition(&self, change: Change, cause: Cause) -> Box<Transition> {
        Box::new(Transition { at: self.latest, change, cause, in_shadow: self.in_shadow })
    }
}

/// The end of a call, as far as it matters here.
#[derive(Clone, Copy, Debug)]
struct Call {
    failed: bool,
    slow: bool,
    /// What a failure asked for.
    retry_after: Option<Span>,
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
