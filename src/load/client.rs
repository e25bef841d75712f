//! The client of all workers: connections to the target, kept from one request to the next.
//!
//! The one that was used last is used first, so that a calm lets the others age. What a server closed meanwhile is noticed before anything is
//! written on it, and another one is taken; a connection that breaks under a request is a failure of that request.
//!
//! What is absent: redirects, proxies, cookies, compressed bodies, and any second attempt at what was written.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::load::target::Target;
use crate::load::tls::{self, Trust};
use crate::scenario::load::Http;

/// Requests on one connection of HTTP/2 at once: what most servers allow.
const STREAMS: usize = 100;
/// How long connections may take that are opened before the first request.
const WARM_PATIENCE: Duration = Duration::from_secs(5);
/// Longest line of a connection's trouble \[characters\].
const TROUBLE: usize = 300;

/// How the target is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manner {
    /// The version of HTTP.
    pub http: Http,
    /// Whether connections are kept.
    pub keep_alive: bool,
    /// Whose certificates are believed.
    pub trust: Trust,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is believed.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Nothing is encrypted, so that nobody need be believed.
    #[error("--{0}: {1} is not encrypted, so there is no certificate to look at")]
    Plain(&'static str, String),
    /// The host is not known.
    #[error("--target: cannot find {host}: {cause}")]
    Unknown {
        /// Which.
        host: String,
        /// What the system says.
        cause: io::Error,
    },
}

/// Connections to a target.
pub struct Client {
    host: String,
    addresses: Vec<SocketAddr>,
    encrypts: Option<(TlsConnector, ServerName<'static>)>,
    manner: Manner,
    /// Connections that nobody uses, of HTTP/1.
    idle: Mutex<Vec<One>>,
    /// Connections that several use at once, of HTTP/2.
    shared: tokio::sync::Mutex<Vec<Two>>,
    warmed: AtomicU64,
    connects: AtomicU64,
    /// What the first connection that could not be made, could not.
    trouble: OnceLock<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.host).field("manner", &self.manner).finish_non_exhaustive()
    }
}

type One = http1::SendRequest<Full<Bytes>>;

/// A connection of HTTP/2, and how many requests are on it.
#[derive(Clone, Debug)]
struct Two {
    sender: http2::SendRequest<Full<Bytes>>,
    streams: Arc<AtomicUsize>,
}

