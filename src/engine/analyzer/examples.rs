//! Worked examples of the verdict, and its calibration on labelled traffic that is generated here.

use super::audience::Visit;
use super::verdict::{Circumstances, Class, Evidence, Verdict, malicious};
use super::*;
use crate::rng::{Dice, Draws, Stream, mix};

fn evidence(pieces: [f64; 8]) -> Evidence {
    let [new_sources, per_client, agent_collapse, regularity, step_onset, errors, geo_shift, path_shift] =
        pieces.map(Some);
    Evidence { new_sources, per_client, agent_collapse, regularity, step_onset, errors, geo_shift, path_shift }
}

fn class(evidence: Evidence, requests: u64) -> (f64, Class) {
    let verdict = Verdict::of(evidence, Circumstances { requests, ..Circumstances::default() });
    (verdict.score, verdict.class)
}

#[test]
fn evidence_is_weighed() {
    for (pieces, score, expected) in [
        ([0.45, 0.02, 0.05, 0.01, 0.30, 0.05, 0.20, 0.60], 0.198, Class::Organic),
        ([0.97, 0.60, 0.80, 0.70, 0.95, 0.40, 0.50, 0.70], 0.7625, Class::Attack),
        ([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.236453, 0.30], 0.526823, Class::Suspicious),
    ] {
        let (found, class) = class(evidence(pieces), 1000);
        assert!((found - score).abs() < 1e-6 && class == expected, "{found} {class:?}");
    }
    assert_eq!(class(evidence([1.0; 8]), 199).1, Class::Unknown);
    let partial = Evidence { new_sources: Some(1.0), geo_shift: Some(0.0), ..Evidence::default() };
    assert!((partial.score() - 0.25 / 0.30).abs() < 1e-12, "what is not known is left out");
}

/// Who makes a spike, in generated traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Truth {
    Crowd,
    Crawler,
    /// Few machines that send much.
    Flood,
    /// Many machines that send little.
    Botnet,
}

const TRUTHS: [Truth; 5] = [Truth::Crowd, Truth::Crowd, Truth::Crawler, Truth::Flood, Truth::Botnet];

/// A spike with its label: half an hour of ordinary traffic, then ten minutes of it.
struct Scene {
    truth: Truth,
    dice: Dice,
    base: f64,
    times: f64,
    ramp: f64,
    machines: u64,
    /// Share of requests from networks that are known.
    known: f64,
    regular: bool,
    agents: u64,
    pages: u64,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let dice = Dice::new(seed, Stream::Client);
        let mut draw = dice.draws(u64::MAX);
        let truth = TRUTHS[(seed % TRUTHS.len() as u64) as usize];
        let mut between = |low: f64, high: f64| low + (high - low) * draw.unit();
        let crowd = truth == Truth::Crowd;
        Scene {
            truth,
            dice,
            base: between(20.0, 80.0),
            times: between(2.5, 6.0),
            // A link in the news is there at once as well; an attack may be patient.
            ramp: if crowd { between(5.0, 300.0) } else { between(1.0, 90.0) },
            machines: match truth {
                Truth::Crowd => 0,
                Truth::Crawler => 1,
                Truth::Flood => between(10.0, 300.0) as u64,
                Truth::Botnet => between(1000.0, 20_000.0) as u64,
            },
            known: if crowd { between(0.1, 0.95) } else { between(0.0, 0.4) },
            regular: between(0.0, 1.0) < 0.6,
            // A push message reaches the users of one app; a botnet may pretend to be a dozen browsers.
            agents: if crowd { between(2.0, 30.0) as u64 } else { between(1.0, 12.0) as u64 },
            pages: between(1.0, 12.0) as u64,
        }
    }

    fn ordinary(&self, at: Time, draw: &mut Draws) -> Visit {
        // Popularity falls off: the square of a uniform number.
        let client = (draw.unit().powi(2) * 20_000.0) as u64;
        Visit {
            at,
            client,
            prefix: client / 8,
            agent: Some(mix(client) % 30),
            endpoint: (draw.unit().powi(2) * 40.0) as u32,
            region: (mix(client) >> 20) as u32 % 6,
            client_error: Some(draw.unit() < 0.02),
        }
    }

    fn extra(&self, at: Time, n: u64, draw: &mut Draws) -> Visit {
        let mut visit = self.ordinary(at, draw);
        visit.endpoint = (draw.unit() * self.pages as f64) as u32;
        if self.truth == Truth::Crowd {
            if draw.unit() > self.known {
                // New people, some of them from networks that are known.
                visit.client = 1_000_000 + (draw.unit() * 40_000.0) as u64;
                visit.prefix = if draw.unit() < 0.4 { visit.prefix } else { visit.client / 8 };
                visit.region = (draw.unit().powi(2) * 6.0) as u32;
            }
            visit.agent = Some(mix(visit.client) % self.agents);
            return visit;
        }
        let machine = if self.regular { n % self.machines } else { (draw.unit() * self.machines as f64) as u64 };
        visit.client = 5_000_000 + machine;
        visit.prefix = if (mix(machine) % 1000) as f64 / 1000.0 < self.known { machine % 2500 } else { visit.client };
        visit.agent = Some(100 + mix(machine) % self.agents.max(1));
        visit.region = (mix(machine) >> 9) as u32 % 8;
        visit.client_error = Some(draw.unit() < 0.15);
        visit
    }

    /// Plays it; what the analyzer thinks when the spike is confirmed.
    fn verdict(&self) -> Option<Verdict> {
        let (mut analyzer, mut events) = (Analyzer::new(&Config::default()), Vec::new());
        let (mut n, mut extras) = (0, 0);
        for second in 0..2400u64 {
            let into = second as f64 - 1800.0;
            let extra = if into < 0.0 { 0.0 } else { (self.times - 1.0) * self.base * (into / self.ramp).min(1.0) };
            let total = self.base + extra;
            let count = total as u64;
            for i in 0..count {
                let at = Time(second * 1_000_000_000 + i * 1_000_000_000 / count);
                let mut draw = self.dice.draws(n);
                let visit = match draw.unit() * total < extra {
                    true => {
                        extras += 1;
                        self.extra(at, extras, &mut draw)
                    }
                    false => self.ordinary(at, &mut draw),
                };
                analyzer.visited(&visit);
                n += 1;
            }
            analyzer.tick(Time((second + 1) * 1_000_000_000), &mut events);
            let confirmed = events.iter().find_map(|event| match &event.kind {
                EventKind::SpikeDetected(spike) => spike.verdict,
                _ => None,
            });
            if confirmed.is_some() {
                return confirmed;
            }
        }
        None
    }
}

