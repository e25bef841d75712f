//! Callers: the clients of a scenario, for real.
//!
//! Requests set out when the plan says so, whether or not earlier ones were answered, and their latency counts from then: a system that
//! stalls cannot slow those down who measure it. Who asks for what, from which region, and how often a failure is asked again are the
//! scenario's, drawn as the simulator draws them.
//!
//! What is absent: users who wait for answers before they ask again, recordings, and shedding or hedging by clients.

pub mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt;
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};

use self::writer::Writer;
use crate::engine::overload::retries::{Failed, Retries};
use crate::live::alarm::Alarms;
use crate::live::backend::TIMING;
use crate::live::clock::duration;
use crate::live::driver::Driver;
use crate::live::gateway::answer::REFUSED;
use crate::live::gateway::body::Outgoing;
use crate::live::gateway::fields;
use crate::live::gateway::upstream::Upstream;
use crate::record::generator::Generator;
use crate::record::latency::Latency;
use crate::record::outcome::Failure;
use crate::rng::{Dice, Stream};
use crate::scenario::{Scenario, Traffic, slo};
use crate::traffic::{self, Arrival, Arrivals, EndpointMix, Origin, Population};
use crate::units::{Span, Time};

/// Arrivals looked up at once.
const BATCH: usize = 64;

/// Why nobody can call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Users in a closed loop.
    #[error("traffic.users: live clients do not wait for answers; use traffic.shape")]
    Users,
    /// A recording.
    #[error("traffic.replay: recordings are not played live; use traffic.shape")]
    Recording,
    /// The thread that keeps time could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// The clients of a run.
#[derive(Debug)]
pub struct Callers {
    scenario: Scenario,
    traffic: traffic::Config,
    driver: Arc<Driver>,
    alarms: Alarms,
    gateway: Upstream,
    population: Population,
    attackers: Vec<std::ops::Range<u32>>,
    attacked: Vec<Option<u16>>,
    mix: EndpointMix,
    writer: Writer,
    retry_dice: Dice,
    retries: Option<Mutex<Retries>>,
    /// From due to sent, of requests that are due after the warm-up.
    lag: Mutex<Latency>,
}

/// A request of a client's.
#[derive(Clone, Copy, Debug)]
struct Wish {
    index: u64,
    client: u32,
    at: Time,
    endpoint: u16,
    one_way: Span,
}

/// What an attempt came to.
#[derive(Default)]
struct Outcome {
    failure: Option<Failure>,
    /// How long it was asked to wait before it comes again.
    hint: Option<Span>,
    waiting: Span,
    service: Span,
}

impl Outcome {
    /// Nothing came back.
    fn none(why: Failure) -> Outcome {
        Outcome { failure: Some(why), ..Outcome::default() }
    }
}

/// The traffic of a scenario, if it can be sent live.
pub fn traffic(scenario: &Scenario) -> Result<&traffic::Config, Error> {
    match &scenario.traffic {
        Traffic::Open(config) => Ok(config),
        Traffic::Replay { .. } => Err(Error::Recording),
        Traffic::Closed(_) => Err(Error::Users),
    }
}

impl Callers {
    /// Clients that call the gateway at `address` and record in `driver` what they see.
    pub fn new(
        scenario: &Scenario,
        seed: u64,
        driver: Arc<Driver>,
        address: std::net::SocketAddr,
    ) -> Result<Callers, Error> {
        let config = traffic(scenario)?;
        let population = Population::new(&scenario.clients.population, seed);
        let weights: Vec<f64> = scenario.service.endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let timeouts = scenario.live.as_ref().map(|live| live.timeouts).unwrap_or_default();
        Ok(Callers {
            traffic: config.clone(),
            attackers: population.attackers(config.attacks()),
            attacked: config.attacks().map(|attack| attack.endpoint).collect(),
            population,
            mix: EndpointMix::new(&weights, seed),
            writer: Writer::new(scenario.service.endpoints.iter().map(|endpoint| &endpoint.request), seed),
            retry_dice: Dice::new(seed, Stream::RetryJitter),
            retries: scenario.clients.retry.as_ref().map(|retry| Mutex::new(Retries::new(&retry.policy))),
            gateway: Upstream::new(address, timeouts),
            alarms: Alarms::start(*driver.clock()).map_err(Error::Thread)?,
            driver,
            lag: Mutex::default(),
            scenario: scenario.clone(),
        })
    }

