//! The W3C extended log file format, as IIS, CloudFront and others write it.
//!
//! A `#Fields` line names the columns of the lines after it, and may come again with others when a server is restarted or
//! reconfigured. Values are separated by tabs or blanks, and may be quoted; `-` is none. Times are UTC, and seconds at best unless
//! a fraction says otherwise. Where lines have a `time` only, the `#Date` of the heading is the day; a time far before the
//! last begins the next day. `time-taken` is milliseconds in IIS, and seconds where it has a fraction (CloudFront, and the W3C draft).
//! Source: W3C Working Draft WD-logfile-960323; Microsoft, "W3C Extended Log File Format"; AWS, "Standard log file format".

use memchr::memchr;

use super::clf::{number, path_of};
use super::timestamp;
use super::{Fault, NANOS, Record, is_blank};

/// Reads W3C logs; its columns are those of the last `#Fields` line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct W3c {
    columns: Option<Columns>,
    /// What `#Date` or the last line said \[ns since 1970, midnight\].
    day: Option<i64>,
    /// The time of the last line without a date \[ns of the day\].
    last: i64,
    cloudfront: bool,
}

/// Where the columns are, from 0.
#[derive(Clone, Debug, Default, PartialEq)]
struct Columns {
    date: Option<usize>,
    time: Option<usize>,
    client: Option<usize>,
    method: Option<usize>,
    target: Option<usize>,
    status: Option<usize>,
    bytes: Option<usize>,
    took: Option<usize>,
    agent: Option<usize>,
    referrer: Option<usize>,
}

impl Columns {
    fn named(names: &[u8]) -> Columns {
        let mut columns = Columns::default();
        for (i, name) in names.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()).enumerate() {
            let name = name.to_ascii_lowercase();
            let slot = match &name[..] {
                b"date" => &mut columns.date,
                b"time" => &mut columns.time,
                b"c-ip" => &mut columns.client,
                b"cs-method" => &mut columns.method,
                b"cs-uri-stem" => &mut columns.target,
                b"cs-uri" if columns.target.is_none() => &mut columns.target,
                b"sc-status" | b"c-status" => &mut columns.status,
                b"sc-bytes" => &mut columns.bytes,
                b"time-taken" | b"x-duration" => &mut columns.took,
                b"cs(user-agent)" => &mut columns.agent,
                b"cs(referer)" | b"cs(referrer)" => &mut columns.referrer,
                _ => continue,
            };
            *slot = Some(i);
        }
        columns
    }
}

/// Whether `lines` begin as such a log does.
pub fn recognize(lines: &[&[u8]]) -> bool {
    lines.iter().take_while(|line| is_blank(line) || line.starts_with(b"#")).any(|line| line.starts_with(b"#Fields:"))
}

/// The next value and what follows it.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = match text {
        // CloudFront separates by tabs, and a value may be empty between two.
        [b'\t', rest @ ..] => rest,
        [b' ', ..] => text.trim_ascii_start(),
        _ => text,
    };
    match text {
        [] => None,
        [b'"', inside @ ..] => {
            let end = memchr(b'"', inside)?;
            Some((&inside[..end], &inside[end + 1..]))
        }
        _ => Some(text.split_at(memchr::memchr2(b' ', b'\t', text).unwrap_or(text.len()))),
    }
}

impl W3c {
    /// A reader of a log that begins with `lines`: what it is called depends on its first columns.
    pub fn beginning(lines: &[&[u8]]) -> W3c {
        let cloudfront = lines.iter().any(|line| memchr::memmem::find(line, b"x-edge").is_some());
        W3c { cloudfront, ..W3c::default() }
    }

    /// The request in a line; a line of the heading changes how those after it are read.
    pub fn record<'a>(&mut self, line: &'a [u8]) -> Result<Option<Record<'a>>, Fault> {
        if let Some(directive) = line.strip_prefix(b"#") {
            self.directive(directive);
            return Ok(None);
        }
        if is_blank(line) {
            return Ok(None);
        }
        let columns = self.columns.as_ref().ok_or(Fault::NoFields)?;
        let [mut date, mut time, mut took] = [None::<&[u8]>; 3];
        let mut record = Record::default();
        let mut rest = line;
        let mut i = 0;
        while let Some((value, after)) = value(rest) {
            rest = after;
            let at = Some(i);
            i += 1;
            match at {
                _ if at == columns.date => date = Some(value),
                _ if at == columns.time => time = Some(value),
                _ if value == b"-" => {}
                _ if at == columns.client => record.client = value,
                _ if at == columns.method => record.method = value,
                _ if at == columns.target => record.path = path_of(value),
                _ if at == columns.status => {
                    record.status = number(value).filter(|n| *n < 1000).ok_or(Fault::BadStatus)? as u16;
                }
                _ if at == columns.bytes => record.bytes = number(value).ok_or(Fault::BadBytes)?,
                _ if at == columns.took => took = Some(value),
                _ if at == columns.agent => record.agent = Some(value),
                _ if at == columns.referrer => record.referrer = Some(value),
                _ => {}
            }
        }
        if columns.date.is_some() && date.is_none() || time.is_none() {
            return Err(Fault::MissingColumn);
        }
        let (nanos, fine) = self.moment(date, time.unwrap_or_default()).ok_or(Fault::BadTime)?;
        record.set_nanos(nanos);
        record.subsecond = record.subsecond.filter(|_| fine);
        record.took = took.and_then(|took| {
            let unit = if self.cloudfront || took.contains(&b'.') { NANOS } else { 1_000_000 };
            u64::try_from(timestamp::scaled(took, unit)?).ok()
        });
        Ok(Some(record))
    }

    fn directive(&mut self, text: &[u8]) {
        if let Some(names) = text.strip_prefix(b"Fields:") {
            self.columns = Some(Columns::named(names));
            self.cloudfront = memchr::memmem::find(names, b"x-edge").is_some();
        } else if let Some(date) = text.strip_prefix(b"Date:") {
            let date = date.trim_ascii();
            let end = date.iter().position(u8::is_ascii_whitespace).unwrap_or(date.len());
            if let Some(nanos) = day(&date[..end]) {
                (self.day, self.last) = (Some(nanos), 0);
            }
        }
    }

    /// The moment of a line, and whether it is known below the second.
    fn moment(&mut self, date: Option<&[u8]>, time: &[u8]) -> Option<(i64, bool)> {
        let (hms, fraction) = time.split_at(time.iter().position(|b| *b == b'.').unwrap_or(time.len()));
        let [h, m, s] = clock(hms)?;
        let below = if fraction.is_empty() { 0 } else { timestamp::scaled(&[b"0", fraction].concat(), NANOS)? };
        let of_day = (h * 3600 + m * 60 + s) * NANOS + below;
        let fine = !fraction.is_empty();
        if let Some(date) = date {
            return Some((day(date)?.checked_add(of_day)?, fine));
        }
        const DAY: i64 = 86_400 * NANOS;
        let mut day = self.day?;
        // Twelve hours back is the next day, and not a late line.
        if of_day < self.last - DAY / 2 {
            day = day.checked_add(DAY)?;
            self.day = Some(day);
        }
        self.last = of_day;
        Some((day.checked_add(of_day)?, fine))
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        if self.cloudfront { "CloudFront access log (W3C extended)" } else { "W3C extended access log" }.into()
    }
}

