//! Words and round trips.

mod examples;
mod groups;
mod properties;
mod schemas;

use super::{Import, import};

/// What a manifest is read as, and its section.
fn read(text: &str) -> Import {
    import(text, "file").unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// The autoscaler of a scenario with such a section.
fn as_scenario(section: &str) -> crate::engine::autoscaler::Config {
    let text = format!(
        "scenario.duration = \"1m\"\ntraffic.shape = [{{ kind = \"constant\", rate = 1 }}]\nservice.time = \"10ms\"\n\
         fleet.memory = {{ base = \"1MB\", per_request = \"1MB\", limit = \"1GB\" }}\n[breaker]\n\n{section}"
    );
    let scenario = crate::scenario::parse(&text, "s.toml", "".as_ref(), &[]);
    scenario.unwrap_or_else(|problems| panic!("{problems}\n{text}")).autoscaler.expect("it has the section")
}
