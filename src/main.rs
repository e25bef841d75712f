//! The `wavetank` program: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    wavetank::cli::main()
}
