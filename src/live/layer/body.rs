//! The body of an answer: an attempt lasts to its last byte, or to the moment when nobody wants it any more.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::door::Turn;
use crate::engine::request::Outcome;
use crate::live::driver::{Exchange, Ticket};
use crate::record::outcome::Failure;

/// The body of an answer: the service's, or of a refusal.
pub struct Body<B>(Kind<B>);

enum Kind<B> {
    Own(Option<Bytes>),
    Service { body: Pin<Box<B>>, under_way: Option<UnderWay> },
}

/// What is settled when the answer ends.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub ticket: Ticket,
    pub exchange: Exchange,
    /// A place inside the service, given on at the end.
    pub turn: Option<Turn>,
}

impl UnderWay {
    /// It ended so.
    pub fn ends(self, outcome: Outcome) {
        self.ticket.ended(outcome);
        self.exchange.ended(Failure::of(outcome));
    }
}

impl<B: hyper::body::Body> Body<B> {
    /// A refusal.
    pub(super) fn own(bytes: Option<Bytes>) -> Body<B> {
        Body(Kind::Own(bytes))
    }

    /// The service's own, which ends in `outcome` if it comes whole.
    pub(super) fn of_service(body: B, under_way: UnderWay, outcome: Outcome) -> Body<B> {
        let mut under_way = Some(under_way);
        // An error of the service is one whatever becomes of its page; and who knows that nothing follows does not ask.
        if (body.is_end_stream() || outcome != Outcome::Success)
            && let Some(under_way) = under_way.take()
        {
            under_way.ends(outcome);
        }
        Body(Kind::Service { body: Box::pin(body), under_way })
    }
}

impl<B: hyper::body::Body> hyper::body::Body for Body<B>
where
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.get_mut().0 {
            Kind::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes.into())))),
            Kind::Service { body, under_way } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                let outcome = match &frame {
                    Some(Err(_)) => Some(Outcome::ServerError),
                    None => Some(Outcome::Success),
                    Some(Ok(_)) => body.is_end_stream().then_some(Outcome::Success),
                };
                if let (Some(outcome), Some(under_way)) = (outcome, outcome.and_then(|_| under_way.take())) {
                    under_way.ends(outcome);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Own(bytes) => bytes.is_none(),
            Kind::Service { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Service { body, .. } => body.size_hint(),
        }
    }
}

impl<B> std::fmt::Debug for Body<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Own(_) => "Body::Own",
            Kind::Service { .. } => "Body::Service",
        })
    }
}
