//! `wavetank compare`: run what has to be run, read what was, and put it side by side.

mod traffic;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::args::CompareArgs;
use super::dataset::quoted;
use super::exit::{Exit, Failure, OrExit};
use super::run::{check_length, experiment, timed};
use crate::compare::{self, Comparison, Contender};
use crate::record::Run;
use crate::report::saved::{self, Saved};
use crate::report::{Experiment, RunInfo};
use crate::scenario::{self, Scenario};
use crate::sim::Plan;
use crate::sim::replicate::replicate;

/// Runs of a scenario that does not ask for several: enough to see what common random numbers can show.
const RUNS: u32 = 10;

/// One of those to compare, before anything has run.
enum Entry {
    Scenario { plan: Box<Plan>, command: String },
    Report(Box<Saved>),
}

/// The same with its runs.
enum Ready {
    Simulated { plan: Box<Plan>, runs: Vec<Run>, info: RunInfo, command: String },
    Report(Box<Saved>),
}

/// Compares.
pub fn compare(args: CompareArgs) -> Result<Exit, Failure> {
    let out = args.out.clone().unwrap_or_else(|| Path::new("reports").join("compare"));
    let write_files = args.out.is_some() || !args.json;
    let recorded = traffic::recorded(&args, write_files.then_some(&*out))?;
    let mut args = args;
    if let Some(recorded) = &recorded {
        args.policies.extend(recorded.usual.iter().cloned());
        args.contenders = vec![recorded.scenario.clone()];
        args.overrides.insert(0, recorded.replay.clone());
    }
    let args = args;
    let entries = entries(&args, recorded.as_ref().map_or(RUNS, |recorded| recorded.runs))?;
    let labels = labels(&args);
    if write_files {
        std::fs::create_dir_all(&out)
            .with_context(|| format!("cannot make the folder {}", out.display()))
            .or_bad_input()?;
    }
    let mut ready = Vec::new();
    for entry in entries {
        ready.push(match entry {
            Entry::Report(saved) => Ready::Report(saved),
            Entry::Scenario { plan, command } => {
                let replications = plan.scenario().replications;
                let (runs, info) = timed(&plan, args.threads, |monitor| replicate(&plan, replications, monitor))?;
                Ready::Simulated { plan, runs, info, command }
            }
        });
    }
    let contenders: Vec<Contender> =
        ready.iter().zip(labels).map(|(each, label)| Contender { label, experiment: each.experiment() }).collect();
    let title = title(&contenders, &args);
    let notes = notes(&contenders);
    let comparison = Comparison { title, contenders, notes };
    if write_files {
        compare::write(&comparison, &out).or_run_failed()?;
    }
    let mut stdout = std::io::stdout().lock();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A closed pipe is the reader's choice, not a failure.
    let _ = if args.json {
        stdout.write_all(compare::json(&comparison).as_bytes())
    } else {
        let text = compare::console(&comparison, color);
        write!(stdout, "{text}\nComparison: {}\n", out.join("compare.html").display())
    };
    Ok(Exit::Done)
}

impl Ready {
    fn experiment(&self) -> Experiment<'_> {
        match self {
            Ready::Report(saved) => saved.experiment(),
            Ready::Simulated { plan, runs, info, command } => {
                experiment(plan, runs, command.clone(), info.clone(), None)
            }
        }
    }
}

/// Everything to compare, read and checked before the first run.
fn entries(args: &CompareArgs, runs: u32) -> Result<Vec<Entry>, Failure> {
    let mut seed = args.seed;
    let mut entries = Vec::new();
    if !args.policies.is_empty() {
        let [path] = args.contenders.as_slice() else {
            return Err(anyhow!("--policy replaces the policy of one scenario, found {}", args.contenders.len()))
                .or_bad_input();
        };
        if is_report(path) {
            return Err(anyhow!("{}: a report has been run; --policy needs a scenario", path.display()))
                .or_bad_input();
        }
        let own = (args.policies.len() == 1).then(|| scenario::load(path, &args.overrides));
        let replaced = args.policies.iter().map(|policy| scenario::load_with_policy(path, policy, &args.overrides));
        for (i, each) in own.into_iter().chain(replaced).enumerate() {
            let policy = if args.policies.len() == 1 { i.checked_sub(1) } else { Some(i) };
            let with = policy.map_or(String::new(), |i| format!(" --policy {}", quoted(&args.policies[i])));
            let command = format!("wavetank compare {}{with}", quoted(path));
            entries.push(planned(each.or_bad_input()?, command, args, (runs, &mut seed))?);
        }
        return Ok(entries);
    }
    if args.contenders.len() < 2 {
        let expected = "expected two or more, or --policy FILE";
        return Err(anyhow!("found one contender, {expected}")).or_bad_input();
    }
    for path in &args.contenders {
        entries.push(if is_report(path) {
            Entry::Report(Box::new(saved::load(path).or_bad_input()?))
        } else {
            let scenario = scenario::load(path, &args.overrides).or_bad_input()?;
            planned(scenario, format!("wavetank sim {}", quoted(path)), args, (runs, &mut seed))?
        });
    }
    Ok(entries)
}

