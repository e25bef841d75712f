//! A service below the layer: what becomes of one request.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Request, Response};

use super::body::{Body, UnderWay};
use super::{EngineLayer, Shared};
use crate::engine::request::{self, Outcome, Rejection};
use crate::live::clock::duration;
use crate::live::driver::{Exchange, Passage, Ticket};
use crate::live::gateway::answer;
use crate::live::gateway::body::Answer;
use crate::live::gateway::fields;
use crate::record::outcome::Failure;

/// A service below an [`EngineLayer`].
#[derive(Clone, Debug)]
pub struct EngineService<S> {
    inner: S,
    layer: EngineLayer,
}

impl<S> EngineService<S> {
    pub(super) fn new(inner: S, layer: EngineLayer) -> EngineService<S> {
        EngineService { inner, layer }
    }
}

/// A request on its way.
type Doing<B, E> = Pin<Box<dyn Future<Output = Result<Response<Body<B>>, E>> + Send>>;

impl<S, In, Out> tower_service::Service<Request<In>> for EngineService<S>
where
    S: tower_service::Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    In: Send + 'static,
    Out: hyper::body::Body,
    Out::Data: From<Bytes>,
{
    type Response = Response<Body<Out>>;
    type Error = S::Error;
    type Future = Doing<Out, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        // It is this one that has said that it is ready; its clone takes its place.
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let exchange = Exchange::begin(&layer.shared.driver);
            let (asked, id) = layer.asked(&parts);
            let json = answer::prefers_json(&parts.headers);
            let ticket = match layer.shared.admitted(&asked).await {
                Ok(ticket) => ticket,
                Err(rejection) => {
                    exchange.ended(Some(Failure::from(rejection)));
                    return Ok(layer.shared.refusal(&asked, rejection, &id, json));
                }
            };
            let mut under_way = UnderWay { ticket, exchange, turn: None };
            if let Some(door) = &layer.shared.door {
                match door.enter().await {
                    Ok(turn) => under_way.turn = Some(turn),
                    Err(outcome) => {
                        under_way.ends(outcome);
                        let rejection = if outcome == Outcome::Shed { Rejection::Shed } else { Rejection::QueueFull };
                        return Ok(layer.shared.refusal(&asked, rejection, &id, json));
                    }
                }
            }
            match ready.call(Request::from_parts(parts, body)).await {
                Ok(response) => {
                    let status = response.status();
                    let outcome = answer::outcome(status, response.headers().get(answer::REFUSED));
                    if let Some(retry_after) = answer::hint(status, response.headers()) {
                        under_way.ticket.hinted(retry_after);
                    }
                    Ok(response.map(|body| Body::of_service(body, under_way, outcome)))
                }
                Err(error) => {
                    under_way.ends(Outcome::ServerError);
                    Err(error)
                }
            }
        })
    }
}

impl EngineLayer {
    /// What the engine is asked, and the request's name in logs.
    fn asked(&self, parts: &Parts) -> (request::Request, HeaderValue) {
        let shared = &self.shared;
        let index = shared.requests.fetch_add(1, Ordering::Relaxed);
        let address = (self.who_asks)(parts).map(|peer| shared.trust.origin(peer, &parts.headers).client);
        let client = address.map_or(0, |address| shared.clients.number(&shared.driver, address));
        let endpoint = shared.service.endpoint_before(parts.method.as_str(), parts.uri.path());
        let id = parts.headers.get(&fields::REQUEST_ID).cloned();
        let id = id.or_else(|| HeaderValue::from_str(&format!("{}-{index:x}", shared.name)).ok());
        let asked = request::Request { index, attempt: 1, client, endpoint, region: 0, avoid: None };
        (asked, id.unwrap_or(HeaderValue::from_static("unnamed")))
    }
}

impl Shared {
    /// Waits until the engine lets a request in, or says why not.
    async fn admitted(&self, asked: &request::Request) -> Result<Ticket, Rejection> {
        let mut passage = self.driver.admit(asked);
        if let Passage::Later(until) = passage {
            tokio::time::sleep(duration(until.since(self.driver.clock().now()))).await;
            passage = self.driver.admit_delayed(asked);
        }
        match passage {
            Passage::Go(ticket) => Ok(ticket),
            Passage::Refused(rejection) => Err(rejection),
            // Its quota has been paid: it is not asked a second time.
            Passage::Later(_) => Err(Rejection::NoReadyInstance),
            Passage::Wait(wait) => wait.wait().await.ok_or(Rejection::NoReadyInstance),
        }
    }

    fn refusal<B: hyper::body::Body>(
        &self,
        asked: &request::Request,
        rejection: Rejection,
        id: &HeaderValue,
        json: bool,
    ) -> Response<Body<B>> {
        let refusal = self.words.refusal(&self.driver, asked, rejection, None, id, json);
        refusal.map(|answer| match answer {
            Answer::Own(bytes) => Body::own(bytes),
            // A refusal comes from nowhere else.
            Answer::Instance(_) => Body::own(None),
        })
    }
}
