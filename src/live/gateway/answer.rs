//! Answers that the gateway gives itself: short, of a known length, reflecting nothing of what was asked.

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Response, StatusCode};

use super::body::Answer;
use super::fields::{self, REQUEST_ID};
use crate::engine::breaker::{self, Fallback};
use crate::engine::limiter::line::Line;
use crate::engine::limiter::outside::Answer as Stored;
use crate::engine::limiter::{self, Verdict, headers::Headers};
use crate::engine::request::{self, Outcome, Rejection};
use crate::live::driver::Driver;
use crate::record::outcome::Failure;
use crate::scenario::Scenario;
use crate::units::{Span, Time};

/// Says that a request was refused without being worked on, and why, in the words of reports: of several reasons for a 503, which.
pub const REFUSED: HeaderName = HeaderName::from_static("wavetank-refused");

/// What refusals may tell.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// What an open breaker answers, and how long one stays open.
    pub breaker: Option<(Fallback, Span)>,
    /// Windows of the quotas, in the order of the rules.
    pub quotas: Vec<Span>,
}

impl Words {
    /// What a scenario's refusals tell.
    pub fn of(scenario: &Scenario) -> Words {
        let quotas = scenario.limiter.iter().chain(&scenario.limiter_extras.also).map(|rule| rule.window);
        Words {
            breaker: scenario.breaker.as_ref().map(|breaker| (breaker.fallback.clone(), breaker.open_for)),
            quotas: quotas.collect(),
        }
    }

    /// The answer to a request that the engine has just refused. `stored` is what came of asking a store of quotas about it; `None`: there is
    /// none.
    pub fn refusal(
        &self,
        driver: &Driver,
        who: &request::Request,
        rejection: Rejection,
        stored: Option<Stored>,
        id: &HeaderValue,
        json: bool,
    ) -> Response<Answer> {
        let is_limited = matches!(rejection, Rejection::RateLimited { .. });
        let (now, left) = driver.with(|now, core| {
            let left = match stored {
                _ if !is_limited => None,
                None => core.engine.quota(now, who),
                Some(Stored::Decided { rule, verdict, .. }) => Some((rule as usize, verdict)),
                Some(Stored::Failed { .. } | Stored::Unasked) => core.engine.own_quota(now, who),
            };
            (now, left)
        });
        let quota = left.and_then(|(rule, left)| Some((left, *self.quotas.get(rule)?)));
        rejected(rejection, now, quota, self, id, json)
    }
}

/// How an attempt ended whose answer has this status, and says itself why it was refused if it was.
pub fn outcome(status: StatusCode, refused: Option<&HeaderValue>) -> Outcome {
    match refused.map(HeaderValue::as_bytes) {
        Some(b"queue_full") => Outcome::QueueFull,
        Some(b"shed") => Outcome::Shed,
        _ if status.is_server_error() => Outcome::ServerError,
        _ => Outcome::Success,
    }
}

/// How long an instance that refuses asks to be left alone; `None`: it does not.
pub fn hint(status: StatusCode, headers: &HeaderMap) -> Option<Span> {
    let refuses = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    fields::number(headers, &RETRY_AFTER).filter(|_| refuses).map(Span::from_secs)
}

/// Whether the client would rather have JSON.
pub fn prefers_json(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("json"))
}

/// An answer with a reason.
pub fn own(status: u16, reason: &str, id: &HeaderValue, json: bool) -> Response<Answer> {
    let shown = id.to_str().unwrap_or_default();
    let (kind, body) = if json {
        ("application/json", serde_json::json!({ "error": reason, "requestId": shown }).to_string())
    } else {
        ("text/plain; charset=utf-8", format!("{reason}\nrequest {shown}\n"))
    };
    with_body(status, kind, body, id)
}

fn with_body(status: u16, kind: &str, body: String, id: &HeaderValue) -> Response<Answer> {
    let mut response = Response::new(Answer::Own((!body.is_empty()).then(|| Bytes::from(body))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let kind = HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REQUEST_ID, id.clone());
    if status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    response
}

/// Has the connection closed behind the answer.
pub fn closing(mut response: Response<Answer>) -> Response<Answer> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a request that the engine refused; `quota` is what the tightest rule leaves it, with the rule's window.
pub fn rejected(
    rejection: Rejection,
    now: Time,
    quota: Option<(Verdict, Span)>,
    words: &Words,
    id: &HeaderValue,
    json: bool,
) -> Response<Answer> {
    let mut response = match rejection {
        Rejection::RateLimited { retry_after } => limited(retry_after, quota, id, json),
        Rejection::BreakerOpen { until } => {
            let (fallback, open_for) = words.breaker.clone().unwrap_or_default();
            let seconds = breaker::retry_after_seconds(until.map(|until| until.since(now)), open_for);
            let mut body = String::new();
            // Writing to a string cannot fail.
            let _ = fallback.write_body(&mut body, seconds);
            retry_after(with_body(fallback.status, &fallback.content_type, body, id), seconds)
        }
        Rejection::NoReadyInstance => retry_after(own(503, "no instance is ready", id, json), 1),
        Rejection::QueueFull => retry_after(own(503, "every instance is full", id, json), 1),
        Rejection::Shed => own(503, "refused, so that others are served in time", id, json),
        Rejection::QuotaStoreDown => {
            let response = own(503, "quotas cannot be looked up", id, json);
            retry_after(response, limiter::headers::retry_after_seconds(Line::SILENCE))
        }
    };
    let why = HeaderValue::from_static(Failure::from(rejection).name());
    response.headers_mut().insert(REFUSED, why);
    response
}

fn retry_after(mut response: Response<Answer>, seconds: u64) -> Response<Answer> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn limited(wait: Span, quota: Option<(Verdict, Span)>, id: &HeaderValue, json: bool) -> Response<Answer> {
    let mut response = own(429, "the quota is used up", id, json);
    let wait = Some(wait).filter(|wait| *wait != Span::MAX);
    let fields = response.headers_mut();
    if let Some((left, window)) = quota {
        let verdict = Verdict { allowed: false, retry_after: wait, ..left };
        let told = Headers::new(&verdict, "default", window, None);
        let texts = [
            ("ratelimit-policy", told.policy),
            ("ratelimit", told.rate_limit),
            ("x-ratelimit-limit", told.limit.to_string()),
            ("x-ratelimit-remaining", told.remaining.to_string()),
            ("x-ratelimit-reset", told.reset.to_string()),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::from_str(&text) {
                fields.insert(name, value);
            }
        }
    }
    match wait {
        Some(wait) => retry_after(response, limiter::headers::retry_after_seconds(wait)),
        None => response,
    }
}
