//! What a user types to join shares.

use std::path::PathBuf;

/// `wavetank merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// Reports of the shares of a load (folders, or their report.json), or studies of the same, each a share
    #[arg(required = true, value_name = "DIR")]
    pub shares: Vec<PathBuf>,
    /// Of reports: folder for the report of the whole [default: reports/NAME-merged]; of studies: the study that they are put into
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Of reports: print report.json on standard output and nothing else; write files only with --into
    #[arg(long)]
    pub json: bool,
    /// Of studies: only join them, do not go on with the search
    #[arg(long)]
    pub only: bool,
    /// Of studies: threads for what is left to be played [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}
