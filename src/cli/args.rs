//! What a user types.

mod bench;
mod cluster;
#[cfg(feature = "live")]
mod live;
#[cfg(feature = "load")]
mod load;
mod merge;
mod tune;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};

use crate::record::fidelity::Fidelity;
use crate::units::Span;
pub use bench::*;
pub use cluster::*;
#[cfg(feature = "live")]
pub use live::*;
#[cfg(feature = "load")]
pub use load::*;
pub use merge::*;
pub use tune::*;

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
    /// Tell what is in an access log, a trace or a rate series: span, rate, bursts, clients, endpoints, gaps
    Describe(DescribeArgs),
    /// Tell what an operator would act on in an access log or a rate series: spikes and who they are, bots, the daily swing, what
    /// comes next, and the settings that follow
    Analyze(AnalyzeArgs),
    /// Write a recording as a Parquet table: small, and faster to replay than to parse again
    #[cfg(feature = "data")]
    ImportTraffic(ImportTrafficArgs),
    /// Put policies, scenarios or finished reports side by side, on common random numbers
    Compare(CompareArgs),
    /// Fit a service model (demand, concurrency, overhead, boot, warm-up) to a live run, a load test or an access log with response times
    Calibrate(CalibrateArgs),
    /// Print the autoscaler section for a policy of another system, and what it could not carry over
    Import(ImportArgs),
    /// Write the policy of a scenario for another system
    Export(ExportArgs),
    /// Kick a system and see whether it comes back by itself: where it does not, and the cheapest protection that makes it; or
    /// the classic storms under every strategy
    Storm(StormArgs),
    /// Tell what each policy would have made of recorded load, beside static fleets: service in spikes, utilization, cost
    Policies(PoliciesArgs),
    /// Find the cheapest setting of a policy that holds the targets, and prove it on days and seeds that the search has not seen
    Tune(Box<TuneArgs>),
    /// Tell what is in a study that `tune` left: its runs, by setting
    #[cfg(feature = "history")]
    Study(StudyArgs),
    /// Join what several machines did a share of: reports of a load, judged once; replications of a simulation; or a study, and go on
    /// with it
    Merge(MergeArgs),
    /// Tell from a report why the fleet scaled, and why it did not
    Explain(ExplainArgs),
    /// Time how a stack scales, real or simulated: from the rise of load to the first answer of a new instance, and until p99 is back
    Bench(Box<BenchArgs>),
    /// Pass or fail a build: a scenario, finished reports, or results of other tools, against targets and a baseline
    Gate(Box<GateArgs>),
    /// Make any form of a report again from its report.json, or read HDR interval logs
    Report(ReportArgs),
    /// Check scenarios and show what they mean
    Validate(ValidateArgs),
    /// Write the traffic of a scenario as an access log or a rate series
    Generate(GenerateArgs),
    /// Run a scenario on this machine, with real processes behind a real gateway, and write the same report
    #[cfg(feature = "live")]
    Live(LiveArgs),
    /// Hold the simulator against what really happens: scenarios simulated and live, side by side, with the noise of this machine
    #[cfg(feature = "live")]
    Verify(VerifyArgs),
    /// Send a scenario's arrivals to a URL, each when it is due, and write the same report
    #[cfg(feature = "load")]
    Load(LoadArgs),
    /// Serve a scenario's [service] as one real instance
    #[cfg(feature = "live")]
    Backend(BackendArgs),
    /// Run the engine as a gateway in front of real instances, with dashboard and control API
    #[cfg(feature = "live")]
    Serve(ServeArgs),
    /// Ask a running gateway how it is, and give it orders
    #[cfg(feature = "live")]
    Ctl(CtlArgs),
    /// Tell an engine again what a live one was told, and see whether it decides the same
    #[cfg(feature = "live")]
    ReplayDecisions(ReplayDecisionsArgs),
    /// Become a command that does not outlive its parent
    #[cfg(feature = "live")]
    #[command(hide = true)]
    BecomeInstance(BecomeInstanceArgs),
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
    /// How much is simulated request by request: full (all), hybrid (all near saturation and around changes, and a twenty-fifth of
    /// the rest) or fluid (a hundredth of the rest); what samples would distort is simulated in full, and the report says why
    /// [default: full]
    #[arg(long, value_name = "FIDELITY", value_parser = named(Fidelity::ALL))]
    pub fidelity: Option<Fidelity>,
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

