//! The built-in backend: one instance that serves a scenario's `[service]`, for real.
//!
//! ```text
//! request ─▶ room in the queue? ─▶ a worker ─▶ its own demand passes ─▶ 200, or the endpoint's error
//!               503 at once
//! ```
//!
//! Requests carry their index (`wavetank-index`), and with it everything that is random about them: endpoint, demand and failure are
//! drawn as the simulator draws them, so that live and simulated requests are the same requests. Time in service is waited, and its CPU
//! part accounted for, not burnt: a laptop can rehearse a fleet.
//!
//! Like most servers, it finishes what nobody waits for any more. `GET /-/health` says whether it has booted and is not draining,
//! `GET /-/stats` what it has in hand.
//!
//! `PUT /-/fault` makes it ill for a while ([`Illness`]): the faults of a scenario. What came through a gateway cannot.
//!
//! What is absent: processor sharing, and dependencies, which processes that know nothing of each other cannot share.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue, VIA};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::distribution::Sampler;
use crate::live::alarm::Alarms;
use crate::live::clock::{Clock, duration};
use crate::live::gateway::answer::REFUSED;
use crate::live::gateway::fields;
use crate::rng::{Dice, Stream};
use crate::scenario::Scenario;
use crate::scenario::faults::course::ERROR_DRAW;
use crate::scenario::service::Discipline;
use crate::traffic::EndpointMix;
use crate::units::{Span, Time};

/// How long a request waited, and how long it was worked on \[ms\], as browsers show it (Server Timing).
pub const TIMING: HeaderName = HeaderName::from_static("server-timing");
/// How often the lag of the event loop is measured.
const LAG_EVERY: Duration = Duration::from_millis(50);
/// Longest message about a fault \[bytes\].
const MESSAGE: usize = 1024;

/// Which instance it is.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where to listen on this machine.
    pub port: u16,
    /// Seed of the run.
    pub seed: u64,
    /// Its number: those below `fleet.initial` have booted before the run began.
    pub instance: u32,
}

/// Why there is no backend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario shares its cores among requests.
    #[error(
        "service.discipline is \"ps\": the built-in backend serves \"fcfs\" only; set live.command to a server of your own"
    )]
    ProcessorSharing,
    /// The port is not to be had.
    #[error("cannot listen on port {port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The thread that keeps time could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// What a fault makes of an instance.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Illness {
    /// Demand is multiplied by this, > 0; 1: as ever.
    pub slowness: f64,
    /// Probability that a request is answered with an error, 0..1.
    pub error_rate: f64,
    /// Time that such an error takes \[s\]; `None`: as long as a good answer.
    pub error_seconds: Option<f64>,
}

impl Illness {
    /// None.
    pub const NONE: Illness = Illness { slowness: 1.0, error_rate: 0.0, error_seconds: None };

    fn is_sound(&self) -> bool {
        let is_time = |seconds: f64| (0.0..1e9).contains(&seconds);
        self.slowness > 0.0
            && self.slowness < 1e9
            && (0.0..=1.0).contains(&self.error_rate)
            && self.error_seconds.is_none_or(is_time)
    }
}

/// Requests in service, and their integral over time.
#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    now: u32,
    since: Time,
    /// \[request · ns\].
    area: u128,
}

impl Busy {
    fn becomes(&mut self, at: Time, change: i32) {
        self.area += u128::from(self.now) * u128::from(at.since(self.since).0);
        self.since = at;
        self.now = self.now.saturating_add_signed(change);
    }
}

/// The instance.
#[derive(Debug)]
struct Backend {
    scenario: Scenario,
    clock: Clock,
    alarms: Alarms,
    booted_at: Time,
    /// Until when it is slower, and from when the warm-up counts.
    warm_at: Time,
    demands: Vec<Sampler>,
    mix: EndpointMix,
    demand_dice: Dice,
    failure_dice: Dice,
    workers: Semaphore,
    waiting: AtomicU32,
    busy: Mutex<Busy>,
    illness: Mutex<Illness>,
    /// Requests without an index get one of their own, far from those of a run.
    unnamed: AtomicU64,
    lag: Mutex<f64>,
    draining: AtomicBool,
}

