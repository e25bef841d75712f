//! Clients: how long they wait, whether they try again, and what users in a closed loop do.
//!
//! All clients are equally patient, so the moments at which they give up come in the order in which attempts were
//! sent: a queue, not a heap. An attempt that was answered leaves its entry behind, which is skipped in O(1) when its time
//! comes; there are never more than rate × timeout of them.
//!
//! Whether they try again is [`crate::engine::overload::retries`]'s to say, one for all clients.

use std::collections::VecDeque;

use crate::engine::overload::retries::{Failed, Retries};
use crate::engine::request::{Outcome, Rejection};
use crate::record::outcome::Failure;
use crate::rng::Dice;
use crate::scenario::clients::{Retry, RetryOn};
use crate::sim::World;
use crate::sim::attempt::{Attempt, Stage};
use crate::sim::calendar::Kind;
use crate::units::{Span, Time};

/// When clients give up.
#[derive(Debug, Default)]
pub struct Patience {
    timeout: Option<Span>,
    waiting: VecDeque<(Time, u32, u32)>,
}

impl Patience {
    /// Clients wait this long; `None`: for ever.
    pub fn new(timeout: Option<Span>) -> Patience {
        Patience { timeout, waiting: VecDeque::new() }
    }

    /// An attempt is sent.
    #[inline]
    pub fn begin(&mut self, now: Time, slot: u32, stamp: u32) {
        if let Some(timeout) = self.timeout {
            self.waiting.push_back((now.saturating_add(timeout), slot, stamp));
        }
    }

    /// Puts off every end of patience by the same time.
    pub fn leap(&mut self, by: Span) {
        self.waiting.iter_mut().for_each(|(at, _, _)| *at = at.saturating_add(by));
    }

    /// How many may give up, those with an answer included.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When the next client may give up; [`Time::MAX`] if none ever does.
    #[inline]
    pub fn next_at(&self) -> Time {
        self.waiting.front().map_or(Time::MAX, |&(at, _, _)| at)
    }
}

/// Whether and when a client tries again.
#[derive(Debug)]
pub struct RetryPolicy {
    retries: Retries,
    on: RetryOn,
    /// By slot: the tokens that the attempt there was paid with, if it is a retry.
    took: Vec<u32>,
    /// Time that was left out: what requests deposit lasts for as many requests as ever.
    left_out: Span,
}

/// Numbers of attempts from here on are those of copies, which take no tokens.
const COPIES: u16 = 1 << 15;

impl RetryPolicy {
    /// No deposits yet, and all tokens.
    pub fn new(retry: &Retry) -> RetryPolicy {
        RetryPolicy { retries: Retries::new(&retry.policy), on: retry.on, took: Vec::new(), left_out: Span::ZERO }
    }

    /// The attempt in `slot`, its request's `number`-th, is answered well.
    #[inline]
    pub fn succeeded(&mut self, slot: u32, number: u16) {
        if self.retries.takes_tokens() {
            let is_retry = number > 1 && number < COPIES;
            self.retries.succeeded(if is_retry { self.took.get(slot as usize).copied().unwrap_or(0) } else { 0 });
        }
    }

    /// The retry in `slot` was paid with `took` tokens.
    fn paid(&mut self, slot: u32, took: u32) {
        if self.retries.takes_tokens() {
            if slot as usize >= self.took.len() {
                self.took.resize(slot as usize + 1, 0);
            }
            self.took[slot as usize] = took;
        }
    }

    /// Time goes on by so much, in which requests were left out.
    pub fn leap(&mut self, by: Span) {
        self.left_out += by;
    }

    /// A request begins.
    #[inline]
    pub fn offered(&mut self, now: Time) {
        self.retries.offered(now.saturating_sub(self.left_out));
    }

    /// How long a client waits before its next attempt, and the tokens that this takes; `None` if there is none. The server may have
    /// given a hint.
    fn wait(
        &mut self,
        now: Time,
        attempt: &Attempt,
        failure: Failure,
        hint: Option<Span>,
        dice: Dice,
    ) -> Option<(Span, u32)> {
        if !self.on.includes(failure) {
            return None;
        }
        let failed = Failed { attempt: u32::from(attempt.number), timed_out: failure == Failure::Timeout, hint };
        let now = now.saturating_sub(self.left_out);
        self.retries.next(now, failed, |retry| dice.sub(attempt.index, u64::from(retry)).unit())
    }
}

