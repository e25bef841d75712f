//! Balancing by what instances tell of themselves with their answers.
//!
//! ```text
//! c3                     score = R − 1/μ + q³ · 1/μ, the lowest wins            q = 1 + own in flight · balancers + q̄
//! reported_utilization   weight = answers/s / (utilization + errors/s / answers/s · penalty)
//! ```
//!
//! - C3 (Suresh et al., NSDI 2015): R is the response time that the balancer sees, 1/μ the service time and q̄ the queue that an answer
//!   reports, all of them moving averages. The cube punishes a queue before it is long; own requests in flight count once for every
//!   balancer, for the others are taken to do as this one does.
//! - Reported utilization (gRPC's client-side weighted round robin, proposal A58, over ORCA reports): weights are worked out once a second.
//!   A report counts from ten seconds after an instance's first one, and for three minutes; an instance without a weight has
//!   the mean of the others'.
//!
//! Signals that are averaged and shared herd: where several balancers see the same instance best, all run there.

use crate::engine::request::Outcome;
use crate::units::{Span, Time};

/// What an instance tells of itself with an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Requests that wait there.
    pub queue: u32,
    /// How long it worked on the request; zero if it did not.
    pub service: Span,
    /// How busy it is \[0..1\].
    pub utilization: f64,
}

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Balancers before the fleet, ≥ 1 (c3). Default 1.
    pub balancers: u32,
    /// How much utilization an error is worth, ≥ 0 (reported_utilization). Default 1.
    pub error_penalty: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { balancers: 1, error_penalty: 1.0 }
    }
}

/// The newest value's share of a moving average.
const NEWEST: f64 = 0.1;
/// How often weights are worked out.
const PERIOD: Span = Span::from_secs(1);
/// From an instance's first report until reports count.
const BLACKOUT: Span = Span::from_secs(10);
/// How long a report counts.
const EXPIRY: Span = Span::from_mins(3);

/// C3's score from response time, service time and estimated queue, times in one unit.
pub fn c3_score(response: f64, service: f64, queue: f64) -> f64 {
    response - service + queue * queue * queue * service
}

/// Weight of an instance that answers so often \[1/s\], errors included, so busy \[0..1\]; `None` if that says nothing.
pub fn weight(answers: f64, errors: f64, utilization: f64, penalty: f64) -> Option<f64> {
    let cost = utilization + errors / answers * penalty;
    (answers > 0.0 && cost > 0.0).then(|| answers / cost)
}

/// What is known of one instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feedback {
    /// Moving averages \[ns, ns, requests\]; `None`: nothing was ever told.
    response: Option<f64>,
    service: Option<f64>,
    queue: f64,
    /// Of the period that runs.
    answers: u32,
    errors: u32,
    utilization: f64,
    reports: u32,
    reported: Option<(Time, Time)>,
    weight: Option<f64>,
}

fn toward(average: &mut Option<f64>, value: f64) {
    *average = Some(average.map_or(value, |old| old + NEWEST * (value - old)));
}

impl Feedback {
    /// An attempt ended.
    pub fn ended(&mut self, outcome: Outcome, latency: Span) {
        if outcome == Outcome::Abandoned {
            return;
        }
        self.answers += 1;
        self.errors += u32::from(outcome.is_failure());
        if outcome == Outcome::Success {
            toward(&mut self.response, latency.0 as f64);
        }
    }

    /// An answer came with a report.
    pub fn reported(&mut self, now: Time, report: &Report) {
        if !report.service.is_zero() {
            toward(&mut self.service, report.service.0 as f64);
        }
        self.queue += NEWEST * (f64::from(report.queue) - self.queue);
        self.utilization += report.utilization;
        self.reports += 1;
        let first = self.reported.map_or(now, |(first, _)| first);
        self.reported = Some((first, now));
    }

    /// C3's score with so many own requests in flight; the lowest wins. An instance that never answered is judged by those alone.
    pub fn c3(&self, config: &Config, in_flight: u32) -> f64 {
        let queue = 1.0 + f64::from(in_flight) * f64::from(config.balancers) + self.queue;
        match (self.response, self.service) {
            (Some(response), Some(service)) => c3_score(response, service, queue),
            _ => queue - 1.0,
        }
    }

