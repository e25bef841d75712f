//! `--job`: print what plays a command in shares on a cluster, in the place of playing it here.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow};

use super::args::ClusterArgs;
use super::exit::{Exit, Failure, OrExit};
use crate::cluster::{self, File, System, Work};
use crate::scenario::Keys;
use crate::traffic::replay::Dataset;

/// What is to be played in shares.
pub struct Shared<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The command of a share, without `wavetank` and what says which share it is.
    pub command: Vec<String>,
    /// The command that joins shares, without `wavetank` and where they are.
    pub join: &'a [&'a str],
    /// What it reads.
    pub files: Vec<PathBuf>,
}

/// Prints the manifest.
pub fn print(args: &ClusterArgs, system: System, results: Option<&str>, shared: Shared) -> Result<Exit, Failure> {
    let results = results
        .context(
            "--job: shares leave their runs somewhere, say where: --results s3://BUCKET/PREFIX, or a mounted folder",
        )
        .or_bad_input()?;
    let image =
        args.image.clone().context("--job: which image has wavetank? --image REGISTRY/NAME:TAG").or_bad_input()?;
    let files = if args.in_image { None } else { Some(read(&shared.files)?) };
    let work = Work {
        name: shared.name.to_string(),
        command: shared.command,
        join: shared.join.iter().map(|word| (*word).to_string()).collect(),
        shares: args.shards,
        image,
        results: results.to_string(),
        files,
    };
    let text = cluster::manifest(&work, system).map_err(|error| anyhow!("--job: {error}")).or_bad_input()?;
    // A closed pipe is the reader's choice, not a failure.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Done)
}

fn read(paths: &[PathBuf]) -> Result<Vec<File>, Failure> {
    let paths: BTreeSet<PathBuf> = paths.iter().map(|path| plain(path)).collect();
    let file = |path: &PathBuf| {
        let contents = std::fs::read(path).with_context(|| path.display().to_string()).or_bad_input()?;
        Ok(File { path: path.display().to_string(), contents })
    };
    paths.iter().map(file).collect()
}

/// A path without `.`, and without the folders that it goes into and out of again.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let is_in = plain.components().next_back().is_some_and(|last| matches!(last, Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if is_in => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// Every file that is read for the scenario at `path`, whose recording is `dataset`.
pub fn files(path: &Path, keys: &Keys, dataset: Option<&Dataset>) -> Vec<PathBuf> {
    let mut files = vec![path.to_path_buf()];
    files.extend(imported(path));
    files.extend(dataset.into_iter().flat_map(|dataset| dataset.paths().iter().cloned()));
    files.extend(named(path, keys).map(|(_, file)| file));
    files
}

/// The keys of a scenario that name a file from its folder, each with the path from the current one.
pub fn named<'a>(path: &Path, keys: &'a Keys) -> impl Iterator<Item = (String, PathBuf)> + 'a {
    let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let of = move |(key, value): (String, String)| {
        let name: toml_edit::Value = value.parse().ok()?;
        let file = base.join(name.as_str()?);
        let is_file = key.ends_with(".path") && file.is_file() && Path::new(name.as_str()?).is_relative();
        is_file.then_some((key, file))
    };
    ["traffic", "service", "fleet", "dependency"].into_iter().flat_map(|section| keys.below(section)).filter_map(of)
}

/// The file that the scenario imports its policy from.
pub fn imported(path: &Path) -> Option<PathBuf> {
    let document: toml_edit::DocumentMut = std::fs::read_to_string(path).ok()?.parse().ok()?;
    let name = document.get("autoscaler")?.get("import")?.as_str()?;
    let beside = path.parent().unwrap_or(Path::new("")).join(name);
    Some(if beside.is_file() { beside } else { PathBuf::from(name) })
}
