//! `kind = "schedule"`: cron expressions in a time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::name;
use crate::engine::autoscaler::schedule::cron::Cron;
use crate::engine::autoscaler::schedule::{Config, End, Entry};
use crate::scenario::reader::{Field, Section};

pub(super) fn schedule(s: &Section, names: &mut Vec<String>) -> Option<Config> {
    let starts_at = s.optional("starts_at", moment);
    let timezone = s.optional("timezone", |f| {
        let text = f.text()?;
        // Only names of the database that comes with the program, so that a scenario means the same everywhere.
        TimeZone::get(&text).ok().or_else(|| f.unfit("a time zone of the IANA database, such as \"Europe/Berlin\""))
    });
    let entries =
        s.required("entries", "entries = [{ start = \"0 8 * * mon-fri\", for = \"12h\", instances = 10 }]", entries);
    let mut config = Config::new(entries?);
    config.starts_at = starts_at.unwrap_or(config.starts_at);
    config.timezone = timezone.unwrap_or(config.timezone);
    config.name = name(s, &config.name, names)?;
    Some(config)
}

fn moment(field: &Field) -> Option<Timestamp> {
    let within = |at: &Timestamp| (1900..2200).contains(&TimeZone::UTC.to_datetime(*at).year());
    let moment = field.text()?.parse::<Timestamp>().ok().filter(within);
    moment.or_else(|| field.unfit("a moment such as \"2024-03-31T00:00:00Z\""))
}

fn entries(field: &Field) -> Option<Vec<Entry>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit("at least one entry");
    }
    let entries: Vec<Option<Entry>> = elements.iter().map(|element| element.section(entry)).collect();
    entries.into_iter().collect()
}

fn entry(s: &Section) -> Option<Entry> {
    let start = s.required("start", "start = \"0 8 * * mon-fri\"", cron);
    let (end, length) = (s.field("end"), s.field("for"));
    let end = match (end, length) {
        (Some(_), Some(length)) => length.contradiction("end and for exclude each other"),
        (Some(end), None) => cron(&end).map(End::At),
        (None, Some(length)) => length.positive_span().map(End::After),
        (None, None) => {
            s.missing("end", "end = \"0 20 * * mon-fri\"");
            None
        }
    };
    let instances = s.optional("instances", |f| f.count(0));
    let max = s.optional("max", |f| f.count(1));
    if s.is_sound() && instances.is_none() && max.is_none() {
        s.missing("instances", "instances = 10");
        return None;
    }
    if let (Some(least), Some(most), Some(field)) = (instances, max, s.field("max"))
        && most < least
    {
        return field.contradiction(format!("{most} is less than instances = {least}"));
    }
    Some(Entry { start: start?, end: end?, instances, max })
}

fn cron(field: &Field) -> Option<Cron> {
    match field.text()?.parse() {
        Ok(cron) => Some(cron),
        Err(error) => field.unfit(format!("a cron expression such as \"0 8 * * mon-fri\": {error}")),
    }
}
