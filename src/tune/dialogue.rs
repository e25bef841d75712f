//! Ask and tell: candidates for whoever measures them elsewhere, on a live stack or in another simulator, as lines of JSON.
//!
//! ```text
//! ← {"ready":{"targets":["p99","availability"],"seeds":8}}
//! → {"ask":{"n":2}}
//! ← {"trial":1,"set":{"autoscaler.policy.target":61},"seeds":[1,2,3,4,5,6,7,8]}
//! ← {"trial":2,"set":{"autoscaler.policy.target":74},"seeds":[1,2,3,4,5,6,7,8]}
//! → {"tell":{"trial":1,"seed":3,"cost":36.4,"g":[-0.12,-0.4]}}
//! → {"best":{}}
//! ← {"trial":1,"set":{"autoscaler.policy.target":61},"cost":36.4,"safe":false,"runs":1}
//! ```
//!
//! Trial 0 is the present setting and is the first that is asked for. `g` has a number for each target, 0 where it is just met and positive where
//! it is broken (`judge`), in the order of `targets`. The first candidates are Sobol points; later ones are drawn where those that were told
//! are good (`tpe`). Candidates are compared on the seeds that both have.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::judge::{Outcome, Rules, Safety, Sample, Score};
use super::output::settings;
use super::race::Key;
use super::search::{Candidate, EQUAL_RUNS, Origin, PATIENCE, candidate};
use super::sobol::Sobol;
use super::space::{Space, Value};
use super::tpe;

/// Candidates that one question may ask for.
const MOST_ASKED: usize = 10_000;

/// What somebody says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Said {
    Ask(Ask),
    Tell(Tell),
    Best(Best),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default = "one")]
    n: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tell {
    trial: usize,
    seed: u32,
    cost: f64,
    g: Vec<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Best {}

fn one() -> usize {
    1
}

/// Whether a scenario can have these settings; the error says why not.
pub type Admits<'a> = &'a dyn Fn(&[(String, Value)]) -> Result<(), String>;

/// A conversation about one space.
pub struct Dialogue<'a> {
    space: &'a Space,
    rules: &'a Rules,
    seed: u64,
    confidence: f64,
    admits: Admits<'a>,
    sobol: Sobol,
    /// Points drawn so far of each kind.
    spread: u32,
    drawn: u64,
    candidates: Vec<Candidate>,
    /// Whether the present setting was asked for.
    begun: bool,
    told: Vec<BTreeMap<u32, Outcome>>,
}

