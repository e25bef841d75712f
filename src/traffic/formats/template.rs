//! Access logs by a template: an Apache `LogFormat` or an nginx `log_format`, as it stands in the server's configuration.
//!
//! A template is cut into literals and fields; a line is read by finding each literal behind the field before it. Between quotes a
//! backslash takes the meaning from a quote, as both servers write it. Source: Apache HTTP Server, mod_log_config; nginx,
//! ngx_http_log_module.

use memchr::memmem;

use super::clf::{first_of_list, is_address, number, path_of, request_line};
use super::json_log::without_port;
use super::timestamp::{self, Moment, Zone};
use super::{Fault, NANOS, Record};

/// A template, ready to read lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
    zone: Zone,
    server: &'static str,
}

/// A field, and the literal that ends it; the first part has a literal only.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    field: Field,
    end: Vec<u8>,
    /// Whether the field is between quotes.
    quoted: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Skip,
    Time(Clock),
    Client,
    Forwarded,
    Method,
    Target,
    Request,
    Status,
    Bytes,
    /// Units of as many nanoseconds.
    Took(i64),
    Agent,
    Referrer,
}

#[derive(Clone, Debug, PartialEq)]
enum Clock {
    /// `[17/May/2015:10:05:03 +0000]`
    Bracketed,
    /// Anything that is known without being told.
    Known,
    /// Units of as many nanoseconds since 1970.
    Epoch(i64),
    /// As `strftime` says.
    Strftime(String),
}

/// A template that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log format {format:?} {why}")]
pub struct BadTemplate {
    format: String,
    why: String,
}

impl Template {
    /// Understands `format`: nginx's if it has `$names`, else Apache's. `common`, `combined` and `vhost_combined` are names of formats.
    pub fn new(format: &str, zone: Zone) -> Result<Template, BadTemplate> {
        let bad = |why: String| BadTemplate { format: format.to_string(), why };
        let text = match format {
            "common" => "%h %l %u %t \"%r\" %>s %b",
            "combined" => "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"",
            "vhost_combined" => "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"",
            other => other,
        };
        let nginx = text.contains('$');
        let pieces = if nginx { nginx_pieces(text) } else { apache_pieces(text) }.map_err(bad)?;
        let mut parts = vec![Part { field: Field::Skip, end: Vec::new(), quoted: false }];
        for piece in pieces {
            let first = parts.len() == 1;
            let last = parts.last_mut().expect("there is a first part");
            match piece {
                Piece::Literal(byte) => last.end.push(byte),
                Piece::Field(_) if !first && last.end.is_empty() => {
                    let why = "has two fields with nothing between them: nobody can tell where one ends".to_string();
                    return Err(bad(why));
                }
                Piece::Field(field) => {
                    let quoted = last.end.ends_with(b"\"");
                    parts.push(Part { field, end: Vec::new(), quoted });
                }
            }
        }
        if !parts.iter().any(|part| matches!(part.field, Field::Time(_))) {
            return Err(bad(
                "has no time: expected %t or $time_local, $time_iso8601 or $msec among its fields".into()
            ));
        }
        Ok(Template { parts, zone, server: if nginx { "nginx log_format" } else { "Apache LogFormat" } })
    }

