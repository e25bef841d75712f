//! Quotas that several gateways share, in a Redis server.
//!
//! ```text
//! request ─▶ engine: is it asked? ─▶ one script, one round trip ─▶ Answer ─▶ engine.admit_told
//!                                     ├ no connection, an error     Failed(Unreachable)     the keeper connects again, with back-off
//!                                     ├ limiter.shared.timeout      Failed(TimedOut)
//!                                     └ live.quota_store.in_flight  Failed(Crowded)
//! ```
//!
//! [`decide.lua`](https://redis.io/docs/latest/develop/programmability/eval-intro/) is all there is to it: atomic, by the server's clock,
//! with the arithmetic of [`engine::limiter`](crate::engine::limiter) in microseconds. It is called by its digest; a server that has forgotten
//! it, as one that was restarted has, says NOSCRIPT and is given it again within the same call. What becomes of a request that the store does
//! not decide about is the engine's business ([`outside`](crate::engine::limiter::outside)).
//!
//! A key says whose quota it is, and of which rule: gateways share a quota where they write the rule alike. It expires when nothing of the
//! quota is used any more. An answer that comes too late has been counted all the same.
//!
//! What is absent: TLS to the server, clusters (a request's keys would have to be in one slot), failover.

mod link;
mod rule;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Script;
use tokio::sync::Semaphore;

use crate::engine::limiter::Verdict;
use crate::engine::limiter::line::Line;
use crate::engine::limiter::outside::{Answer, Lapse};
use crate::engine::request::{InstanceId, Request};
use crate::live::clock::duration;
use crate::live::driver::Driver;
use crate::scenario::Scenario;
use crate::scenario::live::QuotaStore;
use crate::units::Span;
use link::{Keeper, Link};
use rule::Rule;
pub use rule::Whose;

/// What the store decides by.
const DECIDE: &str = include_str!("quotas/decide.lua");

/// What the script returns: let in, rule, remaining, retry after \[µs\], reset after \[µs\].
type Reply = (u8, u32, u32, i64, u64);

/// Why quotas cannot be kept in a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address says nothing.
    #[error("live.quota_store.url: {0}; expected for example \"redis://127.0.0.1:6379/0\"")]
    Url(redis::RedisError),
}

/// The quotas of a gateway, where a store keeps them.
#[derive(Debug)]
pub struct Quotas {
    driver: Arc<Driver>,
    rules: Vec<Rule>,
    /// What a request costs, by endpoint; missing ones cost 1.
    costs: Vec<u32>,
    script: Script,
    keeper: Keeper,
    timeout: Duration,
    places: Semaphore,
    /// Questions in a row that were not answered in time.
    late: AtomicU32,
    /// What was last said of why it does not answer.
    said: Mutex<String>,
}

impl Quotas {
    /// Connects to the store, if it is there: if not, it is looked for until it is. `timeout` is how long a request waits for its answer.
    pub async fn start(
        store: &QuotaStore,
        scenario: &Scenario,
        timeout: Span,
        driver: Arc<Driver>,
    ) -> Result<Quotas, Error> {
        let rules = scenario.limiter.iter().chain(&scenario.limiter_extras.also);
        Ok(Quotas {
            rules: rules.enumerate().map(|(place, config)| Rule::new(place, config, &store.prefix)).collect(),
            costs: scenario.limiter_extras.costs.clone(),
            script: Script::new(DECIDE),
            keeper: Keeper::start(&store.url).await.map_err(Error::Url)?,
            timeout: duration(timeout),
            places: Semaphore::new(store.in_flight as usize),
            late: AtomicU32::new(0),
            said: Mutex::default(),
            driver,
        })
    }

    /// Asks about an attempt, unless the engine knows better.
    pub async fn ask(&self, request: &Request, whose: Whose) -> Answer {
        let clock = self.driver.clock();
        if !self.driver.with(|now, core| core.engine.asks_store(now)) {
            return Answer::Unasked;
        }
        let asked_at = clock.now();
        let decided = self.decide(request, whose).await;
        let took = clock.now().since(asked_at);
        match decided {
            Ok((rule, verdict)) => Answer::Decided { rule, verdict, took },
            Err(why) => Answer::Failed { why, took },
        }
    }

    async fn decide(&self, request: &Request, whose: Whose) -> Result<(u32, Verdict), Lapse> {
        let _place = self.places.try_acquire().map_err(|_| Lapse::Crowded)?;
        let mut link = self.keeper.link().ok_or(Lapse::Unreachable)?;
        let cost = self.costs.get(usize::from(request.endpoint)).copied().unwrap_or(1);
        let mut call = self.script.prepare_invoke();
        call.arg(cost);
        for rule in &self.rules {
            call.key(rule.key(request, whose)).arg(rule.words());
        }
        let answered = tokio::time::timeout(self.timeout, call.invoke_async::<Reply>(&mut link.connection)).await;
        let (allowed, place, remaining, retry_after, reset_after) = match answered {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(self.broke(&link, &error)),
            Err(_) => return Err(self.is_late(&link)),
        };
        self.late.store(0, Ordering::Relaxed);
        let verdict = Verdict {
            allowed: allowed == 1,
            limit: self.rules.get(place as usize).map_or(0, Rule::capacity),
            remaining,
            retry_after: u64::try_from(retry_after).ok().map(Span::from_micros),
            reset_after: Span::from_micros(reset_after),
        };
        Ok((place, verdict))
    }

    /// It answered with an error, or not at all.
    fn broke(&self, link: &Link, error: &redis::RedisError) -> Lapse {
        if error.is_unrecoverable_error() || error.is_io_error() {
            self.keeper.lose(link);
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let words = error.to_string();
        if *said != words {
            self.driver.with(|now, core| core.log.remark(now, InstanceId(u32::MAX), &Told(&words)));
            *said = words;
        }
        Lapse::Unreachable
    }

    /// It did not answer in time; after some of those the connection may be dead without anybody having said so.
    fn is_late(&self, link: &Link) -> Lapse {
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= Line::FAILURES {
            self.late.store(0, Ordering::Relaxed);
            self.keeper.lose(link);
        }
        Lapse::TimedOut
    }
}

/// What the store said, as a remark.
#[derive(Debug, thiserror::Error)]
#[error("the store of quotas: {0}")]
struct Told<'a>(&'a str);
