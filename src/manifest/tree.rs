//! A YAML or JSON text as a tree that knows the line of each value.
//!
//! JSON is read as the flow style of YAML, so that both have lines. Tags of CloudFormation (`!Ref`, `!GetAtt`) are kept.

use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser, Tag};
use yaml_rust2::scanner::{Marker, TScalarStyle};
use yaml_rust2::yaml::Yaml;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// From 1.
    pub line: usize,
    /// The tag without its `!`, such as `Ref`; empty if there is none.
    pub tag: String,
    pub data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Null,
    Boolean(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Why a text is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub line: usize,
    pub message: String,
}

/// No manifest is nested deeper; the parser is recursive.
const DEEPEST: usize = 100;

/// Every document of a text that is not empty.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    if let Some(line) = too_deep(text) {
        return Err(SyntaxError { line, message: format!("nested deeper than {DEEPEST} levels") });
    }
    let mut builder = Builder::default();
    let parsed = Parser::new_from_str(text).load(&mut builder, true);
    if let Err(error) = parsed {
        return Err(SyntaxError {
            line: error.marker().line(),
            message: format!("not YAML or JSON: {}", error.info()),
        });
    }
    match builder.wrong {
        Some(error) => Err(error),
        None => Ok(builder.documents.into_iter().filter(|node| node.data != Data::Null).collect()),
    }
}

/// The line at which brackets or indentation go too deep.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.lines().zip(1..).find_map(|(line, number)| {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEEPEST {
                return Some(number);
            }
        }
        let indent = line.len() - line.trim_start_matches([' ', '-', '?', ':']).len();
        (indent > 2 * DEEPEST).then_some(number)
    })
}

/// Puts a parser's events together.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    /// Containers that are open, and the key that the next value of each map belongs to.
    open: Vec<(Node, Option<String>)>,
    wrong: Option<SyntaxError>,
}

impl Builder {
    fn fail(&mut self, line: usize, message: &str) {
        self.wrong.get_or_insert(SyntaxError { line, message: message.to_string() });
    }

    fn put(&mut self, node: Node) {
        let line = node.line;
        let Some((container, key)) = self.open.last_mut() else {
            self.documents.push(node);
            return;
        };
        match (&mut container.data, key.take()) {
            (Data::List(items), _) => items.push(node),
            (Data::Map(entries), Some(key)) => {
                if entries.iter().any(|(name, _)| *name == key) {
                    let message = format!("the key {key:?} is there twice");
                    self.fail(line, &message);
                    return;
                }
                entries.push((key, node));
            }
            (_, None) => match node.data {
                Data::Text(name) => *key = Some(name),
                Data::Number(number) => *key = Some(number.to_string()),
                Data::Boolean(value) => *key = Some(value.to_string()),
                _ => self.fail(line, "a key is neither a text nor a number"),
            },
            _ => {}
        }
    }
}

fn tag(tag: Option<&Tag>) -> String {
    tag.filter(|tag| tag.handle == "!").map_or_else(String::new, |tag| tag.suffix.clone())
}

/// What a plain scalar is, by the core schema of YAML.
fn plain(text: String) -> Data {
    match Yaml::from_str(&text) {
        Yaml::Null => Data::Null,
        Yaml::Boolean(value) => Data::Boolean(value),
        Yaml::Integer(number) => Data::Number(number as f64),
        Yaml::Real(number) => match number.parse() {
            Ok(number) => Data::Number(number),
            Err(_) => Data::Text(text),
        },
        _ => Data::Text(text),
    }
}

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, mark: Marker) {
        let line = mark.line();
        if self.wrong.is_some() {
            return;
        }
        match event {
            Event::Scalar(text, style, _, given) => {
                let data = if style == TScalarStyle::Plain { plain(text) } else { Data::Text(text) };
                self.put(Node { line, tag: tag(given.as_ref()), data });
            }
            Event::SequenceStart(_, given) => {
                let node = Node { line, tag: tag(given.as_ref()), data: Data::List(Vec::new()) };
                self.open.push((node, None));
            }
            Event::MappingStart(_, given) => {
                let node = Node { line, tag: tag(given.as_ref()), data: Data::Map(Vec::new()) };
                self.open.push((node, None));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((node, _)) = self.open.pop() {
                    self.put(node);
                }
            }
            // An alias could make a small text a huge tree.
            Event::Alias(_) => self.fail(line, "aliases (*name) are not followed: write the value out"),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
    }
}

impl Node {
    /// The value of a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Data::Map(entries) = &self.data else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The value if it is a text.
    pub fn text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// How a message shows the value.
    pub fn shown(&self) -> String {
        let value = match &self.data {
            Data::Null => "nothing".to_string(),
            Data::Boolean(value) => value.to_string(),
            Data::Number(number) => number.to_string(),
            Data::Text(text) if text.chars().count() > 60 => {
                format!("{:?}…", text.chars().take(60).collect::<String>())
            }
            Data::Text(text) => format!("{text:?}"),
            Data::List(_) => "a list".to_string(),
            Data::Map(_) => "a map".to_string(),
        };
        if self.tag.is_empty() { value } else { format!("!{} {value}", self.tag) }
    }
}