    /// The request in a line.
    pub fn record<'a>(&mut self, line: &'a [u8]) -> Result<Record<'a>, Fault> {
        let mut record = Record::default();
        let mut forwarded = None;
        let mut moment = None;
        let mut rest = line.strip_prefix(&self.parts[0].end[..]).ok_or(Fault::OtherFormat)?;
        for part in &self.parts[1..] {
            let end = match &part.field {
                Field::Time(clock) => {
                    let (read, end) = clock.read(rest, &part.end).ok_or(Fault::BadTime)?;
                    moment = Some(read);
                    end
                }
                _ => part.end_in(rest).ok_or(Fault::OtherFormat)?,
            };
            let value = &rest[..end];
            rest = rest[end..].strip_prefix(&part.end[..]).ok_or(Fault::OtherFormat)?;
            let absent = value == b"-";
            match part.field {
                Field::Skip | Field::Time(_) => {}
                Field::Client => record.client = without_port(value),
                Field::Forwarded => forwarded = Some(first_of_list(value)).filter(|address| is_address(address)),
                Field::Method => record.method = value,
                Field::Target => record.path = path_of(value),
                Field::Request => (record.method, record.path) = request_line(value),
                Field::Status if absent => {}
                Field::Status => {
                    record.status = number(value).filter(|n| *n < 1000).ok_or(Fault::BadStatus)? as u16;
                }
                Field::Bytes if absent => {}
                Field::Bytes => record.bytes = number(value).ok_or(Fault::BadBytes)?,
                // nginx lists a time for each server that was tried; the last one answered.
                Field::Took(unit) => {
                    let last = value.rsplit(|b| matches!(b, b',' | b' ')).next().unwrap_or(value);
                    record.took = timestamp::scaled(last, unit).and_then(|n| u64::try_from(n).ok());
                }
                Field::Agent => record.agent = Some(value),
                Field::Referrer => record.referrer = Some(value),
            }
        }
        record.client = forwarded.unwrap_or(record.client);
        let (moment, fine) = moment.ok_or(Fault::BadTime)?;
        record.set_nanos(self.zone.resolve(moment));
        record.subsecond = record.subsecond.filter(|_| fine);
        Ok(record)
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        format!("access log by the {} given", self.server)
    }
}

impl Part {
    /// Where the field at the start of `text` ends.
    fn end_in(&self, text: &[u8]) -> Option<usize> {
        if self.end.is_empty() {
            return Some(text.len());
        }
        let mut from = 0;
        loop {
            let at = from + memmem::find(&text[from..], &self.end)?;
            let escaped = self.quoted && text[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1;
            if !escaped {
                return Some(at);
            }
            from = at + 1;
        }
    }
}

impl Clock {
    /// The time at the start of `text` with whether it is known below the second, and where it ends.
    fn read(&self, text: &[u8], end: &[u8]) -> Option<((Moment, bool), usize)> {
        match self {
            Clock::Bracketed => {
                let close = memchr::memchr(b']', text)?;
                let moment = timestamp::slashed_moment(text.get(1..close)?)?;
                Some(((moment, false), close + 1))
            }
            Clock::Epoch(unit) => {
                let digits = text.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
                let nanos = timestamp::scaled(&text[..digits], *unit)?;
                let fine = *unit < NANOS || text[..digits].contains(&b'.');
                Some(((Moment { nanos, zoned: true }, fine), digits))
            }
            // A time may have blanks in it, and the literal may be one: the first end that makes a time counts, the longest last.
            Clock::Known | Clock::Strftime(_) => {
                let ends = memmem::find_iter(text, end).chain([text.len()]).take(8);
                let ends = ends.filter(|at| *at > 0).map(|at| at.min(text.len()));
                let mut best = None;
                for at in ends {
                    let Some(read) = self.parse(&text[..at]) else { continue };
                    best = Some((read, at));
                    if end.is_empty() || text[at..].starts_with(end) && matches!(self, Clock::Strftime(_)) {
                        break;
                    }
                }
                best
            }
        }
    }

    fn parse(&self, text: &[u8]) -> Option<(Moment, bool)> {
        let Clock::Strftime(format) = self else {
            return super::json_log::time(std::str::from_utf8(text).ok()?);
        };
        let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
        if let Ok(timestamp) = parsed.to_timestamp() {
            let nanos = i64::try_from(timestamp.as_nanosecond()).ok()?;
            return Some((Moment { nanos, zoned: true }, nanos % NANOS != 0));
        }
        let date = parsed.to_datetime().ok()?;
        let nanos = i64::try_from(jiff::tz::Offset::UTC.to_timestamp(date).ok()?.as_nanosecond()).ok()?;
        Some((Moment { nanos, zoned: false }, nanos % NANOS != 0))
    }
}

enum Piece {
    Literal(u8),
    Field(Field),
}

fn nginx_pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut upstream = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let Some(after) = rest.strip_prefix('$') else {
            let length = first.len_utf8();
            pieces.extend(rest.as_bytes()[..length].iter().map(|byte| Piece::Literal(*byte)));
            rest = &rest[length..];
            continue;
        };
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("has a ${ without its }")?,
            None => {
                after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len()))
            }
        };
        if name.is_empty() {
            return Err("has a $ without a name".to_string());
        }
        rest = after;
        upstream.push((pieces.len(), name));
        pieces.push(Piece::Field(match name {
            "remote_addr" => Field::Client,
            "http_x_forwarded_for" | "proxy_add_x_forwarded_for" => Field::Forwarded,
            "time_local" | "time_iso8601" => Field::Time(Clock::Known),
            "msec" => Field::Time(Clock::Epoch(NANOS)),
            "request" => Field::Request,
            "request_method" => Field::Method,
            "request_uri" | "uri" => Field::Target,
            "status" => Field::Status,
            "body_bytes_sent" | "bytes_sent" => Field::Bytes,
            "request_time" => Field::Took(NANOS),
            "http_user_agent" => Field::Agent,
            "http_referer" => Field::Referrer,
            _ => Field::Skip,
        }));
    }
    // The time of the whole request counts; where only the server's own is written, that does.
    let has_time = pieces.iter().any(|piece| matches!(piece, Piece::Field(Field::Took(_))));
    if !has_time {
        for (i, name) in upstream {
            if name == "upstream_response_time" {
                pieces[i] = Piece::Field(Field::Took(NANOS));
            }
        }
    }
    Ok(pieces)
}

