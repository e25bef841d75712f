//! The past: what an earlier engine saw of the same load, for one that begins where that one ended.
//!
//! Bins are on the calendar, so that an hour of the day is the same hour for both. A bin of which less than half was observed says nothing;
//! one of which a part is missing counts as if the rest had been like it.

use crate::units::{Span, Time};

/// What was seen before the engine began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// What the calendar shows when the engine begins: the time since midnight (UTC) of a Monday that is not after the first bin.
    pub calendar: Span,
    /// Bins that were over by then, as long as the analyzer's own, on the calendar, the oldest first. Those that are missing were not observed.
    pub bins: Vec<Bin>,
    /// How far the bin was in which the engine begins, less than its length.
    pub into_bin: Span,
    /// What was seen of that one.
    pub under_way: Seen,
}

/// A bin that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// When it began, on the calendar.
    pub began: Time,
    /// What was seen of it.
    pub seen: Seen,
}

/// Requests, and how long they were looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests that were offered.
    pub requests: u64,
    /// How long somebody counted them.
    pub observed: Span,
}

impl Seen {
    /// The requests of a whole bin of this length; `None`: too little of it was observed.
    pub fn of_whole(self, bin: Span) -> Option<f64> {
        let share = self.observed.0 as f64 / bin.0 as f64;
        (share >= 0.5).then(|| self.requests as f64 / share)
    }
}

impl Past {
    /// The bins from the first one on, each `bin` long, without a gap: `None` where nothing was observed.
    pub(super) fn series(&self, bin: Span) -> Vec<Option<f64>> {
        let Some(first) = self.bins.first() else { return Vec::new() };
        let place = |at: Time| (at.since(first.began).0 / bin.0) as usize;
        let now = Time(self.calendar.0).saturating_sub(self.into_bin);
        let mut series = vec![None; place(now)];
        for each in &self.bins {
            if let Some(value) = series.get_mut(place(each.began)) {
                *value = each.seen.of_whole(bin);
            }
        }
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(requests: u64, seconds: u64) -> Seen {
        Seen { requests, observed: Span::from_secs(seconds) }
    }

    #[test]
    fn a_part_of_a_bin_stands_for_the_rest_of_it() {
        let bin = Span::from_secs(10);
        assert_eq!(
            [10, 8, 5, 4, 0].map(|s| seen(40, s).of_whole(bin)),
            [Some(40.0), Some(50.0), Some(80.0), None, None]
        );
    }

    #[test]
    fn gaps_are_no_zeros() {
        let at = |s: u64| Time::ZERO + Span::from_secs(s);
        let past = Past {
            calendar: Span::from_secs(174),
            bins: vec![
                Bin { began: at(120), seen: seen(7, 10) },
                Bin { began: at(130), seen: seen(1, 2) },
                Bin { began: at(150), seen: seen(0, 10) },
            ],
            into_bin: Span::from_secs(4),
            under_way: seen(3, 3),
        };
        assert_eq!(past.series(Span::from_secs(10)), [Some(7.0), None, None, Some(0.0), None]);
    }
}
