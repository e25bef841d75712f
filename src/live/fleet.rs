//! The fleet: does what the engine asks of instances, and tells it what became of them.
//!
//! ```text
//! Launch     provider starts it ─▶ health check passes ─▶ warming, ready          too long, or it ends ─▶ gone
//! Drain      nothing new comes  ─▶ idle, or time is up ─▶ terminated ─▶ gone
//! Terminate  terminated ─▶ gone
//! it ends by itself ─▶ gone ─▶ the engine replaces it; one that does so again and again is started later and later
//! ```
//!
//! Every instance has one task of its own that leads it through its life, and takes orders.

pub mod adoption;
mod life;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request};
use tokio::sync::{mpsc, watch};

use crate::engine::Command;
use crate::engine::autoscaler::Manual;
use crate::engine::input::Input;
use crate::engine::request::InstanceId;
use crate::live::backend::Illness;
use crate::live::clock::duration;
use crate::live::driver::Driver;
use crate::live::driver::roster::Vitals;
use crate::live::faults::Faults;
use crate::live::gateway::body::Outgoing;
use crate::live::gateway::upstream::{Connection, Upstream};
use crate::live::provider::{self, Provider};
use crate::scenario::Scenario;
use crate::scenario::live::{Live, Timeouts};
use crate::units::{Span, Time};
use adoption::Adoption;
use life::Life;

/// How often an instance that starts is asked whether it is well.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long a health check or a look may take where the scenario does not say.
const CHECK: Duration = Duration::from_secs(2);
/// How often instances are measured at least.
const MEASURE_EVERY: Span = Span::from_millis(500);
/// How long before a scrape they are measured once more, so that it sees the fleet as it is: longer than that takes.
const BEFORE_SCRAPE: Span = Span::from_millis(20);
/// How long one that drains may take where the scenario does not say.
const DRAIN: Span = Span::from_secs(30);
/// An instance that ends before this has failed to start, as it were.
const SHORT_LIFE: Span = Span::from_secs(30);
/// The wait after the second short life in a row, doubled with each further one up to the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Longest answer to a look that is read \[bytes\].
const LOOK: usize = 64 * 1024;

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider could not say what an earlier gateway has left behind.
    #[error("cannot tell which instances there are already")]
    Orphans(#[source] provider::Error),
    /// The provider could not start an instance.
    #[error("cannot start instance {}", id.0)]
    Launch {
        /// The instance.
        id: InstanceId,
        /// Why.
        source: provider::Error,
    },
    /// An instance ended before it was well.
    #[error("instance {} ended before it answered at http://{address}{path}", id.0)]
    Ended {
        /// The instance.
        id: InstanceId,
        /// Where it was to answer.
        address: SocketAddr,
        /// What it was asked for.
        path: String,
    },
    /// An instance was not well in time.
    #[error("instance {} did not answer well at http://{address}{path} within {within}", id.0)]
    Unwell {
        /// The instance.
        id: InstanceId,
        /// Where it was to answer.
        address: SocketAddr,
        /// What it was asked for.
        path: String,
        /// How long it had.
        within: Span,
    },
}

/// A fault that an instance was not told of.
#[derive(Debug, thiserror::Error)]
#[error("instance {} could not be told of a fault", id.0)]
struct Unheard {
    id: InstanceId,
    source: io::Error,
}

/// What the fleet has to know of scenario and gateway.
#[derive(Clone, Debug)]
struct Terms {
    health_path: String,
    launch_timeout: Span,
    timeouts: Timeouts,
    /// How long a health check may take.
    check: Duration,
    /// From the first traffic to full speed.
    warmup: Span,
    drain_timeout: Span,
    pre_stop_delay: Span,
    /// Whether instances tell how they are at `/-/stats`.
    tells: bool,
}

/// An order to an instance's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Drain,
    Terminate,
    /// A fault kills it, and nobody is to notice.
    Crash,
}

/// A fleet whose first instances are well, and which nobody drives yet.
#[derive(Debug)]
pub struct Ready {
    provider: Arc<dyn Provider>,
    terms: Terms,
    first: Vec<(InstanceId, Arc<Upstream>)>,
    adoption: Adoption,
}

