//! The last so much time as a ring of buckets.

use super::{Tally, Window};
use crate::units::{Span, Time};

/// Calls of the last n buckets, and their totals.
///
/// Bucket `i` covers `[i · width, (i + 1) · width)` with `width = span / n`. Recording touches the running total
/// only; what the current bucket holds is found by subtraction when it ends, which is also when the oldest leaves.
/// So a call costs a comparison and three additions, and a bucket's end O(1) per bucket that ends.
#[derive(Clone, Debug)]
pub struct TimeBuckets {
    /// All buckets, the current one included.
    total: Tally,
    /// All buckets but the current one: the sum of `ring`.
    ended: Tally,
    /// When the current bucket ends.
    ends_at: Time,
    /// Length of a bucket \[ns\], ≥ 1.
    width: u64,
    /// The n − 1 buckets before the current one.
    ring: Box<[Tally]>,
    /// The oldest in `ring`.
    oldest: u32,
}

impl TimeBuckets {
    /// Empty buckets; their number is cut to 1..=[`Window::MAX_BUCKETS`], their length truncated to nanoseconds.
    pub fn new(span: Span, buckets: u32) -> TimeBuckets {
        let buckets = buckets.clamp(1, Window::MAX_BUCKETS);
        let width = (span.0 / u64::from(buckets)).max(1);
        TimeBuckets {
            total: Tally::default(),
            ended: Tally::default(),
            ends_at: Time(width),
            width,
            ring: vec![Tally::default(); buckets as usize - 1].into(),
            oldest: 0,
        }
    }

    /// Counts a call that ended at `now`; one from before the current bucket counts in the current bucket.
    #[inline]
    pub fn record(&mut self, now: Time, failed: bool, slow: bool) {
        if now >= self.ends_at {
            self.advance(now);
        }
        self.total.count(failed, slow);
    }

    /// What the buckets held right after the last record.
    #[inline]
    pub fn total(&self) -> Tally {
        self.total
    }

    /// What the buckets hold at `now`; O(n).
    pub fn total_at(&self, now: Time) -> Tally {
        if now < self.ends_at {
            return self.total;
        }
        match self.surviving_steps(now) {
            Some(steps) => (0..steps)
                .fold(self.total, |total, i| total - self.ring[(self.oldest as usize + i) % self.ring.len()]),
            None => Tally::default(),
        }
    }

    /// Number of the current bucket since the start of the run, from 1.
    pub fn position(&self) -> u64 {
        self.ends_at.0 / self.width
    }

    /// Number of the oldest bucket that counts.
    pub fn oldest_position(&self) -> u64 {
        self.position().saturating_sub(self.ring.len() as u64)
    }

    /// Forgets every call, not the time.
    pub fn clear(&mut self) {
        self.ring.fill(Tally::default());
        (self.total, self.ended) = (Tally::default(), Tally::default());
    }

    /// Buckets that have ended by `now`, the current one included.
    fn steps(&self, now: Time) -> u64 {
        now.since(self.ends_at).0 / self.width + 1
    }

    /// [`TimeBuckets::steps`] if anything still counts after so many, as an index.
    fn surviving_steps(&self, now: Time) -> Option<usize> {
        usize::try_from(self.steps(now)).ok().filter(|&steps| steps <= self.ring.len())
    }

    #[cold]
    fn advance(&mut self, now: Time) {
        let passed = self.steps(now).saturating_mul(self.width);
        match self.surviving_steps(now) {
            Some(steps) => {
                let mut ending = self.total - self.ended;
                for _ in 0..steps {
                    let oldest = &mut self.ring[self.oldest as usize];
                    self.ended = self.ended + ending - *oldest;
                    *oldest = std::mem::take(&mut ending);
                    self.oldest = if self.oldest as usize + 1 == self.ring.len() { 0 } else { self.oldest + 1 };
                }
                self.total = self.ended;
            }
            None => self.clear(),
        }
        self.ends_at = self.ends_at.saturating_add(Span(passed));
        debug_assert_eq!(
            self.total,
            self.ring.iter().fold(Tally::default(), |sum, &bucket| sum + bucket),
            "totals are those of the buckets"
        );
    }
}
