//! A scenario file as a tree that knows where each key and value stands.
//!
//! The text is parsed by `toml_edit`; the tree here has what its four kinds of tables and two kinds of arrays have in
//! common, so that `[a] b = 1`, `a.b = 1` and `a = { b = 1 }` read the same, and overrides can be put into it.

use toml_edit::{Item, Table, TableLike};

use crate::rng::mix;

/// Where a node stands; the order is that of problems in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum At {
    /// Byte offset in the file.
    Byte(usize),
    /// Number of the override that put it there.
    Override(usize),
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub at: At,
    pub data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or time of TOML, which no scenario has a use for.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table, its place and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub at: At,
    pub node: Node,
}

/// Why a text is not TOML: the byte offset, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub at: usize,
    pub message: String,
}

impl Node {
    /// The tree of a whole file.
    pub fn parse(text: &str) -> Result<Node, SyntaxError> {
        if let Some(at) = too_deep(text) {
            return Err(SyntaxError { at, message: "not a scenario: a key of more than 500 parts".to_string() });
        }
        let document = toml_edit::Document::parse(text).map_err(|error| SyntaxError {
            at: error.span().map_or(0, |span| span.start),
            message: format!(
                "not TOML: {}",
                error.message().trim().replace(", expected nothing", "").replace('\n', ", ")
            ),
        })?;
        Ok(Node { at: At::Byte(0), data: Data::Table(entries(document.as_table(), &|offset| At::Byte(offset))) })
    }

    /// The tree of a text that stands in place of what is at `at`.
    pub fn parse_all_at(text: &str, at: At) -> Result<Node, SyntaxError> {
        let document = toml_edit::Document::parse(text).map_err(|error| SyntaxError {
            at: error.span().map_or(0, |span| span.start),
            message: error.message().trim().to_string(),
        })?;
        Ok(Node { at, data: Data::Table(entries(document.as_table(), &|_| at)) })
    }

    /// The tree of one value, standing in override `number`; `None` if the text is not a TOML value.
    pub fn parse_value(text: &str, number: usize) -> Option<Node> {
        if too_deep(text).is_some() {
            return None;
        }
        let value: toml_edit::Value = text.trim().parse().ok()?;
        node(&Item::Value(value), At::Override(number), &|_| At::Override(number))
    }

    /// How a message shows the value: as TOML writes it, on one line, not too long.
    pub fn shown(&self) -> String {
        match &self.data {
            Data::Text(text) => quoted(text),
            Data::Integer(n) => n.to_string(),
            Data::Float(x) if x.is_nan() => "nan".to_string(),
            Data::Float(x) => format!("{x:?}"),
            Data::Boolean(b) => b.to_string(),
            Data::Date(text) => format!("the date {text}"),
            Data::List(_) => "an array".to_string(),
            Data::Table(_) => "a table".to_string(),
        }
    }

    /// The fingerprint of the tree as 16 hex digits: the same for the same keys and values, however written and in
    /// whatever order; a whole number equals the same number with a decimal point.
    pub fn digest(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325;
        self.feed(&mut hash);
        format!("{:016x}", mix(hash))
    }

    /// Feeds a form of the tree that is unambiguous: each node has a tag, each text and container its length.
    fn feed(&self, hash: &mut u64) {
        match &self.data {
            Data::Text(text) | Data::Date(text) => feed_text(hash, b't', text),
            Data::Integer(n) => feed_number(hash, *n as f64, *n as u64),
            Data::Float(x) => feed_number(hash, *x, *x as i64 as u64),
            Data::Boolean(b) => feed_bytes(hash, &[b'b', u8::from(*b)]),
            Data::List(nodes) => {
                feed_length(hash, b'l', nodes.len());
                nodes.iter().for_each(|node| node.feed(hash));
            }
            Data::Table(entries) => {
                feed_length(hash, b'm', entries.len());
                let mut sorted: Vec<&Entry> = entries.iter().collect();
                sorted.sort_by(|a, b| a.key.cmp(&b.key));
                for entry in sorted {
                    feed_text(hash, b'k', &entry.key);
                    entry.node.feed(hash);
                }
            }
        }
    }
}

