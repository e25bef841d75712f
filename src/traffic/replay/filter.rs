//! Which requests of a recording are played: `status>=500`, `path^=/api && method=GET`.

use std::fmt;
use std::str::FromStr;

use crate::traffic::formats::Record;
use crate::units::Span;

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    conditions: Vec<Condition>,
    text: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// A number of the request's compared with another.
    Number(Quantity, Comparison, f64),
    /// A text of the request's.
    Text(Part, Match, Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Status,
    Bytes,
    /// Nanoseconds.
    Took,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Client,
    Method,
    Path,
    Agent,
    Referrer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Equal,
    NotEqual,
    Begins,
    Ends,
    Contains,
    ContainsNot,
}

/// A text that is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "found {0:?}, expected conditions joined by &&, such as status>=500, took>250ms, bytes<1000, path^=/api, agent~bot, method!=GET \
     (=, !=, <, <=, >, >= on status, bytes and took; =, !=, ^= begins, $= ends, ~ contains, !~ contains not on client, method, \
     path, agent and referrer)"
)]
pub struct BadFilter(String);

impl FromStr for Filter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Filter, BadFilter> {
        let conditions = text.split("&&").map(condition).collect::<Option<Vec<_>>>();
        let conditions = conditions.ok_or_else(|| BadFilter(text.to_string()))?;
        Ok(Filter { conditions, text: text.to_string() })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn condition(text: &str) -> Option<Condition> {
    let text = text.trim();
    let operator = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (name, rest) = text.split_at(operator);
    let signs = ["!=", "!~", "<=", ">=", "^=", "$=", "==", "=", "<", ">", "~"];
    let rest = rest.trim_start();
    let sign = signs.into_iter().find(|sign| rest.starts_with(sign))?;
    let value = rest[sign.len()..].trim();
    let number = |quantity, value: f64| {
        let comparison = match sign {
            "=" | "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Greater,
            ">=" => Comparison::AtLeast,
            _ => return None,
        };
        Some(Condition::Number(quantity, comparison, value))
    };
    let part = match name {
        "status" => return number(Quantity::Status, value.parse().ok()?),
        "bytes" => return number(Quantity::Bytes, value.parse().ok()?),
        "took" => return number(Quantity::Took, value.parse::<Span>().ok()?.0 as f64),
        "client" => Part::Client,
        "method" => Part::Method,
        "path" => Part::Path,
        "agent" => Part::Agent,
        "referrer" => Part::Referrer,
        _ => return None,
    };
    let how = match sign {
        "=" | "==" => Match::Equal,
        "!=" => Match::NotEqual,
        "^=" => Match::Begins,
        "$=" => Match::Ends,
        "~" => Match::Contains,
        "!~" => Match::ContainsNot,
        _ => return None,
    };
    Some(Condition::Text(part, how, value.as_bytes().to_vec()))
}

impl Filter {
    /// Whether every request passes.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether a request passes. A number that was not recorded satisfies `!=` only.
    #[inline]
    pub fn passes(&self, record: &Record<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(record))
    }
}

impl Condition {
    fn holds(&self, record: &Record<'_>) -> bool {
        match self {
            Condition::Number(quantity, comparison, wanted) => {
                let found = match quantity {
                    Quantity::Status if record.status > 0 => f64::from(record.status),
                    Quantity::Status => f64::NAN,
                    Quantity::Bytes => record.bytes as f64,
                    Quantity::Took => record.took.map_or(f64::NAN, |nanos| nanos as f64),
                };
                match comparison {
                    Comparison::Equal => found == *wanted,
                    Comparison::NotEqual => found != *wanted,
                    Comparison::Less => found < *wanted,
                    Comparison::AtMost => found <= *wanted,
                    Comparison::Greater => found > *wanted,
                    Comparison::AtLeast => found >= *wanted,
                }
            }
            Condition::Text(part, how, wanted) => {
                let found = match part {
                    Part::Client => record.client,
                    Part::Method => record.method,
                    Part::Path => record.path,
                    Part::Agent => record.agent.unwrap_or_default(),
                    Part::Referrer => record.referrer.unwrap_or_default(),
                };
                match how {
                    Match::Equal => found == &wanted[..],
                    Match::NotEqual => found != &wanted[..],
                    Match::Begins => found.starts_with(wanted),
                    Match::Ends => found.ends_with(wanted),
                    Match::Contains => memchr::memmem::find(found, wanted).is_some(),
                    Match::ContainsNot => memchr::memmem::find(found, wanted).is_none(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_select_requests() {
        let record = Record {
            client: b"1.2.3.4",
            method: b"GET",
            path: b"/api/v1",
            status: 503,
            bytes: 10,
            agent: Some(b"a bot"),
            took: Some(250_000_000),
            ..Record::default()
        };
        for (text, passes) in [
            ("status>=500", true),
            ("status >= 500 && bytes<10", false),
            ("status=503&&path^=/api", true),
            ("status!=503", false),
            ("took>250ms", false),
            ("took<=0.25s", true),
            ("path$=v1 && path~pi && agent!~curl", true),
            ("method!=GET", false),
            ("client=1.2.3.4", true),
            ("referrer=", true),
        ] {
            let filter: Filter = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(filter.passes(&record), passes, "{text}");
            assert_eq!(filter.to_string(), text);
        }
        let unknown = Record::default();
        assert!(!"status<500".parse::<Filter>().unwrap().passes(&unknown), "not recorded is not below 500");
        assert!(Filter::default().is_empty() && Filter::default().passes(&unknown));
        for text in ["", "status", "status>=", "status~5", "colour=red", "took>5", "path>/a", "status>=500 &&"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }
}
