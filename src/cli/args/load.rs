//! What a user types to send load.

use std::path::PathBuf;

use super::named;
use crate::scenario::load::Pace;

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
    /// Requests that can be under way at once; a run that needed more is inconclusive, and says how many would do [default: the scenario's
    /// load.pool, or 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub pool: Option<u32>,
    /// How requests are timed: sleep (0.15 ms late in the median), spin (0.05 ms, for up to a core), or auto, which spins where the tightest
    /// latency target is below 5 ms and there is a core to spare [default: the scenario's load.pace, or auto]
    #[arg(long, value_name = "PACE", value_parser = named(Pace::ALL))]
    pub pace: Option<Pace>,
    /// Believe the certificates of the authorities in this file (PEM), and no others; a certificate that signed itself is its own
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// Believe whatever certificate is shown
    #[arg(long)]
    pub insecure: bool,
    /// When to begin, RFC 3339, for several machines to begin at once: 2026-03-04T09:00:00Z [default: as soon as all workers are there]
    #[arg(long, value_name = "TIME")]
    pub start_at: Option<jiff::Timestamp>,
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