/// One of these, by its name.
fn named<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.map(|(name, _)| name)).map(move |name| {
        let (_, value) = all.into_iter().find(|(known, _)| *known == name).expect("one of the possible values");
        value
    })
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
    /// Play only the replications whose number leaves I when it is divided by N, from 0: 0/4; or /4, for a Job of Kubernetes with an
    /// index (JOB_COMPLETION_INDEX); wavetank merge makes the report
    #[arg(long, value_name = "I/N", requires = "results")]
    pub shard: Option<String>,
    /// Where shares (--shard, --job) leave their runs: a folder, or s3://BUCKET/PREFIX (feature s3; the environment has
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL)
    #[arg(long, value_name = "PLACE")]
    pub results: Option<String>,
    /// A cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A recording: its files, and how they are read.
#[derive(Debug, clap::Args)]
pub struct DatasetArgs {
    /// Access logs, request traces or rate series, plain, gzip or zstd; several are merged in order of time; - is standard input
    #[arg(required = true, value_name = "DATASET")]
    pub datasets: Vec<PathBuf>,
    /// Format, if it is not the one that is recognized: common, combined, json, haproxy, elb, w3c, trace-csv, trace-json, csv,
    /// ndjson, prometheus, cloudwatch, numbers, wide or parquet
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// The LogFormat of an Apache or the log_format of an nginx that wrote the log
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Column of times, by heading or number; NAME:ms if its unit cannot be told
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// Column of counts, or the name of one of several series
    #[arg(long, value_name = "COLUMN")]
    pub value: Option<String>,
    /// What the values of a series are: count, rate (per second) or counter (a total that only grows)
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Zone of times that are written without one, e.g. Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Only requests that satisfy it, e.g. 'status>=500' or 'path^=/api && method=GET'; may be repeated
    #[arg(long, value_name = "CONDITION")]
    pub filter: Vec<String>,
    /// From when on: a date and time, or a duration from the start
    #[arg(long, value_name = "WHEN")]
    pub from: Option<String>,
    /// Until when, exclusive
    #[arg(long, value_name = "WHEN")]
    pub to: Option<String>,
    /// Length of a step of a rate series without times, e.g. 1s or 5m
    #[arg(long, value_name = "DURATION")]
    pub step: Option<Span>,
    /// Share of lines that may be malformed [default: 1%]
    #[arg(long, value_name = "SHARE")]
    pub max_bad_lines: Option<String>,
}

/// `wavetank replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    /// What is replayed.
    pub dataset: DatasetArgs,
    /// The scenario whose system meets the traffic; its own traffic and duration are left out [default: an auto-scaled service of the
    /// recording's size, which is told]
    #[arg(long, value_name = "SCENARIO")]
    pub scenario: Option<PathBuf>,
    /// Play this many times faster than recorded; the rate grows with it
    #[arg(long, value_name = "FACTOR")]
    pub speed: Option<f64>,
    /// Multiply the number of requests
    #[arg(long, value_name = "FACTOR")]
    pub scale: Option<f64>,
    /// Play it so many times, one after the other
    #[arg(long, value_name = "TIMES")]
    pub repeat: Option<u32>,
    /// How much work requests are: recorded (as the trace says), drawn (from the scenario), or a sum such as
    /// '5ms + ContextTokens*0.2ms'
    #[arg(long, value_name = "DEMAND")]
    pub demand: Option<String>,
    /// Play only this much from the start, e.g. 1d
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<Span>,
    /// Lay the simulated latency and availability beside the recorded ones
    #[arg(long)]
    pub compare_recorded: bool,
    #[command(flatten)]
    /// The run.
    pub run: RunArgs,
}

