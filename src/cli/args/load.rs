//! What a user types to send load.

use std::path::PathBuf;

/// `wavetank load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// The scenario whose arrivals are sent: traffic, clients, the paths of [[service.endpoint]], [slo]
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// Where to, e.g. http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub target: String,
    /// Send load to another machine than this one: it is yours, or its owner agreed
    #[arg(long)]
    pub i_own_this_target: bool,
    /// Requests that can be under way at once; a run that needed more is inconclusive, and says how many would do
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub pool: u32,
    /// Send only share I of N of the arrivals, from 0: 0/4; or /4, for a Job of Kubernetes with an index (JOB_COMPLETION_INDEX)
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Override a key of the scenario, e.g. --set scenario.duration=5m; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Seed of every random number [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for the report [default: reports/NAME-load]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print report.json on standard output and nothing else; write files only with --out
    #[arg(long)]
    pub json: bool,
    /// A note that the report shows
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}
