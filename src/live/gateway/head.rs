//! The head of a request, byte by byte: what the gateway lets the parser see at all.
//!
//! The parser behind it is lenient in places (bare line feeds, two lengths, `chunked` among other codings, no Host), and every such
//! leniency is a way to make two servers see two different requests. So a head is read here first, by a grammar that is RFC 9112's and
//! no wider, and judged as a whole: [`judge`] says how the body is framed, or which status the client gets. Pure; no IO.
//!
//! Not here: what becomes of fields on their way ([`super::fields`]), and the bytes of bodies ([`super::chunks`]).

use memchr::memmem;

/// Longest request line \[bytes\].
pub const MAX_REQUEST_LINE: usize = 8 * 1024;
/// Longest field line \[bytes\].
pub const MAX_FIELD_LINE: usize = 8 * 1024;
/// Longest head \[bytes\].
pub const MAX_HEAD: usize = 32 * 1024;
/// Most fields.
pub const MAX_FIELDS: usize = 100;

/// How the body that follows is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// What a head says about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How its body is framed.
    pub framing: Framing,
    /// Whether it is a proper WebSocket handshake.
    pub websocket: bool,
    /// Whether it is the last request of its connection.
    pub closes: bool,
}

/// Why a head is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status that the client gets.
    pub status: u16,
    /// Why, in words that reflect nothing of the request.
    pub reason: &'static str,
}

/// A refusal with a status.
pub const fn refuse(status: u16, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

/// Fields that a request may not name in `Connection`: removing them would change what the request means or who it is from.
const PROTECTED: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "cache-control",
    "authorization",
    "cookie",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-request-id",
    "x-instance-id",
];

/// Where the head at the beginning of `bytes` ends: behind its empty line. `None`: not yet.
///
/// A lone line feed ends nothing here; a head that uses them is found out as soon as one of its lines is seen.
pub fn end(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(3);
    memmem::find(&bytes[from..], b"\r\n\r\n").map(|at| from + at + 4)
}

/// What can be said of a head that is not complete: whether it can still become one.
pub fn prospect(bytes: &[u8]) -> Result<(), Refusal> {
    if let Some(first) = bytes.first()
        && !is_token(*first)
    {
        return Err(refuse(400, "the request does not begin with a method"));
    }
    let mut rest = bytes;
    let mut limit = (MAX_REQUEST_LINE, refuse(414, "the request line is too long"));
    while let Some(at) = memchr::memchr(b'\n', rest) {
        if at == 0 || rest[at - 1] != b'\r' {
            return Err(refuse(400, "a line does not end in CR LF"));
        }
        if at > limit.0 {
            return Err(limit.1);
        }
        if rest.len() == bytes.len() {
            RequestLine::of(&bytes[..at - 1])?;
        }
        rest = &rest[at + 1..];
        limit = (MAX_FIELD_LINE, refuse(431, "a field is too long"));
    }
    if rest.len() > limit.0 {
        return Err(limit.1);
    }
    if bytes.len() > MAX_HEAD {
        return Err(refuse(431, "the head is too long"));
    }
    Ok(())
}

/// Judges a complete head, its empty line included. `max_body` is the longest body that may be declared; 0: any.
pub fn judge(bytes: &[u8], max_body: u64) -> Result<Head, Refusal> {
    prospect(bytes)?;
    let mut lines = Lines { rest: bytes };
    let request = RequestLine::of(lines.next().unwrap_or_default())?;
    let mut seen = Seen::default();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            break;
        }
        seen.take(line)?;
    }
    seen.judge(&request, max_body)
}

/// Lines without their CR LF.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let at = memchr::memchr(b'\n', self.rest)?;
        let line = &self.rest[..at.saturating_sub(1)];
        self.rest = &self.rest[at + 1..];
        Some(line)
    }
}

/// The first line, in its parts.
struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    is_1_0: bool,
}

impl RequestLine<'_> {
    fn of(line: &[u8]) -> Result<RequestLine<'_>, Refusal> {
        const FORM: Refusal = refuse(400, "the request line is not METHOD SP TARGET SP VERSION");
        let mut parts = line.split(|&b| b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FORM);
        };
        if method.is_empty() || !method.iter().copied().all(is_token) || target.is_empty() {
            return Err(FORM);
        }
        let is_1_0 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(refuse(505, "this speaks HTTP/1.1 and HTTP/1.0"));
            }
            _ => return Err(FORM),
        };
        check_method(method)?;
        check_target(method, target)?;
        Ok(RequestLine { method, target, is_1_0 })
    }
}