/// `wavetank describe`.
#[derive(Debug, clap::Args)]
pub struct DescribeArgs {
    #[command(flatten)]
    /// What is described.
    pub dataset: DatasetArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write a picture of the rate over time as well
    #[cfg(feature = "render")]
    #[arg(long, value_name = "FILE.png")]
    pub png: Option<PathBuf>,
}

/// `wavetank analyze`.
#[derive(Debug, clap::Args)]
pub struct AnalyzeArgs {
    #[command(flatten)]
    /// What is analyzed.
    pub dataset: DatasetArgs,
    /// Requests per second that an instance can serve, so that advice is given in instances
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub instance_rps: Option<f64>,
    /// Print JSON (schema wavetank.analysis/1) on standard output and nothing else
    #[arg(long)]
    pub json: bool,
    /// Folder for analysis.html, analysis.json and analysis.png
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A number above 0.
/// A share such as `10%` or `0.1`.
fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = text.trim().strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
    let share = number.trim().parse::<f64>().ok().map(|x| x / scale).filter(|x| (0.0..=1.0).contains(x));
    share.ok_or_else(|| "expected a share such as 10% or 0.1".to_string())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_string())
}

/// `wavetank import-traffic`.
#[cfg(feature = "data")]
#[derive(Debug, clap::Args)]
pub struct ImportTrafficArgs {
    #[command(flatten)]
    /// What is imported.
    pub dataset: DatasetArgs,
    /// File to write
    #[arg(long, short, value_name = "FILE.parquet")]
    pub out: PathBuf,
    /// Write a rate series in steps of this, and not every request
    #[arg(long, value_name = "DURATION")]
    pub every: Option<Span>,
}

/// `wavetank compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// Scenario files, report.json files, or folders with one; the first is what the others are compared with
    #[arg(required_unless_present = "traffic", value_name = "SCENARIO|REPORT")]
    pub contenders: Vec<PathBuf>,
    /// A policy to compare on the one scenario given: a scenario file, of which the [autoscaler] section counts, or a manifest of
    /// another system (HPA, KEDA, Knative, AWS, CloudFormation, Nomad, GCP, Azure, rules); may be repeated. A single one is
    /// compared with the scenario's own
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,
    /// An access log or a rate series whose requests take the place of the scenario's traffic; several are merged in order of
    /// time; - is standard input. Without a scenario the system is assumed, and written to system.toml; a single policy is then
    /// compared with what people usually run
    #[arg(long, value_name = "DATASET")]
    pub traffic: Vec<PathBuf>,
    /// Requests per second that an instance can serve, where the system is assumed [default: the peak takes 60% of the largest
    /// fleet that a policy allows]
    #[arg(long, value_name = "RATE", value_parser = positive, requires = "traffic", conflicts_with = "contenders")]
    pub instance_rps: Option<f64>,
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

