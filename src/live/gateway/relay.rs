//! A request's way through the gateway, from its head to the head of its answer.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::body::{Answer, Outgoing, Relay, UnderWay};
#[cfg(feature = "redis")]
use super::clients;
use super::fields::{self, Facts};
use super::guard::{Guard, Shared};
use super::head::{Framing, Head, Refusal, refuse};
use super::inspector::Decision;
use super::upstream::{Connection, Upstream};
use super::{Gateway, answer, tunnel};
use crate::engine::limiter::outside::Answer as Stored;
use crate::engine::request::{self, InstanceId, Outcome, Rejection};
use crate::live::clock::{self, duration};
use crate::live::driver::{Exchange, Passage, Ticket};
#[cfg(feature = "redis")]
use crate::live::quotas::Whose;
use crate::record::outcome::Failure;

/// `Max-Forwards`.
const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");
/// What a client that speaks HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's connection, as its requests see it.
struct Client {
    address: SocketAddr,
    /// What the guard found; `None` on HTTP/2, whose frames leave nothing to misunderstand.
    shared: Option<Arc<Shared>>,
    /// What was agreed on before; `None`: it speaks in the clear.
    secure: Option<Secure>,
    requests: AtomicU32,
}

/// An encrypted connection.
#[derive(Debug)]
struct Secure {
    /// Whom the client wanted to speak to, in small letters; `None`: it did not say.
    name: Option<String>,
}

impl Secure {
    /// Whether a request on it is for whom its client wanted to speak to (RFC 9110 §7.4): else a certificate was shown for one name, and
    /// another is asked.
    fn fits(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(name) = &self.name else { return true };
        let said = headers.get(hyper::header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let asked = uri.authority().or(said.as_ref()).map(|authority| authority.host().trim_end_matches('.'));
        asked.is_some_and(|asked| asked.eq_ignore_ascii_case(name))
    }
}

/// How sending to an instance failed.
#[derive(Debug)]
enum Failed {
    /// The instance could not be reached, or broke off before its answer.
    Connection,
    /// It took too long.
    Timeout,
    /// Its answer is none.
    Malformed,
    /// It was the client's body that broke off.
    Client,
}

impl Failed {
    fn outcome(&self) -> Outcome {
        match self {
            Failed::Connection => Outcome::Connection,
            Failed::Timeout => Outcome::Timeout,
            Failed::Malformed => Outcome::ServerError,
            Failed::Client => Outcome::Abandoned,
        }
    }
}

/// Decides, however the request ends, what becomes of the connection after its handshake.
struct Handshake(Option<Arc<Shared>>);

impl Handshake {
    fn becomes(&mut self, decision: Decision) {
        if let Some(shared) = self.0.take() {
            shared.decide(decision);
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.becomes(Decision::Requests);
    }
}

impl Gateway {
    /// Serves one connection until it ends.
    pub(super) async fn connection(
        self: Arc<Gateway>,
        stream: TcpStream,
        address: SocketAddr,
        stop: watch::Receiver<bool>,
    ) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let mut stopped = stop.clone();
            let agreed = tokio::select! {
                agreed = tls.accept(stream) => agreed,
                _ = stopped.wait_for(|stop| *stop) => None,
            };
            let Some(super::tls::Agreed { stream, name, is_http2 }) = agreed else { return };
            return Arc::clone(&self).converse(stream, address, Some(Secure { name }), is_http2, stop).await;
        }
        let patience = duration(self.live.timeouts.head);
        let is_http2 =
            self.live.http2 && tokio::time::timeout(patience, speaks_http2(&stream)).await.unwrap_or(false);
        self.converse(stream, address, None, is_http2, stop).await;
    }