/// Scenes of these seeds, with what was thought of them.
fn play(seeds: std::ops::Range<u64>) -> Vec<(Truth, Verdict)> {
    seeds.filter_map(|seed| Scene::new(seed).verdict().map(|verdict| (Scene::new(seed).truth, verdict))).collect()
}

/// Probability that a malicious scene scores higher than a crowd.
fn area_under_curve(scenes: &[(Truth, Verdict)]) -> f64 {
    let p = |v: &Verdict| malicious(v.score, v.dominant);
    let (bad, good): (Vec<_>, Vec<_>) = scenes.iter().partition(|(truth, _)| *truth != Truth::Crowd);
    let wins: f64 = bad
        .iter()
        .flat_map(|(_, b)| good.iter().map(move |(_, g)| p(b).total_cmp(&p(g))))
        .map(|order| match order {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum();
    wins / (bad.len() * good.len()) as f64
}

#[test]
fn the_verdict_is_calibrated_on_generated_traffic() {
    let scenes = play(1000..1120);
    assert!(scenes.len() > 110, "{} of 120 spikes were found", scenes.len());
    let area = area_under_curve(&scenes);
    assert!(area > 0.95, "area under the curve {area}");
    // In four groups of equal size by probability, as many are malicious as was said.
    let mut said: Vec<(f64, f64)> = scenes
        .iter()
        .map(|(truth, v)| (malicious(v.score, v.dominant), f64::from(u8::from(*truth != Truth::Crowd))))
        .collect();
    said.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut error = 0.0;
    for group in said.chunks(said.len().div_ceil(4)) {
        let n = group.len() as f64;
        let (p, is) = group.iter().fold((0.0, 0.0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
        error += (p - is).abs() / n * n / said.len() as f64;
    }
    assert!(error < 0.1, "expected calibration error {error}");
    let crowds = scenes.iter().filter(|(truth, _)| *truth == Truth::Crowd);
    let (mut attacks, mut n) = (0, 0);
    for (_, verdict) in crowds {
        n += 1;
        attacks += u32::from(matches!(verdict.class, Class::Attack | Class::Bot));
    }
    assert!(attacks * 20 <= n, "{attacks} of {n} crowds were taken for attacks");
    let crawlers = scenes.iter().filter(|(truth, _)| *truth == Truth::Crawler);
    assert!(crawlers.clone().all(|(_, v)| v.class == Class::Bot), "{:?}", crawlers.collect::<Vec<_>>());
}

/// Newton's method on the likelihood of the logistic curve; prints the constants of `verdict.rs` and how classes come out.
#[test]
#[ignore = "fits and prints the calibration curve"]
fn calibration_curve() {
    let scenes = play(0..400);
    let rows: Vec<([f64; 3], f64)> = scenes
        .iter()
        .map(|(truth, v)| ([1.0, v.score, v.dominant], f64::from(u8::from(*truth != Truth::Crowd))))
        .collect();
    let mut curve = [0.0; 3];
    for _ in 0..200_000 {
        let mut gradient = [0.0; 3];
        for (x, y) in &rows {
            let p = 1.0 / (1.0 + (-(0..3).map(|i| curve[i] * x[i]).sum::<f64>()).exp());
            (0..3).for_each(|i| gradient[i] += (y - p) * x[i]);
        }
        // A weak prior keeps the curve finite where the classes part cleanly.
        (0..3).for_each(|i| curve[i] += 0.02 * (gradient[i] - 0.02 * curve[i]));
    }
    println!("curve {curve:?}, area {:.3} over {} scenes", area_under_curve(&scenes), scenes.len());
    for truth in [Truth::Crowd, Truth::Crawler, Truth::Flood, Truth::Botnet] {
        let of: Vec<&Verdict> = scenes.iter().filter(|(t, _)| *t == truth).map(|(_, v)| v).collect();
        let count = |class| of.iter().filter(|v| v.class == class).count();
        let classes =
            [Class::Organic, Class::Scheduled, Class::Suspicious, Class::Attack, Class::Bot, Class::Unknown];
        println!("{truth:?}: {:?}", classes.map(|class| (class.name(), count(class))));
        let pieces = of.iter().map(|v| v.evidence.pieces().map(|p| p.unwrap_or(f64::NAN)));
        let mut sums = [(0.0, 0u32); 8];
        pieces.flat_map(|p| p.into_iter().enumerate()).filter(|(_, p)| p.is_finite()).for_each(|(i, p)| {
            sums[i].0 += p;
            sums[i].1 += 1;
        });
        println!("   mean evidence {:.2?}", sums.map(|(sum, n)| sum / f64::from(n)));
    }
}
