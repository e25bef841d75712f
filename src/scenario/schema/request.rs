//! The keys of `[[service.endpoint]]` that say how its requests are written.

use super::service::unique;
use crate::scenario::reader::{Field, Section};
use crate::scenario::request::{Body, Parameter, Request, Values, uses};
use crate::traffic::method::Method;

/// The longest body of no meaning \[bytes\].
const LONGEST: f64 = 100e6;

/// Fields that the sender writes itself, or that say how a message is framed.
const OWN: [&str; 8] =
    ["connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// The request of an endpoint whose path, with its query, is `target`.
pub(super) fn request(s: &Section, target: String) -> Option<Request> {
    let method = s.or("method", Method::Get, |f| f.choice(&Method::ALL));
    let parameters = s.or("parameters", Vec::new(), parameters);
    let headers = s.or("headers", Vec::new(), headers);
    let (text, bytes) = (s.optional("body", Field::any_text), s.optional("body_bytes", body_bytes));
    if let (Some(_), Some(_), Some(field)) = (&text, &bytes, s.field("body_bytes")) {
        return field.contradiction("there is a body too: remove one of the two");
    }
    let body = text.map(Body::Text).or(bytes.map(Body::Bytes)).unwrap_or_default();
    let has_body = s.field("body").or_else(|| s.field("body_bytes"));
    if let (Method::Get | Method::Head, Some(field)) = (method, has_body)
        && s.is_sound()
    {
        return field.contradiction(format!("a {} has no body: set method = \"POST\"", method.name()));
    }
    for parameter in &parameters {
        let in_body = matches!(&body, Body::Text(text) if uses(text, &parameter.name));
        let used = in_body
            || std::iter::once(&target)
                .chain(headers.iter().map(|(_, value)| value))
                .any(|text| uses(text, &parameter.name));
        if !used
            && s.is_sound()
            && let Some(field) = s.field("parameters")
        {
            return field.contradiction(format!(
                "nothing has {{{}}} in it: neither path, nor headers, nor body",
                parameter.name
            ));
        }
    }
    Some(Request { method, target, headers, body, parameters })
}

fn body_bytes(field: &Field) -> Option<u32> {
    match field.size()? {
        bytes if bytes <= LONGEST => Some(bytes as u32),
        _ => field.unfit("at most 100MB"),
    }
}

fn parameters(field: &Field) -> Option<Vec<Parameter>> {
    let parameter = |(name, value): (String, Field)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return value.unfit_part(format!("the name {name:?}"), "letters, digits, - and _");
        }
        Some(Parameter { values: values(&value)?, name })
    };
    all(field.members()?.into_iter().map(parameter))
}

/// All of them, after each was looked at.
fn all<T>(read: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = read.collect();
    read.into_iter().collect()
}

/// `["red", "blue"]` or `{ from = 1, to = 1000 }`.
fn values(field: &Field) -> Option<Values> {
    if field.is_table() {
        return field.section(|s| {
            let from = s.or("from", 1, |f| f.count(0));
            let to = s.required("to", "to = 1000", |f| f.count(0))?;
            if to < from {
                return s.field("to")?.unfit(format!("at least from, {from}"));
            }
            Some(Values::Whole { from, to })
        });
    }
    let mut seen = Vec::new();
    let values = field.list(|each| unique(&each, &mut seen))?;
    if values.is_empty() {
        return field.unfit("at least one value, or { from = 1, to = 1000 }");
    }
    Some(Values::Some(values))
}

fn headers(field: &Field) -> Option<Vec<(String, String)>> {
    let header = |(name, value): (String, Field)| {
        let lower = name.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return value.unfit_part(format!("the name {name:?}"), "the name of a header field");
        }
        if OWN.contains(&lower.as_str()) || lower.starts_with("wavetank-") {
            return value.contradiction("the sender writes this field itself: remove it");
        }
        let text = value.any_text()?;
        if !text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
            return value.unfit("visible ASCII characters and blanks");
        }
        Some((lower, text))
    };
    all(field.members()?.into_iter().map(header))
}
