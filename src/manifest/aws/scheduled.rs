//! Scheduled actions of a group: `put-scheduled-update-group-action`, `AWS::AutoScaling::ScheduledAction`.
//!
//! An action sets bounds that hold until another one does. One that raises the minimum begins an entry of a schedule; the one that
//! takes it back ends it, which is the only one of its kind, or has the same name with `end` for `start`.

use jiff::tz::TimeZone;

use super::Object;
use crate::engine::autoscaler::schedule::End;
use crate::engine::autoscaler::schedule::cron::Cron;
use crate::manifest::reader::Field;
use crate::manifest::schedule::{self, Slot};

/// An action.
struct Action<'a> {
    name: String,
    cron: Cron,
    timezone: TimeZone,
    min: Option<u32>,
    max: Option<u32>,
    field: Field<'a>,
}

fn read<'a>(object: &Object<'a>) -> Option<Action<'a>> {
    let f = &object.field;
    let given = f.get("ScheduledActionName").and_then(|name| name.node.text()).or(object.logical);
    let bound = |key: &str| f.get(key).map_or(Some(None), |f| f.count(0).map(Some));
    f.leave_key("DesiredCapacity", "it is set once, and policies have it from there");
    for key in ["StartTime", "EndTime"] {
        f.leave_key(key, "a schedule of a scenario holds all the time");
    }
    let timezone = f.get("TimeZone").map_or(Some(TimeZone::UTC), |f| schedule::zone(&f));
    let cron = schedule::cron(&f.need("Recurrence", "0 8 * * *")?);
    Some(Action {
        name: given.unwrap_or_default().to_lowercase(),
        cron: cron?,
        timezone: timezone?,
        min: bound("MinSize")?,
        max: bound("MaxSize")?,
        field: f.clone(),
    })
}

/// The entries that actions begin in a group of `min` to `max` instances.
pub(super) fn slots(objects: &[&Object], (min, max): (u32, u32)) -> Vec<Slot> {
    let all: Vec<Action> = objects.iter().filter_map(|object| read(object)).collect();
    let begins = |action: &Action| action.min.is_some_and(|n| n > min) || action.max.is_some_and(|n| n < max);
    let ends: Vec<&Action> = all.iter().filter(|action| !begins(action)).collect();
    let slot = |start: &Action| {
        let stem = start.name.strip_suffix("start").unwrap_or(&start.name);
        let by_name = ends.iter().find(|end| end.name.strip_suffix("end") == Some(stem));
        let end = match (by_name, &ends[..]) {
            (Some(end), _) | (None, [end]) => end,
            _ => {
                return start.field.leave(
                    "which action ends it cannot be told: expected one that sets MinSize back, of the same name with end for start",
                );
            }
        };
        Some(Slot {
            timezone: start.timezone.clone(),
            start: start.cron.clone(),
            end: End::At(end.cron.clone()),
            instances: start.min.filter(|&n| n > min),
            max: start.max.filter(|&n| n < max),
        })
    };
    all.iter().filter(|action| begins(action)).filter_map(slot).collect()
}
