//! The log: what happened lately, and what follows from it about breakers and spikes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::engine::events::{Event, EventKind, Spike};
use crate::engine::request::InstanceId;
use crate::units::Time;

/// Events that are remembered.
const REMEMBERED: usize = 2000;
/// Spikes that are remembered after their end.
const SPIKES: usize = 50;

/// An event with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Counts from 1.
    pub number: u64,
    /// What happened.
    pub event: Event,
}

/// Something that went wrong around the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Remark {
    /// When.
    pub at: Time,
    /// With which instance.
    pub instance: InstanceId,
    /// What, in words.
    pub text: String,
}

/// The state of the breakers, the worst of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// Traffic flows.
    Closed,
    /// Probes pass.
    HalfOpen,
    /// Traffic is refused.
    Open,
}

/// What happened lately.
#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<Arc<Entry>>,
    written: u64,
    /// Written, and not yet told to those who watch.
    new: Vec<Arc<Entry>>,
    new_remarks: Vec<Arc<Remark>>,
    breakers: BTreeMap<String, BreakerState>,
    active: BTreeMap<u32, Spike>,
    ended: VecDeque<Spike>,
}

impl Log {
    /// Writes an event down.
    pub fn write(&mut self, event: Event) {
        match &event.kind {
            EventKind::BreakerOpened { scope, .. } => {
                self.breakers.insert(scope.clone(), BreakerState::Open);
            }
            EventKind::BreakerHalfOpen { scope } => {
                self.breakers.insert(scope.clone(), BreakerState::HalfOpen);
            }
            EventKind::BreakerClosed { scope } => {
                self.breakers.remove(scope);
            }
            EventKind::InstanceGone { instance } => {
                self.breakers.remove(&format!("instance {}", instance.0));
            }
            EventKind::SpikeDetected(spike) => {
                self.active.insert(spike.id, spike.clone());
            }
            EventKind::SpikeEnded(spike) => {
                self.active.remove(&spike.id);
                self.ended.push_back(spike.clone());
                if self.ended.len() > SPIKES {
                    self.ended.pop_front();
                }
            }
            _ => {}
        }
        self.written += 1;
        let entry = Arc::new(Entry { number: self.written, event });
        if self.entries.len() == REMEMBERED {
            self.entries.pop_front();
        }
        self.entries.push_back(Arc::clone(&entry));
        self.new.push(entry);
    }

    /// Writes down what went wrong with an instance, with all its reasons.
    pub fn remark(&mut self, at: Time, instance: InstanceId, error: &dyn std::error::Error) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text += &format!(": {error}");
            source = error.source();
        }
        self.new_remarks.push(Arc::new(Remark { at, instance, text }));
    }

    /// What was written since this was asked last.
    pub(super) fn take_new(&mut self) -> (Vec<Arc<Entry>>, Vec<Arc<Remark>>) {
        (std::mem::take(&mut self.new), std::mem::take(&mut self.new_remarks))
    }

    /// What is remembered, the oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }

    /// The worst of the breakers.
    pub fn breaker(&self) -> BreakerState {
        self.breakers.values().copied().max().unwrap_or(BreakerState::Closed)
    }

    /// Spikes that are on.
    pub fn active_spikes(&self) -> impl Iterator<Item = &Spike> {
        self.active.values()
    }

    /// Spikes that are over, the last first.
    pub fn ended_spikes(&self) -> impl Iterator<Item = &Spike> {
        self.ended.iter().rev()
    }
}
