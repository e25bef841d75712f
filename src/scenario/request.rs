//! What a request looks like on the wire: method, fields, body, and what in them differs from one request to the next.
//!
//! The simulator does not look at it, as service demand says what a request costs. Values of parameters are keyed draws, so that a request of a
//! live run and of a load test are the same one.

use std::borrow::Cow;

use crate::rng::{Dice, Stream, pick};
use crate::traffic::method::Method;

/// How requests to an endpoint are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Its method; default GET.
    pub method: Method,
    /// What is asked for: path and query, with `{name}` where a parameter goes.
    pub target: String,
    /// Fields beside those that the sender writes itself, in their order; values may have parameters.
    pub headers: Vec<(String, String)>,
    /// What is sent along.
    pub body: Body,
    /// What differs from request to request.
    pub parameters: Vec<Parameter>,
}

/// What is sent along.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// This text, with parameters.
    Text(String),
    /// So many bytes of no meaning.
    Bytes(u32),
}

/// A value that is drawn for each request.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// What stands in braces.
    pub name: String,
    /// What it can be, each as often.
    pub values: Values,
}

/// The values of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// A whole number, both ends included.
    Whole {
        /// The lowest.
        from: u32,
        /// The highest, ≥ `from`.
        to: u32,
    },
    /// One of these; at least one.
    Some(Vec<String>),
}

/// A request with the values of its parameters in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// Path and query.
    pub target: Cow<'a, str>,
    /// Values of [`Request::headers`], in their order.
    pub headers: Vec<Cow<'a, str>>,
    /// The body, if it is text.
    pub text: Cow<'a, str>,
}

impl Request {
    /// A request without anything but its path.
    pub fn get(path: &str) -> Request {
        Request { target: path.to_string(), ..Request::default() }
    }

    /// The path of its target, without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// The dice of parameters under a seed.
    pub fn dice(seed: u64) -> Dice {
        Dice::new(seed, Stream::Parameter)
    }

    /// The request of that index.
    pub fn written(&self, dice: &Dice, index: u64) -> Written<'_> {
        let text = match &self.body {
            Body::Text(text) => text.as_str(),
            Body::Empty | Body::Bytes(_) => "",
        };
        if self.parameters.is_empty() {
            return Written {
                target: Cow::Borrowed(&self.target),
                headers: self.headers.iter().map(|(_, value)| Cow::Borrowed(value.as_str())).collect(),
                text: Cow::Borrowed(text),
            };
        }
        let mut draws = dice.draws(index);
        let values: Vec<(&str, Cow<str>)> = self
            .parameters
            .iter()
            .map(|parameter| (parameter.name.as_str(), parameter.values.pick(draws.bits())))
            .collect();
        Written {
            target: filled(&self.target, &values, true),
            headers: self.headers.iter().map(|(_, value)| filled(value, &values, false)).collect(),
            text: filled(text, &values, false),
        }
    }

    /// Whether a request with this method and path may be one of these.
    pub fn fits(&self, method: &str, path: &str) -> bool {
        self.method.name() == method && is_of(self.path(), path, &self.parameters)
    }
}

impl Values {
    fn pick(&self, bits: u64) -> Cow<'_, str> {
        match self {
            Values::Whole { from, to } => {
                let n = (to - from) as usize + 1;
                Cow::Owned((u64::from(*from) + pick(bits, n) as u64).to_string())
            }
            Values::Some(values) => Cow::Borrowed(&values[pick(bits, values.len())]),
        }
    }
}

/// The next parameter in a text: what is before it, its place in `names`, and what comes after it.
fn next(text: &str, names: impl Fn(&str) -> Option<usize>) -> Option<(&str, usize, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| at + from) {
        let inside = &text[open + 1..];
        if let Some((name, after)) = inside.split_once('}')
            && let Some(place) = names(name)
        {
            return Some((&text[..open], place, after));
        }
        // A brace that is only a brace, as in JSON.
        from = open + 1;
    }
    None
}

/// A text with values in it. In a target, what would end a part of it is written as %XX.
fn filled<'a>(text: &'a str, values: &[(&str, Cow<str>)], in_target: bool) -> Cow<'a, str> {
    let place = |name: &str| values.iter().position(|(known, _)| *known == name);
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, i, after)) = next(rest, place) {
        out.push_str(before);
        match in_target {
            true => encode(&values[i].1, &mut out),
            false => out.push_str(&values[i].1),
        }
        rest = after;
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Writes everything but unreserved characters (RFC 3986 §2.3) as %XX.
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Whether `text` names a parameter.
pub fn uses(text: &str, name: &str) -> bool {
    next(text, |each| (each == name).then_some(0)).is_some()
}

/// Whether a path is one that a pattern makes; a parameter is some characters without a slash.
fn is_of(pattern: &str, path: &str, parameters: &[Parameter]) -> bool {
    let place = |name: &str| parameters.iter().position(|each| each.name == name);
    let Some((before, _, after)) = next(pattern, place) else { return pattern == path };
    let Some(rest) = path.strip_prefix(before) else { return false };
    let end = rest.find('/').unwrap_or(rest.len());
    (1..=end).filter(|at| rest.is_char_boundary(*at)).any(|at| is_of(after, &rest[at..], parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            method: Method::Post,
            target: "/shop/{shop}/items/{id}?by={shop}".to_string(),
            headers: vec![("x-shop".to_string(), "{shop}!".to_string())],
            body: Body::Text("{\"id\": {id}, \"none\": {}}".to_string()),
            parameters: vec![
                Parameter { name: "id".to_string(), values: Values::Whole { from: 5, to: 6 } },
                Parameter { name: "shop".to_string(), values: Values::Some(vec!["a b/c".to_string()]) },
            ],
        }
    }

    #[test]
    fn parameters_are_keyed_draws_and_leave_other_braces_alone() {
        let (request, dice) = (request(), Request::dice(3));
        let written: Vec<Written> = (0..50).map(|index| request.written(&dice, index)).collect();
        assert_eq!(written[7], request.written(&dice, 7));
        let id = |written: &Written| written.text.as_bytes()[7] - b'0';
        assert!(written.iter().any(|each| id(each) == 5) && written.iter().any(|each| id(each) == 6));
        let first = &written[0];
        assert_eq!(first.target, format!("/shop/a%20b%2Fc/items/{}?by=a%20b%2Fc", id(first)));
        assert_eq!(
            (first.headers[0].as_ref(), first.text.as_ref()),
            ("a b/c!", &*format!("{{\"id\": {}, \"none\": {{}}}}", id(first)))
        );
        let plain = Request::get("/a/{b}");
        assert_eq!(plain.written(&dice, 1).target, "/a/{b}", "without parameters braces are braces");
    }

    #[test]
    fn a_path_is_known_by_its_pattern_and_method() {
        let request = request();
        assert!(request.fits("POST", "/shop/x/items/5"));
        assert!(!request.fits("GET", "/shop/x/items/5"));
        for other in ["/shop/x/items/", "/shop/x/y/items/5", "/shop/x/items/5/6", "/shop//items/5"] {
            assert!(!request.fits("POST", other), "{other}");
        }
        assert!(Request::get("/cart?of=me").fits("GET", "/cart"));
    }
}