    fn close(&mut self, now: Time, config: &Config) {
        let seconds = PERIOD.as_secs_f64();
        let (answers, errors) = (f64::from(self.answers) / seconds, f64::from(self.errors) / seconds);
        if self.reports > 0 {
            let utilization = self.utilization / f64::from(self.reports);
            self.weight = weight(answers, errors, utilization, config.error_penalty).or(self.weight);
        }
        let counts = |(first, last): (Time, Time)| now >= first + BLACKOUT && now <= last + EXPIRY;
        if !self.reported.is_some_and(counts) {
            self.weight = None;
        }
        (self.answers, self.errors, self.utilization, self.reports) = (0, 0, 0.0, 0);
    }
}

/// What all instances told.
#[derive(Clone, Debug)]
pub struct Reports {
    config: Config,
    /// As many as members, in the same order.
    of: Vec<Feedback>,
    /// Mean of the weights that there are.
    mean: f64,
    due: Time,
}

impl Reports {
    /// Of nobody.
    pub fn new(config: Config) -> Reports {
        Reports { config, of: Vec::new(), mean: 1.0, due: Time::ZERO + PERIOD }
    }

    /// A member joins at `place`.
    pub fn join(&mut self, place: usize) {
        self.of.insert(place, Feedback::default());
    }

    /// The member at `place` leaves.
    pub fn leave(&mut self, place: usize) {
        self.of.remove(place);
    }

    /// What the member at `place` told.
    pub fn at(&mut self, place: usize) -> &mut Feedback {
        &mut self.of[place]
    }

    /// C3's score of the member at `place`.
    pub fn c3(&self, place: u32, in_flight: u32) -> f64 {
        self.of[place as usize].c3(&self.config, in_flight)
    }

    /// Works out weights, if that is due.
    pub fn refresh(&mut self, now: Time) {
        if now < self.due {
            return;
        }
        self.due = now + PERIOD;
        self.of.iter_mut().for_each(|feedback| feedback.close(now, &self.config));
        let (sum, count) =
            self.of.iter().filter_map(|f| f.weight).fold((0.0, 0), |(sum, n), weight| (sum + weight, n + 1));
        self.mean = if count > 0 { sum / f64::from(count) } else { 1.0 };
    }

    /// The weight of the member at `place`, > 0.
    pub fn weight(&self, place: u32) -> f64 {
        self.of[place as usize].weight.unwrap_or(self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_cubes_the_queue() {
        assert_eq!(c3_score(4.0, 2.0, 1.0 + 2.0 * 4.0 + 3.0), 3458.0, "LB-74");
        assert_eq!(c3_score(2.5, 4.0, 1.0 + 1.0), 30.5, "LB-75");
    }

    #[test]
    fn a_weight_is_answers_per_utilization_with_errors_as_load() {
        let near = |weight: Option<f64>, expected: f64| (weight.unwrap() - expected).abs() < 1e-6;
        assert!(near(weight(100.0, 10.0, 0.5, 1.0), 166.666_667), "LB-76");
        assert!(near(weight(100.0, 0.0, 0.5, 1.0), 200.0), "LB-77");
        assert!(near(weight(50.0, 0.0, 0.8, 1.0), 62.5), "LB-78");
        assert_eq!(weight(0.0, 0.0, 0.5, 1.0), None);
    }

    #[test]
    fn reports_count_after_a_blackout_and_lapse() {
        let mut reports = Reports::new(Config::default());
        (0..2).for_each(|place| reports.join(place));
        let at = |seconds: u64| Time::ZERO + Span::from_secs(seconds);
        let mut weights = Vec::new();
        for second in 1..=200 {
            if second <= 12 {
                (0..100).for_each(|_| reports.at(0).ended(Outcome::Success, Span::from_millis(1)));
                let report = Report { queue: 0, service: Span::from_millis(1), utilization: 0.5 };
                reports.at(0).reported(at(second), &report);
            }
            reports.refresh(at(second));
            weights.push([reports.weight(0), reports.weight(1)]);
        }
        assert_eq!(weights[8], [1.0, 1.0], "the blackout");
        assert_eq!(weights[10], [200.0, 200.0], "who told nothing has the mean");
        assert_eq!(weights[191], [200.0, 200.0], "the last report is three minutes old");
        assert_eq!(weights[192], [1.0, 1.0]);
    }
}
