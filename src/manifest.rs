//! Autoscaling policies as other systems write them: read into an autoscaler's configuration, and written back.
//!
//! ```text
//!   HorizontalPodAutoscaler ─┐                                   ┌─▶ [autoscaler] of a scenario
//!   ScaledObject, Knative ───┼─▶ tree ─▶ Config, and Notes of ───┤
//!   AWS, CloudFormation ─────┤   lines    what stayed behind     └─▶ any of the forms on the left
//!   Nomad, GCP, Azure ───────┤
//!   rules in camelCase ──────┘
//! ```
//!
//! A manifest says more than a simulation can use (labels, queries, credentials), and a scenario more than a manifest can hold
//! (guards, evidence). Nothing is dropped silently: what is not carried over, or not quite, is a [`Note`] with its reason. What
//! would mean something else is left out rather than bent. Values that the original system would refuse are [`Problems`].
//!
//! What nothing in a simulation can depend on is passed over: `metadata` but for the name, `status`, and which workload is scaled.
//!
//! It reads no files and talks to no cluster.

mod aws;
mod azure;
mod gcp;
mod hpa;
mod keda;
mod knative;
mod names;
mod nomad;
mod reader;
mod rules;
mod schedule;
mod section;
mod tree;
mod yaml;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::engine::autoscaler::{Config, CooldownFrom, Policy};
use crate::engine::hold;
use reader::{Field, Findings};
use tree::Node;
pub(crate) use yaml::document as yaml_document;

/// A manifest that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// What it was, such as "HorizontalPodAutoscaler web".
    pub what: String,
    /// The form that its policy can be written in again.
    pub form: Form,
    /// What the autoscaler is by it.
    pub config: Config,
    /// What was not carried over, or not quite, in the order of the file.
    pub notes: Vec<Note>,
    /// The name of the file.
    file: String,
}

impl Import {
    /// The `[autoscaler]` section of a scenario, with the notes as comments.
    pub fn section(&self) -> String {
        section::write(&self.config, &format!("{} of {}", self.what, self.file), &self.notes)
    }
}

/// The `[autoscaler]` section of a scenario for an autoscaler that is `from` somewhere.
pub fn section(config: &Config, from: &str) -> String {
    section::write(config, from, &[])
}

/// A manifest that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// YAML or JSON.
    pub text: String,
    /// What it does not hold, or not quite.
    pub notes: Vec<Note>,
}

/// Something that was not carried over, or not quite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it stood, from 1; `None` if it is of a scenario.
    pub line: Option<usize>,
    /// The path of its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of the file.
    pub file: String,
    /// From 1, if it is known.
    pub line: Option<usize>,
    /// The path of the key; empty if the text is neither YAML nor JSON.
    pub key: String,
    /// What was found, and what was expected.
    pub sentence: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.sentence)
    }
}

/// Everything that is wrong with a manifest, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// A form that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A HorizontalPodAutoscaler, `autoscaling/v2`.
    Hpa,
    /// A ScaledObject of KEDA.
    Keda,
    /// A Service of Knative, and `config-autoscaler` for what annotations cannot say.
    Knative,
    /// Scaling policies of AWS, as the JSON that commands take.
    Aws,
    /// The same as a template of CloudFormation.
    CloudFormation,
    /// A scaling policy of the Nomad Autoscaler, as JSON.
    Nomad,
    /// An autoscaler of Compute Engine, as JSON.
    Gcp,
    /// An autoscale setting of Azure Monitor, as JSON.
    Azure,
    /// Threshold rules as JSON with names in camelCase and durations in milliseconds.
    Rules,
}

/// Why there is nothing to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// No policy, or rule, of the kind that the form holds.
    #[error("found no {expected}, which is what {form} holds")]
    Nothing {
        /// What to write.
        form: &'static str,
        /// What a scenario has to have for it.
        expected: &'static str,
    },
}

/// Reads a manifest, whose `file` name is for messages.
pub fn import(text: &str, file: &str) -> Result<Import, Problems> {
    let findings = Findings::new(file);
    let read = match tree::parse(text) {
        Ok(documents) => read(&documents, &findings),
        Err(error) => {
            findings.problem(Some(error.line), "", error.message);
            None
        }
    };
    let (notes, problems) = findings.finish();
    match read {
        Some((form, (what, mut config))) if problems.is_empty() => {
            // Where there may be nobody, requests have to wait for somebody; and where a policy buffers them, for room.
            let holds = config.min == 0 || config.policies.iter().any(Policy::buffers);
            config.hold = holds.then(hold::Config::default);
            Ok(Import { what, form, config, notes, file: file.to_string() })
        }
        _ => Err(Problems(problems)),
    }
}

