//! The command line: what a user types, and what the terminal shows.
//!
//! Results go to standard output, everything else to standard error. `--json` prints JSON and nothing else. Exit codes are
//! in `exit.rs`. This is the only place that knows threads by number, Ctrl-C, and the name of the machine.

mod analyze;
mod args;
mod bench;
mod calibrate;
mod cluster;
mod compare;
#[cfg(feature = "live")]
mod ctl;
mod dataset;
mod describe;
mod exit;
mod explain;
mod export;
#[cfg(feature = "live")]
mod flight;
mod gate;
mod generate;
#[cfg(feature = "live")]
mod host;
mod import;
#[cfg(feature = "data")]
mod import_traffic;
#[cfg(feature = "live")]
mod live;
#[cfg(feature = "load")]
mod load;
mod merge;
mod policies;
mod progress;
mod report;
mod run;
#[cfg(feature = "live")]
mod serve;
mod shares;
mod stand_in;
mod storm;
#[cfg(feature = "data")]
mod tables;
mod tune;
mod validate;
#[cfg(feature = "live")]
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Verb};
use exit::Exit;

/// Parses the command line, does what it says, and says how that went.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers, not errors; clap knows which stream each belongs to.
            let _ = error.print();
            return if error.use_stderr() { Exit::BadInput.into() } else { Exit::Done.into() };
        }
    };
    let result = match args.verb {
        Verb::Sim(args) => run::sim(args),
        Verb::Replay(args) => run::replay(args),
        Verb::Describe(args) => describe::describe(args),
        Verb::Analyze(args) => analyze::analyze(args),
        #[cfg(feature = "data")]
        Verb::ImportTraffic(args) => import_traffic::import_traffic(args),
        Verb::Compare(args) => compare::compare(args),
        Verb::Calibrate(args) => calibrate::calibrate(&args),
        Verb::Storm(args) => storm::storm(args),
        Verb::Policies(args) => policies::policies(args),
        Verb::Tune(args) => tune::tune(*args),
        #[cfg(feature = "history")]
        Verb::Study(args) => tune::study(&args),
        Verb::Merge(args) => merge::merge(&args),
        Verb::Import(args) => import::import(args),
        Verb::Export(args) => export::export(args),
        Verb::Explain(args) => explain::explain(args),
        Verb::Bench(args) => bench::bench(&args),
        Verb::Gate(args) => gate::gate(*args),
        Verb::Report(args) => report::report(args),
        Verb::Validate(args) => validate::validate(args),
        Verb::Generate(args) => generate::generate(args),
        #[cfg(feature = "live")]
        Verb::Live(args) => live::live(&args),
        #[cfg(feature = "live")]
        Verb::Verify(args) => verify::verify(&args),
        #[cfg(feature = "load")]
        Verb::Load(args) => load::load(&args),
        #[cfg(feature = "live")]
        Verb::Backend(args) => live::backend(&args),
        #[cfg(feature = "live")]
        Verb::Serve(args) => serve::serve(args),
        #[cfg(feature = "live")]
        Verb::Ctl(args) => ctl::ctl(&args),
        #[cfg(feature = "live")]
        Verb::ReplayDecisions(args) => flight::replay_decisions(&args),
        #[cfg(feature = "live")]
        Verb::BecomeInstance(args) => serve::become_instance(&args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {:#}", error.source);
            error.exit.into()
        }
    }
}
