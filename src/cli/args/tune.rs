//! What a user types to tune.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ClusterArgs;
use crate::units::Span;

/// `wavetank tune`.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub struct TuneArgs {
    /// The scenario: the system, its traffic, its targets, and the policy as it is today
    #[arg(value_name = "SCENARIO", required_unless_present = "resume")]
    pub scenario: Option<PathBuf>,
    /// An access log or a rate series whose requests take the place of the scenario's traffic; several are merged in order of time
    #[arg(long, value_name = "DATASET")]
    pub traffic: Vec<PathBuf>,
    /// A policy in the place of the scenario's: a scenario file, or a manifest of another system (HPA, KEDA, Knative, AWS,
    /// CloudFormation, Nomad, GCP, Azure, rules). The tuned one is written in the same form
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A setting and its range: KEY=40..90, KEY=0.4..0.9, KEY='0.1..10 log', KEY='0s..600s step 15s', KEY='{a, b}', or a setting
    /// that follows others, KEY='= other.key - 20'; may be repeated [default: what the policy at hand has worth turning]
    #[arg(long, value_name = "KEY=RANGE")]
    pub vary: Vec<String>,
    /// A condition between settings, e.g. 'down.threshold < up.threshold - 5'; may be repeated
    #[arg(long, value_name = "CONDITION")]
    pub require: Vec<String>,
    /// A target, e.g. 'p99<500ms' or 'availability>=99.9%'; may be repeated [default: the scenario's]
    #[arg(long, value_name = "TARGET")]
    pub slo: Vec<String>,
    /// At most so many scaling actions an hour
    #[arg(long, value_name = "N")]
    pub actions_per_hour: Option<f64>,
    /// How candidates are found: race, or with as many runs each, for comparison: sobol, random, grid, tpe
    #[arg(long, value_name = "METHOD", default_value = "race", value_parser = ["race", "sobol", "random", "grid", "tpe"])]
    pub method: String,
    /// How the search's runs are simulated: full, hybrid or fluid; the last two leave out calms that samples tell of, in runs of
    /// two million requests and more. Confirmation is always in full
    #[arg(long, value_name = "FIDELITY", default_value = "full", value_parser = ["full", "hybrid", "fluid"])]
    #[serde(default = "full")]
    pub fidelity: String,
    /// Runs of a day that the search may take, about; confirmation takes more
    #[arg(long, value_name = "RUNS", default_value_t = 1500, value_parser = clap::value_parser!(u64).range(16..))]
    pub budget: u64,
    /// Time that everything may take, about, in the place of --budget: 10m
    #[arg(long, value_name = "DURATION", conflicts_with = "budget")]
    pub time: Option<String>,
    /// Runs with fresh seeds of each finalist, over all held-out days
    #[arg(long, value_name = "RUNS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..))]
    pub seeds_confirm: u32,
    /// How sure it has to be that targets hold, for all that are confirmed together
    #[arg(long, value_name = "RATIO", default_value_t = 0.95, value_parser = super::tolerance)]
    pub confidence: f64,
    /// Costs within this share of each other are the same: then the setting nearest to today's is taken
    #[arg(long, value_name = "RATIO", default_value_t = 0.01, value_parser = super::tolerance)]
    pub precision: f64,
    /// Which part of the traffic is searched, in durations from its start: 0d..9d [default: what is not held out]
    #[arg(long, value_name = "FROM..TO")]
    pub train: Option<String>,
    /// Which part is held out: 9d..14d [default: the last third]
    #[arg(long, value_name = "FROM..TO")]
    pub validate: Option<String>,
    /// Judge by the worst day, not by the mean of days
    #[arg(long, conflicts_with = "cvar")]
    pub worst: bool,
    /// Judge by the mean of this share of the worst days
    #[arg(long, value_name = "RATIO", value_parser = super::tolerance)]
    pub cvar: Option<f64>,
    /// Targets have to hold on every day, not on all together
    #[arg(long)]
    pub every_day: bool,
    /// Override a key of the scenario; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Seed of every random number [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Play only share I of N of the runs and stop where the search needs those of the others, from 0: 0/4; or /4, for a Job of
    /// Kubernetes with an index (JOB_COMPLETION_INDEX)
    #[arg(long, value_name = "I/N", conflicts_with = "time")]
    #[serde(skip)]
    pub shard: Option<String>,
    /// Propose candidates for whoever measures them elsewhere, as lines of JSON: answers {"ask":{"n":2}},
    /// {"tell":{"trial":0,"seed":1,"cost":1.5,"g":[-0.1]}} and {"best":{}} on standard input
    #[arg(long, conflicts_with_all = ["resume", "shard", "results", "json", "out"])]
    #[serde(skip)]
    pub ask_tell: bool,
    /// Where shares leave their runs for each other, as Parquet: a folder, or s3://BUCKET/PREFIX (feature s3; the environment has
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL). What is there is not played again
    #[arg(long, value_name = "PLACE")]
    #[serde(skip)]
    pub results: Option<String>,
    /// How long a share waits in --results for the runs of others that the search needs, in the place of stopping: 1h
    #[arg(long, value_name = "DURATION", requires = "results")]
    #[serde(skip)]
    pub wait: Option<Span>,
    /// Go on with the study in this file; what was finished is not played again
    #[arg(long, value_name = "STUDY", conflicts_with = "scenario")]
    #[serde(skip)]
    pub resume: Option<PathBuf>,
    /// Folder for the study, the tuned policy, report and charts [default: reports/tune-NAME]
    #[arg(long, short, value_name = "DIR")]
    #[serde(skip)]
    pub out: Option<PathBuf>,
    /// Print tune.json on standard output and nothing else; write files only with --out
    #[arg(long)]
    #[serde(skip)]
    pub json: bool,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    #[serde(skip)]
    pub threads: Option<u16>,
    /// A cluster.
    #[command(flatten)]
    #[serde(skip)]
    pub cluster: ClusterArgs,
}

/// `wavetank study`.
#[cfg(feature = "history")]
#[derive(Debug, clap::Args)]
pub struct StudyArgs {
    /// The study, or the folder that it is in
    #[arg(value_name = "STUDY")]
    pub study: PathBuf,
    /// Settings that are shown, cheapest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn full() -> String {
    "full".to_string()
}
