//! Advice: what the findings mean for the settings.
//!
//! Rules over what was found, each with a stable id, a setting of the scenario, its value, and the numbers behind it. "Within normal
//! range" is said only if nothing else is.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::engine::analyzer::verdict::{Class, Verdict};

/// A recommendation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// Stable: `spike-active`, `attack-suspected`, ….
    pub id: Cow<'static, str>,
    /// The key of the scenario to change; `None` if none is meant.
    pub setting: Option<Cow<'static, str>>,
    /// Its value.
    pub value: Option<f64>,
    /// Why, with the numbers.
    pub text: String,
}

impl Advice {
    fn set(id: &'static str, setting: &'static str, value: f64, text: String) -> Advice {
        Advice { id: id.into(), setting: Some(setting.into()), value: Some(value), text }
    }

    fn say(id: &'static str, text: String) -> Advice {
        Advice { id: id.into(), setting: None, value: None, text }
    }
}

/// Suspicious load gets at most this many times the capacity of an ordinary hour.
pub const SUSPICIOUS_MAX: f64 = 1.5;
/// A client is limited at this many times what one in a thousand sends in ordinary minutes.
const CLIENT_ROOM: f64 = 2.0;
/// Seconds of the window that limits are given for.
const WINDOW: f64 = 60.0;

/// What is known when a spike is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Situation {
    /// Rate now \[1/s\].
    pub rps: f64,
    /// Baseline \[1/s\].
    pub baseline_rps: f64,
    /// Highest rate of the spike so far \[1/s\].
    pub peak_rps: f64,
    /// Instances that take traffic.
    pub ready: u32,
    /// Instances that took traffic when the spike began.
    pub ready_before: u32,
    /// The rate that one client in a thousand exceeds in ordinary minutes \[1/s\]; 0 if not known.
    pub client_rps: f64,
    /// Rate of the busiest client \[1/s\]; 0 if not known.
    pub busiest_rps: f64,
}

/// What to do about a spike.
pub fn for_spike(verdict: &Verdict, now: &Situation) -> Vec<Advice> {
    let magnitude = now.peak_rps / now.baseline_rps.max(1e-9);
    let needed = (f64::from(now.ready_before.max(1)) * magnitude).ceil();
    let limit = client_limit(now);
    let per_client = |id| {
        Advice::set(
            id,
            "limiter.limit",
            limit,
            format!(
                "limit each client to {limit:.0} requests a minute (key \"client\", window \"1m\"): 999 of 1000 sent fewer than {:.0} \
                 a minute before; the busiest sends {:.0}",
                now.client_rps * WINDOW,
                now.busiest_rps * WINDOW
            ),
        )
    };
    match verdict.class {
        Class::Organic | Class::Scheduled | Class::Unknown => vec![Advice::set(
            "spike-active",
            "autoscaler.min",
            needed,
            format!(
                "{:.0}/s is {magnitude:.1} times the baseline that {} instances carried: {needed:.0} carry the peak",
                now.peak_rps,
                now.ready_before.max(1)
            ),
        )],
        Class::Bot => vec![per_client("bot-share-high")],
        Class::Suspicious => {
            let most = (SUSPICIOUS_MAX * f64::from(now.ready_before.max(1))).ceil();
            vec![
                per_client("attack-suspected"),
                Advice::set(
                    "attack-suspected",
                    "autoscaler.max",
                    most,
                    format!(
                        "until it is clear who this is, {most:.0} instances at most: {SUSPICIOUS_MAX} times the ordinary fleet"
                    ),
                ),
            ]
        }
        Class::Attack => {
            let most = f64::from(now.ready_before.max(1));
            vec![
                per_client("attack-suspected"),
                Advice::set(
                    "attack-suspected",
                    "autoscaler.max",
                    most,
                    format!(
                        "hold at {most:.0} instances: capacity for {:.0}/s more would be bought for nobody",
                        now.peak_rps - now.baseline_rps
                    ),
                ),
            ]
        }
    }
}

/// Requests a minute that a client needs.
fn client_limit(now: &Situation) -> f64 {
    (CLIENT_ROOM * now.client_rps * WINDOW).ceil().max(10.0)
}

/// What is known of traffic and fleet when nothing burns, or afterwards. `None` is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Confidence of the baseline, 0..1.
    pub baseline_confidence: Option<f64>,
    /// Requests an instance can serve \[1/s\].
    pub capacity_rps: Option<f64>,
    /// Bounds of the fleet.
    pub min: Option<u32>,
    /// See `min`.
    pub max: Option<u32>,
    /// From a decision to a request served \[s\].
    pub boot_seconds: Option<f64>,
    /// Highest upper bound of the forecast \[1/s\].
    pub forecast_peak_rps: Option<f64>,
    /// Lowest rate of the forecast, and how long the forecast stays below half of the rate now \[s\].
    pub quiet_rps: Option<f64>,
    /// See `quiet_rps`.
    pub quiet_seconds: Option<f64>,
    /// Steepest rise seen \[1/s per s\].
    pub ramp: Option<f64>,
    /// Headroom of the fleet at the rate now \[1/s\].
    pub headroom_rps: Option<f64>,
    /// Share of requests from bots, 0..1.
    pub bot_share: Option<f64>,
}

