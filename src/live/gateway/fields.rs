//! Fields on their way through: which stop at the gateway, and what it adds.
//!
//! What is added is added after everything was removed that `Connection` names: the other way round a client could have the gateway's
//! own evidence removed by naming it.

use std::net::IpAddr;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::{StatusCode, Uri};

use super::head::{Refusal, refuse};
use crate::live::gateway::forwarded::Origin;

/// The request of the run that a message belongs to, where a load generator on this machine says so.
pub const INDEX: HeaderName = HeaderName::from_static("wavetank-index");
/// Which client of the run asks.
pub const CLIENT: HeaderName = HeaderName::from_static("wavetank-client");
/// Which attempt of that request it is.
pub const ATTEMPT: HeaderName = HeaderName::from_static("wavetank-attempt");
/// The instance that answered.
pub const INSTANCE: HeaderName = HeaderName::from_static("x-instance-id");
/// Names a request in logs on both sides.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const TARGET_URL: HeaderName = HeaderName::from_static("x-target-url");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The gateway's name in `Via`.
const PSEUDONYM: &str = "wavetank";

/// Fields that concern one connection only.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    PROXY_CONNECTION,
    KEEP_ALIVE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    hyper::header::PROXY_AUTHORIZATION,
    hyper::header::PROXY_AUTHENTICATE,
    HTTP2_SETTINGS,
];

/// The fields that `Connection` names.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let options = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok()).collect()
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in named(headers) {
        // Naming a field that has to stay is refused in requests; in answers it is not heeded.
        if name != CONTENT_LENGTH && name != HOST && name != hyper::header::SET_COOKIE {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// What is known of a request beside its fields.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Who asks, through whom.
    pub origin: &'a Origin,
    /// Whether it came encrypted.
    pub is_secure: bool,
    /// Whether it is a handshake that is passed on.
    pub websocket: bool,
    /// Whether its sender may say which request of a run it is.
    pub is_local: bool,
    /// Its name in logs, where it brought none that is believed.
    pub id: &'a HeaderValue,
    /// The gateway's own address, for those that say no host.
    pub listen: &'a HeaderValue,
}

/// Makes of a client's fields those that an instance gets.
pub fn outbound(headers: &mut HeaderMap, uri: &Uri, facts: &Facts<'_>) -> Result<(), Refusal> {
    if is_loop(headers) {
        return Err(refuse(508, "the request has been here before"));
    }
    let forwarded_host = headers.get(FORWARDED_HOST).cloned().filter(|_| facts.origin.peer_is_trusted);
    let proto = headers.get(FORWARDED_PROTO).cloned().filter(|_| facts.origin.peer_is_trusted);
    let id = headers.get(REQUEST_ID).cloned().filter(|id| facts.origin.peer_is_trusted && is_plain(id));
    remove_hop_by_hop(headers);
    for name in [
        EXPECT,
        CONTENT_LENGTH,
        FORWARDED_FOR,
        FORWARDED_PROTO,
        FORWARDED_HOST,
        REAL_IP,
        INSTANCE,
        TARGET_URL,
        REQUEST_ID,
    ] {
        headers.remove(name);
    }
    if !facts.origin.peer_is_trusted {
        headers.remove(FORWARDED);
    }
    if !facts.is_local {
        for name in [INDEX, CLIENT, ATTEMPT] {
            headers.remove(name);
        }
    }
    let authority = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let host = authority.or_else(|| headers.get(HOST).cloned()).unwrap_or_else(|| facts.listen.clone());
    headers.insert(FORWARDED_HOST, forwarded_host.unwrap_or_else(|| host.clone()));
    headers.insert(HOST, host);
    headers.insert(FORWARDED_FOR, facts.origin.list());
    let own_proto = HeaderValue::from_static(if facts.is_secure { "https" } else { "http" });
    headers.insert(FORWARDED_PROTO, proto.unwrap_or(own_proto));
    headers.insert(REQUEST_ID, id.unwrap_or_else(|| facts.id.clone()));
    headers.append(VIA, HeaderValue::from_static("1.1 wavetank"));
    if facts.websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    Ok(())
}

/// Whether `Via` says that the request was here before.
fn is_loop(headers: &HeaderMap) -> bool {
    let hops = headers.get_all(VIA).iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    hops.filter_map(|hop| std::str::from_utf8(hop).ok())
        .any(|hop| hop.split_ascii_whitespace().nth(1).is_some_and(|by| by.eq_ignore_ascii_case(PSEUDONYM)))
}

fn is_plain(id: &HeaderValue) -> bool {
    !id.is_empty() && id.len() <= 128 && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Makes of an instance's fields those that the client gets; `Err`: they cannot be what it meant.
pub fn inbound(status: StatusCode, headers: &mut HeaderMap, instance: &HeaderValue) -> Result<(), &'static str> {
    if headers.contains_key(TRANSFER_ENCODING) {
        if headers.contains_key(CONTENT_LENGTH) {
            return Err("the answer has both Content-Length and Transfer-Encoding");
        }
        let codings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
        if codings.len() != 1 || !codings[0].as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err("the answer has a Transfer-Encoding that is not chunked");
        }
    }
    if status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
    headers.remove(TARGET_URL);
    headers.insert(INSTANCE, instance.clone());
    Ok(())
}

/// A number that a load generator sends.
pub fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Whether a request comes from this machine itself, and not through a proxy on it.
pub fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let through = [FORWARDED_FOR, FORWARDED, VIA];
    peer.to_canonical().is_loopback() && !through.iter().any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_of_this_machine_say_which_request_of_a_run_they_send() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(is_local(local, &HeaderMap::new()));
        assert!(!is_local("192.0.2.1".parse().unwrap(), &HeaderMap::new()));
        let proxied = HeaderMap::from_iter([(FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"))]);
        assert!(!is_local(local, &proxied), "a proxy on this machine speaks for others");
    }
}
