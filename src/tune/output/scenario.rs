//! `tuned.toml`: the scenario with the recommended setting in it, and what changed beside each key.

use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::scenario::{Keys, Step};

/// A key with its new value, and what to say beside it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its path, as overrides write paths.
    pub path: String,
    /// Its new value, as TOML writes it, or a plain text.
    pub value: String,
    /// What it was, and why it changed; empty: nothing is said.
    pub comment: String,
}

/// The text of a scenario with changes in it, each with its comment, everything else as it stands; what could not be put in, as its place is
/// not in the text (an imported policy, say), is answered beside it.
pub fn changed<'c>(text: &str, keys: &Keys, changes: &'c [Change]) -> Option<(DocumentMut, Vec<&'c Change>)> {
    let mut document: DocumentMut = text.parse().ok()?;
    let mut left = Vec::new();
    for change in changes {
        let steps = keys.steps(&change.path).or_else(|| missing(keys, &change.path));
        let value: Value = change.value.parse().unwrap_or_else(|_| Value::from(change.value.as_str()));
        let is_in = steps.is_some_and(|steps| put(document.as_table_mut(), &steps, value, said(&change.comment)));
        if !is_in {
            left.push(change);
        }
    }
    Some((document, left))
}

fn said(comment: &str) -> Option<&str> {
    (!comment.is_empty()).then_some(comment)
}

/// The steps to a key that is not there yet, if what it belongs to is.
fn missing(keys: &Keys, path: &str) -> Option<Vec<Step>> {
    let (parent, key) = path.rsplit_once('.')?;
    let mut steps = keys.steps(parent)?;
    steps.push(Step::Key(key.to_string()));
    Some(steps)
}

fn put(table: &mut dyn TableLike, steps: &[Step], mut value: Value, comment: Option<&str>) -> bool {
    match steps {
        [Step::Key(key)] => {
            if let Some(comment) = comment {
                value.decor_mut().set_suffix(format!("  # {comment}"));
            }
            match table.get_mut(key) {
                Some(item) => *item = Item::Value(value),
                None => drop(table.insert(key, Item::Value(value))),
            }
            true
        }
        [Step::Key(key), Step::Element(i), rest @ ..] => match table.get_mut(key) {
            Some(Item::ArrayOfTables(tables)) => {
                tables.get_mut(*i).is_some_and(|table| put(table, rest, value, comment))
            }
            // A comment would end the line that the table goes on in.
            Some(Item::Value(Value::Array(array))) => array
                .get_mut(*i)
                .and_then(Value::as_inline_table_mut)
                .is_some_and(|table| put(table, rest, value, None)),
            _ => false,
        },
        [Step::Key(key), rest @ ..] => match table.get_mut(key) {
            Some(Item::Value(Value::InlineTable(table))) => put(table, rest, value, None),
            Some(item) => item.as_table_like_mut().is_some_and(|table| put(table, rest, value, comment)),
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_stands_where_it_was_with_what_it_was() {
        let text = "# A shop.\n[autoscaler]\nmin = 2 # two\n\n[[autoscaler.rule]]\nname = \"up\"\nthreshold = 70\n\n[fleet]\nboot = { dist = \"constant\", value = \"1m\" }\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(&path, text).unwrap();
        let keys = crate::scenario::keys(&path, None, &[]).unwrap();
        let change = |path: &str, value: &str| Change {
            path: path.into(),
            value: value.into(),
            comment: "was another".into(),
        };
        let changes = [
            change("autoscaler.min", "3"),
            change("autoscaler.rule.up.threshold", "61"),
            change("autoscaler.rule.up.duration", "\"30s\""),
            change("fleet.boot.value", "\"2m\""),
            change("autoscaler.policy.target", "5"),
        ];
        let (document, left) = changed(text, &keys, &changes).unwrap();
        let expected = "# A shop.\n[autoscaler]\nmin = 3  # was another\n\n[[autoscaler.rule]]\nname = \"up\"\nthreshold = 61  # was another\nduration = \"30s\"  # was another\n\n[fleet]\nboot = { dist = \"constant\", value = \"2m\" }\n";
        assert_eq!(document.to_string(), expected);
        assert_eq!(left.len(), 1);
    }
}