/// The fleet under an engine.
#[derive(Debug)]
pub struct Fleet {
    driver: Arc<Driver>,
    provider: Arc<dyn Provider>,
    terms: Terms,
    orders: Mutex<BTreeMap<InstanceId, mpsc::UnboundedSender<Order>>>,
    faults: Faults,
    /// Short lives in a row.
    short_lives: Mutex<u32>,
    /// How many instances have a task.
    population: watch::Sender<usize>,
}

impl Ready {
    /// Adopts the instances that are there, starts those that are missing, and waits until each is well. Where there are none the first
    /// are `n`, and otherwise as few as the autoscaler may have: their number was its decision. `tells`: they answer at `/-/stats`.
    pub async fn start(
        provider: Arc<dyn Provider>,
        scenario: &Scenario,
        live: &Live,
        n: u32,
        tells: bool,
    ) -> Result<Ready, Error> {
        let terms = Terms {
            health_path: live.health_path.clone(),
            launch_timeout: live.launch_timeout,
            timeouts: live.timeouts,
            check: scenario.balancer.health_check.map_or(CHECK, |check| duration(check.timeout)),
            warmup: scenario.fleet.warmup.map_or(Span::ZERO, |warmup| warmup.over),
            drain_timeout: scenario.fleet.drain_timeout.unwrap_or(DRAIN),
            pre_stop_delay: scenario.fleet.pre_stop_delay,
            tells,
        };
        let (fewest, most) =
            scenario.autoscaler.as_ref().map_or((n, n), |autoscaler| (autoscaler.min, autoscaler.max));
        let (adoption, mut first) = adoption::adopt(&*provider, &terms, most.max(n)).await?;
        let adopted = first.len();
        let wanted = if adopted == 0 { n } else { fewest };
        let mut starting = tokio::task::JoinSet::new();
        for id in (adopted as u32..wanted).map(InstanceId) {
            let (provider, terms) = (Arc::clone(&provider), terms.clone());
            starting
                .spawn(async move { bring_up(&*provider, &terms, id, || {}).await.map(|upstream| (id, upstream)) });
        }
        let mut failed = None;
        while let Some(started) = starting.join_next().await {
            match started {
                Ok(Ok(instance)) => first.push(instance),
                Ok(Err(error)) => failed = failed.or(Some(error)),
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        }
        first.sort_by_key(|(id, _)| *id);
        if let Some(error) = failed {
            // What was there before stays there for whoever tries again.
            for (id, _) in first.into_iter().skip(adopted) {
                // The first problem is the one to tell.
                let _ = provider.terminate(id).await;
            }
            return Err(error);
        }
        Ok(Ready { provider, terms, first, adoption })
    }

    /// What became of the instances that were there already.
    pub fn adoption(&self) -> &Adoption {
        &self.adoption
    }

    /// Gives the fleet to an engine, whose time begins.
    pub fn under(self, driver: Arc<Driver>, faults: Faults) -> Arc<Fleet> {
        let Ready { provider, terms, first, .. } = self;
        let fleet = Arc::new(Fleet {
            driver,
            provider,
            terms,
            faults,
            orders: Mutex::default(),
            short_lives: Mutex::new(0),
            population: watch::channel(0).0,
        });
        fleet.driver.record(|_, recorder| recorder.ready_changed(Time::ZERO, first.len() as u32));
        for (id, upstream) in first {
            let adopted = fleet.driver.with(|_, core| {
                let adopted = core.feed(Time::ZERO, Input::Adopt).adopted.unwrap_or(id);
                core.roster.launched(Time::ZERO, adopted);
                core.roster.started(Time::ZERO, adopted);
                core.roster.serves(Time::ZERO, adopted, Arc::clone(&upstream));
                adopted
            });
            debug_assert_eq!(adopted, id, "ids count launches");
            let orders = fleet.enlist(id);
            let life = Life { fleet: Arc::clone(&fleet), id, orders };
            tokio::spawn(life.serve(upstream));
        }
        fleet
    }
}

/// Starts an instance, and waits until it is well; tells when it has `started`.
async fn bring_up(
    provider: &dyn Provider,
    terms: &Terms,
    id: InstanceId,
    started: impl FnOnce(),
) -> Result<Arc<Upstream>, Error> {
    let address = provider.launch(id).await.map_err(|source| Error::Launch { id, source })?;
    started();
    let upstream = Arc::new(Upstream::new(address, terms.timeouts));
    let path = || terms.health_path.clone();
    let well = async {
        while !is_well(&upstream, &terms.health_path, terms.check).await {
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let outcome = tokio::select! {
        well = tokio::time::timeout(duration(terms.launch_timeout), well) => {
            well.map_err(|_| Error::Unwell { id, address, path: path(), within: terms.launch_timeout })
        }
        () = provider.ended(id) => Err(Error::Ended { id, address, path: path() }),
    };
    if outcome.is_err() {
        // What keeps it from being stopped does not make it well.
        let _ = provider.terminate(id).await;
    }
    outcome.map(|()| upstream)
}

/// Whether an instance answers its health check with a 2xx in time.
async fn is_well(upstream: &Upstream, path: &str, within: Duration) -> bool {
    matches!(tokio::time::timeout(within, get(upstream, path)).await, Ok(Ok((200..=299, _))))
}

/// Asks an instance for something small.
async fn get(upstream: &Upstream, path: &str) -> Result<(u16, Bytes), io::Error> {
    ask(upstream, Method::GET, path, Outgoing::Empty).await
}

/// Asks it, or tells it, something small.
async fn ask(upstream: &Upstream, method: Method, path: &str, message: Outgoing) -> Result<(u16, Bytes), io::Error> {
    let mut connection: Connection = match upstream.reuse().await {
        Some(connection) => connection,
        None => upstream.connect().await?,
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, upstream.address().to_string())
        .header(hyper::header::USER_AGENT, "wavetank")
        .body(message)
        .map_err(io::Error::other)?;
    let response = connection.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), LOOK).collect().await.map_err(io::Error::other)?.to_bytes();
    upstream.give_back(connection);
    Ok((status, body))
}

impl Fleet {
    /// The driver.
    pub fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// What goes wrong in this run.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Kills an instance, of which nobody is told.
    pub async fn crash(&self, id: InstanceId) {
        self.order(id, Order::Crash);
        if let Err(error) = self.provider.crash(id).await {
            self.driver.with(|now, core| core.log.remark(now, id, &error));
        }
        let ready = self.driver.with(|now, core| {
            core.roster.crashed(now, id);
            core.roster.ready()
        });
        self.driver.record(|now, recorder| recorder.ready_changed(now, ready));
    }