/// Serves until `stop` turns true; then until everything that has begun is answered.
pub async fn serve(scenario: Scenario, settings: Settings, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
    if scenario.service.discipline == Discipline::ProcessorSharing {
        return Err(Error::ProcessorSharing);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
    let listen = |source| Error::Listen { port: settings.port, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let backend = Arc::new(Backend::new(scenario, settings).map_err(Error::Thread)?);
    let lag = tokio::spawn(Arc::clone(&backend).watch_lag());
    let (hold, mut all_let_go) = tokio::sync::mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, _)) = accepted else { continue };
        // Small answers are not to wait for acknowledgements; without this they are merely slower.
        let _ = stream.set_nodelay(true);
        let (backend, hold, mut stop) = (Arc::clone(&backend), hold.clone(), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let backend = Arc::clone(&backend);
                async move { Ok::<_, Infallible>(backend.answer(request).await) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                () = async { drop(stop.wait_for(|stop| *stop).await) } => {
                    connection.as_mut().graceful_shutdown();
                    // How it ends is its client's business.
                    let _ = connection.await;
                }
            }
            drop(hold);
        });
    }
    backend.draining.store(true, Ordering::Relaxed);
    drop(listener);
    drop(hold);
    // Nobody sends anything: the end comes when the last connection has let go.
    let _ = all_let_go.recv().await;
    lag.abort();
    Ok(())
}