    /// Calls until `end`, or until `stop` is set, and waits for every answer. Tells how well that went for the callers themselves: they have
    /// no pool to exhaust, but they can be late.
    pub async fn call(self, seed: u64, end: Time, stop: &AtomicBool) -> Generator {
        let mut arrivals = Arrivals::new(&self.traffic, seed, end);
        let callers = Arc::new(self);
        let (hold, mut all_let_go) = tokio::sync::mpsc::channel::<()>(1);
        let mut batch = Vec::with_capacity(BATCH);
        'all: loop {
            batch.clear();
            arrivals.take_into(&mut batch, BATCH);
            if batch.is_empty() {
                break;
            }
            for arrival in &batch {
                callers.alarms.until(arrival.at).await;
                if stop.load(Ordering::Relaxed) {
                    break 'all;
                }
                let wish = callers.wish(arrival);
                let (callers, hold) = (Arc::clone(&callers), hold.clone());
                tokio::spawn(async move {
                    callers.follow(wish).await;
                    drop(hold);
                });
            }
        }
        if !stop.load(Ordering::Relaxed) {
            tokio::time::sleep_until(callers.driver.clock().instant(end)).await;
        }
        drop(hold);
        // Nobody sends anything: the end comes when the last request has let go.
        let _ = all_let_go.recv().await;
        let lag = callers.lag.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lag_limit = Generator::lag_limit(slo::tightest(&callers.scenario.slo));
        Generator { due: lag.count(), sent: lag.count(), lag, lag_limit, ..Generator::default() }
    }

    fn wish(&self, arrival: &Arrival) -> Wish {
        let Arrival { at, index, ref origin } = *arrival;
        let drawn = || self.mix.endpoint(index);
        let (client, endpoint) = match *origin {
            Origin::Attack(k) => {
                let k = usize::from(k);
                (self.population.attacker(index, &self.attackers[k]), self.attacked[k].unwrap_or_else(drawn))
            }
            _ => (self.population.client(index), drawn()),
        };
        let regions = &self.scenario.clients.population.regions;
        let region = regions.get(usize::from(self.population.region(client)));
        Wish { index, client, at, endpoint, one_way: region.map_or(Span::ZERO, |region| region.rtt / 2) }
    }

    /// Follows a request to its end, through all its attempts.
    async fn follow(&self, wish: Wish) {
        let mut sent_at = wish.at;
        self.driver.record(|now, recorder| {
            sent_at = now;
            recorder.offered(wish.at, wish.endpoint);
        });
        if wish.at.0 >= self.scenario.warmup.0 {
            self.lag.lock().unwrap_or_else(PoisonError::into_inner).record(sent_at.since(wish.at));
        }
        self.with_retries(|retries, now| retries.offered(now));
        let (mut attempt, mut took) = (1, 0);
        loop {
            let outcome = self.attempt(&wish, attempt).await;
            let Some(failure) = outcome.failure else {
                let Outcome { waiting, service, .. } = outcome;
                self.with_retries(|retries, _| retries.succeeded(took));
                self.driver.record(|now, recorder| recorder.succeeded(now, wish.at, waiting, service, wish.endpoint));
                return;
            };
            let next = self.next(&wish, attempt, failure, outcome.hint);
            let Some((wait, paid)) = next else {
                self.driver.record(|now, recorder| recorder.failed(now, wish.at, failure, wish.endpoint));
                return;
            };
            self.alarms.wait(wait).await;
            (attempt, took) = (attempt + 1, paid);
            self.driver.record(|_, recorder| recorder.retried(wish.at, wish.endpoint));
        }
    }

    fn with_retries<T>(&self, ask: impl FnOnce(&mut Retries, Time) -> T) -> Option<T> {
        let mut retries = self.retries.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(ask(&mut retries, self.driver.clock().now()))
    }

    /// How long to wait before the next attempt, and the tokens that this takes; `None`: there is none.
    fn next(&self, wish: &Wish, attempt: u32, failure: Failure, hint: Option<Span>) -> Option<(Span, u32)> {
        if !self.scenario.clients.retry.as_ref()?.on.includes(failure) {
            return None;
        }
        let failed = Failed { attempt, timed_out: failure == Failure::Timeout, hint };
        let unit = |retry: u32| self.retry_dice.sub(wish.index, u64::from(retry)).unit();
        self.with_retries(|retries, now| retries.next(now, failed, unit)).flatten()
    }

    /// One attempt, as long as the client's patience lasts.
    async fn attempt(&self, wish: &Wish, attempt: u32) -> Outcome {
        let asking = async {
            self.alarms.wait(wish.one_way).await;
            let outcome = self.ask(wish, attempt).await;
            self.alarms.wait(wish.one_way).await;
            outcome
        };
        match self.scenario.clients.timeout {
            None => asking.await,
            Some(timeout) => {
                let asked = tokio::time::timeout(duration(timeout), asking).await;
                asked.unwrap_or_else(|_| Outcome::none(Failure::Timeout))
            }
        }
    }

    async fn ask(&self, wish: &Wish, attempt: u32) -> Outcome {
        let lost = Outcome::none(Failure::Connection);
        let mut connection = match self.gateway.reuse().await {
            Some(connection) => connection,
            None => match self.gateway.connect().await {
                Ok(connection) => connection,
                Err(_) => return lost,
            },
        };
        let message = self.writer.write(usize::from(wish.endpoint), wish.index);
        let body = if message.body.is_empty() { Outgoing::Empty } else { Outgoing::Own(Some(message.body)) };
        let request = Request::builder()
            .method(message.method)
            .uri(&*message.target)
            .header(hyper::header::HOST, self.gateway.address().to_string())
            .header(fields::INDEX, wish.index)
            .header(fields::CLIENT, wish.client)
            .header(fields::ATTEMPT, attempt)
            .body(body);
        let Ok(mut request) = request else { return lost };
        request.headers_mut().extend(message.headers.into_iter().map(|(name, value)| (Some(name), value)));
        let Ok(response) = connection.send_request(request).await else { return lost };
        let (parts, body) = response.into_parts();
        if body.collect().await.is_err() {
            return lost;
        }
        self.gateway.give_back(connection);
        let (waiting, service) = timing(&parts.headers);
        let failure = failure(parts.status, &parts.headers);
        let says_when = matches!(failure, Some(Failure::RateLimited | Failure::CircuitOpen));
        let hint = fields::number(&parts.headers, &RETRY_AFTER).filter(|_| says_when).map(Span::from_secs);
        Outcome { failure, hint, waiting, service }
    }
}