/// What kind of manifest it is, and what is in it; `None` after the reason was written down.
fn read(documents: &[Node], findings: &Findings) -> Option<(Form, (String, Config))> {
    const EXPECTED: &str = "expected a HorizontalPodAutoscaler, a ScaledObject, a Service of Knative, scaling policies of AWS, Nomad, GCP or Azure, or rules with minInstances";
    let kind = |node: &Node| node.get("kind").and_then(Node::text).unwrap_or_default().to_string();
    for document in documents {
        let root = Field::root(document, findings);
        match kind(document).as_str() {
            _ if gcp::is_one(document) => return Some((Form::Gcp, gcp::read(&root)?)),
            "HorizontalPodAutoscaler" => return Some((Form::Hpa, hpa::read(&root)?)),
            "ScaledObject" => return Some((Form::Keda, keda::read(&root)?)),
            "" if rules::is_one(document) => return Some((Form::Rules, rules::read(&root)?)),
            "" if nomad::is_one(document) => return Some((Form::Nomad, nomad::read(&root)?)),
            "" if azure::is_one(document) => return Some((Form::Azure, azure::read(&root)?)),
            _ => {}
        }
    }
    let knative: Vec<Field> =
        documents.iter().map(|node| Field::root(node, findings)).filter(knative::is_one).collect();
    if !knative.is_empty() {
        return Some((Form::Knative, knative::read(&knative)?));
    }
    if documents.iter().any(aws::is_one) {
        let is_template = documents.iter().any(|document| document.get("Resources").is_some());
        let form = if is_template { Form::CloudFormation } else { Form::Aws };
        return Some((form, aws::read(documents, findings)?));
    }
    let kinds: Vec<String> = documents.iter().map(kind).filter(|kind| !kind.is_empty()).collect();
    let found = if kinds.is_empty() { "nothing of the kind".to_string() } else { kinds.join(", ") };
    findings.problem(documents.first().map(|node| node.line), "kind", format!("found {found}, {EXPECTED}"));
    None
}

/// Writes the policy of an autoscaler as a manifest; `name` is that of the scenario.
pub fn export(config: &Config, name: &str, form: Form) -> Result<Export, ExportError> {
    match form {
        Form::Hpa => hpa::write(config, name),
        Form::Keda => keda::write(config, name),
        Form::Knative => knative::write(config, name),
        Form::Aws => aws::write_commands(config, name),
        Form::CloudFormation => aws::write_template(config, name),
        Form::Nomad => nomad::write(config, name),
        Form::Gcp => gcp::write(config, name),
        Form::Azure => azure::write(config, name),
        Form::Rules => rules::write(config),
    }
}

/// Notes on what of an autoscaler a form does not hold; `held` are the numbers of the policies that it does, `carried`
/// the keys of the section that it has besides.
fn left_of(config: &Config, form: &str, held: &[usize], carried: &[&str]) -> Vec<Note> {
    let default = Config::default();
    let mut notes = Vec::new();
    let mut note = |key: &str, reason: String| {
        if !carried.contains(&key) {
            notes.push(Note { line: None, key: format!("autoscaler.{key}"), reason });
        }
    };
    let natural = config.policies.iter().filter_map(Policy::natural_interval).min();
    for (key, differs) in [
        ("interval", config.interval != natural.unwrap_or(default.interval)),
        ("scale_up_cooldown", config.scale_up_cooldown != default.scale_up_cooldown),
        ("scale_down_cooldown", config.scale_down_cooldown != default.scale_down_cooldown),
        ("cooldown_from", config.cooldown_from != CooldownFrom::default()),
        ("max_staleness", config.max_staleness.is_some()),
        ("piling_on_guard", config.piling_on_guard && !config.rules.is_empty() && carried.contains(&"rule")),
        ("metrics", config.metrics != default.metrics),
    ] {
        if differs {
            note(key, format!("{form} has no place for it"));
        }
    }
    if config.scale_down_guards {
        note("scale_down_guards", "they are ours: where this runs nothing else holds a scale-down".to_string());
    }
    for rule in &config.rules {
        if !carried.contains(&"rule") {
            note(&format!("rule.{}", rule.name), format!("{form} holds no threshold rules"));
        }
    }
    for (_, other) in config.policies.iter().enumerate().filter(|(i, _)| !held.contains(i)) {
        note(&format!("policy.{}", other.name()), format!("{form} holds no such policy, or no second one"));
    }
    notes
}

/// A name as objects of Kubernetes have: small letters, digits and dashes, 63 at most.
fn object_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(63).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "wavetank".to_string() } else { plain.to_string() }
}
