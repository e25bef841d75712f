//! `wavetank export`: the policy of a scenario as the manifest of another system.

use std::io::Write as _;

use anyhow::{Context, anyhow};

use super::args::{ExportArgs, ExportForm};
use super::exit::{Exit, Failure, OrExit};
use crate::manifest::{self, Form};
use crate::scenario;

/// Prints the manifest; what it cannot hold is told on standard error.
pub fn export(args: ExportArgs) -> Result<Exit, Failure> {
    let scenario = scenario::load(&args.scenario, &args.overrides).or_bad_input()?;
    let config = scenario
        .autoscaler
        .ok_or_else(|| anyhow!("{}: autoscaler: missing, there is no policy to export", args.scenario.display()))
        .or_bad_input()?;
    let form = match args.to {
        ExportForm::Hpa => Form::Hpa,
        ExportForm::Keda => Form::Keda,
        ExportForm::Knative => Form::Knative,
        ExportForm::Aws => Form::Aws,
        ExportForm::Cloudformation => Form::CloudFormation,
        ExportForm::Nomad => Form::Nomad,
        ExportForm::Gcp => Form::Gcp,
        ExportForm::Azure => Form::Azure,
        ExportForm::Rules => Form::Rules,
    };
    let export = manifest::export(&config, &scenario.name, form)
        .with_context(|| args.scenario.display().to_string())
        .or_bad_input()?;
    for note in &export.notes {
        eprintln!("not carried over, or not quite: {note}");
    }
    match &args.out {
        Some(path) => std::fs::write(path, export.text)
            .with_context(|| format!("cannot write {}", path.display()))
            .or_run_failed()?,
        // A closed pipe is the reader's choice, not a failure.
        None => drop(std::io::stdout().lock().write_all(export.text.as_bytes())),
    }
    Ok(Exit::Done)
}
