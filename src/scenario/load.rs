//! How load is sent: what `[load]` says. Simulations do not look at it.

/// How `wavetank load` sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests that can be under way at once, 1 to 65,536; default 256. Users of a closed loop are as many as `traffic.users` says.
    pub pool: u32,
    /// The version of HTTP; default 1.1.
    pub http: Http,
    /// Whether connections are kept for the next request; default true. Without, each request pays for its own.
    pub keep_alive: bool,
    /// Connections that are opened before the first request; `None`: 32, or as many as there are workers if that is fewer.
    pub connections: Option<u32>,
    /// How requests are timed; default [`Pace::Auto`].
    pub pace: Pace,
}

/// The most requests that can be under way at once.
pub const MOST_WORKERS: u32 = 65_536;

/// Connections that are opened before the first request, unless somebody says otherwise: a burst of a few finds them open, and no target
/// minds so many.
const WARM: u32 = 32;

impl Default for Load {
    fn default() -> Load {
        Load { pool: 256, http: Http::One, keep_alive: true, connections: None, pace: Pace::Auto }
    }
}

impl Load {
    /// Connections that are opened before the first request for `workers` workers.
    pub fn warm_connections(&self, workers: u32) -> u32 {
        if self.keep_alive { self.connections.unwrap_or(WARM).min(workers) } else { 0 }
    }
}

/// A version of HTTP that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1: a request at a time on each connection.
    One,
    /// HTTP/2: many on each; over TLS by ALPN, in the clear by prior knowledge.
    Two,
}

impl Http {
    /// Every version with its name.
    pub const ALL: [(&'static str, Http); 2] = [("1.1", Http::One), ("2", Http::Two)];
}

/// How requests are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Awake for the last 200 µs if the tightest latency target is below 5 ms and there is a core to spare, else asleep.
    Auto,
    /// Asleep until each is due.
    Sleep,
    /// Awake for the last 200 µs, which takes up to a core.
    Spin,
}

impl Pace {
    /// Every way with its name.
    pub const ALL: [(&'static str, Pace); 3] = [("auto", Pace::Auto), ("sleep", Pace::Sleep), ("spin", Pace::Spin)];
}
