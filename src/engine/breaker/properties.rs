//! What holds for every history.

use proptest::prelude::*;

use super::*;

/// Something that happens to a breaker.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Admit,
    /// Reports the n-th permit out (modulo their number).
    End {
        which: usize,
        failed: bool,
        slow: bool,
    },
    Cancel {
        which: usize,
    },
    /// Loses the n-th permit out: it is never reported.
    Lose {
        which: usize,
    },
    Trip,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![4 => 0u64..50, 2 => 0u64..2_000, 1 => 0u64..100_000];
    let which = 0usize..1000;
    let step = prop_oneof![
        6 => wait.prop_map(Step::Wait),
        10 => Just(Step::Admit),
        8 => (which.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(which, failed, slow)| Step::End { which, failed, slow }),
        1 => which.clone().prop_map(|which| Step::Cancel { which }),
        1 => which.prop_map(|which| Step::Lose { which }),
        1 => Just(Step::Trip),
    ];
    prop::collection::vec(step, 1..400)
}

/// Small numbers, so that everything happens often; times in the order of a thousand nanoseconds.
fn configs() -> impl Strategy<Value = Config> {
    let window = prop_oneof![
        (1u32..12).prop_map(Window::Calls),
        (1u64..300, 1u32..6).prop_map(|(width, n)| Window::Time { span: Span(width * u64::from(n)), buckets: n }),
    ];
    let conditions = (
        prop::option::of(0.1f64..1.0),
        prop::option::of(1u32..5),
        prop::option::of(1u32..5),
        prop::option::of((0.1f64..1.0, any::<bool>())),
    );
    let times = (0u64..2_000, 1.0f64..3.0, 1u64..3_000, prop::option::of(1u64..1_000));
    (window, 1u32..8, conditions, times, 1u32..5, 0.0f64..0.5, any::<bool>()).prop_map(
        |(window, minimum_calls, (rate, failures, consecutive, slow), times, half_open_calls, jitter, shadow)| {
            let (open_for, open_multiplier, lease, ramp) = times;
            let slow = slow.map(|(rate, count_running)| Slow { duration: Span(100), rate, count_running });
            let recovery = ramp.map_or(Recovery::Immediate, |over| Recovery::Ramp { over: Span(over) });
            Config {
                window,
                minimum_calls,
                failure_rate: rate,
                slow,
                failures,
                consecutive,
                open_for: Span(open_for),
                open_multiplier,
                open_max: Span(5_000),
                jitter,
                half_open_calls,
                probe_lease: Span(lease),
                recovery,
                shadow,
                ..Config::default()
            }
        },
    )
}

/// A breaker and the permits that are out.
#[derive(Clone)]
struct Driver {
    rules: Rules,
    breaker: Breaker,
    now: Time,
    out: Vec<Permit>,
    drops_stale: bool,
    /// Good calls take the short way where there is one.
    is_quick: bool,
}

impl Driver {
    fn new(config: &Config) -> Driver {
        let rules = Rules::new(config, 1);
        let breaker = Breaker::new(&rules, 0);
        Driver { breaker, rules, now: Time::ZERO, out: Vec::new(), drops_stale: false, is_quick: false }
    }

    /// Whether the outcome of this permit would be stale.
    fn is_stale(&self, permit: Permit) -> bool {
        let mut copy = self.breaker.clone();
        let before = copy.stale;
        drop(copy.record(&self.rules, self.now, permit, Outcome::Success, Span::ZERO, None));
        permit.0 == 0 || copy.stale > before
    }

    /// Does a step and returns the answer, in words, of whatever decides something.
    fn step(&mut self, step: Step) -> String {
        let which = |n: usize, out: &[Permit]| (!out.is_empty()).then(|| n % out.len());
        match step {
            Step::Wait(nanos) => self.now += Span(nanos),
            Step::Admit => {
                let draw = crate::rng::mix(self.now.0);
                let passage = self.breaker.admit(&self.rules, self.now, draw);
                if let Passage::Granted { permit, .. } = passage {
                    self.out.push(permit);
                }
                return format!("{passage:?}");
            }
            Step::End { which: n, failed, slow } => {
                if let Some(at) = which(n, &self.out) {
                    let permit = self.out.swap_remove(at);
                    if self.drops_stale && self.is_stale(permit) {
                        return "None".to_string();
                    }
                    let outcome = if failed { Outcome::Timeout } else { Outcome::Success };
                    let latency = Span(if slow { 101 } else { 100 });
                    let (rules, now) = (&self.rules, self.now);
                    if self.is_quick && self.breaker.record_among_good(rules, now, permit, outcome, latency) {
                        return "None".to_string();
                    }
                    let change = self.breaker.record(&self.rules, self.now, permit, outcome, latency, None);
                    return format!("{change:?}");
                }
            }
            Step::Cancel { which: n } => {
                if let Some(at) = which(n, &self.out) {
                    let permit = self.out.swap_remove(at);
                    self.breaker.cancel(&self.rules, self.now, permit);
                }
            }
            Step::Lose { which: n } => {
                if let Some(at) = which(n, &self.out) {
                    self.out.swap_remove(at);
                }
            }
            Step::Trip => {
                let trip = Force::Trip { open_for: None };
                return format!("{:?}", self.breaker.force(&self.rules, self.now, trip));
            }
        }
        String::new()
    }
}

