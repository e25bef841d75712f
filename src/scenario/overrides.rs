//! Overrides: `path=value` from the command line, put into the tree of the file before it is read.
//!
//! A path is dotted. Elements of arrays go by number (from 0), by their `name` or `path`
//! (`autoscaler.rule.cpu_scale_up.threshold`, `service.endpoint./api/search.weight`), or, if there is only one, by
//! nothing at all (`autoscaler.policy.target`). A part with dots can be quoted. Keys that are not there yet are made; whether
//! they mean something is found out when the tree is read. The value is TOML, or else a plain string: `fleet.boot=90s`. No value
//! at all removes a key, or a whole section: `clients.retry=`.

use crate::scenario::Step;
use crate::scenario::document::{At, Data, Entry, Node, label, quoted, too_deep};
use crate::scenario::problem::{Mistake, nearest, one_of};

/// Puts override number `number` into the tree, or says what is wrong with it.
pub(crate) fn apply(root: &mut Node, text: &str, number: usize) -> Result<(), Mistake> {
    let (path, value) = split(text)?;
    let unquoted = value.trim();
    if unquoted.is_empty() {
        return remove(root, path);
    }
    let node = match Node::parse_value(unquoted, number) {
        Some(node) => node,
        // What begins like TOML was meant as TOML.
        None if unquoted.starts_with(['"', '\'', '[', '{']) => {
            return Err(Mistake::Unfit {
                found: quoted(unquoted),
                expected: "a value as TOML writes it".to_string(),
            });
        }
        None => Node { at: At::Override(number), data: Data::Text(unquoted.to_string()) },
    };
    put(root, path, node, number)
}

/// What is at `path`, if something is.
pub(crate) fn get<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
    walk(node, path, &mut Vec::new())
}

/// The steps of `path`, if something is there.
pub(crate) fn steps(node: &Node, path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    walk(node, path, &mut steps).map(|_| steps)
}

fn walk<'n>(node: &'n Node, path: &str, steps: &mut Vec<Step>) -> Option<&'n Node> {
    let (part, rest) = first_part(path).ok()?;
    let (next, rest) = match &node.data {
        Data::List(elements) => {
            let (i, rest) = element(elements, path, &part, rest).ok()?;
            steps.push(Step::Element(i));
            (elements.get(i)?, rest)
        }
        Data::Table(entries) => {
            let entry = entries.iter().find(|entry| entry.key == part)?;
            steps.push(Step::Key(part));
            (&entry.node, rest)
        }
        _ => return None,
    };
    match rest {
        Some(rest) => walk(next, rest, steps),
        None => Some(next),
    }
}

/// The path of an override, for messages: what stands before the equals sign.
pub(crate) fn path(text: &str) -> &str {
    split(text).map_or(text, |(path, _)| path)
}

fn split(text: &str) -> Result<(&str, &str), Mistake> {
    let mut quotes = false;
    let equals = text.char_indices().find(|&(_, c)| {
        quotes ^= c == '"';
        c == '=' && !quotes
    });
    match equals.map(|(i, _)| (text[..i].trim(), &text[i + 1..])) {
        Some((path, value)) if !path.is_empty() && too_deep(path).is_none() => Ok((path, value)),
        _ => Err(Mistake::Syntax("expected path=value, such as autoscaler.max=30".to_string())),
    }
}

/// Follows `path` from `node`, making what is missing, and puts `value` there.
fn put(node: &mut Node, path: &str, value: Node, number: usize) -> Result<(), Mistake> {
    let at = At::Override(number);
    let (part, rest) = first_part(path)?;
    if let Data::List(elements) = &mut node.data {
        let (i, rest) = element(elements, path, &part, rest)?;
        if i == elements.len() {
            elements.push(Node { at, data: Data::Table(Vec::new()) });
        }
        return match rest {
            Some(rest) => put(&mut elements[i], rest, value, number),
            None => {
                elements[i] = value;
                Ok(())
            }
        };
    }
    let shown = node.shown();
    let Data::Table(entries) = &mut node.data else {
        return Err(Mistake::Unfit { found: shown, expected: format!("a table with the key {part:?}") });
    };
    let i = entries.iter().position(|entry| entry.key == part).unwrap_or_else(|| {
        // `fault.0.kind` makes an array, `slo.p99` a table.
        let of_array = rest.is_some_and(|rest| first_part(rest).is_ok_and(|(next, _)| next == "0"));
        let data = if of_array { Data::List(Vec::new()) } else { Data::Table(Vec::new()) };
        entries.push(Entry { key: part, at, node: Node { at, data } });
        entries.len() - 1
    });
    match rest {
        Some(rest) => put(&mut entries[i].node, rest, value, number),
        None => {
            entries[i].at = at;
            entries[i].node = value;
            Ok(())
        }
    }
}

