use proptest::prelude::*;

use super::*;

const S: u64 = 1_000_000_000;

fn tally(calls: u32, failures: u32, slow: u32) -> Tally {
    Tally { calls, failures, slow }
}

/// A window that remembers everything and counts afresh.
struct Naive {
    window: Window,
    calls: Vec<(Time, bool, bool)>,
}

impl Naive {
    fn record(&mut self, now: Time, failed: bool, slow: bool) {
        let now = self.calls.last().map_or(now, |&(last, ..)| last.max(now));
        self.calls.push((now, failed, slow));
    }

    fn total_at(&self, now: Time) -> Tally {
        let recent: Vec<_> = match self.window {
            Window::Calls(n) => self.calls.iter().rev().take(n as usize).collect(),
            Window::Time { span, buckets } => {
                let bucket = |t: Time| t.0 / (span.0 / u64::from(buckets));
                let now = self.calls.last().map_or(now, |&(last, ..)| last.max(now));
                let alive = |t: Time| bucket(t) + u64::from(buckets) > bucket(now);
                self.calls.iter().filter(|call| alive(call.0)).collect()
            }
        };
        let n = |wanted: fn(&&&(Time, bool, bool)) -> bool| recent.iter().filter(wanted).count() as u32;
        tally(recent.len() as u32, n(|call| call.1), n(|call| call.2))
    }
}

fn windows() -> impl Strategy<Value = Window> {
    prop_oneof![
        (1u32..300).prop_map(Window::Calls),
        Just(Window::Calls(128)),
        (1u64..40, 1u32..14)
            .prop_map(|(width, buckets)| Window::Time { span: Span(width * u64::from(buckets)), buckets }),
    ]
}

/// Mostly short gaps, some longer than many windows, some backwards.
fn gaps() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0i64..12, 2 => 0i64..300, 1 => 0i64..100_000, 1 => -30i64..0]
}

proptest! {
    #[test]
    fn totals_equal_a_recount_of_the_whole_history(
        window in windows(),
        calls in prop::collection::vec((gaps(), any::<bool>(), any::<bool>()), 1..600),
        peek in 0u64..2_000,
    ) {
        let mut history = History::new(window);
        let mut naive = Naive { window, calls: Vec::new() };
        let mut now = Time::ZERO;
        for (i, (gap, failed, slow)) in calls.into_iter().enumerate() {
            now = Time(now.0.saturating_add_signed(gap));
            history.record(now, failed, slow);
            naive.record(now, failed, slow);
            prop_assert_eq!(history.total(), naive.total_at(now), "after call {}", i);
            let later = Time(now.0 + peek);
            prop_assert_eq!(history.total_at(later), naive.total_at(later), "{} after call {}", peek, i);
        }
    }

    #[test]
    fn among_good_calls_a_good_one_counts_without_thought(
        size in 1u32..300,
        calls in (0.0f64..0.1).prop_flat_map(|bad| prop::collection::vec(prop::bool::weighted(bad), 1..900)),
    ) {
        let (mut plain, mut quick) = (CallRing::new(size), CallRing::new(size));
        for failed in calls {
            plain.record(failed, false);
            if failed || !quick.record_among_good() {
                quick.record(failed, false);
            }
            prop_assert_eq!((plain.total(), plain.seen()), (quick.total(), quick.seen()));
        }
    }

    #[test]
    fn in_a_time_window_a_rate_does_not_depend_on_how_often_each_outcome_comes(
        (width, buckets) in (1u64..40, 1u32..14),
        calls in prop::collection::vec((gaps(), any::<bool>()), 1..200),
        times in 2u32..6,
        rate in 1u32..=1_000_000,
    ) {
        let window = Window::Time { span: Span(width * u64::from(buckets)), buckets };
        let (mut once, mut often) = (History::new(window), History::new(window));
        let mut now = Time::ZERO;
        for (gap, failed) in calls {
            now = Time(now.0.saturating_add_signed(gap));
            once.record(now, failed, false);
            (0..times).for_each(|_| often.record(now, failed, false));
            let (a, b) = (once.total(), often.total());
            prop_assert_eq!(tally(a.calls * times, a.failures * times, 0), b);
            prop_assert_eq!(Ppm(rate).is_reached(a.failures, a.calls), Ppm(rate).is_reached(b.failures, b.calls));
        }
    }

    #[test]
    fn the_sliding_maximum_is_that_of_the_positions_that_count(
        values in prop::collection::vec((0u64..3, 0u64..50), 1..200),
        size in 1u64..20,
    ) {
        let mut maximum = SlidingMaximum::default();
        let mut all = Vec::new();
        let mut position = 0;
        for (step, value) in values {
            position += step;
            let oldest = position.saturating_sub(size);
            maximum.note(position, Span(value), oldest);
            all.push((position, Span(value)));
            let expected = all.iter().filter(|&&(at, _)| at >= oldest).map(|&(_, value)| value).max();
            prop_assert_eq!(maximum.largest(oldest), expected);
        }
    }

    #[test]
    fn a_rate_is_compared_exactly(ppm in 0u32..=1_000_000, total in 1u32..5_000) {
        let part = Ppm(ppm).part_of(total);
        prop_assert!(Ppm(ppm).is_reached(part, total));
        prop_assert!(part == 0 || !Ppm(ppm).is_reached(part - 1, total));
        prop_assert!(!Ppm::NEVER.is_reached(total, total));
    }
}

