//! Access logs of AWS load balancers: Application (ALB) and Classic (ELB).
//!
//! ```text
//! ALB  type time elb client:port target:port t_request t_target t_response status target_status in out "request" "agent" … creation …
//! ELB       time elb client:port backend:port t_request t_backend t_response status backend_status in out "request" "agent" …
//! ```
//!
//! ALB's time is when the answer was made, so a request began that much earlier as the three times add up to; ELB's is
//! when it was received. Times are seconds, −1 where there was no answer. Lines about connections that carried no HTTP
//! (`"- - - "`) are passed over. Source: AWS documentation, "Access logs for your Application Load Balancer", "… Classic Load Balancer".

use super::clf::{field, number, quoted, request_line};
use super::json_log::without_port;
use super::timestamp;
use super::{Fault, Record, is_blank};

/// Reads the logs of AWS load balancers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elb {
    classic: bool,
}

const TYPES: [&[u8]; 6] = [b"http", b"https", b"h2", b"grpcs", b"ws", b"wss"];

/// Whether most of `lines` are of a load balancer of AWS.
pub fn recognize(lines: &[&[u8]]) -> Option<Elb> {
    [Elb { classic: false }, Elb { classic: true }].into_iter().find(|elb| {
        let lines = || lines.iter().filter(|line| !is_blank(line) && !line.starts_with(b"#"));
        let good = lines().filter(|line| elb.record(line).is_ok()).count();
        let requests = lines().filter(|line| matches!(elb.record(line), Ok(Some(_)))).count();
        requests > 0 && good * 2 >= lines().count()
    })
}

impl Elb {
    /// The request in a line.
    pub fn record<'a>(&self, line: &'a [u8]) -> Result<Option<Record<'a>>, Fault> {
        if is_blank(line) || line.starts_with(b"#") {
            return Ok(None);
        }
        let mut rest = line;
        let mut next = || {
            let (field, after) = field(rest);
            rest = after;
            field
        };
        if !self.classic && !TYPES.contains(&next()) {
            return Err(Fault::OtherFormat);
        }
        let moment = timestamp::civil(next()).filter(|m| m.zoned).ok_or(Fault::BadTime)?;
        next();
        let client = next();
        next();
        let times = [next(), next(), next()];
        let [status, _target_status, _received, sent] = [next(), next(), next(), next()];
        let (Some(request), after) = quoted(rest) else {
            return Err(Fault::NoRequest);
        };
        let (agent, _) = quoted(after);
        if request.starts_with(b"- -") {
            return Ok(None);
        }
        let status = match status {
            b"-" => 0,
            status => number(status).filter(|n| *n < 1000).ok_or(Fault::BadStatus)? as u16,
        };
        // −1: the request was not handed on, or no answer came.
        let part = |text: &[u8]| timestamp::scaled(text, 1_000_000_000).map(|n| u64::try_from(n).ok());
        let [a, b, c] = times.map(part);
        let took = match (a, b, c) {
            (Some(a), Some(b), Some(c)) => {
                a.and_then(|a| b.and_then(|b| c.map(|c| a.saturating_add(b).saturating_add(c))))
            }
            _ => return Err(Fault::BadCount),
        };
        let (method, path) = request_line(request);
        let bytes = number(sent).ok_or(Fault::BadBytes)?;
        let client = without_port(client);
        let mut record = Record { client, method, path, status, bytes, agent, took, ..Record::default() };
        let before = if self.classic { 0 } else { took.and_then(|took| i64::try_from(took).ok()).unwrap_or(0) };
        record.set_nanos(moment.nanos.saturating_sub(before));
        Ok(Some(record))
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        if self.classic { "AWS Classic Load Balancer access log" } else { "AWS Application Load Balancer access log" }
            .into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_kinds_of_load_balancer_are_read() {
        let alb: &[u8] = b"h2 2018-07-02T22:23:00.186641Z app/my/1 10.0.1.252:48160 10.0.0.66:9000 0.000 0.102 0.001 200 200 5 257 \
            \"GET https://10.0.2.105:773/a?b HTTP/2.0\" \"curl/7.46.0\" ECDHE TLSv1.2";
        let gone: &[u8] = b"http 2018-07-02T22:23:00.186641Z app/my/1 [::1]:48160 - -1 -1 -1 503 - 5 257 \"GET http://x:80/ HTTP/1.1\" \"-\"";
        let elb: &[u8] = b"2015-05-13T23:39:43.945958Z lb 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 \
            \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.38.0\" - -";
        let tcp: &[u8] = b"2015-05-13T23:39:43.945958Z lb 192.168.131.39:2817 10.0.0.1:80 0.001 0.000028 0.000041 - - 82 305 \"- - - \" \"-\" - -";
        let read = recognize(&[alb, gone]).unwrap();
        let record = read.record(alb).unwrap().unwrap();
        assert_eq!((record.second, record.subsecond), (1_530_570_180, Some(83_641_000)));
        assert_eq!((record.client, record.path, record.status), (&b"10.0.1.252"[..], &b"/a"[..], 200));
        assert_eq!((record.took, record.bytes), (Some(103_000_000), 257));
        let record = read.record(gone).unwrap().unwrap();
        assert_eq!((record.took, record.status, record.client), (None, 503, &b"::1"[..]));
        let read = recognize(&[elb, tcp]).unwrap();
        let record = read.record(elb).unwrap().unwrap();
        assert_eq!(
            (record.second, record.subsecond, record.took),
            (1_431_560_383, Some(945_958_000), Some(1_178_000))
        );
        assert_eq!((read.record(tcp), read.record(b"# note")), (Ok(None), Ok(None)));
        assert_eq!(recognize(&[b"hello world"]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in r#"[0-9 ".-]{0,80}"#) {
            for elb in [Elb { classic: true }, Elb { classic: false }] {
                let _ = elb.record(&bytes);
                let _ = elb.record(format!("http 2018-07-02T22:23:00Z {text}").as_bytes());
            }
        }
    }
}
