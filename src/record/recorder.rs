//! Placeholder.
/// Placeholder.
pub struct Recorder;
