//! Who asks: the address that quotas are counted by, and what instances are told about it.
//!
//! A client may write into `X-Forwarded-For` whatever it likes. Only what a proxy that is known has added at the right end counts.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderValue};

use crate::scenario::live::Network;

/// Whom to believe.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Proxies, as networks.
    pub networks: Vec<Network>,
    /// How many proxies there are in front, instead.
    pub hops: u32,
}

/// Who asks, through whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The client, as far as can be believed.
    pub client: IpAddr,
    /// Whether the connection comes from a proxy that is believed.
    pub peer_is_trusted: bool,
    peer: IpAddr,
    /// What `X-Forwarded-For` said, if the peer is believed.
    said: Vec<String>,
}

impl Origin {
    /// The value of `X-Forwarded-For` for the next hop.
    pub fn list(&self) -> HeaderValue {
        let mut list = self.said.join(", ");
        if !list.is_empty() {
            list += ", ";
        }
        list += &self.peer.to_string();
        HeaderValue::from_str(&list).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }
}

impl Trust {
    /// Who asks on a connection from `peer` with these fields.
    pub fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let peer = peer.to_canonical();
        let is_trusted = |address: IpAddr| self.networks.iter().any(|network| network.contains(address));
        let peer_is_trusted = self.hops > 0 || is_trusted(peer);
        if !peer_is_trusted {
            return Origin { client: peer, peer_is_trusted, peer, said: Vec::new() };
        }
        let lines = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let said: Vec<String> = lines
            .flat_map(|line| line.split(','))
            .map(|each| each.trim().to_string())
            .filter(|each| !each.is_empty())
            .collect();
        let client =
            if self.hops > 0 { by_hops(peer, self.hops, &said) } else { by_network(peer, is_trusted, &said) };
        Origin { client, peer_is_trusted, peer, said }
    }
}

fn by_network(peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool, said: &[String]) -> IpAddr {
    let mut client = peer;
    for each in said.iter().rev() {
        if !is_trusted(client) {
            break;
        }
        let Some(address) = address(each) else { break };
        client = address;
    }
    client
}

/// The n-th from the right; a list that is shorter did not come through all proxies.
fn by_hops(peer: IpAddr, hops: u32, said: &[String]) -> IpAddr {
    let place = said.len().checked_sub(hops as usize);
    place.and_then(|place| address(&said[place])).unwrap_or(peer)
}

/// IPv4, IPv6, or either with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip())).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, trust: &Trust, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        trust.origin(peer.parse().unwrap(), &headers).client.to_string()
    }

    #[test]
    fn only_what_a_known_proxy_added_is_believed() {
        let nobody = Trust::default();
        let ten = Trust { networks: vec!["10.0.0.0/8".parse().unwrap()], hops: 0 };
        assert_eq!(client("198.51.100.7", &nobody, &["1.1.1.1"]), "198.51.100.7", "GW-10");
        assert_eq!(client("10.0.0.1", &ten, &["1.1.1.1, 203.0.113.5"]), "203.0.113.5", "GW-11");
        assert_eq!(client("10.0.0.1", &ten, &["203.0.113.5, 10.0.0.2"]), "203.0.113.5", "GW-12");
        assert_eq!(client("10.0.0.1", &ten, &["203.0.113.5, nonsense"]), "10.0.0.1", "GW-13");
        assert_eq!(client("10.0.0.1", &ten, &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "GW-14");
        assert_eq!(client("10.0.0.1", &ten, &["1.1.1.1", "203.0.113.5"]), "203.0.113.5", "GW-15");
        assert_eq!(client("10.0.0.1", &ten, &["203.0.113.5:4711"]), "203.0.113.5", "GW-16");
        assert_eq!(client("10.0.0.1", &ten, &["[2001:db8::1]:443"]), "2001:db8::1", "GW-16");
        assert_eq!(client("10.0.0.1", &ten, &[]), "10.0.0.1", "GW-19");
        assert_eq!(client("::ffff:10.0.0.1", &ten, &["203.0.113.5"]), "203.0.113.5", "GW-20");
    }

    #[test]
    fn hops_are_counted_from_the_right() {
        let hops = |hops| Trust { networks: Vec::new(), hops };
        let lines = ["1.1.1.1, 203.0.113.5"];
        let clients = [1, 2, 3].map(|n| client("10.0.0.1", &hops(n), &lines));
        assert_eq!(clients, ["203.0.113.5", "1.1.1.1", "10.0.0.1"], "GW-17, GW-18");
    }

    #[test]
    fn the_next_hop_gets_what_was_said_only_from_those_who_are_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.5"));
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let trust = Trust { networks: vec!["10.0.0.0/8".parse().unwrap()], hops: 0 };
        assert_eq!(trust.origin(peer, &headers).list(), "203.0.113.5, 10.0.0.1");
        assert_eq!(Trust::default().origin(peer, &headers).list(), "10.0.0.1");
    }
}
