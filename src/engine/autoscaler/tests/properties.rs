//! What holds for every configuration and every load.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::engine::autoscaler::rules::Missing;

fn any_rule() -> impl Strategy<Value = Rule> {
    let metric = prop_oneof![
        3 => Just(Metric::CpuUtilization),
        1 => Just(Metric::MemoryUtilization),
        1 => Just(Metric::AverageResponseTime)
    ];
    let action = prop_oneof![
        3 => Just(Action::ScaleUp),
        3 => Just(Action::ScaleDown),
        1 => Just(Action::CircuitBreak),
        1 => Just(Action::Alert)
    ];
    let step = prop_oneof![
        (0u32..4).prop_map(Step::Add),
        (0u32..150).prop_map(Step::Percent),
        (0u32..12).prop_map(Step::To)
    ];
    let evidence = prop_oneof![
        Just(Evidence::Continuous),
        (0u32..4, 0u32..5, any::<bool>()).prop_map(|(m, n, require_latest)| Evidence::MOfN { m, n, require_latest })
    ];
    let missing = prop_oneof![3 => Just(Missing::Hold), 1 => Just(Missing::Reset)];
    let times = (0u64..60, 0u64..120);
    (metric, 0usize..4, 0.0..100.0f64, action, step, evidence, missing, times, 0u8..=10).prop_map(
        |(metric, op, threshold, action, step, evidence, missing, (duration, cooldown), priority)| {
            // A condition that an up rule and a down rule both make half of the time would let nothing ever shrink.
            let (operator, threshold) = match action {
                Action::ScaleUp => (Operator::ALL[op % 2].1, 50.0 + threshold / 2.0),
                Action::ScaleDown => (Operator::ALL[2 + op % 2].1, threshold / 1.5),
                _ => (Operator::ALL[op].1, threshold),
            };
            Rule {
                step,
                evidence,
                missing,
                ..timed(rule("rule", metric, operator, threshold, action), duration, priority, cooldown)
            }
        },
    )
}

fn any_config() -> impl Strategy<Value = Config> {
    let policy = (20.0..90.0f64, 0u64..60).prop_map(|(target, window)| {
        let config = super::super::target_tracking::Config::new(Metric::CpuUtilization, target);
        Policy::TargetTracking(super::super::target_tracking::Config { stabilization_window: secs(window), ..config })
    });
    let cooldowns = (0u64..60, 0u64..60, any::<bool>());
    (0u32..5, 0u32..12, cooldowns, any::<bool>(), vec(any_rule(), 0..5), vec(policy, 0..2)).prop_map(
        |(min, more, (up, down, from_ready), piling_on_guard, mut rules, policies)| {
            for (index, rule) in rules.iter_mut().enumerate() {
                rule.name = format!("rule {index}");
            }
            Config {
                min,
                max: min + more,
                scale_up_cooldown: secs(up),
                scale_down_cooldown: secs(down),
                cooldown_from: if from_ready { CooldownFrom::Ready } else { CooldownFrom::Decision },
                piling_on_guard,
                rules,
                policies,
                ..Config::default()
            }
        },
    )
}

fn any_loads() -> impl Strategy<Value = Vec<Load>> {
    let value = || prop_oneof![1 => Just(None), 9 => (0.0..100.0f64).prop_map(Some)];
    // Levels are kept for a few ticks, so that durations can pass.
    let level = ((value(), value(), value()), 1usize..10);
    vec(level, 1..12).prop_map(|levels| {
        let load = |(cpu, memory, latency)| Load { cpu, memory, latency, ..Load::default() };
        levels.into_iter().flat_map(|(values, ticks)| vec![load(values); ticks]).collect()
    })
}

fn any_guards() -> impl Strategy<Value = Guards> {
    (any::<bool>(), 0.0..0.05f64, prop::option::of(0u64..60)).prop_map(|(breaker_tripped, refused_share, boot)| {
        Guards { breaker_tripped, refused_share, expected_boot: boot.map(secs) }
    })
}

/// The world of `config` after all of `loads`, one a tick, starting `shift` ticks late.
fn lived(config: &Config, n: u32, boot: u64, loads: &[Load], shift: u64) -> World {
    let mut world = World { boot: secs(boot), ..World::new(config.clone(), n) };
    for (index, load) in loads.iter().enumerate() {
        world.tick(s((index as u64 + shift) * 15), &|_, _| *load);
    }
    world
}

