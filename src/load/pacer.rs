//! The pacer: one thread that sleeps until a request is due, and hands it over.
//!
//! It never waits for answers. When it wakes late it hands over all that is due, each with its own due time. Systems wake threads some 100 µs
//! late; where that matters, it stays awake for the last of the wait.

use crate::live::clock::Clock;
use crate::load::ledger::Ledger;
use crate::load::queue::Queue;
use crate::load::schedule::Schedule;
use crate::load::stop::Stop;
use crate::record::run::Ended;
use crate::units::{Span, Time};

/// How long before a request is due a thread that spins is awake: longer than systems are late to wake it.
const AWAKE: Span = Span::from_micros(200);

/// Waits for the moments of a run.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// What time it is.
    pub clock: &'a Clock,
    /// Whether somebody asked to stop.
    pub stop: &'a Stop,
    /// Whether it is awake for the last of every wait.
    pub spins: bool,
}

impl Waiting<'_> {
    /// Waits until `at`, or until somebody asks to stop; whether somebody did.
    pub fn until(&self, at: Time) -> bool {
        if !self.spins {
            return self.stop.sleep_until(self.clock, at);
        }
        let stopped = self.stop.sleep_until(self.clock, Time(at.0.saturating_sub(AWAKE.0)));
        while !stopped && self.clock.now() < at {
            std::hint::spin_loop();
        }
        stopped
    }
}

/// Hands over every request of the schedule when it is due, until `end`, or until somebody asks to stop; closes the queue, and says how it
/// ended.
pub fn pace(mut schedule: Schedule, waiting: Waiting, end: Time, queue: &Queue, ledger: &Ledger) -> Ended {
    let clock = waiting.clock;
    let interrupted = || Ended::Interrupted { at: clock.now().min(end) };
    let mut ended = Ended::Completed;
    for job in &mut schedule {
        if waiting.until(job.at) {
            ended = interrupted();
            break;
        }
        ledger.due(&job, queue.all_busy());
        queue.put(job);
    }
    if let Some(truncation) = schedule.truncation() {
        ended = Ended::TrafficLost { at: clock.now().min(end), problem: truncation.to_string() };
    } else if ended == Ended::Completed && waiting.stop.sleep_until(clock, end) {
        ended = interrupted();
    }
    queue.close();
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::schedule::{Job, Plan};

    fn plan(duration: &str) -> Plan {
        let text = format!(
            "scenario.duration = \"{duration}\"\ntraffic.shape = [{{ kind = \"constant\", rate = 2000 }}]\nservice.time = \"1ms\""
        );
        Plan::new(crate::scenario::parse(&text, "plan.toml", "".as_ref(), &[]).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn every_request_is_handed_over_in_order_and_none_before_it_is_due() {
        let plan = plan("300ms");
        let (queue, ledger, stop, clock) =
            (Queue::new(10_000), Ledger::new(&plan, 10_000, None), Stop::default(), Clock::start());
        let schedule = plan.schedule(3, None).unwrap();
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let mut taken: Vec<Job> = Vec::new();
                runtime.block_on(async {
                    while let Some(job) = queue.take().await {
                        assert!(clock.now() >= job.at);
                        taken.push(job);
                        queue.ended();
                    }
                });
                taken
            });
            let ended = pace(
                schedule,
                Waiting { clock: &clock, stop: &stop, spins: false },
                Time(plan.duration().0),
                &queue,
                &ledger,
            );
            assert_eq!(ended, Ended::Completed);
            assert_eq!(watcher.join().unwrap(), plan.schedule(3, None).unwrap().collect::<Vec<_>>());
        });
        assert!(clock.now() >= Time(plan.duration().0), "the run lasts as long as it was planned");
    }

    #[test]
    fn time_is_kept_finer_than_timers_of_a_millisecond_keep_it() {
        let plan = plan("300ms");
        for spins in [false, true] {
            let (stop, clock) = (Stop::default(), Clock::start());
            let waiting = Waiting { clock: &clock, stop: &stop, spins };
            let mut late: Vec<Span> = plan
                .schedule(5, None)
                .unwrap()
                .map(|job| {
                    assert!(!waiting.until(job.at));
                    assert!(clock.now() >= job.at);
                    clock.now().since(job.at)
                })
                .collect();
            late.sort_unstable();
            median_is_within_a_millisecond(&late);
        }
    }

    fn median_is_within_a_millisecond(late: &[Span]) {
        // Tokio's timer is more than a millisecond late in the median, however idle the machine is.
        assert!(late[late.len() / 2] < Span::from_millis(1), "{:?}", late[late.len() / 2]);
    }

    #[test]
    fn a_wish_to_end_ends_it_at_once() {
        let plan = plan("10m");
        let (queue, ledger, stop, clock) =
            (Queue::new(1), Ledger::new(&plan, 1, None), Stop::default(), Clock::start());
        stop.stop();
        let ended = pace(
            plan.schedule(3, None).unwrap(),
            Waiting { clock: &clock, stop: &stop, spins: true },
            Time(plan.duration().0),
            &queue,
            &ledger,
        );
        assert!(matches!(ended, Ended::Interrupted { at } if at < Time::ZERO + Span::from_secs(60)), "{ended:?}");
        assert!(!queue.any_open());
    }
}