/// Midnight of `2015-12-07`, `28/Jun/2017` or `12/07/2015` \[ns\].
fn day(text: &[u8]) -> Option<i64> {
    let text = match text {
        [.., b'/', _, _, _, b'/', _, _, _, _] => [text, b":00:00:00"].concat(),
        _ => text.to_vec(),
    };
    timestamp::civil(&text).map(|moment| moment.nanos)
}

fn clock(text: &[u8]) -> Option<[i64; 3]> {
    let mut parts = text.split(|b| *b == b':').map(|part| number(part).filter(|n| *n <= 60).map(|n| n as i64));
    let clock = [parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?];
    (parts.next().is_none() && clock[0] < 24 && clock[1] < 60).then_some(clock)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Second, path, status and response time.
    type Seen = (i64, String, u16, Option<u64>);

    fn read(log: &mut W3c, line: &str) -> Result<Option<Seen>, Fault> {
        let record = log.record(line.as_bytes())?;
        Ok(record.map(|r| (r.second, String::from_utf8_lossy(r.path).into_owned(), r.status, r.took)))
    }

    #[test]
    fn fields_may_change_on_the_way() {
        let mut log = W3c::default();
        assert_eq!(read(&mut log, "2012-04-01 00:00:13 GET /a"), Err(Fault::NoFields));
        assert_eq!(
            read(&mut log, "#Fields: date time cs-method cs-uri-stem sc-status time-taken cs(User-Agent)"),
            Ok(None)
        );
        let line = "2012-04-01 00:00:13 GET /a 200 15 Mozilla/5.0+(X)";
        assert_eq!(read(&mut log, line), Ok(Some((1_333_238_413, "/a".into(), 200, Some(15_000_000)))));
        assert_eq!(read(&mut log, "2012-04-01 00:00:13"), Ok(Some((1_333_238_413, String::new(), 0, None))));
        assert_eq!(read(&mut log, "2012-04-01"), Err(Fault::MissingColumn));
        assert_eq!(read(&mut log, "2012-04-31 00:00:13 GET"), Err(Fault::BadTime));
        assert_eq!(read(&mut log, "2012-04-01 00:00:13 GET /a 20x"), Err(Fault::BadStatus));
        assert_eq!(read(&mut log, "#Fields: time c-ip sc-status cs-uri-stem"), Ok(None));
        assert_eq!(read(&mut log, "00:00:13 - 200 /a"), Err(Fault::BadTime), "no day");
        assert_eq!(read(&mut log, "#Date: 2000-10-09 16:44:49"), Ok(None));
        assert_eq!(read(&mut log, "23:59:59 - 304 /b?c"), Ok(Some((971_135_999, "/b".into(), 304, None))));
        assert_eq!(read(&mut log, "23:59:58 - 304 /b"), Ok(Some((971_135_998, "/b".into(), 304, None))), "late");
        assert_eq!(read(&mut log, "00:00:01 - 304 /b"), Ok(Some((971_136_001, "/b".into(), 304, None))), "midnight");
    }

    #[test]
    fn cloudfront_separates_by_tabs_and_counts_in_seconds() {
        let mut log = W3c::default();
        let fields = "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs-uri-stem sc-status time-taken";
        assert!(recognize(&[b"#Version: 1.0", fields.as_bytes()]));
        read(&mut log, fields).unwrap();
        let line = "2014-05-23\t01:13:11\tFRA2\t182\t192.0.2.10\tGET\t/view file\t200\t2";
        // A blank inside a value is CloudFront's %20, so it does not occur.
        let line = line.replace("view file", "view%20file");
        assert_eq!(read(&mut log, &line), Ok(Some((1_400_807_591, "/view%20file".into(), 200, Some(2_000_000_000)))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
            fields in "(#Fields:( (date|time|c-ip|sc-status|sc-bytes|time-taken)){0,6}|#Date: [0-9/-]{0,12})",
            text in "[0-9:./ \t\"-]{0,60}",
        ) {
            let mut log = W3c::default();
            for line in [&bytes[..], fields.as_bytes(), &bytes, text.as_bytes()] {
                let _ = log.record(line);
            }
        }
    }
}