#[test]
fn a_window_of_calls_forgets_the_oldest_call() {
    let mut ring = CallRing::new(4);
    for failed in [true, false, false, false] {
        ring.record(failed, false);
    }
    assert_eq!(ring.total(), tally(4, 1, 0), "CB-13, four calls");
    ring.record(false, false);
    assert_eq!(ring.total(), tally(4, 0, 0), "CB-13, five calls");
}

#[test]
fn shares_are_read_and_shown_as_people_write_them() {
    for (ratio, ppm, text) in
        [(0.5, 500_000, "50%"), (0.125, 125_000, "12.5%"), (7.0, 1_000_000, "100%"), (f64::NAN, 0, "0%")]
    {
        assert_eq!(Ppm::from_ratio(ratio), Ppm(ppm));
        assert_eq!(Ppm(ppm).to_string(), text);
    }
    assert_eq!(Ppm::from_ratio(0.1).as_ratio(), 0.1);
    assert_eq!(tally(4, 1, 2).failure_ratio(), Some(0.25));
    assert_eq!(tally(4, 1, 2).slow_ratio(), Some(0.5));
    assert_eq!(tally(0, 0, 0).failure_ratio(), None);
}

#[test]
fn settings_that_cannot_be_meant_do_no_harm() {
    for window in [
        Window::Calls(0),
        Window::Time { span: Span::ZERO, buckets: 0 },
        Window::Time { span: Span(3), buckets: 10 },
        Window::Time { span: Span::MAX, buckets: 1 },
    ] {
        let mut history = History::new(window);
        for now in [0, 5, S, u64::MAX, u64::MAX, 1] {
            history.record(Time(now), true, false);
            assert!(history.total().failures >= 1, "{window:?} at {now}");
            assert!(history.oldest_position() <= history.position(), "{window:?} at {now}");
        }
        history.clear();
        assert_eq!(history.total(), tally(0, 0, 0), "{window:?}");
    }
}

#[test]
fn a_window_of_a_hundred_calls_is_small() {
    assert!(std::mem::size_of::<CallRing>() <= 9 * 8, "{}", std::mem::size_of::<CallRing>());
    assert!(std::mem::size_of::<TimeBuckets>() <= 9 * 8, "{}", std::mem::size_of::<TimeBuckets>());
}

#[test]
fn window_totals_are_those_of_resilience4j() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/conformance/sliding_window.csv");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared is not there");
        return;
    };
    // The total duration of the calls (the last column) is not kept: no decision here depends on it.
    let mut rows = 0;
    let (mut history, mut now) = (History::new(Window::Calls(1)), 0.0);
    for line in text.lines().skip(1) {
        let row: Vec<&str> = line.split(',').collect();
        let n = |i: usize| row[i].parse::<f64>().unwrap();
        if row[1] == "1" {
            now = 0.0;
            history = History::new(match row[2] {
                "count" => Window::Calls(n(3) as u32),
                _ => Window::Time { span: Span::from_secs(n(3) as u64), buckets: n(3) as u32 },
            });
        }
        now += n(4);
        history.record(Time::from_secs_f64(now), row[5] == "error", false);
        let total = history.total();
        let seen = [total.calls, total.calls - total.failures, total.failures];
        assert_eq!(seen, [n(7) as u32, n(8) as u32, n(9) as u32], "{line}");
        rows += 1;
    }
    assert_eq!(rows, 15);
}