/// Follows `path` from `node`, and removes what is there.
fn remove(node: &mut Node, path: &str) -> Result<(), Mistake> {
    let missing = || Mistake::Unfit {
        found: quoted(path),
        expected: "a key that is there: an empty value removes it".to_string(),
    };
    let (part, rest) = first_part(path)?;
    match &mut node.data {
        Data::List(elements) => {
            let (i, rest) = element(elements, path, &part, rest)?;
            match rest {
                _ if i == elements.len() => Err(missing()),
                Some(rest) => remove(&mut elements[i], rest),
                None => {
                    elements.remove(i);
                    Ok(())
                }
            }
        }
        Data::Table(entries) => {
            let i = entries.iter().position(|entry| entry.key == part).ok_or_else(missing)?;
            match rest {
                Some(rest) => remove(&mut entries[i].node, rest),
                None => {
                    entries.remove(i);
                    Ok(())
                }
            }
        }
        _ => Err(missing()),
    }
}

/// The first part of a path without its quotes, and what follows the dot after it.
fn first_part(path: &str) -> Result<(String, Option<&str>), Mistake> {
    let bad = || Mistake::Syntax(format!("expected a dotted path such as autoscaler.max, found {}", quoted(path)));
    let (part, rest) = match path.strip_prefix('"') {
        Some(open) => {
            let close = open.find('"').ok_or_else(bad)?;
            (&open[..close], &open[close + 1..])
        }
        None => path.split_at(path.find('.').unwrap_or(path.len())),
    };
    let rest = match rest.strip_prefix('.') {
        Some(rest) => Some(rest),
        None if rest.is_empty() => None,
        None => return Err(bad()),
    };
    if part.is_empty() { Err(bad()) } else { Ok((part.to_string(), rest)) }
}

/// Which element `path` means, and what follows: names first (they may hold dots; the longest wins), then numbers (one past the
/// end appends), then the only one there is.
fn element<'p>(
    elements: &[Node],
    path: &'p str,
    part: &str,
    rest: Option<&'p str>,
) -> Result<(usize, Option<&'p str>), Mistake> {
    let labels: Vec<String> = (0..elements.len()).map(|i| label(elements, i)).collect();
    let named = labels
        .iter()
        .enumerate()
        .filter_map(|(i, label)| match path.strip_prefix(label.as_str())? {
            "" => Some((label.len(), i, None)),
            after => after.strip_prefix('.').map(|after| (label.len(), i, Some(after))),
        })
        .max_by_key(|&(length, ..)| length);
    if let Some((_, i, rest)) = named {
        return Ok((i, rest));
    }
    if let Some(i) = labels.iter().position(|label| label == part) {
        return Ok((i, rest));
    }
    if let Ok(i) = part.parse::<usize>() {
        return if i <= elements.len() {
            Ok((i, rest))
        } else {
            let expected = format!("a number from 0 to {}", elements.len());
            Err(Mistake::Unfit { found: format!("element {i}"), expected })
        };
    }
    // A mistyped name may hold dots, too.
    let prefixes = path.match_indices('.').map(|(dot, _)| &path[..dot]).chain([path]);
    let likely = prefixes
        .filter_map(|typed| nearest(typed, labels.iter().map(String::as_str)).map(|label| (typed, label)))
        .max_by_key(|(typed, _)| typed.len());
    if let Some((typed, label)) = likely {
        return Err(Mistake::Unfit { found: quoted(typed), expected: format!("{label:?}") });
    }
    if elements.len() == 1 {
        return Ok((0, Some(path)));
    }
    let expected = match labels.as_slice() {
        [] => "0, to add an element to an empty array".to_string(),
        labels => format!("an element by number or name: {}", one_of(labels.iter().map(String::as_str))),
    };
    Err(Mistake::Unfit { found: quoted(part), expected })
}