proptest! {
    #[test]
    fn without_failures_and_slow_calls_it_never_opens(config in configs(), steps in steps()) {
        let mut driver = Driver::new(&config);
        for step in steps {
            match step {
                Step::Trip => continue,
                Step::End { which, .. } => driver.step(Step::End { which, failed: false, slow: false }),
                other => driver.step(other),
            };
            prop_assert!(matches!(driver.breaker.phase, Phase::Closed));
        }
    }

    #[test]
    fn the_short_way_of_good_calls_leads_to_the_same_place(config in configs(), steps in steps()) {
        let mut plain = Driver::new(&config);
        let mut quick = Driver { is_quick: true, ..plain.clone() };
        for step in steps {
            prop_assert_eq!(plain.step(step), quick.step(step));
            let (one, other) = (&plain.breaker, &quick.breaker);
            prop_assert_eq!(one.state(&plain.rules, plain.now), other.state(&quick.rules, quick.now));
            prop_assert_eq!(one.history.position(), other.history.position());
        }
    }

    #[test]
    fn open_admits_nothing_before_its_moment(config in configs(), steps in steps()) {
        let mut driver = Driver::new(&Config { shadow: false, ..config });
        for step in steps {
            let wake = driver.breaker.next_wake();
            let answer = driver.step(step);
            if let (Step::Admit, Some(until)) = (step, wake) {
                prop_assert_eq!(answer.starts_with("Granted"), driver.now >= until, "{} at {}", answer, driver.now);
            }
        }
    }

    #[test]
    fn probes_outstanding_and_decided_never_exceed_their_number(config in configs(), steps in steps()) {
        let mut driver = Driver::new(&config);
        // Counted from outside: permits of this round that are neither cancelled nor past their lease.
        let mut round = 0;
        let mut probes: Vec<(Permit, Time)> = Vec::new();
        let mut decided = 0;
        for step in steps {
            let out = driver.out.clone();
            driver.step(step);
            if round != driver.breaker.generation {
                (round, decided) = (driver.breaker.generation, 0);
                probes.clear();
            }
            let Phase::HalfOpen(_) = driver.breaker.phase else { continue };
            let now = driver.now;
            match step {
                Step::Admit => {
                    let newest = driver.out.last().filter(|_| driver.out.len() > out.len());
                    probes.extend(newest.filter(|p| p.0 > round).map(|&p| (p, now)));
                }
                Step::End { .. } | Step::Cancel { .. } => {
                    if let Some(gone) = out.iter().find(|p| !driver.out.contains(p))
                        && let Some(at) = probes.iter().position(|(p, _)| p == gone)
                    {
                        let (_, issued_at) = probes.remove(at);
                        let counts = now.since(issued_at) < Span(config.probe_lease.0.max(1));
                        decided += u32::from(counts && matches!(step, Step::End { .. }));
                    }
                }
                _ => {}
            }
            probes.retain(|&(_, issued_at)| now.since(issued_at) < Span(config.probe_lease.0.max(1)));
            let total = probes.len() as u32 + decided;
            prop_assert!(total <= config.half_open_calls, "{} probes after {:?} at {}", total, step, now);
        }
    }

    /// From wherever a history leads, with permits lost on the way.
    #[test]
    fn good_probes_and_time_close_it_and_bad_ones_never_do(config in configs(), steps in steps()) {
        let mut driver = Driver::new(&Config { shadow: false, ..config });
        for step in steps {
            driver.step(step);
        }
        driver.step(Step::Trip);
        driver.out.clear();
        for failed in [true, false] {
            let mut copy = driver.clone();
            let mut has_closed = false;
            for _ in 0..200 {
                copy.step(Step::Wait(1_000));
                copy.step(Step::Admit);
                copy.step(Step::End { which: 0, failed, slow: failed });
                has_closed |= copy.breaker.is_closed();
            }
            prop_assert_eq!(has_closed, !failed);
        }
    }

    #[test]
    fn a_stale_outcome_changes_no_decision(config in configs(), steps in steps()) {
        let mut all = Driver::new(&config);
        let mut without = Driver { drops_stale: true, ..Driver::new(&config) };
        for step in steps {
            prop_assert_eq!(all.step(step), without.step(step), "{:?}", step);
            let (a, b) = (all.breaker.state(&all.rules, all.now), without.breaker.state(&all.rules, all.now));
            prop_assert_eq!(a, Snapshot { stale: a.stale, ..b });
        }
    }

    #[test]
    fn one_more_failure_never_keeps_it_closed(
        window in prop_oneof![
            (1u32..12).prop_map(|n| (Window::Calls(n), Some(0.4), None)),
            (1u32..140, 1u32..6).prop_map(|(n, failures)| (Window::Calls(n), None, Some(failures))),
            (1u64..50, 1u32..6, 1u32..6).prop_map(|(width, n, failures)| {
                (Window::Time { span: Span(width * u64::from(n)), buckets: n }, None, Some(failures))
            }),
        ],
        minimum_calls in 1u32..8,
        calls in prop::collection::vec((0u64..30, prop::bool::weighted(0.3)), 1..60),
        extra in 0usize..60,
    ) {
        let (window, failure_rate, failures) = window;
        let config = Config { window, minimum_calls, failure_rate, failures, ..Config::default() };
        // The time open is longer than all calls together, so that open means it.
        let opens = |extra: Option<usize>| {
            let mut driver = Driver::new(&config);
            for (i, &(gap, failed)) in calls.iter().enumerate() {
                driver.step(Step::Wait(gap));
                let more = (extra == Some(i)).then_some(true);
                for failed in more.into_iter().chain([failed]) {
                    driver.step(Step::Admit);
                    driver.step(Step::End { which: 0, failed, slow: false });
                }
            }
            !driver.breaker.is_closed()
        };
        prop_assert!(!opens(None) || opens(Some(extra % calls.len())));
    }
}