proptest! {
    #[test]
    fn the_size_is_within_bounds_after_every_tick(
        config in any_config(), n in 0u32..20, boot in 0u64..60, loads in any_loads(),
    ) {
        for (at, decision) in lived(&config, n, boot, &loads, 0).log {
            prop_assert!((config.min..=config.max).contains(&decision.to), "{at}: {decision:?}");
        }
    }

    #[test]
    fn every_size_can_be_recomputed_from_its_stages(
        config in any_config(), n in 0u32..20, boot in 0u64..60, loads in any_loads(),
    ) {
        for (_, decision) in lived(&config, n, boot, &loads, 0).log {
            let mut size = decision.from;
            for stage in &decision.stages {
                prop_assert_eq!(stage.input, size, "{:?}", &decision);
                prop_assert!(!stage.reason.is_empty());
                size = stage.output;
            }
            prop_assert_eq!(size, decision.to, "{:?}", &decision);
            prop_assert_eq!(decision.rule.is_some(), decision.from != decision.to);
        }
    }

    #[test]
    fn cooldowns_are_kept(config in any_config(), boot in 0u64..60, loads in any_loads()) {
        let log = lived(&config, config.min, boot, &loads, 0).log;
        let gaps_at_least = |firings: Vec<Time>, cooldown: Span| {
            firings.windows(2).all(|pair| pair[1].since(pair[0]) >= cooldown)
        };
        let moments = |fired: &dyn Fn(&Decision) -> bool| -> Vec<Time> {
            log.iter().filter(|(_, d)| fired(d)).map(|(at, _)| *at).collect()
        };
        for rule in &config.rules {
            let is = |f: &Firing| f.rule == rule.name;
            let fired = |d: &Decision| d.rule.as_ref() == Some(&rule.name)
                || d.opened_breaker.iter().any(is) || d.alerts.iter().any(is);
            prop_assert!(gaps_at_least(moments(&fired), rule.cooldown), "{}", rule.name);
        }
        let ups = moments(&|d| d.to > d.from);
        prop_assert!(gaps_at_least(ups, config.scale_up_cooldown));
        let downs = moments(&|d| d.to < d.from);
        prop_assert!(gaps_at_least(downs, config.scale_down_cooldown));
    }

    #[test]
    fn missing_data_alone_removes_nothing(
        config in any_config(), n in 0u32..20, loads in any_loads(), gap in 1usize..30,
    ) {
        let with_gap: Vec<Load> = loads.iter().copied().chain(vec![Load::default(); gap]).collect();
        let log = lived(&config, n, 0, &with_gap, 0).log;
        for (at, decision) in &log[loads.len()..] {
            prop_assert!(decision.to >= decision.from, "{at}: {decision:?}");
        }
    }

    #[test]
    fn shifting_all_times_changes_only_the_times(
        config in any_config(), n in 0u32..20, boot in 0u64..60, loads in any_loads(), shift in 1u64..10_000,
    ) {
        let (early, late) = (lived(&config, n, boot, &loads, 0), lived(&config, n, boot, &loads, shift));
        for ((_, a), (_, b)) in early.log.iter().zip(&late.log) {
            let moved = |t: Time| t + secs(shift * 15);
            let mut expected = a.clone();
            expected.timing = a.timing.map(|t| Timing {
                sampled_at: moved(t.sampled_at),
                since: moved(t.since),
                held_at: moved(t.held_at),
                ripe_at: moved(t.ripe_at),
                fired_at: moved(t.fired_at),
            });
            for block in expected.held.iter_mut().flat_map(|held| &mut held.blocked) {
                block.clears_at = block.clears_at.map(moved);
            }
            prop_assert_eq!(&expected, b);
        }
    }

    #[test]
    fn the_parts_of_a_delay_follow_each_other(
        config in any_config(), n in 0u32..20, boot in 0u64..60, loads in any_loads(),
    ) {
        for (at, decision) in lived(&config, n, boot, &loads, 0).log {
            if let Some(Timing { sampled_at, since, held_at, ripe_at, fired_at }) = decision.timing {
                let order = [sampled_at, since, held_at, ripe_at, fired_at];
                prop_assert!(order.is_sorted() && fired_at == at, "{order:?}");
            }
        }
    }

    #[test]
    fn removing_guards_never_removes_a_scale_up(
        config in any_config(), n in 0u32..20, boot in 0u64..60, loads in any_loads(), guards in any_guards(),
    ) {
        let mut world = World { boot: secs(boot), guards, ..World::new(config, n) };
        for (index, load) in loads.iter().enumerate() {
            let now = s(index as u64 * 15);
            // The same tick without a guard in the way.
            let mut unguarded = world.scaler.clone();
            unguarded.config.piling_on_guard = false;
            let fleet = world.fleet(now);
            let free = unguarded.tick(now, &load.observed(now, fleet), &Guards::default());
            world.tick(now, &|_, _| *load);
            let guarded = &world.log[index].1;
            if guarded.direction() == Some(Direction::Up) {
                prop_assert_eq!(free.direction(), Some(Direction::Up), "{:?}", guarded);
            }
        }
    }
}