impl<'a> Dialogue<'a> {
    /// Begins, with where the present setting lies in the cube, if it does.
    pub fn new(
        space: &'a Space,
        rules: &'a Rules,
        present: Option<Vec<f64>>,
        (seed, confidence): (u64, f64),
        admits: Admits<'a>,
    ) -> Dialogue<'a> {
        let present = Candidate { point: present, settings: Vec::new(), origin: Origin::Present };
        Dialogue {
            space,
            rules,
            seed,
            confidence,
            admits,
            sobol: Sobol::new(space.free.len(), seed),
            spread: 0,
            drawn: 0,
            candidates: vec![present],
            begun: false,
            told: vec![BTreeMap::new()],
        }
    }

    /// What is said first.
    pub fn ready(&self) -> Json {
        let targets: Vec<&str> = self.rules.goals.iter().map(|goal| goal.name()).collect();
        json!({ "ready": { "targets": targets, "seeds": EQUAL_RUNS } })
    }

    /// The answers to a line, or in words what is wrong with it.
    pub fn answer(&mut self, line: &str) -> Result<Vec<Json>, String> {
        let expected =
            r#"expected {"ask":{"n":2}}, {"tell":{"trial":0,"seed":1,"cost":1.5,"g":[-0.1]}} or {"best":{}}"#;
        match serde_json::from_str(line).map_err(|error| format!("{error}; {expected}"))? {
            Said::Ask(Ask { n }) if n > MOST_ASKED => Err(format!("ask.n: found {n}, expected at most {MOST_ASKED}")),
            Said::Ask(Ask { n }) => self.several(n),
            Said::Tell(tell) => self.hear(&tell).map(|()| Vec::new()),
            Said::Best(Best {}) => self.best().map(|best| vec![best]),
        }
    }

    fn shown(&self, trial: usize) -> Json {
        let seeds: Vec<u32> = (1..=EQUAL_RUNS).collect();
        json!({ "trial": trial, "set": settings(&self.candidates[trial]), "seeds": seeds })
    }

    /// As many as there are of `n`; what was proposed is never lost to what came after it.
    fn several(&mut self, n: usize) -> Result<Vec<Json>, String> {
        let mut proposed = Vec::new();
        while proposed.len() < n {
            match self.next() {
                Ok(next) => proposed.push(next),
                Err(error) if proposed.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(proposed)
    }

    fn next(&mut self) -> Result<Json, String> {
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(self.shown(0));
        }
        let mut why = "every setting was asked for already".to_string();
        for _ in 0..PATIENCE {
            let (point, origin) = self.point();
            let found = candidate(self.space, &self.candidates, point, origin, self.admits);
            match found.map_err(|error| error.to_string())? {
                Ok(new) => {
                    self.candidates.push(new);
                    self.told.push(BTreeMap::new());
                    return Ok(self.shown(self.candidates.len() - 1));
                }
                Err(refused) => why = refused.unwrap_or(why),
            }
        }
        Err(format!("none of {PATIENCE} points is possible: {why}"))
    }

    /// A point to look at: of the spread until enough was told, then one where good settings are dense.
    fn point(&mut self) -> (Vec<f64>, Origin) {
        let known: Vec<usize> = (0..self.candidates.len())
            .filter(|&c| !self.told[c].is_empty() && self.candidates[c].point.is_some())
            .collect();
        if known.len() < tpe::FIRST {
            self.spread += 1;
            return (self.sobol.point(self.spread - 1), Origin::Spread);
        }
        let mut keys: Vec<Key> = known.iter().map(|&c| Key::new(c, &self.score(c, |_| true))).collect();
        keys.sort();
        let points: Vec<&[f64]> =
            keys.iter().filter_map(|key| self.candidates[key.candidate].point.as_deref()).collect();
        self.drawn += 1;
        (tpe::suggest(&points, self.space.free.len(), self.seed, self.drawn - 1), Origin::Drawn)
    }

    fn score(&self, candidate: usize, counts: impl Fn(u32) -> bool) -> Score {
        let of_seed = |(&seed, outcome): (&u32, &Outcome)| Sample { day: 0, seed, outcome: outcome.clone() };
        let samples: Vec<Sample> =
            self.told[candidate].iter().filter(|(seed, _)| counts(**seed)).map(of_seed).collect();
        Score::of_seeds(&samples, self.rules)
    }

    fn hear(&mut self, tell: &Tell) -> Result<(), String> {
        let goals = &self.rules.goals;
        if tell.trial >= self.candidates.len() {
            return Err(format!(
                "tell.trial: found {}, the last that was asked for is {}",
                tell.trial,
                self.candidates.len() - 1
            ));
        }
        if tell.g.len() != goals.len() {
            let names: Vec<&str> = goals.iter().map(|goal| goal.name()).collect();
            let names = names.join(", ");
            return Err(format!("tell.g: found {} numbers, expected {}: {names}", tell.g.len(), goals.len()));
        }
        let observed = goals.iter().zip(&tell.g).map(|(goal, g)| Some(goal.observed_at(*g))).collect();
        let outcome = Outcome {
            cost: tell.cost,
            observed,
            instance_hours: tell.cost,
            p50_ms: None,
            p99_ms: None,
            availability: None,
            actions_per_hour: 0.0,
            simulated: 0,
        };
        self.told[tell.trial].insert(tell.seed, outcome);
        Ok(())
    }

    /// The best of what was told; each is compared with the best so far on the seeds that both have.
    fn best(&self) -> Result<Json, String> {
        let mut best: Option<usize> = None;
        for candidate in (0..self.candidates.len()).filter(|&c| !self.told[c].is_empty()) {
            let Some(champion) = best else {
                best = Some(candidate);
                continue;
            };
            let both =
                |seed: u32| self.told[candidate].contains_key(&seed) && self.told[champion].contains_key(&seed);
            let (new, old) = (self.score(candidate, both), self.score(champion, both));
            if new.n > 0 && Key::new(candidate, &new) < Key::new(champion, &old) {
                best = Some(candidate);
            }
        }
        let best = best.ok_or("best: nothing was told yet")?;
        let score = self.score(best, |_| true);
        Ok(json!({
            "trial": best,
            "set": settings(&self.candidates[best]),
            "cost": score.cost,
            "safe": score.safety(self.confidence) == Safety::Safe,
            "runs": score.n,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::judge::tests::p99_below;

    fn space() -> Space {
        Space::new(vec!["x=0.0..1.0".parse().unwrap(), "y=0..20".parse().unwrap()], Vec::new(), |_| None).unwrap()
    }

    /// Asks, measures what it is told to, and tells it, so many times.
    fn talked(times: usize) -> (Vec<Json>, Json) {
        let (space, rules) = (space(), p99_below(400));
        let mut dialogue = Dialogue::new(&space, &rules, None, (7, 0.95), &|_| Ok(()));
        let mut asked = Vec::new();
        for _ in 0..times {
            let trial = dialogue.answer(r#"{"ask":{}}"#).unwrap().remove(0);
            let value = |key: &str| trial["set"][key].as_f64();
            let (x, y) = (value("x").unwrap_or(0.1), value("y").unwrap_or(0.0));
            for seed in trial["seeds"].as_array().unwrap() {
                // The cheapest setting that holds is x = 0.7, y = 0.
                let noise = (seed.as_f64().unwrap() - 4.5) * 0.002;
                let g = (0.5 * (x - 0.7)) + noise;
                let tell = json!({ "tell": {
                    "trial": trial["trial"], "seed": seed, "cost": 100.0 - 50.0 * x + y, "g": [g],
                } });
                assert_eq!(dialogue.answer(&tell.to_string()).unwrap(), Vec::<Json>::new());
            }
            asked.push(trial);
        }
        (asked, dialogue.answer(r#"{"best":{}}"#).unwrap().remove(0))
    }

    #[test]
    fn what_is_told_leads_to_what_is_asked_next() {
        let (asked, best) = talked(60);
        assert_eq!(asked[0]["set"], json!({}), "the present setting comes first");
        assert!(asked.iter().enumerate().all(|(i, trial)| trial["trial"] == i));
        assert_eq!(best["safe"], true);
        let x = best["set"]["x"].as_f64().unwrap();
        assert!((0.55..0.7).contains(&x), "{best}");
        // Later points crowd where the best are.
        let near = |trials: &[Json]| {
            trials.iter().filter(|t| t["set"]["x"].as_f64().is_some_and(|x| (0.45..0.75).contains(&x))).count()
        };
        assert!(near(&asked[40..]) > near(&asked[..20]), "{} and {}", near(&asked[40..]), near(&asked[..20]));
        assert_eq!(talked(60), (asked, best), "the same again");
    }

    #[test]
    fn what_makes_no_sense_is_told_and_changes_nothing() {
        let (space, rules) = (space(), p99_below(400));
        let mut dialogue = Dialogue::new(&space, &rules, None, (7, 0.95), &|_| Ok(()));
        assert_eq!(dialogue.ready(), json!({ "ready": { "targets": ["p99"], "seeds": 8 } }));
        for (line, told) in [
            ("{\"best\":{}}", "best: nothing was told yet"),
            (
                "{\"tell\":{\"trial\":3,\"seed\":1,\"cost\":1,\"g\":[0]}}",
                "tell.trial: found 3, the last that was asked for is 0",
            ),
            ("{\"tell\":{\"trial\":0,\"seed\":1,\"cost\":1,\"g\":[]}}", "tell.g: found 0 numbers, expected 1: p99"),
            ("{\"ask\":{\"n\":100000}}", "ask.n: found 100000, expected at most 10000"),
            ("{\"ask\":{\"m\":1}}", "unknown field `m`"),
            ("ask", "expected {\"ask\":{\"n\":2}}"),
        ] {
            let error = dialogue.answer(line).unwrap_err();
            assert!(error.contains(told), "{line}: {error}");
        }
        let small = Space::new(vec!["y=0..1".parse().unwrap()], Vec::new(), |_| None).unwrap();
        let mut dialogue = Dialogue::new(&small, &rules, None, (7, 0.95), &|_| Ok(()));
        assert_eq!(dialogue.answer("{\"ask\":{\"n\":3}}").unwrap().len(), 3);
        assert!(dialogue.answer("{\"ask\":{}}").unwrap_err().ends_with("every setting was asked for already"));
        let mut dialogue = Dialogue::new(&small, &rules, None, (7, 0.95), &|_| Ok(()));
        assert_eq!(dialogue.answer("{\"ask\":{\"n\":9}}").unwrap().len(), 3, "as many as there are");
    }
}
