//! `wavetank merge`: what several machines left becomes what one would have.

use super::args::MergeArgs;
#[cfg(not(feature = "history"))]
use super::exit::OrExit;
use super::exit::{Exit, Failure};
use super::shares;

/// Joins shares of what they are shares of.
pub fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let archives = shares::archives(&args.shares)?;
    if !archives.is_empty() {
        return shares::merge(args, archives);
    }
    #[cfg(feature = "history")]
    return super::tune::merge(args);
    #[cfg(not(feature = "history"))]
    Err(anyhow::anyhow!("{}: no runs of a simulation are there", args.shares.join(", "))).or_bad_input()
}
