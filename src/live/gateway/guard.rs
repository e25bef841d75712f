//! The guard: stands between a client's connection and the HTTP parser, and lets through what cannot be misunderstood.
//!
//! ```text
//! socket ─▶ Inspector: heads whole and judged, bodies by their framing ─▶ parser ─▶ service
//!               └─────────── verdicts, one a head, in order ───────────────────────▶┘
//! ```
//!
//! The parser sees a head only when all of it is there and was judged sound ([`super::head`]); a body's bytes only as far as its framing
//! goes. Instead of a head that is refused the parser gets an empty request of the guard's own, whose verdict says what to answer: so the
//! refusal comes in its turn, behind the answers to what was sent before, and nothing of the rest is read.
//!
//! The guard also keeps time, because only it knows what is being waited for: a head in all, a pause between requests, a pause within a
//! body and its rate, a client that does not read.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::head::{Head, Refusal, refuse};
use super::inspector::{Decision, Found, Inspector, Phase};
use crate::live::clock::{self, duration};
use crate::scenario::live::{Limits, Timeouts};

/// Slowest body that is waited for \[bytes/s\], and the time before that counts \[s\].
const MIN_RATE: (u64, u64) = (240, 5);

/// What connection and service tell each other.
#[derive(Debug, Default)]
pub struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    verdicts: VecDeque<Result<Head, Refusal>>,
    /// Why the body under way cannot be read on.
    broken: Option<Refusal>,
    /// Whether the service has decided about the handshake that was read last.
    decided: Option<Decision>,
    waker: Option<Waker>,
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict of the next request that the parser hands out.
    pub fn next_verdict(&self) -> Option<Result<Head, Refusal>> {
        self.state().verdicts.pop_front()
    }

    /// Why the body under way broke off; `None`: the client went away.
    pub fn broken(&self) -> Option<Refusal> {
        self.state().broken
    }

    /// Decides about the handshake that was read last.
    pub fn decide(&self, decision: Decision) {
        let mut state = self.state();
        state.decided = Some(decision);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    FirstHead,
    NextHead,
    RestOfHead,
    Body,
}

