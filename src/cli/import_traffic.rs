//! `wavetank import-traffic`: a recording as a table, for repeated studies.

use super::args::ImportTrafficArgs;
use super::dataset;
use super::exit::{Exit, Failure, OrExit};
use crate::dataset::{Error, write_requests, write_steps};
use crate::report::verdict::thousands;

/// Writes the table.
pub fn import_traffic(args: ImportTrafficArgs) -> Result<Exit, Failure> {
    let (recording, _files) = dataset::open(&args.dataset)?;
    let requests = recording.summary().is_log && args.every.is_none();
    let written =
        if requests { write_requests(&recording, &args.out) } else { write_steps(&recording, args.every, &args.out) };
    let rows = match written {
        Ok(rows) => rows,
        Err(error @ Error::Recording(_)) => return Err(error).or_bad_input(),
        Err(error) => return Err(error).or_run_failed(),
    };
    let what = if requests { "requests" } else { "steps" };
    eprintln!("{}: {} {what} of {}", args.out.display(), thousands(rows), recording.summary());
    Ok(Exit::Done)
}