/// Where a dotted key has more than 500 parts, if one does. Trees are walked recursively, and `toml_edit` bounds the depth of
/// brackets but not that of dotted keys; a string with as many dots between two commas is taken for one.
pub(crate) fn too_deep(text: &str) -> Option<usize> {
    let mut dots = 0;
    text.bytes().position(|byte| {
        match byte {
            b'.' => dots += 1,
            b'=' | b',' | b'[' | b'{' | b'\n' => dots = 0,
            _ => {}
        }
        dots > 500
    })
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
fn feed_bytes(hash: &mut u64, bytes: &[u8]) {
    for &byte in bytes {
        *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}

fn feed_length(hash: &mut u64, tag: u8, length: usize) {
    feed_bytes(hash, &[tag]);
    feed_bytes(hash, &(length as u64).to_le_bytes());
}

fn feed_text(hash: &mut u64, tag: u8, text: &str) {
    feed_length(hash, tag, text.len());
    feed_bytes(hash, text.as_bytes());
}

/// `whole` are the bits of the number as an integer, used when it is one.
fn feed_number(hash: &mut u64, number: f64, whole: u64) {
    let is_whole = number == number.trunc() && number.abs() < 9e18;
    feed_length(hash, b'n', usize::from(is_whole));
    feed_bytes(hash, &if is_whole { whole } else { number.to_bits() }.to_le_bytes());
}

/// A text in quotes on one line, cut to a length that leaves room for the rest of a message.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The name by which paths call element `i` of an array: its `name`, or its `path`, if no other element has the same;
/// else its number.
pub(crate) fn label(elements: &[Node], i: usize) -> String {
    let name = |node: &Node| -> Option<String> {
        let Data::Table(entries) = &node.data else { return None };
        let text = |key: &str| {
            entries.iter().find(|entry| entry.key == key).and_then(|entry| match &entry.node.data {
                Data::Text(text) if !text.is_empty() => Some(text.clone()),
                _ => None,
            })
        };
        text("name").or_else(|| text("path"))
    };
    let Some(own) = elements.get(i).and_then(&name) else { return i.to_string() };
    let is_taken = elements.iter().enumerate().any(|(j, other)| j != i && name(other).as_ref() == Some(&own));
    if is_taken { i.to_string() } else { own }
}

fn entries(table: &dyn TableLike, at: &dyn Fn(usize) -> At) -> Vec<Entry> {
    table
        .iter()
        .filter_map(|(key, item)| {
            let span = table.key(key).and_then(|key| key.span());
            let key_at = at(span.map_or(0, |span| span.start));
            Some(Entry { key: key.to_string(), at: key_at, node: node(item, key_at, at)? })
        })
        .collect()
}

/// The node of an item; `key_at` serves those that have no place of their own (tables made by dotted keys).
fn node(item: &Item, key_at: At, at: &dyn Fn(usize) -> At) -> Option<Node> {
    let start = |span: Option<std::ops::Range<usize>>| span.map_or(key_at, |span| at(span.start));
    let list = |nodes: Vec<Node>, span| Some(Node { at: start(span), data: Data::List(nodes) });
    let table = |table: &dyn TableLike, span| Some(Node { at: start(span), data: Data::Table(entries(table, at)) });
    let header = |each: &Table| each.span().filter(|span| !span.is_empty());
    match item {
        Item::None => None,
        Item::Table(each) => table(each, header(each)),
        Item::ArrayOfTables(tables) => {
            let nodes =
                tables.iter().filter_map(|each| node(&Item::Table(each.clone()), start(header(each)), at)).collect();
            list(nodes, tables.span())
        }
        Item::Value(value) => {
            use toml_edit::Value;
            let span = value.span();
            let data = match value {
                Value::String(text) => Data::Text(text.value().clone()),
                Value::Integer(n) => Data::Integer(*n.value()),
                Value::Float(x) => Data::Float(*x.value()),
                Value::Boolean(b) => Data::Boolean(*b.value()),
                Value::Datetime(date) => Data::Date(date.value().to_string()),
                Value::Array(array) => {
                    let nodes = array
                        .iter()
                        .filter_map(|each| node(&Item::Value(each.clone()), start(each.span()), at))
                        .collect();
                    return list(nodes, span);
                }
                Value::InlineTable(each) => return table(each, span),
            };
            Some(Node { at: start(span), data })
        }
    }
}
