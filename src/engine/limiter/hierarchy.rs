//! Several rules at once, costs, gateways that share quotas, and a mode that only looks.
//!
//! "10 a second and 500 a minute for a client, 5,000 a second for all": every rule is asked, and the request is let in **only if all
//! allow it**; what one rule refuses is charged to none. Of several refusals the longest wait counts. The order of rules
//! changes no decision.

use super::outside::{Answer, Outside, Tally};
use super::shared::{self, Mode, OnFailure, Shared, Sharing};
use super::{Config, Key, Limiter, Verdict};
use crate::engine::events::Event;
use crate::engine::request::Request;
use crate::rng::{Dice, Stream};
use crate::units::{Span, Time};

/// Rules beyond a single plain one.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Extras {
    /// Further rules, all of which must allow a request.
    pub also: Vec<Config>,
    /// What a request costs, by endpoint; missing ones cost 1.
    pub costs: Vec<u32>,
    /// How gateways share the quotas; `None`: there is one gateway.
    pub sharing: Option<Sharing>,
    /// Whether it decides and counts, and lets everything pass.
    pub shadow: bool,
}

impl Extras {
    /// Whether there is anything beyond a single plain rule.
    pub fn is_on(&self) -> bool {
        *self != Extras::default() && (self.costs.iter().any(|&cost| cost != 1) || self.rest_is_on())
    }

    fn rest_is_on(&self) -> bool {
        !self.also.is_empty() || self.sharing.is_some() || self.shadow
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A quota is used up; `None`: it will never do, it costs more than the quota.
    Quota {
        /// How long until it would be let in.
        retry_after: Option<Span>,
    },
    /// The store of quotas does not answer, and nobody is let in without it.
    StoreDown,
}

/// The rules of all gateways.
#[derive(Debug)]
pub struct Hierarchy {
    rules: Vec<Rule>,
    /// By rule.
    windows: Vec<Span>,
    costs: Vec<u32>,
    gateways: u32,
    shadow: bool,
    would_refuse: u64,
    /// Where a store may be asked.
    outside: Option<Box<Outside>>,
    dice: Dice,
}

#[derive(Debug)]
enum Rule {
    Alone(Key, Limiter),
    Shared(Key, Box<Shared>),
}

impl Rule {
    fn key(&self, request: &Request) -> u32 {
        match self {
            Rule::Alone(key, _) | Rule::Shared(key, _) => key.of(request),
        }
    }

    fn is_by(&self, by: Key) -> bool {
        match self {
            Rule::Alone(key, _) | Rule::Shared(key, _) => *key == by,
        }
    }

    /// Whether `cost` would be let in; changes nothing.
    fn peek(&mut self, now: Time, gateway: u32, key: u32, cost: u32) -> Result<(), Denial> {
        match self {
            Rule::Alone(_, limiter) => peek(limiter, now, key, cost),
            Rule::Shared(_, shared) => shared.peek(now, gateway, key, cost),
        }
    }

    fn take(&mut self, now: Time, gateway: u32, key: u32, cost: u32) -> Result<(), Denial> {
        match self {
            Rule::Alone(_, limiter) => verdict(limiter.check(now, key, cost)),
            Rule::Shared(_, shared) => shared.take(now, gateway, key, cost),
        }
    }

    /// What is left of a quota; of a shared one, as its store sees it, or else the first gateway.
    fn state(&mut self, now: Time, key: u32) -> Verdict {
        match self {
            Rule::Alone(_, limiter) => limiter.check(now, key, 0),
            Rule::Shared(_, shared) => shared.state(now, key),
        }
    }

