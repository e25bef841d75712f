//! HAProxy's HTTP log (`option httplog`), with or without the prefix of syslog.
//!
//! ```text
//! client:port [accept date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes req_cookie res_cookie flags conns queues {captures} "request"
//! ```
//!
//! The date has no zone and milliseconds; it is when the request began (`accept date`, or `request date` since 1.7). The last of the
//! timers is the response time in milliseconds, with a `+` when logged early. Lines of the TCP log, errors of handshakes and
//! messages about proxies are no requests, and are passed over.
//! Source: HAProxy Configuration Manual, section 8.2.3.

use memchr::{memchr, memrchr};

use super::clf::{field, number, request_line};
use super::json_log::without_port;
use super::timestamp::{self, Zone};
use super::{Fault, Record, is_blank};

/// Reads HAProxy's logs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Haproxy {
    zone: Zone,
}

/// Whether some of `lines` are requests of HAProxy's, and most are of its log.
pub fn recognize(lines: &[&[u8]]) -> bool {
    let (mut all, mut ours, mut requests) = (0, 0, 0);
    for line in lines.iter().filter(|line| !is_blank(line)) {
        all += 1;
        let request = matches!(parse(line), Some(Ok(_)));
        requests += usize::from(request);
        ours += usize::from(request || accepted(line).is_some() || memchr::memmem::find(line, b"haproxy[").is_some());
    }
    requests > 0 && ours * 2 >= all
}

impl Haproxy {
    /// Reads logs of a machine in `zone`.
    pub fn new(zone: Zone) -> Haproxy {
        Haproxy { zone }
    }

    /// The request in a line.
    pub fn record<'a>(&mut self, line: &'a [u8]) -> Result<Option<Record<'a>>, Fault> {
        let Some(read) = parse(line) else { return Ok(None) };
        let (moment, mut record) = read?;
        record.set_nanos(self.zone.resolve(moment));
        Ok(Some(record))
    }
}

/// The client and the bracket of the date behind it: `1.2.3.4:5678 [25/Feb/2019:16:19:48.143] `.
fn accepted(line: &[u8]) -> Option<(&[u8], usize)> {
    let mut from = 0;
    // The process number of syslog's prefix is in brackets too.
    while let Some(bracket) = memchr(b'[', &line[from..]).map(|at| from + at) {
        if line.get(bracket + 3) == Some(&b'/') && bracket > 0 && line[bracket - 1] == b' ' {
            let before = &line[..bracket - 1];
            return Some((&before[memrchr(b' ', before).map_or(0, |at| at + 1)..], bracket));
        }
        from = bracket + 1;
    }
    None
}

/// The request in a line; `None` if it is of another kind.
fn parse(line: &[u8]) -> Option<Result<(timestamp::Moment, Record<'_>), Fault>> {
    let (client, bracket) = accepted(line)?;
    let (_, quoted) = line.split_at(memchr(b'"', line)?);
    let close = bracket + memchr(b']', &line[bracket..])?;
    let (_frontend, rest) = field(&line[close + 1..]);
    let (_server, rest) = field(rest);
    let (timers, rest) = field(rest);
    let (status, rest) = field(rest);
    let (bytes, _) = field(rest);
    if timers.iter().filter(|b| **b == b'/').count() != 4 {
        return None;
    }
    let Some(moment) = timestamp::slashed_moment(&line[bracket + 1..close]) else {
        return Some(Err(Fault::BadTimestamp));
    };
    // -1: the client went away before there was a status.
    let status = match status {
        b"-1" => 0,
        status => match number(status).filter(|n| *n < 1000) {
            Some(status) => status as u16,
            None => return Some(Err(Fault::BadStatus)),
        },
    };
    let Some(bytes) = number(bytes.strip_prefix(b"+").unwrap_or(bytes)) else {
        return Some(Err(Fault::BadBytes));
    };
    let total = &timers[memrchr(b'/', timers)? + 1..];
    let took = number(total.strip_prefix(b"+").unwrap_or(total)).map(|ms| ms.saturating_mul(1_000_000));
    let request = &quoted[1..];
    let (method, path) = request_line(&request[..memrchr(b'"', request).unwrap_or(request.len())]);
    let record = Record { client: without_port(client), method, path, status, bytes, took, ..Record::default() };
    Some(Ok((moment, record)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_read_and_everything_else_is_passed_over() {
        let mut log = Haproxy::new("+01:00".parse().unwrap());
        let line = b"Feb 25 16:19:49 192.168.4.2 haproxy[7]: 141.35.244.171:53332 [25/Feb/2019:16:19:48.143] prod_http_in~ \
            bk_admin/nginx 0/0/7/1457/+1487 200 11394 - - ---- 2/1/0/0/0 0/0 {Mozilla/5.0} {} \"GET /admin?a=\"b\" HTTP/1.1\"";
        let record = log.record(line).unwrap().unwrap();
        assert_eq!((record.second, record.subsecond), (1_551_107_988, Some(143_000_000)));
        assert_eq!(
            (record.client, record.method, record.path),
            (&b"141.35.244.171"[..], &b"GET"[..], &b"/admin"[..])
        );
        assert_eq!((record.status, record.bytes, record.took), (200, 11394, Some(1_487_000_000)));
        for other in [
            "Feb 25 16:19:38 192.168.4.2 haproxy[1]: Proxy prod_http_in started.",
            "192.168.1.4:50033 [28/Feb/2025:02:43:10.123] frontend/backend: SSL handshake failure (error:0A0000C1)",
            "10.0.1.2:33313 [12/Mar/2012:12:14:20.000] ssh ssh/server 1/0/5007 212 -- 0/0/0/0/3 0/0",
        ] {
            assert_eq!(log.record(other.as_bytes()), Ok(None), "{other}");
        }
        let bad = "1.2.3.4:5 [31/Feb/2019:16:19:48.143] a b/c 0/0/7/1457/1487 200 1 - - ---- 2/1/0/0/0 0/0 \"GET / HTTP/1.1\"";
        assert_eq!(log.record(bad.as_bytes()), Err(Fault::BadTimestamp));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in r#"[0-9:/ \[\]".+-]{0,80}"#) {
            let mut log = Haproxy::default();
            let _ = log.record(&bytes);
            let _ = log.record(format!("1.2.3.4:5 [25/Feb/2019:16:19:48.143] {text}\"").as_bytes());
        }
    }
}
