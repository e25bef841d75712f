//! Common and Combined Log Format, as NCSA httpd introduced them and Apache and nginx write them.
//!
//! ```text
//! [vhost] host ident user [day/Mon/year:hour:minute:second zone] "request" status bytes ["referrer" "user agent"] [more]
//! ```
//!
//! Referrer and agent are Combined's. What follows them is a habit of each house; two things in it matter and are
//! recognized from the first lines: a response time (`0.123` is seconds as nginx writes them, `12ms` says its unit, a whole number is
//! microseconds, Apache's `%D`), and the addresses of `X-Forwarded-For`, of which the first is the client.
//!
//! Real logs need leniency in one place: old servers did not escape quotes inside the request, so the request ends at the first
//! unescaped quote that a status follows.

use memchr::{memchr, memchr_iter, memrchr};

use crate::traffic::formats::{Fault, Format, Record, is_blank, timestamp};

/// How lines are read, beyond what all have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clf {
    /// Whether referrer and agent are there.
    combined: bool,
    /// Whether a line begins with the name of a host.
    vhost: bool,
    /// Which of the fields at the end is the response time, from 0, and its unit \[ns\]; 0 if the field says it.
    took: Option<(usize, u64)>,
    /// Which of them has the addresses that a request was forwarded for.
    forwarded: Option<usize>,
}

/// Which of the two formats most of `lines` have; `None` if most have neither.
pub fn recognize(lines: &[&[u8]]) -> Option<(Format, Clf)> {
    let (mut all, mut good, mut combined) = (0, 0, 0);
    for line in lines.iter().filter(|line| !is_blank(line)) {
        all += 1;
        if let Ok((record, _)) = parse(line) {
            good += 1;
            combined += usize::from(record.agent.is_some());
        }
    }
    if good == 0 || good * 2 < all {
        return None;
    }
    let format = if combined * 2 >= good { Format::Combined } else { Format::Common };
    Some((format, Clf::learned(lines, format)))
}

impl Clf {
    /// What the first lines say about the fields at the end.
    pub fn learned(lines: &[&[u8]], format: Format) -> Clf {
        let ends: Vec<&[u8]> = lines.iter().filter_map(|line| Some(parse(line).ok()?.1)).collect();
        let width = ends.iter().map(|end| Fields(end).count()).max().unwrap_or(0).min(32);
        let column = |i: usize| ends.iter().filter_map(move |end| Fields(end).nth(i)).filter(|field| *field != b"-");
        let all = |i: usize, test: fn(&[u8]) -> bool| column(i).count() > 0 && column(i).all(test);
        let with_unit = (0..width).find(|&i| all(i, |field| with_unit(field).is_some())).map(|i| (i, 0));
        let seconds = || (0..width).find(|&i| all(i, is_decimal)).map(|i| (i, 1_000_000_000));
        let micros = || (0..width).rfind(|&i| all(i, |field| number(field).is_some())).map(|i| (i, 1000));
        Clf {
            combined: format == Format::Combined,
            vhost: lines.iter().filter(|line| has_vhost(line)).count() * 2 > lines.len(),
            took: with_unit.or_else(seconds).or_else(micros),
            forwarded: (0..width).find(|&i| all(i, |field| is_address(first_of_list(field)))),
        }
    }

