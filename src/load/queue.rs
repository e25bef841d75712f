//! Requests that are due, in order, until a worker takes them.
//!
//! Bounded: when every worker is busy for long, the pacer waits for room. It loses nothing by that, for the schedule yields requests with
//! their due times whenever it is asked, and lag counts from there.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};

use crate::load::schedule::Job;

/// Requests that may wait for a worker at once: two megabytes of them.
const ROOM: usize = 1 << 16;

/// Requests that are due.
#[derive(Debug)]
pub struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    /// A worker took one while it was full.
    room: Condvar,
    /// A permit for each request; closed when no more will come.
    ready: Semaphore,
    /// Requests that were put in and have not ended.
    open: AtomicUsize,
    none_open: Notify,
    workers: usize,
}

impl Queue {
    /// Nothing is due yet for `workers` workers.
    pub fn new(workers: usize) -> Queue {
        Queue {
            jobs: Mutex::new(VecDeque::new()),
            room: Condvar::new(),
            ready: Semaphore::new(0),
            open: AtomicUsize::new(0),
            none_open: Notify::new(),
            workers,
        }
    }

    /// Whether a request that comes now finds every worker busy.
    pub fn all_busy(&self) -> bool {
        self.open.load(Ordering::Acquire) >= self.workers
    }

    /// A request begins that is handed to its worker directly.
    pub fn begin(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    /// Puts a request in, and waits for room where there is none.
    pub fn put(&self, job: Job) {
        self.begin();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        while jobs.len() >= ROOM {
            jobs = self.room.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
        jobs.push_back(job);
        drop(jobs);
        self.ready.add_permits(1);
    }

    /// No more will come; what is in it is still taken.
    pub fn close(&self) {
        self.ready.close();
        if !self.any_open() {
            self.none_open.notify_one();
        }
    }

    /// Takes the next request when there is one; `None`: there will be none.
    pub async fn take(&self) -> Option<Job> {
        if let Ok(permit) = self.ready.acquire().await {
            permit.forget();
        }
        // Without a permit it is closed, and what was left is for whoever comes.
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.pop_front();
        if jobs.len() + 1 == ROOM {
            self.room.notify_one();
        }
        job
    }

    /// A request that was taken has ended, and is in the books.
    pub fn ended(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 && self.ready.is_closed() {
            self.none_open.notify_one();
        }
    }

    /// Whether requests were put in that have not ended.
    pub fn any_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    /// Waits until it is closed and everything has ended.
    pub async fn all_ended(&self) {
        while !self.ready.is_closed() || self.any_open() {
            self.none_open.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Time;

    fn job(index: u64) -> Job {
        Job { at: Time(index), index, client: 0, endpoint: 0, form: 0 }
    }

    #[tokio::test]
    async fn requests_are_taken_in_order_and_what_is_left_at_the_end_is_taken_too() {
        let queue = Queue::new(2);
        (0..3).for_each(|i| queue.put(job(i)));
        assert!(queue.all_busy());
        assert_eq!(queue.take().await.map(|job| job.index), Some(0));
        queue.close();
        assert_eq!(queue.take().await.map(|job| job.index), Some(1));
        assert_eq!(queue.take().await.map(|job| job.index), Some(2));
        assert!(queue.take().await.is_none());
        (0..3).for_each(|_| queue.ended());
        queue.all_ended().await;
        assert!(!queue.any_open());
    }

    #[tokio::test]
    async fn an_empty_queue_that_is_closed_is_over() {
        let queue = Queue::new(1);
        queue.close();
        queue.all_ended().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_full_queue_has_the_pacer_wait_and_loses_nothing() {
        let queue = std::sync::Arc::new(Queue::new(1));
        let putting = std::sync::Arc::clone(&queue);
        let pacer = std::thread::spawn(move || {
            (0..ROOM as u64 + 100).for_each(|i| putting.put(job(i)));
            putting.close();
        });
        let mut taken = 0;
        while let Some(job) = queue.take().await {
            assert_eq!(job.index, taken);
            taken += 1;
            queue.ended();
        }
        pacer.join().unwrap();
        assert_eq!(taken, ROOM as u64 + 100);
    }
}
