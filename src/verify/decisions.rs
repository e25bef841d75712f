//! Decisions of two runs, laid beside one another: which of one is which of the other, and how much later.

use crate::engine::events::EventKind;
use crate::record::Run;
use crate::units::{Span, Time};

/// A decision to change the size of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// Whether it added instances.
    pub up: bool,
    /// Instances before and after.
    pub sizes: (u32, u32),
    /// The rule, policy or reason behind it.
    pub rule: String,
}

/// A decision of either run, or of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Of the first.
    pub first: Option<Decision>,
    /// Of the second.
    pub second: Option<Decision>,
}

impl Step {
    /// How far apart they are; `None` if one has it alone.
    pub fn gap(&self) -> Option<Span> {
        let (a, b) = (self.first.as_ref()?.at, self.second.as_ref()?.at);
        Some(a.since(b) + b.since(a))
    }

    /// Whether both have it, at most `within` apart.
    pub fn agrees(&self, within: Span) -> bool {
        self.gap().is_some_and(|gap| gap <= within)
    }
}

/// The decisions of a run, in order.
pub fn of(run: &Run) -> Vec<Decision> {
    let decision = |event: &crate::engine::events::Event| {
        let (up, scaling) = match &event.kind {
            EventKind::ScaledUp(scaling) => (true, scaling),
            EventKind::ScaledDown(scaling) => (false, scaling),
            _ => return None,
        };
        Some(Decision { at: event.at, up, sizes: (scaling.from, scaling.to), rule: scaling.rule.clone() })
    };
    run.events.iter().filter_map(decision).collect()
}

/// Lays the decisions of two runs beside one another: in order, as many of them in pairs of one direction as there can be, and of those
/// ways the one with the least time between (Needleman & Wunsch 1970).
pub fn align(first: &[Decision], second: &[Decision]) -> Vec<Step> {
    let (n, m) = (first.len(), second.len());
    // What the rest costs from (i, j) on: decisions without a partner, then time.
    let mut cost = vec![vec![(0u32, 0u64); m + 1]; n + 1];
    for i in (0..=n).rev() {
        for j in (0..=m).rev() {
            let alone = |(lonely, time): (u32, u64)| (lonely + 1, time);
            let mut best = None::<(u32, u64)>;
            let mut offer = |candidate: (u32, u64)| best = Some(best.map_or(candidate, |b| b.min(candidate)));
            if i < n && j < m && first[i].up == second[j].up {
                let (lonely, time) = cost[i + 1][j + 1];
                offer((lonely, time + gap(&first[i], &second[j])));
            }
            if i < n {
                offer(alone(cost[i + 1][j]));
            }
            if j < m {
                offer(alone(cost[i][j + 1]));
            }
            cost[i][j] = best.unwrap_or((0, 0));
        }
    }
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    while i < n || j < m {
        let pairs = i < n && j < m && first[i].up == second[j].up && {
            let (lonely, time) = cost[i + 1][j + 1];
            cost[i][j] == (lonely, time + gap(&first[i], &second[j]))
        };
        let takes_first = !pairs && i < n && cost[i][j] == (cost[i + 1][j].0 + 1, cost[i + 1][j].1);
        let mut step = Step { first: None, second: None };
        if pairs || takes_first {
            step.first = Some(first[i].clone());
            i += 1;
        }
        if pairs || !takes_first {
            step.second = Some(second[j].clone());
            j += 1;
        }
        steps.push(step);
    }
    steps
}

fn gap(a: &Decision, b: &Decision) -> u64 {
    a.at.since(b.at).0 + b.at.since(a.at).0
}

/// Share of the decisions of two runs that are not both theirs, at most `within` apart; `None` if neither has any.
pub fn apart(first: &Run, second: &Run, within: Span) -> Option<f64> {
    let steps = align(&of(first), &of(second));
    let apart = steps.iter().filter(|step| !step.agrees(within)).count();
    (!steps.is_empty()).then(|| apart as f64 / steps.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decisions(all: &[(u64, bool)]) -> Vec<Decision> {
        let decision = |&(s, up): &(u64, bool)| Decision {
            at: Time::ZERO + Span::from_secs(s),
            up,
            sizes: (2, 3),
            rule: "busy".into(),
        };
        all.iter().map(decision).collect()
    }

    fn gaps(first: &[(u64, bool)], second: &[(u64, bool)]) -> Vec<Option<u64>> {
        let steps = align(&decisions(first), &decisions(second));
        steps.iter().map(|step| step.gap().map(|gap| gap.0 / 1_000_000_000)).collect()
    }

    #[test]
    fn partners_are_of_one_direction_and_in_order() {
        let (up, down) = (true, false);
        assert_eq!(gaps(&[], &[]), []);
        assert_eq!(gaps(&[(10, up), (40, down)], &[(12, up), (41, down)]), [Some(2), Some(1)]);
        assert_eq!(gaps(&[(10, up)], &[(12, down)]), [None, None]);
        // Of two that could be meant it is the nearer one.
        assert_eq!(gaps(&[(20, up)], &[(10, up), (21, up)]), [None, Some(1)]);
        assert_eq!(gaps(&[(10, up), (20, up), (30, up)], &[(11, up), (31, up)]), [Some(1), None, Some(1)]);
    }
}
