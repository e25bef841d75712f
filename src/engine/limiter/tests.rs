use proptest::prelude::*;

use super::*;

fn limiter(algorithm: Algorithm, limit: u32, window_ms: u64, burst: u32) -> Limiter {
    let window = Span::from_millis(window_ms);
    Limiter::new(&Config { algorithm, key: Key::Client, limit, window, burst: Some(burst), parts: 10 }, 1)
}

fn ms(n: u64) -> Time {
    Time(n * 1_000_000)
}

/// Each request as what is left, or `-wait` in milliseconds, rounded up.
fn decisions(limiter: &mut Limiter, at: &[u64]) -> String {
    let word = |&t: &u64| {
        let verdict = limiter.check(ms(t), 0, 1);
        match verdict.retry_after {
            Some(Span::ZERO) => verdict.remaining.to_string(),
            Some(wait) => format!("-{}", wait.0.div_ceil(1_000_000)),
            None => "never".to_string(),
        }
    };
    at.iter().map(word).collect::<Vec<_>>().join(" ")
}

const SEQUENCE: [u64; 12] = [0, 0, 900, 900, 900, 1000, 1050, 1100, 1500, 1900, 1950, 2000];

#[test]
fn the_algorithms_decide_one_sequence_each_in_its_way() {
    for (id, algorithm, expected) in [
        ("RL-04", Algorithm::FixedWindow, "4 3 2 1 0 4 3 2 1 0 -50 4"),
        ("RL-06", Algorithm::SlidingLog, "4 3 2 1 0 1 0 -800 -400 2 1 1"),
        ("RL-14", Algorithm::SlidingWindow, "4 3 2 1 0 -200 -150 -100 1 2 1 1"),
    ] {
        assert_eq!(decisions(&mut limiter(algorithm, 5, 1000, 5), &SEQUENCE), expected, "{id}");
    }
    let mut strict = limiter(Algorithm::SubWindows, 5, 1000, 5);
    let allowed: Vec<bool> = SEQUENCE.iter().map(|&t| strict.check(ms(t), 0, 1).allowed).collect();
    let yes = true;
    assert_eq!(allowed, [yes, yes, yes, yes, yes, false, false, yes, yes, false, false, yes], "RL-19");
}

/// Requests accepted of `n` at each of `at`.
fn accepted(limiter: &mut Limiter, n: u32, at: &[u64]) -> Vec<usize> {
    at.iter().map(|&t| (0..n).filter(|_| limiter.admit(ms(t), 0).is_ok()).count()).collect()
}

#[test]
fn the_worst_cases_are_those_the_table_promises() {
    assert_eq!(accepted(&mut limiter(Algorithm::FixedWindow, 100, 1000, 1), 200, &[999, 1000]), [100, 100], "RL-05");
    let flood: Vec<u64> = (999..1999).collect();
    let mut counter = limiter(Algorithm::SlidingWindow, 100, 1000, 1);
    let total: usize = accepted(&mut counter, 100, &flood).iter().sum();
    assert_eq!(total, 199, "RL-15");
    let mut strict = limiter(Algorithm::SubWindows, 100, 1000, 1);
    assert_eq!(accepted(&mut strict, 150, &[99, 1000, 1050, 1098, 1100]), [100, 0, 0, 0, 100], "RL-18");
}

#[test]
fn an_event_exactly_a_window_old_is_out() {
    let mut log = limiter(Algorithm::SlidingLog, 1, 1000, 1);
    assert_eq!(decisions(&mut log, &[0, 999, 1000]), "0 -1 0", "RL-08");
}

#[test]
fn waits_are_exact_for_any_cost() {
    let fill = |algorithm| {
        let mut limiter = limiter(algorithm, 5, 1000, 5);
        decisions(&mut limiter, &[0, 0, 900, 900, 900]);
        limiter
    };
    let wait = |limiter: &Limiter, cost| limiter.clone().check(ms(950), 0, cost).retry_after.unwrap().0 / 1_000_000;
    let log = fill(Algorithm::SlidingLog);
    assert_eq!([1, 2, 3, 5].map(|cost| wait(&log, cost)), [50, 50, 950, 950], "RL-07");
    let strict = fill(Algorithm::SubWindows);
    assert_eq!([1, 3].map(|cost| wait(&strict, cost)), [150, 1050], "RL-20");
}

#[test]
fn the_sliding_counter_weighs_the_old_window() {
    let state = |previous: u32, current: u32, limit: u32, elapsed_s: u64| {
        let mut limiter = limiter(Algorithm::SlidingWindow, limit.max(previous).max(1), 60_000, 1);
        (0..previous).for_each(|_| limiter.admit(ms(0), 0).unwrap());
        let Counters::SlidingWindow(counter) = &mut limiter.counters else { panic!("built as such") };
        counter.limit = limit;
        counter.cells[0] = sliding_cell(previous, current, ms(60_000));
        limiter.capacity = limit;
        let verdict = limiter.check(ms(60_000 + elapsed_s * 1000), 0, 1);
        (verdict.allowed, verdict.retry_after.unwrap().0.div_ceil(1_000_000))
    };
    assert_eq!(state(42, 18, 50, 15), (false, 715), "RL-10");
    assert_eq!(state(100, 0, 100, 0), (false, 600), "RL-11");
    assert_eq!(state(100, 50, 100, 30), (false, 600), "RL-12");
    assert_eq!(state(0, 100, 100, 15), (false, 45_600), "RL-13");
}