impl Backend {
    fn new(scenario: Scenario, settings: Settings) -> io::Result<Backend> {
        let Settings { seed, instance, .. } = settings;
        let is_first = instance < scenario.fleet.initial;
        let boot =
            scenario.fleet.boot.sampler().sample(&mut Dice::new(seed, Stream::Boot).draws(u64::from(instance)));
        let booted_at = if is_first { Time::ZERO } else { Time::ZERO.saturating_add(boot) };
        let warmup = scenario.fleet.warmup.filter(|_| !is_first).map_or(Span::ZERO, |warmup| warmup.over);
        let weights: Vec<f64> = scenario.service.endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let clock = Clock::start();
        Ok(Backend {
            alarms: Alarms::start(clock)?,
            clock,
            booted_at,
            warm_at: booted_at.saturating_add(warmup),
            demands: scenario.service.endpoints.iter().map(|endpoint| endpoint.time.sampler()).collect(),
            mix: EndpointMix::new(&weights, seed),
            demand_dice: Dice::new(seed, Stream::Demand),
            failure_dice: Dice::new(seed, Stream::Failure),
            workers: Semaphore::new((scenario.service.workers as usize).min(Semaphore::MAX_PERMITS)),
            waiting: AtomicU32::new(0),
            busy: Mutex::default(),
            illness: Mutex::new(Illness::NONE),
            unnamed: AtomicU64::new(u64::MAX / 2),
            lag: Mutex::default(),
            draining: AtomicBool::new(false),
            scenario,
        })
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, Busy> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn illness(&self) -> Illness {
        *self.illness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a fault makes of it.
    fn falls_ill(&self, body: &[u8]) -> Response<Full<Bytes>> {
        match serde_json::from_slice::<Illness>(body) {
            Ok(illness) if illness.is_sound() => {
                *self.illness.lock().unwrap_or_else(PoisonError::into_inner) = illness;
                text(StatusCode::OK, "so be it\n")
            }
            Ok(illness) => text(
                StatusCode::BAD_REQUEST,
                &format!("found {illness:?}, expected a slowness above 0, a rate from 0 to 1, a time of 0 or more\n"),
            ),
            Err(error) => text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        }
    }

    async fn answer(self: Arc<Backend>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/-/health" => self.health(),
            "/-/stats" => self.stats(),
            // Only whoever started it speaks to it without a gateway between.
            "/-/fault" if request.method() == Method::PUT && !request.headers().contains_key(VIA) => {
                match Limited::new(request.into_body(), MESSAGE).collect().await {
                    Ok(body) => self.falls_ill(&body.to_bytes()),
                    Err(_) => text(StatusCode::BAD_REQUEST, "the message broke off, or is too long\n"),
                }
            }
            _ => {
                let (parts, body) = request.into_parts();
                // What is uploaded is read to its end before it is worked on; what breaks off is no request.
                if body.collect().await.is_err() {
                    return text(StatusCode::BAD_REQUEST, "the body broke off\n");
                }
                let number = |name: &HeaderName| fields::number(&parts.headers, name);
                let index = number(&fields::INDEX).unwrap_or_else(|| self.unnamed.fetch_add(1, Ordering::Relaxed));
                let attempt = number(&fields::ATTEMPT).unwrap_or(1);
                let endpoint = self.endpoint(&parts.method, parts.uri.path(), index);
                let backend = Arc::clone(&self);
                // In a task of its own: it is finished even if its client leaves.
                let work = tokio::spawn(async move { backend.work(endpoint, index, attempt).await });
                work.await.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "it broke\n"))
            }
        }
    }

    /// The endpoint of a request: the one that its index says, unless its method and path are those of another.
    fn endpoint(&self, method: &Method, path: &str, index: u64) -> usize {
        let drawn = self.mix.endpoint(index);
        usize::from(self.scenario.service.endpoint_of(method.as_str(), path, Some(drawn)).unwrap_or(drawn))
    }

    async fn work(&self, endpoint: usize, index: u64, attempt: u64) -> Response<Full<Bytes>> {
        let came = self.clock.now();
        let permit = match self.workers.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let full = |n: u32| self.scenario.service.queue.is_some_and(|queue| n >= queue);
                let enter =
                    self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (!full(n)).then_some(n + 1));
                if enter.is_err() {
                    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "the queue is full\n");
                    response.headers_mut().insert(REFUSED, HeaderValue::from_static("queue_full"));
                    return response;
                }
                let permit = self.workers.acquire().await;
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                match permit {
                    Ok(permit) => permit,
                    Err(_) => return text(StatusCode::SERVICE_UNAVAILABLE, "closed\n"),
                }
            }
        };
        let began = self.clock.now();
        self.busy().becomes(began, 1);
        let demand = self.demands[endpoint].sample(&mut self.demand_dice.draws(index));
        let warmup = self.scenario.fleet.warmup.filter(|_| began < self.warm_at);
        let illness = self.illness();
        let slowness = illness.slowness * warmup.map_or(1.0, |warmup| warmup.factor(self.warm_at.since(began)));
        let mut service = demand.mul_f64(slowness);
        let rate = self.scenario.service.endpoints[endpoint].error_rate;
        let mut fails = rate > 0.0 && self.failure_dice.sub(index, attempt).unit() < rate;
        if self.failure_dice.sub(index, attempt.saturating_add(ERROR_DRAW)).unit() < illness.error_rate {
            fails = true;
            service = illness.error_seconds.map_or(service, |seconds| Span::from_secs_f64(seconds).mul_f64(slowness));
        }
        self.alarms.until(began + service).await;
        self.busy().becomes(self.clock.now(), -1);
        drop(permit);
        let mut response = if fails {
            text(StatusCode::INTERNAL_SERVER_ERROR, "an error of the service\n")
        } else {
            text(StatusCode::OK, "ok\n")
        };
        let timing =
            format!("wait;dur={:.3}, work;dur={:.3}", began.since(came).as_millis_f64(), service.as_millis_f64());
        if let Ok(timing) = HeaderValue::from_str(&timing) {
            response.headers_mut().insert(TIMING, timing);
        }
        response
    }

    fn health(&self) -> Response<Full<Bytes>> {
        if self.draining.load(Ordering::Relaxed) {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        } else if self.clock.now() < self.booted_at {
            text(StatusCode::SERVICE_UNAVAILABLE, "booting\n")
        } else {
            text(StatusCode::OK, "ready\n")
        }
    }

    fn stats(&self) -> Response<Full<Bytes>> {
        let (busy, worked) = {
            let mut busy = self.busy();
            busy.becomes(self.clock.now(), 0);
            (busy.now, busy.area as f64 / 1e9)
        };
        let queued = self.waiting.load(Ordering::Relaxed);
        let memory =
            self.scenario.fleet.memory.map(|memory| memory.base + memory.per_request * f64::from(busy + queued));
        let stats = serde_json::json!({
            "busy": busy,
            "queued": queued,
            // What is in service counts as it goes, not at its end: a metric that lagged by a request would move decisions.
            "cpu_seconds": worked * self.scenario.service.cpu_share,
            "memory_bytes": memory,
            "event_loop_lag_ms": *self.lag.lock().unwrap_or_else(PoisonError::into_inner),
        });
        let mut response = text(StatusCode::OK, &stats.to_string());
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// Measures how late a timer is, again and again.
    async fn watch_lag(self: Arc<Backend>) {
        loop {
            let due = self.clock.now() + Span::from_millis(LAG_EVERY.as_millis() as u64);
            tokio::time::sleep_until(self.clock.instant(due)).await;
            let late = self.clock.now().since(due).as_millis_f64();
            let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
            *lag += (late - *lag) * 0.2;
        }
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

/// How long a request may go on after its backend was told to stop.
pub fn patience(scenario: &Scenario) -> Duration {
    duration(scenario.fleet.drain_timeout.unwrap_or(Span::from_secs(30)))
}
