//! The engine before a service in its own process: a [`tower_layer::Layer`] for axum, hyper and whatever else speaks [`http`](hyper::http).
//!
//! ```text
//! request ─▶ limiter ─▶ overload ─▶ breaker ─▶ [bounded queue, CoDel] ─▶ the service ─▶ answer, to its last byte
//!              429          503        503            503                                  accounted for once
//! ```
//!
//! The configuration is a scenario: what was simulated is what runs. The service is the engine's one instance. `[limiter]`, `[breaker]`,
//! `[overload]`, `[analyzer]` and `[autoscaler]` mean what they mean in a simulation; where `service.queue` or `overload.codel` is set,
//! `service.workers` requests are inside the service at once and the others wait before it. Nothing else of a scenario matters here.
//!
//! What the autoscaler wants is told ([`EngineLayer::wanted`]), and carried out by whoever runs the service. It is what the load that passes
//! here needs: where several processes share the load, each tells what its own part does.
//!
//! ```
//! use axum::{Router, routing::get};
//! use wavetank::live::layer::EngineLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = EngineLayer::from_text(
//!     r#"
//!     [limiter]
//!     algorithm = "gcra"
//!     key = "client"
//!     limit = 100
//!     window = "1m"
//!
//!     [breaker]
//!     scope = "service"
//!     failure_rate = 0.5
//!     "#,
//!     "service.toml",
//! )?;
//! let wanted = layer.wanted();
//! let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(layer);
//! assert_eq!(*wanted.borrow(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! What is absent: a second policy of any kind, retries (the service is here, or nowhere), and deadlines, of which clients do not tell.

mod body;
mod door;
mod service;

use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hyper::http::request::Parts;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use crate::engine::Command;
use crate::engine::InstanceState;
use crate::engine::input::Input;
use crate::engine::request::InstanceId;
use crate::live::driver::roster::Vitals;
use crate::live::driver::{Core, Driver, Flight, Told};
use crate::live::flight::Header;
use crate::live::gateway::answer::Words;
use crate::live::gateway::clients::Clients;
use crate::live::gateway::forwarded::Trust;
use crate::live::provider::process;
use crate::scenario::service::Service;
use crate::scenario::{self, LoadError, Scenario};
use crate::units::{Span, Time};
pub use body::Body;
use door::Door;
pub use service::EngineService;

/// How often this process is measured at least.
const MEASURE_EVERY: Span = Span::from_millis(500);
/// Part of a new measurement of the event loop's lag that counts.
const LAG_WEIGHT: f64 = 0.2;

/// Why there is no layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario cannot be used.
    #[error(transparent)]
    Scenario(#[from] LoadError),
    /// The scenario would have the service go away.
    #[error(
        "autoscaler.min: found 0, expected 1 or more: a service that is to answer cannot be scaled to nothing from within"
    )]
    ScaledToNothing,
    /// Nothing drives the engine.
    #[error("a layer's engine is driven by a task: build the layer within a tokio runtime")]
    NoRuntime,
}

/// Says which address a request is from; `None`: unknown.
pub type WhoAsks = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

/// The engine as a layer. Its clones, and the services below them, share one engine.
#[derive(Clone)]
pub struct EngineLayer {
    shared: Arc<Shared>,
    who_asks: Arc<WhoAsks>,
}

/// What all services below one layer share.
pub(crate) struct Shared {
    driver: Arc<Driver>,
    words: Words,
    trust: Trust,
    service: Service,
    clients: Clients,
    door: Option<Arc<Door>>,
    /// Requests so far: their numbers.
    requests: AtomicU64,
    /// Sets the names of this process's requests apart from those of others.
    name: String,
    wanted: watch::Receiver<u32>,
    driving: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.driving.abort();
        // What was told since the last look is still to be written down.
        self.driver.write_flight();
    }
}

impl EngineLayer {
    /// A layer with the scenario in a file.
    pub fn from_scenario(path: impl AsRef<Path>) -> Result<EngineLayer, Error> {
        EngineLayer::new(&scenario::load(path.as_ref(), &live())?)
    }

    /// A layer with a scenario as text; errors call it `name`. Files that it names are looked for in the working directory.
    pub fn from_text(text: &str, name: &str) -> Result<EngineLayer, Error> {
        EngineLayer::new(&scenario::parse(text, name, "".as_ref(), &live()).map_err(LoadError::from)?)
    }

    /// A layer with the scenario in a file, that writes to `sink` everything that its engine is told and what it answers, as it happens:
    /// `wavetank replay-decisions` tells an engine the same and compares, to the last decision.
    pub fn recording(path: impl AsRef<Path>, sink: impl Write + Send + 'static) -> Result<EngineLayer, Error> {
        let path = path.as_ref();
        let (scenario, text) = scenario::load_with_text(path, &live())?;
        EngineLayer::with(&scenario, Some(flight(&scenario, path.display().to_string(), text, sink)))
    }

    /// A layer with a scenario; its clock begins now.
    pub fn new(scenario: &Scenario) -> Result<EngineLayer, Error> {
        EngineLayer::with(scenario, None)
    }

