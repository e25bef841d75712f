//! Requests on their way: each is accounted for exactly once, whatever becomes of it.
//!
//! An [`Exchange`] is a request of a client's, a [`Ticket`] one attempt at an instance. Both tell how they ended when they are asked to,
//! or, if whoever held them was dropped on the way, that their client went away.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Admitted, Core, Driver};
use crate::engine::input::Input;
use crate::engine::request::{Completion, InstanceId, Outcome, Permit, Rejection, Request};
use crate::live::gateway::upstream::Upstream;
use crate::record::outcome::Failure;
use crate::units::{Span, Time};

/// The engine's answer to an attempt.
#[derive(Debug)]
pub enum Passage {
    /// It goes to an instance.
    Go(Ticket),
    /// It waits for one.
    Wait(Wait),
    /// Its quota lets it go on then, and it asks again ([`Driver::admit_delayed`]).
    Later(Time),
    /// It goes nowhere.
    Refused(Rejection),
}

/// A request of a client's.
#[derive(Debug)]
pub struct Exchange {
    driver: Arc<Driver>,
    arrived_at: Time,
    is_over: bool,
}

impl Exchange {
    /// It arrives, now.
    pub fn begin(driver: &Arc<Driver>) -> Exchange {
        let arrived_at = driver.with(|now, core| {
            core.meter.offered();
            now
        });
        Exchange { driver: Arc::clone(driver), arrived_at, is_over: false }
    }

    /// The gateway tries again by itself.
    pub fn retried(&self) {
        self.driver.with(|_, core| core.meter.totals_mut().retries += 1);
    }

    /// Its client has its answer, or as much of it as it will get.
    pub fn ended(mut self, failure: Option<Failure>) {
        self.is_over = true;
        self.driver.with(|now, core| match failure {
            None => core.meter.succeeded(now.since(self.arrived_at)),
            Some(why) => core.meter.failed(why),
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_over {
            self.driver.with(|_, core| {
                core.meter.totals_mut().client_aborted += 1;
                core.meter.failed(Failure::Timeout);
            });
        }
    }
}

/// An attempt at an instance.
#[derive(Debug)]
pub struct Ticket {
    driver: Arc<Driver>,
    admitted: Admitted,
    upstream: Option<Arc<Upstream>>,
    endpoint: u16,
    is_retry: bool,
    sent_at: Time,
    /// How long the instance asked to be left alone.
    hint: Option<Span>,
    is_over: bool,
}

impl Ticket {
    /// The engine has let it pass to `instance`.
    pub(super) fn new(
        driver: &Arc<Driver>,
        core: &mut Core,
        now: Time,
        request: &Request,
        instance: InstanceId,
        permit: Permit,
    ) -> Ticket {
        let upstream = core.roster.enters(now, instance);
        Ticket {
            driver: Arc::clone(driver),
            admitted: Admitted { instance, permit },
            upstream,
            endpoint: request.endpoint,
            is_retry: request.attempt > 1,
            sent_at: now,
            hint: None,
            is_over: false,
        }
    }

    /// The instance refused, and asked to be left alone for so long.
    pub fn hinted(&mut self, retry_after: Span) {
        self.hint = Some(retry_after);
    }

    /// The instance.
    pub fn instance(&self) -> InstanceId {
        self.admitted.instance
    }

    /// Where it is; `None`: nowhere any more.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.upstream.as_ref()
    }

    /// Tells how it ended.
    pub fn ended(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        self.is_over = true;
        let waiting = self.driver.with(|now, core| {
            let latency = now.since(self.sent_at);
            let completion = Completion {
                instance: self.admitted.instance,
                permit: self.admitted.permit,
                endpoint: self.endpoint,
                is_retry: self.is_retry,
                outcome,
                latency,
            };
            core.feed(now, Input::Completed(completion));
            if let Some(retry_after) = self.hint {
                core.feed(now, Input::Hinted(self.admitted.instance, retry_after));
            }
            core.attempt_ended(self.sent_at, latency, self.admitted.instance, self.endpoint, outcome);
            core.roster.leaves(now, self.admitted.instance, outcome.is_failure(), latency);
            !core.waiting.is_empty()
        });
        if waiting {
            self.driver.release();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(Outcome::Abandoned);
        }
    }
}

/// A request that is held until there is an instance for it.
#[derive(Debug)]
pub struct Wait {
    driver: Arc<Driver>,
    number: u64,
    ticket: oneshot::Receiver<Ticket>,
    until: Time,
}

impl Wait {
    pub(super) fn new(driver: Arc<Driver>, number: u64, ticket: oneshot::Receiver<Ticket>, until: Time) -> Wait {
        Wait { driver, number, ticket, until }
    }

    /// Waits; `None` if it was in vain.
    pub async fn wait(mut self) -> Option<Ticket> {
        let deadline = self.driver.clock().instant(self.until);
        match tokio::time::timeout_at(deadline, &mut self.ticket).await {
            Ok(ticket) => ticket.ok(),
            // Its turn may have come in this very moment.
            Err(_) if !self.driver.give_up(self.number) => self.ticket.try_recv().ok(),
            Err(_) => None,
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.driver.give_up(self.number);
    }
}
