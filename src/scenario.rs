//! A scenario: everything that a run needs to know, validated.
//!
//! The file is TOML (`document` keeps the place of every key), overrides are `--set path=value`. Reading collects every
//! problem of a file at once; what comes out has no impossible value in it.
//!
//! ```text
//! text ─▶ document ─▶ overrides ─▶ schema (reader) ─▶ check ─▶ Scenario
//!          places      path=value   a section each     between sections
//! ```
//!
//! A section that is absent switches its feature off, so the smallest scenario is a plain queue:
//!
//! ```
//! let text = r#"
//!     scenario.duration = "10m"
//!     traffic.shape = [{ kind = "constant", rate = 50 }]
//!     service.time = { dist = "exponential", mean = "10ms" }
//! "#;
//! let scenario = wavetank::scenario::parse(text, "queue.toml", "".as_ref(), &[]).unwrap();
//! assert_eq!(scenario.name, "queue");
//! ```

mod check;
pub mod clients;
pub mod dependency;
mod document;
pub mod faults;
pub mod fleet;
mod import;
pub mod live;
pub mod load;
pub mod overload;
mod overrides;
pub mod problem;
mod reader;
pub mod request;
mod schema;
pub mod service;
pub mod slo;

use std::io;
use std::path::{Path, PathBuf};

use crate::engine::metrics::InstanceSize;
use crate::engine::{self, analyzer, autoscaler, balancer, breaker, limiter};
use crate::manifest;
use crate::record::recorder::{self, Sizing};
use crate::scenario::document::{At, Data, Node};
use crate::scenario::problem::{Mistake, Problems};
use crate::scenario::reader::Findings;
use crate::traffic;
use crate::units::Span;

/// A validated scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Short name, used for the report's folder.
    pub name: String,
    /// One line on what it shows.
    pub description: String,
    /// Fingerprint of the scenario as it runs, overrides included: 16 hex digits, the same for the same keys and values
    /// however they are written. Files that the scenario names are not part of it.
    pub digest: String,
    /// Length of the run, > 0; `None`: as long as the recorded traffic lasts (possible with `traffic.replay` only).
    pub duration: Option<Span>,
    /// Start of the run left out of the statistics, < `duration` if that is given. Default 0.
    pub warmup: Span,
    /// Seed of every random number. Default 42.
    pub seed: u64,
    /// Independent replications, ≥ 1. Default 1.
    pub replications: u32,
    /// Where requests come from.
    pub traffic: Traffic,
    /// Who sends them.
    pub clients: clients::Clients,
    /// What an instance does with one.
    pub service: service::Service,
    /// How instances come and go.
    pub fleet: fleet::Fleet,
    /// How many there should be; `None`: always `fleet.initial`.
    pub autoscaler: Option<autoscaler::Config>,
    /// Which one gets a request.
    pub balancer: balancer::Config,
    /// What is refused or asked twice under overload.
    pub overload: overload::Overload,
    /// When not to send; `None`: always send.
    pub breaker: Option<breaker::Config>,
    /// Whom to refuse; `None`: nobody.
    pub limiter: Option<limiter::Config>,
    /// What goes beyond one plain quota.
    pub limiter_extras: limiter::hierarchy::Extras,
    /// What kind of traffic it is; `None`: not analyzed.
    pub analyzer: Option<analyzer::Config>,
    /// How far ahead the offered load is to be forecast (`analyzer.prediction_window`); `None`: not at all.
    pub prediction_window: Option<Span>,
    /// What goes wrong.
    pub faults: Vec<faults::Fault>,
    /// What the service calls.
    pub dependencies: Vec<dependency::Dependency>,
    /// What must hold.
    pub slo: Vec<slo::Target>,
    /// Where and how it runs live; `None`: the file does not say.
    pub live: Option<live::Live>,
    /// How `wavetank load` sends it.
    pub load: load::Load,
    /// What `autoscaler.import` could not carry over, each with file, line, key and reason.
    pub import_notes: Vec<String>,
}

