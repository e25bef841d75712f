//! Access logs of a JSON object a line: Caddy, Traefik, Envoy, Cloudflare, Google's load balancer, and nginx or anything else with names
//! that servers commonly use.
//!
//! Members are known by their names, wherever in the object they are (`request.uri`, `httpRequest.status`); of several names for one
//! thing the one that says most counts: a start time before the time of the line, a client before the address of the last proxy. A
//! line may have a prefix before its object, as containers write. An object without status and target is no request but a message
//! of the server's, and is passed over.

use std::fmt::{self, Write};
use std::ops::Range;

use memchr::memchr;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::clf::{first_of_list, is_address, path_of, request_line, with_unit};
use super::timestamp::{self, Moment, Zone};
use super::{Fault, Record, is_blank};

/// Reads JSON access logs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonLog {
    zone: Zone,
    found: Found,
}

/// What a member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Time,
    Client,
    Forwarded,
    Method,
    Target,
    RequestLine,
    Status,
    Bytes,
    Took,
    Agent,
    Referrer,
}

const ROLES: usize = Role::Referrer as usize + 1;

/// Names of members in lower case, the surest first; for times the unit \[ns\] if the name tells it, else 0.
const NAMES: &[(Role, &str, u64)] = &[
    (Role::Time, "startutc", 0),
    (Role::Time, "startlocal", 0),
    (Role::Time, "start_time", 0),
    (Role::Time, "edgestarttimestamp", 0),
    (Role::Time, "ts", 0),
    (Role::Time, "timestamp", 0),
    (Role::Time, "@timestamp", 0),
    (Role::Time, "msec", 0),
    (Role::Time, "time_iso8601", 0),
    (Role::Time, "time_local", 0),
    (Role::Time, "datetime", 0),
    (Role::Time, "date", 0),
    (Role::Time, "time", 0),
    (Role::Client, "client_ip", 0),
    (Role::Client, "clientip", 0),
    (Role::Client, "remote_ip", 0),
    (Role::Client, "remoteip", 0),
    (Role::Client, "remote_addr", 0),
    (Role::Client, "clienthost", 0),
    (Role::Client, "clientaddr", 0),
    (Role::Client, "downstream_remote_address", 0),
    (Role::Client, "ip", 0),
    (Role::Forwarded, "x-forwarded-for", 0),
    (Role::Forwarded, "x_forwarded_for", 0),
    (Role::Forwarded, "http_x_forwarded_for", 0),
    (Role::Method, "method", 0),
    (Role::Method, "request_method", 0),
    (Role::Method, "requestmethod", 0),
    (Role::Method, "clientrequestmethod", 0),
    (Role::Target, "x-envoy-original-path", 0),
    (Role::Target, "x-envoy-origin-path", 0),
    (Role::Target, "request_uri", 0),
    (Role::Target, "uri", 0),
    (Role::Target, "requestpath", 0),
    (Role::Target, "clientrequesturi", 0),
    (Role::Target, "requesturl", 0),
    (Role::Target, "path", 0),
    (Role::Target, "url", 0),
    (Role::RequestLine, "request", 0),
    (Role::Status, "status", 0),
    (Role::Status, "status_code", 0),
    (Role::Status, "statuscode", 0),
    (Role::Status, "response_code", 0),
    (Role::Status, "downstreamstatus", 0),
    (Role::Status, "edgeresponsestatus", 0),
    (Role::Bytes, "size", 0),
    (Role::Bytes, "bytes_sent", 0),
    (Role::Bytes, "body_bytes_sent", 0),
    (Role::Bytes, "downstreamcontentsize", 0),
    (Role::Bytes, "edgeresponsebytes", 0),
    (Role::Bytes, "responsesize", 0),
    (Role::Bytes, "length", 0),
    (Role::Took, "request_time", 1_000_000_000),
    (Role::Took, "duration_ms", 1_000_000),
    (Role::Took, "generation_time_milli", 1_000_000),
    (Role::Took, "duration", 0),
    (Role::Took, "latency", 0),
    (Role::Took, "response_time", 0),
    (Role::Agent, "user-agent", 0),
    (Role::Agent, "user_agent", 0),
    (Role::Agent, "useragent", 0),
    (Role::Agent, "http_user_agent", 0),
    (Role::Agent, "request_user-agent", 0),
    (Role::Agent, "clientrequestuseragent", 0),
    (Role::Referrer, "referer", 0),
    (Role::Referrer, "referrer", 0),
    (Role::Referrer, "http_referer", 0),
    (Role::Referrer, "request_referer", 0),
    (Role::Referrer, "clientrequestreferer", 0),
];

