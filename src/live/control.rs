//! Control: what people and programs see of a live system, and the orders they give it.
//!
//! A listener of its own, on this machine unless a token is set, so that no path of the gateway's means anything:
//!
//! ```text
//! GET  /                            the dashboard
//! GET  /health  /metrics            for machines: JSON; Prometheus or OpenMetrics
//! GET  /api/scaling/status          instances, breaker, recent actions, metrics, recommendations
//! POST /api/scaling/actions         {"action": "scale_up" | "scale_down" | "set", "count": 1}
//! GET  /api/scaling/traffic         baseline, spikes, predictions, patterns
//! GET  /api/scaling/rules           POST adds one; POST …/rules/NAME/enable or /disable
//! GET  /api/scaling/events          what happens, as it happens (server-sent events)
//! GET  /api/scaling/timeline        the last ten minutes, second by second
//! GET  /openapi.json                the same for machines
//! ```

mod door;
mod metrics;
mod news;
pub(in crate::live) mod rules;
mod status;
mod timeline;
mod traffic;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::live::clock::duration;
use crate::live::fleet::Fleet;
use crate::scenario::live::Live;
use door::Door;

/// The dashboard.
const PAGE: &str = include_str!("control/dashboard.html");
/// What this interface is, in OpenAPI 3.1.
const OPENAPI: &str = include_str!("control/openapi.json");
/// Longest body \[bytes\].
const MAX_BODY: usize = 1024 * 1024;
/// The pause after a connection could not be accepted.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// The body of an answer.
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What the listener serves from.
#[derive(Debug)]
pub struct Control {
    fleet: Arc<Fleet>,
    door: Door,
    /// For the head of a request, and for its body.
    patience: Duration,
    /// Callers that may still come.
    places: Arc<Semaphore>,
}

impl Control {
    /// Controls `fleet` from `address`, for at most so many callers at once.
    pub fn new(fleet: Arc<Fleet>, live: &Live, callers: u32, address: SocketAddr) -> Control {
        Control {
            fleet,
            door: Door::new(live, address),
            patience: duration(live.timeouts.head),
            places: Arc::new(Semaphore::new(callers as usize)),
        }
    }
}

/// Why a request to the interface is not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The status.
    status: StatusCode,
    /// Why, in words.
    message: String,
}

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Problem {
        Problem { status, message: message.into() }
    }

    fn bad(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, message)
    }
}

/// Serves until it is dropped.
pub async fn serve(control: Arc<Control>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            continue;
        };
        // Who finds no place is turned away at once, and may come again.
        let Ok(place) = Arc::clone(&control.places).try_acquire_owned() else { continue };
        let control = Arc::clone(&control);
        tokio::spawn(async move {
            let patience = control.patience;
            let service = service_fn(move |request| {
                let control = Arc::clone(&control);
                async move { Ok::<_, Infallible>(control.answer(request).await) }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(64 * 1024);
            // How a caller's connection ends is its own business.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

impl Control {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.route(request).await {
            Ok(response) => response,
            Err(problem) => problem.response(),
        };
        let headers = response.headers_mut();
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
        headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if is_head { response.map(|_| full("")) } else { response }
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
        self.door.check_host(request.headers())?;
        let path = request.uri().path().to_string();
        let is_open = matches!(path.as_str(), "/" | "/health" | "/openapi.json");
        if !is_open {
            self.door.check_token(request.headers())?;
        }
        let allowed =
            allowed(&path).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no {path}")))?;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let fits = if reads {
            allowed.contains("GET")
        } else {
            allowed.contains("POST") && request.method() == Method::POST
        };
        if !fits {
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} takes {allowed}"));
            let mut response = problem.response();
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            return Ok(response);
        }
        if reads {
            return self.read(&path, &request);
        }
        self.door.check_change(request.headers())?;
        let body = body(request);
        let body = tokio::time::timeout(self.patience, body).await.map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body takes longer than {} s", self.patience.as_secs_f64()),
            )
        })??;
        self.change(&path, &body)
    }

    fn read(&self, path: &str, request: &Request<Incoming>) -> Result<Response<Body>, Problem> {
        let driver = self.fleet.driver();
        Ok(match path {
            "/" => page(),
            "/openapi.json" => of_kind("application/json", OPENAPI),
            "/health" => {
                let (ready, is_up) = driver.with(|_, core| (core.roster.ready(), core.roster.ready() > 0));
                let said = json!({ "status": if is_up { "ok" } else { "unavailable" }, "instances": ready });
                let status = if is_up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                with_status(status, &said)
            }
            "/metrics" => metrics::response(driver, request.headers()),
            "/api/scaling/status" => okay(&status::status(driver)),
            "/api/scaling/traffic" => okay(&traffic::traffic(driver)),
            "/api/scaling/rules" => okay(&rules::list(driver)),
            "/api/scaling/timeline" => okay(&timeline::timeline(driver)),
            _ => news::stream(driver),
        })
    }

    fn change(&self, path: &str, body: &Value) -> Result<Response<Body>, Problem> {
        if path == "/api/scaling/actions" {
            return status::act(&self.fleet, body).map(|done| okay(&done));
        }
        let driver = self.fleet.driver();
        match path.strip_prefix("/api/scaling/rules") {
            Some("") => rules::add(driver, body).map(|rule| with_status(StatusCode::CREATED, &rule)),
            Some(rest) => rules::switch(driver, rest).map(|rule| okay(&rule)),
            None => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no {path}"))),
        }
    }
}

/// The methods that a path takes; `None`: there is no such path.
fn allowed(path: &str) -> Option<&'static str> {
    match path {
        "/" | "/health" | "/metrics" | "/openapi.json" => Some("GET, HEAD"),
        "/api/scaling/status" | "/api/scaling/traffic" | "/api/scaling/events" | "/api/scaling/timeline" => {
            Some("GET, HEAD")
        }
        "/api/scaling/actions" => Some("POST"),
        "/api/scaling/rules" => Some("GET, HEAD, POST"),
        _ => {
            let rest = path.strip_prefix("/api/scaling/rules/")?;
            let (name, verb) = rest.rsplit_once('/')?;
            (!name.is_empty() && matches!(verb, "enable" | "disable")).then_some("POST")
        }
    }
}

/// The JSON that an order comes with; none is the same as `{}`.
async fn body(request: Request<Incoming>) -> Result<Value, Problem> {
    let collected = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let bytes =
        collected.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 1 MiB"))?;
    let bytes = bytes.to_bytes();
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    let value =
        serde_json::from_slice(&bytes).map_err(|error| Problem::bad(format!("the body is no JSON: {error}")))?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(Problem::bad("the body is no JSON object")),
    }
}

impl Problem {
    fn response(&self) -> Response<Body> {
        let mut response = with_status(self.status, &json!({ "error": self.message }));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

fn of_kind(kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn okay(value: &Value) -> Response<Body> {
    with_status(StatusCode::OK, value)
}

fn with_status(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = of_kind("application/json", value.to_string());
    *response.status_mut() = status;
    response
}

/// The dashboard, which may ask nobody but us for anything.
fn page() -> Response<Body> {
    let mut response = of_kind("text/html; charset=utf-8", PAGE);
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert("content-security-policy", HeaderValue::from_static(policy));
    response
}

/// A number of JSON; null where nothing is known.
fn number(x: f64) -> Value {
    let rounded = (x * 1e3).round() / 1e3;
    serde_json::Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}