/// `wavetank storm`.
#[derive(Debug, clap::Args)]
pub struct StormArgs {
    /// The scenario that is kicked, at steady loads of 20 % to 95 % of its capacity; its own faults and overlays are left out
    #[arg(value_name = "SCENARIO", required_unless_present = "table")]
    pub scenario: Option<PathBuf>,
    /// Run the storms that ship under every strategy instead: availability, p99 and wasted work of each
    #[arg(long, conflicts_with_all = ["scenario", "trigger", "most", "length", "load", "levels", "settle", "watch", "hold",
        "tolerance", "no_protections", "overrides"])]
    pub table: bool,
    /// What kicks it
    #[arg(long, value_enum, value_name = "TRIGGER", default_value_t = StormTrigger::Capacity)]
    pub trigger: StormTrigger,
    /// Largest kick: a factor on load or on the time of dependencies' calls, or the share of the capacity or the cache that is
    /// lost [default: 6, 100, 0.9 and 1]
    #[arg(long, value_name = "SIZE")]
    pub most: Option<f64>,
    /// How long the kick lasts; may be repeated, each a map of its own [default: 30s]
    #[arg(long, value_name = "DURATION", value_delimiter = ',')]
    pub length: Vec<Span>,
    /// Load at which the cost of protections is weighed, in requests per second [default: the mean of the scenario's traffic]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub load: Option<f64>,
    /// How many loads are looked at
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=64))]
    pub levels: u32,
    /// Time before the kick; its second half is the calm that the system has to return to [default: 1m, more if it
    /// is watched for hours]
    #[arg(long, value_name = "DURATION")]
    pub settle: Option<Span>,
    /// Time to return before it is looked at four times as long [default: ten times the longest kick, at least 3m]
    #[arg(long, value_name = "DURATION")]
    pub watch: Option<Span>,
    /// How long it has to be back without a break
    #[arg(long, value_name = "DURATION", default_value = "20s")]
    pub hold: Span,
    /// Goodput that may be missing when it is back, relative to the calm
    #[arg(long, value_name = "RATIO", default_value_t = 0.1, value_parser = tolerance)]
    pub tolerance: f64,
    /// Only the map: try no protections
    #[arg(long)]
    pub no_protections: bool,
    /// Override a key of the scenario, e.g. --set clients.retry.budget=0.1, or remove it: --set clients.retry=; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Seed of every random number [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for storm.md, storm.json and storm.png, or storms.md and storms.json [default: reports/storm-NAME; none for --table]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print JSON on standard output and nothing else; write files only with --out
    #[arg(long)]
    pub json: bool,
    /// Threads for runs [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// A ratio between 0 and 1, both exclusive.
fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| *n > 0.0 && *n < 1.0);
    number.ok_or_else(|| "expected a number above 0 and below 1, e.g. 0.1".to_string())
}

/// What kicks a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StormTrigger {
    /// More load
    Load,
    /// Less capacity: every instance slower
    Capacity,
    /// Slower dependencies
    Dependency,
    /// The loss of a cache
    Cache,
}

impl From<StormTrigger> for crate::storm::kick::Trigger {
    fn from(trigger: StormTrigger) -> Self {
        match trigger {
            StormTrigger::Load => Self::Load,
            StormTrigger::Capacity => Self::Capacity,
            StormTrigger::Dependency => Self::Dependency,
            StormTrigger::Cache => Self::Cache,
        }
    }
}

