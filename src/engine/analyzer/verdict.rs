//! Who is it? A crowd, a machine, or an attack.
//!
//! The same rise can be customers, a crawler, or an attack, and each wants another answer. Eight pieces of evidence, each 0..1,
//! are weighed into a score; what cannot be known is left out and the weights of the rest make up for it. In a crowd most
//! clients were seen before, and each asks no more than usual; an attack comes from strangers, or from few who ask very much,
//! with one user agent, at regular intervals, at once (Jung, Krishnamurthy, Rabinovich 2002; Heo, Oh, Jang 2009).

use serde::{Deserialize, Serialize};

/// What was observed of the requests of a spike, each 0..1; `None` if it cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Share of requests from address prefixes that had not been seen.
    pub new_sources: Option<f64>,
    /// Share of requests from clients that send more than nearly all did before.
    pub per_client: Option<f64>,
    /// Loss of diversity of user agents.
    pub agent_collapse: Option<f64>,
    /// Share of busy clients that send at regular intervals.
    pub regularity: Option<f64>,
    /// Share of the rise reached within one bin.
    pub step_onset: Option<f64>,
    /// Rise of the share of client errors (4xx).
    pub errors: Option<f64>,
    /// Change of the mix of regions.
    pub geo_shift: Option<f64>,
    /// Change of the mix of endpoints.
    pub path_shift: Option<f64>,
}

/// Names and weights, in the order of the fields.
pub const WEIGHTS: [(&str, f64); 8] = [
    ("new_sources", 0.25),
    ("per_client", 0.20),
    ("agent_collapse", 0.15),
    ("regularity", 0.15),
    ("step_onset", 0.10),
    ("errors", 0.05),
    ("geo_shift", 0.05),
    ("path_shift", 0.05),
];

impl Evidence {
    /// The pieces, in the order of [`WEIGHTS`].
    pub fn pieces(&self) -> [Option<f64>; 8] {
        [
            self.new_sources,
            self.per_client,
            self.agent_collapse,
            self.regularity,
            self.step_onset,
            self.errors,
            self.geo_shift,
            self.path_shift,
        ]
    }

    /// The evidence of its pieces, by their names in [`WEIGHTS`].
    pub fn from_pieces(piece: impl Fn(&str) -> Option<f64>) -> Evidence {
        Evidence {
            new_sources: piece("new_sources"),
            per_client: piece("per_client"),
            agent_collapse: piece("agent_collapse"),
            regularity: piece("regularity"),
            step_onset: piece("step_onset"),
            errors: piece("errors"),
            geo_shift: piece("geo_shift"),
            path_shift: piece("path_shift"),
        }
    }

    /// The weighted mean of what is known, 0..1; 0 if nothing is.
    pub fn score(&self) -> f64 {
        let known = || WEIGHTS.iter().zip(self.pieces()).filter_map(|((_, weight), piece)| Some((weight, piece?)));
        let total: f64 = known().map(|(weight, _)| weight).sum();
        let sum: f64 = known().map(|(weight, piece)| weight * piece.clamp(0.0, 1.0)).sum();
        if total > 0.0 { sum / total } else { 0.0 }
    }
}

/// What a spike is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// Customers: add capacity.
    Organic,
    /// Customers who come at this hour every time.
    Scheduled,
    /// One client, or one agent: limit it.
    Bot,
    /// Not clear: add a little capacity, and limit clients.
    Suspicious,
    /// An attack: limit, and buy nothing.
    Attack,
    /// Too few requests to tell.
    Unknown,
}

impl Class {
    /// The class of a name; a name of another version is unknown.
    pub fn from_name(name: &str) -> Class {
        let known = [Class::Organic, Class::Scheduled, Class::Bot, Class::Suspicious, Class::Attack];
        known.into_iter().find(|class| class.name() == name).unwrap_or(Class::Unknown)
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Class::Organic => "organic",
            Class::Scheduled => "scheduled",
            Class::Bot => "bot",
            Class::Suspicious => "suspicious",
            Class::Attack => "attack",
            Class::Unknown => "unknown",
        }
    }
}

/// Scores from here on are suspicious: on generated traffic, three in four that score this are not customers.
pub const SUSPICIOUS: f64 = 0.25;
/// Scores from here on are an attack. A load generator with addresses at random and one agent stays below.
pub const ATTACK: f64 = 0.55;
/// Requests below which nothing is said.
pub const LEAST: u64 = 200;
/// One client (or agent) with more than this share of the rise is a bot.
pub const DOMINANT: f64 = 0.5;

/// A class, with what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it is taken for.
    pub class: Class,
    /// The weighted evidence, 0..1.
    pub score: f64,
    /// Probability that the class is right about whether these are customers, 0..1, calibrated on generated traffic.
    pub confidence: f64,
    /// The evidence.
    pub evidence: Evidence,
    /// Share of the rise that one client carries, 0..1.
    pub dominant: f64,
}

/// What besides evidence decides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Circumstances {
    /// Requests in the spike so far.
    pub requests: u64,
    /// Share of the rise that the busiest client (or agent) carries, 0..1.
    pub dominant: f64,
    /// Whether earlier spikes began at this hour.
    pub recurs: bool,
}

impl Verdict {
    /// Weighs the evidence.
    pub fn of(evidence: Evidence, circumstances: Circumstances) -> Verdict {
        let score = evidence.score();
        // Decisions are taken on a rounded score: platforms may differ in the last bit.
        let rounded = (score * 1e9).round() / 1e9;
        let class = if circumstances.requests < LEAST {
            Class::Unknown
        } else if circumstances.dominant > DOMINANT {
            Class::Bot
        } else if rounded >= ATTACK {
            Class::Attack
        } else if rounded >= SUSPICIOUS {
            Class::Suspicious
        } else if circumstances.recurs {
            Class::Scheduled
        } else {
            Class::Organic
        };
        let malicious = malicious(score, circumstances.dominant);
        let confidence = match class {
            Class::Organic | Class::Scheduled => 1.0 - malicious,
            Class::Bot | Class::Suspicious | Class::Attack => malicious,
            Class::Unknown => 0.0,
        };
        Verdict { class, score, confidence, evidence, dominant: circumstances.dominant }
    }
}

/// Offset, and slopes of score and dominance, of the logistic curve below: fitted by maximum likelihood to the generated
/// spikes of `examples.rs`, on seeds that its test of calibration does not use.
const CURVE: [f64; 3] = [-6.018, 28.098, 1.632];

/// Probability that a spike of this score is not customers.
pub fn malicious(score: f64, dominant: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-(CURVE[0] + CURVE[1] * score + CURVE[2] * dominant)))
}