/// A connection with its guard.
pub struct Guard<S> {
    io: S,
    shared: Arc<Shared>,
    inspector: Inspector,
    /// What the parser may see, and how much of it it has.
    out: Vec<u8>,
    seen: usize,
    found: Vec<Found>,
    scratch: Box<[u8]>,
    timeouts: Timeouts,
    requests: u32,
    /// What is waited for, and until when.
    waiting: Option<(Waiting, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Of the body under way: bytes that came, and how long they were waited for.
    body_bytes: u64,
    body_waited: Duration,
    waits_since: Option<Instant>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

/// Bytes read at once.
const READ: usize = 16 * 1024;

impl<S> Guard<S> {
    /// Guards a connection.
    pub fn new(io: S, shared: Arc<Shared>, timeouts: Timeouts, limits: Limits) -> Guard<S> {
        Guard {
            io,
            shared,
            inspector: Inspector::new(limits.body),
            out: Vec::new(),
            seen: 0,
            found: Vec::new(),
            scratch: vec![0; READ].into_boxed_slice(),
            timeouts,
            requests: 0,
            waiting: None,
            timer: None,
            body_bytes: 0,
            body_waited: Duration::ZERO,
            waits_since: None,
            write_timer: None,
        }
    }

    /// Tells the service what was found.
    fn tell(&mut self) {
        if self.found.is_empty() {
            return;
        }
        let mut state = self.shared.state();
        for found in self.found.drain(..) {
            match found {
                Found::Head(verdict) => {
                    self.requests += 1;
                    (self.body_bytes, self.body_waited) = (0, Duration::ZERO);
                    state.verdicts.push_back(verdict);
                }
                Found::Broken(refusal) => state.broken = Some(refusal),
            }
        }
    }

    fn kind_of_wait(&self) -> Option<Waiting> {
        if self.inspector.is_in_body() {
            return Some(Waiting::Body);
        }
        match self.inspector.phase {
            Phase::Head if self.inspector.has_begun() => Some(Waiting::RestOfHead),
            Phase::Head if self.requests == 0 => Some(Waiting::FirstHead),
            Phase::Head => Some(Waiting::NextHead),
            _ => None,
        }
    }

    /// How long this may be waited for, from now on.
    fn patience(&self, waiting: Waiting) -> Duration {
        match waiting {
            Waiting::FirstHead | Waiting::RestOfHead => duration(self.timeouts.head),
            Waiting::NextHead => duration(self.timeouts.keep_alive),
            Waiting::Body => {
                let (rate, grace) = MIN_RATE;
                let allowed = Duration::from_secs((self.body_bytes / rate).max(grace));
                duration(self.timeouts.body_idle).min(allowed.saturating_sub(self.body_waited))
            }
        }
    }

    /// Waits for the client; ready when it took too long.
    ///
    /// The timer is moved only when it would be late: most waits end long before, and the next then finds it still set.
    fn wait(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Waiting> {
        let Some(kind) = self.kind_of_wait() else {
            self.waiting = None;
            return Poll::Pending;
        };
        self.waits_since.get_or_insert(now);
        let deadline = match self.waiting {
            Some((was, deadline)) if was == kind => deadline,
            // The first byte of the first head has been waited for within the same time.
            Some((Waiting::FirstHead, deadline)) if kind == Waiting::RestOfHead => deadline,
            _ => now + self.patience(kind),
        };
        self.waiting = Some((kind, deadline));
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            std::task::ready!(timer.as_mut().poll(cx));
            if clock::instant() >= deadline {
                return Poll::Ready(kind);
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Something came.
    fn received(&mut self, n: usize) {
        if let Some(since) = self.waits_since.take() {
            self.body_waited += since.elapsed();
        }
        if self.inspector.is_in_body() {
            self.body_bytes += n as u64;
        }
        // A head's time is its own; all other waits begin anew.
        if self.waiting.as_ref().is_some_and(|(kind, _)| !matches!(kind, Waiting::FirstHead | Waiting::RestOfHead)) {
            self.waiting = None;
        }
    }

    fn took_too_long(&mut self, waiting: Waiting) {
        self.waiting = None;
        let Guard { inspector, out, found, .. } = self;
        match waiting {
            Waiting::FirstHead | Waiting::NextHead => inspector.phase = Phase::Ended,
            Waiting::RestOfHead => {
                inspector.refuse(refuse(408, "the head of the request took too long"), out, found);
            }
            Waiting::Body => {
                inspector.phase = Phase::Closed;
                found.push(Found::Broken(refuse(408, "the body of the request took too long")));
            }
        }
        self.tell();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.seen < this.out.len() {
                let n = buf.remaining().min(this.out.len() - this.seen);
                buf.put_slice(&this.out[this.seen..this.seen + n]);
                this.seen += n;
                if this.seen == this.out.len() {
                    this.out.clear();
                    this.seen = 0;
                }
                return Poll::Ready(Ok(()));
            }
            match this.inspector.phase {
                Phase::Ended => return Poll::Ready(Ok(())),
                // The answer is under way; behind it the service closes the connection.
                Phase::Closed => match this.shared.state().broken {
                    Some(refusal) => {
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal.reason)));
                    }
                    None => return Poll::Pending,
                },
                Phase::Handshake => {
                    let mut state = this.shared.state();
                    match state.decided.take() {
                        Some(decision) => {
                            drop(state);
                            let Guard { inspector, out, found, .. } = this;
                            inspector.decided(decision, out, found);
                            this.tell();
                            continue;
                        }
                        None => {
                            state.waker = Some(cx.waker().clone());
                            return Poll::Pending;
                        }
                    }
                }
                _ => {}
            }
            let mut scratch = ReadBuf::new(&mut this.scratch);
            match Pin::new(&mut this.io).poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(())) => {
                    let n = scratch.filled().len();
                    if n == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    this.received(n);
                    let Guard { inspector, out, found, scratch, .. } = this;
                    inspector.read(&scratch[..n], out, found);
                    if !this.found.is_empty() {
                        this.waiting = None;
                    }
                    this.tell();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => match this.wait(cx, clock::instant()) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(waiting) => this.took_too_long(waiting),
                },
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    /// Watches a write that did not get on.
    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let patience = duration(self.timeouts.write_idle);
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.written(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
