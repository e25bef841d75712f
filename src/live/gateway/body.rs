//! Bodies on their way through: never whole in memory, and accounted for to their last byte.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::upstream::{Connection, Upstream};
use crate::engine::request::Outcome;
use crate::live::driver::{Exchange, Ticket};
use crate::record::outcome::Failure;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request to an instance.
#[derive(Debug)]
pub enum Outgoing {
    /// There is none.
    Empty,
    /// This.
    Own(Option<Bytes>),
    /// What the client sends, without its trailers.
    Client {
        /// The body.
        body: Incoming,
        /// Bytes that may still come; `None`: somebody else counts, or as many as it likes.
        left: Option<u64>,
    },
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (body, left) = match self.get_mut() {
            Outgoing::Empty => return Poll::Ready(None),
            Outgoing::Own(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Outgoing::Client { body, left } => (body, left),
        };
        loop {
            let frame = match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            // A trailer is no part of what the gateway decided on.
            let Some(data) = frame.data_ref() else { continue };
            if let Some(left) = left {
                let Some(rest) = left.checked_sub(data.len() as u64) else {
                    return Poll::Ready(Some(Err("the body is too long".into())));
                };
                *left = rest;
            }
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::Empty => true,
            Outgoing::Own(bytes) => bytes.is_none(),
            Outgoing::Client { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Empty => SizeHint::with_exact(0),
            Outgoing::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Outgoing::Client { body, .. } => body.size_hint(),
        }
    }
}

/// The body of an answer to a client.
#[derive(Debug)]
pub enum Answer {
    /// The gateway's own.
    Own(Option<Bytes>),
    /// An instance's.
    Instance(Box<Relay>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Answer::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Answer::Instance(relay) => relay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Own(bytes) => bytes.is_none(),
            Answer::Instance(relay) => relay.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Answer::Instance(relay) => relay.body.size_hint(),
        }
    }
}

/// An instance's answer on its way to the client.
#[derive(Debug)]
pub struct Relay {
    body: Incoming,
    /// When the answer has taken too long.
    deadline: Instant,
    /// Set once the answer is waited for: most come at once.
    timer: Option<Pin<Box<Sleep>>>,
    under_way: Option<UnderWay>,
}

/// What is settled when the answer ends.
#[derive(Debug)]
pub struct UnderWay {
    /// The connection that it comes on, and whose it is.
    pub connection: Option<(Connection, Arc<Upstream>)>,
    /// The attempt.
    pub ticket: Ticket,
    /// The request.
    pub exchange: Exchange,
    /// How the attempt ends if the answer comes whole.
    pub outcome: Outcome,
}

impl Relay {
    /// Relays `body`, which may take until `deadline`.
    pub fn new(body: Incoming, deadline: Instant, under_way: UnderWay) -> Relay {
        let mut relay = Relay { body, deadline, timer: None, under_way: Some(under_way) };
        if relay.body.is_end_stream() {
            relay.ends();
        }
        relay
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Whoever knows the length does not ask again for the end.
                if self.body.is_end_stream() {
                    self.ends();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.breaks(Outcome::Connection);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.ends();
                Poll::Ready(None)
            }
            Poll::Pending if self.under_way.is_some() && self.is_late(cx) => {
                self.breaks(Outcome::Timeout);
                Poll::Ready(Some(Err("the answer takes too long".into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx).is_ready()
    }

    fn ends(&mut self) {
        if let Some(UnderWay { connection, ticket, exchange, outcome }) = self.under_way.take() {
            if let Some((connection, upstream)) = connection {
                upstream.give_back(connection);
            }
            ticket.ended(outcome);
            exchange.ended(Failure::of(outcome));
        }
    }

    fn breaks(&mut self, outcome: Outcome) {
        if let Some(UnderWay { ticket, exchange, .. }) = self.under_way.take() {
            ticket.ended(outcome);
            exchange.ended(Failure::of(outcome));
        }
    }
}
