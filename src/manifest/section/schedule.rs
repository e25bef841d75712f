//! A schedule.

use super::{Table, list, span, text};
use crate::engine::autoscaler::schedule::{Config, End, Entry};

pub(super) fn table(t: &mut Table, config: &Config) {
    let default = Config::new(Vec::new());
    t.put("kind", "\"schedule\"");
    t.put("name", text(&config.name));
    t.differ("starts_at", &config.starts_at, &default.starts_at, |at| text(&at.to_string()));
    t.differ("timezone", &config.timezone, &default.timezone, |zone| text(zone.iana_name().unwrap_or("UTC")));
    let entry = |entry: &Entry| {
        let mut t = Table::default();
        t.put("start", text(&entry.start.to_string()));
        match &entry.end {
            End::At(cron) => t.put("end", text(&cron.to_string())),
            End::After(length) => t.put("for", span(length)),
        }
        for (key, bound) in [("instances", entry.instances), ("max", entry.max)] {
            if let Some(bound) = bound {
                t.put(key, bound.to_string());
            }
        }
        t
    };
    t.put("entries", list(config.entries.iter().map(entry)));
}