    /// Answers requests on a connection until it ends.
    async fn converse<S>(
        self: Arc<Gateway>,
        stream: S,
        address: SocketAddr,
        secure: Option<Secure>,
        is_http2: bool,
        mut stop: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let requests = AtomicU32::new(0);
        let shared = (!is_http2).then(Arc::<Shared>::default);
        let client = Arc::new(Client { address, shared: shared.clone(), secure, requests });
        let service = service_fn(|request| {
            let (gateway, client) = (Arc::clone(&self), Arc::clone(&client));
            async move { Ok::<_, Infallible>(gateway.respond(&client, request).await) }
        });
        // How a client's connection ends is in the accounts already.
        match shared {
            Some(shared) => {
                let guard = Guard::new(stream, shared, self.live.timeouts, self.live.limits);
                let mut builder = hyper::server::conn::http1::Builder::new();
                // One write for a head and what follows it. Not `pipeline_flush`: it lifts the limit of what waits for a client to read it.
                builder.max_buf_size(64 * 1024).writev(false);
                let connection = builder.serve_connection(TokioIo::new(guard), service).with_upgrades();
                tokio::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            }
            None => {
                let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                builder
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(100)
                    .max_header_list_size(super::head::MAX_HEAD as u32)
                    .keep_alive_interval(duration(self.live.timeouts.keep_alive));
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                tokio::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            }
        }
    }

