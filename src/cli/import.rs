//! `wavetank import`: an autoscaling policy of another system as the `[autoscaler]` section of a scenario.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context;

use super::args::ImportArgs;
use super::exit::{Exit, Failure, OrExit};
use crate::manifest;

/// Prints the section; what stayed behind is told on standard error as well.
pub fn import(args: ImportArgs) -> Result<Exit, Failure> {
    let (text, name) = text_of(&args.manifest).or_bad_input()?;
    let import = match manifest::import(&text, &name) {
        Ok(import) => import,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(Exit::BadInput);
        }
    };
    for note in &import.notes {
        eprintln!("not carried over, or not quite: {note}");
    }
    let section = import.section();
    match &args.out {
        Some(path) => std::fs::write(path, section)
            .with_context(|| format!("cannot write {}", path.display()))
            .or_run_failed()?,
        // A closed pipe is the reader's choice, not a failure.
        None => drop(std::io::stdout().lock().write_all(section.as_bytes())),
    }
    Ok(Exit::Done)
}

fn text_of(path: &Path) -> anyhow::Result<(String, String)> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok((text, "standard input".to_string()));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((text, path.display().to_string()))
}