    /// How long what was taken last waits.
    fn delay(&self, gateway: u32, key: u32) -> Span {
        match self {
            Rule::Alone(_, limiter) => limiter.delay(key),
            Rule::Shared(_, shared) => shared.delay(gateway, key),
        }
    }
}

/// What a verdict means for the request.
pub(super) fn verdict(verdict: Verdict) -> Result<(), Denial> {
    if verdict.allowed { Ok(()) } else { Err(Denial::Quota { retry_after: verdict.retry_after }) }
}

/// Whether a limiter would let `cost` in; what it refuses changes nothing, and what it would let in is not taken.
pub(super) fn peek(limiter: &mut Limiter, now: Time, key: u32, cost: u32) -> Result<(), Denial> {
    let state = limiter.check(now, key, 0);
    if state.remaining >= cost { Ok(()) } else { verdict(limiter.check(now, key, cost)) }
}

impl Hierarchy {
    /// Full quotas; `keys` tells how many keys of a kind there are.
    pub fn new(first: &Config, extras: &Extras, keys: impl Fn(Key) -> usize, seed: u64) -> Hierarchy {
        let keys: &dyn Fn(Key) -> usize = &keys;
        let rule = |config: &Config| match &extras.sharing {
            None => Rule::Alone(config.key, Limiter::new(config, keys(config.key))),
            Some(sharing) => Rule::Shared(config.key, Box::new(Shared::new(config, sharing, keys(config.key)))),
        };
        let outside = extras.sharing.as_ref().filter(|sharing| sharing.mode == Mode::Store);
        Hierarchy {
            rules: std::iter::once(first).chain(&extras.also).map(rule).collect(),
            windows: std::iter::once(first).chain(&extras.also).map(|config| config.window).collect(),
            costs: extras.costs.clone(),
            gateways: extras.sharing.as_ref().map_or(1, |sharing| sharing.gateways),
            shadow: extras.shadow,
            would_refuse: 0,
            outside: outside.map(|sharing| Box::new(outside_of(first, extras, sharing, keys, seed))),
            dice: Dice::new(seed ^ 0x4741_5445, Stream::Balancer),
        }
    }

    /// Lets a request in under every rule, or says which wait is the longest; `Ok` is how long it waits before it goes on.
    pub fn admit(&mut self, now: Time, request: &Request) -> Result<Span, Denial> {
        let decision = self.decide(now, request);
        self.carried_out(decision)
    }

    /// The same, a store having been asked; where there is none to ask, its answer counts for nothing.
    pub fn admit_told(
        &mut self,
        now: Time,
        request: &Request,
        answer: &Answer,
        events: &mut Vec<Event>,
    ) -> Result<Span, Denial> {
        let Some(outside) = &mut self.outside else { return self.admit(now, request) };
        let decision = outside.decide(now, request, answer, events).map(|()| Span::ZERO);
        self.carried_out(decision)
    }

    /// Whether a store is asked now.
    pub fn asks_store(&self, now: Time) -> bool {
        self.outside.as_ref().is_some_and(|outside| !outside.is_silent(now))
    }

    /// What a store was asked so far; `None`: none was.
    pub fn tally(&self) -> Option<&Tally> {
        self.outside.as_ref().map(|outside| outside.tally()).filter(|tally| **tally != Tally::default())
    }

    /// What this gateway's own part of the quotas leaves a client whom no store decided about; `None`: it has no part.
    pub fn tightest_part(&mut self, now: Time, request: &Request) -> Option<(usize, Verdict)> {
        self.outside.as_mut()?.tightest(now, request)
    }

    /// A decision as it is carried out: not at all, where it is only looked at.
    fn carried_out(&mut self, decision: Result<Span, Denial>) -> Result<Span, Denial> {
        if self.shadow {
            self.would_refuse += u64::from(decision.is_err());
            return Ok(Span::ZERO);
        }
        decision
    }