    /// Answers a request.
    async fn respond(self: &Arc<Gateway>, client: &Client, request: Request<Incoming>) -> Response<Answer> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = HeaderValue::from_str(&format!("{}-{number:x}", self.name));
        let id = id.unwrap_or(HeaderValue::from_static("unnamed"));
        let json = answer::prefers_json(request.headers());
        let verdict = match &client.shared {
            // There is a verdict for every head that was let through.
            Some(shared) => shared.next_verdict().unwrap_or(Err(refuse(400, "the request is out of turn"))),
            None => judge_http2(&request, self.live.limits.body),
        };
        let answered = match verdict {
            Ok(head) => self.relay(client, head, request, number, &id, json).await,
            Err(refusal) => Err(refusal),
        };
        match answered {
            Ok(response) => {
                let served = client.requests.fetch_add(1, Ordering::Relaxed) + 1;
                let is_last = served >= self.live.limits.requests_per_connection && client.shared.is_some();
                if is_last { answer::closing(response) } else { response }
            }
            Err(refusal) => {
                self.driver.with(|_, core| core.meter.totals_mut().bad_requests += 1);
                let response = answer::own(refusal.status, refusal.reason, &id, json);
                if client.shared.is_some() { answer::closing(response) } else { response }
            }
        }
    }

    /// Sends a request on that is sound, and relays its answer.
    async fn relay(
        self: &Arc<Gateway>,
        client: &Client,
        head: Head,
        mut request: Request<Incoming>,
        number: u64,
        id: &HeaderValue,
        json: bool,
    ) -> Result<Response<Answer>, Refusal> {
        let websocket = head.websocket && self.live.websocket;
        let mut handshake = Handshake(client.shared.clone().filter(|_| head.websocket));
        let upgrade = websocket.then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        if let Some(answer) = last_hop(&mut parts, id) {
            return Ok(answer);
        }
        if client.secure.as_ref().is_some_and(|secure| !secure.fits(&parts.uri, &parts.headers)) {
            return Err(refuse(421, "the connection was opened for another host"));
        }
        let is_local = fields::is_local(client.address.ip(), &parts.headers);
        let origin = self.trust.origin(client.address.ip(), &parts.headers);
        let is_secure = client.secure.is_some();
        let facts = Facts { origin: &origin, is_secure, websocket, is_local, id, listen: &self.listen };
        fields::outbound(&mut parts.headers, &parts.uri, &facts)?;
        let mut asked = self.asked(&parts, is_local, number, origin.client);
        let is_of_a_run = is_local && fields::number(&parts.headers, &fields::INDEX).is_some();
        let client_address = (!is_of_a_run).then_some(origin.client);
        parts.uri = origin_form(&parts.uri);
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        let mut body = match head.framing {
            Framing::None | Framing::Length(0) => Outgoing::Empty,
            // On HTTP/1 the guard counts.
            _ => {
                let most = self.live.limits.body;
                Outgoing::Client { body, left: (client.shared.is_none() && most > 0).then_some(most) }
            }
        };
        let has_body = matches!(body, Outgoing::Client { .. });
        let may_repeat = !has_body && is_idempotent(&parts.method);
        let deadline = clock::instant() + duration(self.live.timeouts.request);
        let exchange = Exchange::begin(&self.driver);
        if self.live.retries > 0 {
            self.budget().deposit(self.driver.clock().now());
        }
        let who = asked;
        let refused = |rejection: Rejection, stored: Option<Stored>, exchange: Exchange| {
            let response = self.words.refusal(&self.driver, &who, rejection, stored, id, json);
            exchange.ended(Some(Failure::from(rejection)));
            // A body that nobody will read stands in the way of the next request.
            if has_body && client.shared.is_some() { answer::closing(response) } else { response }
        };
        for retries_left in (0..=self.live.retries).rev() {
            let stored = self.stored(&asked, client_address).await;
            let mut passage = match stored {
                Some(answer) => self.driver.admit_told(&asked, answer),
                None => self.driver.admit(&asked),
            };
            if let Passage::Later(until) = passage {
                tokio::time::sleep(duration(until.since(self.driver.clock().now()))).await;
                passage = self.driver.admit_delayed(&asked);
            }
            let ticket = match passage {
                Passage::Go(ticket) => ticket,
                Passage::Refused(rejection) => return Ok(refused(rejection, stored, exchange)),
                // Its quota has been paid: it is not asked a second time.
                Passage::Later(_) => return Ok(refused(Rejection::NoReadyInstance, stored, exchange)),
                Passage::Wait(wait) => match wait.wait().await {
                    Some(ticket) => ticket,
                    None => return Ok(refused(Rejection::NoReadyInstance, stored, exchange)),
                },
            };
            let instance = ticket.instance();
            if is_of_a_run {
                self.before().went(asked.index, instance);
            }
            let sent = match ticket.upstream().cloned() {
                Some(upstream) => self.send(&upstream, &parts, &mut body, may_repeat, deadline).await,
                None => Err(Failed::Connection),
            };
            let again = |_: &Failed| {
                let again = may_repeat && retries_left > 0 && self.budget().withdraw(self.driver.clock().now());
                if again {
                    exchange.retried();
                }
                again
            };
            match sent {
                Ok((response, connection)) => {
                    let under_way = Sent { response, connection, ticket, exchange, deadline };
                    return Ok(self.answer(under_way, upgrade, &mut handshake, id, json));
                }
                Err(failed @ (Failed::Connection | Failed::Malformed)) if again(&failed) => {
                    ticket.ended(failed.outcome());
                    asked.attempt += 1;
                    asked.avoid = Some(instance);
                }
                Err(failed) => return self.failed(client, failed, ticket, exchange, has_body, id, json),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// The answer where there is none from an instance.
    #[expect(clippy::too_many_arguments, reason = "they are what is left of a request")]
    fn failed(
        &self,
        client: &Client,
        failed: Failed,
        ticket: Ticket,
        exchange: Exchange,
        has_body: bool,
        id: &HeaderValue,
        json: bool,
    ) -> Result<Response<Answer>, Refusal> {
        ticket.ended(failed.outcome());
        let (status, reason, why) = match failed {
            Failed::Connection => (502, "the instance did not answer", Failure::Connection),
            Failed::Timeout => (504, "the instance did not answer in time", Failure::Timeout),
            Failed::Malformed => (502, "the instance's answer is none", Failure::ServerError),
            Failed::Client => {
                // Its own account: a client that goes away.
                drop(exchange);
                let broken = client.shared.as_ref().and_then(|shared| shared.broken());
                return Err(broken.unwrap_or(refuse(400, "the body of the request broke off")));
            }
        };
        exchange.ended(Some(why));
        let response = answer::own(status, reason, id, json);
        Ok(if has_body && client.shared.is_some() { answer::closing(response) } else { response })
    }

    /// What the engine is asked.
    fn asked(&self, parts: &Parts, is_local: bool, number: u64, client: IpAddr) -> request::Request {
        let told = |name: HeaderName| if is_local { fields::number(&parts.headers, &name) } else { None };
        let endpoint = self.service.endpoint_before(parts.method.as_str(), parts.uri.path());
        let attempt = told(fields::ATTEMPT).and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1);
        match told(fields::INDEX) {
            // It is a request of a run, and so is its client.
            Some(index) => {
                let client =
                    told(fields::CLIENT).and_then(|n| u32::try_from(n).ok()).filter(|&n| n < self.run_clients);
                let client = client.unwrap_or_else(|| self.population.client(index));
                let region = self.population.region(client);
                let avoid = if attempt > 1 { self.before().find(index) } else { None };
                request::Request { index, attempt, client, endpoint, region, avoid }
            }
            None => {
                let client = self.clients.number(&self.driver, client);
                request::Request { index: number, attempt, client, endpoint, region: 0, avoid: None }
            }
        }
    }

    /// What came of asking the store of quotas about an attempt of a client's at this address, or of a run's; `None`: there is no store.
    #[cfg(feature = "redis")]
    async fn stored(&self, asked: &request::Request, client: Option<IpAddr>) -> Option<Stored> {
        let whose = client.map_or(Whose::OfRun(asked.client), |address| Whose::Address(clients::name(address)));
        Some(self.quotas.as_ref()?.ask(asked, whose).await)
    }

    /// This program knows no store.
    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_async, reason = "with a store there is something to wait for")]
    async fn stored(&self, _: &request::Request, _: Option<IpAddr>) -> Option<Stored> {
        None
    }

    /// Sends an attempt, and waits for the head of its answer.
    async fn send(
        &self,
        upstream: &Arc<Upstream>,
        parts: &Parts,
        body: &mut Outgoing,
        may_repeat: bool,
        deadline: tokio::time::Instant,
    ) -> Result<(Response<Incoming>, Connection), Failed> {
        // An upload may take as long as the whole request; what has been sent is answered sooner.
        let patience = clock::instant() + duration(self.live.timeouts.response);
        let until = if matches!(body, Outgoing::Client { .. }) { deadline } else { deadline.min(patience) };
        let sending = async {
            if let Some(mut connection) = upstream.reuse().await {
                let sent =
                    connection.try_send_request(request_of(parts, std::mem::replace(body, Outgoing::Empty))).await;
                match sent {
                    Ok(response) => return Ok((response, connection)),
                    Err(mut error) => match error.take_message() {
                        // It closed before anything was written: nothing has happened.
                        Some(request) => *body = request.into_body(),
                        // It may have closed just as this was written.
                        None if may_repeat && !error.error().is_parse() => {}
                        None => return Err(failure(error.error())),
                    },
                }
            }
            let mut connection = upstream.connect().await.map_err(|error| match error.kind() {
                std::io::ErrorKind::TimedOut => Failed::Timeout,
                _ => Failed::Connection,
            })?;
            let sent = connection.send_request(request_of(parts, std::mem::replace(body, Outgoing::Empty))).await;
            sent.map(|response| (response, connection)).map_err(|error| failure(&error))
        };
        tokio::time::timeout_at(until, sending).await.unwrap_or(Err(Failed::Timeout))
    }

    /// The answer of an instance, as the client gets it.
    fn answer(
        &self,
        sent: Sent,
        upgrade: Option<hyper::upgrade::OnUpgrade>,
        handshake: &mut Handshake,
        id: &HeaderValue,
        json: bool,
    ) -> Response<Answer> {
        let Sent { mut response, connection, mut ticket, exchange, deadline } = sent;
        let InstanceId(number) = ticket.instance();
        let status = response.status();
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        let refused = response.headers_mut().remove(answer::REFUSED);
        let sound = fields::inbound(status, response.headers_mut(), &HeaderValue::from(number));
        if sound.is_err() || switches && upgrade.is_none() {
            ticket.ended(Outcome::ServerError);
            exchange.ended(Some(Failure::ServerError));
            return answer::own(502, "the instance's answer is none", id, json);
        }
        if let (true, Some(client)) = (switches, upgrade) {
            let instance = hyper::upgrade::on(&mut response);
            handshake.becomes(Decision::Tunnel);
            tokio::spawn(async move {
                tunnel::carry(client, instance).await;
                ticket.ended(Outcome::Success);
                exchange.ended(None);
            });
            let mut switched = response.map(|_| Answer::Own(None));
            switched.headers_mut().insert(hyper::header::CONNECTION, HeaderValue::from_static("upgrade"));
            switched.headers_mut().insert(hyper::header::UPGRADE, HeaderValue::from_static("websocket"));
            return switched;
        }
        let outcome = answer::outcome(status, refused.as_ref());
        if let Some(retry_after) = answer::hint(status, response.headers()) {
            ticket.hinted(retry_after);
        }
        response.headers_mut().insert(fields::REQUEST_ID, id.clone());
        if let Some(why) = Failure::of(outcome).filter(|_| refused.is_some()) {
            response.headers_mut().insert(answer::REFUSED, HeaderValue::from_static(why.name()));
        }
        let (mut parts, body) = response.into_parts();
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        let upstream = ticket.upstream().cloned();
        if let (Some(upstream), Outcome::Success) = (&upstream, outcome) {
            upstream.answered(|| self.driver.clock().now());
        }
        let connection = upstream.map(|upstream| (connection, upstream));
        let relay = Relay::new(body, deadline, UnderWay { connection, ticket, exchange, outcome });
        Response::from_parts(parts, Answer::Instance(Box::new(relay)))
    }
}

