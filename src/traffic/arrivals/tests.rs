use super::*;
use crate::traffic::{Attack, Noise, Overlay};
use crate::units::Span;

fn s(seconds: f64) -> Span {
    Span::from_secs_f64(seconds)
}

fn t(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

fn config(arrivals: Process, segments: &[(Kind, Option<f64>)], overlay: &[Overlay]) -> Config {
    let shape = segments.iter().map(|(kind, lasts)| Segment { kind: kind.clone(), lasts: lasts.map(s) }).collect();
    Config { arrivals, shape, overlay: overlay.to_vec(), ..Config::default() }
}

fn constant(arrivals: Process, rate: f64) -> Config {
    config(arrivals, &[(Kind::Constant { rate }, None)], &[])
}

fn day() -> Kind {
    Kind::Diurnal { mean: 20.0, amplitude: 0.9, period: s(3600.0), peak_at: s(2000.0) }
}

/// Every kind of curve, with overlays and noise on some.
fn worlds() -> Vec<(&'static str, Config)> {
    use Kind::*;
    let flash = FlashCrowd { base: 10.0, magnitude: 16.0, at: s(100.0), rise: s(40.0), decay: s(60.0) };
    let spike = Spike { base: 20.0, magnitude: 6.0, at: s(50.0), rise: s(30.0), hold: s(100.0), fall: s(200.0) };
    let week = Weekly { mean: 0.05, days: [1.0, 1.1, 1.2, 1.3, 1.4, 0.5, 0.0], amplitude: 0.5, peak_at: s(43_200.0) };
    let plain = |kind, lasts| config(Process::Poisson, &[(kind, Some(lasts))], &[]);
    let over_spike = Overlay::Spike { at: s(300.0), magnitude: 3.0, rise: s(10.0), hold: s(100.0), fall: s(30.0) };
    let over_flash = Overlay::FlashCrowd { at: s(350.0), magnitude: 0.1, rise: s(10.0), decay: s(100.0) };
    let attack = Overlay::Attack(Attack { at: s(200.0), rate: 25.0, lasts: s(300.0), clients: 9, endpoint: None });
    let mut noisy = plain(Constant { rate: 20.0 }, 1000.0);
    noisy.noise = Some(Noise { sigma: 0.7, slot: s(7.0) });
    vec![
        ("constant", plain(Constant { rate: 12.0 }, 1000.0)),
        ("ramp", plain(Ramp { from: 0.0, to: 60.0 }, 500.0)),
        ("ramp down", plain(Ramp { from: 60.0, to: 0.0 }, 500.0)),
        ("step", plain(Step { from: 2.0, to: 30.0, at: s(77.0) }, 500.0)),
        ("spike", plain(spike, 600.0)),
        ("flash crowd", plain(flash.clone(), 900.0)),
        ("diurnal", plain(day(), 2000.0)),
        (
            "diurnal, cut off at night",
            plain(Diurnal { mean: 20.0, amplitude: 1.8, period: s(900.0), peak_at: s(0.0) }, 2000.0),
        ),
        ("weekly", plain(week, 10.0 * 86_400.0)),
        ("a chain", config(Process::Poisson, &[(flash, Some(300.0)), (day(), Some(500.0))], &[])),
        ("overlays", config(Process::Poisson, &[(day(), Some(1500.0))], &[over_spike, over_flash, attack])),
        ("noise", noisy),
    ]
}

/// The integral of the rate by the trapezium rule in steps of `dt` \[s\].
fn integral(config: &Config, seed: u64, end: f64, dt: f64) -> f64 {
    let rate = Rate::new(&config.shape, config.noise, &config.overlay, seed);
    let n = (end / dt).round() as u64;
    (0..n).map(|i| rate.rps(t((i as f64 + 0.5) * dt)) * dt).sum()
}

fn end(config: &Config) -> f64 {
    config.shape.iter().map(|segment| segment.lasts.map_or(0.0, Span::as_secs_f64)).sum()
}

/// A Poisson count of mean m has sd √m; 4 of them either side.
#[test]
fn poisson_arrivals_are_as_many_as_the_integral_of_the_rate() {
    for (name, config) in worlds() {
        for seed in [1, 2, 3] {
            let end = end(&config);
            let expected = integral(&config, seed, end, end / 1e6);
            let found = Arrivals::new(&config, seed, t(end * 2.0)).count() as f64;
            assert!((found - expected).abs() < 4.0 * expected.sqrt(), "{name}: {found}, not {expected}, seed {seed}");
        }
    }
}

/// χ² over 100 cells of time with cell means from the rate: mean 100, sd 14.1; 4 sd.
#[test]
fn thinned_arrivals_follow_the_rate_in_every_phase() {
    for (name, config) in worlds() {
        let end = end(&config);
        let width = end / 100.0;
        let mut counts = [0.0f64; 100];
        let (mut chi2, mut cells) = (0.0, 0.0f64);
        for seed in 0..8 {
            let mut config = config.clone();
            // Noise differs by seed; one rate for all is needed here.
            config.noise = None;
            for arrival in Arrivals::new(&config, seed, t(end)) {
                counts[((arrival.at.as_secs_f64() / width) as usize).min(99)] += 1.0;
            }
        }
        let rate = Rate::new(&config.shape, None, &config.overlay, 0);
        for (i, count) in counts.iter().enumerate() {
            let at = |j: usize| rate.rps(t((i as f64 + (j as f64 + 0.5) / 2000.0) * width));
            let mean = 8.0 * (0..2000).map(at).sum::<f64>() / 2000.0 * width;
            if mean > 5.0 {
                chi2 += (count - mean).powi(2) / mean;
                cells += 1.0;
            } else {
                assert!(*count < 5.0 + 4.0 * 5.0f64.sqrt(), "{name}: {count} where {mean} are due");
            }
        }
        let limit = cells + 4.0 * (2.0 * cells).sqrt();
        assert!(chi2 < limit, "{name}: χ² {chi2}, limit {limit}");
    }
}

/// The dispersion of gaps of a Poisson process: mean 1/λ, coefficient of variation 1, for 10⁵ gaps within 4 sd.
#[test]
fn gaps_of_a_constant_rate_are_exponential() {
    let arrivals: Vec<Arrival> = Arrivals::new(&constant(Process::Poisson, 50.0), 11, t(2000.0)).collect();
    let gaps: Vec<f64> = arrivals.windows(2).map(|w| w[1].at.since(w[0].at).as_secs_f64()).collect();
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    let short = gaps.iter().filter(|gap| **gap < 0.02 * std::f64::consts::LN_2).count() as f64;
    assert!((mean * 50.0 - 1.0).abs() < 4.0 / n.sqrt(), "mean {mean}");
    assert!((short / n - 0.5).abs() < 4.0 * 0.5 / n.sqrt(), "{short} of {n} are below the median");
}

#[test]
fn paced_arrivals_of_a_constant_rate_are_at_whole_multiples_of_its_inverse() {
    for rate in [0.1, 1.0, 3.0, 7.0, 1000.0, 333_333.0] {
        let n = 20_000u64;
        let arrivals = Arrivals::new(&constant(Process::Paced, rate), 5, Time::MAX);
        for (k, arrival) in (1..=n).zip(arrivals) {
            assert_eq!(
                (arrival.at, arrival.index),
                (Time((k as f64 * 1e9 / rate).round() as u64), k - 1),
                "rate {rate}"
            );
        }
    }
}

#[test]
fn paced_arrivals_are_where_the_integral_reaches_whole_numbers() {
    for (name, mut config) in worlds() {
        config.arrivals = Process::Paced;
        config.overlay.retain(|overlay| !matches!(overlay, Overlay::Attack(_)));
        let end = end(&config);
        let rate = Rate::new(&config.shape, config.noise, &config.overlay, 1);
        let mut reached = 0.0;
        let mut at = Time::ZERO;
        for (k, arrival) in (1u32..).zip(Arrivals::new(&config, 1, t(end))) {
            assert!(arrival.at > at, "{name}: arrival {k}");
            // Gaps cross jumps of the rate at whole seconds only, so pieces end there.
            while at < arrival.at {
                let to = Time((at.0 / 1_000_000_000 + 1) * 1_000_000_000).min(arrival.at);
                let dt = to.since(at).as_secs_f64() / 8.0;
                let mid = |j: u32| Time(at.0 + ((f64::from(j) + 0.5) * dt * 1e9) as u64);
                reached += (0..8).map(|j| rate.rps(mid(j)) * dt).sum::<f64>();
                at = to;
            }
            assert!(
                (reached - f64::from(k)).abs() < 0.01,
                "{name}: arrival {k} at {}, integral {reached}",
                arrival.at
            );
        }
        let total = integral(&config, 1, end, end / 1e6);
        let count = Arrivals::new(&config, 1, t(end + 1.0)).count() as f64;
        assert!((count - total).abs() < 1.01, "{name}: {count} arrivals, integral {total}");
    }
}

#[test]
fn a_ramp_is_paced_exactly() {
    let ramp = config(Process::Paced, &[(Kind::Ramp { from: 0.0, to: 100.0 }, Some(100.0))], &[]);
    for (k, arrival) in (1u32..).zip(Arrivals::new(&ramp, 0, Time::MAX)) {
        let exact = (2.0 * f64::from(k)).sqrt();
        assert!((arrival.at.as_secs_f64() - exact).abs() < 5e-9, "arrival {k} at {}, not {exact}", arrival.at);
    }
    assert_eq!(Arrivals::new(&ramp, 0, Time::MAX).count(), 5000);
}

#[test]
fn nothing_is_scheduled_at_or_after_the_horizon_and_time_never_goes_back() {
    for process in [Process::Poisson, Process::Paced] {
        for (name, mut config) in worlds() {
            config.arrivals = process;
            let horizon = t(123.0);
            let arrivals: Vec<Arrival> = Arrivals::new(&config, 4, horizon).collect();
            assert!(arrivals.windows(2).all(|w| w[0].at <= w[1].at), "{name}");
            assert!(arrivals.iter().all(|a| a.at < horizon), "{name}");
            let longer: Vec<Arrival> = Arrivals::new(&config, 4, t(200.0)).collect();
            assert!(longer.starts_with(&arrivals), "{name}: a longer run begins as a shorter one");
        }
    }
    // k/r at the horizon itself does not exist.
    let count = |horizon| Arrivals::new(&constant(Process::Paced, 2.0), 0, horizon).count();
    assert_eq!([count(t(10.0)), count(Time(t(10.0).0 + 1)), count(Time::ZERO)], [19, 20, 0]);
    let mut ended = Arrivals::new(&constant(Process::Poisson, 5.0), 0, t(1.0));
    ended.by_ref().for_each(drop);
    assert!(ended.next().is_none() && ended.next().is_none());
}

#[test]
fn the_same_seed_gives_the_same_arrivals_and_another_seed_others() {
    let burst = Burst { factor: 8.0, mean_on: s(2.0), mean_off: s(10.0) };
    for process in [Process::Poisson, Process::Mmpp(burst)] {
        let config = config(process, &[(day(), Some(1000.0))], &[]);
        let run = |seed| Arrivals::new(&config, seed, Time::MAX).collect::<Vec<_>>();
        assert_eq!(run(1), run(1), "{process:?}");
        assert_ne!(run(1), run(2), "{process:?}");
    }
}

/// Counts of an MMPP in windows of 10 s have the mean of the plan. The variance of the long-run count is larger
/// than Poisson's by the index of dispersion (Fischer and Meier-Hellstern, 1993, eq. 15):
/// `1 + 2 (λ₁ − λ₂)² r₁ r₂ / ((r₁ + r₂)² (λ₁ r₂ + λ₂ r₁))`, r being the rates of leaving the states.
#[test]
fn bursts_preserve_the_mean_and_spread_the_counts() {
    let burst = Burst { factor: 10.0, mean_on: s(5.0), mean_off: s(45.0) };
    let (mean, runs, end) = (20.0f64, 40, 10_000.0);
    let (r1, r2): (f64, f64) = (1.0 / 5.0, 1.0 / 45.0);
    let low = mean / (0.1 * 10.0 + 0.9);
    let (l1, l2) = (10.0 * low, low);
    let dispersion = 1.0 + 2.0 * (l1 - l2).powi(2) * r1 * r2 / ((r1 + r2) * (r1 + r2) * (l1 * r2 + l2 * r1));
    let config = constant(Process::Mmpp(burst), mean);
    let (mut total, mut squares, mut windows) = (0.0, 0.0, 0.0);
    for seed in 0..runs {
        let mut counts = vec![0.0; 100];
        Arrivals::new(&config, seed, t(end)).for_each(|a| counts[(a.at.as_secs_f64() / 100.0) as usize] += 1.0);
        total += counts.iter().sum::<f64>();
        squares += counts.iter().map(|c: &f64| (c - mean * 100.0).powi(2)).sum::<f64>();
        windows += 100.0;
    }
    let expected = mean * end * runs as f64;
    let sd = (expected * dispersion).sqrt();
    assert!((total - expected).abs() < 4.0 * sd, "{total}, not {expected} ± {sd}");
    let found = squares / windows / (mean * 100.0);
    // 4000 windows of 100 s, a little correlated: sd of the estimate is about 3 %, and 100 s lack 4.5 % of the limit.
    assert!((0.8..1.15).contains(&(found / dispersion)), "index of dispersion {found}, theory {dispersion}");
    assert!(found > 10.0);
}

#[test]
fn a_burst_without_length_or_factor_changes_nothing() {
    let steady = |burst| {
        let config = constant(Process::Mmpp(burst), 100.0);
        Arrivals::new(&config, 3, t(1000.0)).count() as f64
    };
    for (factor, on, off) in
        [(1.0, 5.0, 5.0), (9.0, 0.0, 5.0), (9.0, 5.0, 0.0), (9.0, 0.0, 0.0), (f64::NAN, 1.0, 1.0)]
    {
        let count = steady(Burst { factor, mean_on: s(on), mean_off: s(off) });
        assert!((count - 1e5).abs() < 4.0 * 1e5f64.sqrt(), "{factor} {on} {off}: {count}");
    }
}

#[test]
fn an_attack_adds_requests_and_changes_no_other() {
    for process in [Process::Poisson, Process::Paced] {
        let attack = |at, rate| {
            Overlay::Attack(Attack {
                at: s(at),
                rate: f64::from(rate),
                lasts: s(20.0),
                clients: 3,
                endpoint: Some(1),
            })
        };
        let quiet = config(process, &[(day(), None)], &[]);
        let attacked = config(process, &[(day(), None)], &[attack(30.0, 50), attack(40.0, 10)]);
        let quiet: Vec<Arrival> = Arrivals::new(&quiet, 8, t(100.0)).collect();
        let all: Vec<Arrival> = Arrivals::new(&attacked, 8, t(100.0)).collect();
        let of = |origin| all.iter().copied().filter(|a| a.origin == origin).collect::<Vec<_>>();
        assert_eq!(of(Origin::Base), quiet);
        assert!(all.windows(2).all(|w| w[0].at <= w[1].at));
        for (k, at, rate) in [(0u16, 30.0, 50.0), (1, 40.0, 10.0)] {
            let attackers = of(Origin::Attack(k));
            let expected = rate * 20.0;
            let slack = if process == Process::Paced { 1.0 } else { 4.0 * f64::sqrt(expected) };
            assert!((attackers.len() as f64 - expected).abs() <= slack, "attack {k}: {}", attackers.len());
            assert!(attackers.iter().all(|a| a.at >= t(at) && a.at <= t(at + 20.0)));
            assert!(attackers.iter().zip(attack_index(usize::from(k))..).all(|(a, index)| a.index == index));
        }
        assert_eq!(all.len(), quiet.len() + of(Origin::Attack(0)).len() + of(Origin::Attack(1)).len());
    }
}

#[test]
fn a_rate_that_is_no_rate_has_no_arrivals() {
    for rate in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        for process in [Process::Poisson, Process::Paced] {
            assert_eq!(Arrivals::new(&constant(process, rate), 1, Time::MAX).next(), None, "{rate}");
        }
    }
    assert_eq!(Arrivals::new(&Config::default(), 1, Time::MAX).next(), None);
    let fast = Arrivals::new(&constant(Process::Poisson, f64::INFINITY), 1, Time::MAX).take(1000);
    assert!(fast.last().is_some_and(|a| a.at < Time(3000)), "one a nanosecond is the most there is");
}

#[test]
fn an_arrival_is_small() {
    assert!(size_of::<Arrival>() <= 48);
}