/// Recommendations, the most pressing first; never empty.
pub fn advise(found: &Findings) -> Vec<Advice> {
    let mut advice = Vec::new();
    if let (Some(peak), Some(capacity), Some(max)) = (found.forecast_peak_rps, found.capacity_rps, found.max)
        && peak > capacity * f64::from(max)
    {
        let needed = (peak / capacity.max(1e-9)).ceil();
        advice.push(Advice::set(
            "forecast-exceeds-max",
            "autoscaler.max",
            needed,
            format!(
                "the forecast reaches {peak:.0}/s; {max} instances carry {:.0}/s, {needed:.0} are needed",
                capacity * f64::from(max)
            ),
        ));
    }
    if let (Some(ramp), Some(boot), Some(headroom)) = (found.ramp, found.boot_seconds, found.headroom_rps)
        && ramp * boot > headroom
        && let Some(capacity) = found.capacity_rps
    {
        let spare = ((ramp * boot - headroom) / capacity.max(1e-9)).ceil();
        let min = f64::from(found.min.unwrap_or(0)) + spare;
        advice.push(Advice::set(
            "ramp-exceeds-survivable",
            "autoscaler.min",
            min,
            format!(
                "load rose by {ramp:.1}/s each second; in the {boot:.0} s that an instance takes to come, that is {:.0}/s, and \
                 {headroom:.0}/s are spare: {spare:.0} more instances bridge it",
                ramp * boot
            ),
        ));
    }
    if let Some(share) = found.bot_share.filter(|share| *share > 0.3) {
        advice.push(Advice::say(
            "bot-share-high",
            format!("{:.0} % of requests come from bots: serve them from a cache, or limit them", 100.0 * share),
        ));
    }
    if let (Some(rps), Some(seconds), Some(capacity), Some(min)) =
        (found.quiet_rps, found.quiet_seconds, found.capacity_rps, found.min)
        && seconds >= 1800.0
        && (rps / capacity.max(1e-9)).ceil() < f64::from(min)
    {
        let enough = (rps / capacity.max(1e-9)).ceil().max(1.0);
        advice.push(Advice::set(
            "scale-down-safe-until",
            "autoscaler.min",
            enough,
            format!(
                "the forecast stays below {rps:.0}/s for {:.0} minutes: {enough:.0} instances carry it",
                seconds / 60.0
            ),
        ));
    }
    if let Some(confidence) = found.baseline_confidence.filter(|confidence| *confidence < 0.5) {
        advice.push(Advice::say(
            "baseline-low-confidence",
            format!(
                "the baseline is worth {:.0} %: it has seen too little, or load varies too much within the hour",
                100.0 * confidence
            ),
        ));
    }
    if advice.is_empty() {
        advice.push(Advice::say("within-normal-range", "nothing stands out".to_string()));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::analyzer::verdict::{Circumstances, Evidence};

    fn ids(advice: &[Advice]) -> Vec<(&str, Option<f64>)> {
        advice.iter().map(|a| (&*a.id, a.value)).collect()
    }

    #[test]
    fn a_crowd_gets_capacity_and_an_attack_gets_a_limit() {
        let now = Situation {
            rps: 600.0,
            baseline_rps: 200.0,
            peak_rps: 700.0,
            ready: 4,
            ready_before: 4,
            client_rps: 0.5,
            busiest_rps: 20.0,
        };
        let verdict =
            |evidence, dominant| Verdict::of(evidence, Circumstances { requests: 5000, dominant, recurs: false });
        let crowd = verdict(Evidence { new_sources: Some(0.2), ..Evidence::default() }, 0.0);
        assert_eq!(ids(&for_spike(&crowd, &now)), [("spike-active", Some(14.0))]);
        let attack = verdict(Evidence { new_sources: Some(0.9), ..Evidence::default() }, 0.0);
        assert_eq!(
            ids(&for_spike(&attack, &now)),
            [("attack-suspected", Some(60.0)), ("attack-suspected", Some(4.0))]
        );
        let bot = verdict(Evidence::default(), 0.8);
        assert_eq!(ids(&for_spike(&bot, &now)), [("bot-share-high", Some(60.0))]);
    }

    #[test]
    fn every_rule_names_its_number_and_silence_is_said_only_alone() {
        let found = Findings {
            capacity_rps: Some(50.0),
            min: Some(4),
            max: Some(10),
            boot_seconds: Some(60.0),
            forecast_peak_rps: Some(1200.0),
            ramp: Some(5.0),
            headroom_rps: Some(100.0),
            baseline_confidence: Some(0.9),
            ..Findings::default()
        };
        assert_eq!(
            ids(&advise(&found)),
            [("forecast-exceeds-max", Some(24.0)), ("ramp-exceeds-survivable", Some(8.0))]
        );
        let quiet = Findings {
            capacity_rps: Some(50.0),
            min: Some(4),
            quiet_rps: Some(80.0),
            quiet_seconds: Some(7200.0),
            ..Findings::default()
        };
        assert_eq!(ids(&advise(&quiet)), [("scale-down-safe-until", Some(2.0))]);
        assert_eq!(ids(&advise(&Findings::default())), [("within-normal-range", None)]);
        let unsure = Findings { baseline_confidence: Some(0.2), ..Findings::default() };
        assert_eq!(ids(&advise(&unsure)), [("baseline-low-confidence", None)]);
    }
}
