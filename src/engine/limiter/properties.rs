//! What holds for every limit and every history.

use proptest::prelude::*;

use super::*;

/// A request, and whether it was let in.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: u64,
    cost: u32,
    allowed: bool,
}

/// Those that keep the common contract: a refusal changes nothing, and what remains can be had at once.
fn algorithms() -> impl Strategy<Value = Algorithm> {
    let keeps = |algorithm: &Algorithm| !matches!(algorithm, Algorithm::FrequencyCounter | Algorithm::WarmUp);
    let all = Algorithm::ALL.map(|(_, algorithm)| algorithm);
    prop::sample::select(all.into_iter().filter(keeps).collect::<Vec<_>>())
}

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.map(|(_, algorithm)| algorithm).to_vec())
}

/// Small limits, over windows from a nanosecond to a day.
fn configs() -> impl Strategy<Value = Config> {
    let windows = prop_oneof![1u64..20, 1u64..2_000, Just(1_000_000_000), 1u64..86_400_000_000_000];
    let ways = (starts_of_windows(), comparisons());
    (algorithms(), 1u32..12, windows, prop::option::of(1u32..15), 1u32..14, ways).prop_map(
        |(algorithm, limit, window, burst, parts, (window_start, compare))| Config {
            burst,
            parts,
            window_start,
            compare,
            ..Config::new(algorithm, Key::Global, limit, Span(window))
        },
    )
}

fn starts_of_windows() -> impl Strategy<Value = WindowStart> {
    prop::sample::select(WindowStart::ALL.map(|(_, start)| start).to_vec())
}

fn comparisons() -> impl Strategy<Value = Compare> {
    prop::sample::select(Compare::ALL.map(|(_, compare)| compare).to_vec())
}

/// A moment and a cost: moments in 1/64 windows since the start or, with a chance, a nanosecond beside one of them.
fn requests() -> impl Strategy<Value = Vec<(u64, i64, u32)>> {
    let request =
        (0u64..400, prop_oneof![6 => Just(0i64), 1 => -1i64..2], prop_oneof![4 => Just(1u32), 1 => 0u32..6]);
    prop::collection::vec(request, 1..80)
}

/// When a run's first request may come: at once, or decades later.
fn starts() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0u64..3_000_000_000, 0u64..HUNDRED_YEARS]
}

const HUNDRED_YEARS: u64 = 100 * 365 * 86_400 * 1_000_000_000;

/// The requests as (time [ns], cost), in the order given.
fn scattered(config: &Config, start: u64, requests: &[(u64, i64, u32)]) -> Vec<(u64, u32)> {
    let moment = |sixty_fourths: u64| (u128::from(sixty_fourths) * u128::from(config.window.0) / 64) as u64;
    requests.iter().map(|(at, beside, cost)| ((start + moment(*at)).saturating_add_signed(*beside), *cost)).collect()
}

/// The requests as (time [ns], cost), in the order of time.
fn ordered(config: &Config, start: u64, requests: &[(u64, i64, u32)]) -> Vec<(u64, u32)> {
    let mut requests = scattered(config, start, requests);
    requests.sort_by_key(|(at, _)| *at);
    requests
}

fn ask(limiter: &mut Limiter, requests: &[(u64, u32)]) -> Vec<Asked> {
    requests
        .iter()
        .map(|(at, cost)| Asked { at: *at, cost: *cost, allowed: limiter.check(Time(*at), 0, *cost).allowed })
        .collect()
}

fn verdicts(config: &Config, requests: &[(u64, u32)]) -> Vec<Verdict> {
    let mut limiter = Limiter::new(config, 1);
    requests.iter().map(|(at, cost)| limiter.check(Time(*at), 0, *cost)).collect()
}

/// A token bucket that is refilled when asked, in tokens · W.
struct Bucket {
    tokens: i128,
    at: u64,
}

/// NGINX's leaky bucket with `nodelay`, on whole milliseconds.
struct Nginx {
    /// Thousandths of a request; `None` before the first.
    excess: Option<u64>,
    at_ms: u64,
}