impl Scenario {
    /// What an instance has of CPU and memory.
    pub fn instance_size(&self) -> InstanceSize {
        let default = InstanceSize::default();
        InstanceSize {
            cpu_cores: self.service.cores,
            memory_bytes: self.fleet.memory.as_ref().map_or(default.memory_bytes, |memory| memory.limit),
        }
    }

    /// The engine that either world drives, for requests to `endpoints` (in their order) by so many clients.
    pub fn engine_config(&self, seed: u64, endpoints: &[service::Endpoint], clients: usize) -> engine::Config {
        engine::Config {
            seed,
            endpoints: endpoints.iter().map(|endpoint| endpoint.path.clone()).collect(),
            clients,
            regions: self.clients.population.regions.len().max(1),
            limiter: self.limiter.clone(),
            limiter_extras: self.limiter_extras.clone(),
            overload: self.overload.gateway.clone(),
            breaker: self.breaker.clone(),
            balancer: self.balancer.clone(),
            instance: self.instance_size(),
            autoscaler: self.autoscaler.clone(),
            analyzer: self.analyzer.clone(),
        }
    }

    /// What a recorder of a run of this length has to know.
    pub fn recording(&self, duration: Span, endpoints: &[service::Endpoint]) -> recorder::Settings {
        recorder::Settings {
            duration,
            warmup: self.warmup,
            endpoints: endpoints.iter().map(|endpoint| endpoint.path.clone()).collect(),
            billing: self.fleet.billing,
            boot: self.fleet.boot.mean(),
            initial: self.fleet.initial,
            sizing: self.sizing(),
            spotlight: Vec::new(),
            keeps_steps: false,
        }
    }

    /// Demand is met when at most one request in a hundred waits longer than half the tightest p99 target, or, without a
    /// target, than a mean demand.
    fn sizing(&self) -> Sizing {
        let calls = self.dependencies.iter().map(|d| d.calls_per_request * d.time.mean().as_secs_f64()).sum::<f64>();
        let demand = self.service.mean_demand() + calls;
        let target = self.slo.iter().find_map(|target| match target {
            slo::Target::Quantile { q, at_most } if *q == 0.99 => Some(at_most.as_secs_f64() / 2.0),
            _ => None,
        });
        Sizing { demand, servers: self.service.servers(), wait_bound: target.unwrap_or(demand) }
    }
}

/// Where requests come from.
#[expect(clippy::large_enum_variant, reason = "there is one of it in a run")]
#[derive(Clone, Debug)]
pub enum Traffic {
    /// They come whether or not earlier ones were answered.
    Open(traffic::Config),
    /// They come as they were recorded.
    Replay {
        /// The recording.
        recording: Recording,
        /// What changes it: arrivals (of a rate series), noise, overlays. Its shape is empty.
        changes: traffic::Config,
    },
    /// Users who wait for an answer, think, and ask again.
    Closed(clients::Users),
}

/// Recorded traffic. The file is there; what is in it is found out when it is opened, because that reads all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Where its files are, from the current folder; names may be patterns.
    pub paths: Vec<PathBuf>,
    /// How it is read and played.
    pub options: traffic::replay::Options,
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not there, or cannot be read.
    #[error("cannot read the scenario {path:?}: {cause}")]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// It is a folder.
    #[error("cannot read the scenario {0:?}: it is a folder, not a file")]
    Folder(PathBuf),
    /// It is not text.
    #[error("cannot read the scenario {path:?}: line {line} is not UTF-8 text")]
    NotText {
        /// The path as it was given.
        path: PathBuf,
        /// First line with a byte that is not UTF-8.
        line: usize,
    },
    /// It has mistakes.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// A manifest that takes the place of its policy has mistakes.
    #[error(transparent)]
    Manifest(#[from] manifest::Problems),
}

/// Reads and checks a scenario file, with `overrides` (`path=value`) put into it in their order.
pub fn load(path: &Path, overrides: &[String]) -> Result<Scenario, LoadError> {
    load_with_text(path, overrides).map(|(scenario, _)| scenario)
}

