//! Reading values out of a manifest while collecting every mistake, and everything that has to be left behind.

use std::cell::RefCell;

use super::tree::{Data, Node};
use super::{Note, Problem};
use crate::units::Span;

/// What was found out about a file so far.
pub(super) struct Findings {
    file: String,
    notes: RefCell<Vec<Note>>,
    problems: RefCell<Vec<Problem>>,
}

impl Findings {
    pub fn new(file: &str) -> Findings {
        Findings { file: file.to_string(), notes: RefCell::default(), problems: RefCell::default() }
    }

    pub fn problem(&self, line: Option<usize>, key: &str, sentence: String) {
        let problem = Problem { file: self.file.clone(), line, key: key.to_string(), sentence };
        self.problems.borrow_mut().push(problem);
    }

    pub fn note(&self, line: Option<usize>, key: &str, reason: &str) {
        self.notes.borrow_mut().push(Note { line, key: key.to_string(), reason: reason.to_string() });
    }

    /// Notes and problems, in the order of the file.
    pub fn finish(self) -> (Vec<Note>, Vec<Problem>) {
        let (mut notes, mut problems) = (self.notes.into_inner(), self.problems.into_inner());
        notes.sort_by_key(|note| note.line);
        problems.sort_by_key(|problem| problem.line);
        (notes, problems)
    }
}

/// One value being read; readers that return `None` have written down why.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub node: &'a Node,
    pub path: String,
    findings: &'a Findings,
}

impl<'a> Field<'a> {
    pub fn root(node: &'a Node, findings: &'a Findings) -> Field<'a> {
        Field { node, path: String::new(), findings }
    }

    /// The value of a key, unless it is absent or null.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        let node = self.node.get(key).filter(|node| node.data != Data::Null)?;
        Some(Field { node, path: self.path_to(key), findings: self.findings })
    }

    /// The same for a key that has to be there; `example` is what it could be.
    pub fn need(&self, key: &str, example: &str) -> Option<Field<'a>> {
        self.get(key).or_else(|| {
            let sentence = format!("missing, expected for example {example}");
            self.findings.problem(Some(self.node.line), &self.path_to(key), sentence);
            None
        })
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// Writes down that the value will not do.
    pub fn unfit<T>(&self, expected: &str) -> Option<T> {
        self.wrong(format!("found {}, expected {expected}", self.node.shown()))
    }

    /// Writes down that something is wrong with the value.
    pub fn wrong<T>(&self, sentence: String) -> Option<T> {
        self.findings.problem(Some(self.node.line), &self.path, sentence);
        None
    }

    /// Writes down that the value is not, or not quite, carried over.
    pub fn leave<T>(&self, reason: &str) -> Option<T> {
        self.findings.note(Some(self.node.line), &self.path, reason);
        None
    }

    /// Leaves the value of a key, if it is there.
    pub fn leave_key(&self, key: &str, reason: &str) {
        if let Some(field) = self.get(key) {
            let _: Option<()> = field.leave(reason);
        }
    }

    /// Leaves every key but those `known`.
    pub fn leave_others(&self, known: &[&str]) {
        for (key, field) in self.entries() {
            if !known.contains(&key) {
                let _: Option<()> = field.leave("nothing in a scenario answers to it");
            }
        }
    }

    /// Keys and values of a map, nulls left out.
    pub fn entries(&self) -> Vec<(&'a str, Field<'a>)> {
        let Data::Map(entries) = &self.node.data else { return Vec::new() };
        let field = |(key, node): &'a (String, Node)| {
            let field = Field { node, path: self.path_to(key), findings: self.findings };
            (node.data != Data::Null).then_some((key.as_str(), field))
        };
        entries.iter().filter_map(field).collect()
    }

    /// Whether the value is a map; writes down if not.
    pub fn map(&self) -> Option<&Field<'a>> {
        if matches!(self.node.data, Data::Map(_)) { Some(self) } else { self.unfit("a map") }
    }

    /// The elements of a list.
    pub fn list(&self) -> Option<Vec<Field<'a>>> {
        let Data::List(nodes) = &self.node.data else { return self.unfit("a list") };
        let element = |(i, node)| Field { node, path: format!("{}[{i}]", self.path), findings: self.findings };
        Some(nodes.iter().enumerate().map(element).collect())
    }

    /// A text that is not empty.
    pub fn text(&self) -> Option<&'a str> {
        match self.node.text() {
            Some(text) if !text.is_empty() && self.node.tag.is_empty() => Some(text),
            _ => self.unfit("a text"),
        }
    }

    /// A number, which may be in quotes; writes nothing down.
    pub fn raw_number(&self) -> Option<f64> {
        if !self.node.tag.is_empty() {
            return None;
        }
        match &self.node.data {
            Data::Number(number) => Some(*number),
            Data::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    /// A finite number that `fits`, perhaps in quotes.
    pub fn number(&self, expected: &str, fits: impl FnOnce(f64) -> bool) -> Option<f64> {
        self.raw_number().filter(|&x| fits(x)).or_else(|| self.unfit(expected))
    }

    /// A whole number from `min` to 2³¹ − 1, as these systems have it.
    pub fn count(&self, min: u32) -> Option<u32> {
        let fits = |x: f64| x == x.trunc() && (f64::from(min)..=2_147_483_647.0).contains(&x);
        self.number(&format!("a whole number, {min} or more"), fits).map(|x| x as u32)
    }

    /// `true` or `false`, perhaps in quotes.
    pub fn boolean(&self) -> Option<bool> {
        match (&self.node.data, self.node.text()) {
            (Data::Boolean(value), _) => Some(*value),
            (_, Some("true")) => Some(true),
            (_, Some("false")) => Some(false),
            _ => self.unfit("true or false"),
        }
    }

    /// A whole number of seconds from `least` to `most`.
    pub fn seconds(&self, least: u32, most: u32) -> Option<Span> {
        let fits = |x: f64| x == x.trunc() && (f64::from(least)..=f64::from(most)).contains(&x);
        let expected = format!("whole seconds from {least} to {most}");
        self.number(&expected, fits).map(|x| Span::from_secs(x as u64))
    }

    /// One of several names.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let named = self.node.text().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        match named {
            Some((_, value)) => Some(*value),
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                self.unfit(&format!("one of {}", names.join(", ")))
            }
        }
    }
}
