//! How requests of a scenario are written: method, target, fields and body of each, with the values that its index draws.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};

use crate::rng::Dice;
use crate::scenario::request::{Body, Request};

/// Everything that a scenario's requests can be.
#[derive(Debug)]
pub struct Writer {
    forms: Vec<Form>,
    dice: Dice,
}

/// A kind of request, with what of it never changes.
#[derive(Debug)]
struct Form {
    request: Request,
    method: Method,
    names: Vec<HeaderName>,
    /// What is the same in every request; the body of no parameters, and all of it where there are none.
    body: Bytes,
    is_fixed: bool,
}

/// A request that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its method.
    pub method: Method,
    /// Path and query, as the scenario writes them.
    pub target: Cow<'a, str>,
    /// The scenario's fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; empty if there is none.
    pub body: Bytes,
}

impl Writer {
    /// Writes these requests; values of their parameters are drawn under `seed`.
    pub fn new<'a>(requests: impl Iterator<Item = &'a Request>, seed: u64) -> Writer {
        Writer { forms: requests.map(Form::new).collect(), dice: Request::dice(seed) }
    }

    /// The request of index `index`, of the kind at `place`.
    pub fn write(&self, place: usize, index: u64) -> Message<'_> {
        let form = &self.forms[place];
        let written = form.request.written(&self.dice, index);
        let values = form.names.iter().cloned().zip(&written.headers);
        // The reader of scenarios lets only such values through; a drawn one may be any text.
        let headers = values
            .filter_map(|(name, value)| Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?)))
            .collect();
        let body = if form.is_fixed { form.body.clone() } else { Bytes::copy_from_slice(written.text.as_bytes()) };
        Message { method: form.method.clone(), target: written.target, headers, body }
    }

    /// Whether the target of the kind at `place` is the same for every request.
    pub fn has_one_target(&self, place: usize) -> bool {
        self.forms[place].request.parameters.is_empty()
    }
}

impl Form {
    fn new(request: &Request) -> Form {
        let fixed = match &request.body {
            Body::Empty => Some(Bytes::new()),
            Body::Bytes(n) => Some(Bytes::from(vec![b'x'; *n as usize])),
            Body::Text(text) if request.parameters.is_empty() => Some(Bytes::copy_from_slice(text.as_bytes())),
            Body::Text(_) => None,
        };
        Form {
            method: Method::from_bytes(request.method.name().as_bytes()).unwrap_or_default(),
            names: request
                .headers
                .iter()
                .filter_map(|(name, _)| HeaderName::from_bytes(name.as_bytes()).ok())
                .collect(),
            is_fixed: fixed.is_some(),
            body: fixed.unwrap_or_default(),
            request: request.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::request::{Parameter, Values};
    use crate::traffic::method;

    #[test]
    fn a_request_is_written_as_the_scenario_says() {
        let parameters = vec![Parameter { name: "id".to_string(), values: Values::Some(vec!["7".to_string()]) }];
        let post = Request {
            method: method::Method::Post,
            target: "/items/{id}".to_string(),
            headers: vec![("x-id".to_string(), "{id}".to_string())],
            body: Body::Text("[{id}]".to_string()),
            parameters,
        };
        let put = Request { method: method::Method::Put, body: Body::Bytes(3), ..Request::get("/blob") };
        let writer = Writer::new([&post, &put, &Request::get("/")].into_iter(), 1);
        let message = writer.write(0, 5);
        assert_eq!((message.method, &*message.target, &message.body[..]), (Method::POST, "/items/7", &b"[7]"[..]));
        assert_eq!(message.headers[0].1, "7");
        assert_eq!(writer.write(1, 5).body, "xxx");
        let get = writer.write(2, 5);
        assert_eq!((get.method, &*get.target, get.body.len()), (Method::GET, "/", 0));
        assert!(writer.has_one_target(2) && !writer.has_one_target(0));
    }
}
