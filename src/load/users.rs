//! Users of a closed loop: each asks, waits for the answer, thinks, and asks again.
//!
//! Who thinks how long and asks for what is drawn from the same keys as in the simulator: user and turn. One thread knows when each has thought
//! enough, as timers of a runtime are a millisecond late, and that would be in every latency.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::distribution::Sampler;
use crate::live::clock::Clock;
use crate::load::ledger::Ledger;
use crate::load::queue::Queue;
use crate::load::schedule::{Job, Share};
use crate::load::stop::Stop;
use crate::record::run::Ended;
use crate::rng::{Dice, Stream};
use crate::scenario::clients;
use crate::traffic::EndpointMix;
use crate::units::Time;

/// How long the thread sleeps at most before it looks whether somebody asked to stop.
const LOOK: Duration = Duration::from_millis(20);

/// A user of a closed loop.
#[derive(Debug)]
pub struct Seat {
    user: u32,
    turn: u32,
    jobs: UnboundedReceiver<Job>,
}

/// When each user asks next.
#[derive(Debug)]
pub struct Users {
    think: Sampler,
    think_dice: Dice,
    mix: EndpointMix,
    /// Seats that nobody has taken.
    free: Mutex<Vec<Seat>>,
    thinking: Mutex<Thinking>,
    /// Somebody has begun to think who may be the first to end.
    earlier: Condvar,
}

#[derive(Debug)]
struct Thinking {
    /// When who begins which turn.
    ends: BinaryHeap<Reverse<(Time, u32, u32)>>,
    /// Where each user of this share waits for its turn, in the order of their numbers; empty when all is over.
    waiting: Vec<UnboundedSender<Job>>,
    /// Distance of numbers, and the first.
    share: Share,
}

impl Users {
    /// The users of a scenario under `seed`; those of a share, if there is one.
    pub fn new(users: &clients::Users, mix: EndpointMix, seed: u64, share: Option<Share>) -> Users {
        let share = share.unwrap_or(Share { index: 0, of: 1 });
        let (mut free, mut waiting) = (Vec::new(), Vec::new());
        for user in (share.index..users.count).step_by(share.of as usize) {
            let (tell, jobs) = unbounded_channel();
            free.push(Seat { user, turn: 0, jobs });
            waiting.push(tell);
        }
        Users {
            think: users.think.sampler(),
            think_dice: Dice::new(seed, Stream::Think),
            mix,
            free: Mutex::new(free),
            thinking: Mutex::new(Thinking { ends: BinaryHeap::new(), waiting, share }),
            earlier: Condvar::new(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.thinking().waiting.len()
    }

    fn thinking(&self) -> std::sync::MutexGuard<'_, Thinking> {
        self.thinking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat that nobody has; `None`: all are taken.
    pub fn sit(&self) -> Option<Seat> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// A user begins to think at `now`.
    pub fn think(&self, seat: &Seat, now: Time) {
        let thought = self.think.sample(&mut self.think_dice.draws(turn_index(seat.user, seat.turn)));
        let mut thinking = self.thinking();
        thinking.ends.push(Reverse((now.saturating_add(thought), seat.user, seat.turn)));
        drop(thinking);
        self.earlier.notify_one();
    }

    /// Wakes users whose time has come, until `end` or until somebody asks to stop; says how it ended.
    pub fn conduct(&self, clock: &Clock, end: Time, queue: &Queue, ledger: &Ledger, stop: &Stop) -> Ended {
        let mut thinking = self.thinking();
        let ended = loop {
            let now = clock.now();
            if stop.is_wished() {
                break Ended::Interrupted { at: now.min(end) };
            }
            if now >= end {
                break Ended::Completed;
            }
            let next = thinking.ends.peek().map(|Reverse((at, ..))| *at).filter(|at| *at < end);
            if next.is_none_or(|at| at > now) {
                let left = next.unwrap_or(end).since(now);
                let wait = Duration::from_nanos(left.0).min(LOOK);
                thinking = self.earlier.wait_timeout(thinking, wait).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let Some(Reverse((at, user, turn))) = thinking.ends.pop() else { continue };
            let index = turn_index(user, turn);
            let endpoint = self.mix.endpoint(index);
            let job = Job { at, index, client: user, endpoint, form: endpoint };
            // Each has no more than one request under way, and a worker of its own.
            ledger.due(&job, false);
            queue.begin();
            let place = ((user - thinking.share.index) / thinking.share.of) as usize;
            if thinking.waiting[place].send(job).is_err() {
                queue.ended();
            }
        };
        thinking.waiting.clear();
        drop(thinking);
        queue.close();
        ended
    }
}

impl Seat {
    /// Waits for the next request of this user; `None`: there is none any more.
    pub async fn next(&mut self) -> Option<Job> {
        let job = self.jobs.recv().await?;
        self.turn += 1;
        Some(job)
    }
}

/// The index of a user's turn, as the simulator has it.
fn turn_index(user: u32, turn: u32) -> u64 {
    u64::from(user) << 32 | u64::from(turn)
}
