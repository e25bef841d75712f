//! The account of a run: what the target did with every request, and what the generator did.
//!
//! One lock, held for a microsecond at a time, and never across a wait. Steps of the timeline are closed by whoever comes first after their
//! end, so that no timer is needed and what happened in a step is in its row.

use std::sync::{Mutex, PoisonError};

use crate::load::schedule::{Job, Plan, Share};
use crate::record::elasticity::Elasticity;
use crate::record::generator::{Generator, Shares};
use crate::record::outcome::Failure;
use crate::record::recorder::{self, FleetSample};
use crate::record::regret::Regret;
use crate::record::run::{Ended, FleetSummary};
use crate::record::timeline::Column;
use crate::record::{Recorder, Run};
use crate::scenario::slo;
use crate::units::{Span, Time};

/// What became of a request that was taken by a worker.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// When it was sent; `None`: it never was, for the run ended first, or this machine had no connection left.
    pub sent: Option<Time>,
    /// When the head of its answer came, and over which version of HTTP: its place in [`VERSIONS`](crate::record::generator::VERSIONS).
    /// `None`: none did.
    pub head: Option<(Time, usize)>,
    /// When its body had been read, or it failed.
    pub done: Time,
    /// Why it failed; `None`: it did not.
    pub failure: Option<Failure>,
}

/// Requests that were sent, warm-up included, and their latencies: what two accounts of one run must agree on exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub requests: u64,
    /// All of their latencies, each in whole microseconds \[µs\].
    pub micros: u64,
    /// The longest of them \[µs\].
    pub longest: u64,
}

/// The account of a run.
#[derive(Debug)]
pub struct Ledger {
    /// `None`: closed.
    books: Mutex<Option<Books>>,
}

#[derive(Debug)]
struct Books {
    recorder: Recorder,
    generator: Generator,
    warmup_end: Time,
    end: Time,
    step_ends: Time,
    sent: Sum,
    /// Requests that have not ended, warm-up included.
    open: u64,
    /// The second that the last request was due in, and its requests.
    second: u64,
    in_second: u64,
}

impl Ledger {
    /// The empty account of a run of `plan`, or of a share of it, with `pool` workers.
    pub fn new(plan: &Plan, pool: u32, share: Option<Share>) -> Ledger {
        let scenario = plan.scenario();
        // Of a share, steps keep their histograms: with those of others they tell the quantiles of all.
        let keeps_steps = share.is_some();
        let settings = scenario.recording(plan.duration(), plan.endpoints());
        let recorder = Recorder::new(recorder::Settings { keeps_steps, ..settings });
        let generator = Generator {
            pool,
            lag_limit: Generator::lag_limit(slo::tightest(&scenario.slo)),
            shares: share.map(|share| Shares { of: share.of, here: vec![share.index] }),
            ..Generator::default()
        };
        Ledger {
            books: Mutex::new(Some(Books {
                generator,
                warmup_end: Time(scenario.warmup.0),
                end: Time(plan.duration().0),
                step_ends: Time::ZERO + recorder.step_length(),
                sent: Sum::default(),
                open: 0,
                second: 0,
                in_second: 0,
                recorder,
            })),
        }
    }

    fn with<T: Default>(&self, write: impl FnOnce(&mut Books) -> T) -> T {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(write).unwrap_or_default()
    }

    /// The time of a request has come, and it found every worker busy, or not.
    pub fn due(&self, job: &Job, found_busy: bool) {
        self.with(|books| {
            books.close_steps(job.at);
            books.recorder.offered(job.at, job.endpoint);
            books.open += 1;
            if job.at >= books.warmup_end {
                books.generator.due += 1;
                books.generator.found_busy += u64::from(found_busy);
            }
            let second = job.at.0 / Span::from_secs(1).0;
            books.in_second = if second == books.second { books.in_second + 1 } else { 1 };
            books.second = second;
            books.generator.busiest = books.generator.busiest.max(books.in_second);
        });
    }

