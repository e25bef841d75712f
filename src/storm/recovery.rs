//! Recovery: whether a system is back as it was, and since when.
//!
//! Three figures are looked at over windows of five steps of the timeline: *goodput* (answers in time over requests), the 90th percentile of
//! latency, and requests that wait in instances. The calm is the second half of the time before the kick; the band around it:
//!
//! - goodput at least (1 − tolerance) of its mean,
//! - latency at most twice the highest of the calm,
//! - waiting at most twice the most of the calm, and one per instance more (an empty queue is no bound).
//!
//! The system is back at the first window after the release from which all three stay in their band for the time to hold, unless it has lost
//! its goodput again in the last third of the time that it is watched. It was calm at all if it served 90 % of its requests, and its queue
//! did not grow.

use crate::record::timeline::{Column, Timeline};
use crate::units::Span;

/// Steps of a window.
const WINDOW: usize = 5;
/// Share of the requests that a system in its calm serves at least.
const SERVED_IN_CALM: f64 = 0.9;

/// The figures of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Answers in time over requests [0..].
    pub goodput: f64,
    /// 90th percentile of latency, mean over steps \[ms\]; NaN if nobody was answered.
    pub p90_ms: f64,
    /// Requests waiting in instances.
    pub waiting: f64,
}

/// What became of a kicked system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It came back so long after the release.
    Returns {
        /// How long it took.
        after: Span,
    },
    /// It did not come back while it was watched.
    Sticks,
    /// It was not well before the kick.
    NeverCalm,
}

/// When things happened in a run, and what counts as back.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When the kick begins \[s\].
    pub kick: f64,
    /// When it is over \[s\].
    pub release: f64,
    /// How long the system must be back \[s\].
    pub hold: f64,
    /// Goodput that may be missing, relative.
    pub tolerance: f64,
}

/// What a run shows: the calm, its end, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// What became of it.
    pub fate: Fate,
    /// Before the kick.
    pub calm: State,
    /// The last third of the time after the release.
    pub after: State,
}

/// Judges a run by its timeline.
pub fn judge(timeline: &Timeline, terms: &Terms) -> Verdict {
    let step = timeline.step_seconds;
    let place = |seconds: f64| ((seconds / step).round() as usize).min(timeline.len());
    let (kick, release) = (place(terms.kick), place(terms.release));
    let calm_from = kick / 2;
    let calm = state(timeline, calm_from, kick);
    let after = state(timeline, release + (timeline.len() - release) * 2 / 3, timeline.len());
    let verdict = |fate| Verdict { fate, calm, after };
    let instances = timeline.column(Column::InstancesReady)[..kick].iter().copied().fold(1.0, f64::max);
    let quarter = (kick - calm_from) / 2;
    let (earlier, later) = (state(timeline, calm_from, kick - quarter), state(timeline, kick - quarter, kick));
    let grows = later.waiting > 2.0 * earlier.waiting + instances;
    if calm.goodput.is_nan() || calm.goodput < SERVED_IN_CALM || grows {
        return verdict(Fate::NeverCalm);
    }
    let calm_windows = || (calm_from..kick.saturating_sub(WINDOW - 1)).map(|i| state(timeline, i, i + WINDOW));
    let p90 = 2.0 * calm_windows().map(|window| window.p90_ms).fold(calm.p90_ms, f64::max);
    let waiting = 2.0 * calm_windows().map(|window| window.waiting).fold(calm.waiting, f64::max) + instances;
    let goodput = (1.0 - terms.tolerance) * calm.goodput;
    if after.goodput.is_nan() || after.goodput < goodput {
        return verdict(Fate::Sticks);
    }
    let hold = (terms.hold / step).ceil().max(1.0) as usize;
    let mut since: Option<usize> = None;
    for i in release..(timeline.len() + 1).saturating_sub(WINDOW) {
        let window = state(timeline, i, i + WINDOW);
        if !(window.goodput >= goodput && window.p90_ms <= p90 && window.waiting <= waiting) {
            since = None;
            continue;
        }
        let from = *since.get_or_insert(i);
        if i - from + 1 >= hold {
            let after = Span::from_secs_f64((from as f64 * step - terms.release).max(0.0));
            return verdict(Fate::Returns { after });
        }
    }
    verdict(Fate::Sticks)
}

/// The figures of steps `from..to`.
fn state(timeline: &Timeline, from: usize, to: usize) -> State {
    let sum = |column: Column| timeline.column(column)[from..to].iter().sum::<f64>();
    let answered: Vec<f64> =
        timeline.column(Column::P90Ms)[from..to].iter().copied().filter(|ms| ms.is_finite()).collect();
    State {
        goodput: sum(Column::SucceededRps) / sum(Column::OfferedRps),
        p90_ms: answered.iter().sum::<f64>() / answered.len() as f64,
        waiting: sum(Column::QueueLength) / (to - from) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timeline of `answered` of 100 requests in each second; who is answered took 10 ms.
    fn timeline(answered: &[f64]) -> Timeline {
        let mut timeline = Timeline::new(1.0);
        for (i, &answered) in answered.iter().enumerate() {
            timeline.push(
                i as f64,
                &[
                    (Column::OfferedRps, 100.0),
                    (Column::SucceededRps, answered),
                    (Column::P90Ms, if answered > 0.0 { 10.0 } else { f64::NAN }),
                    (Column::QueueLength, if answered < 50.0 { 80.0 } else { 1.0 }),
                    (Column::InstancesReady, 2.0),
                ],
            );
        }
        timeline
    }

    fn fate(answered: &[f64]) -> Fate {
        let terms = Terms { kick: 20.0, release: 30.0, hold: 10.0, tolerance: 0.1 };
        judge(&timeline(answered), &terms).fate
    }

    fn story(parts: &[(usize, f64)]) -> Vec<f64> {
        parts.iter().flat_map(|&(n, answered)| std::iter::repeat_n(answered, n)).collect()
    }

    #[test]
    fn a_system_is_back_from_the_first_window_of_a_stretch_that_holds() {
        let back = story(&[(20, 100.0), (25, 0.0), (40, 100.0)]);
        assert_eq!(fate(&back), Fate::Returns { after: Span::from_secs(15) });
        // A few good seconds between bad ones are no return.
        let flickers = story(&[(20, 100.0), (12, 0.0), (10, 100.0), (10, 0.0), (40, 100.0)]);
        assert_eq!(fate(&flickers), Fate::Returns { after: Span::from_secs(22) });
        // Who loses it again was not back.
        let relapses = story(&[(20, 100.0), (12, 0.0), (20, 100.0), (40, 0.0)]);
        assert_eq!(fate(&relapses), Fate::Sticks);
        // Nine in ten are back, fewer are not.
        assert_eq!(fate(&story(&[(20, 100.0), (60, 90.0)])), Fate::Returns { after: Span::ZERO });
        assert_eq!(fate(&story(&[(20, 100.0), (60, 89.0)])), Fate::Sticks);
    }

    #[test]
    fn what_is_not_well_before_the_kick_cannot_return() {
        assert_eq!(fate(&story(&[(20, 80.0), (60, 80.0)])), Fate::NeverCalm);
        assert_eq!(fate(&story(&[(20, 0.0), (60, 100.0)])), Fate::NeverCalm);
        // Too short to have held for long enough.
        assert_eq!(fate(&story(&[(20, 100.0), (10, 0.0), (12, 100.0)])), Fate::Sticks);
    }
}
