//! What a user types to benchmark.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::Inconclusive;
use crate::bench::figure::Kind;
use crate::units::Span;

/// `wavetank bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// What is measured
    #[command(subcommand)]
    pub what: BenchVerb,
}

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// What a fixed fleet does at rising loads, up to the knee: throughput, p50, p95, p99, utilization
    Baseline(BenchOf),
    /// How long until a rise of load is served: detect, decide, start, ready, first byte, complete, steady
    ScaleUp(BenchOf),
    /// How long until a fleet that is too large has gone, and what was lost on the way
    ScaleDown(BenchOf),
    /// What a spike does: detected and recovered after, instances, worst p99, what was lost
    Spike(BenchOf),
}

impl BenchVerb {
    /// What is measured, and how.
    pub fn parts(&self) -> (Kind, &BenchOf) {
        match self {
            BenchVerb::Baseline(args) => (Kind::Baseline, args),
            BenchVerb::ScaleUp(args) => (Kind::ScaleUp, args),
            BenchVerb::ScaleDown(args) => (Kind::ScaleDown, args),
            BenchVerb::Spike(args) => (Kind::Spike, args),
        }
    }
}

/// Who starts instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchProvider {
    /// Processes on this machine: wavetank's own backend, or --command
    Process,
    /// A program that is asked to launch, drain, terminate and observe: --command
    Command,
}

/// How a target is spoken to where it is measured again and again.
#[derive(Debug, clap::Args)]
pub struct TargetArgs {
    /// Send load to another machine than this one: it is yours, or its owner agreed
    #[arg(long, requires = "target")]
    pub i_own_this_target: bool,
    /// Requests to the target that can be under way at once [default: the scenario's load.pool, or 256]
    #[arg(long, value_name = "N", requires = "target", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub pool: Option<u32>,
    /// Believe the certificates of the authorities in this file (PEM), and no others
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// Believe whatever certificate the target shows
    #[arg(long, requires = "target")]
    pub insecure: bool,
}

impl TargetArgs {
    /// The options as they would be typed again.
    pub fn shown(&self) -> String {
        let mut text = String::new();
        for (flag, is_on) in [("--i-own-this-target", self.i_own_this_target), ("--insecure", self.insecure)] {
            if is_on {
                text.push_str(&format!(" {flag}"));
            }
        }
        self.pool.iter().for_each(|pool| text.push_str(&format!(" --pool {pool}")));
        self.ca.iter().for_each(|path| text.push_str(&format!(" --ca {}", path.display())));
        text
    }
}

/// What all benchmarks take.
#[derive(Debug, clap::Args)]
pub struct BenchOf {
    /// The stack: its service, fleet, autoscaler and p99 target. Its traffic gives way to the benchmark's [default: a small service that
    /// ships with the program, measured in less than 90 seconds]
    #[arg(value_name = "SCENARIO")]
    pub scenario: Option<PathBuf>,
    /// Who starts the instances [default: what the scenario's [live] says, or process]
    #[arg(long, value_enum, value_name = "PROVIDER", conflicts_with_all = ["sim", "target"])]
    pub provider: Option<BenchProvider>,
    /// The command of the provider: "node server.js --port {port}", or the program that is asked
    #[arg(long, value_name = "COMMAND", requires = "provider")]
    pub command: Option<String>,
    /// A stack that is not ours: load is sent to this URL (feature load)
    #[arg(long, value_name = "URL", conflicts_with = "sim")]
    pub target: Option<String>,
    /// A shell command that is run once a second and prints how many instances there are: {"instances": 3, "ready": 2}
    #[arg(long, value_name = "COMMAND", requires = "target")]
    pub observe: Option<String>,
    /// How long to wait before a repetition until the target has as many instances as before the first, as --observe counts them; without
    /// that, how long to wait in any case [default: 10m, or not at all]
    #[arg(long, value_name = "DURATION", requires = "target")]
    pub settle: Option<Span>,
    /// How a target is spoken to
    #[command(flatten)]
    pub at: TargetArgs,
    /// Only in the simulator. Without it, the simulator's figures stand beside the live ones
    #[arg(long)]
    pub sim: bool,
    /// How often it is repeated, for medians and spread
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repetitions: u32,
    /// Load before it rises, or after it has fallen, in requests per second [default: 40 % of what the first fleet can serve]
    #[arg(long, value_name = "RATE", value_parser = super::positive)]
    pub low: Option<f64>,
    /// Load after it has risen, or before it falls [default: 65 % of what three times the fleet can serve, or the largest]
    #[arg(long, value_name = "RATE", value_parser = super::positive)]
    pub high: Option<f64>,
    /// A level of a baseline; may be repeated [default: 25, 50, 75, 100 and 125 % of what the fleet can serve]
    #[arg(long, value_name = "RATE", value_delimiter = ',', value_parser = super::positive)]
    pub rate: Vec<f64>,
    /// How long load is calm before it changes [default: 5s, more if metrics take longer]
    #[arg(long, value_name = "DURATION")]
    pub calm: Option<Span>,
    /// How long the stack is watched after the change; of a spike, how long it lasts; of a baseline, how long a level does
    /// [default: as long as policy and boots need; 5s a level]
    #[arg(long, value_name = "DURATION")]
    pub hold: Option<Span>,
    /// How long the stack is watched after a spike
    #[arg(long, value_name = "DURATION")]
    pub after: Option<Span>,
    /// A target for a figure, e.g. --slo 'steady<60s' --slo 'lost<1'; may be repeated. Judged as the gate judges: exit code 0, 1 or 3
    #[arg(long, value_name = "TARGET")]
    pub slo: Vec<String>,
    /// What inconclusive is to the build: exit code 0, 1 or 3
    #[arg(long, value_enum, default_value_t = Inconclusive::Error)]
    pub inconclusive: Inconclusive,
    /// Override a key of the scenario, e.g. --set autoscaler.interval=5s; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Seed of every random number [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for bench.html, bench.json and bench.png [default: reports/bench-KIND-NAME]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print bench.json on standard output and nothing else; write files only with --out
    #[arg(long)]
    pub json: bool,
    /// Write JUnit XML: a case for each figure
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}
