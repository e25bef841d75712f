//! Placeholder.
pub mod population {
    //! Placeholder.
    /// Placeholder.
    #[derive(Clone, Debug, Default)]
    pub struct Config;
}
/// Placeholder.
#[derive(Clone, Debug)]
pub struct Config;