/// A place on a connection of HTTP/2.
#[derive(Debug)]
struct Stream(Arc<AtomicUsize>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// This machine had no connection left to give, of its files or of its ports: nothing was sent, and the target is not to blame.
    Here,
    /// There is no connection, or it broke.
    There,
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub struct Answer {
    /// Its head, and its body.
    pub response: Response<Incoming>,
    lease: Lease,
}

/// The connection that an answer comes on.
#[derive(Debug)]
enum Lease {
    One(One),
    Two(#[expect(dead_code, reason = "it is a place that is free again when the answer has been read")] Stream),
}

/// A new connection.
enum Opened {
    One(One),
    Two(Two),
}

impl Client {
    /// A client of `target`, which nobody has connected to. Looks up where that is, once.
    pub fn new(target: &Target, manner: Manner) -> Result<Client, Error> {
        let host = target.host();
        let encrypts = match (target.is_encrypted(), &manner.trust) {
            (false, Trust::Authorities(_)) => return Err(Error::Plain("ca", target.base().to_string())),
            (false, Trust::Anybody) => return Err(Error::Plain("insecure", target.base().to_string())),
            (false, Trust::System) => None,
            (true, trust) => {
                let unknown = |cause: &dyn ToString| Error::Unknown {
                    host: host.to_string(),
                    cause: io::Error::new(io::ErrorKind::InvalidInput, cause.to_string()),
                };
                let name = ServerName::try_from(host.to_string()).map_err(|error| unknown(&error))?;
                Some((tls::connector(trust, manner.http)?, name))
            }
        };
        let found = (host, target.port()).to_socket_addrs();
        let addresses = found.map_err(|cause| Error::Unknown { host: host.to_string(), cause })?.collect();
        Ok(Client {
            host: host.to_string(),
            addresses,
            encrypts,
            manner,
            idle: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
            warmed: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            trouble: OnceLock::new(),
        })
    }

    /// How it speaks.
    pub fn manner(&self) -> &Manner {
        &self.manner
    }

    /// Connections that were opened before the first request, and for requests.
    pub fn opened(&self) -> (u64, u64) {
        (self.warmed.load(Ordering::Relaxed), self.connects.load(Ordering::Relaxed))
    }

    /// What the first connection that could not be made, could not.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// Opens connections that are there for `requests` requests at once. What cannot be opened is told by the requests that need it.
    pub async fn warm(self: &Arc<Client>, requests: u32) {
        let n = match self.manner.http {
            Http::One => requests as usize,
            Http::Two => (requests as usize).div_ceil(STREAMS),
        };
        let mut opening = JoinSet::new();
        for _ in 0..n {
            let client = Arc::clone(self);
            opening.spawn(async move { tokio::time::timeout(WARM_PATIENCE, client.open()).await });
        }
        while let Some(opened) = opening.join_next().await {
            let Ok(Ok(Ok(opened))) = opened else { continue };
            self.warmed.fetch_add(1, Ordering::Relaxed);
            match opened {
                Opened::One(one) => self.idle().push(one),
                Opened::Two(two) => self.shared.lock().await.push(two),
            }
        }
    }

    /// Sends a request; what it asks for is a path on HTTP/1, and a whole URL on HTTP/2.
    pub async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failed> {
        match self.manner.http {
            Http::One => self.ask_one(request).await,
            Http::Two => self.ask_two(request).await,
        }
    }

    async fn ask_one(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failed> {
        loop {
            let kept = self.reuse().await;
            let is_kept = kept.is_some();
            let mut one = match kept {
                Some(one) => one,
                None => match self.connect().await? {
                    Opened::One(one) => one,
                    Opened::Two(_) => return Err(Failed::There),
                },
            };
            match one.try_send_request(request).await {
                Ok(response) => return Ok(Answer { response, lease: Lease::One(one) }),
                // It was closed, and nothing was written on it.
                Err(mut error) => match error.take_message().filter(|_| is_kept) {
                    Some(back) => request = back,
                    None => return Err(Failed::There),
                },
            }
        }
    }

    async fn ask_two(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failed> {
        loop {
            let (mut two, stream, is_kept) = self.place().await?;
            match two.sender.try_send_request(request).await {
                Ok(response) => return Ok(Answer { response, lease: Lease::Two(stream) }),
                Err(mut error) => match error.take_message().filter(|_| is_kept) {
                    Some(back) => request = back,
                    None => return Err(Failed::There),
                },
            }
        }
    }

    /// Reads an answer to its end, and keeps its connection.
    pub async fn read(&self, answer: Answer) -> Result<(), Failed> {
        let Answer { response, lease } = answer;
        let mut body = response.into_body();
        // Bodies are read and not kept.
        while let Some(frame) = body.frame().await {
            frame.map_err(|_| Failed::There)?;
        }
        if let Lease::One(one) = lease
            && self.manner.keep_alive
            && !one.is_closed()
        {
            self.idle().push(one);
        }
        Ok(())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<One>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was used before and still stands; `None`: there is none.
    async fn reuse(&self) -> Option<One> {
        loop {
            let mut one = self.idle().pop()?;
            // The answer before has just been read: the connection is about to be free, or to close.
            if !one.is_closed() && (one.is_ready() || one.ready().await.is_ok()) {
                return Some(one);
            }
        }
    }

    /// A place on a connection of HTTP/2, and whether that was there before.
    async fn place(&self) -> Result<(Two, Stream, bool), Failed> {
        // Whoever waits here while another one connects would have had to connect as well.
        let mut shared = self.shared.lock().await;
        shared.retain(|two| !two.sender.is_closed());
        let free = shared.iter().find(|two| two.streams.load(Ordering::Acquire) < STREAMS).cloned();
        let is_kept = free.is_some();
        let two = match free {
            Some(two) => two,
            None => match self.connect().await? {
                Opened::Two(two) => {
                    shared.push(two.clone());
                    two
                }
                Opened::One(_) => return Err(Failed::There),
            },
        };
        two.streams.fetch_add(1, Ordering::AcqRel);
        let stream = Stream(Arc::clone(&two.streams));
        Ok((two, stream, is_kept))
    }

    /// A connection for a request.
    async fn connect(&self) -> Result<Opened, Failed> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        self.open().await.map_err(|error| {
            let failed = if is_ours(&error) { Failed::Here } else { Failed::There };
            self.trouble.get_or_init(|| error.to_string().chars().take(TROUBLE).collect());
            failed
        })
    }

    async fn open(&self) -> io::Result<Opened> {
        let stream = TcpStream::connect(&*self.addresses).await?;
        stream.set_nodelay(true)?;
        let Some((connector, name)) = &self.encrypts else { return self.shake(stream).await };
        let stream = connector.connect(name.clone(), stream).await?;
        if self.manner.http == Http::Two && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other(format!("{} does not speak HTTP/2 over TLS", self.host)));
        }
        self.shake(stream).await
    }

    async fn shake<T>(&self, stream: T) -> io::Result<Opened>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        match self.manner.http {
            Http::One => {
                let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
                // How a connection ends is told to whoever waits for its answer.
                tokio::spawn(async move { drop(connection.await) });
                Ok(Opened::One(sender))
            }
            Http::Two => {
                let shaking = http2::handshake(TokioExecutor::new(), stream);
                let (sender, connection) = shaking.await.map_err(io::Error::other)?;
                tokio::spawn(async move { drop(connection.await) });
                Ok(Opened::Two(Two { sender, streams: Arc::default() }))
            }
        }
    }
}

/// Whether it was this machine that had no connection left to give: of its files, or of its ports.
fn is_ours(error: &io::Error) -> bool {
    const EXHAUSTED: [Errno; 3] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| EXHAUSTED.iter().any(|errno| errno.raw_os_error() == code))
}