fn apache_pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                let literal = match bytes.next() {
                    Some(b't') => b'\t',
                    Some(b'n') => b'\n',
                    Some(other) => other,
                    None => return Err("ends in a backslash".to_string()),
                };
                pieces.push(Piece::Literal(literal));
            }
            b'%' => {
                // Conditions (%400,501{User-agent}i, %!200s) and the choice of the first or last request say nothing here.
                while bytes.next_if(|b| b.is_ascii_digit() || matches!(b, b',' | b'!' | b'<' | b'>')).is_some() {}
                let mut parameter = String::new();
                if bytes.next_if_eq(&b'{').is_some() {
                    loop {
                        match bytes.next() {
                            Some(b'}') => break,
                            Some(byte) => parameter.push(char::from(byte)),
                            None => return Err("has a %{ without its }".to_string()),
                        }
                    }
                    while bytes.next_if(|b| matches!(b, b'<' | b'>')).is_some() {}
                }
                let Some(letter) = bytes.next() else { return Err("ends in a %".to_string()) };
                if letter == b'%' {
                    pieces.push(Piece::Literal(b'%'));
                    continue;
                }
                // A query begins with its question mark, so that a path and its query need nothing between them.
                if letter == b'q' && matches!(pieces.last(), Some(Piece::Field(Field::Target))) {
                    continue;
                }
                pieces.push(Piece::Field(apache_field(letter, &parameter)?));
            }
            other => pieces.push(Piece::Literal(other)),
        }
    }
    Ok(pieces)
}