/// `wavetank policies`.
#[derive(Debug, clap::Args)]
pub struct PoliciesArgs {
    /// Access logs or rate series; each is a course of its own, of which the stretch with the highest peak is run
    #[arg(required = true, value_name = "DATASET")]
    pub datasets: Vec<PathBuf>,
    /// A file whose [autoscaler] section takes part as well; may be repeated
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,
    /// Instances that the highest load takes: load is scaled to it
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=80))]
    pub peak_instances: u32,
    /// Length of a run [default: 12h]
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<Span>,
    /// Runs of each policy: with several, differences have intervals
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub replications: Option<u32>,
    /// Override a key of every scenario; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Seed that all share [default: 42]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for policies.md, policies.json and every scenario, to be run again
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print policies.json on standard output and nothing else
    #[arg(long)]
    pub json: bool,
    /// Threads for runs [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// `wavetank import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// A HorizontalPodAutoscaler, a ScaledObject of KEDA, a Service of Knative, scaling policies of AWS or CloudFormation, of the
    /// Nomad Autoscaler, of Compute Engine or Azure Monitor, or rules as JSON in camelCase; - is standard input
    #[arg(value_name = "FILE")]
    pub manifest: PathBuf,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `wavetank export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The scenario
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// What to write
    #[arg(long, value_enum, value_name = "FORM")]
    pub to: ExportForm,
    /// Override a key of the scenario; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What a policy can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportForm {
    /// A HorizontalPodAutoscaler of Kubernetes, autoscaling/v2
    Hpa,
    /// A ScaledObject of KEDA
    Keda,
    /// A Service of Knative with annotations, and config-autoscaler
    Knative,
    /// Scaling policies of AWS, the JSON that commands take
    Aws,
    /// The same as a template of CloudFormation
    Cloudformation,
    /// A scaling policy of the Nomad Autoscaler, JSON
    Nomad,
    /// An autoscaler of Google Compute Engine, JSON
    Gcp,
    /// An autoscale setting of Azure Monitor, JSON
    Azure,
    /// Threshold rules as JSON, names in camelCase, durations in milliseconds
    Rules,
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

/// `wavetank gate`.
#[derive(Debug, clap::Args)]
pub struct GateArgs {
    /// A scenario, which is simulated; or reports (report.json, or a folder with one), or results of k6, wrk2, JMeter, Gatling,
    /// Locust or Vegeta, each file a run
    #[arg(required = true, value_name = "SCENARIO|REPORT|RESULT")]
    pub subjects: Vec<PathBuf>,
    /// A target, e.g. --slo 'p99<500ms' --slo 'availability>=99.9%' --slo 'scale_up_time<90s' --slo 'cost<12'; may be repeated
    /// [default: the [slo] section]
    #[arg(long, value_name = "TARGET")]
    pub slo: Vec<String>,
    /// An OpenSLO v1 document with targets; may be repeated
    #[arg(long, value_name = "FILE")]
    pub openslo: Vec<PathBuf>,
    /// A report or result to compare with; may be repeated, each file a run or more
    #[arg(long, value_name = "REPORT|RESULT")]
    pub baseline: Vec<PathBuf>,
    /// A scenario to compare with, run on the same random numbers; real runs are interleaved
    #[arg(long, value_name = "SCENARIO", conflicts_with = "baseline")]
    pub baseline_scenario: Option<PathBuf>,
    /// Run the scenario for real, on this machine (as `wavetank live` does), instead of simulating it
    #[arg(long, conflicts_with_all = ["target", "threads"])]
    pub live: bool,
    /// Run the scenario for real, against this URL (as `wavetank load` does; feature load)
    #[arg(long, value_name = "URL", conflicts_with = "threads")]
    pub target: Option<String>,
    /// A URL to compare with, whose runs are interleaved
    #[arg(long, value_name = "URL", requires = "target", conflicts_with_all = ["baseline", "baseline_scenario"])]
    pub baseline_target: Option<String>,
    /// How a target is spoken to
    #[command(flatten)]
    pub at: TargetArgs,
    /// Share of this machine's CPU that others may take before a real run does not count
    #[arg(long, value_name = "RATIO", default_value = "10%", value_parser = share)]
    pub host_noise: f64,
    /// Leave the report of the real runs in this folder: a baseline for later gates
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Worsening against the baseline that is tolerated, relative, or in percentage points for shares; may be repeated
    /// [default: 5% for every latency, time and cost that has a target, or p99=5%]
    #[arg(long, value_name = "NAME=RATIO")]
    pub max_regression: Vec<String>,
    /// Compare with a report of another scenario
    #[arg(long)]
    pub allow_different: bool,
    /// A file whose [autoscaler] section replaces the scenario's
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Runs of a scenario at most, or time for them, e.g. 80 or 5m [default: 40, of real runs 10]
    #[arg(long, value_name = "RUNS|DURATION")]
    pub budget: Option<Budget>,
    /// The spread between runs that is known, relative, for results of a single run, e.g. --noise p99=3%; may be repeated
    #[arg(long, value_name = "NAME=RATIO")]
    pub noise: Vec<String>,
    /// Tool that wrote the results [default: found out from their content]
    #[arg(long, value_name = "TOOL")]
    pub format: Option<String>,
    /// What inconclusive is to the build: exit code 0, 1 or 3
    #[arg(long, value_enum, default_value_t = Inconclusive::Error)]
    pub inconclusive: Inconclusive,
    /// Override a key of the scenario; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Seed of every random number [default: the scenario's, or that of the baseline's report]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Threads for runs [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Write JUnit XML, for GitLab, Jenkins and others
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write Markdown, for a comment on a pull request
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write OpenMetrics text, for GitLab's metrics report
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Annotate as in GitHub Actions, also where GITHUB_ACTIONS is not set
    #[arg(long)]
    pub github: bool,
    /// Append to this history (JSON lines, or SQLite if it ends in .db or .sqlite) and look for changes of level in it
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Commit or build in the history [default: what GitHub, GitLab or Jenkins say]
    #[arg(long, value_name = "TEXT")]
    pub revision: Option<String>,
    /// Print the verdict as JSON on standard output and nothing else
    #[arg(long)]
    pub json: bool,
}

/// How much a gate may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many runs.
    Runs(usize),
    /// So long, on the wall.
    Time(Span),
}

impl std::str::FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        if let Ok(runs) = text.parse::<usize>() {
            return if (2..=100_000).contains(&runs) {
                Ok(Budget::Runs(runs))
            } else {
                Err("expected 2 to 100000 runs".to_string())
            };
        }
        text.parse().map(Budget::Time).map_err(|_| "expected a number of runs, or a duration such as 5m".to_string())
    }
}

/// What inconclusive is to the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Inconclusive {
    /// Exit code 0
    Pass,
    /// Exit code 1
    Fail,
    /// Exit code 3
    Error,
}

/// `wavetank report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A report.json, or the folder it is in; several of one scenario are merged without loss. Or HDR interval logs (.hlog)
    #[arg(required = true, value_name = "REPORT|HLOG")]
    pub reports: Vec<PathBuf>,
    /// What to make; may be repeated
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    pub format: Vec<ReportFormat>,
    /// Folder for the files, or, for a single format other than png, a file; - is standard output
    /// [default: beside the report]
    #[arg(long, short, value_name = "DIR|FILE")]
    pub out: Option<PathBuf>,
}

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// report.html: one offline page
    Html,
    /// report.json
    Json,
    /// The charts as PNG
    Png,
    /// report.svg: the storm in one drawing
    Svg,
    /// report.md: a summary in Markdown
    Md,
    /// timeline.csv; of a .hlog, its percentiles
    Csv,
    /// report.junit.xml: a test for each target
    Junit,
    /// latency.hgrm: percentiles for HdrHistogram's plotters
    Hgrm,
    /// latency.hlog: HDR interval log
    Hlog,
    /// timeline.parquet, and summary.parquet with every figure (feature data)
    Parquet,
    /// card.png: rate, p99 with its target, instances and verdict in one picture for a chat
    Card,
}

