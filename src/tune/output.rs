//! What tuning tells: a person at a terminal, a page, a file to run, another program. One set of words for all of them.

mod console;
mod csv;
mod html;
mod json;
pub mod scenario;
mod words;

use super::days::Days;
use super::tuned::{Question, Tuned};
use crate::report::Experiment;

pub use console::console;
pub use csv::csv;
pub use html::html;
#[cfg(feature = "render")]
pub(crate) use html::{front_finding, points};
pub use json::json;
pub(in crate::tune) use json::settings;
pub use words::{changes, cost_unit, headline, notes};

/// A study with what it was about.
#[derive(Debug)]
pub struct Told<'a> {
    /// Name of the scenario.
    pub name: &'a str,
    /// Fingerprint of the scenario.
    pub digest: &'a str,
    /// Whether instances have a price: costs are money then, else instance-hours.
    pub priced: bool,
    /// What was asked.
    pub question: &'a Question,
    /// The days.
    pub days: &'a Days,
    /// What came out.
    pub tuned: &'a Tuned,
    /// The present value of each varied setting, as TOML; `None`: the scenario does not say.
    pub present: &'a [(String, Option<String>)],
    /// The present and the recommended setting on the hardest held-out day.
    pub timelines: Vec<(String, Experiment<'a>)>,
    /// The command that makes it again.
    pub command: &'a str,
}