/// The same, and the text that it was read from.
pub(crate) fn load_with_text(path: &Path, overrides: &[String]) -> Result<(Scenario, String), LoadError> {
    let text = text_of(path)?;
    let base = path.parent().unwrap_or(Path::new(""));
    Ok((parse(&text, &path.display().to_string(), base, overrides)?, text))
}

/// The same with the `[autoscaler]` section of the file `policy`, which may be another whole scenario or, unless its name ends in
/// `.toml`, a manifest of another system, in place of its own.
pub fn load_with_policy(path: &Path, policy: &Path, overrides: &[String]) -> Result<Scenario, LoadError> {
    // What is wrong with the scenario itself is told with its own lines.
    load(path, &[])?;
    let policy_text = PolicyText::read(policy)?;
    let (findings, root) = policy_text.in_place_of_its_own(path, overrides)?;
    let stem = stem_of(&path.display().to_string());
    let mut scenario = finish(findings, root, &stem, overrides)?;
    scenario.import_notes.extend(policy_text.notes);
    Ok(scenario)
}

/// The keys of a scenario with `overrides`, and with the policy of another file if there is one, before their values are given a
/// meaning.
pub fn keys(path: &Path, policy: Option<&Path>, overrides: &[String]) -> Result<Keys, LoadError> {
    let (name, text) = (path.display().to_string(), text_of(path)?);
    let policy = policy.map(PolicyText::read).transpose()?;
    let (findings, mut root) = match &policy {
        Some(policy) => policy.in_place_of_its_own(path, overrides)?,
        None => {
            let findings = Findings::new(&name, &text, path.parent().unwrap_or(Path::new("")), overrides);
            match Node::parse(&text) {
                Ok(root) => (findings, root),
                Err(error) => return Err(syntax(findings, error.at, error.message).into()),
            }
        }
    };
    put_into(&findings, &mut root, overrides);
    findings.into_problems().map_or(Ok(Keys(root)), |problems| Err(problems.into()))
}

/// The keys of a scenario.
#[derive(Clone, Debug)]
pub struct Keys(Node);

impl Keys {
    /// The value at a path, as overrides write paths, as TOML writes values; `None` if there is none, or it is a table or an array.
    pub fn value(&self, path: &str) -> Option<String> {
        overrides::get(&self.0, path)
            .filter(|node| !matches!(node.data, Data::Table(_) | Data::List(_)))
            .map(Node::shown)
    }

    /// The keys and places that a path goes through; `None` if nothing is there.
    pub fn steps(&self, path: &str) -> Option<Vec<Step>> {
        overrides::steps(&self.0, path)
    }

    /// Every path below the section `section` with its value, in the order of the file.
    pub fn below(&self, section: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        if let Some(node) = overrides::get(&self.0, section) {
            leaves(node, section, &mut all);
        }
        all
    }
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an element of an array.
    Element(usize),
}

fn leaves(node: &Node, path: &str, all: &mut Vec<(String, String)>) {
    match &node.data {
        Data::Table(entries) => {
            entries.iter().for_each(|entry| leaves(&entry.node, &format!("{path}.{}", entry.key), all));
        }
        Data::List(elements) => {
            for (i, element) in elements.iter().enumerate() {
                leaves(element, &format!("{path}.{}", document::label(elements, i)), all);
            }
        }
        _ => all.push((path.to_string(), node.shown())),
    }
}

/// A file whose policy takes the place of another one's.
struct PolicyText {
    name: String,
    text: String,
    /// What a manifest said that was not carried over.
    notes: Vec<String>,
}

impl PolicyText {
    fn read(policy: &Path) -> Result<PolicyText, LoadError> {
        let (name, text) = (policy.display().to_string(), text_of(policy)?);
        if policy.extension().is_none_or(|extension| extension.eq_ignore_ascii_case("toml")) {
            return Ok(PolicyText { name, text, notes: Vec::new() });
        }
        let import = manifest::import(&text, &name)?;
        let notes = import.notes.iter().map(|note| format!("{name}: {note}")).collect();
        Ok(PolicyText { text: import.section(), name, notes })
    }