fn apache_field(letter: u8, parameter: &str) -> Result<Field, String> {
    Ok(match letter {
        b'h' | b'a' => Field::Client,
        b't' => Field::Time(match parameter.strip_prefix("begin:").unwrap_or(parameter) {
            "" | "begin" | "end" => Clock::Bracketed,
            "sec" => Clock::Epoch(NANOS),
            "msec" => Clock::Epoch(1_000_000),
            "usec" => Clock::Epoch(1_000),
            "msec_frac" | "usec_frac" => return Ok(Field::Skip),
            format => Clock::Strftime(format.strip_prefix("end:").unwrap_or(format).to_string()),
        }),
        b'r' => Field::Request,
        b'm' => Field::Method,
        b'U' => Field::Target,
        b's' => Field::Status,
        b'b' | b'B' | b'O' => Field::Bytes,
        b'D' => Field::Took(1_000),
        b'T' => Field::Took(match parameter {
            "ms" => 1_000_000,
            "us" => 1_000,
            _ => NANOS,
        }),
        b'i' => match &parameter.to_ascii_lowercase()[..] {
            "user-agent" => Field::Agent,
            "referer" => Field::Referrer,
            "x-forwarded-for" => Field::Forwarded,
            _ => Field::Skip,
        },
        letter if letter.is_ascii_alphabetic() || letter == b'^' => Field::Skip,
        other => return Err(format!("has %{}, which is no directive of Apache's", char::from(other))),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Second, nanoseconds, client, path, status, bytes, microseconds.
    type Seen = (i64, Option<u32>, String, String, u16, u64, Option<u64>);

    fn read(format: &str, line: &str) -> Result<Seen, Fault> {
        let mut template = Template::new(format, Zone::default()).unwrap_or_else(|e| panic!("{e}"));
        let r = template.record(line.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok((r.second, r.subsecond, text(r.client), text(r.path), r.status, r.bytes, r.took.map(|n| n / 1000)))
    }

    #[test]
    fn formats_of_both_servers_read_what_they_wrote() {
        let at = |fraction| (1_431_857_103, fraction);
        let ten = |fraction, client: &str, path: &str, status, bytes, took| {
            let (second, subsecond) = at(fraction);
            Ok((second, subsecond, client.to_string(), path.to_string(), status, bytes, took))
        };
        let cases = [
            (
                "combined",
                r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a\"b\"?c HTTP/1.1" 200 5 "-" "curl \"x\"""#,
                ten(None, "1.2.3.4", r#"/a\"b\""#, 200, 5, None),
            ),
            (
                r#"%v:%p %h %l %u %t \"%r\" %>s %b %D %{X-Forwarded-For}i"#,
                r#"shop:443 10.0.0.1 - - [17/May/2015:12:05:03 +0200] "GET /a HTTP/1.1" 304 - 1500 203.0.113.9, 10.0.0.1"#,
                ten(None, "203.0.113.9", "/a", 304, 0, Some(1500)),
            ),
            (
                r#"%{%Y-%m-%d %H:%M:%S}t %a "%m %U%q" %s %{ms}T"#,
                r#"2015-05-17 10:05:03 1.2.3.4 "GET /a?b" 200 12"#,
                ten(None, "1.2.3.4", "/a", 200, 0, Some(12_000)),
            ),
            ("%{usec}t %h %s", "1431857103000250 h 200", ten(Some(250_000), "h", "", 200, 0, None)),
            (
                r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent $request_time"#,
                r#"::1 - John Doe [17/May/2015:10:05:03 +0000] "GET /a HTTP/2.0" 200 17 0.250"#,
                ten(None, "::1", "/a", 200, 17, Some(250_000)),
            ),
            (
                r#"$msec|${remote_addr}|$request_method|$request_uri|$status|$upstream_response_time"#,
                "1431857103.125|1.2.3.4|GET|/a?b|502|0.010, 0.020",
                ten(Some(125_000_000), "1.2.3.4", "/a", 502, 0, Some(20_000)),
            ),
            (
                r#"$time_iso8601 $remote_addr "$request" $status"#,
                r#"2015-05-17T12:05:03+02:00 1.2.3.4 "GET / HTTP/1.1" 200"#,
                ten(None, "1.2.3.4", "/", 200, 0, None),
            ),
        ];
        for (format, line, expected) in cases {
            assert_eq!(read(format, line), expected, "{format}");
        }
        assert_eq!(read("%h %t %s", "1.2.3.4 [17/May/2015:10:05:03 +0000]"), Err(Fault::OtherFormat));
        assert_eq!(read("%h %t %s", "1.2.3.4 [47/May/2015:10:05:03 +0000] 200"), Err(Fault::BadTime));
        assert_eq!(read("%h %t %s", "1.2.3.4 [17/May/2015:10:05:03 +0000] OK"), Err(Fault::BadStatus));
    }

    #[test]
    fn a_format_that_cannot_be_meant_says_why() {
        for (format, why) in [
            ("%h %l %u", "has no time"),
            ("%t%h", "nothing between them"),
            ("%t %{User-Agent", "without its }"),
            ("$time_local ${remote_addr", "without its }"),
            ("%t %", "ends in a %"),
            ("%t %5", "ends in a %"),
            ("%t %-", "no directive"),
            ("$time_local $ x", "without a name"),
        ] {
            let error = Template::new(format, Zone::default()).unwrap_err().to_string();
            assert!(error.contains(why), "{format}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_format_and_no_line_make_it_panic(
            format in r#"(%h|%t|%\{%H:%M\}t|%r|%s|%D|\$msec|\$time_local|\$request| |"|\\"|-){0,8}"#,
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            text in r#"[0-9/:. \["\\-]{0,60}"#,
        ) {
            if let Ok(mut template) = Template::new(&format, Zone::default()) {
                let _ = template.record(&bytes);
                let _ = template.record(text.as_bytes());
            }
        }
    }
}
