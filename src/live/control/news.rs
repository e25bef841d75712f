//! `/api/scaling/events`: what happens, as it happens, as server-sent events.
//!
//! First what is remembered, then what is new: `event: event` with a decision or a change of state, `event: second` with each second that
//! is over, `event: remark` with what went wrong. A watcher that cannot keep up misses some, and is told how many.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::{Body, timeline};
use crate::engine::events::EventKind;
use crate::live::clock::Clock;
use crate::live::driver::log::Entry;
use crate::live::driver::{Driver, Told};

/// Remembered events that a new watcher is told.
const REMEMBERED: usize = 100;
/// News that may wait for a watcher.
const WAITING: usize = 64;

/// An answer that goes on until the watcher leaves.
pub fn stream(driver: &Driver) -> Response<Body> {
    let clock = *driver.clock();
    // First the watch, then the look back: so nothing falls between.
    let mut news = driver.watch();
    let past: Vec<_> = driver.with(|_, core| core.log.entries().rev().take(REMEMBERED).cloned().collect());
    let last = past.first().map_or(0, |entry| entry.number);
    let mut first: VecDeque<Bytes> = VecDeque::from([Bytes::from_static(b"retry: 2000\n\n")]);
    first.extend(past.iter().rev().map(|entry| message("event", Some(entry.number), &event(&clock, entry))));
    let (send, receive) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        loop {
            let text = match news.recv().await {
                Ok(Told::Event(entry)) if entry.number <= last => continue,
                Ok(Told::Event(entry)) => message("event", Some(entry.number), &event(&clock, &entry)),
                Ok(Told::Second(second)) => message("second", None, &timeline::second(&clock, &second)),
                Ok(Told::Remark(remark)) => {
                    let told = json!({
                        "timestamp": clock.date(remark.at),
                        "instance": remark.instance.0.to_string(),
                        "text": remark.text,
                    });
                    message("remark", None, &told)
                }
                Err(RecvError::Lagged(missed)) => message("missed", None, &json!({ "missed": missed })),
                Err(RecvError::Closed) => return,
            };
            if send.send(text).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Stream { first, receive }.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn message(kind: &str, id: Option<u64>, data: &Value) -> Bytes {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    // JSON has no line feed of its own.
    Bytes::from(format!("event: {kind}\n{id}data: {data}\n\n"))
}

/// An event, in words and with its instance or rule.
pub fn event(clock: &Clock, entry: &Entry) -> Value {
    let event = &entry.event;
    let instances: Vec<String> = match &event.kind {
        EventKind::ScaledUp(scaling) | EventKind::ScaledDown(scaling) => {
            scaling.instances.iter().map(|id| id.0.to_string()).collect()
        }
        EventKind::InstanceLaunched { instance }
        | EventKind::InstanceReady { instance, .. }
        | EventKind::InstanceDraining { instance }
        | EventKind::InstanceGone { instance }
        | EventKind::InstanceUnhealthy { instance }
        | EventKind::InstanceHealthy { instance }
        | EventKind::InstanceEjected { instance, .. }
        | EventKind::InstanceReadmitted { instance, .. } => vec![instance.0.to_string()],
        _ => Vec::new(),
    };
    let rule = match &event.kind {
        EventKind::ScaledUp(scaling) | EventKind::ScaledDown(scaling) => Some(scaling.rule.as_str()),
        EventKind::Held { rule, .. }
        | EventKind::Nearest { rule, .. }
        | EventKind::RuleOpenedBreaker { rule }
        | EventKind::Alert { rule } => Some(rule.as_str()),
        _ => None,
    };
    json!({
        "id": entry.number.to_string(),
        "timestamp": clock.date(event.at),
        "t": super::number(event.at.as_secs_f64()),
        "kind": event.kind.name(),
        "cause": event.cause,
        "rule": rule,
        "instances": instances,
    })
}

/// Messages one after the other.
struct Stream {
    first: VecDeque<Bytes>,
    receive: mpsc::Receiver<Bytes>,
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(message) = this.first.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        this.receive.poll_recv(cx).map(|message| message.map(|message| Ok(Frame::data(message))))
    }
}
