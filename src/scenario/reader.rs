//! Reading values out of a [`Node`] tree while collecting every problem.
//!
//! A [`Section`] is a table being read; it remembers which keys were asked for, so that what is left over can be called unknown
//! and the nearest known key offered. A [`Field`] is one value; its readers return `None` after they have written
//! down a problem, and never otherwise: a caller that gets `None` from a key that is there need not say anything.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use crate::scenario::document::{At, Data, Entry, Node, label, quoted};
use crate::scenario::overrides;
use crate::scenario::problem::{Mistake, Place, Problem, Problems, nearest, one_of};
use crate::units::{Span, SpanError, Time};

/// The file being read, and what was found wrong with it so far.
pub(crate) struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    base: &'a Path,
    overrides: &'a [String],
    found: RefCell<Vec<(At, Problem)>>,
}

impl<'a> Findings<'a> {
    pub fn new(file: &'a str, text: &'a str, base: &'a Path, overrides: &'a [String]) -> Findings<'a> {
        Findings { file, text, base, overrides, found: RefCell::default() }
    }

    pub fn add(&self, at: At, key: &str, mistake: Mistake) {
        let place = match at {
            At::Byte(offset) => {
                let before = self.text.get(..offset).unwrap_or(self.text);
                let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
                Place::File {
                    file: self.file.to_string(),
                    line: before.matches('\n').count() + 1,
                    column: before[line_start..].chars().count() + 1,
                }
            }
            At::Override(number) => Place::Override(
                self.overrides.get(number).map_or_else(String::new, |text| plain(overrides::path(text))),
            ),
        };
        self.found.borrow_mut().push((at, Problem { place, key: plain(key), mistake }));
    }

    fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// Everything found, in the order of the file; `None` if nothing was.
    pub fn into_problems(self) -> Option<Problems> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|&(at, _)| at);
        if found.is_empty() { None } else { Some(Problems(found.into_iter().map(|(_, problem)| problem).collect())) }
    }
}

/// A text without line breaks and other control characters, so that a problem stays on one line.
fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// No duration of a scenario is longer, so that sums of a few of them still fit a [`Span`].
const LONGEST: Span = Span(100 * 365 * 86_400 * 1_000_000_000);

/// A table being read.
pub(crate) struct Section<'a> {
    findings: &'a Findings<'a>,
    entries: &'a [Entry],
    at: At,
    path: String,
    asked: RefCell<Vec<&'static str>>,
    kind: RefCell<Option<String>>,
    gave_up: Cell<bool>,
    found_before: usize,
}

/// One value being read.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    findings: &'a Findings<'a>,
    node: &'a Node,
    key_at: At,
    path: String,
}

/// Reads the whole tree.
pub(crate) fn read_root<'a, T>(
    findings: &'a Findings<'a>,
    root: &'a Node,
    read: impl FnOnce(&Section<'a>) -> Option<T>,
) -> Option<T> {
    Field { findings, node: root, key_at: root.at, path: String::new() }.section(read)
}

impl<'a> Section<'a> {
    /// The field of a key, if it is there. The key counts as known from then on.
    pub fn field(&self, key: &'static str) -> Option<Field<'a>> {
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field { findings: self.findings, node: &entry.node, key_at: entry.at, path: self.path_to(key) })
    }

    /// The value of a key that may be absent; `None` as well if it will not do.
    pub fn optional<T>(&self, key: &'static str, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<T> {
        self.field(key).and_then(|field| read(&field))
    }

    /// The value of a key, or its default.
    pub fn or<T>(&self, key: &'static str, default: T, read: impl FnOnce(&Field<'a>) -> Option<T>) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// The value of a key that has to be there; `example` is a line of TOML.
    pub fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Field<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.field(key) {
            Some(field) => read(&field),
            None => {
                self.missing(key, example);
                None
            }
        }
    }

    /// Writes down that a key is missing.
    pub fn missing(&self, key: &str, example: &str) {
        self.findings.add(self.at, &self.path_to(key), Mistake::Missing { example: example.to_string() });
    }

    /// Says of what kind the section is, for messages about keys that do not fit it.
    pub fn is_of_kind(&self, kind: impl Into<String>) {
        *self.kind.borrow_mut() = Some(kind.into());
    }

    /// Stops the search for unknown keys: what is known depends on a value that will not do.
    pub fn give_up<T>(&self) -> Option<T> {
        self.gave_up.set(true);
        None
    }

    /// Whether nothing has been found wrong since the section began, so that comparing its values makes sense.
    pub fn is_sound(&self) -> bool {
        self.findings.count() == self.found_before
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    fn report_unknown_keys(&self) {
        if self.gave_up.get() {
            return;
        }
        let known = self.asked.borrow();
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            // In a file, a key that is there already is not what this one was meant to be; an override may well be meant for it.
            let overridden = matches!(entry.at, At::Override(_));
            let absent =
                known.iter().copied().filter(|key| overridden || self.entries.iter().all(|entry| entry.key != *key));
            let (nearest, known) = (nearest(&entry.key, absent), known.clone());
            let mistake = if self.path.is_empty() {
                Mistake::UnknownSection { nearest, known }
            } else {
                Mistake::UnknownKey { of: self.kind.borrow().clone(), nearest, known }
            };
            self.findings.add(entry.at, &self.path_to(&entry.key), mistake);
        }
    }
}

