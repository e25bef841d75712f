//! Every reader of lines, each with what it remembers of the lines before: `cargo +nightly fuzz run lines`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavetank::traffic::formats::{Format, LogParser, clf, elb, haproxy, json_log, template, timestamp, w3c};

fuzz_target!(|input: (&str, &[u8])| {
    let (format, text) = input;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let mut parsers = vec![
        LogParser::Clf(clf::Clf::learned(&lines, Format::Combined)),
        LogParser::Json(json_log::JsonLog::default()),
        LogParser::Haproxy(haproxy::Haproxy::default()),
        LogParser::Elb(elb::recognize(&lines).unwrap_or_default()),
        LogParser::W3c(w3c::W3c::beginning(&lines)),
    ];
    if let Ok(template) = template::Template::new(format, timestamp::Zone::default()) {
        parsers.push(LogParser::Template(template));
    }
    for mut parser in parsers {
        for line in &lines {
            let _ = parser.record(line);
        }
        let _ = parser.describe();
    }
});
