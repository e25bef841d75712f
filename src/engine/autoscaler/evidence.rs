//! When a condition counts as holding: at every sample since it began, or at m of the last n samples.
//!
//! A sample that several ticks see is one sample: with a scrape interval of a minute and ticks every 15 s, "3 of
//! 5" spans five minutes.

use std::collections::VecDeque;

use crate::units::Time;

/// How many samples must satisfy a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// Every observed sample; the first that does not starts the duration anew. "continuous" in scenario files.
    #[default]
    Continuous,
    /// At least `m` of the last `n`, as alarms of CloudWatch do. "m_of_n" in scenario files.
    MOfN {
        /// How many must satisfy it, `1..=n`; a larger number counts as `n`.
        m: u32,
        /// How many samples are looked at; 0 counts as 1.
        n: u32,
        /// Whether the newest must be one of them.
        require_latest: bool,
    },
}

/// A sample's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// The tick that saw it first.
    pub seen_at: Time,
    /// When it was taken.
    pub sampled_at: Time,
    /// Whether it satisfied the condition.
    pub breaching: bool,
}

/// The last n verdicts.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    evidence: Evidence,
    last: VecDeque<Sample>,
}

impl Samples {
    pub(super) fn new(evidence: Evidence) -> Samples {
        Samples { evidence, last: VecDeque::new() }
    }

    /// Takes in a sample; returns the first one that speaks for the condition if the condition holds.
    pub(super) fn add(&mut self, sample: Sample) -> Option<Sample> {
        let (m, n, require_latest) = match self.evidence {
            Evidence::Continuous => return sample.breaching.then_some(sample),
            Evidence::MOfN { m, n, require_latest } => (m.clamp(1, n.max(1)), n.max(1) as usize, require_latest),
        };
        if self.last.back().is_none_or(|newest| newest.sampled_at != sample.sampled_at) {
            self.last.push_back(sample);
        }
        while self.last.len() > n {
            self.last.pop_front();
        }
        let breaching = self.last.iter().filter(|s| s.breaching).count();
        let enough = breaching >= m as usize && (sample.breaching || !require_latest);
        self.last.iter().find(|s| s.breaching).filter(|_| enough).copied()
    }

    /// Forgets every sample.
    pub(super) fn clear(&mut self) {
        self.last.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(evidence: Evidence, samples: &[f64]) -> Vec<bool> {
        let mut window = Samples::new(evidence);
        let sample = |(i, &v): (usize, &f64)| Sample {
            seen_at: Time(i as u64),
            sampled_at: Time(i as u64),
            breaching: v > 70.0,
        };
        samples.iter().enumerate().map(|s| window.add(sample(s)).is_some()).collect()
    }

    #[test]
    fn m_of_n_holds_when_enough_of_the_last_n_samples_do() {
        let m_of_n = |m, n, require_latest| Evidence::MOfN { m, n, require_latest };
        for (id, evidence, samples, expected) in [
            ("R-21", m_of_n(3, 5, true), &[80., 60., 80., 60., 80., 60., 60.][..], "....x.."),
            ("R-21 any", m_of_n(3, 5, false), &[80., 60., 80., 60., 80., 60., 60.], "....x.."),
            ("R-22", m_of_n(3, 3, true), &[80., 60., 80., 80., 80., 60.], "....x."),
            ("latest", m_of_n(1, 2, true), &[80., 60., 60.], "x.."),
            ("any", m_of_n(1, 2, false), &[80., 60., 60.], "xx."),
            ("nonsense is tamed", m_of_n(9, 0, false), &[80., 60.], "x."),
            ("continuous", Evidence::Continuous, &[80., 60., 80.], "x.x"),
        ] {
            let marks: String = holding(evidence, samples).iter().map(|h| if *h { 'x' } else { '.' }).collect();
            assert_eq!(marks, expected, "{id}");
        }
    }

    #[test]
    fn a_sample_seen_at_two_ticks_counts_once() {
        let mut window = Samples::new(Evidence::MOfN { m: 2, n: 3, require_latest: true });
        let seen =
            |seen_at, sampled_at| Sample { seen_at: Time(seen_at), sampled_at: Time(sampled_at), breaching: true };
        assert_eq!(window.add(seen(1, 1)), None);
        assert_eq!(window.add(seen(2, 1)), None);
        assert_eq!(window.add(seen(3, 3)), Some(seen(1, 1)));
    }
}
