//! What a user types.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::units::Span;

/// Puts an auto-scaling system through the storm before production does.
#[derive(Debug, Parser)]
#[command(name = "wavetank", version, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Simulate scenarios and write a report of each
    Sim(SimArgs),
    /// Simulate a scenario under the traffic of an access log or a rate series
    Replay(ReplayArgs),
    /// Put policies, scenarios or finished reports side by side, on common random numbers
    Compare(CompareArgs),
    /// Tell from a report why the fleet scaled, and why it did not
    Explain(ExplainArgs),
    /// Check scenarios and show what they mean
    Validate(ValidateArgs),
    /// Write the traffic of a scenario as an access log or a rate series
    Generate(GenerateArgs),
}

/// What all runs take.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Override a key of the scenario, e.g. --set autoscaler.max=30; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Independent replications, for confidence intervals [default: the scenario's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub replications: Option<u32>,
    /// Seed of every random number [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for the report; with several scenarios, one folder each inside it [default: reports/NAME]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print report.json on standard output and nothing else; write files only with --out
    #[arg(long)]
    pub json: bool,
    /// Threads for replications [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// A note that the report shows
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `wavetank sim`.
#[derive(Debug, clap::Args)]
pub struct SimArgs {
    /// Scenario files
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    #[command(flatten)]
    /// The run.
    pub run: RunArgs,
}

/// `wavetank replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// An access log or a rate series, plain or gzip; its format is detected
    pub dataset: PathBuf,
    /// The scenario whose system meets the traffic; its own traffic and duration are left out
    #[arg(long, value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// Format of the dataset: auto, common, combined, csv or numbers
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub format: String,
    /// Play this many times faster than recorded; the rate grows with it
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub speed: f64,
    /// Multiply the number of requests
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub scale: f64,
    /// Length of a step of a rate series without times, e.g. 1s or 5m
    #[arg(long, value_name = "DURATION")]
    pub step: Option<Span>,
    /// Play only this much from the start, e.g. 1d
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<Span>,
    #[command(flatten)]
    /// The run.
    pub run: RunArgs,
}

/// `wavetank compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// Scenario files, report.json files, or folders with one; the first is what the others are compared with
    #[arg(required = true, value_name = "SCENARIO|REPORT")]
    pub contenders: Vec<PathBuf>,
    /// A file whose [autoscaler] section replaces that of the one scenario given; may be repeated. With a single one, it is
    /// compared with the scenario's own
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,
    /// Override a key of every scenario; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Runs of each scenario [default: the scenario's, or 10 if that is 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub replications: Option<u32>,
    /// Seed that all scenarios share [default: the first one's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for compare.html, compare.json and charts [default: reports/compare]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print compare.json on standard output and nothing else; write files only with --out
    #[arg(long)]
    pub json: bool,
    /// Threads for replications [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// `wavetank explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A report.json, or the folder it is in
    pub report: PathBuf,
    /// Only what happened from here on, e.g. 25m
    #[arg(long, value_name = "DURATION")]
    pub from: Option<Span>,
    /// Only what happened until here
    #[arg(long, value_name = "DURATION")]
    pub to: Option<Span>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `wavetank validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// Scenario files
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Override a key of the scenario; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
}

/// `wavetank generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// The scenario whose traffic is written
    pub scenario: PathBuf,
    /// File to write; a name that ends in .gz is compressed
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = OutputFormat::Combined)]
    pub format: OutputFormat,
    /// When the traffic begins (RFC 3339)
    #[arg(long, value_name = "TIME", default_value = "2024-03-04T00:00:00Z")]
    pub start: jiff::Timestamp,
    /// Override a key of the scenario; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
}

/// What `generate` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Access log in Combined Log Format
    Combined,
    /// Access log in Common Log Format
    Common,
    /// Rate series: a CSV of timestamp and requests per minute
    Csv,
}
