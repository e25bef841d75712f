//! Exit codes: what scripts may rely on.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Did what was asked; the gate passed.
    Done = 0,
    /// The gate judged, and something failed.
    GateFailed = 1,
    /// The command line, a scenario or a dataset cannot be used.
    BadInput = 2,
    /// The gate cannot tell.
    Inconclusive = 3,
    /// The run itself failed: nothing could be written, or its traffic was lost on the way.
    RunFailed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error with the code to end with.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What went wrong, with its context.
    pub source: anyhow::Error,
}

/// Gives an error its exit code.
pub trait OrExit<T> {
    /// The user's input cannot be used.
    fn or_bad_input(self) -> Result<T, Failure>;
    /// The run failed.
    fn or_run_failed(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_bad_input(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit: Exit::BadInput, source: error.into() })
    }

    fn or_run_failed(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit: Exit::RunFailed, source: error.into() })
    }
}
