//! `--record FILE` of live runs, and `wavetank replay-decisions`, which plays such a file.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::args::ReplayDecisionsArgs;
use super::exit::{Exit, Failure, OrExit};
use crate::live::driver::Flight;
use crate::live::flight::{self, Header, Replay};

/// A recording to `file` of a run of the scenario in `path`; `None`: nobody wants one.
pub fn recording(
    file: Option<&Path>,
    path: &Path,
    overrides: &[String],
    seed: u64,
) -> Result<Option<Flight>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let read = || std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let header = Header {
        name: path.display().to_string(),
        scenario: read().or_bad_input()?,
        overrides: overrides.to_vec(),
        seed,
        clients: 0,
    };
    // It is written as it happens, so that what led to a crash is there after it.
    let sink = File::create(file).with_context(|| format!("cannot write {}", file.display())).or_bad_input()?;
    Ok(Some(Flight { header, sink: Box::new(sink) }))
}

/// Plays a recording.
pub fn replay_decisions(args: &ReplayDecisionsArgs) -> Result<Exit, Failure> {
    let name = args.recording.display();
    let file = File::open(&args.recording).with_context(|| format!("cannot read {name}")).or_bad_input()?;
    let played = flight::replay(BufReader::new(file)).with_context(|| name.to_string()).or_bad_input()?;
    let text = if args.json { as_json(&played) } else { in_words(&played) };
    // A closed pipe is the reader's choice, not a failure.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(if played.difference.is_none() { Exit::Done } else { Exit::GateFailed })
}

fn in_words(played: &Replay) -> String {
    let Replay { inputs, compared, difference, cut_off } = played;
    let cut = if *cut_off { "; the last line is only half there" } else { "" };
    match difference {
        None => format!("the same decisions: {inputs} inputs, {compared} answers compared{cut}\n"),
        Some(it) => format!(
            "different from line {} on, at {}, after {inputs} inputs\n  told      {}\n  recorded  {}\n  replayed  {}\n",
            it.line, it.at, it.input, it.recorded, it.replayed
        ),
    }
}

fn as_json(played: &Replay) -> String {
    let difference = played.difference.as_ref().map(|it| {
        json!({ "line": it.line, "at": it.at.as_secs_f64(), "told": it.input, "recorded": it.recorded, "replayed": it.replayed })
    });
    let told = json!({
        "same": played.difference.is_none(),
        "inputs": played.inputs,
        "compared": played.compared,
        "cutOff": played.cut_off,
        "difference": difference,
    });
    format!("{told:#}\n")
}