    /// The tree of the scenario at `path` with this policy.
    fn in_place_of_its_own<'a>(
        &'a self,
        path: &'a Path,
        overrides: &'a [String],
    ) -> Result<(Findings<'a>, Node), LoadError> {
        let (name, text) = (path.display().to_string(), text_of(path)?);
        let base = path.parent().unwrap_or(Path::new(""));
        let findings = Findings::new(&self.name, &self.text, base, overrides);
        let mut root = match Node::parse(&self.text) {
            Ok(root) => root,
            Err(error) => return Err(syntax(findings, error.at, error.message).into()),
        };
        let scenario = match Node::parse(&text) {
            Ok(scenario) => scenario,
            Err(error) => {
                return Err(syntax(Findings::new(&name, &text, base, overrides), error.at, error.message).into());
            }
        };
        if let (Data::Table(entries), Data::Table(others)) = (&mut root.data, scenario.data) {
            if !entries.iter().any(|entry| entry.key == "autoscaler") {
                findings.add(root.at, "autoscaler", Mistake::Missing { example: "[autoscaler] min = 2".to_string() });
            }
            // Everything but the policy is the scenario's; a key that no scenario has is left for the reader to refuse.
            entries.retain(|entry| entry.key == "autoscaler" || !check::SECTIONS.contains(&entry.key.as_str()));
            entries.extend(others.into_iter().filter(|entry| entry.key != "autoscaler"));
        }
        Ok((findings, root))
    }
}

fn text_of(path: &Path) -> Result<String, LoadError> {
    if path.is_dir() {
        return Err(LoadError::Folder(path.to_path_buf()));
    }
    let bytes = std::fs::read(path).map_err(|cause| LoadError::Unreadable { path: path.to_path_buf(), cause })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        LoadError::NotText { path: path.to_path_buf(), line }
    })
}

fn stem_of(file_name: &str) -> String {
    Path::new(file_name).file_stem().map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy()).into_owned()
}

/// Checks the text of a scenario file called `file_name`; files that it names are looked for in `base_dir`, then in the current
/// folder.
pub fn parse(text: &str, file_name: &str, base_dir: &Path, overrides: &[String]) -> Result<Scenario, Problems> {
    let findings = Findings::new(file_name, text, base_dir, overrides);
    match Node::parse(text) {
        Ok(root) => finish(findings, root, &stem_of(file_name), overrides),
        Err(error) => Err(syntax(findings, error.at, error.message)),
    }
}

fn syntax(findings: Findings, at: usize, message: String) -> Problems {
    findings.add(At::Byte(at), "", Mistake::Syntax(message));
    findings.into_problems().expect("one was just added")
}

/// Puts the overrides into a tree and reads it.
fn finish(findings: Findings, mut root: Node, stem: &str, overrides: &[String]) -> Result<Scenario, Problems> {
    let import_notes = put_into(&findings, &mut root, overrides);
    let scenario = reader::read_root(&findings, &root, |s| check::scenario(s, stem, root.digest()));
    let scenario = scenario.map(|scenario| Scenario { import_notes, ..scenario });
    match (scenario, findings.into_problems()) {
        (Some(scenario), None) => Ok(scenario),
        (_, Some(problems)) => Err(problems),
        (None, None) => unreachable!("a reader that gives up has written down why"),
    }
}

/// Puts what is imported and what is overridden into a tree; what the import could not carry over.
fn put_into(findings: &Findings, root: &mut Node, overrides: &[String]) -> Vec<String> {
    // What is imported can be overridden, and so can what is to be imported.
    let imports = |text: &str| overrides::path(text) == "autoscaler.import";
    let apply = |root: &mut Node, which: bool| {
        for (number, text) in overrides.iter().enumerate().filter(|(_, text)| imports(text) == which) {
            if let Err(mistake) = overrides::apply(root, text, number) {
                findings.add(At::Override(number), "", mistake);
            }
        }
    };
    apply(root, true);
    let import_notes = import::splice(findings, root);
    apply(root, false);
    import_notes
}

#[cfg(test)]
mod tests;