    /// A request has ended.
    pub fn ended(&self, job: &Job, attempt: &Attempt) {
        self.with(|books| {
            books.close_steps(attempt.done);
            books.open -= 1;
            let service = attempt.sent.map_or(Span::ZERO, |sent| attempt.done.since(sent));
            match attempt.failure {
                // What the target did within the service is its own affair.
                None => books.recorder.succeeded(attempt.done, job.at, Span::ZERO, service, job.endpoint),
                Some(failure) => books.recorder.failed(attempt.done, job.at, failure, job.endpoint),
            }
            let Some(sent) = attempt.sent else { return };
            let latency = attempt.done.since(job.at).as_micros();
            books.sent.requests += 1;
            books.sent.micros += latency;
            books.sent.longest = books.sent.longest.max(latency);
            if job.at < books.warmup_end {
                return;
            }
            books.generator.sent += 1;
            books.generator.lag.record(sent.since(job.at));
            books.generator.service.record(service);
            if let Some((head, version)) = attempt.head {
                books.generator.first_byte.record(head.since(sent));
                books.generator.versions[version] += 1;
            }
        });
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sum {
        self.with(|books| books.sent)
    }

    /// What was recorded of a run that ended at `now`; `None` if it was asked for before. What is told afterwards is not written down.
    pub fn finish(&self, seed: u64, ended: Ended, now: Time) -> Option<Run> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let now = now.min(books.end);
        books.close_steps(now);
        let Books { recorder, generator, .. } = books;
        let run = recorder.finish(seed, ended, now, Vec::new(), Vec::new());
        Some(without_a_fleet(Run { generator: Some(generator), ..run }))
    }
}

impl Books {
    /// Closes the steps that ended until `now`.
    fn close_steps(&mut self, now: Time) {
        while self.step_ends <= now.min(self.end) {
            let sample = FleetSample {
                cpu: f64::NAN,
                memory: f64::NAN,
                baseline_rps: f64::NAN,
                forecast_rps: f64::NAN,
                active: self.open as f64,
                ..FleetSample::default()
            };
            self.recorder.step_ended(self.step_ends, &sample);
            self.step_ends += self.recorder.step_length();
        }
    }
}

