//! Common and Combined Log Format, as NCSA httpd introduced them and Apache and nginx write them.
//!
//! ```text
//! host ident user [day/Mon/year:hour:minute:second zone] "request" status bytes "referrer" "user agent"
//! ```
//!
//! The last two are Combined's; whatever follows is passed over. Real logs need leniency in one place: old
//! servers did not escape quotes inside the request, so the request ends at the first unescaped quote that a
//! status follows.

use memchr::memchr;

use crate::traffic::formats::{Fault, Format, Record, is_blank, timestamp};

/// Which of the two formats most of `lines` have; `None` if most have neither.
pub fn recognize(lines: &[&[u8]]) -> Option<Format> {
    let (mut all, mut good, mut combined) = (0, 0, 0);
    for line in lines.iter().filter(|line| !is_blank(line)) {
        all += 1;
        if let Ok(record) = record(line) {
            good += 1;
            combined += usize::from(record.agent.is_some());
        }
    }
    match () {
        () if good == 0 || good * 2 < all => None,
        () if combined * 2 >= good => Some(Format::Combined),
        () => Some(Format::Common),
    }
}

/// The request in a line.
pub fn record(line: &[u8]) -> Result<Record<'_>, Fault> {
    let bracket = timestamp_bracket(line).ok_or(Fault::NoTimestamp)?;
    let client = &line[..memchr(b' ', line).ok_or(Fault::NoTimestamp)?];
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
    let path = path(&rest[..end]);

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
    let (agent, _) = if referrer.is_some() { quoted(rest) } else { (None, rest) };
    Ok(Record { second, client, path, status, bytes, referrer, agent })
}

/// Where the time begins: the first bracket after three fields. Users may contain blanks, and addresses brackets.
fn timestamp_bracket(line: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr(b'[', &line[from..])?;
        let before = &line[..at];
        if before.last() == Some(&b' ') && before.iter().filter(|b| **b == b' ').count() >= 3 {
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

/// The path of `GET /path?query HTTP/1.1`, or of `GET http://host/path`; empty if there is none.
fn path(request: &[u8]) -> &[u8] {
    let Some(blank) = memchr(b' ', request) else {
        return b"";
    };
    let target = request[blank..].trim_ascii_start();
    let target = &target[..memchr(b' ', target).unwrap_or(target.len())];
    let target = match target.windows(3).position(|w| w == b"://") {
        Some(scheme) if scheme <= 5 => {
            let host = &target[scheme + 3..];
            &host[memchr(b'/', host).unwrap_or(host.len())..]
        }
        _ => target,
    };
    let end = target.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(target.len());
    &target[..end]
}

/// The next field up to a blank, and what follows it.
fn field(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    text.split_at(memchr(b' ', text).unwrap_or(text.len()))
}

/// The next field if it is in quotes, without them, and what follows it.
fn quoted(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
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
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