fn check_method(method: &[u8]) -> Result<(), Refusal> {
    match method {
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"PATCH" | b"DELETE" | b"OPTIONS" => Ok(()),
        b"TRACE" => Err(refuse(405, "TRACE reflects what it is sent")),
        b"CONNECT" => Err(refuse(501, "this is no tunnel")),
        _ => Err(refuse(501, "the method is unknown")),
    }
}

fn check_target(method: &[u8], target: &[u8]) -> Result<(), Refusal> {
    let odd = |b: &u8| !b.is_ascii_graphic() || br##"#"<>\^`{|}"##.contains(b);
    if target.iter().any(odd) {
        return Err(refuse(400, "the target has a character that no target has"));
    }
    match target {
        [b'/', ..] => Ok(()),
        b"*" if method == b"OPTIONS" => Ok(()),
        _ => match authority_of(target) {
            Some(authority) if is_host(authority) && !authority.is_empty() => Ok(()),
            _ => Err(refuse(400, "the target is neither a path nor an absolute URL")),
        },
    }
}

/// The authority of a target in absolute form.
fn authority_of(target: &[u8]) -> Option<&[u8]> {
    let lower = |n: usize| target.get(..n).map(<[u8]>::to_ascii_lowercase);
    let rest = match (lower(7).as_deref(), lower(8).as_deref()) {
        (Some(b"http://"), _) => &target[7..],
        (_, Some(b"https://")) => &target[8..],
        _ => return None,
    };
    Some(rest.split(|b| b"/?".contains(b)).next().unwrap_or_default())
}

/// Whether this is `uri-host [":" port]`, or empty.
fn is_host(host: &[u8]) -> bool {
    let port = |text: &[u8]| {
        text.len() <= 5
            && text.iter().all(u8::is_ascii_digit)
            && std::str::from_utf8(text).is_ok_and(|text| text.is_empty() || text.parse::<u16>().is_ok())
    };
    if let Some(rest) = host.strip_prefix(b"[") {
        let Some(close) = memchr::memchr(b']', rest) else { return false };
        let (address, after) = (&rest[..close], &rest[close + 1..]);
        let is_address = std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
        return is_address && (after.is_empty() || after.strip_prefix(b":").is_some_and(port));
    }
    let (name, after) = match memchr::memchr(b':', host) {
        Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
        None => (host, None),
    };
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(b);
    name.iter().all(allowed) && after.is_none_or(port)
}

/// Whether a byte may be in a method or a name.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// What the fields say that matters for framing, routing and connections.
#[derive(Default)]
struct Seen<'a> {
    fields: usize,
    hosts: Vec<&'a [u8]>,
    lengths: Vec<&'a [u8]>,
    codings: Vec<&'a [u8]>,
    expects: Vec<&'a [u8]>,
    connections: Vec<&'a [u8]>,
    upgrades: Vec<&'a [u8]>,
    key: bool,
    version_13: bool,
}