impl World<'_> {
    /// The client at the head of the queue gives up, unless it has its answer.
    pub(super) fn time_out(&mut self) {
        let Some((_, slot, stamp)) = self.patience.waiting.pop_front() else { return };
        let attempt = self.slab[slot];
        let waits = attempt.stamp == stamp && attempt.awaited;
        if !waits || matches!(attempt.stage, Stage::Free | Stage::BackingOff | Stage::Dead) {
            return;
        }
        if attempt.stage == Stage::Held {
            self.leaves_hold(slot);
            return self.attempt_failed(attempt, Failure::Timeout);
        }
        self.slab[slot].awaited = false;
        if attempt.stage == Stage::Delayed {
            // The engine waits for no answer to it.
            self.slab[slot].stage = Stage::Dead;
            return self.attempt_failed(attempt, Failure::Timeout);
        }
        self.report(&attempt, Outcome::Timeout);
        if self.plan.scenario().clients.cancel {
            self.cancel(slot);
        }
        self.attempt_failed(attempt, Failure::Timeout);
    }

    /// The work that an attempt causes stops.
    pub(super) fn cancel(&mut self, slot: u32) {
        let attempt = self.slab[slot];
        let place = attempt.instance.0 as usize;
        match attempt.stage {
            Stage::Queued => {
                // It stays in the queue's list and is skipped there.
                let instance = &mut self.instances[place];
                instance.touch(self.now);
                instance.queued -= 1;
                self.slab[slot].stage = Stage::Dead;
            }
            Stage::InService => {
                self.stop_service(slot, place);
                self.release::<true>(place, false);
            }
            Stage::Calling => {
                self.cut_off(slot);
                self.release::<true>(place, true);
            }
            Stage::Outbound => self.slab[slot].stage = Stage::Dead,
            Stage::Inbound | Stage::Free | Stage::BackingOff | Stage::Dead | Stage::Held | Stage::Delayed => {}
        }
    }

    /// Takes an attempt out of service; its slot is freed by its pending event, if it has one.
    pub(super) fn stop_service(&mut self, slot: u32, place: usize) {
        let instance = &mut self.instances[place];
        instance.touch(self.now);
        let shared = instance.sharing.as_mut().is_some_and(|sharing| sharing.remove(self.now, slot));
        if shared {
            // While it shares a processor, its service is the time at which that began.
            let attempt = self.slab[slot];
            self.recorder.wasted(attempt.scheduled_at, Span(self.now.0 - attempt.service.0));
            self.slab.remove(slot);
            self.schedule_share(place);
        } else {
            self.cut_off(slot);
        }
    }

    /// An attempt whose pending event only frees its slot is cut off; that it is "sent" now tells how much of its work was done.
    pub(super) fn cut_off(&mut self, slot: u32) {
        let attempt = &mut self.slab[slot];
        attempt.stage = Stage::Dead;
        attempt.sent_at = self.now;
    }

    /// An attempt failed: its request is tried again, or has failed for good.
    pub(super) fn attempt_failed(&mut self, attempt: Attempt, failure: Failure) {
        self.failed_with_hint(attempt, failure, None);
    }

    /// An attempt was refused, perhaps with a hint when to come back.
    pub(super) fn attempt_refused(&mut self, attempt: Attempt, rejection: Rejection) {
        let hint = match rejection {
            Rejection::RateLimited { retry_after } => Some(retry_after),
            Rejection::BreakerOpen { until } => until.map(|until| until.since(self.now)),
            Rejection::NoReadyInstance | Rejection::QueueFull | Rejection::Shed | Rejection::QuotaStoreDown => None,
        };
        self.failed_with_hint(attempt, Failure::from(rejection), hint);
    }

    fn failed_with_hint(&mut self, mut attempt: Attempt, failure: Failure, hint: Option<Span>) {
        if self.has_extras && self.goes_on_without(&mut attempt, failure) {
            return;
        }
        if let (Some(forward), Failure::QueueFull) = (&mut self.forward, failure) {
            forward.goes_beyond(-(attempt.demand.0 as f64));
        }
        let (now, dice) = (self.now, self.retry_dice);
        let wait = self.retry.as_mut().and_then(|retry| retry.wait(now, &attempt, failure, hint, dice));
        match wait {
            Some((wait, took)) => {
                let next = Attempt {
                    number: attempt.number + 1,
                    stage: Stage::BackingOff,
                    awaited: true,
                    failed: false,
                    calls_left: 0,
                    dependency: 0,
                    service: Span::ZERO,
                    ..attempt
                };
                let slot = self.slab.insert(next);
                if let Some(retry) = &mut self.retry {
                    retry.paid(slot, took);
                }
                self.calendar.push(self.now + wait, Kind::RetryDue, slot);
            }
            None => {
                self.recorder.failed(self.now, attempt.scheduled_at, failure, attempt.endpoint);
                self.request_over(attempt.client);
            }
        }
    }

    /// A client's back-off is over.
    pub(super) fn retry_due(&mut self, slot: u32) {
        let attempt = &mut self.slab[slot];
        attempt.sent_at = self.now;
        let (scheduled_at, endpoint, last) = (attempt.scheduled_at, attempt.endpoint, attempt.instance);
        if let Some(forward) = &mut self.forward {
            forward.goes_beyond(attempt.demand.0 as f64);
        }
        self.recorder.retried(scheduled_at, endpoint);
        self.send_under_pressure(slot, Some(last));
    }

    /// A request has its final end; in a closed loop its user begins to think.
    #[inline]
    pub(super) fn request_over(&mut self, client: u32) {
        if !self.turns.is_empty() {
            self.think(client);
        }
    }

    /// A user thinks before the next request; after the end of the run nobody begins another.
    pub(super) fn think(&mut self, user: u32) {
        let Some(think) = self.plan.think() else { return };
        let turn = self.turns[user as usize];
        let wait = think.sample(&mut self.think_dice.draws(turn_index(user, turn)));
        let at = self.now.saturating_add(wait);
        if at < self.end {
            self.calendar.push(at, Kind::ThinkEnds, user);
        }
    }

    /// A user has thought and asks.
    pub(super) fn think_ends(&mut self, user: u32) {
        if self.now >= self.end {
            return;
        }
        let turn = &mut self.turns[user as usize];
        let index = turn_index(user, *turn);
        *turn += 1;
        let upcoming = self.intake.unplanned(self.now, index, user);
        self.offer::<true>(upcoming);
    }
}

/// The index of a user's turn: a property of both, whatever the order in which users ask.
fn turn_index(user: u32, turn: u32) -> u64 {
    u64::from(user) << 32 | u64::from(turn)
}
