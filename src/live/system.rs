//! A whole live system: instances, the engine, the gateway before them, and the control listener, started and stopped together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::live::clock::duration;
use crate::live::control::{self, Control};
use crate::live::descriptors::Room;
use crate::live::driver::{Driver, Flight};
use crate::live::faults::Faults;
use crate::live::fleet::adoption::Adoption;
use crate::live::fleet::{self, Fleet, Ready};
use crate::live::flight::Header;
use crate::live::gateway::Gateway;
#[cfg(feature = "tls")]
use crate::live::gateway::tls;
#[cfg(feature = "history")]
use crate::live::history::{self, History};
use crate::live::provider::addresses::Addresses;
use crate::live::provider::command::Calls;
use crate::live::provider::process::Processes;
use crate::live::provider::{self, Provider};
#[cfg(feature = "redis")]
use crate::live::quotas::{self, Quotas};
use crate::scenario::Scenario;
use crate::scenario::live::{self, Live};
use crate::units::Span;

/// How long requests may take to end when everything stops.
const DRAIN: Span = Span::from_secs(30);

/// What a system is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is.
    pub scenario: Scenario,
    /// Where and how it runs.
    pub live: Live,
    /// The scenario's file and its overrides: the built-in backend reads it again.
    pub file: (PathBuf, Vec<String>),
    /// Seed of every random number.
    pub seed: u64,
    /// Where this program is: it starts instances through itself.
    pub program: PathBuf,
    /// Length of the run that is recorded; `None`: none is.
    pub record: Option<Span>,
}

/// Why a system could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is not to be had.
    #[error("cannot listen at {address} ({what})")]
    Listen {
        /// `live.listen` or `live.control`.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The provider cannot be used.
    #[error(transparent)]
    Provider(#[from] provider::Error),
    /// A strategy that looks at what nobody tells.
    #[error(
        "balancer.strategy: instances report nothing with their answers here; \"peak_ewma\" and \"power_of_two_choices\" need no reports"
    )]
    Reports,
    /// The certificate cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// This program speaks no TLS.
    #[cfg(not(feature = "tls"))]
    #[error("live.tls: this program was built without TLS: build it with the feature tls, or remove the section")]
    NoTls,
    /// The store of quotas cannot be used.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Quotas(#[from] quotas::Error),
    /// This program knows no store of quotas.
    #[cfg(not(feature = "redis"))]
    #[error(
        "live.quota_store: this program was built without Redis: build it with the feature redis, or remove the section"
    )]
    NoQuotaStore,
    /// The history of the traffic cannot be used.
    #[cfg(feature = "history")]
    #[error(transparent)]
    History(#[from] history::Error),
    /// This program keeps no history.
    #[cfg(not(feature = "history"))]
    #[error(
        "live.history: this program was built without it: build it with the feature history, or remove the section"
    )]
    NoHistory,
    /// The first instances did not come up.
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
}

/// A live system.
#[derive(Debug)]
pub struct System {
    fleet: Arc<Fleet>,
    adoption: Adoption,
    room: Room,
    gateway: Arc<Gateway>,
    listen: SocketAddr,
    control: SocketAddr,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
    driving: JoinHandle<()>,
    controlling: JoinHandle<()>,
    #[cfg(feature = "history")]
    history: Option<History>,
}

impl System {
    /// Starts everything; the first instances are well when this returns, and time begins.
    /// With `flight`, everything that the engine is told is written there.
    pub async fn start(settings: Settings, flight: Option<Flight>) -> Result<System, Error> {
        let Settings { scenario, live, .. } = &settings;
        if scenario.balancer.strategy.takes_reports() {
            return Err(Error::Reports);
        }
        #[cfg(feature = "tls")]
        let tls = live.tls.as_ref().map(tls::Tls::new).transpose()?;
        #[cfg(not(feature = "tls"))]
        if live.tls.is_some() {
            return Err(Error::NoTls);
        }
        #[cfg(not(feature = "redis"))]
        if live.quota_store.is_some() {
            return Err(Error::NoQuotaStore);
        }
        #[cfg(not(feature = "history"))]
        if live.history.is_some() {
            return Err(Error::NoHistory);
        }
        // An address that is taken is told before anything is started.
        let (listener, listen) = bind("live.listen", live.listen).await?;
        let (control_listener, control) = bind("live.control", live.control).await?;
        let provider = provider(&settings)?;
        let first = match &live.provider {
            live::Provider::Static { upstreams } => upstreams.len() as u32,
            live::Provider::Process { .. } | live::Provider::Command { .. } => scenario.fleet.initial,
        };
        let is_own = matches!(live.provider, live::Provider::Process { command: None });
        let is_process = matches!(live.provider, live::Provider::Process { .. });
        let faults = Faults::new(scenario, is_own, is_process, settings.seed);
        let ready = Ready::start(provider, scenario, live, first, is_own).await?;
        let adoption = ready.adoption().clone();
        let clients = 4096.max(scenario.clients.population.population as usize);
        let endpoints = &scenario.service.endpoints;
        let flight = flight.map(|flight| Flight { header: Header { clients, ..flight.header }, ..flight });
        let driver = Driver::new(scenario, settings.seed, endpoints, clients, settings.record, flight);
        let driver = Arc::new(driver);
        #[cfg(feature = "history")]
        let history = match (&live.history, &scenario.analyzer) {
            (Some(settings), Some(analyzer)) => Some(History::begin(settings, analyzer.bin, &driver)?),
            _ => None,
        };
        let fleet = ready.under(Arc::clone(&driver), faults);
        let most = scenario.autoscaler.as_ref().map_or(first, |autoscaler| autoscaler.max.max(first));
        let room = Room::here(most);
        let mut fitting = live.clone();
        fitting.limits.connections = fitting.limits.connections.min(room.clients);
        let gateway = Gateway::new(Arc::clone(&driver), scenario, &fitting, settings.seed, listen);
        #[cfg(feature = "tls")]
        let gateway = gateway.with_tls(tls);
        #[cfg(feature = "redis")]
        let gateway = gateway.with_quotas(store_of_quotas(scenario, live, &driver).await?);
        let gateway = Arc::new(gateway);
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(Arc::clone(&gateway).serve(listener, stopped));
        let controls = Control::new(Arc::clone(&fleet), live, room.callers, control);
        let driving = tokio::spawn(Arc::clone(&fleet).run());
        let controlling = tokio::spawn(control::serve(Arc::new(controls), control_listener));
        Ok(System {
            fleet,
            adoption,
            room,
            gateway,
            listen,
            control,
            stop,
            served,
            driving,
            controlling,
            #[cfg(feature = "history")]
            history,
        })
    }