/// An attempt whose answer has begun.
struct Sent {
    response: Response<Incoming>,
    connection: Connection,
    ticket: Ticket,
    exchange: Exchange,
    deadline: tokio::time::Instant,
}

/// The request that an instance gets.
fn request_of(parts: &Parts, body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    request
}

/// What an error of the connection to an instance means.
fn failure(error: &hyper::Error) -> Failed {
    if error.is_parse() {
        Failed::Malformed
    } else if error.is_user() {
        Failed::Client
    } else if error.is_timeout() {
        Failed::Timeout
    } else {
        Failed::Connection
    }
}

/// The target as an instance gets it: a path with its query, byte by byte, or `*`.
fn origin_form(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    }
}

/// The answer to an OPTIONS that may go no further; else it may go one hop less.
fn last_hop(parts: &mut Parts, id: &HeaderValue) -> Option<Response<Answer>> {
    if parts.method != Method::OPTIONS {
        return None;
    }
    let hops = fields::number(&parts.headers, &MAX_FORWARDS)?;
    if hops == 0 {
        let mut response = answer::own(200, "", id, false);
        *response.body_mut() = Answer::Own(None);
        let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        response.headers_mut().insert(hyper::header::ALLOW, allow);
        return Some(response);
    }
    parts.headers.insert(MAX_FORWARDS, HeaderValue::from(hops - 1));
    None
}