impl Nginx {
    fn allows(&mut self, at_ms: u64, per_second: u64, burst: u64) -> bool {
        let leaked = (at_ms - self.at_ms) * per_second;
        let excess = self.excess.map_or(0, |excess| (excess + 1000).saturating_sub(leaked));
        if excess > burst * 1000 {
            return false;
        }
        *self = Nginx { excess: Some(excess), at_ms };
        true
    }
}

proptest! {
    /// Property 1.
    #[test]
    fn log_and_strict_parts_let_no_more_than_the_limit_into_any_window(
        config in configs(), exact in any::<bool>(), start in starts(), requests in requests(),
    ) {
        let algorithm = if exact { Algorithm::SlidingLog } else { Algorithm::SubWindows };
        let config = Config { algorithm, ..config };
        let asked = ask(&mut Limiter::new(&config, 1), &ordered(&config, start, &requests));
        for last in asked.iter().filter(|asked| asked.allowed) {
            let inside = |asked: &&Asked| asked.allowed && asked.at <= last.at && last.at - asked.at < config.window.0;
            let sum: u32 = asked.iter().filter(inside).map(|asked| asked.cost).sum();
            prop_assert!(sum <= config.limit, "{sum} until {}", last.at);
        }
    }

    /// Property 1, the other half: the log refuses only what would break the limit.
    #[test]
    fn the_log_lets_in_all_that_fits(config in configs(), start in starts(), requests in requests()) {
        let config = Config { algorithm: Algorithm::SlidingLog, ..config };
        let asked = ask(&mut Limiter::new(&config, 1), &ordered(&config, start, &requests));
        for (n, refused) in asked.iter().enumerate().filter(|(_, asked)| !asked.allowed) {
            let inside = |before: &&Asked| before.allowed && refused.at - before.at < config.window.0;
            let sum: u32 = asked[..n].iter().filter(inside).map(|before| before.cost).sum();
            prop_assert!(sum + refused.cost > config.limit);
        }
    }

    /// Property 3.
    #[test]
    fn gcra_lets_in_the_burst_and_the_rate_and_no_more(
        config in configs(), start in starts(), requests in requests(),
    ) {
        let config = Config { algorithm: Algorithm::Gcra, ..config };
        let burst = i128::from(config.burst.unwrap_or(config.limit));
        let asked = ask(&mut Limiter::new(&config, 1), &ordered(&config, start, &requests));
        let accepted: Vec<&Asked> = asked.iter().filter(|asked| asked.allowed).collect();
        for (n, first) in accepted.iter().enumerate() {
            let mut sum = 0;
            for last in &accepted[n..] {
                sum += i128::from(last.cost);
                let arrived = i128::from(last.at - first.at) * i128::from(config.limit);
                prop_assert!((sum - burst) * i128::from(config.window.0) <= arrived);
            }
        }
    }

    /// Property 3.
    #[test]
    fn who_keeps_to_the_rate_is_never_refused_by_gcra(
        config in configs(), start in starts(), slower in prop::collection::vec(0u64..1000, 1..100),
    ) {
        let config = Config { algorithm: Algorithm::Gcra, burst: Some(1), ..config };
        let mut limiter = Limiter::new(&config, 1);
        let mut now = start;
        for slower in slower {
            prop_assert_eq!(limiter.admit(Time(now), 0), Ok(()));
            now += config.window.0.div_ceil(u64::from(config.limit)) + slower / 500 * slower;
        }
    }

    /// Property 4.
    #[test]
    fn gcra_is_a_token_bucket_in_exact_fractions(config in configs(), start in starts(), requests in requests()) {
        let config = Config { algorithm: Algorithm::Gcra, ..config };
        let requests = ordered(&config, start, &requests);
        let window = i128::from(config.window.0);
        let full = i128::from(config.burst.unwrap_or(config.limit)) * window;
        let mut bucket = Bucket { tokens: full, at: 0 };
        for ((at, cost), verdict) in requests.iter().zip(verdicts(&config, &requests)) {
            let arrived = i128::from(at - bucket.at) * i128::from(config.limit);
            bucket = Bucket { tokens: full.min(bucket.tokens + arrived), at: *at };
            let left = bucket.tokens - i128::from(*cost) * window;
            prop_assert_eq!(verdict.allowed, left >= 0);
            if left >= 0 {
                bucket.tokens = left;
            }
            prop_assert_eq!(i128::from(verdict.remaining), bucket.tokens / window);
        }
    }

    /// Property 4.
    #[test]
    fn gcra_with_one_more_is_nginx_without_delay(
        per_second in 1u32..1200, burst in 0u32..8, waits in prop::collection::vec(0u64..300, 1..200),
    ) {
        let gcra = Config {
            burst: Some(burst + 1),
            ..Config::new(Algorithm::Gcra, Key::Global, per_second, Span::from_secs(1))
        };
        let mut limiter = Limiter::new(&gcra, 1);
        let leaky = Config { algorithm: Algorithm::LeakyBucket, burst: Some(burst), ..gcra.clone() };
        let mut bucket = Limiter::new(&leaky, 1);
        let mut nginx = Nginx { excess: None, at_ms: 0 };
        let mut at_ms = 0;
        for wait in waits {
            at_ms += wait.saturating_sub(150) * 1000 / u64::from(per_second) / 16;
            let allowed = limiter.admit(Time::ZERO + Span::from_millis(at_ms), 0).is_ok();
            prop_assert_eq!(allowed, nginx.allows(at_ms, u64::from(per_second), u64::from(burst)));
            prop_assert_eq!(allowed, bucket.admit(Time::ZERO + Span::from_millis(at_ms), 0).is_ok());
        }
    }

    /// Property 5.
    #[test]
    fn waits_are_exact(config in configs(), start in starts(), requests in requests(), cost in 1u32..15) {
        let requests = ordered(&config, start, &requests);
        let mut limiter = Limiter::new(&config, 1);
        for (at, _) in &requests {
            let _ = limiter.admit(Time(*at), 0);
        }
        let now = requests.last().unwrap().0;
        let later = |limiter: &Limiter, wait: u64, cost| limiter.clone().check(Time(now + wait), 0, cost);
        let before = limiter.clone();
        let verdict = limiter.check(Time(now), 0, cost);
        match verdict.retry_after {
            None => prop_assert!(cost > verdict.limit && !verdict.allowed),
            Some(Span(0)) => prop_assert!(verdict.allowed),
            Some(Span(wait)) => {
                prop_assert!(!verdict.allowed && cost <= verdict.limit);
                for limiter in [&before, &limiter] {
                    prop_assert_eq!(later(limiter, wait - 1, cost).retry_after, Some(Span(1)));
                    prop_assert!(later(limiter, wait, cost).allowed);
                }
            }
        }
        let reset = verdict.reset_after.0;
        prop_assert_eq!(later(&limiter, reset, 0).remaining, verdict.limit);
        prop_assert!(reset == 0 || later(&limiter, reset - 1, 0).remaining < verdict.limit);
    }

    /// Property 6, also where time jumps back.
    #[test]
    fn what_was_refused_leaves_no_trace(config in configs(), start in starts(), requests in requests()) {
        let asked = ask(&mut Limiter::new(&config, 1), &scattered(&config, start, &requests));
        let kept: Vec<(u64, u32)> = asked.iter().filter(|a| a.allowed).map(|a| (a.at, a.cost)).collect();
        let last = asked.last().unwrap();
        let mut again = Limiter::new(&config, 1);
        prop_assert!(ask(&mut again, &kept).iter().all(|asked| asked.allowed));
        let mut first = Limiter::new(&config, 1);
        ask(&mut first, &scattered(&config, start, &requests));
        for at in [last.at, last.at + config.window.0 / 3] {
            prop_assert_eq!(first.check(Time(at), 0, 1), again.check(Time(at), 0, 1));
        }
    }

    /// Property 7.
    #[test]
    fn only_the_place_in_the_window_matters(
        config in configs(), start in starts(), requests in requests(), windows in 0u64..1000,
    ) {
        // The leaky bucket's milliseconds are no part of every window.
        prop_assume!(config.algorithm != Algorithm::LeakyBucket);
        let requests = scattered(&config, start, &requests);
        let shift = windows * config.window.0;
        let shifted: Vec<(u64, u32)> = requests.iter().map(|(at, cost)| (at + shift, *cost)).collect();
        prop_assert_eq!(verdicts(&config, &requests), verdicts(&config, &shifted));
    }

    /// Property 7.
    #[test]
    fn keys_do_not_know_each_other(
        config in configs(), requests in requests(), keys in prop::collection::vec(0u32..3, 80),
    ) {
        let requests = ordered(&config, 0, &requests);
        let mut together = Limiter::new(&config, 1);
        let mut apart = [(); 3].map(|()| Limiter::new(&config, 1));
        for ((at, cost), key) in requests.iter().zip(keys) {
            let alone = apart[key as usize].check(Time(*at), 0, *cost);
            prop_assert_eq!(together.check(Time(*at), key, *cost), alone);
        }
    }

    /// Property 9.
    #[test]
    fn as_many_as_remain_are_let_in(config in configs(), start in starts(), requests in requests()) {
        let mut limiter = Limiter::new(&config, 1);
        for (at, cost) in ordered(&config, start, &requests) {
            let verdict = limiter.check(Time(at), 0, cost);
            let mut other = limiter.clone();
            for n in 0..verdict.remaining {
                prop_assert_eq!(other.admit(Time(at), 0), Ok(()), "{} of {}", n, verdict.remaining);
            }
            prop_assert!(other.admit(Time(at), 0).is_err());
        }
    }

    /// What is asked in short is answered as in full.
    #[test]
    fn admit_is_check_with_a_cost_of_one(config in configs(), start in starts(), requests in requests()) {
        let (mut short, mut full) = (Limiter::new(&config, 1), Limiter::new(&config, 1));
        for (at, _) in scattered(&config, start, &requests) {
            let verdict = full.check(Time(at), 0, 1);
            let wait = if verdict.allowed { Ok(()) } else { Err(verdict.retry_after.unwrap()) };
            prop_assert_eq!(short.admit(Time(at), 0), wait);
        }
    }

    /// What was refused would be let in after the wait that it was told, and no nanosecond earlier.
    #[test]
    fn waits_are_exact_where_refusals_count(config in configs(), start in starts(), requests in requests()) {
        for algorithm in [Algorithm::FrequencyCounter, Algorithm::WarmUp, Algorithm::SlidingWindow] {
            let (compare, charge_rejected) = (Compare::BeforeAdding, true);
            let config = Config { algorithm, compare, charge_rejected, ..config.clone() };
            let mut limiter = Limiter::new(&config, 1);
            for (at, _) in ordered(&config, start, &requests) {
                if let Err(wait) = limiter.admit(Time(at), 0) {
                    prop_assert!(limiter.clone().admit(Time(at) + wait, 0).is_ok(), "{:?}", algorithm);
                    prop_assert!(limiter.clone().admit(Time(at + wait.0 - 1), 0).is_err(), "{:?}", algorithm);
                }
            }
        }
    }

    /// Property 13, and beyond: any moment, limit, window and cost.
    #[test]
    fn nothing_overflows(
        algorithm in any_algorithm(),
        (limit, window, burst, parts) in (any::<u32>(), any::<u64>(), any::<Option<u32>>(), any::<u32>()),
        (small_limit, small_window) in (any::<bool>(), 0u32..64),
        (window_start, compare, charge_rejected) in (starts_of_windows(), comparisons(), any::<bool>()),
        requests in prop::collection::vec((any::<u64>(), any::<u32>(), 0u32..32), 1..40),
        in_order in any::<bool>(),
    ) {
        let limit = if small_limit { limit % 3 } else { limit };
        let window = Span(window >> small_window);
        let plain = Config::new(algorithm, Key::Global, limit, window);
        let mut limiter =
            Limiter::new(&Config { burst, parts, window_start, compare, charge_rejected, ..plain }, 1);
        let mut requests = requests;
        if in_order {
            requests.sort_by_key(|(at, ..)| *at);
        }
        for (n, (at, cost, small)) in requests.into_iter().enumerate() {
            let verdict = limiter.check(Time(at), 0, cost >> small);
            prop_assert!(verdict.remaining <= verdict.limit);
            prop_assert!(n > 0 || verdict.allowed == (cost >> small <= verdict.limit));
            prop_assert!(!verdict.allowed || verdict.retry_after == Some(Span::ZERO));
            let _ = limiter.admit(Time(at), 0);
            let _ = limiter.admit(Time::MAX, 1);
        }
    }
}
