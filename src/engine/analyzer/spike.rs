//! Spikes: load that is out of line in ratio and beyond noise, for long enough.
//!
//! ```text
//! Idle ──breach──▶ Candidate ──lasts, or steep──▶ Active ──below exit──▶ Cooling ──holds──▶ Idle
//!           ◀──quiet──┘                              ◀──────breach──────────┘
//! ```
//!
//! Both tests are needed: a ratio alone fires on noise when traffic is light, a z-score alone on small harmless changes
//! when it is heavy. A load that falls to the inverse of the threshold is an event too: so an outage upstream looks.

use crate::engine::analyzer::Config;
use crate::engine::analyzer::baseline::Expected;
use crate::engine::events::Spike;
use crate::units::Time;

/// Where the detector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is unusual.
    Idle,
    /// Something may be beginning.
    Candidate,
    /// A spike is on.
    Active,
    /// It may be over.
    Cooling,
}

/// What a bin changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A spike is confirmed.
    Began(Spike),
    /// It is over.
    Ended(Spike),
}

/// Beyond this many standard deviations a steep rise needs no patience.
const FAST_Z: f64 = 10.0;
/// One quiet bin is forgiven in this many.
const GAP_EVERY: u32 = 6;

/// The state machine.
#[derive(Clone, Debug)]
pub struct Detector {
    config: Config,
    state: State,
    /// The spike in the making, or on.
    spike: Option<Spike>,
    steep_bins: u32,
    bins: u32,
    gaps: u32,
    last_was_gap: bool,
    cooling_since: Time,
    next_id: u32,
}

impl Detector {
    /// Has seen nothing.
    pub fn new(config: Config) -> Detector {
        Detector {
            config,
            state: State::Idle,
            spike: None,
            steep_bins: 0,
            bins: 0,
            gaps: 0,
            last_was_gap: false,
            cooling_since: Time::ZERO,
            next_id: 1,
        }
    }

    /// z beyond which a bin is no noise: 6 − 4 · sensitivity.
    pub fn z_min(&self) -> f64 {
        6.0 - 4.0 * self.config.sensitivity
    }

    /// `count / baseline`, at least one request per bin being expected.
    fn ratio(count: f64, expected: &Expected) -> f64 {
        count / expected.level.max(1.0)
    }

    /// Whether a bin is out of line: `Some(true)` if it fell.
    fn breach(&self, count: f64, expected: &Expected) -> Option<bool> {
        let (ratio, z) = (Detector::ratio(count, expected), expected.z(count));
        if ratio >= self.config.spike_threshold && z >= self.z_min() {
            Some(false)
        } else if ratio <= 1.0 / self.config.spike_threshold && z <= -self.z_min() {
            Some(true)
        } else {
            None
        }
    }

    /// Whether a bin is back near the baseline: the exit is nearer to 1 than the threshold, so that a spike does not flap.
    fn is_back(&self, count: f64, expected: &Expected, drop: bool) -> bool {
        let exit = 1.0 + 0.75 * (self.config.spike_threshold - 1.0);
        let ratio = Detector::ratio(count, expected);
        if drop { ratio > 1.0 / exit } else { ratio < exit }
    }

    /// When the spike that is on began; `None` if none is.
    pub fn active_since(&self) -> Option<Time> {
        let on = matches!(self.state, State::Active | State::Cooling);
        self.spike.as_ref().filter(|_| on).map(|spike| spike.started_at)
    }

    /// Whether something may be beginning.
    pub fn is_suspicious(&self) -> bool {
        self.state == State::Candidate
    }

    /// The spike in the making, or on.
    pub fn spike(&self) -> Option<&Spike> {
        self.spike.as_ref()
    }

    /// What a bin of `count` would be, without changing anything.
    pub fn would_be(&self, count: f64, expected: &Expected) -> State {
        match (self.state, self.breach(count, expected)) {
            (State::Active | State::Cooling, Some(_)) => State::Active,
            (state @ (State::Active | State::Cooling), None) => state,
            (_, Some(_)) => State::Candidate,
            (_, None) => State::Idle,
        }
    }

    /// Takes the bin that began at `began`.
    pub fn observe(&mut self, began: Time, count: f64, expected: &Expected) -> Option<Change> {
        let breach = self.breach(count, expected);
        let ended = began + self.config.bin;
        if self.state == State::Candidate {
            self.keep_or_drop_candidate(breach);
        }
        if self.state == State::Idle
            && let Some(drop) = breach
        {
            self.suspect(began, expected, drop);
        }
        let rate = count / self.config.bin.as_secs_f64();
        if let Some(spike) = &mut self.spike {
            let higher = if spike.drop { rate < spike.peak_rps } else { rate > spike.peak_rps };
            if higher {
                spike.peak_rps = rate;
                spike.magnitude = rate / spike.baseline_rps.max(1e-9);
            }
        }
        match self.state {
            State::Idle => None,
            State::Candidate => self.confirm(ended, count, expected, breach),
            State::Active | State::Cooling => self.follow(began, ended, count, expected, breach),
        }
    }

    fn suspect(&mut self, began: Time, expected: &Expected, drop: bool) {
        let baseline_rps = expected.level / self.config.bin.as_secs_f64();
        let peak_rps = if drop { f64::INFINITY } else { 0.0 };
        let (id, started_at) = (self.next_id, began);
        self.spike = Some(Spike {
            id,
            started_at,
            baseline_rps,
            peak_rps,
            magnitude: 0.0,
            drop,
            verdict: None,
            advice: Vec::new(),
        });
        self.state = State::Candidate;
        (self.steep_bins, self.bins, self.gaps, self.last_was_gap) = (0, 0, 0, false);
    }

