//! What a person may see of a running engine, and change: its instances, its bounds, its rules.
//!
//! Nothing here is on the way of a request.

use crate::engine::analyzer::Analyzer;
use crate::engine::autoscaler::rules;
use crate::engine::request::InstanceId;
use crate::engine::{Belief, Engine};

/// A rule that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The engine has a fixed fleet.
    #[error("there is no autoscaler to give a rule to: add an [autoscaler] section")]
    NoAutoscaler,
    /// No rule is called that.
    #[error("there is no rule {0:?}")]
    Unknown(String),
    /// Another rule is called that.
    #[error("there is a rule {0:?} already")]
    Taken(String),
}

impl Engine {
    /// Every instance that the engine knows, in the order of launch, with a word for its state.
    pub fn instances(&self) -> impl Iterator<Item = (InstanceId, &'static str)> + '_ {
        self.fleet.iter().map(|(&id, belief)| {
            let state = match belief {
                Belief::Provisioning => "provisioning",
                Belief::Warming => "warming",
                Belief::Ready => "ready",
                Belief::Unhealthy => "unhealthy",
                Belief::Draining => "draining",
            };
            (id, state)
        })
    }

    /// Fewest and most instances that the autoscaler may have; `None`: the fleet is fixed.
    pub fn bounds(&self) -> Option<(u32, u32)> {
        self.autoscaler.as_ref().map(|autoscaler| (autoscaler.config().min, autoscaler.config().max))
    }

    /// The autoscaler's rules, disabled ones among them.
    pub fn rules(&self) -> &[rules::Config] {
        self.autoscaler.as_ref().map_or(&[], |autoscaler| &autoscaler.config().rules)
    }

    /// Replaces the rules. One that is the same as before keeps what it remembers.
    pub fn set_rules(&mut self, rules: Vec<rules::Config>) -> Result<(), RuleError> {
        let (Some(autoscaler), Some(scraper)) = (&mut self.autoscaler, &mut self.scraper) else {
            return Err(RuleError::NoAutoscaler);
        };
        scraper.wants(rules.iter().map(|rule| (rule.metric, rule.aggregate)));
        autoscaler.set_rules(rules);
        Ok(())
    }

    /// The rules with one more, behind the others.
    pub fn rules_with(&self, rule: rules::Config) -> Result<Vec<rules::Config>, RuleError> {
        if self.autoscaler.is_none() {
            return Err(RuleError::NoAutoscaler);
        }
        let mut rules = self.rules().to_vec();
        if rules.iter().any(|each| each.name == rule.name) {
            return Err(RuleError::Taken(rule.name));
        }
        rules.push(rule);
        Ok(rules)
    }

    /// The rules with one of them switched on or off.
    pub fn rules_switched(&self, name: &str, enabled: bool) -> Result<Vec<rules::Config>, RuleError> {
        if self.autoscaler.is_none() {
            return Err(RuleError::NoAutoscaler);
        }
        let mut rules = self.rules().to_vec();
        let rule = rules.iter_mut().find(|rule| rule.name == name).ok_or_else(|| RuleError::Unknown(name.into()))?;
        rule.enabled = enabled;
        Ok(rules)
    }

    /// Whether there is a breaker that a rule may open.
    pub fn has_breaker(&self) -> bool {
        self.gates.is_some()
    }

    /// What looks at the traffic; `None`: nobody does.
    pub fn analyzer(&self) -> Option<&Analyzer> {
        self.analyzer.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::autoscaler::rules::{Action, Operator};
    use crate::engine::metrics::Metric;
    use crate::engine::observation::{FleetObservation, InstanceSample};
    use crate::engine::{Command, Config, autoscaler};
    use crate::units::{Span, Time};

    fn engine() -> Engine {
        let config = autoscaler::Config { max: 5, ..Default::default() };
        let mut engine = Engine::new(&Config { autoscaler: Some(config), ..Config::default() });
        engine.adopt(Time::ZERO);
        engine
    }

    fn rule() -> rules::Config {
        rules::Config::new("busy", Metric::CpuUtilization, Operator::Gt, 50.0, Action::ScaleUp)
    }

    fn launches(engine: &mut Engine, seconds: u64) -> usize {
        let sample = InstanceSample {
            id: InstanceId(0),
            cpu_percent: 90.0,
            memory_percent: None,
            active: 1.0,
            queued: 0.0,
            event_loop_lag_ms: 0.0,
        };
        let fleet = FleetObservation { instances: vec![sample], ..FleetObservation::default() };
        let mut commands = Vec::new();
        engine.tick(Time(Span::from_secs(seconds).0), Some(&fleet), &mut commands);
        commands.iter().filter(|command| matches!(command, Command::Launch(_))).count()
    }

    #[test]
    fn a_rule_that_is_added_later_acts_on_a_metric_that_nobody_asked_for_before() {
        let mut engine = engine();
        assert_eq!(launches(&mut engine, 15), 0);
        engine.set_rules(engine.rules_with(rule()).unwrap()).unwrap();
        assert_eq!(engine.rules_with(rule()), Err(RuleError::Taken("busy".into())));
        assert_eq!(launches(&mut engine, 30), 1);
        engine.set_rules(engine.rules_switched("busy", false).unwrap()).unwrap();
        assert_eq!(launches(&mut engine, 45), 0, "it is switched off");
        assert_eq!(engine.rules_switched("idle", true), Err(RuleError::Unknown("idle".into())));
    }

    #[test]
    fn a_fixed_fleet_has_no_rules() {
        let engine = Engine::new(&Config::default());
        assert_eq!(engine.rules_with(rule()), Err(RuleError::NoAutoscaler));
        assert_eq!(engine.bounds(), None);
    }
}