impl<'a> Field<'a> {
    /// A value that is not read by way of the root.
    pub fn at(findings: &'a Findings<'a>, node: &'a Node, key_at: At, path: &str) -> Field<'a> {
        Field { findings, node, key_at, path: path.to_string() }
    }

    /// Writes down that the value will not do.
    pub fn unfit<T>(&self, expected: impl Into<String>) -> Option<T> {
        self.mistake(Mistake::Unfit { found: self.node.shown(), expected: expected.into() })
    }

    /// Writes down that something in the value, or that it points to, will not do.
    pub fn unfit_part<T>(&self, found: impl Into<String>, expected: impl Into<String>) -> Option<T> {
        self.mistake(Mistake::Unfit { found: found.into(), expected: expected.into() })
    }

    /// Writes down a contradiction, at the key.
    pub fn contradiction<T>(&self, sentence: impl Into<String>) -> Option<T> {
        self.findings.add(self.key_at, &self.path, Mistake::Contradiction(sentence.into()));
        None
    }

    fn mistake<T>(&self, mistake: Mistake) -> Option<T> {
        self.findings.add(self.node.at, &self.path, mistake);
        None
    }

    /// The dotted path of the value.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the value is a table.
    pub fn is_table(&self) -> bool {
        matches!(self.node.data, Data::Table(_))
    }

    /// A value inside this one, if this is a table that has it.
    pub fn member(&self, key: &str) -> Option<Field<'a>> {
        let Data::Table(entries) = &self.node.data else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        let path = format!("{}.{key}", self.path);
        Some(Field { findings: self.findings, node: &entry.node, key_at: entry.at, path })
    }