    /// What a client may be told of its quota: the number of the rule that leaves it the smallest part of its limit (of several the one
    /// with the longest window), 0 the first, and what that leaves.
    pub fn tightest(&mut self, now: Time, request: &Request) -> (usize, Verdict) {
        let left = |verdict: &Verdict| f64::from(verdict.remaining) / f64::from(verdict.limit.max(1));
        let mut best: Option<(usize, Verdict)> = None;
        for (i, rule) in self.rules.iter_mut().enumerate() {
            let verdict = rule.state(now, rule.key(request));
            let is_tighter = |(b, of): (usize, &Verdict)| {
                let (here, there) = (left(&verdict), left(of));
                here < there || here == there && self.windows[i] > self.windows[b]
            };
            if best.as_ref().is_none_or(|(b, of)| is_tighter((*b, of))) {
                best = Some((i, verdict));
            }
        }
        best.expect("there is a first rule")
    }

    /// Whether no rule has anything of a client's quota used.
    pub fn is_idle(&mut self, now: Time, client: u32) -> bool {
        self.rules.iter_mut().all(|rule| !rule.is_by(Key::Client) || rule.state(now, client).reset_after.is_zero())
    }

    /// Requests that would have been refused, were it not only looking.
    pub fn would_refuse(&self) -> u64 {
        self.would_refuse
    }

