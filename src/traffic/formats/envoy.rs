//! Envoy's default access log, in text.
//!
//! ```text
//! [start time] "method path protocol" status flags received sent duration upstream "x-forwarded-for" "agent" "request id" …
//! ```
//!
//! The duration is milliseconds. Containers put a prefix before a line, which is passed over. Source: Envoy documentation, "Access
//! logging", default format string.

use memchr::memmem;

use super::clf::{field, first_of_list, is_address, number, quoted, request_line};
use super::json_log::without_port;
use super::{Fault, Record, timestamp};

/// The request in a line; `None` if it has no such beginning.
pub fn record(line: &[u8]) -> Option<Result<Record<'_>, Fault>> {
    const PREFIX: usize = 256;
    let head = &line[..line.len().min(PREFIX)];
    let (from, close) = memmem::find_iter(head, b"[").find_map(|at| {
        let close = at + 1 + memchr::memchr(b']', &line[at + 1..])?;
        let rest = line.get(close + 1..)?;
        (rest.starts_with(b" \"") && line.get(at + 5) == Some(&b'-')).then_some((at + 1, close))
    })?;
    Some(fields(&line[from..close], &line[close + 1..]))
}

fn fields<'a>(time: &'a [u8], rest: &'a [u8]) -> Result<Record<'a>, Fault> {
    let moment = timestamp::civil(time).filter(|moment| moment.zoned).ok_or(Fault::BadTime)?;
    let (Some(request), rest) = quoted(rest) else { return Err(Fault::NoRequest) };
    let (method, path) = request_line(request);
    let (status, rest) = field(rest);
    let (_flags, rest) = field(rest);
    let (_received, rest) = field(rest);
    let (sent, rest) = field(rest);
    let (duration, rest) = field(rest);
    let (_upstream, rest) = field(rest);
    let (forwarded, rest) = quoted(rest);
    let (agent, _) = quoted(rest);
    let client = forwarded
        .map(|list| without_port(first_of_list(list)))
        .filter(|address| is_address(address))
        .unwrap_or_default();
    let mut record = Record {
        client,
        method,
        path,
        status: number(status).filter(|n| *n < 1000).ok_or(Fault::BadStatus)? as u16,
        bytes: number(sent).ok_or(Fault::BadBytes)?,
        took: number(duration).map(|ms| ms.saturating_mul(1_000_000)),
        agent,
        ..Record::default()
    };
    record.set_nanos(moment.nanos);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_format_is_read_behind_a_prefix() {
        let line = b"2025-12-31T19:00:00.310+01:00 stdout F [2016-04-15T20:17:00.310Z] \"POST /api/v1/locations?x HTTP/2\" 204 - 154 7 \
            226 100 \"10.0.35.28\" \"nsq2http\" \"cc21d9b0\" \"locations\" \"tcp://10.0.2.1:80\"";
        let record = record(line).unwrap().unwrap();
        assert_eq!((record.second, record.subsecond), (1_460_751_420, Some(310_000_000)));
        assert_eq!(
            (record.client, record.method, record.path),
            (&b"10.0.35.28"[..], &b"POST"[..], &b"/api/v1/locations"[..])
        );
        assert_eq!((record.status, record.bytes, record.took), (204, 7, Some(226_000_000)));
        assert_eq!(record.agent, Some(&b"nsq2http"[..]));
        assert_eq!(super::record(b"1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.0\" 200 1"), None);
        assert_eq!(super::record(b"[2016-04-35T20:17:00Z] \"GET / HTTP/2\" 204"), Some(Err(Fault::BadTime)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in r#"[0-9 "\[\]-]{0,60}"#) {
            let _ = record(&bytes);
            let _ = record(format!("[2016-04-15T20:17:00Z] \"{text}").as_bytes());
        }
    }
}
