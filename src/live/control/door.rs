//! Who may come in: programs and people of this machine, or those with the token; no page of somebody else's in a browser.
//!
//! A page may have a browser send requests here, but cannot choose the `Host` and `Origin` that it sends, nor the type of a body
//! without asking first. So: `Host` has to be a name of ours (a foreign name that points here is an attack), `Origin` has to be the
//! same, and orders have to be JSON.

use std::net::SocketAddr;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};

use super::Problem;
use crate::scenario::live::Live;

/// Checks callers.
#[derive(Debug)]
pub struct Door {
    token: Option<String>,
    hosts: Vec<String>,
}

impl Door {
    /// The door of a listener at `address`.
    pub fn new(live: &Live, address: SocketAddr) -> Door {
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(String::from).to_vec();
        hosts.push(match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        });
        hosts.extend(live.control_hosts.iter().map(|host| host.to_ascii_lowercase()));
        Door { token: live.token.clone(), hosts }
    }

    /// Whether it is us that the caller means.
    pub fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = text(headers, &HOST).map(str::to_ascii_lowercase).unwrap_or_default();
        if self.hosts.iter().any(|name| *name == without_port(&host)) {
            return Ok(());
        }
        let hint = "this is not the host that was asked for: add it to live.control_hosts if it is";
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, hint))
    }

    /// Whether the caller has the token, if there is one.
    pub fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.token else { return Ok(()) };
        let said = text(headers, &AUTHORIZATION).and_then(|value| {
            let (scheme, said) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(said.trim())
        });
        if said.is_some_and(|said| is_equal(said.as_bytes(), token.as_bytes())) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::UNAUTHORIZED, "this takes the token: Authorization: Bearer TOKEN"))
    }

    /// Whether an order may come from where it comes from.
    pub fn check_change(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if let Some(origin) = text(headers, &ORIGIN) {
            let host = text(headers, &HOST).unwrap_or_default();
            let same = origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host));
            if !same {
                return Err(Problem::new(StatusCode::FORBIDDEN, "orders are not taken from other people's pages"));
            }
        }
        let kind = text(headers, &CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/json") {
            return Ok(());
        }
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "orders are Content-Type: application/json"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// Compares in a time that says nothing about where the first difference is.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differences) == 0 && a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn with(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn door(token: Option<&str>) -> Door {
        let live = Live { token: token.map(String::from), ..Live::default() };
        Door::new(&live, "192.0.2.1:9090".parse().unwrap())
    }

    #[test]
    fn a_foreign_name_that_points_here_is_not_us() {
        let allows = |host: &str| door(None).check_host(&with(&[(HOST, host)])).is_ok();
        assert!(["localhost:9090", "127.0.0.1", "[::1]:9090", "LOCALHOST", "192.0.2.1:9090"].into_iter().all(allows));
        assert!(!["evil.example", "localhost.evil.example:9090", "", "::1"].into_iter().any(allows), "GW-115");
    }

    #[test]
    fn a_token_is_had_or_not() {
        let says = |value: &str| door(Some("0123456789abcdef")).check_token(&with(&[(AUTHORIZATION, value)])).is_ok();
        assert!(says("Bearer 0123456789abcdef") && says("bearer 0123456789abcdef"));
        assert!(
            !says("Bearer 0123456789abcdeg") && !says("Bearer 0123456789abcde") && !says("0123456789abcdef"),
            "GW-113"
        );
        assert!(door(None).check_token(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn orders_come_from_our_own_page_and_are_json() {
        let check =
            |fields: &[(HeaderName, &str)]| door(None).check_change(&with(fields)).map_err(|p| p.status.as_u16());
        let (host, json) = ((HOST, "localhost:9090"), (CONTENT_TYPE, "application/json; charset=utf-8"));
        assert_eq!(check(&[host.clone(), json.clone()]), Ok(()));
        assert_eq!(check(&[host.clone(), json.clone(), (ORIGIN, "http://localhost:9090")]), Ok(()));
        assert_eq!(check(&[host.clone(), json, (ORIGIN, "http://evil")]), Err(403), "GW-114");
        assert_eq!(check(&[host, (CONTENT_TYPE, "text/plain")]), Err(415));
    }
}