/// The place in [`NAMES`] of a name, in any case.
fn known(name: &str) -> Option<usize> {
    // Long names are nobody's, and most names are ruled out by their length and first letter.
    if name.len() > 32 || name.is_empty() {
        return None;
    }
    NAMES.iter().position(|(_, known, _)| known.len() == name.len() && known.eq_ignore_ascii_case(name))
}

/// Values of one line, as text in one buffer that lines share.
#[derive(Clone, Debug, Default, PartialEq)]
struct Found {
    text: String,
    /// For each role the place of its name in [`NAMES`], and where its value is.
    values: [Option<(usize, Range<usize>)>; ROLES],
    traefik: bool,
    envoy: bool,
}

impl Found {
    fn clear(&mut self) {
        self.text.clear();
        self.values = Default::default();
        (self.traefik, self.envoy) = (false, false);
    }

    fn get(&self, role: Role) -> Option<&str> {
        let (_, range) = self.values[role as usize].as_ref()?;
        Some(&self.text[range.clone()])
    }

    /// Whether a value by this name would count.
    fn wants(&self, name: usize) -> bool {
        let role = NAMES[name].0;
        self.values[role as usize].as_ref().is_none_or(|(better, _)| name < *better)
    }

    fn put(&mut self, name: usize, value: fmt::Arguments<'_>) {
        let start = self.text.len();
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(value);
        self.values[NAMES[name].0 as usize] = Some((name, start..self.text.len()));
    }
}