    /// The names of a table with their values, whatever they are called.
    pub fn members(&self) -> Option<Vec<(String, Field<'a>)>> {
        let Data::Table(entries) = &self.node.data else { return self.unfit("a table") };
        let member = |entry: &'a Entry| {
            let path = format!("{}.{}", self.path, entry.key);
            (entry.key.clone(), Field { findings: self.findings, node: &entry.node, key_at: entry.at, path })
        };
        Some(entries.iter().map(member).collect())
    }

    /// Whether the value is a string.
    pub fn is_text(&self) -> bool {
        matches!(self.node.data, Data::Text(_))
    }

    /// Reads a table and, after it, looks for keys that nobody asked for.
    pub fn section<T>(&self, read: impl FnOnce(&Section<'a>) -> Option<T>) -> Option<T> {
        let Data::Table(entries) = &self.node.data else { return self.unfit("a table") };
        let section = Section {
            findings: self.findings,
            entries,
            at: self.node.at,
            path: self.path.clone(),
            asked: RefCell::default(),
            kind: RefCell::default(),
            gave_up: Cell::new(false),
            found_before: self.findings.count(),
        };
        let value = read(&section);
        section.report_unknown_keys();
        value
    }

    /// The elements of an array.
    pub fn elements(&self) -> Option<Vec<Field<'a>>> {
        let Data::List(nodes) = &self.node.data else { return self.unfit("an array") };
        let element = |(i, node): (usize, &'a Node)| Field {
            findings: self.findings,
            node,
            key_at: node.at,
            path: format!("{}.{}", self.path, label(nodes, i)),
        };
        Some(nodes.iter().enumerate().map(element).collect())
    }

    /// Reads an array; elements that will not do are left out.
    pub fn list<T>(&self, read: impl FnMut(Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        Some(self.elements()?.into_iter().filter_map(read).collect())
    }

    /// A string that is not empty.
    pub fn text(&self) -> Option<String> {
        match &self.node.data {
            Data::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => self.unfit("a string that is not empty"),
        }
    }

    /// A string, possibly empty.
    pub fn any_text(&self) -> Option<String> {
        match &self.node.data {
            Data::Text(text) => Some(text.clone()),
            _ => self.unfit("a string"),
        }
    }

    /// The value if it is a string; reports nothing.
    pub fn raw_text(&self) -> Option<&'a str> {
        if let Data::Text(text) = &self.node.data { Some(text) } else { None }
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.node.data {
            Data::Boolean(value) => Some(value),
            _ => self.unfit("true or false"),
        }
    }

    /// A whole number ≥ `min`.
    pub fn count(&self, min: u32) -> Option<u32> {
        match self.node.data {
            Data::Integer(n) if n >= i64::from(min) => {
                u32::try_from(n).ok().or_else(|| self.unfit(format!("a whole number up to {}", u32::MAX)))
            }
            _ if min == 0 => self.unfit("a whole number, 0 or more"),
            _ => self.unfit(format!("a whole number, {min} or more")),
        }
    }

    /// A whole number ≥ 0.
    pub fn whole(&self) -> Option<u64> {
        match self.node.data {
            Data::Integer(n) if n >= 0 => Some(n as u64),
            _ => self.unfit("a whole number, 0 or more"),
        }
    }

    /// A finite number that `fits`; `expected` says which do.
    pub fn number(&self, expected: &str, fits: impl FnOnce(f64) -> bool) -> Option<f64> {
        self.raw_number().filter(|&x| fits(x)).or_else(|| self.unfit(expected))
    }

    /// A finite number > 0.
    pub fn positive(&self) -> Option<f64> {
        self.number("a number above 0", |x| x > 0.0)
    }

    /// A finite number, whether written with a decimal point or not; reports nothing.
    pub fn raw_number(&self) -> Option<f64> {
        match self.node.data {
            Data::Integer(n) => Some(n as f64),
            Data::Float(x) if x.is_finite() => Some(x),
            _ => None,
        }
    }

    /// A ratio: a number in 0..=1, or a percentage such as "70%".
    pub fn ratio(&self) -> Option<f64> {
        let ratio = match &self.node.data {
            Data::Text(text) => {
                text.trim().strip_suffix('%').and_then(|percent| percent.trim().parse::<f64>().ok()).map(hundredth)
            }
            _ => self.raw_number(),
        };
        match ratio {
            Some(ratio) if (0.0..=1.0).contains(&ratio) => Some(ratio),
            Some(percent) if (2.0..=100.0).contains(&percent) && !self.is_text() => {
                self.unfit(format!("a ratio from 0 to 1: write {} or \"{percent}%\"", hundredth(percent)))
            }
            _ => self.unfit("a ratio from 0 to 1, or a percentage such as \"70%\""),
        }
    }

    /// A ratio above 0.
    pub fn positive_ratio(&self) -> Option<f64> {
        let ratio = self.ratio()?;
        if ratio > 0.0 { Some(ratio) } else { self.unfit("a ratio above 0, up to 1") }
    }

    /// A duration.
    pub fn span(&self) -> Option<Span> {
        self.span_or("")
    }

    /// A duration; `or` is what else would do, for the message.
    pub fn span_or(&self, or: &str) -> Option<Span> {
        let text = match &self.node.data {
            Data::Text(text) => text,
            Data::Integer(_) | Data::Float(_) => {
                let number = self.node.shown();
                return match self.raw_number() {
                    Some(x) if x >= 0.0 => {
                        self.unfit(format!("a duration with a unit: write \"{number}s\" or \"{number}ms\"{or}"))
                    }
                    _ => self.unfit(format!("a duration such as \"250ms\" or \"90s\"{or}")),
                };
            }
            _ => return self.unfit(format!("a duration such as \"250ms\" or \"90s\"{or}")),
        };
        match text.parse::<Span>() {
            Ok(span) if span <= LONGEST => Some(span),
            Ok(_) | Err(SpanError::TooLong) => self.unfit(format!("a duration of at most 100 years{or}")),
            Err(SpanError::NoUnit(number)) => {
                let seconds = format!("{number}s");
                let other = seconds.parse::<Span>().map_or_else(|_| String::new(), |span| span.to_string());
                let other = if other.is_empty() || other == seconds { format!("{number}ms") } else { other };
                self.unfit(format!("a duration such as {} or \"{other}\"{or}", quoted(&seconds)))
            }
            Err(SpanError::Malformed) => {
                self.unfit(format!("a duration such as \"250ms\", \"90s\" or \"1h30m\"{or}"))
            }
            Err(SpanError::Negative) => self.unfit(format!("a duration of 0 or more{or}")),
            Err(SpanError::UnknownUnit(unit)) => {
                self.unfit(format!("a duration in ns, us, ms, s, m (minutes), h, d or w, not {}{or}", quoted(&unit)))
            }
        }
    }

    /// A duration above zero.
    pub fn positive_span(&self) -> Option<Span> {
        let span = self.span()?;
        if span.is_zero() { self.unfit("a duration above 0") } else { Some(span) }
    }

    /// A moment of the run, written as the duration since its start.
    pub fn time(&self) -> Option<Time> {
        self.span().map(|span| Time(span.0))
    }

    /// A size with a unit \[bytes\].
    pub fn size(&self) -> Option<f64> {
        const UNITS: [(&str, f64); 10] = [
            ("KIB", 1024.0),
            ("MIB", 1048576.0),
            ("GIB", 1073741824.0),
            ("TIB", 1099511627776.0),
            ("KB", 1e3),
            ("MB", 1e6),
            ("GB", 1e9),
            ("TB", 1e12),
            ("B", 1.0),
            ("BYTES", 1.0),
        ];
        if let Some(number) = self.raw_number() {
            return self.unfit(format!("a size with a unit: write \"{number}MB\" or \"{number}KB\""));
        }
        let Data::Text(text) = &self.node.data else { return self.unfit("a size such as \"200MB\" or \"1GiB\"") };
        let upper = text.trim().to_ascii_uppercase();
        UNITS
            .iter()
            .find_map(|(unit, bytes)| {
                let number: f64 = upper.strip_suffix(unit)?.trim().parse().ok()?;
                Some(number * bytes)
            })
            .filter(|bytes| bytes.is_finite() && *bytes >= 0.0)
            .or_else(|| self.unfit("a size such as \"200MB\" or \"1GiB\""))
    }

    /// One of several names.
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        if let Data::Text(text) = &self.node.data {
            if let Some((_, value)) = choices.iter().find(|(name, _)| name == text) {
                return Some(value.clone());
            }
            if let Some(near) = nearest(text, choices.iter().map(|&(name, _)| name)).filter(|_| choices.len() > 1) {
                return self
                    .unfit(format!("{}, did you mean {near:?}?", one_of(choices.iter().map(|&(name, _)| name))));
            }
        }
        self.unfit(one_of(choices.iter().map(|&(name, _)| name)))
    }

    /// Files, by one name or a list of names, which may be patterns such as `logs/*.gz`: relative to the folder of the scenario or, if
    /// there is none, to the current one.
    pub fn files(&self) -> Option<Vec<PathBuf>> {
        match &self.node.data {
            Data::List(names) if names.is_empty() => self.unfit("at least one file"),
            Data::List(_) => self.list(|each| each.file_or_pattern()),
            _ => self.file_or_pattern().map(|path| vec![path]),
        }
    }

    fn file_or_pattern(&self) -> Option<PathBuf> {
        let Some(pattern) = self.raw_text().filter(|text| text.contains(['*', '?', '['])) else { return self.file() };
        let beside = self.findings.base.join(pattern);
        let matches = |pattern: &std::path::Path| {
            glob::glob(&pattern.to_string_lossy()).is_ok_and(|mut found| found.any(|path| path.is_ok()))
        };
        match [beside, PathBuf::from(pattern)].into_iter().find(|candidate| candidate.exists() || matches(candidate))
        {
            Some(found) => Some(found),
            None => self.unfit("a pattern that some file matches"),
        }
    }

    /// A file: relative to the folder of the scenario or, if it is not there, to the current one.
    pub fn file(&self) -> Option<PathBuf> {
        let path = PathBuf::from(self.text()?);
        let beside = self.findings.base.join(&path);
        let found = [&beside, &path].into_iter().find(|candidate| candidate.exists());
        match found {
            Some(found) if found.is_file() => Some(found.clone()),
            Some(found) => self.unfit(format!("a file: {} is not one", quoted(&found.to_string_lossy()))),
            None if beside == path => self.unfit("a file that is there"),
            None => {
                self.unfit(format!("a file that is there, as {} or from here", quoted(&beside.to_string_lossy())))
            }
        }
    }

    /// The path of a file that need not be there yet: relative to the folder of the scenario.
    pub fn new_file(&self) -> Option<PathBuf> {
        let path = self.findings.base.join(self.text()?);
        if path.is_dir() { self.unfit("a file, and not a folder") } else { Some(path) }
    }
}

/// A percentage as a ratio, without the noise of binary fractions: 99.9 is 0.999, not 0.9990000000000001.
pub(crate) fn hundredth(percent: f64) -> f64 {
    let text = format!("{:.12}", percent / 100.0);
    text.parse().unwrap_or(percent / 100.0)
}