impl<'a> Seen<'a> {
    /// Takes a field line.
    fn take(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(refuse(431, "there are too many fields"));
        }
        let Some(colon) = memchr::memchr(b':', line) else { return Err(refuse(400, "a field has no colon")) };
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(refuse(400, "a field's name is not a token"));
        }
        if name.contains(&b'_') {
            return Err(refuse(400, "a field's name has an underscore, which some servers take for a hyphen"));
        }
        if value.iter().any(|&b| b < 0x20 && b != b'\t' || b == 0x7F) {
            return Err(refuse(400, "a field's value has a control character"));
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            3 if is("key") => {}
            4 if is("host") => self.hosts.push(value),
            6 if is("expect") => self.expects.push(value),
            7 if is("upgrade") => self.upgrades.push(value),
            10 if is("connection") => self.connections.push(value),
            14 if is("content-length") => self.lengths.push(value),
            17 if is("transfer-encoding") => self.codings.push(value),
            17 if is("sec-websocket-key") => self.key = value.len() == 24 && value.ends_with(b"=="),
            21 if is("sec-websocket-version") => self.version_13 = value == b"13",
            _ => {}
        }
        Ok(())
    }

    fn judge(&self, request: &RequestLine, max_body: u64) -> Result<Head, Refusal> {
        self.check_host(request)?;
        let options = self.check_connection()?;
        match self.expects.as_slice() {
            [] => {}
            [only] if only.eq_ignore_ascii_case(b"100-continue") => {}
            _ => return Err(refuse(417, "the only expectation that can be met is 100-continue")),
        }
        let framing = self.framing(request)?;
        if let Framing::Length(length) = framing
            && max_body > 0
            && length > max_body
        {
            return Err(refuse(413, "the body is too long"));
        }
        let is_websocket = |value: &&[u8]| value.eq_ignore_ascii_case(b"websocket");
        let websocket = options.upgrade
            && request.method == b"GET"
            && !request.is_1_0
            && framing == Framing::None
            && self.key
            && self.version_13
            && self.upgrades.len() == 1
            && self.upgrades.iter().all(is_websocket);
        let closes = options.close || request.is_1_0 && !options.keep_alive;
        Ok(Head { framing, websocket, closes })
    }

    fn check_host(&self, request: &RequestLine) -> Result<(), Refusal> {
        let host = match self.hosts.as_slice() {
            [] if request.is_1_0 => return Ok(()),
            [] => return Err(refuse(400, "there is no Host")),
            [only] => *only,
            _ => return Err(refuse(400, "there is more than one Host")),
        };
        if !is_host(host) {
            return Err(refuse(400, "the Host is not a host"));
        }
        match authority_of(request.target) {
            Some(authority) if !authority.eq_ignore_ascii_case(host) => {
                Err(refuse(400, "the Host is not the one of the target"))
            }
            None if host.is_empty() => Err(refuse(400, "the Host is empty")),
            _ => Ok(()),
        }
    }

    /// What is to become of the connection.
    fn check_connection(&self) -> Result<Options, Refusal> {
        let mut options = Options::default();
        for option in self.connections.iter().flat_map(|value| value.split(|&b| b == b',')) {
            let option = trim(option);
            if !option.iter().copied().all(is_token) {
                return Err(refuse(400, "Connection has an option that is not a token"));
            }
            if PROTECTED.iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes())) {
                return Err(refuse(400, "Connection names a field that has to stay"));
            }
            options.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            options.close |= option.eq_ignore_ascii_case(b"close");
            options.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
        Ok(options)
    }

    fn framing(&self, request: &RequestLine) -> Result<Framing, Refusal> {
        let length = match self.lengths.as_slice() {
            [] => None,
            [only] => Some(length_of(only)?),
            _ => return Err(refuse(400, "there is more than one Content-Length")),
        };
        let coding = match self.codings.as_slice() {
            [] => return Ok(length.map_or(Framing::None, Framing::Length)),
            [only] => *only,
            _ => return Err(refuse(400, "there is more than one Transfer-Encoding")),
        };
        if length.is_some() {
            return Err(refuse(400, "there are both Content-Length and Transfer-Encoding"));
        }
        if request.is_1_0 {
            return Err(refuse(400, "HTTP/1.0 has no Transfer-Encoding"));
        }
        if coding.eq_ignore_ascii_case(b"chunked") {
            return Ok(Framing::Chunked);
        }
        let known = ["gzip", "x-gzip", "deflate", "compress", "x-compress"];
        let is_known = |part: &[u8]| known.iter().any(|name| trim(part).eq_ignore_ascii_case(name.as_bytes()));
        let mut parts = coding.rsplitn(2, |&b| b == b',');
        let last = trim(parts.next().unwrap_or_default());
        let before = parts.next().unwrap_or_default();
        if last.eq_ignore_ascii_case(b"chunked") && before.split(|&b| b == b',').all(is_known) {
            return Err(refuse(501, "no transfer coding but chunked is understood"));
        }
        Err(refuse(400, "the Transfer-Encoding is not chunked"))
    }
}

/// What `Connection` says.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    upgrade: bool,
    close: bool,
    keep_alive: bool,
}

/// A length: digits only, and no more than fit.
fn length_of(value: &[u8]) -> Result<u64, Refusal> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let length = digits.then(|| std::str::from_utf8(value).ok()?.parse::<u64>().ok()).flatten();
    length.filter(|&n| n <= i64::MAX as u64).ok_or(refuse(400, "the Content-Length is not a length"))
}

/// Without blanks around it.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
#[path = "head/tests.rs"]
mod tests;