    fn decide(&mut self, now: Time, request: &Request) -> Result<Span, Denial> {
        let cost = self.costs.get(usize::from(request.endpoint)).copied().unwrap_or(1);
        let draw = self.dice.sub(request.index, u64::from(request.attempt)).bits();
        let gateway = crate::rng::pick(draw, self.gateways as usize) as u32;
        if let [rule] = &mut self.rules[..] {
            let key = rule.key(request);
            rule.take(now, gateway, key, cost)?;
            return Ok(rule.delay(gateway, key));
        }
        let mut worst: Option<Denial> = None;
        for rule in &mut self.rules {
            let key = rule.key(request);
            if let Err(denial) = rule.peek(now, gateway, key, cost) {
                worst = Some(worst.map_or(denial, |worst| longer(worst, denial)));
            }
        }
        if let Some(denial) = worst {
            return Err(denial);
        }
        let mut delay = Span::ZERO;
        for rule in &mut self.rules {
            let key = rule.key(request);
            rule.take(now, gateway, key, cost)?;
            delay = delay.max(rule.delay(gateway, key));
        }
        Ok(delay)
    }
}

/// The engine's side of a store, with this gateway's part of every quota if that replaces it.
fn outside_of(first: &Config, extras: &Extras, sharing: &Sharing, keys: &dyn Fn(Key) -> usize, seed: u64) -> Outside {
    let part = |config: &Config| shared::part(config, sharing.gateways.max(1));
    let also = extras.also.iter().map(part).collect();
    let own = Extras { also, costs: extras.costs.clone(), ..Extras::default() };
    let parts = (sharing.on_failure == OnFailure::Local).then(|| Hierarchy::new(&part(first), &own, keys, seed));
    Outside::new(sharing.on_failure, parts)
}

/// The denial that lasts longer; never is the longest.
fn longer(a: Denial, b: Denial) -> Denial {
    let wait = |denial: Denial| match denial {
        Denial::StoreDown => Span::ZERO,
        Denial::Quota { retry_after } => retry_after.unwrap_or(Span::MAX),
    };
    if wait(b) > wait(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::super::Algorithm;
    use super::*;
    use proptest::prelude::*;

    fn log(limit: u32, window: Span) -> Config {
        Config::new(Algorithm::SlidingLog, Key::Global, limit, window)
    }

    fn of(client: u32, endpoint: u16, index: u64) -> Request {
        Request { index, attempt: 1, client, endpoint, region: 0, avoid: None }
    }

    fn wait_ms(result: Result<Span, Denial>) -> Option<u64> {
        match result {
            Ok(_) => None,
            Err(Denial::Quota { retry_after }) => retry_after.map(|wait| wait.0 / 1_000_000),
            Err(Denial::StoreDown) => panic!("there is no store"),
        }
    }

    #[test]
    fn a_request_refused_by_one_rule_is_charged_to_none() {
        let rules = [log(2, Span::from_secs(1)), log(3, Span::from_secs(60))];
        for (first, second) in [(0, 1), (1, 0)] {
            let extras = Extras { also: vec![rules[second].clone()], ..Extras::default() };
            let mut hierarchy = Hierarchy::new(&rules[first], &extras, |_| 1, 1);
            let waits =
                [0, 0, 0, 1000, 1000, 2000].map(|ms| wait_ms(hierarchy.admit(Time(ms * 1_000_000), &of(0, 0, ms))));
            assert_eq!(waits, [None, None, Some(1000), None, Some(59_000), Some(58_000)], "RL-39");
        }
    }

    #[test]
    fn a_client_is_told_of_the_quota_that_is_nearest_to_its_end() {
        // 10 a second with 9 left after this one, 500 a minute with 100 left.
        let rules = [log(10, Span::from_secs(1)), log(500, Span::from_secs(60))];
        let extras = Extras { also: vec![rules[1].clone()], ..Extras::default() };
        let mut hierarchy = Hierarchy::new(&rules[0], &extras, |_| 1, 1);
        (0..399).for_each(|i| assert!(hierarchy.admit(Time(i * 110_000_000), &of(0, 0, i)).is_ok()));
        let now = Time(45_000_000_000);
        assert!(hierarchy.admit(now, &of(0, 0, 400)).is_ok());
        let (rule, verdict) = hierarchy.tightest(now, &of(0, 0, 400));
        assert_eq!((rule, verdict.remaining, verdict.limit), (1, 100, 500), "RL-52");
    }

    #[test]
    fn costs_weigh_and_what_costs_more_than_the_quota_never_passes() {
        let extras = Extras { costs: vec![1, 4, 9], ..Extras::default() };
        let mut hierarchy = Hierarchy::new(&log(8, Span::from_secs(1)), &extras, |_| 1, 1);
        let mut ask = |endpoint| hierarchy.admit(Time::ZERO, &of(0, endpoint, 0));
        assert_eq!([ask(1), ask(0)], [Ok(Span::ZERO); 2]);
        assert_eq!(ask(1), Err(Denial::Quota { retry_after: Some(Span::from_secs(1)) }));
        assert_eq!(ask(2), Err(Denial::Quota { retry_after: None }));
        assert_eq!([ask(0), ask(0), ask(0)], [Ok(Span::ZERO); 3]);
    }

    #[test]
    fn a_shadow_lets_everything_pass_and_counts() {
        let extras = Extras { shadow: true, ..Extras::default() };
        let mut hierarchy = Hierarchy::new(&log(1, Span::from_secs(1)), &extras, |_| 1, 1);
        assert!((0..5).all(|i| hierarchy.admit(Time::ZERO, &of(0, 0, i)).is_ok()));
        assert_eq!(hierarchy.would_refuse(), 4);
    }

    proptest! {
        /// The order of rules changes no decision, and each rule holds by itself.
        #[test]
        fn the_order_of_rules_changes_nothing(
            limits in proptest::collection::vec((1u32..6, 1u64..5, 0usize..6), 1..4),
            steps in proptest::collection::vec((0u64..900, 0u32..2), 1..80),
        ) {
            let configs: Vec<Config> = limits
                .iter()
                .map(|&(limit, seconds, algorithm)| Config {
                    algorithm: Algorithm::ALL[algorithm].1,
                    key: Key::Client,
                    ..log(limit, Span::from_secs(seconds))
                })
                .collect();
            let play = |order: &[Config]| {
                let extras = Extras { also: order[1..].to_vec(), ..Extras::default() };
                let mut hierarchy = Hierarchy::new(&order[0], &extras, |_| 2, 1);
                let mut now = 0;
                steps
                    .iter()
                    .map(|&(gap, client)| {
                        now += gap * 1_000_000;
                        hierarchy.admit(Time(now), &of(client, 0, now))
                    })
                    .collect::<Vec<_>>()
            };
            let mut reversed = configs.clone();
            reversed.reverse();
            prop_assert_eq!(play(&configs), play(&reversed));
        }
    }
}
