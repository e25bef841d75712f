//! Recordings as the command line names them: their files and the options by which they are read.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use super::args::DatasetArgs;
use super::exit::{Failure, OrExit};
use crate::traffic::formats::Value;
use crate::traffic::replay::{self, Dataset, Options, TableReader};

/// The files of a recording, standard input among them.
#[derive(Debug)]
pub struct Files {
    /// Where they are.
    pub paths: Vec<PathBuf>,
    /// Holds what came from standard input, for as long as it is read: every recording is read twice.
    _spool: Option<TempDir>,
}

impl Files {
    /// The files that `args` name.
    pub fn new(args: &DatasetArgs) -> Result<Files, Failure> {
        Files::of(&args.datasets)
    }

    /// The files that `datasets` name.
    pub fn of(datasets: &[PathBuf]) -> Result<Files, Failure> {
        let mut spool = None;
        let mut paths = Vec::new();
        for path in datasets {
            if path.as_os_str() != "-" {
                if !path.exists() && !path.to_string_lossy().contains(['*', '?', '[']) {
                    return Err(replay::Error::Missing { path: path.clone() }).or_bad_input();
                }
                paths.push(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
                continue;
            }
            let folder = TempDir::with_prefix("wavetank-").context("cannot keep standard input").or_run_failed()?;
            let file = folder.path().join("stdin");
            std::fs::File::create(&file)
                .and_then(|mut file| io::copy(&mut io::stdin().lock(), &mut file))
                .with_context(|| format!("cannot keep standard input in {}", file.display()))
                .or_run_failed()?;
            paths.push(file);
            spool = Some(folder);
        }
        Ok(Files { paths, _spool: spool })
    }
}

/// A recording whose format tells itself.
pub fn plain_options() -> Options {
    Options { tables: tables(), ..Options::default() }
}

/// The table of `traffic.replay` for recordings whose format tells itself.
pub fn replayed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| toml_string(&path.to_string_lossy())).collect();
    format!("{{ path = [{}] }}", paths.join(", "))
}

/// What this build reads tables with.
pub fn tables() -> Option<TableReader> {
    #[cfg(feature = "data")]
    return Some(TableReader(crate::dataset::read));
    #[cfg(not(feature = "data"))]
    None
}

/// Opens the recording that `args` name.
pub fn open(args: &DatasetArgs) -> Result<(Dataset, Files), Failure> {
    let options = options(args).or_bad_input()?;
    let files = Files::new(args)?;
    let dataset = Dataset::open_all(&files.paths, &options).or_bad_input()?;
    Ok((dataset, files))
}

/// The options that `args` say.
pub fn options(args: &DatasetArgs) -> anyhow::Result<Options> {
    let default = Options::default();
    let kind = match &args.kind {
        None => None,
        Some(wanted) => {
            let known = Value::ALL.iter().find(|(name, _)| name == wanted);
            known.with_context(|| format!("--kind: found {wanted:?}, expected auto, count, rate or counter"))?.1
        }
    };
    let max_bad_lines = match &args.max_bad_lines {
        None => default.max_bad_lines,
        Some(text) => {
            let percent = text.strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok()).map(|n| n / 100.0);
            let share = percent.or_else(|| text.parse().ok()).filter(|share| (0.0..=1.0).contains(share));
            share.with_context(|| format!("--max-bad-lines: found {text:?}, expected a share such as 5% or 0.05"))?
        }
    };
    let filter = args.filter.join(" && ");
    Ok(Options {
        format: parsed("format", args.format.as_deref())?.unwrap_or(default.format),
        log_format: args.log_format.clone(),
        time: args.time.clone(),
        value: args.value.clone(),
        kind,
        zone: parsed("tz", args.tz.as_deref())?.unwrap_or(default.zone),
        filter: parsed("filter", (!filter.is_empty()).then_some(&filter[..]))?.unwrap_or(default.filter),
        from: parsed("from", args.from.as_deref())?,
        to: parsed("to", args.to.as_deref())?,
        step: args.step,
        max_bad_lines,
        tables: tables(),
        ..Options::default()
    })
}

fn parsed<T>(flag: &str, text: Option<&str>) -> anyhow::Result<Option<T>>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.map(|text| text.parse().with_context(|| format!("--{flag}"))).transpose()
}

/// The names of a recording's files, for a title.
pub fn names(dataset: &Dataset) -> String {
    let names = dataset.paths().iter().filter_map(|path| Some(path.file_name()?.to_string_lossy()));
    let names: Vec<_> = names.collect();
    match &names[..] {
        [one] => one.to_string(),
        [first, .., last] => format!("{first} … {last}"),
        [] => String::new(),
    }
}

/// The keys of `[traffic] replay` that `args` say.
pub fn toml(args: &DatasetArgs, paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| toml_string(&path.to_string_lossy())).collect();
    let mut keys = format!("path = [{}]", paths.join(", "));
    for (key, value) in texts(args) {
        let _ = write!(keys, ", {key} = {}", toml_string(&value));
    }
    if let Some(step) = args.step {
        let _ = write!(keys, ", step = \"{}ns\"", step.0);
    }
    keys
}

/// The options that are texts, by their keys.
fn texts(args: &DatasetArgs) -> Vec<(&'static str, String)> {
    let DatasetArgs { format, log_format, time, value, kind, tz, from, to, max_bad_lines, filter, .. } = args;
    let filter = (!filter.is_empty()).then(|| filter.join(" && "));
    let given = [
        ("format", format),
        ("log_format", log_format),
        ("time", time),
        ("value", value),
        ("kind", kind),
        ("tz", tz),
        ("filter", &filter),
        ("from", from),
        ("to", to),
        ("max_bad_lines", max_bad_lines),
    ];
    given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
}

/// `args` as they would be typed again.
pub fn shown(args: &DatasetArgs) -> String {
    let mut text: Vec<String> = args.datasets.iter().map(|path| quoted(path)).collect();
    for (key, value) in texts(args) {
        text.push(format!("--{} {}", key.replace('_', "-"), quoted(Path::new(&value))));
    }
    text.extend(args.step.map(|step| format!("--step {step}")));
    text.join(" ")
}

fn toml_string(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// A word as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
