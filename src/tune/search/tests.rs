use std::convert::Infallible;

use super::*;
use crate::tune::expression::Constraint;
use crate::tune::judge::tests::{outcome, p99_below};

/// A toy: cost falls with x, latency rises with it and has noise of its seed and day. The cheapest setting that holds is x near 0.7.
struct Toy {
    played: Vec<Trial>,
}

impl Toy {
    fn noise(day: usize, seed: u32) -> f64 {
        (Dice::new(u64::from(seed), Stream::Noise).unit(day as u64) - 0.5) * 40.0
    }
}

impl Play for Toy {
    type Stop = Infallible;

    fn play(&mut self, candidates: &[Candidate], trials: &[Trial]) -> Result<Vec<Outcome>, Infallible> {
        self.played.extend(trials);
        let of = |trial: &Trial| {
            let settings = &candidates[trial.candidate].settings;
            let x = settings.first().map_or(0.1, |(_, value)| value.number().unwrap());
            let other = settings.get(1).map_or(0.0, |(_, value)| value.number().unwrap());
            outcome(100.0 - 50.0 * x + other, &[200.0 + 270.0 * x + Toy::noise(trial.day, trial.seed)])
        };
        Ok(trials.iter().map(of).collect())
    }

    fn admits(&mut self, _: &[(String, Value)]) -> Result<(), String> {
        Ok(())
    }
}

fn space(require: &[&str]) -> Space {
    let constraints = require.iter().map(|text| Constraint::parse(text).unwrap()).collect();
    Space::new(vec!["x=0.0..1.0".parse().unwrap(), "y=0..20".parse().unwrap()], constraints, |_| None).unwrap()
}

fn found(method: Method, budget: u64, seed: u64) -> (Found, Vec<Trial>) {
    let (space, rules) = (space(&[]), p99_below(400));
    let task = Task { space: &space, rules: &rules, present: None, method, budget, seed, days: 3 };
    let mut toy = Toy { played: Vec::new() };
    let found = search(&task, &mut toy).unwrap_or_else(|_| unreachable!("the toy never stops"));
    (found, toy.played)
}

#[test]
fn every_method_finds_the_cheapest_that_holds() {
    for (name, method) in Method::ALL {
        let (found, _) = found(method, 1500, 3);
        let best = &found.candidates[found.finalists[0]];
        let x = best.settings[0].1.number().unwrap();
        assert!((0.5..0.78).contains(&x), "{name}: {best:?}");
    }
    // What the race looks at longest is closer: y costs, and its best is 0.
    let (race, _) = found(Method::Race, 1500, 3);
    let best = &race.candidates[race.finalists[0]];
    assert!(best.settings[1].1.number().unwrap() <= 2.0, "{best:?}");
}

#[test]
fn nothing_is_played_twice_and_the_budget_is_kept() {
    for (name, method) in Method::ALL {
        let (_, played) = found(method, 1500, 3);
        let mut seen: Vec<(usize, usize, u32)> = played.iter().map(|t| (t.candidate, t.day, t.seed)).collect();
        seen.sort_unstable();
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{name}");
        assert!(played.len() <= 1500 + 64 * FINALISTS, "{name}: {} runs", played.len());
    }
}

#[test]
fn what_is_surely_dearer_is_not_looked_at_to_the_end() {
    let (found, _) = found(Method::Race, 1500, 3);
    let runs: Vec<usize> = found.samples.iter().map(Vec::len).collect();
    let dropped: Vec<usize> = (1..runs.len()).filter(|&c| runs[c] == 4 || runs[c] == 16).collect();
    assert!(dropped.len() > 20, "{runs:?}");
    assert!(!dropped.contains(&0), "what all is compared with stays");
    let cost = |c: usize| found.samples[c][0].outcome.cost;
    let best = found.finalists.iter().map(|&c| cost(c)).fold(f64::INFINITY, f64::min);
    assert!(dropped.iter().all(|&c| cost(c) > best), "none that would have won");
}

#[test]
fn the_same_seed_searches_the_same_way_and_the_present_setting_is_candidate_0() {
    let (a, b) = (found(Method::Race, 600, 9), found(Method::Race, 600, 9));
    assert_eq!((a.0.candidates, a.1), (b.0.candidates, b.1));
    assert_ne!(found(Method::Race, 600, 10).0.candidates, found(Method::Race, 600, 9).0.candidates);
    assert_eq!(found(Method::Race, 600, 9).0.candidates[0].origin, Origin::Present);
}

#[test]
fn what_does_not_matter_is_left_as_it_is() {
    let ranges = ["x=0.0..1.0", "y=0..20", "idle=0.0..1.0"].map(|range| range.parse().unwrap()).to_vec();
    let (space, rules) = (Space::new(ranges, Vec::new(), |_| None).unwrap(), p99_below(400));
    let present = Some(vec![0.1, 0.5, 0.25]);
    let task = Task { space: &space, rules: &rules, present, method: Method::Race, budget: 600, seed: 3, days: 3 };
    let found = search(&task, &mut Toy { played: Vec::new() }).unwrap_or_else(|_| unreachable!("it never stops"));
    let importance = found.importance(&space, &rules);
    assert!(importance[0].of_cost > 0.5 && !importance[2].matters(), "{importance:?}");
    let of =
        |c: usize| found.candidates[c].settings.iter().map(|(_, value)| value.number().unwrap()).collect::<Vec<_>>();
    let plain: Vec<usize> =
        found.finalists.iter().copied().filter(|&c| found.candidates[c].origin == Origin::Plain).collect();
    assert!(!plain.is_empty());
    for c in plain {
        let settings = of(c);
        assert_eq!(settings[2], 0.25);
        let same = found.finalists.iter().any(|&other| other != c && of(other)[..2] == settings[..2]);
        assert!(same, "what matters is as in one that was found");
        assert_eq!(found.samples[c].len(), found.samples[found.finalists[0]].len());
    }
}

#[test]
fn a_space_without_room_names_the_condition() {
    let (space, rules) = (space(&["x > 2"]), p99_below(400));
    let task =
        Task { space: &space, rules: &rules, present: None, method: Method::Race, budget: 100, seed: 1, days: 1 };
    let error = search(&task, &mut Toy { played: Vec::new() }).unwrap_err();
    assert_eq!(error.to_string(), "none of 1000 points is possible; the last was refused: it does not meet x > 2");
}

#[test]
fn a_grid_has_every_value_of_what_has_few() {
    let space = Space::new(
        vec!["a={p, q}".parse().unwrap(), "b=0.0..1.0".parse().unwrap(), "c=1..3".parse().unwrap()],
        Vec::new(),
        |_| None,
    );
    let points = grid(&space.unwrap(), 40);
    assert_eq!(points.len(), 36);
    let ends = |x: f64| points.iter().any(|point| (point[1] - x).abs() < 1e-9);
    assert!(ends(0.0) && ends(1.0) && ends(0.2));
}
