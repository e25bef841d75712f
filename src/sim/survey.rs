//! A survey of a run's requests: how many come when, how many are in service, and where their numbers are looked for.
//!
//! Requests do not depend on what the fleet does, so they can be looked through once for all candidates of a search. What a survey
//! keeps is a mark every second or so, 32 bytes each: with it, a run that leaves out a stretch of requests knows exactly what it left
//! out, and goes on with the very requests that come next.

use std::collections::VecDeque;

use crate::scenario::service::Endpoint;
use crate::scenario::{Recording, Traffic};
use crate::sim::Plan;
use crate::sim::intake::Intake;
use crate::traffic::{self, Place};
use crate::units::{Span, Time};

/// What came before a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mark {
    /// Where the first request from then on is looked for.
    pub place: Place,
    /// Requests in service, integrated over time up to the moment, if none ever waited \[request · ns\].
    pub area: f64,
}

/// The requests of a run, looked through.
#[derive(Debug)]
pub struct Survey {
    /// Marks at 0, 1, 2, … times this.
    every: Span,
    marks: Vec<Mark>,
    requests: u64,
    of: Subject,
}

/// What requests depend on.
#[derive(Clone, Debug, PartialEq)]
struct Subject {
    seed: u64,
    duration: Span,
    traffic: Option<(traffic::Config, Option<Recording>)>,
    endpoints: Vec<(f64, crate::distribution::Distribution)>,
}

impl Subject {
    fn of(plan: &Plan, seed: u64) -> Subject {
        let demand = |endpoint: &Endpoint| (endpoint.weight, endpoint.time.clone());
        Subject {
            seed,
            duration: plan.duration(),
            traffic: match &plan.scenario().traffic {
                Traffic::Open(config) => Some((config.clone(), None)),
                Traffic::Replay { changes, recording } => Some((changes.clone(), Some(recording.clone()))),
                Traffic::Closed(_) => None,
            },
            endpoints: plan.endpoints().iter().map(demand).collect(),
        }
    }
}

/// Distances between marks; the first with which there are not too many.
const EVERY: [Span; 4] = [Span::from_secs(1), Span::from_secs(5), Span::from_secs(30), Span::from_mins(5)];
/// Marks at most, of 32 bytes: twelve days of seconds.
const MOST: u64 = 1 << 20;

impl Survey {
    /// Looks through the requests of `intake`, which are those of `plan` under `seed`.
    pub(super) fn of(plan: &Plan, seed: u64, intake: Intake) -> Survey {
        let duration = plan.duration();
        let every =
            EVERY.into_iter().find(|every| duration.0 / every.0 < MOST).unwrap_or(Span(duration.0 / MOST + 1));
        let mut marks = vec![Mark::default()];
        let (mut requests, mut area, mut next) = (0, 0.0, every.0);
        // What is in service until the next mark, and until those after it, of requests so far.
        let mut later = VecDeque::from([0.0]);
        intake.follow(|place, at, demand| {
            while at.0 >= next {
                area += later.pop_front().unwrap_or(0.0);
                marks.push(Mark { place, area });
                next += every.0;
            }
            requests += 1;
            let (mut from, end, mut until) = (at.0, at.0.saturating_add(demand.0), next);
            for i in 0.. {
                if i == later.len() {
                    later.push_back(0.0);
                }
                later[i] += (end.min(until) - from) as f64;
                if end <= until {
                    break;
                }
                (from, until) = (until, until + every.0);
            }
        });
        Survey { every, marks, requests, of: Subject::of(plan, seed) }
    }

    /// Whether it is about the requests of `plan` under `seed`.
    pub fn is_of(&self, plan: &Plan, seed: u64) -> bool {
        self.of == Subject::of(plan, seed)
    }

    /// How many requests there are.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// How far marks are apart.
    pub fn every(&self) -> Span {
        self.every
    }

    /// Requests in service, integrated over time up to `at`, if none ever waited \[request · ns\]; between marks, a straight line.
    pub fn area(&self, at: Time) -> f64 {
        let (before, part) = (self.before(at).area, (at.0 % self.every.0) as f64 / self.every.0 as f64);
        let after = self.before(at + self.every).area;
        before + part * (after - before)
    }

    /// The last mark at or before `at`.
    pub fn before(&self, at: Time) -> Mark {
        let place = (at.0 / self.every.0) as usize;
        self.marks[place.min(self.marks.len() - 1)]
    }
}
