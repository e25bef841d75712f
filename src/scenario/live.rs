//! The live world: where the gateway listens, who starts instances, and how patient it is with either side.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::units::Span;

/// What `[live]` says. Simulations do not look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Where requests come in; default 127.0.0.1:8080. Port 0 is one that is free.
    pub listen: SocketAddr,
    /// Where the control API and the dashboard are; default 127.0.0.1:9090. An address that is not of this machine alone takes
    /// `token`.
    pub control: SocketAddr,
    /// What callers of the control API have to show; `None`: nothing, on this machine.
    pub token: Option<String>,
    /// Names beside those of this machine under which the control API may be called.
    pub control_hosts: Vec<String>,
    /// Who starts and stops instances.
    pub provider: Provider,
    /// What is asked for to see whether an instance is well; default `/-/health`.
    pub health_path: String,
    /// How long a new instance may take until it is well; default 60 s. Then it is stopped, and counts as one that did not start.
    pub launch_timeout: Span,
    /// How long an instance that was told to stop may take; default 10 s. Then it is killed.
    pub stop_timeout: Span,
    /// Attempts beyond the first that the gateway makes of a request that may be repeated (RFC 9110 §9.2.2); default 0.
    pub retries: u32,
    /// Such attempts over requests in the last 10 s, beyond a reserve of 3 per second; default 0.2.
    pub retry_budget: f64,
    /// Proxies that are believed when they say whom they ask for, as networks; default none.
    pub trusted: Vec<Network>,
    /// How many proxies there are in front, instead of their addresses; default 0.
    pub trusted_hops: u32,
    /// Whether clients may speak HTTP/2 without TLS (by prior knowledge); default false.
    pub http2: bool,
    /// Whether WebSocket handshakes are passed on; default true.
    pub websocket: bool,
    /// Whether clients have to speak TLS, and with whose certificate; `None`: they speak in the clear. Takes the feature `tls`.
    pub tls: Option<Tls>,
    /// Where quotas are that several gateways share (`limiter.shared`); `None`: in this gateway's memory. Takes the feature `redis`.
    pub quota_store: Option<QuotaStore>,
    /// How long anybody may take.
    pub timeouts: Timeouts,
    /// How much anybody may send.
    pub limits: Limits,
}

impl Default for Live {
    fn default() -> Live {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Live {
            listen: at(8080),
            control: at(9090),
            token: None,
            control_hosts: Vec::new(),
            provider: Provider::Process { command: None },
            health_path: "/-/health".to_string(),
            launch_timeout: Span::from_secs(60),
            stop_timeout: Span::from_secs(10),
            retries: 0,
            retry_budget: 0.2,
            trusted: Vec::new(),
            trusted_hops: 0,
            http2: false,
            websocket: true,
            tls: None,
            quota_store: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
        }
    }
}

/// Encrypted connections of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// File with the certificate and those between it and its authority, as PEM.
    pub certificate: PathBuf,
    /// File with its private key, as PEM.
    pub key: PathBuf,
    /// How long a handshake may take; default 10 s.
    pub handshake: Span,
}

/// A store of quotas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaStore {
    /// Where it is: `redis://[user:password@]host[:port][/database]`.
    pub url: String,
    /// What the names of its keys begin with; default `wavetank`. Gateways that begin them alike share their quotas.
    pub prefix: String,
    /// Questions under way at once, ≥ 1; default 256. Requests beyond them are treated as if the store did not answer.
    pub in_flight: u32,
}

/// Who starts and stops instances.
#[derive(Clone, Debug, PartialEq)]
pub enum Provider {
    /// Processes on this machine.
    Process {
        /// Program and arguments, `{port}` in them being the port to listen on and `{id}` the instance; `None`: the built-in
        /// backend, which serves the scenario's `[service]`.
        command: Option<String>,
    },
    /// A program of the user's that is asked to `launch`, `drain`, `terminate` and `observe`.
    Command {
        /// Where it is.
        program: PathBuf,
    },
    /// Instances that others start: these addresses, always.
    Static {
        /// Where they are; at least one.
        upstreams: Vec<SocketAddr>,
    },
}

/// How long anybody may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request's head to its last, in all; default 10 s.
    pub head: Span,
    /// Between requests of a connection; default 60 s.
    pub keep_alive: Span,
    /// Between parts of a request's body; default 30 s.
    pub body_idle: Span,
    /// From the end of a head to the last byte of the answer; default 60 s.
    pub request: Span,
    /// Until a connection to an instance stands; default 2 s.
    pub connect: Span,
    /// From the request sent to the head of its answer; default 30 s.
    pub response: Span,
    /// How long a client may not read; default 30 s.
    pub write_idle: Span,
    /// How long connections to instances are kept unused; default 4 s, less than the 5 s of common servers.
    pub upstream_idle: Span,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Span::from_secs(10),
            keep_alive: Span::from_secs(60),
            body_idle: Span::from_secs(30),
            request: Span::from_secs(60),
            connect: Span::from_secs(2),
            response: Span::from_secs(30),
            write_idle: Span::from_secs(30),
            upstream_idle: Span::from_secs(4),
        }
    }
}

/// How much anybody may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body; default 10 MiB, 0: as many as it likes.
    pub body: u64,
    /// Connections at once; default 10,000.
    pub connections: u32,
    /// Connections at once from one address; default 1,024.
    pub connections_per_address: u32,
    /// Requests of one connection; default 10,000.
    pub requests_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body: 10 * 1024 * 1024,
            connections: 10_000,
            connections_per_address: 1024,
            requests_per_connection: 10_000,
        }
    }
}

/// Addresses that begin with the same bits: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `address` is in it; an IPv4 address that is written as IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                (u64::from(own.to_bits()) >> shift) == (u64::from(other.to_bits()) >> shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                let cut = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                cut(own.to_bits()) == cut(other.to_bits())
            }
            _ => false,
        }
    }
}

/// A text that is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network such as \"10.0.0.0/8\"")]
pub struct NetworkError;

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| NetworkError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.trim().parse()).map_err(|_| NetworkError)?;
        if bits > most { Err(NetworkError) } else { Ok(Network { address, bits }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_is_what_begins_with_the_same_bits() {
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1"), "GW-20");
        assert!(contains("0.0.0.0/0", "8.8.8.8") && contains("::/0", "2001:db8::1"));
        assert!(contains("::1", "::1") && !contains("::1", "::2"));
        assert!("10.0.0.0/33".parse::<Network>().is_err() && "ten".parse::<Network>().is_err());
    }
}