    /// Tells an instance how ill it is to be.
    pub async fn falls_ill(&self, id: InstanceId, illness: Illness) {
        let Some(upstream) = self.upstream(id).filter(|_| self.terms.tells) else { return };
        let Ok(message) = serde_json::to_vec(&illness) else { return };
        let told =
            tokio::time::timeout(CHECK, ask(&upstream, Method::PUT, "/-/fault", Outgoing::Own(Some(message.into()))));
        let problem = match told.await {
            Ok(Ok((200, _))) => return,
            Ok(Ok((status, body))) => {
                io::Error::other(format!("it answers {status}: {}", String::from_utf8_lossy(&body).trim()))
            }
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it does not answer"),
        };
        let error = Unheard { id, source: problem };
        self.driver.with(|now, core| core.log.remark(now, id, &error));
    }

    fn orders(&self) -> MutexGuard<'_, BTreeMap<InstanceId, mpsc::UnboundedSender<Order>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enlist(&self, id: InstanceId) -> mpsc::UnboundedReceiver<Order> {
        let (order, orders) = mpsc::unbounded_channel();
        self.orders().insert(id, order);
        self.population.send_modify(|n| *n += 1);
        orders
    }

    /// Drives the engine until it is dropped.
    pub async fn run(self: Arc<Fleet>) {
        let measuring = tokio::spawn(Arc::clone(&self).measure());
        let failing = tokio::spawn(Faults::run(Arc::clone(&self)));
        let _stop = [StopOnDrop(measuring), StopOnDrop(failing)];
        loop {
            let commands = self.driver.tick();
            self.carry_out(commands);
            self.driver.until_due().await;
        }
    }

    /// A person's order.
    pub fn scale(self: &Arc<Fleet>, manual: Manual) {
        let commands = self.driver.scale(manual);
        self.carry_out(commands);
        self.driver.hurry();
    }