/// `wavetank calibrate`.
#[derive(Debug, clap::Args)]
pub struct CalibrateArgs {
    /// The folder of a live run or of a load test; or access logs with response times
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// A scenario whose [service] and [fleet] take what is fitted; the rest stays as it is [default: a small one that can be run at once]
    #[arg(long, value_name = "SCENARIO")]
    pub scenario: Option<PathBuf>,
    /// File for the scenario; measured times that no family fits are written beside it [default: it is printed]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The LogFormat of an Apache or the log_format of an nginx that wrote the log
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// The log stamps requests when they are answered, and not when they come
    #[arg(long)]
    pub stamped_at_end: bool,
    /// Print JSON and nothing else
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
    /// Length of a step of a rate series
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub step: Span,
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
    /// Access log of Caddy, in JSON
    Caddy,
    /// Access log of Traefik, in JSON
    Traefik,
    /// Access log of nginx, in JSON
    NginxJson,
    /// HTTP log of HAProxy
    Haproxy,
    /// Access log of an AWS Application Load Balancer
    Alb,
    /// Access log of IIS
    Iis,
    /// Access log of CloudFront
    #[value(name = "cloudfront")]
    CloudFront,
    /// Rate series: a CSV of timestamp and requests in each step
    Csv,
    /// Rate series: a JSON object for each step
    Ndjson,
    /// Rate series: the requests in each step, one number a line
    Numbers,
}

/// How a rate series is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesForm {
    /// Columns.
    Csv,
    /// Objects.
    Ndjson,
    /// Numbers.
    Numbers,
}

impl OutputFormat {
    /// The form of a series; `None` for a log.
    pub fn series(self) -> Option<SeriesForm> {
        match self {
            OutputFormat::Csv => Some(SeriesForm::Csv),
            OutputFormat::Ndjson => Some(SeriesForm::Ndjson),
            OutputFormat::Numbers => Some(SeriesForm::Numbers),
            _ => None,
        }
    }
}