    /// Where requests are taken.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// What became of the instances of an earlier gateway.
    pub fn adoption(&self) -> &Adoption {
        &self.adoption
    }

    /// How many clients and callers fit at once.
    pub fn room(&self) -> Room {
        self.room
    }

    /// The gateway.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Where the control API is.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// The engine.
    pub fn driver(&self) -> &Arc<Driver> {
        self.fleet.driver()
    }

    /// What happened while it started that somebody should know, in words.
    pub fn notes(&self) -> &[String] {
        #[cfg(feature = "history")]
        let notes = self.history.as_ref().map_or(&[][..], |history| &history.notes);
        #[cfg(not(feature = "history"))]
        let notes = &[][..];
        notes
    }

    /// Takes nothing new, answers what has begun, stops every instance, and ends.
    pub async fn stop(self) {
        // The receiver is in the gateway, which may have ended.
        let _ = self.stop.send(true);
        let abort = self.served.abort_handle();
        if tokio::time::timeout(duration(DRAIN), self.served).await.is_err() {
            abort.abort();
        }
        // First the engine, which would replace whoever goes.
        self.driving.abort();
        let _ = self.driving.await;
        self.fleet.stop().await;
        self.fleet.driver().tick();
        #[cfg(feature = "history")]
        if let Some(history) = self.history {
            history.end().await;
        }
        self.controlling.abort();
    }
}

/// The store that keeps the quotas; `None`: the engine does.
#[cfg(feature = "redis")]
async fn store_of_quotas(
    scenario: &Scenario,
    live: &Live,
    driver: &Arc<Driver>,
) -> Result<Option<Quotas>, quotas::Error> {
    let (Some(store), Some(sharing)) = (&live.quota_store, &scenario.limiter_extras.sharing) else { return Ok(None) };
    Quotas::start(store, scenario, sharing.timeout, Arc::clone(driver)).await.map(Some)
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let problem = |source| Error::Listen { what, address, source };
    let listener = TcpListener::bind(address).await.map_err(problem)?;
    let bound = listener.local_addr().map_err(problem)?;
    Ok((listener, bound))
}

fn provider(settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
    let Settings { live, program, .. } = settings;
    Ok(match &live.provider {
        live::Provider::Static { upstreams } => Arc::new(Addresses::new(upstreams.clone())),
        live::Provider::Process { command: Some(command) } => {
            Arc::new(Processes::new(command, program.clone(), live.stop_timeout)?)
        }
        live::Provider::Process { command: None } => {
            Arc::new(Processes::of_words(backend(settings), program.clone(), live.stop_timeout)?)
        }
        live::Provider::Command { program } => {
            let fleet = settings.scenario.name.clone();
            Arc::new(Calls::new(program.clone(), fleet, live.launch_timeout, live.stop_timeout))
        }
    })
}

/// The built-in backend, which serves the scenario's own service.
fn backend(settings: &Settings) -> Vec<String> {
    let (file, overrides) = &settings.file;
    let mut words = vec![settings.program.to_string_lossy().into_owned(), "backend".to_string()];
    words.push(file.to_string_lossy().into_owned());
    let seed = settings.seed.to_string();
    words.extend(["--port", "{port}", "--seed", &seed, "--instance", "{id}", "--with-parent"].map(String::from));
    for each in overrides {
        words.extend(["--set".to_string(), each.clone()]);
    }
    words
}
