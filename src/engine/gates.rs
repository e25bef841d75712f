//! Breakers, wherever the scenario puts them: one for the service, one per endpoint, or one per instance.

use crate::engine::breaker::{Breaker, Config, Force, Passage, Rules, Scope, Transition};
use crate::engine::events::{Event, EventKind};
use crate::engine::request::{Completion, InstanceId, Permit, Request};
use crate::rng::{Dice, Stream};
use crate::units::{Span, Time};

/// All breakers of a scope.
#[derive(Debug)]
pub struct Gates {
    rules: Rules,
    scope: Scope,
    /// By endpoint or instance id; one for the service.
    breakers: Vec<Breaker>,
    /// Until when a rule keeps the whole service shut, where no breaker of the scope stands for the whole service.
    shut_until: Option<Time>,
    names: Vec<String>,
    ramp: Dice,
    events: Vec<Event>,
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Pass, under this permit.
    Pass(Permit),
    /// Refused; ask again at this time, if it is known.
    Refuse(Option<Time>),
}

impl Gates {
    /// Closed gates; `endpoints` are the paths, for words.
    pub fn new(config: &Config, endpoints: &[String], seed: u64) -> Gates {
        let rules = Rules::new(config, seed);
        let count = match config.scope {
            Scope::Service => 1,
            Scope::Endpoint => endpoints.len(),
            Scope::Instance => 0,
        };
        Gates {
            breakers: (0..count as u32).map(|i| Breaker::new(&rules, i)).collect(),
            shut_until: None,
            scope: config.scope,
            names: endpoints.to_vec(),
            ramp: Dice::new(seed ^ 1, Stream::BreakerJitter),
            events: Vec::new(),
            rules,
        }
    }

    /// Whether breakers stand before instances, so that the balancer must route around open ones.
    pub fn per_instance(&self) -> bool {
        self.scope == Scope::Instance
    }

    /// Breakers that are open or half-open. O(breakers).
    pub fn tripped(&self) -> u32 {
        let open = self.breakers.iter().filter(|breaker| !breaker.is_closed()).count() as u32;
        open + u32::from(self.shut_until.is_some())
    }

    /// Asks before an instance is chosen: the service's or the endpoint's breaker.
    #[inline(always)]
    pub fn before_choice(&mut self, now: Time, request: &Request) -> Answer {
        if let Some(until) = self.shut_until {
            if now < until {
                return Answer::Refuse(Some(until));
            }
            self.unshut(now);
        }
        match self.scope {
            Scope::Service => self.ask(now, 0, request.index),
            Scope::Endpoint => self.ask(now, u32::from(request.endpoint), request.index),
            Scope::Instance => Answer::Pass(Permit::default()),
        }
    }

    #[cold]
    #[inline(never)]
    fn unshut(&mut self, now: Time) {
        self.shut_until = None;
        let cause = "the time that a rule shut it for is over".to_string();
        let kind = EventKind::BreakerClosed { scope: "service".to_string() };
        self.events.push(Event { at: now, kind, cause });
    }

    /// Asks the chosen instance's breaker; passes in any other scope.
    #[inline]
    pub fn before_instance(&mut self, now: Time, instance: InstanceId, request: &Request, permit: Permit) -> Answer {
        if self.scope != Scope::Instance {
            return Answer::Pass(permit);
        }
        while self.breakers.len() <= instance.0 as usize {
            self.breakers.push(Breaker::new(&self.rules, self.breakers.len() as u32));
        }
        self.ask(now, instance.0, request.index)
    }

    /// Gives a permit back unused.
    pub fn cancel(&mut self, now: Time, request: &Request, permit: Permit) {
        let i = match self.scope {
            Scope::Service => 0,
            Scope::Endpoint => usize::from(request.endpoint),
            Scope::Instance => return,
        };
        self.breakers[i].cancel(&self.rules, now, permit);
    }

