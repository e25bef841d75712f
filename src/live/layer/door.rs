//! The door of the service: so many inside at once, a bounded queue before it, and CoDel over that, as an instance of the simulator has them.
//!
//! Nobody holds a place who has gone away: a [`Turn`] gives its place on when it is dropped, also on its way to somebody who has just left.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::engine::overload::codel::Codel;
use crate::engine::request::Outcome;
use crate::live::clock::Clock;
use crate::scenario::Scenario;
use crate::scenario::overload::Overload;
use crate::units::Time;

/// The door.
#[derive(Debug)]
pub(crate) struct Door {
    clock: Clock,
    /// How many may be inside.
    workers: u32,
    /// How many may wait; `None`: as many as like.
    room: Option<u32>,
    /// Whether the newest goes first while the queue stands.
    adaptive_lifo: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    inside: u32,
    waiting: VecDeque<Waiting>,
    codel: Option<Codel>,
    next_number: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    came_at: Time,
    /// The turn, or that there will be none.
    turn: oneshot::Sender<Option<Turn>>,
}

/// A place inside, given on when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Door>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(door) = self.0.take() {
            door.leave();
        }
    }
}

/// Takes somebody out of the queue who has stopped waiting.
struct Place<'a> {
    door: &'a Door,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.door.state();
        // Its number is there unless its turn has come.
        if let Some(place) = state.waiting.iter().position(|waiting| waiting.number == self.number) {
            state.waiting.remove(place);
        }
    }
}

impl Door {
    /// The door that a scenario wants; `None`: it bounds nothing.
    pub fn of(scenario: &Scenario, clock: Clock) -> Option<Door> {
        let Overload { codel, adaptive_lifo, .. } = scenario.overload;
        (scenario.service.queue.is_some() || codel.is_some()).then(|| Door {
            clock,
            workers: scenario.service.workers,
            room: scenario.service.queue,
            adaptive_lifo,
            state: Mutex::new(State {
                inside: 0,
                waiting: VecDeque::new(),
                codel: codel.map(Codel::new),
                next_number: 0,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Waits for a place; `Err` says why there is none.
    pub async fn enter(self: &Arc<Door>) -> Result<Turn, Outcome> {
        let (number, turn) = {
            let mut state = self.state();
            let now = self.clock.now();
            if state.inside < self.workers {
                state.inside += 1;
                if let Some(codel) = &mut state.codel {
                    codel.passed(now);
                }
                return Ok(Turn(Some(Arc::clone(self))));
            }
            if self.room.is_some_and(|room| state.waiting.len() >= room as usize) {
                return Err(Outcome::QueueFull);
            }
            let (sender, turn) = oneshot::channel();
            let number = state.next_number;
            state.next_number += 1;
            let waiting = Waiting { number, came_at: now, turn: sender };
            if self.adaptive_lifo && state.codel.is_some_and(|codel| codel.is_overloaded()) {
                state.waiting.push_front(waiting);
            } else {
                state.waiting.push_back(waiting);
            }
            (number, turn)
        };
        let _place = Place { door: self, number };
        turn.await.ok().flatten().ok_or(Outcome::Shed)
    }

    /// Somebody leaves: the next one that is worth it gets the place.
    fn leave(self: Arc<Door>) {
        loop {
            let (next, is_shed) = {
                let mut state = self.state();
                let Some(next) = state.waiting.pop_front() else {
                    state.inside -= 1;
                    return;
                };
                let now = self.clock.now();
                let waited = now.since(next.came_at);
                let is_shed = state.codel.as_mut().is_some_and(|codel| codel.sheds(now, waited));
                (next, is_shed)
            };
            let turn = (!is_shed).then(|| Turn(Some(Arc::clone(&self))));
            match next.turn.send(turn) {
                Ok(()) if is_shed => {}
                Ok(()) => return,
                // It has gone away: the place is still to be given.
                Err(Some(mut turn)) => turn.0 = None,
                Err(None) => {}
            }
        }
    }
}
