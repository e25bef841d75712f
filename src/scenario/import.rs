//! `[autoscaler] import = "hpa.yaml"`: the policy of another system, put into the tree before overrides are.
//!
//! What the section says besides counts, where both say something; rules and policies follow the imported ones. The imported
//! values are part of the scenario's digest, and can be overridden like any others.

use crate::manifest;
use crate::scenario::document::{Data, Entry, Node};
use crate::scenario::problem::Mistake;
use crate::scenario::reader::{Field, Findings};

/// Replaces `autoscaler.import` by what is in the file, and says what is not carried over.
pub(crate) fn splice(findings: &Findings, root: &mut Node) -> Vec<String> {
    let Some(own) = section(root) else { return Vec::new() };
    let Some(i) = own.iter().position(|entry| entry.key == "import") else { return Vec::new() };
    let given = own.remove(i);
    let field = Field::at(findings, &given.node, given.at, "autoscaler.import");
    let Some(path) = field.file() else { return Vec::new() };
    let name = path.display().to_string();
    let refuse = |sentence: String| {
        findings.add(given.node.at, "autoscaler.import", Mistake::Contradiction(sentence));
        Vec::new()
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return refuse(format!("cannot read {name}: {error}")),
    };
    let import = match manifest::import(&text, &name) {
        Ok(import) => import,
        Err(manifest::Problems(problems)) => {
            problems.iter().for_each(|problem| drop(refuse(problem.to_string())));
            return Vec::new();
        }
    };
    let mut imported = match Node::parse_all_at(&import.section(), given.node.at) {
        Ok(root) => root,
        Err(error) => unreachable!("sections are TOML: {}", error.message),
    };
    for mut entry in section(&mut imported).map(std::mem::take).unwrap_or_default() {
        match own.iter_mut().find(|other| other.key == entry.key) {
            None => own.push(entry),
            Some(Entry { node: Node { data: Data::List(after), .. }, .. }) => {
                if let Data::List(before) = &mut entry.node.data {
                    before.append(after);
                    *after = std::mem::take(before);
                }
            }
            // The section itself counts.
            Some(_) => {}
        }
    }
    import.notes.iter().map(|note| format!("{name}: {note}")).collect()
}

/// The entries of `[autoscaler]`.
fn section(root: &mut Node) -> Option<&mut Vec<Entry>> {
    let Data::Table(entries) = &mut root.data else { return None };
    let section = entries.iter_mut().find(|entry| entry.key == "autoscaler")?;
    if let Data::Table(entries) = &mut section.node.data { Some(entries) } else { None }
}
