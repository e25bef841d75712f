//! What this machine's processors do: `/proc`, where there is one.

use std::time::Duration;

use crate::record::host::{Look, Shares};

/// How long the idle reference looks: long enough for a hundred ticks on two processors.
const REFERENCE: Duration = Duration::from_millis(500);

/// A look at the processors; `None` where they do not tell.
pub fn look() -> Option<Look> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    Look::read(&read("/proc/stat")?, &read("/proc/self/stat")?)
}

/// What others take while nothing of ours works.
pub fn reference() -> Option<Shares> {
    let before = look()?;
    std::thread::park_timeout(REFERENCE);
    look()?.since(&before)
}

/// What became of the processors since `before`.
pub fn since(before: Option<Look>) -> Option<Shares> {
    look()?.since(&before?)
}