/// Why a request failed, from its answer; `None`: it did not.
pub fn failure(status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
    let refused = headers.get(REFUSED).and_then(|why| why.to_str().ok());
    if let Some(why) = refused.and_then(|why| Failure::ALL.into_iter().find(|failure| failure.name() == why)) {
        return Some(why);
    }
    match status.as_u16() {
        502 => Some(Failure::Connection),
        504 => Some(Failure::Timeout),
        429 => Some(Failure::RateLimited),
        500.. => Some(Failure::ServerError),
        _ => None,
    }
}

/// How long the instance says that it had the request wait, and worked on it.
fn timing(headers: &HeaderMap) -> (Span, Span) {
    let said = headers.get(TIMING).and_then(|said: &HeaderValue| said.to_str().ok()).unwrap_or_default();
    let of = |name: &str| {
        let part = said.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix(";dur="));
        part.and_then(|millis| millis.parse::<f64>().ok()).map_or(Span::ZERO, |ms| Span::from_secs_f64(ms / 1e3))
    };
    (of("wait"), of("work"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_why_it_is_none_and_what_it_took() {
        let with = |name: hyper::header::HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
        };
        let of = |status: u16, why: &'static str| failure(StatusCode::from_u16(status).unwrap(), &with(REFUSED, why));
        assert_eq!(of(503, "circuit_open"), Some(Failure::CircuitOpen));
        assert_eq!(of(200, "circuit_open"), Some(Failure::CircuitOpen), "a fallback may look like an answer");
        assert_eq!((of(200, ""), of(404, ""), of(500, "")), (None, None, Some(Failure::ServerError)));
        assert_eq!((of(502, ""), of(504, "")), (Some(Failure::Connection), Some(Failure::Timeout)));
        let told = timing(&with(TIMING, "wait;dur=1.500, work;dur=40"));
        assert_eq!(told, (Span::from_micros(1500), Span::from_millis(40)));
    }
}
