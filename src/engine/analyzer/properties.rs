//! What holds for every series.

use proptest::prelude::*;

use super::audience::Visit;
use super::*;

/// Bins of so many requests, from 400 clients in turn; the events, and the analyzer at the end.
fn run(config: Config, counts: impl Iterator<Item = u64>) -> (Vec<Event>, Analyzer) {
    let (mut analyzer, mut events) = (Analyzer::new(&config), Vec::new());
    for count in counts {
        let began = analyzer.next_wake().0 - config.bin.0;
        for i in 0..count {
            let client = i % 400;
            analyzer.visited(&Visit {
                at: Time(began + i * config.bin.0 / count),
                client,
                prefix: client,
                agent: None,
                endpoint: (i % 3) as u32,
                region: (i % 2) as u32,
                client_error: None,
            });
        }
        analyzer.tick(analyzer.next_wake(), &mut events);
    }
    (events, analyzer)
}

fn spikes(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|event| matches!(event.kind, EventKind::SpikeDetected(_))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn a_constant_series_never_leads_to_an_event(count in 0u64..400, bins in 10usize..400) {
        let (events, _) = run(Config::default(), std::iter::repeat_n(count, bins));
        prop_assert!(events.is_empty(), "{events:?}");
    }

    #[test]
    fn a_factor_for_long_enough_is_one_spike(base in 100u64..400, times in 2.0f64..6.0, extra in 0u64..20, at in 60u64..200) {
        let lasts = 12 + extra;
        let counts = (0..at + lasts + 60).map(|bin| {
            if (at..at + lasts).contains(&bin) { (base as f64 * times).ceil() as u64 } else { base }
        });
        let (events, analyzer) = run(Config::default(), counts);
        let found = spikes(&events);
        prop_assert_eq!(found.len(), 1, "{:?}", events);
        let EventKind::SpikeDetected(spike) = &found[0].kind else { unreachable!() };
        prop_assert_eq!(spike.started_at, Time(at * Config::default().bin.0));
        // The baseline was not moved by it.
        prop_assert!((analyzer.baseline_rps().unwrap() - base as f64 / 10.0).abs() < 1e-9);
        let verdict = spike.verdict.unwrap();
        prop_assert!((0.0..=1.0).contains(&verdict.score) && (0.0..=1.0).contains(&verdict.confidence));
        prop_assert!(!spike.advice.is_empty());
    }

    #[test]
    fn ratios_do_not_depend_on_the_scale(scale in 1u64..6) {
        let counts = |scale: u64| (0..300u64).map(move |bin| scale * if bin > 200 { 250 } else { 90 + bin % 7 });
        let ((one, a), (many, b)) = (run(Config::default(), counts(1)), run(Config::default(), counts(scale)));
        prop_assert_eq!(spikes(&one).len(), spikes(&many).len());
        let ratio = b.baseline_rps().unwrap() / a.baseline_rps().unwrap();
        prop_assert!((ratio / scale as f64 - 1.0).abs() < 1e-9, "{ratio}");
    }
}
