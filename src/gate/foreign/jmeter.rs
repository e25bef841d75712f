//! JMeter: results (JTL) in CSV, with the header that JMeter writes by default, or in XML.

use super::Tally;
use crate::gate::sample::Sample;

/// Samples, one a row.
pub(super) fn jtl(text: &str) -> Result<Sample, String> {
    if text.trim_start().starts_with('<') {
        return xml(text);
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| error.to_string())?.clone();
    let place = |name: &str| head.iter().position(|each| each.trim() == name);
    let elapsed = place("elapsed").ok_or("found no column elapsed: was the JTL written without its header?")?;
    let success = place("success").ok_or("found no column success")?;
    let (stamp, transaction) = (place("timeStamp"), place("responseMessage"));
    let mut tally = Tally::default();
    for (row, number) in reader.records().zip(2..) {
        let row = row.map_err(|error| error.to_string())?;
        let bad = |what: &str| {
            format!("row {number}: found {:?}, expected {what}", row.iter().collect::<Vec<_>>().join(","))
        };
        // A transaction controller adds a row for the sum of its samples.
        if transaction
            .and_then(|i| row.get(i))
            .is_some_and(|text| text.starts_with("Number of samples in transaction"))
        {
            continue;
        }
        let ms: f64 = row.get(elapsed).and_then(|ms| ms.trim().parse().ok()).ok_or_else(|| bad("elapsed in ms"))?;
        let ok = match row.get(success).map(str::trim) {
            Some("true") => true,
            Some("false") => false,
            _ => return Err(bad("success as true or false")),
        };
        let started: Option<f64> = stamp.and_then(|i| row.get(i)).and_then(|ms| ms.trim().parse().ok());
        tally
            .request(ms, ok, started.map(|started| started + ms))
            .map_err(|problem| format!("row {number}: {problem}"))?;
    }
    Ok(tally.sample())
}

/// Samples as elements: `<httpSample t="12" ts="1700000000000" s="true" …>`. Those inside another are parts of it (redirects, images), and
/// its time is that of all of them; JMeter's CSV counts the outer one as well.
fn xml(text: &str) -> Result<Sample, String> {
    let mut tally = Tally::default();
    let mut depth = 0usize;
    for tag in text.split('<').skip(1) {
        let name = tag.split([' ', '>', '/', '\n', '\t']).next().unwrap_or_default();
        if tag.starts_with("/httpSample") || tag.starts_with("/sample") {
            depth = depth.saturating_sub(1);
            continue;
        }
        if name != "httpSample" && name != "sample" {
            continue;
        }
        let Some(end) = end_of_tag(tag) else { return Err("the XML ends inside a sample".to_string()) };
        let inside = depth > 0;
        depth += usize::from(!tag[..end].ends_with('/'));
        if inside {
            continue;
        }
        let attribute = |key: &str| attribute(&tag[..end], key);
        let ms: f64 = attribute("t").and_then(|ms| ms.parse().ok()).ok_or("found a sample without t, its time")?;
        let ok = match attribute("s") {
            Some("true") => true,
            Some("false") => false,
            _ => return Err("found a sample without s, whether it succeeded".to_string()),
        };
        let started: Option<f64> = attribute("ts").and_then(|ms| ms.parse().ok());
        tally.request(ms, ok, started.map(|started| started + ms))?;
    }
    Ok(tally.sample())
}

/// Where a tag ends: at the first `>` that is not in quotes.
fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.char_indices().find_map(|(i, c)| {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '>') => return Some(i),
            _ => {}
        }
        None
    })
}

/// The value of an attribute.
fn attribute<'t>(tag: &'t str, key: &str) -> Option<&'t str> {
    tag.match_indices(key).find_map(|(i, _)| {
        let is_whole = tag[..i].ends_with(char::is_whitespace);
        let value = tag[i + key.len()..].trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, _) = value[1..].split_once(quote)?;
        is_whole.then_some(value)
    })
}
