//! Echoes: requests that are not simulated end as those did that were simulated just before.
//!
//! While the recorder listens it remembers how requests end. Of requests of which only the number is known each then ends as one of
//! those did: every remembered end is counted a whole number of times, and which ones are counted once more is spread evenly.

use super::Recorder;
use crate::record::outcome::Failure;
use crate::units::{Span, Time};

/// Something that happened to a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    Succeeded { latency: Span, waiting: Span, service: Span, endpoint: u16 },
    Failed { latency: Span, reason: Failure, endpoint: u16 },
    Retried { endpoint: u16 },
    Wasted { service: Span },
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Echo {
    pub(super) listening: bool,
    heard: Vec<Heard>,
    ends: u64,
}

impl Echo {
    #[cold]
    #[inline(never)]
    pub(super) fn hear(&mut self, heard: Heard) {
        self.ends += u64::from(matches!(heard, Heard::Succeeded { .. } | Heard::Failed { .. }));
        self.heard.push(heard);
    }
}

/// Shares `total` out among `among`, evenly and in whole numbers; `phase` in [0, 1) says where the remainder begins.
struct Shares {
    each: f64,
    phase: f64,
    next: u64,
    given: u64,
}

impl Shares {
    fn new(total: u64, among: u64, phase: f64) -> Shares {
        Shares { each: total as f64 / among.max(1) as f64, phase, next: 0, given: 0 }
    }

    fn take(&mut self) -> u64 {
        self.next += 1;
        // The tolerance keeps the last one from being lost to rounding.
        let due = (self.next as f64 * self.each + self.phase + 1e-9) as u64;
        due - std::mem::replace(&mut self.given, due)
    }
}

/// How an attempt that is not simulated ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echoed {
    /// Its latency, retries before it included.
    pub latency: Span,
    /// Whether it failed.
    pub failed: bool,
    /// How many ended so.
    pub times: u64,
}

impl Recorder {
    /// Begins to remember how requests end, and forgets what it remembered.
    pub fn listen(&mut self) {
        let echo = &mut self.echo;
        echo.heard.clear();
        (echo.listening, echo.ends) = (true, 0);
    }

    /// Remembers no more, and keeps what it has.
    pub fn stop_listening(&mut self) {
        self.echo.listening = false;
    }

    /// Requests whose end it remembers.
    pub fn heard(&self) -> u64 {
        self.echo.ends
    }

    /// Counts `requests` that were offered and ended about `now` as those did that it remembers; there must be any. `phase` in [0, 1)
    /// is where their remainder begins. Every end of an attempt is told to `ended`.
    pub fn repeat(&mut self, now: Time, requests: u64, phase: f64, mut ended: impl FnMut(Echoed)) {
        let echo = std::mem::take(&mut self.echo);
        let measured = now >= self.warmup_end;
        let mut ends = Shares::new(requests, echo.ends, phase);
        let mut others = Shares::new(requests, echo.ends, phase);
        self.step.offered += requests;
        if measured {
            self.counts.offered += requests;
        }
        for &heard in &echo.heard {
            match heard {
                Heard::Succeeded { latency, waiting, service, endpoint } => {
                    let n = ends.take();
                    ended(Echoed { latency, failed: false, times: n });
                    self.repeat_success(measured, n, [latency, waiting, service], endpoint);
                }
                Heard::Failed { latency, reason, endpoint } => {
                    let n = ends.take();
                    self.repeat_failure(measured, n, latency, reason, endpoint);
                }
                Heard::Retried { endpoint } => {
                    let n = others.take();
                    self.step.retries += n;
                    if measured {
                        self.counts.retries += n;
                        if self.endpoints.len() > 1 {
                            self.endpoints[usize::from(endpoint)].counts.retries += n;
                        }
                    }
                }
                Heard::Wasted { service } => {
                    // Work of no use in a calm is an answer that is an error.
                    let n = others.take();
                    ended(Echoed { latency: service, failed: true, times: n });
                    if measured {
                        self.wasted = Span(self.wasted.0.saturating_add(service.0.saturating_mul(n)));
                    }
                }
            }
        }
        self.echo = echo;
    }

    fn repeat_success(&mut self, measured: bool, n: u64, times: [Span; 3], endpoint: u16) {
        let [latency, waiting, service] = times;
        self.step.succeeded += n;
        if !measured {
            self.warming.record_n(latency, n);
            return;
        }
        self.completions += n;
        self.counts.succeeded += n;
        self.measured.record_n(latency, n);
        self.service_counts.record_n(service, n);
        if waiting.is_zero() {
            self.unwaiting += n;
        } else {
            self.waiting_counts.record_n(waiting, n);
        }
        if self.endpoints.len() > 1 {
            let endpoint = &mut self.endpoints[usize::from(endpoint)];
            endpoint.counts.offered += n;
            endpoint.counts.succeeded += n;
            endpoint.latency.record_n(latency, n);
        }
    }

    fn repeat_failure(&mut self, measured: bool, n: u64, latency: Span, reason: Failure, endpoint: u16) {
        self.step.failed += n;
        if !measured {
            return;
        }
        self.completions += if reason == Failure::ServerError { n } else { 0 };
        self.counts.failed[reason as usize] += n;
        self.failed.record_n(latency, n);
        if self.endpoints.len() > 1 {
            let counts = &mut self.endpoints[usize::from(endpoint)].counts;
            counts.offered += n;
            counts.failed[reason as usize] += n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_and_add_up() {
        for (total, among, phase) in
            [(1000u64, 7u64, 0.0), (3, 64, 0.9), (64, 64, 0.5), (0, 5, 0.3), (1_000_003, 77, 0.99)]
        {
            let mut shares = Shares::new(total, among, phase);
            let taken: Vec<u64> = (0..among).map(|_| shares.take()).collect();
            assert_eq!(taken.iter().sum::<u64>(), total, "{total} among {among}");
            let (low, high) = (taken.iter().min().unwrap(), taken.iter().max().unwrap());
            assert!(high - low <= 1, "{low} to {high}");
        }
    }
}