    /// Learns how a permitted attempt ended. True if the state of its breaker may have changed, or a probe slot came free.
    #[inline(always)]
    pub fn ended(&mut self, now: Time, completion: &Completion) -> bool {
        let i = match self.scope {
            Scope::Service => 0,
            Scope::Endpoint => usize::from(completion.endpoint),
            Scope::Instance => completion.instance.0 as usize,
        };
        let &Completion { permit, outcome, latency, .. } = completion;
        if self.breakers[i].record_among_good(&self.rules, now, permit, outcome, latency) {
            return false;
        }
        self.ended_otherwise(now, i, completion)
    }

    #[inline(never)]
    fn ended_otherwise(&mut self, now: Time, i: usize, completion: &Completion) -> bool {
        let &Completion { permit, outcome, latency, .. } = completion;
        let breaker = &mut self.breakers[i];
        let was_closed = breaker.is_closed();
        let transition = breaker.record(&self.rules, now, permit, outcome, latency, None);
        if let Some(transition) = transition {
            let scope = self.name(i as u32);
            self.note(&transition, &scope);
            return true;
        }
        !was_closed
    }

    /// Shuts the whole service for the breaker's own open interval, because `cause`.
    pub fn force_open(&mut self, now: Time, cause: &str) {
        if self.scope == Scope::Service {
            if let Some(transition) = self.breakers[0].force(&self.rules, now, Force::Trip { open_for: None }) {
                self.events.push(transition.event("service"));
            }
            return;
        }
        let open_for = self.rules.open_for(1);
        self.shut_until = Some(now + open_for);
        let kind = EventKind::BreakerOpened { scope: "service".to_string(), open_for };
        self.events.push(Event { at: now, kind, cause: cause.to_string() });
    }

    /// Forgets an instance that is gone; an open breaker before nobody holds nothing back.
    pub fn forget(&mut self, instance: InstanceId) {
        if self.scope == Scope::Instance
            && let Some(breaker) = self.breakers.get_mut(instance.0 as usize)
        {
            *breaker = Breaker::new(&self.rules, instance.0);
        }
    }

    /// When the breaker before `instance` is worth asking again; `None` if it is now, or has no idea.
    pub fn reopens_at(&self, instance: InstanceId) -> Option<Time> {
        self.breakers.get(instance.0 as usize)?.next_wake()
    }

    /// How long a lost probe keeps its place.
    pub fn open_for(&self) -> Span {
        self.rules.open_for(1)
    }

    /// Moves what happened since the last call to `events`.
    pub fn drain_events(&mut self, events: &mut Vec<Event>) {
        events.append(&mut self.events);
    }

    #[inline(always)]
    fn ask(&mut self, now: Time, i: u32, index: u64) -> Answer {
        match self.breakers[i as usize].admit_if_closed(now) {
            Some(permit) => Answer::Pass(permit),
            None => self.ask_unless_closed(now, i, index),
        }
    }

    #[cold]
    #[inline(never)]
    fn ask_unless_closed(&mut self, now: Time, i: u32, index: u64) -> Answer {
        let passage = self.breakers[i as usize].admit(&self.rules, now, self.ramp.bits(index));
        match passage {
            Passage::Granted { permit, transition: None } => Answer::Pass(permit),
            Passage::Refused { until, transition: None } => Answer::Refuse(until),
            other => {
                let name = self.name(i);
                self.take(other, || name)
            }
        }
    }

    fn take(&mut self, passage: Passage, name: impl FnOnce() -> String) -> Answer {
        let (answer, transition) = match passage {
            Passage::Granted { permit, transition } => (Answer::Pass(permit), transition),
            Passage::Refused { until, transition } => (Answer::Refuse(until), transition),
        };
        if let Some(transition) = transition {
            let name = name();
            self.note(&transition, &name);
        }
        answer
    }

    fn note(&mut self, transition: &Transition, scope: &str) {
        self.events.push(transition.event(scope));
    }

    fn name(&self, i: u32) -> String {
        match self.scope {
            Scope::Service => "service".to_string(),
            Scope::Endpoint => self.names[i as usize].clone(),
            Scope::Instance => format!("instance {i}"),
        }
    }
}