fn sliding_cell(previous: u32, current: u32, began: Time) -> super::sliding_window::Cell {
    super::sliding_window::Cell { began: began.0, newest: began.0, previous, current }
}

#[test]
fn strict_parts_sustain_what_the_formula_says() {
    for (parts, expected) in [(10, 909), (60, 983)] {
        let window = Span::from_secs(60);
        let config =
            Config { algorithm: Algorithm::SubWindows, key: Key::Global, limit: 1000, window, burst: None, parts };
        let mut limiter = Limiter::new(&config, 1);
        let minutes = 66;
        let total = (0..minutes * 60_000).filter(|&t| limiter.admit(ms(t), 0).is_ok()).count() as u64;
        assert!((total / minutes).abs_diff(expected) <= 15, "RL-22: {} a minute with {parts} parts", total / minutes);
    }
}

#[test]
fn a_bucket_of_five_at_ten_a_second() {
    let mut gcra = limiter(Algorithm::Gcra, 10, 1000, 5);
    assert_eq!(decisions(&mut gcra, &[0, 0, 0, 0, 0, 0]), "4 3 2 1 0 -100", "RL-23, RL-24");
    assert_eq!(decisions(&mut gcra, &[99, 100]), "-1 0", "RL-25");
    assert_eq!(decisions(&mut gcra, &[350, 350, 350]), "1 0 -50", "RL-26");
    let verdict = gcra.check(ms(10_350), 0, 5);
    assert_eq!((verdict.allowed, verdict.remaining), (true, 0), "RL-27");
    assert_eq!(gcra.check(ms(10_350), 0, 6).retry_after, None, "RL-27");
    assert_eq!(gcra.check(ms(10_350), 0, 3).retry_after, Some(Span::from_millis(300)), "RL-27");
    // RL-28: 1000 per minute is one every 60 ms.
    let mut minute = limiter(Algorithm::TokenBucket, 1000, 60_000, 1);
    assert_eq!(decisions(&mut minute, &[0, 59, 60]), "0 -1 0", "RL-28");
    // RL-29: redis-cell's 15 30 60 is 30 per 60 s with a burst of 16.
    let mut cell = limiter(Algorithm::Gcra, 30, 60_000, 16);
    let verdicts: Vec<_> =
        (0..3).map(|_| cell.check(ms(0), 0, 1)).map(|v| (v.limit, v.remaining, v.reset_after)).collect();
    assert_eq!(
        verdicts,
        [(16, 15, Span::from_secs(2)), (16, 14, Span::from_secs(4)), (16, 13, Span::from_secs(6))],
        "RL-29"
    );
}

#[test]
fn gcra_decides_as_other_implementations_of_it() {
    let path = std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/data/conformance/gcra_rate_limiter.csv"
    ));
    if !path.exists() {
        eprintln!("skipped: ../shared is not there");
        return;
    }
    let mut limiter = (String::new(), limiter(Algorithm::Gcra, 1, 1000, 1));
    let mut rows = 0;
    for record in csv::Reader::from_path(path).unwrap().records() {
        let row = record.unwrap();
        let number = |i: usize| row[i].parse::<f64>().ok();
        let (rate, burst) = (number(2).unwrap(), number(3).unwrap() as u32);
        if limiter.0 != row[0] {
            // Rates are per second, possibly fractional: so many per 1,000 s.
            let config = Config {
                algorithm: Algorithm::Gcra,
                key: Key::Global,
                limit: (rate * 1000.0).round() as u32,
                window: Span::from_secs(1000),
                burst: Some(burst),
                parts: 1,
            };
            limiter = (row[0].to_string(), Limiter::new(&config, 1));
        }
        let verdict = limiter.1.check(Time::from_secs_f64(number(4).unwrap()), 0, number(5).unwrap() as u32);
        let expected = &row[6];
        let id = format!("{} step {}", &row[0], &row[1]);
        assert_eq!(verdict.allowed, expected == "ok", "{id}");
        assert_eq!(
            verdict.retry_after.is_none(),
            expected == "never" || (expected == "denied" && number(9) == Some(-1.0)),
            "{id}"
        );
        let close = |span: Span, seconds: f64| (span.as_secs_f64() - seconds).abs() < 1e-6;
        assert!(number(7).is_none_or(|n| n as u32 == verdict.remaining), "{id}: {verdict:?}");
        assert!(number(8).is_none_or(|s| close(verdict.reset_after, s)), "{id}: {verdict:?}");
        assert!(number(9).is_none_or(|s| s < 0.0 || close(verdict.retry_after.unwrap(), s)), "{id}: {verdict:?}");
        rows += 1;
    }
    assert_eq!(rows, 46, "every row was compared");
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.map(|(_, algorithm)| algorithm).to_vec())
}