/// Makes a scenario ready, with the seed that all share, for so many runs if it does not ask for several.
fn planned(
    mut scenario: Scenario,
    mut command: String,
    args: &CompareArgs,
    (runs, seed): (u32, &mut Option<u64>),
) -> Result<Entry, Failure> {
    if !args.traffic.is_empty() {
        // As long as the recording lasts.
        scenario.duration = None;
    }
    traffic::with_tables(&mut scenario);
    for note in &scenario.import_notes {
        eprintln!("not carried over, or not quite: {note}");
    }
    scenario.seed = *seed.get_or_insert(scenario.seed);
    let own = if scenario.replications > 1 { scenario.replications } else { runs };
    scenario.replications = args.replications.unwrap_or(own);
    for each in &args.overrides {
        command.push_str(&format!(" --set '{each}'"));
    }
    command.push_str(&format!(" --replications {} --seed {}", scenario.replications, scenario.seed));
    let plan = Plan::new(scenario).or_bad_input()?;
    check_length(&plan).or_bad_input()?;
    Ok(Entry::Scenario { plan: Box::new(plan), command })
}

/// Whether a path is a finished report rather than a scenario.
pub(super) fn is_report(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// A short name for each that no other has: the name of its file, or as much more of its path as it takes.
fn labels(args: &CompareArgs) -> Vec<String> {
    let paths: Vec<PathBuf> = match args.policies.as_slice() {
        [] => args.contenders.clone(),
        [one] => vec![args.contenders[0].clone(), one.clone()],
        policies => policies.to_vec(),
    };
    let parts = |path: &Path| -> Vec<String> {
        let plain = if path.file_name().is_some_and(|name| name == "report.json") { path.parent() } else { None };
        let plain = plain.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(path);
        let without = if plain.is_dir() { plain.to_path_buf() } else { plain.with_extension("") };
        without.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let all: Vec<Vec<String>> = paths.iter().map(|path| parts(path)).collect();
    let tail = |parts: &[String], n: usize| parts[parts.len().saturating_sub(n)..].join("/");
    let longest = all.iter().map(Vec::len).max().unwrap_or(1);
    let unique = (1..=longest).find_map(|n| {
        let labels: Vec<String> = all.iter().map(|parts| tail(parts, n)).collect();
        let differ = (1..labels.len()).all(|i| !labels[..i].contains(&labels[i]));
        differ.then_some(labels)
    });
    // The same file twice is a fair question: are two runs of it the same?
    unique.unwrap_or_else(|| {
        all.iter().enumerate().map(|(i, parts)| format!("{} ({})", tail(parts, 1), i + 1)).collect()
    })
}

fn title(contenders: &[Contender], args: &CompareArgs) -> String {
    let labels: Vec<&str> = contenders.iter().map(|each| each.label.as_str()).collect();
    match args.policies.is_empty() {
        true => labels.join(" and "),
        false => format!("{}: {}", contenders[0].experiment.name, labels.join(" and ")),
    }
}

/// What makes a comparison weaker than it looks.
fn notes(contenders: &[Contender]) -> Vec<String> {
    let first = &contenders[0].experiment;
    let mut notes = Vec::new();
    for each in &contenders[1..] {
        let x = &each.experiment;
        if x.duration != first.duration {
            notes.push(format!(
                "{} lasted {}, the first {}: nothing is paired.",
                each.label, x.duration, first.duration
            ));
        }
        let (a, b) = (first.first().counts.offered, x.first().counts.offered);
        if a != b && x.duration == first.duration && x.first().seed == first.first().seed {
            notes.push(format!(
                "{} was offered {b} requests in its first run, the first contender {a}: their traffic differs, so differences are not of the policy alone.",
                each.label
            ));
        }
    }
    for each in contenders {
        if each.experiment.cut_short().is_some() {
            notes.push(format!("{} was cut short.", each.label));
        }
        if let Some(faults) = each.experiment.generator_faults() {
            notes.push(format!("{}: {faults}.", each.label));
        }
    }
    notes
}
