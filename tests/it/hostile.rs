//! Recordings that mean harm: nothing in them makes a reader panic, loop, or take memory without bound.

use std::io::Write;

use allocation_counter::measure;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;
use wavetank::traffic::replay::{Dataset, Options};
use wavetank::traffic::{Arrivals, Config};
use wavetank::units::Time;

/// What a reader may hold at once \[bytes\]: a few blocks, a line of at most 1 MiB in every form that it takes, and what waits for its
/// second.
const MOST: u64 = 64 << 20;

/// A gzip of a head, `times` copies of a part, and a tail: small on disk, however large.
fn bomb(head: &str, part: &[u8], times: usize, tail: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let mut out = GzEncoder::new(file.reopen().unwrap(), Compression::fast());
    out.write_all(head.as_bytes()).unwrap();
    for _ in 0..times {
        out.write_all(part).unwrap();
    }
    out.write_all(tail.as_bytes()).unwrap();
    out.finish().unwrap();
    file
}

#[test]
fn no_recording_takes_memory_without_bound() {
    let clf = "h - - [17/May/2015:10:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"x\"\n".repeat(3);
    let json = "{\"ts\":1693840791.75,\"uri\":\"/\",\"status\":200}\n".repeat(3);
    let csv = "time,n\n0,1\n1,2\n2,1\n";
    let rows = "{\"time\":\"2015-05-17T10:00:00Z\",\"n\":1}\n{\"time\":\"2015-05-17T10:00:01Z\",\"n\":2}\n";
    let chunk = vec![b'a'; 1 << 20];
    let cases: [(&str, NamedTempFile); 10] = [
        ("a line of 300 MB in a log", bomb(&clf, &chunk, 300, "\n")),
        ("a user agent of 300 MB", bomb(&(clf.clone() + clf.trim_end().trim_end_matches('"')), &chunk, 300, "\"\n")),
        (
            "a line of 300 MB in JSON",
            bomb(&(json.clone() + "{\"ts\":1693840791.75,\"uri\":\""), &chunk, 300, "\"}\n"),
        ),
        ("JSON nested 50 million deep", bomb(&(json.clone() + "{\"headers\":"), &[b'['; 1 << 20], 50, "\n")),
        ("objects nested as deep", bomb(&(rows.to_string() + "{\"a\":"), &b"{\"a\":".repeat(1 << 18), 20, "\n")),
        ("a row of 100 million fields", bomb(csv, &b"1,".repeat(1 << 19), 100, "\n")),
        ("a heading of a million fields", bomb("time", &b",n".repeat(1 << 10), 1 << 10, "\n0,1\n1,2\n")),
        ("300 million blank lines", bomb(&clf, &[b'\n'; 1 << 20], 300, &clf)),
        ("bytes that are no UTF-8", bomb(&clf, &b"\xFF\xFE\xC0\n".repeat(1 << 18), 20, "")),
        ("zeros", bomb("", &[0; 1 << 20], 300, "")),
    ];
    for (name, file) in cases {
        let mut outcome = String::new();
        let taken = measure(|| {
            let options = Options { max_bad_lines: 1.0, ..Options::default() };
            outcome = match Dataset::open(file.path(), &options) {
                Ok(dataset) => {
                    let arrivals =
                        Arrivals::replay(&dataset, &Config::default(), 1, Time::from_secs_f64(1e5)).unwrap();
                    format!("{} requests", arrivals.take(100_000).count())
                }
                Err(error) => error.to_string(),
            };
        });
        assert!(outcome.len() < 4000, "{name}: what is said fits a screen: {} bytes", outcome.len());
        assert!(taken.bytes_max < MOST, "{name}: {} MB at once; {outcome}", taken.bytes_max >> 20);
    }
}
