//! Where load goes, and whether it may.

use std::net::IpAddr;

use hyper::Uri;
use url::{Position, Url};

use crate::scenario::load::Http;

/// A URL that load may be sent to.
#[derive(Clone, Debug)]
pub struct Target {
    base: Url,
}

/// Why nothing is sent there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no URL of a server.
    #[error("--target: found {found:?} ({problem}), expected a URL such as http://127.0.0.1:8080")]
    NotUrl {
        /// What it is.
        found: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It is not this machine, and nobody said that it is theirs.
    #[error(
        "--target: {host} is not this machine. Load that its owner does not expect is an attack; if {host} is yours, or its owner agreed, \
         say so with --i-own-this-target"
    )]
    NotOurs {
        /// The host.
        host: String,
    },
}

impl Target {
    /// The target of a URL. `owned`: whether somebody said that it is theirs; this machine always is.
    pub fn new(text: &str, owned: bool) -> Result<Target, Error> {
        let not = |problem: &str| Error::NotUrl { found: text.to_string(), problem: problem.to_string() };
        let base = Url::parse(text).map_err(|error| not(&error.to_string()))?;
        if !["http", "https"].contains(&base.scheme()) {
            return Err(not("neither http nor https"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(not("queries come from the scenario's paths"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(not("a name or password in it would be in the report"));
        }
        let Some(host) = base.host_str() else { return Err(not("it names no host")) };
        if !owned && !is_this_machine(host) {
            return Err(Error::NotOurs { host: host.to_string() });
        }
        Ok(Target { base })
    }

    /// Scheme, host and port, and the path that all requests begin with.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The host, as names and addresses are looked up: without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.base.port_or_known_default().unwrap_or(80)
    }

    /// The host and port as requests name them.
    pub fn authority(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or(host.to_string(), |port| format!("{host}:{port}"))
    }

    /// Whether it is spoken to over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The same for a request on the wire: a path on HTTP/1.1, all of it on HTTP/2. `None`: it is too long for one.
    pub fn uri(&self, path: &str, http: Http) -> Option<Uri> {
        let url = self.url(path);
        let from = if http == Http::One { Position::BeforePath } else { Position::BeforeScheme };
        url[from..].parse().ok()
    }

    /// Where a request for `path` goes. Whatever the path says, that is on the target's host.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let (prefix, slash) = (self.base.path().trim_end_matches('/'), if path.starts_with('/') { "" } else { "/" });
        url.set_path(&format!("{prefix}{slash}{path}"));
        url.set_query(query);
        url
    }
}

/// Whether a host as URLs write it can only be this machine.
fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_takes_load_unless_somebody_owns_the_target() {
        for ours in ["http://127.0.0.1:80", "http://127.8.9.1", "http://[::1]:8080/", "https://localhost:8443/shop"] {
            assert!(Target::new(ours, false).is_ok(), "{ours}");
        }
        for theirs in [
            "http://example.com",
            "http://10.0.0.1:80",
            "http://localhost.example.com",
            "http://0.0.0.0",
            "http://[::2]",
        ] {
            let error = Target::new(theirs, false).unwrap_err();
            assert!(error.to_string().contains("--i-own-this-target"), "{theirs}: {error}");
            assert!(Target::new(theirs, true).is_ok(), "{theirs}");
        }
        for none in [
            "",
            "127.0.0.1:80",
            "ftp://127.0.0.1",
            "http://127.0.0.1/?a=b",
            "http://me:secret@127.0.0.1",
            "unix:/run/x",
        ] {
            let error = Target::new(none, true).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:8080"), "{none}: {error}");
        }
    }

    #[test]
    fn a_path_never_leads_to_another_host() {
        let at = |base: &str, path: &str| Target::new(base, false).unwrap().url(path).to_string();
        assert_eq!(at("http://127.0.0.1:81", "/cart?item=7"), "http://127.0.0.1:81/cart?item=7");
        assert_eq!(at("http://127.0.0.1:81/v1/", "/cart"), "http://127.0.0.1:81/v1/cart");
        for path in ["//evil.example/", "@evil.example/", "http://evil.example/", ":99/", "\\\\evil.example"] {
            let url = Target::new("http://127.0.0.1:81", false).unwrap().url(path);
            assert_eq!((url.host_str(), url.port()), (Some("127.0.0.1"), Some(81)), "{path}: {url}");
        }
    }
}