    fn with(scenario: &Scenario, flight: Option<Flight>) -> Result<EngineLayer, Error> {
        if scenario.autoscaler.as_ref().is_some_and(|autoscaler| autoscaler.min == 0) {
            return Err(Error::ScaledToNothing);
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let endpoints = &scenario.service.endpoints;
        let driver = Arc::new(Driver::new(scenario, scenario.seed, endpoints, clients(scenario), None, flight));
        driver.with(take_over);
        let door = Door::of(scenario, *driver.clock()).map(Arc::new);
        let (want, wanted) = watch::channel(driver.with(|_, core| core.engine.desired()));
        let driving = runtime.spawn(drive(Arc::clone(&driver), door.clone(), want)).abort_handle();
        let live = scenario.live.clone().unwrap_or_default();
        let shared = Shared {
            words: Words::of(scenario),
            trust: Trust { networks: live.trusted, hops: live.trusted_hops },
            service: scenario.service.clone(),
            clients: Clients::default(),
            door,
            requests: AtomicU64::new(0),
            name: format!("{:x}", std::process::id()),
            wanted,
            driving,
            driver,
        };
        let who_asks = |parts: &Parts| parts.extensions.get::<std::net::SocketAddr>().map(|address| address.ip());
        Ok(EngineLayer { shared: Arc::new(shared), who_asks: Arc::new(who_asks) })
    }

    /// Has `who_asks` say which address a connection is from, for quotas of clients; requests of which it does not know count as one client's.
    /// By default that is a [`SocketAddr`](std::net::SocketAddr) among the request's extensions; axum has it in its `ConnectInfo`. What
    /// `X-Forwarded-For` adds to it counts where `live.trusted` or `live.trusted_hops` says so.
    #[must_use]
    pub fn with_client(self, who_asks: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> EngineLayer {
        EngineLayer { who_asks: Arc::new(who_asks), ..self }
    }

    /// How many instances the autoscaler wants, 1 or more, and each change of that; 1 without an `[autoscaler]`.
    pub fn wanted(&self) -> watch::Receiver<u32> {
        self.shared.wanted.clone()
    }

    /// What happens from now on: decisions with their causes, breakers, spikes, and every second that is over.
    pub fn events(&self) -> broadcast::Receiver<Told> {
        self.shared.driver.watch()
    }

    /// Requests that were let in and have not ended.
    pub fn in_flight(&self) -> u32 {
        self.shared.driver.with(|_, core| core.roster.active())
    }

    /// The driver, for all else there is to see: counts, the baseline, spikes, what happened lately.
    pub fn driver(&self) -> &Arc<Driver> {
        &self.shared.driver
    }
}

impl std::fmt::Debug for EngineLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineLayer").field("driver", &self.shared.driver).finish_non_exhaustive()
    }
}

impl<S> tower_layer::Layer<S> for EngineLayer {
    type Service = EngineService<S>;

    fn layer(&self, inner: S) -> EngineService<S> {
        EngineService::new(inner, self.clone())
    }
}

/// It is the live world, in which nobody has to say what comes, for how long, or how long it takes: a default, so that there is a `[live]` section.
fn live() -> [String; 1] {
    ["live.websocket=true".to_string()]
}

/// Clients that the engine is built for.
fn clients(scenario: &Scenario) -> usize {
    4096.max(scenario.clients.population.population as usize)
}

/// A recording that begins with all that it takes to build the engine again.
fn flight(scenario: &Scenario, name: String, text: String, sink: impl Write + Send + 'static) -> Flight {
    let header =
        Header { name, scenario: text, overrides: live().to_vec(), seed: scenario.seed, clients: clients(scenario) };
    Flight { header, sink: Box::new(sink) }
}

/// The engine takes over the service of this process.
fn take_over(now: Time, core: &mut Core) {
    let Some(id) = core.feed(now, Input::Adopt).adopted else { return };
    core.roster.launched(now, id);
    core.roster.started(now, id);
    core.roster.serves_here(now, id);
}

/// Runs what is due, measures this process, and tells what is wanted, as long as there is a layer.
async fn drive(driver: Arc<Driver>, door: Option<Arc<Door>>, want: watch::Sender<u32>) {
    let mut measure_at = Time::ZERO;
    let mut lag_ms = 0.0;
    loop {
        let now = driver.clock().now();
        if now >= measure_at {
            if measure_at > Time::ZERO {
                lag_ms += (now.since(measure_at).as_millis_f64() - lag_ms) * LAG_WEIGHT;
            }
            driver.with(|now, core| measure(now, core, lag_ms, door.as_deref()));
            measure_at = now + MEASURE_EVERY;
        }
        for command in driver.tick() {
            obey(&driver, command);
        }
        let desired = driver.with(|_, core| core.engine.desired());
        want.send_if_modified(|wanted| std::mem::replace(wanted, desired) != desired);
        tokio::select! {
            () = driver.until_due() => {}
            () = tokio::time::sleep_until(driver.clock().instant(measure_at)) => {}
        }
    }
}

fn measure(now: Time, core: &mut Core, lag_ms: f64, door: Option<&Door>) {
    let usage = process::own_usage();
    let vitals = Vitals {
        at: Some(now),
        cpu_seconds: usage.cpu_seconds,
        memory_bytes: usage.memory_bytes,
        queued: Some(door.map_or(0, Door::waiting) as f64),
        event_loop_lag_ms: Some(lag_ms),
    };
    let serving: Vec<InstanceId> = core.roster.serving().collect();
    for id in serving {
        if let Some(member) = core.roster.get_mut(id) {
            member.measured(vitals);
        }
    }
}

/// Answers for a fleet that is somebody else's: what is launched stays on its way, what is no longer wanted is gone at once, and this process is
/// well as long as it can say so.
fn obey(driver: &Arc<Driver>, command: Command) {
    match command {
        Command::Launch(id) => driver.with(|now, core| core.roster.launched(now, id)),
        Command::CheckHealth(id) => driver.with(|now, core| {
            core.feed(now, Input::HealthChecked(id, true));
        }),
        Command::Drain(id) | Command::Terminate(id) => {
            let is_here = driver.with(|_, core| core.roster.serving().any(|serving| serving == id));
            driver.instance_changed(id, InstanceState::Gone, None);
            // This process is there whatever was decided.
            if is_here {
                driver.with(take_over);
            }
        }
    }
}
