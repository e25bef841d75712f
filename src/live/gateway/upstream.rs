//! Connections to one instance: kept open between requests, never shared by two at once.
//!
//! Those used last are used first, so that a quiet hour lets the others age. They are given up before a common server would close them:
//! a request that is written just as the other side closes has to be sent again, or fails.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::body::Outgoing;
use crate::live::clock::{self, duration};
use crate::scenario::live::Timeouts;
use crate::units::Time;

/// Longest head of an answer \[bytes\], and the most fields in it.
const ANSWER_HEAD: (usize, usize) = (64 * 1024, 128);

/// A connection that is free.
pub type Connection = SendRequest<Outgoing>;

/// Where an instance answers, and the connections to it that nobody uses at the moment.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    timeouts: Timeouts,
    idle: Mutex<Idle>,
    first_answer_at: OnceLock<Time>,
}

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<(Connection, Instant)>,
    closed: bool,
}

impl Upstream {
    /// An instance at `address`, to which nobody has connected.
    pub fn new(address: SocketAddr, timeouts: Timeouts) -> Upstream {
        Upstream { address, timeouts, idle: Mutex::default(), first_answer_at: OnceLock::new() }
    }

    /// The head of a good answer to a client has come, at `now`; only the first is written down.
    pub fn answered(&self, now: impl FnOnce() -> Time) {
        self.first_answer_at.get_or_init(now);
    }

    /// When the head of its first good answer to a client came; `None`: none did.
    pub fn first_answer_at(&self) -> Option<Time> {
        self.first_answer_at.get().copied()
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was used before and still stands; `None`: there is none.
    pub async fn reuse(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.idle().connections.pop()?;
            if connection.is_closed() || since.elapsed() > duration(self.timeouts.upstream_idle) {
                continue;
            }
            // The answer before has just been read: the connection is about to be free, or to close.
            if connection.is_ready() || connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// A new connection.
    pub async fn connect(&self) -> io::Result<Connection> {
        let timeout = || io::Error::new(io::ErrorKind::TimedOut, "the instance does not accept connections in time");
        let connecting = TcpStream::connect(self.address);
        let stream =
            tokio::time::timeout(duration(self.timeouts.connect), connecting).await.map_err(|_| timeout())??;
        stream.set_nodelay(true)?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(ANSWER_HEAD.0).max_headers(ANSWER_HEAD.1);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            // How a connection ends is told to whoever waits for its answer.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    /// Takes back a connection whose answer was read to its end.
    pub fn give_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if !idle.closed && !connection.is_closed() {
            idle.connections.push((connection, clock::instant()));
        }
    }

    /// Lets go of connections that were not used for too long.
    pub fn tidy(&self) {
        let longest = duration(self.timeouts.upstream_idle);
        self.idle().connections.retain(|(connection, since)| !connection.is_closed() && since.elapsed() <= longest);
    }

    /// Closes what is free, and takes nothing back: the instance is leaving.
    pub fn close(&self) {
        let mut idle = self.idle();
        idle.closed = true;
        idle.connections.clear();
    }
}
