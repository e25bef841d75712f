//! What can be seen of a stack that is not ours: how many instances somebody counts, and what clients feel.
//!
//! The command of `--observe` is run once a second and prints a JSON object, alone or as the last line of its output:
//!
//! ```json
//! {"instances": 3, "ready": 2}
//! ```
//!
//! `instances` counts what exists (is paid for), `ready` what takes traffic; the latter may be missing, and whatever else is there is not looked at.
//! For Kubernetes, say:
//!
//! ```sh
//! kubectl get deploy shop -o json | jq -c '{instances: (.status.replicas // 0), ready: (.status.readyReplicas // 0)}'
//! ```
//!
//! A second is as exact as these moments are. When somebody decided, and what each instance answered first, nobody sees from here.

use serde_json::Value;

use super::definition::Part;
use super::figure::{Figure, Kind, Reading};
use super::moments::{ended, of_requests, steady};
use crate::record::Run;
use crate::record::timeline::Column;
use crate::units::{Span, Time};

/// A count of instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Those that exist.
    pub instances: u32,
    /// Those of them that take traffic; `None`: it was not told.
    pub ready: Option<u32>,
}

/// A count, and when it was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When.
    pub at: Time,
    /// What.
    pub count: Count,
}

/// Why an answer tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it printed {found:?} ({problem}), expected a JSON object such as {{\"instances\": 3, \"ready\": 2}}, alone or as the last line"
)]
pub struct Unfit {
    /// Its last line, or the beginning of it.
    pub found: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Count {
    /// Reads what the command printed.
    pub fn read(printed: &str) -> Result<Count, Unfit> {
        let line = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        let unfit = |problem: &str| Unfit { found: line.chars().take(200).collect(), problem: problem.to_string() };
        let told: Value = match serde_json::from_str(printed) {
            Ok(told @ Value::Object(_)) => told,
            _ => serde_json::from_str(line).map_err(|error| unfit(&error.to_string()))?,
        };
        let count = |name: &str| match &told[name] {
            Value::Null => Ok(None),
            value => match value.as_u64().and_then(|n| u32::try_from(n).ok()) {
                Some(n) => Ok(Some(n)),
                None => Err(unfit(&format!("{name} is no count"))),
            },
        };
        let instances = count("instances")?.ok_or_else(|| unfit("there is no \"instances\""))?;
        Ok(Count { instances, ready: count("ready")? })
    }
}

/// The figures of a run of `kind` against a stack of which there are `observations`, in their order.
pub fn readings(
    kind: Kind,
    run: &Run,
    part: &Part,
    target: Span,
    observations: &[Observation],
) -> Vec<(Figure, Reading)> {
    let end = ended(run, part);
    let watched = end.since(part.changes_at).as_millis_f64();
    let seen = Seen::of(observations, part.changes_at, end);
    let happened = |when: Option<Time>| {
        when.map_or(Reading::Never(watched), |at| Reading::Value(at.since(part.changes_at).as_millis_f64()))
    };
    let told = |seen: &Option<Seen>, when: fn(&Seen) -> Option<Time>| match seen {
        Some(seen) => happened(when(seen)),
        None => Reading::Unseen,
    };
    let of_ready = |when: fn(&Seen) -> Option<Time>| match &seen {
        Some(seen) if seen.tells_ready => happened(when(seen)),
        _ => Reading::Unseen,
    };
    let read = |figure: &Figure| {
        let reading = match figure {
            Figure::Start => told(&seen, |seen| seen.first_more),
            Figure::Ready => of_ready(|seen| seen.first_more_ready),
            Figure::Complete => of_ready(|seen| seen.all_ready),
            Figure::Drained => told(&seen, |seen| seen.first_fewer),
            Figure::Settled => told(&seen, |seen| seen.fewest),
            Figure::Steady | Figure::Recovered => steady(run, part.changes_at, end, target),
            Figure::MostInstances => match &seen {
                Some(seen) => Reading::Value(f64::from(seen.most)),
                None => Reading::Unseen,
            },
            Figure::Detect | Figure::Decide | Figure::FirstByte | Figure::DrainTime => Reading::Unseen,
            _ => of_requests(*figure, run, part.changes_at, end),
        };
        (*figure, reading)
    };
    kind.figures().iter().map(read).collect()
}

/// Puts the counts into the timeline of a run, as far as they are known.
pub fn into_timeline(run: &mut Run, observations: &[Observation]) {
    let step = Span::from_secs_f64(run.timeline.step_seconds);
    let last = |t: f64| {
        let end = Time::from_secs_f64(t) + step;
        observations.iter().take_while(|each| each.at <= end).last()
    };
    let rows: Vec<Option<Count>> = run.timeline.t.iter().map(|&t| last(t).map(|each| each.count)).collect();
    let column = |of: fn(Count) -> Option<u32>| {
        rows.iter().map(|row| row.and_then(of).map_or(f64::NAN, f64::from)).collect::<Vec<f64>>()
    };
    run.timeline.set(Column::InstancesTotal, column(|count| Some(count.instances)));
    run.timeline.set(Column::InstancesReady, column(|count| count.ready));
}

/// The moments in a series of counts.
struct Seen {
    tells_ready: bool,
    first_more: Option<Time>,
    first_more_ready: Option<Time>,
    all_ready: Option<Time>,
    first_fewer: Option<Time>,
    fewest: Option<Time>,
    most: u32,
}

impl Seen {
    /// `None` if nothing was seen from the change on.
    fn of(observations: &[Observation], changes_at: Time, end: Time) -> Option<Seen> {
        let (earlier, later): (Vec<&Observation>, Vec<&Observation>) =
            observations.iter().filter(|each| each.at <= end).partition(|each| each.at < changes_at);
        let before = earlier.last().or(later.first())?.count;
        later.first()?;
        let first = |is: &dyn Fn(&Count) -> bool| later.iter().find(|each| is(&each.count)).map(|each| each.at);
        let takes_traffic = |count: &Count| count.ready.unwrap_or(count.instances);
        let most_there = later.iter().map(|each| each.count.instances).max()?;
        let fewest = later.iter().map(|each| each.count.instances).min()?;
        Some(Seen {
            tells_ready: later.iter().any(|each| each.count.ready.is_some()),
            first_more: first(&|count| count.instances > before.instances),
            first_more_ready: first(&|count| takes_traffic(count) > takes_traffic(&before)),
            all_ready: first(&|count| count.ready == Some(most_there)).filter(|_| most_there > before.instances),
            first_fewer: first(&|count| count.instances < before.instances),
            fewest: first(&|count| count.instances == fewest).filter(|_| fewest < before.instances),
            most: later.iter().map(|each| takes_traffic(&each.count)).max()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_an_object_with_counts() {
        let read = |text: &str| Count::read(text);
        assert_eq!(
            read("{\"instances\": 3, \"ready\": 2, \"zone\": \"a\"}\n"),
            Ok(Count { instances: 3, ready: Some(2) })
        );
        assert_eq!(read("{\n  \"instances\": 3\n}\n"), Ok(Count { instances: 3, ready: None }));
        assert_eq!(read("warning: slow\n{\"instances\":3}\n\n"), Ok(Count { instances: 3, ready: None }));
        for (text, told) in [
            ("", "expected a JSON object"),
            ("3", "there is no \"instances\""),
            ("{\"ready\": 2}", "there is no \"instances\""),
            ("{\"instances\": -1}", "instances is no count"),
            ("{\"instances\": 3, \"ready\": \"two\"}", "ready is no count"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    fn counts(series: &[(u64, u32, Option<u32>)]) -> Vec<Observation> {
        let of = |&(second, instances, ready): &(u64, u32, Option<u32>)| Observation {
            at: Time::ZERO + Span::from_secs(second),
            count: Count { instances, ready },
        };
        series.iter().map(of).collect()
    }

    #[test]
    fn moments_are_those_at_which_a_count_was_another() {
        let at = |second: u64| Some(Time::ZERO + Span::from_secs(second));
        let up = counts(&[
            (1, 2, Some(2)),
            (4, 2, Some(2)),
            (6, 2, Some(2)),
            (8, 4, Some(2)),
            (10, 4, Some(3)),
            (11, 4, Some(4)),
        ]);
        let seen = Seen::of(&up, Time::ZERO + Span::from_secs(5), Time::MAX).unwrap();
        assert_eq!((seen.first_more, seen.first_more_ready, seen.all_ready), (at(8), at(10), at(11)));
        assert_eq!((seen.first_fewer, seen.fewest, seen.most), (None, None, 4));
        let down = counts(&[(1, 6, None), (7, 4, None), (9, 4, None), (12, 2, None), (13, 2, None)]);
        let seen = Seen::of(&down, Time::ZERO + Span::from_secs(5), Time::MAX).unwrap();
        assert_eq!((seen.first_fewer, seen.fewest, seen.tells_ready), (at(7), at(12), false));
        assert!(Seen::of(&down[..1], Time::ZERO + Span::from_secs(5), Time::MAX).is_none());
    }
}
