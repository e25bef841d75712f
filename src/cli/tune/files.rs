//! What a study leaves behind: `tune.json`, `tune.html`, `trials.csv`, `tuned.toml`, charts, and the policy in the form that it came in.

use std::path::{Path, PathBuf};

use anyhow::Context;
use similar::TextDiff;

use super::System;
use crate::cli::cluster::{imported, named, plain};
use crate::cli::exit::{Failure, OrExit};
use crate::manifest;
use crate::report;
use crate::scenario::Keys;
use crate::tune::output::scenario::{Change, changed};
use crate::tune::output::{self, Told};

/// Writes everything into the folder `out`, which exists.
pub fn write(told: &Told, system: &System, out: &Path) -> Result<(), Failure> {
    let put = |name: &str, text: &str| report::write_file(&out.join(name), text.as_bytes()).or_run_failed();
    put("tune.json", &output::json(told))?;
    put("tune.html", &output::html(told))?;
    put("trials.csv", &output::csv(told))?;
    put("tuned.toml", &tuned_toml(told, system)?)?;
    for (name, text) in manifests(told, system)? {
        put(&name, &text)?;
    }
    #[cfg(feature = "data")]
    crate::dataset::write_csv(&out.join("trials.csv"), &out.join("trials.parquet")).or_run_failed()?;
    #[cfg(feature = "render")]
    {
        let rows: Vec<_> = told.timelines.iter().map(|(label, x)| (label.clone(), x)).collect();
        report::write_chart(out, "timelines.png", |path| report::chart::timelines(&rows, path)).or_run_failed()?;
        let target = told.question.rules.goals.iter().find(|goal| goal.name() == "p99").map(|goal| goal.bound());
        let (points, unit) = (output::points(told), output::cost_unit(told));
        let finding = output::front_finding(told);
        report::write_chart(out, "front.png", |path| report::chart::front(&points, unit, target, &finding, path))
            .or_run_failed()?;
    }
    Ok(())
}

/// What each key was, and how much it matters.
fn comments(told: &Told) -> Vec<Change> {
    let share = |path: &str| {
        told.tuned.importance.iter().find(|each| each.path == path).map_or(String::new(), |each| {
            format!(
                "; explains {:.0} % of cost, {:.0} % of the worst target",
                each.of_cost * 100.0,
                each.of_targets * 100.0
            )
        })
    };
    output::changes(told)
        .into_iter()
        .map(|(path, from, value)| Change { comment: format!("was {from}{}", share(&path)), path, value })
        .collect()
}

/// The scenario with the recommended setting in it. A policy that came from elsewhere takes the place of the section.
fn tuned_toml(told: &Told, system: &System) -> Result<String, Failure> {
    let text =
        std::fs::read_to_string(&system.path).with_context(|| system.path.display().to_string()).or_bad_input()?;
    let mut head = format!("# {}\n", output::headline(told).replace('\n', " "));
    for note in output::notes(told) {
        head.push_str(&format!("# - {}\n", note.replace('\n', " ")));
    }
    head.push_str(&format!("# {}\n\n", told.command));
    let mut changes = comments(told);
    let keys = crate::scenario::keys(&system.path, None, &[]).or_bad_input()?;
    let foreign = system.policy.is_some() || imported(&system.path).is_some();
    let told_of = changes.len();
    changes.extend(moved(system, &keys));
    let Some((mut document, left)) = changed(&text, &keys, &changes) else { return Ok(head + &text) };
    if left.is_empty() && !foreign {
        return Ok(head + &document.to_string());
    }
    document.remove("autoscaler");
    for change in &changes[..told_of] {
        head.push_str(&format!("# {} = {}: {}\n", change.path, change.value, change.comment));
    }
    let scenario = system.load(&crate::tune::space::overrides(&told.tuned.candidate().settings)).or_run_failed()?;
    let section = scenario.autoscaler.map_or(String::new(), |config| manifest::section(&config, "wavetank tune"));
    Ok(format!("{head}\n{document}\n{section}"))
}

/// Names of files, which count from the scenario's folder, as they have to be written in another one: from the current folder.
fn moved(system: &System, keys: &Keys) -> Vec<Change> {
    let change = |(key, path): (String, PathBuf)| {
        let value = toml_edit::Value::from(plain(&path).display().to_string()).to_string();
        Change { path: key, value, comment: String::new() }
    };
    named(&system.path, keys).map(change).collect()
}

/// The policy as a manifest of the system that it came from, and what of it changed.
fn manifests(told: &Told, system: &System) -> Result<Vec<(String, String)>, Failure> {
    let Some((path, form)) = origin(system) else { return Ok(Vec::new()) };
    let tuned = system.load(&crate::tune::space::overrides(&told.tuned.candidate().settings)).or_run_failed()?;
    let export = |scenario: &crate::scenario::Scenario| {
        let config = scenario.autoscaler.as_ref()?;
        manifest::export(config, &scenario.name, form).ok()
    };
    let (Some(before), Some(after)) = (export(&system.scenario), export(&tuned)) else { return Ok(Vec::new()) };
    for note in &after.notes {
        eprintln!("not carried over, or not quite: {note}");
    }
    let name = path.file_name().map_or("policy".to_string(), |name| name.to_string_lossy().into_owned());
    let diff = TextDiff::from_lines(&before.text, &after.text)
        .unified_diff()
        .header(&format!("a/{name}"), &format!("b/{name}"))
        .to_string();
    Ok(vec![(format!("tuned-{name}"), after.text), (format!("{name}.diff"), diff)])
}

/// The manifest that the policy came from, and its form.
fn origin(system: &System) -> Option<(PathBuf, manifest::Form)> {
    let is_scenario = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let path = match &system.policy {
        Some(policy) if is_scenario(policy) => return None,
        Some(policy) => policy.clone(),
        None => imported(&system.path)?,
    };
    let text = std::fs::read_to_string(&path).ok()?;
    let import = manifest::import(&text, &path.display().to_string()).ok()?;
    Some((path, import.form))
}