    /// The request in a line.
    #[inline]
    pub fn record<'a>(&self, line: &'a [u8]) -> Result<Record<'a>, Fault> {
        let (mut record, end) = parse(line)?;
        if self.took.is_some() || self.forwarded.is_some() {
            for (i, field) in Fields(end).enumerate() {
                match self.took {
                    Some((at, 0)) if at == i => record.took = with_unit(field),
                    Some((at, unit)) if at == i => {
                        record.took = timestamp::scaled(field, unit as i64).and_then(|n| u64::try_from(n).ok());
                    }
                    _ => {}
                }
                if self.forwarded == Some(i) && is_address(first_of_list(field)) {
                    record.client = first_of_list(field);
                }
            }
        }
        Ok(record)
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        let mut text = if self.combined { "combined access log" } else { "common access log" }.to_string();
        let unit = |unit| match unit {
            0 => "response time",
            1000 => "response time in µs",
            _ => "response time in s",
        };
        let more = [
            self.vhost.then_some("virtual host"),
            self.took.map(|(_, u)| unit(u)),
            self.forwarded.map(|_| "client from X-Forwarded-For"),
        ];
        let more: Vec<&str> = more.into_iter().flatten().collect();
        if !more.is_empty() {
            text.push_str(&format!(" with {}", more.join(" and ")));
        }
        text
    }
}