/// Arrival times \[ms\] with gaps that straddle windows of 100 ms.
fn arrivals() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(0u64..70, 1..200).prop_map(|gaps| {
        gaps.iter()
            .scan(0, |at, gap| {
                *at += gap * gap / 40;
                Some(*at)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn a_wait_is_exact(algorithm in algorithms(), at in arrivals(), limit in 1u32..8, burst in 1u32..8, cost in 1u32..8) {
        let mut limiter = limiter(algorithm, limit, 100, burst);
        for t in at {
            let cost = cost.min(limiter.capacity);
            let before = limiter.clone();
            let verdict = limiter.check(ms(t), 0, cost);
            let wait = verdict.retry_after.unwrap();
            if wait > Span::ZERO {
                prop_assert!(!before.clone().check(Time(ms(t).0 + wait.0 - 1), 0, cost).allowed);
                prop_assert!(before.clone().check(ms(t) + wait, 0, cost).allowed);
            }
        }
    }

    #[test]
    fn what_remains_is_exact_and_refusals_change_nothing(algorithm in algorithms(), at in arrivals(), limit in 1u32..8, burst in 1u32..8) {
        let mut with = limiter(algorithm, limit, 100, burst);
        let mut without = with.clone();
        for t in at {
            let verdict = with.check(ms(t), 0, 1);
            if verdict.allowed {
                prop_assert!(without.check(ms(t), 0, 1).allowed, "deleting refusals changed a decision");
            }
            let mut probe = with.clone();
            let more = (0..).take_while(|_| probe.check(ms(t), 0, 1).allowed).count();
            prop_assert_eq!(more as u32, verdict.remaining);
            let mut later = with.clone();
            let full = later.check(ms(t) + verdict.reset_after, 0, 0);
            prop_assert_eq!(full.remaining, later.capacity, "the quota is not back");
        }
    }

    #[test]
    fn exact_windows_never_hold_more_than_the_limit(strict in prop::bool::ANY, at in arrivals(), limit in 1u32..8) {
        let algorithm = if strict { Algorithm::SubWindows } else { Algorithm::SlidingLog };
        let mut limiter = limiter(algorithm, limit, 100, 1);
        let passed: Vec<u64> = at.into_iter().filter(|&t| limiter.admit(ms(t), 0).is_ok()).collect();
        for (i, &end) in passed.iter().enumerate() {
            let inside = passed[..=i].iter().filter(|&&t| t + 100 > end).count();
            prop_assert!(inside as u32 <= limit);
        }
    }

    #[test]
    fn gcra_admits_at_most_burst_and_rate(at in arrivals(), limit in 1u32..8, burst in 1u32..8) {
        let mut limiter = limiter(Algorithm::Gcra, limit, 100, burst);
        let passed: Vec<u64> = at.into_iter().filter(|&t| limiter.admit(ms(t), 0).is_ok()).collect();
        for (i, &end) in passed.iter().enumerate() {
            for (n, &start) in passed[..=i].iter().rev().enumerate() {
                let most = f64::from(burst) + (end - start) as f64 * f64::from(limit) / 100.0;
                prop_assert!((n + 1) as f64 <= most + 1e-9);
            }
        }
    }

    /// A bucket with a continuous refill, in exact fractions: tokens · 100 ms.
    #[test]
    fn gcra_is_a_token_bucket(at in arrivals(), limit in 1u64..8, burst in 1u64..8) {
        let mut gcra = limiter(Algorithm::Gcra, limit as u32, 100, burst as u32);
        let (mut tokens, mut last) = (burst * 100, 0);
        for t in at {
            tokens = (tokens + (t - last) * limit).min(burst * 100);
            last = t;
            let passes = tokens >= 100;
            tokens -= if passes { 100 } else { 0 };
            prop_assert_eq!(gcra.admit(ms(t), 0).is_ok(), passes);
        }
    }

    #[test]
    fn time_may_shift_by_windows_keys_are_apart_and_nothing_overflows(
        algorithm in algorithms(), at in arrivals(), limit in 1u32..=u32::MAX, years in 0u64..100,
    ) {
        let limit = if years % 2 == 0 { limit % 8 + 1 } else { limit };
        let mut here = limiter(algorithm, limit, 100, limit);
        let mut there = here.clone();
        // A whole number of windows, and of the parts of 10 ms.
        let shift = years * 365 * 86_400 * 1_000;
        for t in at {
            let _ = there.check(ms(t + shift), 7, 1);
            prop_assert_eq!(here.check(ms(t), 0, 1), there.check(ms(t + shift), 0, 1));
        }
    }
}