    fn carry_out(self: &Arc<Fleet>, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Launch(id) => {
                    self.driver.with(|now, core| core.roster.launched(now, id));
                    let orders = self.enlist(id);
                    tokio::spawn(Life { fleet: Arc::clone(self), id, orders }.launch());
                }
                Command::Drain(id) => self.order(id, Order::Drain),
                Command::Terminate(id) => self.order(id, Order::Terminate),
                Command::CheckHealth(id) => {
                    tokio::spawn(Arc::clone(self).check(id));
                }
            }
        }
    }

    fn order(&self, id: InstanceId, order: Order) {
        if order == Order::Drain {
            self.driver.with(|now, core| core.roster.drains(now, id));
        }
        // Whoever is gone needs no orders.
        if let Some(orders) = self.orders().get(&id) {
            let _ = orders.send(order);
        }
    }

    fn upstream(&self, id: InstanceId) -> Option<Arc<Upstream>> {
        self.driver.with(|_, core| core.roster.get(id).and_then(|member| member.upstream.clone()))
    }

    async fn check(self: Arc<Fleet>, id: InstanceId) {
        let passed = match self.upstream(id) {
            Some(upstream) => is_well(&upstream, &self.terms.health_path, self.terms.check).await,
            None => false,
        };
        self.driver.with(|now, core| core.feed(now, Input::HealthChecked(id, passed)));
        self.driver.hurry();
    }

    /// Measures every instance again and again.
    async fn measure(self: Arc<Fleet>) {
        loop {
            let members: Vec<_> = self.driver.with(|_, core| {
                core.roster.members().filter_map(|(id, member)| Some((id, member.upstream.clone()?))).collect()
            });
            let looks = members.into_iter().map(|(id, upstream)| {
                let fleet = Arc::clone(&self);
                tokio::spawn(async move {
                    upstream.tidy();
                    let vitals = fleet.vitals(id, &upstream).await;
                    fleet.driver.with(|now, core| {
                        if let Some(member) = core.roster.get_mut(id) {
                            member.measured(Vitals { at: Some(now), ..vitals });
                        }
                    });
                })
            });
            for look in looks.collect::<Vec<_>>() {
                let _ = look.await;
            }
            let at = self.driver.with(|now, core| {
                let (usual, before) = (now + MEASURE_EVERY, core.engine.next_scrape().saturating_sub(BEFORE_SCRAPE));
                // What is over, or about to be, was just measured for.
                if before > now + BEFORE_SCRAPE { usual.min(before) } else { usual }
            });
            tokio::time::sleep_until(self.driver.clock().instant(at)).await;
        }
    }

    /// What an instance tells of itself, and of the rest what the provider sees.
    async fn vitals(&self, id: InstanceId, upstream: &Upstream) -> Vitals {
        let seen = self.provider.observe(id).await.unwrap_or_default();
        let told = if self.terms.tells {
            let stats = tokio::time::timeout(CHECK, get(upstream, "/-/stats")).await;
            stats.ok().and_then(Result::ok).and_then(|(_, body)| serde_json::from_slice(&body).ok())
        } else {
            None
        };
        let told: serde_json::Value = told.unwrap_or_default();
        Vitals {
            at: None,
            cpu_seconds: told["cpu_seconds"].as_f64().or(seen.cpu_seconds),
            memory_bytes: told["memory_bytes"].as_f64().or(seen.memory_bytes),
            queued: told["queued"].as_f64(),
            event_loop_lag_ms: told["event_loop_lag_ms"].as_f64(),
        }
    }

    /// How long to wait before the next launch.
    fn back_off(&self) -> Duration {
        let row = *self.short_lives.lock().unwrap_or_else(PoisonError::into_inner);
        if row < 2 { Duration::ZERO } else { (BACK_OFF.0 * 2u32.saturating_pow((row - 2).min(16))).min(BACK_OFF.1) }
    }

    fn lived(&self, short: bool) {
        let mut row = self.short_lives.lock().unwrap_or_else(PoisonError::into_inner);
        *row = if short { *row + 1 } else { 0 };
    }

    /// Stops every instance, those that have requests in their own time, and waits until all are gone.
    pub async fn stop(&self) {
        let ids: Vec<InstanceId> = self.orders().keys().copied().collect();
        for id in ids {
            self.order(id, Order::Drain);
        }
        let mut population = self.population.subscribe();
        // The sender is a field of this fleet: it does not go away.
        let _ = population.wait_for(|n| *n == 0).await;
    }
}

/// Stops a task when it is dropped.
struct StopOnDrop(tokio::task::JoinHandle<()>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