/// Whether a line is a comment, or one of the error log of Apache (`[Wed Apr 16 16:09:40 2022] [core:error] …`) or nginx
/// (`2021/12/01 13:53:33 [error] …`), which share a file or a stream with requests in many houses.
#[cold]
pub fn is_message(line: &[u8]) -> bool {
    match line {
        [b'#', ..] => true,
        [b'[', rest @ ..] => memchr::memmem::find(rest, b"] [").is_some(),
        [a, b, c, d, b'/', _, _, b'/', ..] => [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

/// The request in a line, and what follows the fields that all have.
#[inline]
fn parse(line: &[u8]) -> Result<(Record<'_>, &[u8]), Fault> {
    let (bracket, client) = start(line).ok_or(Fault::NoTimestamp)?;
    let close = bracket + 27;
    if line.get(close) != Some(&b']') {
        return Err(Fault::BadTimestamp);
    }
    let second = timestamp::clf(&line[bracket + 1..close]).ok_or(Fault::BadTimestamp)?;

    let rest = line[close + 1..].trim_ascii_start();
    let [b'"', rest @ ..] = rest else {
        return Err(Fault::NoRequest);
    };
    let end = request_end(rest)?;
    let (method, path) = request_line(&rest[..end]);

    let (status, rest) = field(&rest[end + 1..]);
    let status = if status == b"-" { 0 } else { number(status).ok_or(Fault::BadStatus)? as u16 };
    let (bytes, rest) = field(rest);
    let bytes = match bytes {
        b"-" => 0,
        // A line may end after the status.
        b"" => 0,
        digits => number(digits).ok_or(Fault::BadBytes)?,
    };
    let (referrer, rest) = quoted(rest);
    let (agent, rest) = if referrer.is_some() { quoted(rest) } else { (None, rest) };
    Ok((Record { second, client, method, path, status, bytes, referrer, agent, ..Record::default() }, rest))
}

/// Where the bracket of the time is, and the client.
#[inline]
fn start(line: &[u8]) -> Option<(usize, &[u8])> {
    let first = memchr(b' ', line)?;
    // By far the commonest beginning.
    if line.get(first..first + 6) == Some(b" - - [") {
        return Some((first + 5, &line[..first]));
    }
    let bracket = timestamp_bracket(line)?;
    if has_vhost(&line[..bracket]) {
        let rest = &line[first + 1..];
        return Some((bracket, &rest[..memchr(b' ', rest)?]));
    }
    Some((bracket, &line[..first]))
}

/// Whether a line begins with a name and then an address: `www.example.com 1.2.3.4 - - [`.
fn has_vhost(line: &[u8]) -> bool {
    let mut fields = line.splitn(3, |b| *b == b' ');
    matches!((fields.next(), fields.next()), (Some(first), Some(second)) if !is_address(first) && is_address(second))
}

/// Whether this is an address of the Internet Protocol, near enough.
pub(super) fn is_address(text: &[u8]) -> bool {
    let dots = text.iter().filter(|b| **b == b'.').count();
    let colons = text.iter().filter(|b| **b == b':').count();
    match colons {
        0 => dots == 3 && text.len() >= 7 && text.iter().all(|b| b.is_ascii_digit() || *b == b'.'),
        1 => false,
        _ => text.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')),
    }
}

/// The first of `203.0.113.7, 10.0.0.1`.
pub(super) fn first_of_list(text: &[u8]) -> &[u8] {
    text[..memchr(b',', text).unwrap_or(text.len())].trim_ascii()
}

fn is_decimal(field: &[u8]) -> bool {
    let digits = field.iter().filter(|b| b.is_ascii_digit()).count();
    digits > 0 && digits + 1 == field.len() && field.contains(&b'.')
}

/// Nanoseconds of `12ms`, `1.5s`, `80us`.
pub(super) fn with_unit(field: &[u8]) -> Option<u64> {
    let digits = field.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let unit = match &field[digits..] {
        b"ns" => 1,
        b"us" | b"\xC2\xB5s" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        _ => return None,
    };
    if digits == 0 {
        return None;
    }
    timestamp::scaled(&field[..digits], unit).and_then(|n| u64::try_from(n).ok())
}

/// Fields between blanks, those in quotes without them.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0 = self.0.trim_ascii_start();
        if self.0.is_empty() {
            return None;
        }
        if let (Some(inside), rest) = quoted(self.0) {
            self.0 = rest;
            return Some(inside);
        }
        let (field, rest) = field(self.0);
        self.0 = rest;
        Some(field)
    }
}

/// Where the time begins: the first bracket after two fields or more, as some leave the identity out. Users may contain blanks,
/// and addresses brackets.
fn timestamp_bracket(line: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr(b'[', &line[from..])?;
        let before = &line[..at];
        if before.last() == Some(&b' ') && memchr_iter(b' ', before).count() >= 2 {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Where the request ends: at an unescaped quote that a status follows.
fn request_end(text: &[u8]) -> Result<usize, Fault> {
    let mut from = 0;
    let mut fault = Fault::NoRequest;
    while let Some(at) = memchr(b'"', &text[from..]).map(|at| from + at) {
        from = at + 1;
        if escaped(text, at) {
            continue;
        }
        match text[from..].trim_ascii_start() {
            [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] | [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..] => {
                return Ok(at);
            }
            [b'-'] | [b'-', b' ', ..] => return Ok(at),
            _ => fault = Fault::BadStatus,
        }
    }
    Err(fault)
}

/// Whether an odd number of backslashes stands before `at`.
fn escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

/// Method and path of `GET /path?query HTTP/1.1`, or of `GET http://host/path`; empty if there is none.
#[inline]
pub(super) fn request_line(request: &[u8]) -> (&[u8], &[u8]) {
    let Some(blank) = memchr(b' ', request) else {
        return (b"", b"");
    };
    let (method, target) = (&request[..blank], request[blank..].trim_ascii_start());
    // Old servers logged blanks in targets as they came; the protocol is behind the last.
    let end = memrchr(b' ', target).filter(|at| target[at + 1..].starts_with(b"HTTP/"));
    let target = &target[..end.or_else(|| memchr(b' ', target)).unwrap_or(target.len())];
    (method, path_of(target))
}

/// The path of `/path?query` or of `http://host/path#fragment`.
#[inline]
pub(super) fn path_of(target: &[u8]) -> &[u8] {
    let target = match memchr(b':', &target[..target.len().min(8)]) {
        Some(scheme) if target[scheme..].starts_with(b"://") => {
            let host = &target[scheme + 3..];
            &host[memchr(b'/', host).unwrap_or(host.len())..]
        }
        _ => target,
    };
    &target[..memchr::memchr2(b'?', b'#', target).unwrap_or(target.len())]
}

/// The next field up to a blank, and what follows it.
pub(super) fn field(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    text.split_at(memchr(b' ', text).unwrap_or(text.len()))
}

/// The next field if it is in quotes, without them, and what follows it.
pub(super) fn quoted(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let [b'"', inside @ ..] = text.trim_ascii_start() else {
        return (None, text);
    };
    let mut from = 0;
    while let Some(at) = memchr(b'"', &inside[from..]).map(|at| from + at) {
        if !escaped(inside, at) {
            return (Some(&inside[..at]), &inside[at + 1..]);
        }
        from = at + 1;
    }
    (None, text)
}

/// A number of at most 19 digits.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(line: &[u8]) -> Result<Record<'_>, Fault> {
        parse(line).map(|(record, _)| record)
    }

    /// What a test looks at: path, status, bytes, referrer, agent.
    type Seen<'a> = (&'a str, u16, u64, Option<&'a str>, Option<&'a str>);

    #[test]
    fn lines_of_real_servers_are_read() {
        let cases: [(&str, Seen<'_>); 14] = [
            (r#""GET /history/apollo/ HTTP/1.0" 200 6245"#, ("/history/apollo/", 200, 6245, None, None)),
            (r#""GET /a HTTP/1.0" 304 -"#, ("/a", 304, 0, None, None)),
            (r#""GET /a" 200 5"#, ("/a", 200, 5, None, None)),
            (r#""GET /a?b=c&d HTTP/1.1" 200 5 "-" "curl/7.1""#, ("/a", 200, 5, Some("-"), Some("curl/7.1"))),
            (r#""GET http://x.org/a/b?c HTTP/1.1" 200 5 "" "x" "-""#, ("/a/b", 200, 5, Some(""), Some("x"))),
            (
                r#""GET /say\"hi\" HTTP/1.1" 200 5 "http://a/\"q\"" "A \"quoted\" agent\\" 12"#,
                (r#"/say\"hi\""#, 200, 5, Some(r#"http://a/\"q\""#), Some(r#"A \"quoted\" agent\\"#)),
            ),
            (r#""GET /an"unescaped"quote HTTP/1.0" 404 -"#, (r#"/an"unescaped"quote"#, 404, 0, None, None)),
            (r#""GET /a HTTP/1.1" 200 5 "http://a/""#, ("/a", 200, 5, Some("http://a/"), None)),
            (r#""GET /a HTTP/1.1" 200 5 "http://never closed"#, ("/a", 200, 5, None, None)),
            (r#""-" 408 -"#, ("", 408, 0, None, None)),
            (r#""\x16\x03\x01" 400 226 "-" "-""#, ("", 400, 226, Some("-"), Some("-"))),
            (r#""GET / HTTP/1.1" - -"#, ("/", 0, 0, None, None)),
            (r#""GET / HTTP/1.1" 499"#, ("/", 499, 0, None, None)),
            (r#""OPTIONS * HTTP/1.0" 200 - "-" "-""#, ("*", 200, 0, Some("-"), Some("-"))),
        ];
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for (rest, (path, status, bytes, referrer, agent)) in cases {
            for head in ["199.72.81.55 - -", "::1 - frank", "[fe80::1] - O'Neill, Tip"] {
                let line = format!("{head} [01/Jul/1995:00:00:01 -0400] {rest}");
                let record = record(line.as_bytes()).unwrap_or_else(|fault| panic!("{line}: {fault}"));
                assert_eq!(text(record.client), head.split(' ').next().unwrap(), "{line}");
                let seen = (text(record.path), record.status, record.bytes);
                assert_eq!(seen, (path.to_string(), status, bytes), "{line}");
                assert_eq!(record.referrer.map(text).as_deref(), referrer, "{line}");
                assert_eq!(record.agent.map(text).as_deref(), agent, "{line}");
                assert_eq!(record.second, 804_571_201, "{line}");
            }
        }
    }

    #[test]
    fn a_line_that_is_none_says_why() {
        let time = "[01/Jul/1995:00:00:01 -0400]";
        for (line, fault) in [
            (String::new(), Fault::NoTimestamp),
            ("hello world".into(), Fault::NoTimestamp),
            (format!("192.168.202.254 {time} \"GET / HTTP/1.0\" 200 5"), Fault::NoTimestamp),
            ("h - - [01/Jul/1995:00:00:01]".into(), Fault::BadTimestamp),
            ("h - - [32/Jul/1995:00:00:01 -0400] \"GET /\" 200 5".into(), Fault::BadTimestamp),
            (format!("h - - {time}"), Fault::NoRequest),
            (format!("h - - {time} GET / 200 5"), Fault::NoRequest),
            (format!("h - - {time} \"GET / HTTP/1.0"), Fault::NoRequest),
            (format!("h - - {time} \"GET / HTTP/1.0\""), Fault::BadStatus),
            (format!("h - - {time} \"GET / HTTP/1.0\" OK 5"), Fault::BadStatus),
            (format!("h - - {time} \"GET / HTTP/1.0\" 2000 5"), Fault::BadStatus),
            (format!("h - - {time} \"GET / HTTP/1.0\" 200 5k"), Fault::BadBytes),
            (format!("h - - {time} \"GET / HTTP/1.0\" 200 -5"), Fault::BadBytes),
        ] {
            assert_eq!(record(line.as_bytes()), Err(fault), "{line}");
        }
    }

    #[test]
    fn what_a_house_adds_is_recognized() {
        let line = |head: &str, end: &str| {
            format!("{head} - - [01/Jul/1995:00:00:01 -0400] \"GET /a HTTP/1.1\" 200 5 \"-\" \"curl/7.1\"{end}")
        };
        let cases: [(&str, &str, &str, Option<u64>, &str); 9] = [
            ("1.2.3.4", "", "1.2.3.4", None, "combined access log"),
            ("1.2.3.4", " 116075", "1.2.3.4", Some(116_075_000), "combined access log with response time in µs"),
            ("1.2.3.4", " 0.125", "1.2.3.4", Some(125_000_000), "combined access log with response time in s"),
            (
                "1.2.3.4",
                " 0.125 pipe 0.120",
                "1.2.3.4",
                Some(125_000_000),
                "combined access log with response time in s",
            ),
            (
                "1.2.3.4",
                " 500 \"test@docker\" \"http://172.17.0.3:80\" 12ms",
                "1.2.3.4",
                Some(12_000_000),
                "combined access log with response time",
            ),
            ("1.2.3.4", " \"-\"", "1.2.3.4", None, "combined access log"),
            (
                "10.0.0.1",
                " \"203.0.113.7, 10.0.0.2\"",
                "203.0.113.7",
                None,
                "combined access log with client from X-Forwarded-For",
            ),
            ("www.example.com:443 1.2.3.4", "", "1.2.3.4", None, "combined access log with virtual host"),
            (
                "shop.example ::1",
                " 7",
                "::1",
                Some(7000),
                "combined access log with virtual host and response time in µs",
            ),
        ];
        for (head, end, client, took, words) in cases {
            let line = line(head, end);
            let (format, clf) = recognize(&[line.as_bytes(); 3]).unwrap();
            let record = clf.record(line.as_bytes()).unwrap();
            let seen = (String::from_utf8_lossy(record.client).into_owned(), record.took, clf.describe());
            assert_eq!(seen, (client.to_string(), took, words.to_string()), "{line}");
            assert_eq!((format, record.method, record.path), (Format::Combined, &b"GET"[..], &b"/a"[..]));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in r#"[a-z0-9 \["\]\\/:?-]{0,60}"#,
        ) {
            let _ = record(&bytes);
            let _ = record(text.as_bytes());
            let mut line = b"h - - [01/Jul/1995:00:00:01 -0400] \"".to_vec();
            line.extend(bytes);
            let _ = record(&line);
            let _ = record(format!("h - - [01/Jul/1995:00:00:01 -0400] \"{text}").as_bytes());
        }
    }
}
