//! The gateway: stands between clients that may be hostile and instances that may be broken.
//!
//! ```text
//! accept ─▶ guard: head judged ─▶ fields made anew ─▶ engine.admit ─▶ connection ─▶ answer relayed ─▶ engine.completed
//!             400, 413, 431, …        508               429, 503         502, 504       cut off
//! ```
//!
//! - **One request in, one request out.** What an instance sees was read by a strict grammar and is written anew; only the bytes of
//!   bodies pass unchanged.
//! - **TLS comes before all of it** where it is wanted (`tls.rs`, a feature), and changes nothing behind it.
//! - **Refusals are cheap.** They come before a body is read and never touch an instance.
//! - **Everything is accounted for once**, also what breaks off half way ([`crate::live::driver::Ticket`]).
//! - **Nothing waits for ever**, and nothing grows with what a client chooses to send.

pub mod answer;
pub mod body;
pub mod chunks;
pub mod clients;
mod connections;
pub mod fields;
pub mod forwarded;
pub mod guard;
pub mod head;
pub mod inspector;
mod relay;
#[cfg(feature = "tls")]
pub mod tls;
mod tunnel;
pub mod upstream;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::engine::overload::budget::{self, Budget};
use crate::engine::request::InstanceId;
use crate::live::driver::Driver;
#[cfg(feature = "redis")]
use crate::live::quotas::Quotas;
use crate::scenario::live::Live;
use crate::scenario::service::Service;
use crate::scenario::{Scenario, Traffic};
use crate::traffic::Population;
use answer::Words;
use clients::Clients;
use connections::Connections;
use forwarded::Trust;

/// The pause after a connection could not be accepted because descriptors ran out.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// The gateway.
#[derive(Debug)]
pub struct Gateway {
    driver: Arc<Driver>,
    live: Live,
    /// What it is asked for.
    service: Service,
    /// Who asks for a request of a load generator's.
    population: Population,
    /// Numbers of the run's clients are below this.
    run_clients: u32,
    words: Words,
    trust: Trust,
    clients: Clients,
    budget: Mutex<Budget>,
    /// Where the attempt before of a run's request went: another one goes elsewhere, as the simulator has it.
    before: Mutex<Before>,
    /// Requests so far: their numbers, where they bring none.
    requests: AtomicU64,
    /// Sets the names of this gateway's requests apart from those of others.
    name: String,
    listen: HeaderValue,
    connections: Arc<Connections>,
    /// `None`: clients speak in the clear.
    #[cfg(feature = "tls")]
    tls: Option<tls::Tls>,
    /// Where quotas are that other gateways count against as well; `None`: in the engine.
    #[cfg(feature = "redis")]
    quotas: Option<Quotas>,
}

impl Gateway {
    /// A gateway in front of the instances of `driver`, at `address`, which speaks in the clear until [`Gateway::with_tls`]. `seed` says which clients a load generator's requests are from.
    pub fn new(driver: Arc<Driver>, scenario: &Scenario, live: &Live, seed: u64, address: SocketAddr) -> Gateway {
        let population = Population::new(&scenario.clients.population, seed);
        let attackers = match &scenario.traffic {
            Traffic::Open(config) => population.attackers(config.attacks()),
            Traffic::Replay { .. } | Traffic::Closed(_) => Vec::new(),
        };
        Gateway {
            words: Words::of(scenario),
            trust: Trust { networks: live.trusted.clone(), hops: live.trusted_hops },
            service: scenario.service.clone(),
            run_clients: attackers.last().map_or(scenario.clients.population.population, |last| last.end),
            population,
            clients: Clients::default(),
            budget: Mutex::new(Budget::new(&budget::Config::of(live.retry_budget))),
            before: Mutex::new(Before::default()),
            requests: AtomicU64::new(0),
            name: format!("{:x}-{:x}", std::process::id(), address.port()),
            listen: HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("localhost")),
            connections: Arc::new(Connections::new(live.limits)),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "redis")]
            quotas: None,
            live: live.clone(),
            driver,
        }
    }

    /// Has clients speak TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(self, tls: Option<tls::Tls>) -> Gateway {
        Gateway { tls, ..self }
    }

    /// Has a store decide about quotas.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn with_quotas(self, quotas: Option<Quotas>) -> Gateway {
        Gateway { quotas, ..self }
    }

    /// Reads the certificate again, and says whether there is one; if it cannot be used, the one before stays.
    #[cfg(feature = "tls")]
    pub fn read_certificate_again(&self) -> Result<bool, tls::Error> {
        self.tls.as_ref().map(tls::Tls::read_again).transpose().map(|read| read.is_some())
    }

    /// Serves clients until `stop` turns true; then until every request that has begun is answered.
    pub async fn serve(self: Arc<Gateway>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let (held, mut all_let_go) = tokio::sync::mpsc::channel::<()>(1);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = self.connections.enter(peer.ip()) else {
                        self.driver.with(|_, core| core.meter.totals_mut().refused_connections += 1);
                        continue;
                    };
                    // Small answers are not to wait for acknowledgements; without this they are merely slower.
                    let _ = stream.set_nodelay(true);
                    let (gateway, stop, held) = (Arc::clone(&self), stop.clone(), held.clone());
                    tokio::spawn(async move {
                        gateway.connection(stream, peer, stop).await;
                        drop((place, held));
                    });
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(_) => tokio::time::sleep(OUT_OF_DESCRIPTORS).await,
            }
        }
        drop((listener, held));
        // Nobody sends anything: the end comes when the last connection has let go.
        let _ = all_let_go.recv().await;
    }

    fn before(&self) -> std::sync::MutexGuard<'_, Before> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the latest attempts of a run's requests went. It forgets: what is far behind is not tried again.
#[derive(Debug)]
struct Before(Vec<(u64, InstanceId)>);

impl Default for Before {
    fn default() -> Before {
        Before(vec![(u64::MAX, InstanceId(u32::MAX)); 1 << 14])
    }
}

impl Before {
    fn place(&self, request: u64) -> usize {
        (request % self.0.len() as u64) as usize
    }

    fn went(&mut self, request: u64, to: InstanceId) {
        let place = self.place(request);
        self.0[place] = (request, to);
    }

    fn find(&self, request: u64) -> Option<InstanceId> {
        let (known, to) = self.0[self.place(request)];
        (known == request).then_some(to)
    }
}

/// Whether it was the client's connection that failed, and not the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