/// Whether a request may be sent again without asking its client (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS)
}

/// What HTTP/2 leaves to be judged.
fn judge_http2(request: &Request<Incoming>, max_body: u64) -> Result<Head, Refusal> {
    use hyper::body::Body;
    let known =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    match *request.method() {
        Method::TRACE => return Err(refuse(405, "TRACE reflects what it is sent")),
        ref method if !known.contains(method) => return Err(refuse(501, "the method is unknown")),
        _ => {}
    }
    if request.uri().authority().is_none() && !request.headers().contains_key(hyper::header::HOST) {
        return Err(refuse(400, "there is no Host"));
    }
    let hint = request.body().size_hint();
    if max_body > 0 && hint.lower() > max_body {
        return Err(refuse(413, "the body is too long"));
    }
    let framing = match hint.exact() {
        _ if request.body().is_end_stream() => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    Ok(Head { framing, websocket: false, closes: false })
}

/// Whether a connection begins as HTTP/2 does.
async fn speaks_http2(stream: &TcpStream) -> bool {
    let mut begin = [0; PREFACE.len()];
    loop {
        let Ok(n) = stream.peek(&mut begin).await else { return false };
        if n == 0 || begin[..n] != PREFACE[..n] {
            return false;
        }
        if n == PREFACE.len() {
            return true;
        }
        // What has come is still there to be peeked at: the rest is not waited for in a tight loop.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
