//! What a user types to join shares.

use std::path::PathBuf;

/// `wavetank merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// Shares of one load: their reports (a folder, or its report.json); of one study: their studies; or places where shares left their
    /// runs (--results of `tune` and `sim`)
    #[arg(required = true, value_name = "SHARE")]
    pub shares: Vec<String>,
    /// What they are put into: the folder of the report, or the study [default for reports: reports/NAME-merged, or of a simulation
    /// reports/NAME]
    #[arg(long, value_name = "PATH")]
    pub into: Option<PathBuf>,
    /// Of studies: only join them, do not go on with the search
    #[arg(long)]
    pub only: bool,
    /// Of reports: print report.json on standard output and nothing else; write files only with --into
    #[arg(long)]
    pub json: bool,
    /// Of studies: threads for what is left to be played [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}