    fn keep_or_drop_candidate(&mut self, breach: Option<bool>) {
        let same = self.spike.as_ref().is_some_and(|spike| breach == Some(spike.drop));
        if same {
            self.last_was_gap = false;
            return;
        }
        self.gaps += 1;
        let allowed = 1 + self.bins / GAP_EVERY;
        if self.last_was_gap || self.gaps > allowed || breach.is_some() {
            self.state = State::Idle;
            self.spike = None;
        }
        self.last_was_gap = true;
    }

    fn confirm(&mut self, ended: Time, count: f64, expected: &Expected, breach: Option<bool>) -> Option<Change> {
        self.bins += 1;
        let steep = Detector::ratio(count, expected) >= self.config.fast_ratio && expected.z(count) >= FAST_Z;
        self.steep_bins = if steep { self.steep_bins + 1 } else { 0 };
        let spike = self.spike.as_ref()?;
        let lasted = breach.is_some() && ended.since(spike.started_at) >= self.config.min_spike_duration;
        if !lasted && self.steep_bins < 2 {
            return None;
        }
        self.state = State::Active;
        self.next_id += 1;
        Some(Change::Began(spike.clone()))
    }

    fn follow(
        &mut self,
        began: Time,
        ended: Time,
        count: f64,
        expected: &Expected,
        breach: Option<bool>,
    ) -> Option<Change> {
        let drop = self.spike.as_ref()?.drop;
        if breach == Some(drop) {
            self.state = State::Active;
        } else if self.state == State::Active && self.is_back(count, expected, drop) {
            self.state = State::Cooling;
            self.cooling_since = began;
        }
        let over = self.state == State::Cooling && ended.since(self.cooling_since) >= self.config.exit_hold;
        if !over {
            return None;
        }
        self.state = State::Idle;
        self.spike.take().map(Change::Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Expected = Expected { level: 1000.0, spread: 30.0 };

    /// When a spike is confirmed and when it is said to have begun \[s\], for bins of ten seconds at these ratios.
    fn confirmed(ratios: &[f64]) -> Option<(f64, f64)> {
        let mut detector = Detector::new(Config::default());
        ratios.iter().enumerate().find_map(|(i, ratio)| {
            let began = Time::from_secs_f64(i as f64 * 10.0);
            match detector.observe(began, ratio * 1000.0, &EXPECTED) {
                Some(Change::Began(spike)) => Some((began.as_secs_f64() + 10.0, spike.started_at.as_secs_f64())),
                _ => None,
            }
        })
    }

    #[test]
    fn a_breach_is_a_spike_when_it_has_lasted_with_one_quiet_bin_forgiven() {
        let mut one_gap = vec![2.5; 20];
        one_gap[5] = 1.0;
        let mut two_gaps = vec![2.5; 30];
        (two_gaps[5], two_gaps[6]) = (1.0, 1.0);
        for (id, ratios, expected) in [
            ("D-08", vec![2.5; 20], Some((120.0, 0.0))),
            ("D-09", one_gap, Some((120.0, 0.0))),
            ("D-10", two_gaps, Some((190.0, 70.0))),
            ("D-11", vec![5.0; 5], Some((20.0, 0.0))),
            ("below the threshold", vec![1.9; 60], None),
        ] {
            assert_eq!(confirmed(&ratios), expected, "{id}");
        }
    }

    #[test]
    fn ratio_and_noise_must_both_be_exceeded() {
        let detector = Detector::new(Config::default());
        let light = Expected { level: 5.0, spread: 0.0 };
        assert_eq!(detector.breach(10.0, &light), None, "D-02: twice the rate is noise when traffic is light");
        assert!((light.z(10.0) - 5.0 / 5f64.sqrt()).abs() < 1e-12);
        let heavy = Expected { level: 1000.0, spread: 0.0 };
        assert!((heavy.z(2000.0) - 31.622_777).abs() < 1e-6, "D-03");
        assert_eq!(Expected { level: 100.0, spread: 0.0 }.z(140.0), 4.0, "D-04");
        for (sensitivity, z) in [(0.0, 6.0), (0.5, 4.0), (0.7, 3.2), (1.0, 2.0)] {
            let z_min = Detector::new(Config { sensitivity, ..Config::default() }).z_min();
            assert!((z_min - z).abs() < 1e-12, "D-06");
        }
    }

    #[test]
    fn a_spike_ends_nearer_to_the_baseline_than_it_began() {
        let detector = Detector::new(Config::default());
        assert!(detector.is_back(1740.0, &EXPECTED, false) && !detector.is_back(1750.0, &EXPECTED, false), "D-12");
        let detector = Detector::new(Config { spike_threshold: 1.5, ..Config::default() });
        assert_eq!(detector.breach(1400.0, &EXPECTED), None, "D-13");
        assert!(!detector.is_back(1400.0, &EXPECTED, false), "D-13");
    }

    #[test]
    fn magnitude_is_peak_over_baseline() {
        let mut detector = Detector::new(Config::default());
        let expected = Expected { level: 855.0, spread: 0.0 };
        detector.observe(Time::ZERO, 2500.0, &expected);
        assert!((detector.spike.unwrap().magnitude - 2.923_977).abs() < 1e-6, "D-01");
    }
}