/// Reads an object, or the value of a member by a known name.
struct Walk<'f> {
    found: &'f mut Found,
    name: Option<usize>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Walk<'_> {
    fn put(self, value: fmt::Arguments<'_>) {
        if let Some(name) = self.name {
            self.found.put(name, value);
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let name = match key {
                Member::Known(name) => Some(name).filter(|name| self.found.wants(*name)),
                Member::Holder => None,
                Member::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            match name.map(|name| NAMES[name].1) {
                Some("downstreamstatus" | "requestpath") => self.found.traefik = true,
                Some("response_code") => self.found.envoy = true,
                _ => {}
            }
            map.next_value_seed(Walk { found: &mut *self.found, name })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // Headers in Caddy's log are lists; the first value is the one.
        let first = Walk { found: self.found, name: self.name };
        if seq.next_element_seed(first)?.is_some() {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.put(format_args!("{value}"));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.put(format_args!("{value}"));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.put(format_args!("{value}"));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.put(format_args!("{value}"));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// What a member is to us.
enum Member {
    Known(usize),
    /// An object that may hold some we know.
    Holder,
    Other,
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Member;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(match (known(name), name) {
            (Some(name), _) => Member::Known(name),
            (None, "headers" | "httpRequest" | "req" | "http" | "nginx" | "log" | "fields") => Member::Holder,
            _ => Member::Other,
        })
    }
}

/// The object in a line, behind any prefix.
pub(super) fn object(line: &[u8]) -> Option<&[u8]> {
    const PREFIX: usize = 256;
    let at = memchr(b'{', &line[..line.len().min(PREFIX)])?;
    Some(&line[at..])
}

/// Whether most of `lines` are objects and some of them are requests.
pub fn recognize(lines: &[&[u8]]) -> bool {
    let (mut all, mut objects, mut requests) = (0, 0, 0);
    let mut log = JsonLog::default();
    for line in lines.iter().filter(|line| !is_blank(line)) {
        all += 1;
        let read = log.record(line);
        objects += usize::from(read.is_ok());
        requests += usize::from(matches!(read, Ok(Some(_))));
    }
    requests > 0 && objects * 2 >= all
}

impl JsonLog {
    /// Reads logs whose times without a zone are of `zone`.
    pub fn new(zone: Zone) -> JsonLog {
        JsonLog { zone, found: Found::default() }
    }

    /// The request in a line.
    pub fn record<'a>(&'a mut self, line: &'a [u8]) -> Result<Option<Record<'a>>, Fault> {
        let Some(object) = object(line) else {
            // Envoy writes lines of both kinds, each listener as it is told.
            return super::envoy::record(line).ok_or(Fault::BadJson)?.map(Some);
        };
        self.found.clear();
        let mut json = serde_json::Deserializer::from_slice(object);
        Walk { found: &mut self.found, name: None }.deserialize(&mut json).map_err(|_| Fault::BadJson)?;
        let found = &self.found;
        let (request, target) = (found.get(Role::RequestLine), found.get(Role::Target));
        let status = found.get(Role::Status);
        if request.or(target).is_none() || status.or(request).or(found.get(Role::Method)).is_none() {
            return Ok(None);
        }
        let (moment, fine) = time(found.get(Role::Time).ok_or(Fault::BadTime)?).ok_or(Fault::BadTime)?;
        let (method, path) = match (target, request) {
            (Some(target), _) => (found.get(Role::Method).unwrap_or("").as_bytes(), path_of(target.as_bytes())),
            (None, request) => request_line(request.unwrap_or("").as_bytes()),
        };
        let forwarded = found
            .get(Role::Forwarded)
            .map(|list| without_port(first_of_list(list.as_bytes())))
            .filter(|a| is_address(a));
        let client = forwarded.unwrap_or_else(|| without_port(found.get(Role::Client).unwrap_or("").as_bytes()));
        let number = |role| found.get(role).and_then(|text: &str| text.parse::<f64>().ok()).filter(|n| *n >= 0.0);
        let optional = |role| found.get(role).map(str::as_bytes);
        let mut record = Record {
            client,
            method,
            path,
            status: number(Role::Status).filter(|n| *n < 1000.0).unwrap_or(0.0) as u16,
            bytes: number(Role::Bytes).unwrap_or(0.0) as u64,
            referrer: optional(Role::Referrer),
            agent: optional(Role::Agent),
            took: found.took(),
            ..Record::default()
        };
        record.set_nanos(self.zone.resolve(moment));
        record.subsecond = record.subsecond.filter(|_| fine);
        Ok(Some(record))
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        "JSON access log".to_string()
    }
}

impl Found {
    /// The response time \[ns\].
    fn took(&self) -> Option<u64> {
        let (name, range) = self.values[Role::Took as usize].clone()?;
        let text = self.text[range].as_bytes();
        let unit = match NAMES[name].2 {
            0 if self.traefik => 1,
            0 if self.envoy => 1_000_000,
            0 => 1_000_000_000,
            unit => unit,
        };
        with_unit(text).or_else(|| u64::try_from(timestamp::scaled(text, unit as i64)?).ok())
    }
}

/// A time as servers write it into JSON, and whether it is known below the second.
pub(super) fn time(text: &str) -> Option<(Moment, bool)> {
    let bytes = text.as_bytes();
    if let Some(nanos) = timestamp::epoch(bytes) {
        let fine = nanos % 1_000_000_000 != 0 || text.contains('.') || text.len() > 10;
        return Some((Moment { nanos, zoned: true }, fine));
    }
    let moment = timestamp::civil(bytes)?;
    Some((moment, bytes.iter().skip(18).any(|b| matches!(b, b'.' | b','))))
}

/// An address without `:port`; `[::1]:80` is `::1`.
pub(super) fn without_port(address: &[u8]) -> &[u8] {
    if let [b'[', inside @ ..] = address {
        return &inside[..memchr(b']', inside).unwrap_or(inside.len())];
    }
    match (memchr(b':', address), memchr::memrchr(b':', address)) {
        (Some(first), Some(last)) if first == last => &address[..first],
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn servers_are_understood_by_the_names_they_use() {
        // Client, method, path, status, bytes, microseconds.
        type Seen<'a> = (&'a str, &'a str, &'a str, u16, u64, Option<u64>);
        let cases: [(&str, Seen<'_>); 7] = [
            (
                r#"{"level":"info","ts":1693840791.75,"msg":"handled request","request":{"remote_ip":"172.17.0.1","client_ip":"127.0.0.1",
                "method":"GET","uri":"/a?b","headers":{"User-Agent":["curl/7.74.0"]}},"duration":0.000125,"size":13,"status":200}"#,
                ("127.0.0.1", "GET", "/a", 200, 13, Some(125)),
            ),
            (
                r#"app | {"ClientAddr":"10.0.0.1:5000","ClientHost":"10.0.0.1","DownstreamContentSize":19,"DownstreamStatus":404,"Duration":
                82000,"RequestMethod":"GET","RequestPath":"/x","StartUTC":"2023-09-04T15:19:51.75Z","time":"2023-09-04T15:19:59Z"}"#,
                ("10.0.0.1", "GET", "/x", 404, 19, Some(82)),
            ),
            (
                r#"{"start_time":"2023-09-04T15:19:51.750Z","method":"POST","path":"/y","response_code":503,"bytes_sent":9,"duration":11,
                "downstream_remote_address":"[::1]:59292","x-forwarded-for":"203.0.113.9, 10.0.0.1"}"#,
                ("203.0.113.9", "POST", "/y", 503, 9, Some(11_000)),
            ),
            (
                r#"{"time_iso8601":"2023-09-04T15:19:51.750+00:00","remote_addr":"::1","request":"GET /a?b HTTP/1.1","status":"200",
                "body_bytes_sent":"7","request_time":"0.250","http_user_agent":"x"}"#,
                ("::1", "GET", "/a", 200, 7, Some(250_000)),
            ),
            (
                r#"{"EdgeStartTimestamp":1693840791750000000,"ClientIP":"1.2.3.4","ClientRequestMethod":"HEAD","ClientRequestURI":"/",
                "EdgeResponseStatus":301,"EdgeResponseBytes":570}"#,
                ("1.2.3.4", "HEAD", "/", 301, 570, None),
            ),
            (
                r#"{"httpRequest":{"requestMethod":"GET","requestUrl":"https://x.org/a/b?c","status":200,"responseSize":"5","remoteIp":
                "1.2.3.4","latency":"0.002s"},"timestamp":"2023-09-04T15:19:51.75Z"}"#,
                ("1.2.3.4", "GET", "/a/b", 200, 5, Some(2000)),
            ),
            (
                r#"{"ts":"2023-09-04T15:19:51.75Z","uri":"/with\u0022quote\u0022","status":200,"method":"GET","duration":"1.5ms"}"#,
                ("", "GET", "/with\"quote\"", 200, 0, Some(1500)),
            ),
        ];
        for (line, (client, method, path, status, bytes, micros)) in cases {
            let mut log = JsonLog::default();
            let record = log.record(line.as_bytes()).unwrap_or_else(|f| panic!("{line}: {f}")).expect(line);
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let seen = (text(record.client), text(record.method), text(record.path), record.status, record.bytes);
            assert_eq!(seen, (client.into(), method.into(), path.into(), status, bytes), "{line}");
            assert_eq!(record.took.map(|n| n / 1000), micros, "{line}");
            assert_eq!((record.second, record.subsecond), (1_693_840_791, Some(750_000_000)), "{line}");
        }
    }

    #[test]
    fn messages_are_no_requests_and_text_is_no_json() {
        let mut log = JsonLog::default();
        let mut read = |line: &str| log.record(line.as_bytes()).map(|record| record.is_some());
        assert_eq!(read(r#"{"level":"info","ts":1761019822.3,"msg":"serving initial configuration"}"#), Ok(false));
        assert_eq!(read("starting"), Err(Fault::BadJson));
        assert_eq!(read(r#"{"ts":1761019822.3,"uri":"/","status":200"#), Err(Fault::BadJson));
        assert_eq!(read(r#"{"uri":"/","status":200}"#), Err(Fault::BadTime));
        assert_eq!(read(&format!(r#"{{"headers":{}"#, "[".repeat(100_000))), Err(Fault::BadJson));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in r#"\{("(ts|uri|status|request|headers|duration)":("[a-z0-9/]{0,5}"|[0-9.e-]{1,5}|\{|\[|null),?){0,6}\}?"#,
        ) {
            let mut log = JsonLog::default();
            let _ = log.record(&bytes);
            let _ = log.record(text.as_bytes());
        }
    }
}