/// A run without what nobody can see from outside: how many instances the target has, and what they cost.
fn without_a_fleet(mut run: Run) -> Run {
    let unseen = [
        Column::InstancesReady,
        Column::InstancesTotal,
        Column::Desired,
        Column::Needed,
        Column::Optimal,
        Column::CapacityRps,
        Column::QueueLength,
        Column::BreakerOpen,
    ];
    let steps = run.timeline.len();
    for column in unseen {
        run.timeline.set(column, vec![f64::NAN; steps]);
    }
    (run.fleet, run.elasticity, run.regret) = (FleetSummary::default(), Elasticity::default(), Regret::default());
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::generator::Fault;
    use crate::record::latency::Latency;

    const MS: u64 = 1_000_000;

    fn plan(lines: &str) -> Plan {
        let text = format!(
            "scenario.duration = \"10s\"\ntraffic.shape = [{{ kind = \"constant\", rate = 1 }}]\nservice.time = \"1ms\"\n{lines}"
        );
        Plan::new(crate::scenario::parse(&text, "plan.toml", "".as_ref(), &[]).unwrap()).unwrap()
    }

    fn job(i: u64, at_ms: u64) -> Job {
        Job { at: Time(at_ms * MS), index: i, client: 0, endpoint: 0, form: 0 }
    }

    fn good(sent_ms: u64, done_ms: u64) -> Attempt {
        let (sent, done) = (Time(sent_ms * MS), Time(done_ms * MS));
        Attempt { sent: Some(sent), head: Some((done, 1)), done, failure: None }
    }

    /// Tells a ledger of requests (due, sent, done, busy) \[ms\], in the order of what happens.
    fn run_of(plan: &Plan, pool: u32, requests: &[(u64, u64, u64, bool)]) -> Run {
        let ledger = Ledger::new(plan, pool, None);
        let jobs = || requests.iter().zip(0..);
        let mut happens: Vec<(u64, bool, u64)> = jobs().map(|(&(due, ..), i)| (due, true, i)).collect();
        happens.extend(jobs().map(|(&(_, _, done, _), i)| (done, false, i)));
        happens.sort_unstable();
        for (_, is_due, i) in happens {
            let (due, sent, done, busy) = requests[i as usize];
            match is_due {
                true => ledger.due(&job(i, due), busy),
                false => ledger.ended(&job(i, due), &good(sent, done)),
            }
        }
        ledger.finish(1, Ended::Completed, Time(10_000 * MS)).unwrap()
    }

    #[test]
    fn a_server_that_freezes_for_a_second_is_late_to_everybody_who_was_due_meanwhile() {
        // 1,000 requests, one each 10 ms, served in 1 ms; from 5 s to 6 s nobody is, and then all at once.
        let requests: Vec<_> = (0..1000)
            .map(|i| {
                let due = i * 10;
                let done = if (5000..6000).contains(&due) { 6001 } else { due + 1 };
                (due, due, done, false)
            })
            .collect();
        let run = run_of(&plan(""), 1000, &requests);
        let ms = |q: f64| run.latency.quantile(q).unwrap().as_millis_f64().round();
        assert_eq!(run.latency.count(), 1000);
        assert_eq!([ms(0.5), ms(0.9), ms(0.95), ms(0.99), ms(0.999)], [1.0, 1.0, 501.0, 901.0, 991.0]);
        assert_eq!(run.latency.mean(), Some(Span::from_micros(51_500)));
        assert_eq!(run.generator.unwrap().faults(), []);
    }

    #[test]
    fn a_client_that_waits_for_answers_would_not_have_noticed() {
        // The same server, asked over one connection that waits: of the second in which it freezes, one request knows.
        let (mut requests, mut now) = (Vec::new(), 0);
        while now < 10_000 {
            let done = if (5000..6000).contains(&now) { 6001 } else { now + 1 };
            requests.push((now, now, done, false));
            now = (now + 10).max(done);
        }
        let run = run_of(&plan(""), 1, &requests);
        assert_eq!(run.latency.count(), 901);
        assert!((run.latency.mean().unwrap().as_millis_f64() - 2.11).abs() < 0.005);
        assert_eq!(run.latency.quantile(0.99), Some(Span::from_millis(1)));
        // With HDR's correction for what was left out meanwhile, one each 10 ms, it is the open loop's account.
        let mut corrected = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        for (sent, _, done, _) in requests {
            corrected.record_correct((done - sent) * 1000, 10_000).unwrap();
        }
        assert_eq!(corrected.len(), 1000);
        let ms = |q: f64| corrected.value_at_quantile(q) / 1000;
        assert_eq!([ms(0.5), ms(0.9), ms(0.95), ms(0.99), ms(0.999)], [1, 1, 501, 901, 991]);
    }

    #[test]
    fn time_outs_hide_behind_the_p99_of_those_that_succeeded() {
        // 980 answers within 100 ms, and 20 time-outs of 5 s.
        let plan = plan("slo = { p99 = \"500ms\", availability = 0.9 }");
        let ledger = Ledger::new(&plan, 100, None);
        for i in 0..1000 {
            let (due, fails) = (i * 4, i % 50 == 0);
            ledger.due(&job(i, due), false);
            let (took, failure) = if fails { (5000, Some(Failure::Timeout)) } else { (100, None) };
            ledger.ended(&job(i, due), &Attempt { failure, ..good(due, due + took) });
        }
        let run = ledger.finish(1, Ended::Completed, Time(10_000 * MS)).unwrap();
        let ms = |latency: &Latency| latency.quantile(0.99).unwrap().as_millis_f64().round();
        assert_eq!((run.counts.availability(), ms(&run.latency), ms(&run.latency_all)), (Some(0.98), 100.0, 5000.0));
    }

    /// What a record says, without the slots that hold nothing.
    fn told(run: &Run) -> Vec<String> {
        let generator = run.generator.as_ref().unwrap();
        let latencies = [&run.latency, &run.latency_all, &run.service_time, &run.waiting_time];
        let of_generator = [&generator.lag, &generator.first_byte, &generator.service];
        let mut told: Vec<String> =
            latencies.into_iter().chain(of_generator).map(|latency| format!("{:?}", latency.encoded())).collect();
        told.extend(Column::ALL.map(|column| format!("{} {:?}", column.name(), run.timeline.column(column))));
        for endpoint in &run.endpoints {
            let mut latency = Latency::default();
            endpoint.latency.add_to(&mut latency);
            told.push(format!("{} {:?} {:?}", endpoint.path, endpoint.counts, latency.encoded()));
        }
        let Generator { pool, due, sent, found_busy, versions, .. } = generator;
        told.push(format!("{pool} {due} {sent} {found_busy} {versions:?}"));
        told.push(format!("{:?} {} {:?}", run.counts, run.throughput_rps, run.failures_seen));
        told.push(format!("{:?} {:?}", run.latency_steps, run.latency_heat));
        told
    }

    #[test]
    fn shares_join_to_the_account_of_a_single_generator() {
        let plan = plan("scenario.warmup = \"1s\"\nservice.endpoint = [{ path = \"/\" }, { path = \"/b\" }]");
        let (warm, end) = (10, Time(10_000 * MS));
        let account = |pool: u32, share: Share| {
            let ledger = Ledger::new(&plan, pool, Some(share));
            let ours = (0..1000u64).filter(|i| i % u64::from(share.of) == u64::from(share.index));
            let done = |i: u64| i * 10 + i % 3 + 1 + i * i % 977;
            let mut happens: Vec<(u64, bool, u64)> =
                ours.flat_map(|i| [(i * 10, true, i), (done(i), false, i)]).collect();
            happens.sort_unstable();
            for (_, is_due, i) in happens {
                let job = Job { endpoint: (i % 2) as u16, ..job(i, i * 10) };
                let failure = (i % 13 == 0).then_some(Failure::ServerError);
                if is_due {
                    ledger.due(&job, i % 100 == 7);
                } else {
                    ledger.ended(&job, &Attempt { failure, ..good(i * 10 + i % 3, done(i)) });
                }
            }
            ledger.finish(3, Ended::Completed, end).unwrap()
        };
        let whole = account(4 * warm, Share { index: 0, of: 1 });
        let share = |index: u32| account(warm, Share { index, of: 4 });
        let mut joined = share(2);
        [0, 3, 1].into_iter().for_each(|index| joined.join(&share(index)).unwrap());
        assert_eq!(joined.counts.offered, 900);
        for (joined, whole) in told(&joined).into_iter().zip(told(&whole)) {
            assert!(joined == whole, "{joined:.2000}\n{whole:.2000}");
        }
        let generators = [&joined, &whole].map(|run| run.generator.as_ref().unwrap());
        assert_eq!(generators.map(|each| each.shares.as_ref().unwrap().missing().len()), [0, 0]);
        // Each knows the most of its own seconds only, which need not be the same ones.
        assert!(generators[0].busiest >= generators[1].busiest);
    }

    #[test]
    fn a_pool_of_two_is_told_apart_from_a_target_that_is_slow() {
        // Due every 10 ms, service 30 ms: with two workers most wait for one.
        let sent = [0, 10, 30, 40, 60, 70, 90, 100];
        let requests: Vec<_> = (0..8).map(|i| (i * 10, sent[i as usize], sent[i as usize] + 30, i > 1)).collect();
        let run = run_of(&plan(""), 2, &requests);
        let generator = run.generator.as_ref().unwrap();
        assert_eq!((generator.due, generator.sent, generator.found_busy), (8, 8, 6));
        assert_eq!(generator.lag.max(), Some(Span::from_millis(30)));
        assert_eq!(run.latency.max(), Some(Span::from_millis(60)));
        assert_eq!(run.service_time.max(), Some(Span::from_millis(30)));
        assert_eq!(generator.faults(), [Fault::Late, Fault::PoolExhausted]);
        assert!(
            generator.says(Fault::PoolExhausted).contains("16 would do"),
            "{}",
            generator.says(Fault::PoolExhausted)
        );
        let four: Vec<_> = (0..8).map(|i| (i * 10, i * 10, i * 10 + 30, false)).collect();
        let run = run_of(&plan(""), 4, &four);
        assert_eq!(run.generator.unwrap().faults(), []);
        assert_eq!(
            (run.latency.min(), run.latency.max()),
            (Some(Span::from_millis(30)), Some(Span::from_millis(30)))
        );
    }

    #[test]
    fn rows_of_the_timeline_hold_what_happened_in_them_though_nobody_watches_the_clock() {
        let run = run_of(&plan(""), 4, &[(100, 100, 200, false), (4_500, 4_500, 6_100, false)]);
        assert_eq!(run.timeline.column(Column::OfferedRps), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(run.timeline.column(Column::SucceededRps), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(run.timeline.column(Column::ActiveConnections)[5], 1.0);
        assert!(run.timeline.column(Column::InstancesReady).iter().all(|n| n.is_nan()));
    }

    #[test]
    fn what_is_due_in_the_warm_up_is_sent_and_counts_nowhere() {
        let run = run_of(
            &plan("scenario.warmup = \"5s\""),
            4,
            &[(4_999, 4_999, 5_100, true), (5_000, 5_000, 5_001, false)],
        );
        assert_eq!((run.counts.offered, run.counts.succeeded, run.simulated), (1, 1, 2));
        let generator = run.generator.unwrap();
        assert_eq!((generator.due, generator.sent, generator.found_busy, generator.lag.count()), (1, 1, 0, 1));
    }

    #[test]
    fn a_request_that_the_end_cut_off_before_it_was_sent_failed_and_was_not_sent() {
        let plan = plan("slo.p99 = \"1s\"");
        let ledger = Ledger::new(&plan, 1, None);
        ledger.due(&job(0, 10), false);
        let done = Time(50 * MS);
        ledger.ended(&job(0, 10), &Attempt { sent: None, head: None, done, failure: Some(Failure::Timeout) });
        assert_eq!(ledger.sent(), Sum::default());
        let run = ledger.finish(1, Ended::Interrupted { at: done }, done).unwrap();
        assert!(ledger.finish(1, Ended::Completed, done).is_none());
        assert_eq!((run.counts.offered, run.counts.failed_for(Failure::Timeout)), (1, 1));
        let generator = run.generator.unwrap();
        assert_eq!((generator.faults(), generator.lag_limit), (vec![Fault::Saturated], Span::from_millis(50)));
    }
}
