//! What a user types to run things live.

use std::path::PathBuf;

use clap::Subcommand;

/// `wavetank serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// A scenario file with a [live] section
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Override a key of the file, e.g. --set autoscaler.max=30; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Write everything that the engine is told to a file, for wavetank replay-decisions
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// `wavetank become-instance`, which only wavetank itself calls.
#[derive(Debug, clap::Args)]
pub struct BecomeInstanceArgs {
    /// Whose process it is
    #[arg(long, value_name = "PID")]
    pub parent: u32,
    /// What to become
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `wavetank ctl`.
#[derive(Debug, clap::Args)]
pub struct CtlArgs {
    /// What to ask or order
    #[command(subcommand)]
    pub verb: CtlVerb,
    /// Where the control API is
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:9090", env = "WAVETANK_URL")]
    pub url: String,
    /// The token, where one is set
    #[arg(long, global = true, value_name = "TOKEN", env = "WAVETANK_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Print JSON and nothing else
    #[arg(long, global = true)]
    pub json: bool,
    /// Ask again every two seconds
    #[arg(long, global = true, conflicts_with = "json")]
    pub watch: bool,
}

/// What a gateway can be asked.
#[derive(Debug, Subcommand)]
pub enum CtlVerb {
    /// Instances, breaker, metrics, recent actions
    Status,
    /// Baseline and spikes
    Traffic,
    /// What comes next
    Predict,
    /// Start instances
    ScaleUp {
        /// How many
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        count: u32,
    },
    /// Drain and stop instances
    ScaleDown {
        /// How many
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        count: u32,
    },
    /// Have so many instances
    Instances {
        /// How many
        count: u32,
    },
    /// The autoscaler's rules
    Rules {
        /// What to do with them
        #[command(subcommand)]
        verb: RulesVerb,
    },
    /// The metrics as Prometheus sees them
    Metrics,
    /// Whether it is up
    Health,
    /// What happened
    Logs {
        /// And what happens from now on
        #[arg(long, short)]
        follow: bool,
    },
    /// Patterns of the traffic, and what follows from them
    Analyze,
    /// Spikes, active and over
    Spikes,
    /// What load is usual
    Baseline,
    /// Ask for everything once, and tell what answers
    Test,
}

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub enum RulesVerb {
    /// Show them
    List,
    /// Add one, as JSON with the keys of [[autoscaler.rule]]
    Add {
        /// The rule
        #[arg(value_name = "JSON")]
        rule: String,
    },
    /// Switch one on
    Enable {
        /// Its name
        name: String,
    },
    /// Switch one off
    Disable {
        /// Its name
        name: String,
    },
}

/// `wavetank live`.
#[derive(Debug, clap::Args)]
pub struct LiveArgs {
    /// The scenario; a [live] section in it says where, and what the instances are
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// Override a key of the scenario, e.g. --set autoscaler.max=30; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Seed of every random number [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for the report [default: reports/NAME-live]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print report.json on standard output and nothing else; write files only with --out
    #[arg(long)]
    pub json: bool,
    /// Write everything that the engine is told to a file, for wavetank replay-decisions
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// A note that the report shows
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `wavetank verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Scenario files; what runs live takes a duration
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Live runs of each: what they differ by among themselves is the noise of this machine
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub repetitions: u32,
    /// Run each live once more, before the others and without its faults, and have the simulator take as long on the way
    /// (service.overhead) as that did
    #[arg(long)]
    pub calibrate_overhead: bool,
    /// Override a key of every scenario, e.g. --set scenario.duration=20s; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Seed of every random number [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for verify.html, verify.md, verify.json, a picture of each scenario and the reports of all runs [default: reports/verify, or
    /// reports/NAME-verify for one]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print verify.json on standard output and nothing else; write files only with --out
    #[arg(long)]
    pub json: bool,
    /// A note that the report shows
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `wavetank replay-decisions`.
#[derive(Debug, clap::Args)]
pub struct ReplayDecisionsArgs {
    /// What --record wrote
    #[arg(value_name = "FILE")]
    pub recording: PathBuf,
    /// Print JSON and nothing else
    #[arg(long)]
    pub json: bool,
}

/// `wavetank backend`.
#[derive(Debug, clap::Args)]
pub struct BackendArgs {
    /// The scenario whose [service] it serves
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// Port to listen on, on this machine
    #[arg(long, value_name = "PORT")]
    pub port: u16,
    /// Seed of every random number [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Which instance of the run it is
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub instance: u32,
    /// End when standard input does
    #[arg(long)]
    pub with_parent: bool,
    /// Override a key of the scenario, e.g. --set service.workers=4; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
}
