use super::*;

/// A breaker with its rules, driven by seconds. Calls are admitted and reported at once unless a test holds a permit.
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) breaker: Breaker,
    /// Every transition so far, in words.
    pub(super) story: Vec<String>,
}

pub(super) fn s(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

impl World {
    pub(super) fn new(config: Config) -> World {
        let rules = Rules::new(&config, 7);
        World { breaker: Breaker::new(&rules, 0), rules, story: Vec::new() }
    }

    /// The permit, if the call may pass.
    pub(super) fn admit(&mut self, at: f64) -> Option<Permit> {
        let (permit, transition) = match self.breaker.admit(&self.rules, s(at), 0) {
            Passage::Granted { permit, transition } => (Some(permit), transition),
            Passage::Refused { transition, .. } => (None, transition),
        };
        self.tell(transition);
        permit
    }

    pub(super) fn end(&mut self, at: f64, permit: Permit, outcome: Outcome, latency: f64) {
        let latency = Span::from_secs_f64(latency);
        let transition = self.breaker.record(&self.rules, s(at), permit, outcome, latency, None);
        self.tell(transition);
    }

    /// A call that takes no time; panics if it is refused.
    pub(super) fn call(&mut self, at: f64, outcome: Outcome) -> State {
        let permit = self.admit(at).expect("the call may pass");
        self.end(at, permit, outcome, 0.0);
        self.state(at)
    }

    /// Calls at one moment: `o` succeeds, `x` fails, `-` is abandoned.
    fn calls(&mut self, at: f64, outcomes: &str) -> State {
        for letter in outcomes.chars() {
            self.call(at, outcome(letter));
        }
        self.state(at)
    }

    pub(super) fn force(&mut self, at: f64, force: Force) {
        let transition = self.breaker.force(&self.rules, s(at), force);
        self.tell(transition);
    }

    pub(super) fn state(&self, at: f64) -> State {
        self.snapshot(at).state
    }

    pub(super) fn snapshot(&self, at: f64) -> Snapshot {
        self.breaker.state(&self.rules, s(at))
    }

    /// Trips it at `at`, so that it is half-open with one probe out when its time is over; returns that probe.
    fn probed(&mut self, at: f64, open_for: f64) -> Permit {
        self.force(at, Force::Trip { open_for: None });
        self.admit(at + open_for).expect("the first probe may pass")
    }

    fn tell(&mut self, transition: Option<Box<Transition>>) {
        self.story.extend(transition.map(|t| format!("{} {t}", t.at)));
    }
}

pub(super) fn outcome(letter: char) -> Outcome {
    match letter {
        'o' => Outcome::Success,
        'x' => Outcome::ServerError,
        _ => Outcome::Abandoned,
    }
}

fn open_until(seconds: f64) -> State {
    State::Open { until: s(seconds) }
}

fn is_open(state: State) -> bool {
    matches!(state, State::Open { .. })
}

fn calls_window(n: u32, minimum_calls: u32) -> Config {
    Config { window: Window::Calls(n), minimum_calls, ..Config::default() }
}

fn count_in_time(span: u64, buckets: u32, failures: u32) -> Config {
    let window = Window::Time { span: Span::from_secs(span), buckets };
    Config { window, failure_rate: None, failures: Some(failures), ..Config::default() }
}

fn probes(half_open_calls: u32) -> Config {
    Config { half_open_calls, ..Config::default() }
}

#[test]
fn an_outcome_from_an_earlier_state_changes_nothing() {
    for (id, outcome) in [("CB-01", Outcome::Timeout), ("CB-02", Outcome::Success)] {
        let mut world = World::new(Config { consecutive: Some(2), ..probes(1) });
        let late = world.admit(0.0).unwrap();
        assert!(is_open(world.calls(0.0, "xx")), "{id}");
        let probe = world.admit(30.0).unwrap();
        world.end(30.0, late, outcome, 30.0);
        assert_eq!(world.state(30.0), State::HalfOpen, "{id}");
        assert_eq!(world.snapshot(30.0).stale, 1, "{id}");
        world.end(30.1, probe, Outcome::Success, 0.1);
        assert_eq!(world.state(30.1), State::Closed, "{id}: closes on the probe");
    }
    let mut world = World::new(Config { consecutive: Some(2), ..probes(1) });
    let late = world.admit(0.0).unwrap();
    assert!(is_open(world.calls(0.0, "oxx")), "CB-03");
    assert_eq!(world.calls(30.0, "o"), State::Closed, "CB-03");
    world.end(31.0, late, Outcome::Timeout, 31.0);
    assert_eq!(world.snapshot(31.0).total, Tally::default(), "CB-03");
    assert_eq!(world.snapshot(31.0).stale, 1, "CB-03");
}

#[test]
fn a_lost_probe_frees_its_place_when_its_lease_ends() {
    let mut world = World::new(probes(1));
    let lost = world.probed(0.0, 30.0);
    assert_eq!(world.admit(39.999), None, "CB-04");
    let probe = world.admit(40.0);
    assert!(probe.is_some_and(|p| p != lost), "CB-05");
    world.end(41.0, lost, Outcome::ServerError, 11.0);
    assert_eq!(world.state(41.0), State::HalfOpen, "CB-06");
    assert_eq!([world.snapshot(41.0).stale, world.snapshot(41.0).lost_probes], [1, 1], "CB-06");
    assert_eq!(world.story[2..], ["40s 1 probe not reported within 10s"]);
    world.end(42.0, probe.unwrap(), Outcome::Success, 2.0);
    assert_eq!(world.state(42.0), State::Closed);
}

#[test]
fn a_probe_that_ends_with_its_lease_is_late_even_if_nobody_took_its_place() {
    let mut world = World::new(probes(1));
    let late = world.probed(0.0, 30.0);
    world.end(40.0, late, Outcome::Success, 10.0);
    assert_eq!((world.state(40.0), world.snapshot(40.0).stale), (State::HalfOpen, 1));
}

#[test]
fn a_closed_breaker_has_forgotten_why_it_opened() {
    let config = Config { consecutive: Some(2), failures: Some(3), failure_rate: None, ..probes(1) };
    let mut world = World::new(config);
    for _ in 0..2 {
        let permit = world.admit(0.0).unwrap();
        let hint = Some(Span::from_secs(40));
        drop(world.breaker.record(&world.rules, s(0.0), permit, Outcome::ServerError, Span::ZERO, hint));
    }
    assert_eq!(world.state(0.0), open_until(40.0));
    assert_eq!(world.calls(40.0, "o"), State::Closed);
    assert_eq!(world.calls(40.0, "x"), State::Closed, "neither streak nor count goes on");
    assert_eq!(world.calls(40.0, "x"), open_until(70.0), "nor does the hint");
}

#[test]
fn conditions_on_the_last_calls_hold_from_the_outcome_that_reaches_them() {
    for (id, size, minimum, before, last) in [
        ("CB-07", 10, 5, "xxxx", 'x'),
        ("CB-08", 10, 5, "xxxx", 'o'),
        ("CB-09", 10, 10, "oooooxxxx", 'x'),
        ("CB-11", 10, 10, "ooooooxxxx", 'x'),
        ("CB-12", 10, 100, "xxxxxxxxx", 'x'),
    ] {
        let mut world = World::new(calls_window(size, minimum));
        assert_eq!(world.calls(1.0, before), State::Closed, "{id} before the last");
        assert_eq!(world.call(1.0, outcome(last)), open_until(31.0), "{id}");
    }
    assert_eq!(World::new(calls_window(10, 10)).calls(1.0, "ooooooxxxx"), State::Closed, "CB-10");
    // CB-13 is about the window alone, and tested with it.
    let streak = Config { consecutive: Some(5), failure_rate: None, ..Config::default() };
    let mut world = World::new(streak);
    assert_eq!(world.calls(0.0, "xxxxoxxxx"), State::Closed, "CB-18");
    assert_eq!(world.calls(0.0, "x"), open_until(30.0), "CB-18, and one more");
}

#[test]
fn conditions_on_a_time_window_forget_whole_buckets() {
    let mut world = World::new(count_in_time(60, 60, 5));
    let states = [0.0, 14.0, 28.0, 42.0, 56.0].map(|at| is_open(world.call(at, Outcome::ServerError)));
    assert_eq!(states, [false, false, false, false, true], "CB-14");
    for gap in [15.0, 16.0] {
        let mut world = World::new(count_in_time(60, 60, 5));
        for i in 0..100 {
            let at = gap * f64::from(i);
            assert_eq!(world.call(at, Outcome::ServerError), State::Closed, "CB-15 every {gap} s, at {at} s");
            assert!(world.snapshot(at).total.failures <= 4, "CB-15");
        }
    }
    for (id, second, opens) in [("CB-16", 9.999, true), ("CB-17", 10.0, false)] {
        let mut world = World::new(count_in_time(10, 10, 2));
        world.call(0.999, Outcome::ServerError);
        assert_eq!(is_open(world.call(second, Outcome::ServerError)), opens, "{id}");
    }
    let window = Window::Time { span: Span::from_secs(10), buckets: 10 };
    let mut world = World::new(Config { window, minimum_calls: 10, ..Config::default() });
    world.calls(0.5, "oooooooooo");
    assert_eq!(world.calls(9.5, "xxxxxxxxx"), State::Closed, "CB-19 at 9.5 s");
    assert!(is_open(world.call(10.5, Outcome::Success)), "CB-19 at 10.5 s");
    assert_eq!(world.story, ["10.5s failure rate 90.0% >= 50% (9 of 10 in 10s), open for 30s"], "CB-19");
}

fn slow_over(seconds: u64, minimum_calls: u32, half_open_calls: u32) -> Config {
    let slow = Slow { duration: Span::from_secs(seconds), rate: 0.5, count_running: true };
    Config { slow: Some(slow), minimum_calls, half_open_calls, ..Config::default() }
}

#[test]
fn slow_is_longer_than_the_duration_whether_it_failed_or_not() {
    let mut world = World::new(slow_over(1, 100, 3));
    for (latency, slow) in [(1.0, 0), (1.001, 1)] {
        let permit = world.admit(0.0).unwrap();
        world.end(0.0, permit, Outcome::Success, latency);
        assert_eq!(world.snapshot(0.0).total.slow, slow, "CB-26 {latency} s");
    }
    let mut world = World::new(slow_over(1, 5, 3));
    for (latency, opens) in [(5.0, false), (5.0, false), (0.1, false), (0.1, false), (5.0, true)] {
        let permit = world.admit(0.0).unwrap();
        world.end(0.0, permit, Outcome::Success, latency);
        assert_eq!(is_open(world.state(0.0)), opens, "CB-27");
    }
    assert_eq!(world.story, ["0s rate of calls over 1s 60.0% >= 50% (3 of 5 in 1m), open for 30s"], "CB-27");
}

#[test]
fn probes_are_judged_as_soon_as_the_verdict_is_certain() {
    for (id, k, before, last, closes) in [
        ("CB-28", 3, "x", 'x', false),
        ("CB-29", 3, "o", 'o', true),
        ("CB-30 x", 3, "xo", 'x', false),
        ("CB-30 o", 3, "xo", 'o', true),
        ("CB-33", 3, "o-", 'o', true),
        ("CB-33, many ignored", 3, "o------", 'o', true),
        ("CB-34 x", 1, "", 'x', false),
        ("CB-34 o", 1, "", 'o', true),
    ] {
        let mut world = World::new(probes(k));
        world.force(0.0, Force::Trip { open_for: None });
        if !before.is_empty() {
            assert_eq!(world.calls(30.0, before), State::HalfOpen, "{id} before the last");
        }
        let expected = if closes { State::Closed } else { open_until(60.0) };
        assert_eq!(world.call(30.0, outcome(last)), expected, "{id}");
    }
    let mut world = World::new(probes(3));
    world.probed(0.0, 30.0);
    assert!(world.admit(30.0).is_some() && world.admit(30.0).is_some(), "CB-31");
    let fourth = world.breaker.admit(&world.rules, s(30.0), 0);
    assert_eq!(fourth, Passage::Refused { until: None, transition: None }, "CB-31");

    let mut world = World::new(slow_over(1, 20, 4));
    let first = world.probed(0.0, 30.0);
    world.end(32.0, first, Outcome::Success, 2.0);
    assert_eq!(world.state(32.0), State::HalfOpen, "CB-32");
    let second = world.admit(32.0).unwrap();
    world.end(34.0, second, Outcome::Success, 2.0);
    assert_eq!(world.state(34.0), open_until(64.0), "CB-32");
    assert_eq!(world.story[2], "34s 2 of 4 probes took over 1s, open for 30s", "CB-32");
}

#[test]
fn it_closes_only_when_failures_and_slow_probes_are_both_out_of_the_question() {
    for (last, expected) in [(1.0, State::Closed), (1.1, open_until(60.0))] {
        // One slow probe of four opens, two failed ones do; three good ones settle the failures only.
        let slow = Slow { duration: Span::from_secs(1), rate: 0.25, count_running: false };
        let mut world = World::new(Config { slow: Some(slow), ..probes(4) });
        world.force(0.0, Force::Trip { open_for: None });
        assert_eq!(world.calls(30.0, "ooo"), State::HalfOpen);
        let fourth = world.admit(30.0).unwrap();
        world.end(30.0, fourth, Outcome::Success, last);
        assert_eq!(world.state(30.0), expected);
    }
}

#[test]
fn a_hung_backend_is_noticed_while_its_probes_are_running() {
    let mut world = World::new(slow_over(1, 20, 4));
    world.probed(0.0, 30.0);
    world.admit(30.5).unwrap();
    assert!(world.admit(31.5).is_some(), "the second has been running for 1 s: not longer than that");
    assert_eq!(world.admit(31.6), None);
    assert_eq!(world.state(31.6), open_until(61.6));

    let slow = Slow { duration: Span::from_secs(1), rate: 0.5, count_running: false };
    let mut world = World::new(Config { slow: Some(slow), ..probes(4) });
    world.probed(0.0, 30.0);
    world.admit(30.5).unwrap();
    assert!(world.admit(39.0).is_some(), "unless told not to look");
}

#[test]
fn without_a_failure_rate_one_failed_probe_opens_and_all_must_succeed() {
    let config = Config { failure_rate: None, consecutive: Some(5), ..probes(3) };
    let mut world = World::new(config);
    world.force(0.0, Force::Trip { open_for: None });
    assert!(is_open(world.calls(30.0, "oox")));
    assert_eq!(world.calls(60.0, "ooo"), State::Closed);
}

#[test]
fn time_open_grows_in_a_row_and_is_capped() {
    let growing = Config { open_multiplier: 2.0, ..probes(1) };
    let rules = Rules::new(&growing, 7);
    let spans = [1, 2, 3, 4, 5, 6].map(|row| rules.open_for(row));
    assert_eq!(spans, [30, 60, 120, 240, 300, 300].map(Span::from_secs), "CB-35");
    assert_eq!(rules.open_for(u32::MAX), Span::from_secs(300), "CB-35 for ever");

    let mut world = World::new(growing);
    world.force(0.0, Force::Trip { open_for: None });
    assert_eq!(world.calls(30.0, "x"), open_until(90.0), "CB-35, the second in a row");
    assert_eq!(world.calls(90.0, "o"), State::Closed);
    assert_eq!(world.snapshot(149.9).opens_in_a_row, 2, "one window of 60 s is not over");
    world.force(150.0, Force::Trip { open_for: None });
    assert_eq!(world.state(150.0), open_until(180.0), "the first of a row again");

    let mut world = World::new(Config { consecutive: Some(1), failure_rate: None, ..calls_window(3, 1) });
    world.force(0.0, Force::Trip { open_for: None });
    world.calls(30.0, "ooo");
    world.calls(30.0, "oo");
    assert_eq!(world.calls(30.0, "x"), open_until(60.0));
    assert_eq!(world.snapshot(30.0).opens_in_a_row, 2, "the third call since closing");
    world.calls(60.0, "ooo");
    world.calls(60.0, "ooox");
    assert_eq!(world.snapshot(60.0).opens_in_a_row, 1, "the fourth call since closing: more than one window");
}

#[test]
fn open_ends_at_its_moment_when_a_call_asks() {
    let mut world = World::new(Config { consecutive: Some(1), ..Config::default() });
    world.call(0.004, Outcome::ServerError);
    assert_eq!(world.breaker.next_wake(), Some(s(30.004)));
    let early = world.breaker.admit(&world.rules, s(30.003), 0);
    assert_eq!(early, Passage::Refused { until: Some(s(30.004)), transition: None }, "CB-36");
    assert_eq!(world.snapshot(31.0).remaining, Some(Span::ZERO), "CB-36");
    assert!(is_open(world.state(31.0)), "CB-36: a breaker that nobody asks stays open");
    assert!(world.admit(30.004).is_some(), "CB-36");
    assert_eq!(world.state(30.004), State::HalfOpen, "CB-36");
    assert_eq!((world.snapshot(31.0).remaining, world.breaker.next_wake()), (None, None));

    let mut world = World::new(Config { eager: true, ..Config::default() });
    world.force(0.0, Force::Trip { open_for: None });
    assert!(is_open(world.state(29.999)));
    assert_eq!(world.state(30.0), State::HalfOpen, "eager");
}

#[test]
fn the_service_may_ask_for_a_longer_time() {
    let five = Config { failures: Some(2), failure_rate: None, ..Config::default() };
    let open_for = |config: &Config, failures: &[(f64, Outcome, Option<u64>)]| {
        let mut world = World::new(config.clone());
        for &(at, outcome, hint) in failures {
            let permit = world.admit(at).unwrap();
            let hint = hint.map(Span::from_secs);
            drop(world.breaker.record(&world.rules, s(at), permit, outcome, Span::ZERO, hint));
        }
        world.breaker.next_wake().map(|until| until.since(s(failures.last().unwrap().0)))
    };
    let x = Outcome::ServerError;
    for (id, failures, expected) in [
        ("CB-37", vec![(0.0, x, Some(90)), (1.0, x, None)], 90),
        ("CB-37, the largest", vec![(0.0, x, Some(40)), (1.0, x, Some(35))], 40),
        ("CB-38", vec![(0.0, x, Some(9999)), (1.0, x, None)], 300),
        ("shorter than its own", vec![(0.0, x, Some(3)), (1.0, x, None)], 30),
        ("no longer in the window", vec![(0.0, x, Some(90)), (70.0, x, None), (70.0, x, None)], 30),
        ("in a bucket just gone", vec![(5.9, x, Some(90)), (60.0, x, None), (60.0, x, None)], 30),
        ("in the oldest bucket", vec![(6.0, x, Some(90)), (60.0, x, None)], 90),
        ("not of a failure", vec![(0.0, Outcome::Success, Some(90)), (1.0, x, None), (1.0, x, None)], 30),
    ] {
        assert_eq!(open_for(&five, &failures), Some(Span::from_secs(expected)), "{id}");
    }
    let deaf = Config { honor_retry_after: false, ..five };
    assert_eq!(open_for(&deaf, &[(0.0, x, Some(90)), (1.0, x, None)]), Some(Span::from_secs(30)), "not honored");

    let mut world = World::new(probes(3));
    world.force(0.0, Force::Trip { open_for: None });
    for hint in [90, 40] {
        let probe = world.admit(30.0).unwrap();
        let hint = Some(Span::from_secs(hint));
        drop(world.breaker.record(&world.rules, s(30.0), probe, x, Span::ZERO, hint));
    }
    assert_eq!(world.state(30.0), open_until(120.0), "the largest hint of the failed probes");
}

#[test]
fn a_rule_opens_it_for_a_time_and_a_person_until_told_otherwise() {
    let mut world = World::new(Config::default());
    world.force(10.0, Force::Trip { open_for: Some(Span::from_mins(2)) });
    assert_eq!(world.admit(129.999), None, "CB-39");
    assert_eq!(world.state(129.999), open_until(130.0), "CB-39");
    assert!(world.admit(130.0).is_some(), "CB-39");
    assert_eq!(world.state(130.0), State::HalfOpen, "CB-39");
    world.force(130.0, Force::Trip { open_for: None });
    world.force(140.0, Force::Trip { open_for: Some(Span::from_secs(1)) });
    assert_eq!(world.state(140.0), open_until(160.0), "a shorter time does not shorten");
    world.force(140.0, Force::Trip { open_for: None });
    assert_eq!(world.state(140.0), open_until(170.0), "a longer one lengthens");

    world.force(150.0, Force::Open);
    world.force(151.0, Force::Open);
    world.force(151.0, Force::Trip { open_for: None });
    assert_eq!(world.admit(1e6), None);
    assert_eq!((world.state(1e6), world.breaker.is_closed()), (State::ForcedOpen, false));
    world.force(1e6, Force::Closed);
    world.force(1e6, Force::Trip { open_for: None });
    assert_eq!(world.calls(1e6, &"x".repeat(50)), State::ForcedClosed);
    assert_eq!(world.snapshot(1e6).total.failures, 50, "it still counts");
    assert!(world.breaker.is_closed());
    world.force(1e6, Force::Auto);
    world.force(1e6, Force::Auto);
    assert_eq!(world.calls(1e6, &"x".repeat(19)), State::Closed, "its window begins anew");
    assert_eq!(
        world.story,
        [
            "10s opened on demand, open for 2m",
            "2m10s was open for 2m, 3 probes may pass",
            "2m10s opened on demand, open for 30s",
            "2m30s forced open until told otherwise",
            "11d14h forced closed until told otherwise",
            "11d14h no longer forced",
        ]
    );
}

#[test]
fn a_refused_client_learns_when_to_come_back_and_nothing_else() {
    let open_for = Span::from_secs(30);
    for (id, remaining, seconds) in [
        ("CB-40 29.2 s", Some(Span::from_millis(29_200)), 30),
        ("CB-40 0.4 s", Some(Span::from_millis(400)), 1),
        ("CB-40 half-open", None, 30),
        ("over", Some(Span::ZERO), 1),
    ] {
        assert_eq!(retry_after_seconds(remaining, open_for), seconds, "{id}");
    }
    let text = |fallback: &Fallback| {
        let mut body = String::new();
        fallback.write_body(&mut body, 30).unwrap();
        body
    };
    let standard = Fallback::default();
    assert!(standard.is_constant());
    assert_eq!(text(&standard), standard.body);
    let friendly = Fallback { body: "{retry_after} s: in {retry_after} s.".to_string(), ..standard };
    assert!(!friendly.is_constant());
    assert_eq!(text(&friendly), "30 s: in 30 s.");
}

#[test]
fn in_shadow_everything_passes_and_what_would_be_refused_is_counted() {
    let mut world = World::new(Config { shadow: true, consecutive: Some(2), ..probes(1) });
    world.calls(0.0, "xx");
    assert!(is_open(world.state(0.0)));
    assert!(world.breaker.is_closed(), "callers see it closed");
    world.calls(1.0, "xxo");
    assert_eq!([world.snapshot(1.0).refused, world.snapshot(1.0).stale], [3, 0]);
    assert_eq!(world.calls(30.0, "o"), State::Closed);
    assert_eq!([world.snapshot(30.0).refused, world.snapshot(30.0).refused_total], [0, 3]);
    assert_eq!(
        world.story,
        [
            "0s in shadow: failures in a row 2 >= 2, open for 30s",
            "30s in shadow: was open for 30s, 1 probe may pass",
            "30s in shadow: 1 of 1 probes succeeded",
        ]
    );
}

#[test]
fn recovery_ramps_up_from_the_share_of_the_probes() {
    let recovery = Recovery::Ramp { over: Span::from_secs(30) };
    let mut world = World::new(Config { recovery, minimum_calls: 10, ..probes(1) });
    let probe = world.probed(0.0, 30.0);
    for _ in 0..3 {
        assert_eq!(world.admit(30.5), None);
    }
    world.end(31.0, probe, Outcome::Success, 1.0);
    assert_eq!((world.state(31.0), world.breaker.is_closed()), (State::Closed, true));
    // One probe and three refusals: from 1/4 at 31 s to 1 at 61 s.
    for (at, share) in [(31.0, 0.25), (41.0, 0.5), (51.0, 0.75)] {
        let admits = |world: &mut World, u: f64| {
            let draw = (u * 2f64.powi(64)) as u64;
            matches!(world.breaker.admit(&world.rules, s(at), draw), Passage::Granted { .. })
        };
        assert!(admits(&mut world, share - 0.001) && !admits(&mut world, share + 0.001), "{share} at {at} s");
    }
    let refused = world.breaker.admit(&world.rules, s(52.0), u64::MAX);
    assert_eq!(refused, Passage::Refused { until: Some(s(61.0)), transition: None });
    // Thirty good calls in earlier steps do not hide a bad step.
    world.calls(53.0, &"o".repeat(30));
    assert_eq!(world.calls(56.0, "xxxxxxxxx"), State::Closed);
    assert!(is_open(world.call(56.0, Outcome::ServerError)));
    assert_eq!(
        world.story.last().unwrap(),
        "56s failure rate 100.0% >= 50% in a step of the ramp (10 of 10), open for 30s"
    );
    assert_eq!(world.snapshot(56.0).opens_in_a_row, 2);

    world.calls(86.0, "o");
    let last = world.breaker.admit(&world.rules, s(116.0), u64::MAX);
    assert!(matches!(last, Passage::Granted { .. }), "the ramp is over after 30 s");
    assert!(matches!(world.breaker.phase, Phase::Closed), "and no longer looked at");
}

#[test]
fn jitter_spreads_breakers_and_is_the_same_in_every_run() {
    let rules = Rules::new(&Config { jitter: 0.1, ..Config::default() }, 7);
    let until = |index: u32| {
        let mut breaker = Breaker::new(&rules, index);
        drop(breaker.force(&rules, Time::ZERO, Force::Trip { open_for: None }));
        breaker.next_wake().unwrap().as_secs_f64()
    };
    let times: Vec<f64> = (0..1000).map(until).collect();
    assert!(times.iter().all(|t| (27.0..=33.0).contains(t)));
    assert!(times.iter().any(|&t| t < 27.1) && times.iter().any(|&t| t > 32.9), "over the whole range");
    assert_eq!(times, (0..1000).map(until).collect::<Vec<_>>());

    let mut breaker = Breaker::new(&rules, 0);
    let spans = [0.0, 3600.0].map(|at| {
        drop(breaker.force(&rules, s(at), Force::Open));
        drop(breaker.force(&rules, s(at), Force::Auto));
        drop(breaker.force(&rules, s(at), Force::Trip { open_for: None }));
        breaker.next_wake().unwrap().since(s(at))
    });
    assert_ne!(spans[0], spans[1], "each opening has its own");
}

#[test]
fn time_does_not_run_backwards_inside() {
    let mut world = World::new(probes(1));
    world.force(100.0, Force::Trip { open_for: None });
    assert_eq!(world.admit(110.0), None);
    assert_eq!(world.snapshot(50.0).remaining, Some(Span::from_secs(20)));
    world.force(50.0, Force::Auto);
    let probe = world.admit(130.0).unwrap();
    world.end(1.0, probe, Outcome::Success, 1.0);
    assert_eq!(world.snapshot(1.0).since, s(130.0));
}

#[test]
fn settings_that_cannot_be_meant_do_no_harm() {
    let nothing = Config {
        window: Window::Calls(0),
        minimum_calls: 0,
        failure_rate: Some(0.0),
        failures: Some(0),
        consecutive: Some(0),
        half_open_calls: 0,
        probe_lease: Span::ZERO,
        open_for: Span::ZERO,
        open_multiplier: f64::NAN,
        jitter: f64::NAN,
        recovery: Recovery::Ramp { over: Span(1) },
        ..Config::default()
    };
    let everything = Config {
        window: Window::Time { span: Span::MAX, buckets: u32::MAX },
        minimum_calls: u32::MAX,
        failure_rate: Some(f64::INFINITY),
        failures: Some(u32::MAX),
        half_open_calls: u32::MAX,
        probe_lease: Span::MAX,
        open_for: Span::MAX,
        open_max: Span::MAX,
        open_multiplier: f64::INFINITY,
        jitter: f64::INFINITY,
        reset_after: Some(Span::MAX),
        recovery: Recovery::Ramp { over: Span::MAX },
        ..Config::default()
    };
    let mut world = World::new(nothing);
    assert_eq!(world.calls(0.0, "oooo"), State::Closed, "no failure, no trip");
    assert_eq!(world.call(0.0, Outcome::ServerError), open_until(0.0));
    assert_eq!(world.call(0.0, Outcome::Success), State::Closed, "a probe within the same nanosecond");
    let mut world = World::new(everything);
    assert_eq!(world.calls(0.0, &"x".repeat(100)), State::Closed);
    world.force(0.0, Force::Trip { open_for: None });
    assert_eq!(world.admit(1e9), None);
}

#[test]
fn transitions_become_events() {
    let mut world = World::new(calls_window(50, 50));
    world.calls(3.0, &"x".repeat(26));
    let mut opened = None;
    for _ in 0..24 {
        let permit = world.admit(3.0).unwrap();
        opened = world.breaker.record(&world.rules, s(3.0), permit, Outcome::Success, Span::ZERO, None);
    }
    let event = opened.expect("it opened at the fiftieth").event("service");
    assert_eq!(event.at, s(3.0));
    assert_eq!(
        event.kind,
        crate::engine::events::EventKind::BreakerOpened {
            scope: "service".to_string(),
            open_for: Span::from_secs(30)
        }
    );
    assert_eq!(event.cause, "failure rate 52.0% >= 50% (26 of 50 in the last 50 calls), open for 30s");
    let failures = count_in_time(60, 60, 2);
    let mut world = World::new(failures);
    world.calls(0.0, "xx");
    assert_eq!(world.story, ["0s failures 2 >= 2 in 1m, open for 30s"]);
}

#[test]
fn a_breaker_is_small() {
    assert!(std::mem::size_of::<Breaker>() <= 176, "{} bytes", std::mem::size_of::<Breaker>());
}
