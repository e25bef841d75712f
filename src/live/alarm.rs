//! Alarms: wake tasks when their time has come, to a tenth of a millisecond.
//!
//! Timers of the runtime are late by a millisecond and more: it rounds deadlines up to its tick, and then sleeps in whole ones. A service
//! time of 20 ms would be 6 % too long, at each of its requests, and a model that is compared with it would be blamed for that. Here one
//! thread sleeps until the earliest moment (by a condition variable, which the kernel keeps to some 50 µs) and hands over what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::live::clock::{Clock, duration};
use crate::units::{Span, Time};

/// Somebody who waits, by the moment, and by who came first.
#[derive(Debug)]
struct Waiting {
    at: Time,
    number: u64,
    tell: oneshot::Sender<()>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[derive(Debug, Default)]
struct Due {
    waiting: BinaryHeap<Reverse<Waiting>>,
    asked: u64,
    over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    due: Mutex<Due>,
    changed: Condvar,
}

impl Shared {
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes tasks.
#[derive(Debug)]
pub struct Alarms {
    clock: Clock,
    shared: Arc<Shared>,
}

impl Alarms {
    /// Starts the thread; it ends with this.
    pub fn start(clock: Clock) -> io::Result<Alarms> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("alarms".to_string()).spawn(move || keep(&of_thread, clock))?;
        Ok(Alarms { clock, shared })
    }

    /// Waits until `at`; not at all, if that is over. Whoever is dropped meanwhile is not missed.
    pub async fn until(&self, at: Time) {
        if self.clock.now() >= at {
            return;
        }
        // Whose sender goes with the thread has nothing left to wait for.
        let _ = self.enlist(at).await;
    }

    fn enlist(&self, at: Time) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        let mut due = self.shared.due();
        let number = due.asked;
        due.asked += 1;
        let is_first = due.waiting.peek().is_none_or(|Reverse(first)| at < first.at);
        due.waiting.push(Reverse(Waiting { at, number, tell }));
        drop(due);
        if is_first {
            self.shared.changed.notify_one();
        }
        told
    }

    /// Waits for so long.
    pub async fn wait(&self, span: Span) {
        self.until(self.clock.now().saturating_add(span)).await;
    }
}

impl Drop for Alarms {
    fn drop(&mut self) {
        self.shared.due().over = true;
        self.shared.changed.notify_one();
    }
}

/// Tells everybody when it is time.
fn keep(shared: &Shared, clock: Clock) {
    let mut due = shared.due();
    while !due.over {
        let now = clock.now();
        while let Some(Reverse(first)) = due.waiting.peek()
            && first.at <= now
        {
            if let Some(Reverse(Waiting { tell, .. })) = due.waiting.pop() {
                // Who has gone needs no telling.
                let _ = tell.send(());
            }
        }
        let first = due.waiting.peek().map(|Reverse(first)| first.at);
        due = match first {
            None => shared.changed.wait(due).unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let left = duration(at.since(clock.now()));
                shared.changed.wait_timeout(due, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_is_woken_in_order_and_nobody_too_early() {
        let clock = Clock::start();
        let alarms = Arc::new(Alarms::start(clock).unwrap());
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for millis in [30u64, 10, 20, 10, 0] {
            let (alarms, tell) = (Arc::clone(&alarms), tell.clone());
            tokio::spawn(async move {
                let at = Time::ZERO + Span::from_millis(millis);
                alarms.until(at).await;
                let _ = tell.send((millis, clock.now() >= at));
            });
        }
        drop(tell);
        let mut woken = Vec::new();
        while let Some((millis, in_time)) = told.recv().await {
            assert!(in_time);
            woken.push(millis);
        }
        assert_eq!(woken, [0, 10, 10, 20, 30]);
    }

    #[tokio::test]
    async fn an_earlier_wish_is_not_kept_waiting_by_a_later_one() {
        let clock = Clock::start();
        let alarms = Arc::new(Alarms::start(clock).unwrap());
        let late = tokio::spawn({
            let alarms = Arc::clone(&alarms);
            async move { alarms.wait(Span::from_secs(3600)).await }
        });
        tokio::task::yield_now().await;
        alarms.wait(Span::from_millis(1)).await;
        late.abort();
        // The thread has nobody to tell any more, and ends all the same.
        drop(alarms);
    }
}
