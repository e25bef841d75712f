//! `/metrics`: everything that is counted, for Prometheus (text format 0.0.4) or, for those who ask for it, OpenMetrics 1.0.

use std::fmt::Write;

use hyper::Response;
use hyper::header::{ACCEPT, HeaderMap};

use super::{Body, of_kind};
use crate::engine::limiter::outside::{Lapse, Tally};
use crate::live::driver::log::BreakerState;
use crate::live::driver::{Core, Driver};
use crate::live::meter::BUCKETS;
use crate::record::outcome::Failure;

/// The answer, in the format that the caller prefers.
pub fn response(driver: &Driver, headers: &HeaderMap) -> Response<Body> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let open = accept.contains("application/openmetrics-text");
    let text = text(driver, open);
    if open {
        of_kind("application/openmetrics-text; version=1.0.0; charset=utf-8", text)
    } else {
        of_kind("text/plain; version=0.0.4; charset=utf-8", text)
    }
}

/// Families of metrics, one after the other.
struct Page {
    text: String,
    open: bool,
}

impl Page {
    /// A family's head. Names of counters end in `_total`, which the head of OpenMetrics leaves out.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let name = if self.open { name.strip_suffix("_total").unwrap_or(name) } else { name };
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        if value.is_finite() {
            self.family(name, "gauge", help);
            self.sample(name, "", value);
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, "", value as f64);
    }
}

fn text(driver: &Driver, open: bool) -> String {
    let mut page = Page { text: String::new(), open };
    driver.with(|now, core| {
        requests(&mut page, core);
        fleet(&mut page, core);
        if let Some(tally) = core.engine.store() {
            quota_store(&mut page, tally);
        }
        page.gauge("wavetank_uptime_seconds", "Time since the gateway began.", now.as_secs_f64());
    });
    if open {
        page.text += "# EOF\n";
    }
    page.text
}

fn requests(page: &mut Page, core: &Core) {
    let totals = core.meter.totals().clone();
    let name = "wavetank_requests_total";
    page.family(name, "counter", "Requests that ended, by outcome.");
    page.sample(name, "{outcome=\"succeeded\"}", totals.succeeded as f64);
    for failure in Failure::ALL {
        let labels = format!("{{outcome=\"{}\"}}", failure.name());
        page.sample(name, &labels, totals.failed[failure as usize] as f64);
    }
    page.counter("wavetank_requests_offered_total", "Requests that came.", totals.offered);
    page.counter("wavetank_retries_total", "Attempts of the gateway's own beyond the first.", totals.retries);
    page.counter(
        "wavetank_client_aborted_total",
        "Requests whose client went away before the answer; also counted as timeout.",
        totals.client_aborted,
    );
    page.counter("wavetank_bad_requests_total", "Messages that were no sound request.", totals.bad_requests);
    page.counter(
        "wavetank_refused_connections_total",
        "Connections closed because there were too many.",
        totals.refused_connections,
    );
    let name = "wavetank_request_duration_seconds";
    page.family(name, "histogram", "Time from a request's head to the end of its answer, of those that succeeded.");
    let mut sum = 0;
    let bounds = BUCKETS.iter().map(|bound| format!("{bound:?}")).chain(["+Inf".to_string()]);
    for (bound, count) in bounds.zip(totals.buckets) {
        sum += count;
        page.sample(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), sum as f64);
    }
    page.sample(&format!("{name}_sum"), "", totals.latency_sum);
    page.sample(&format!("{name}_count"), "", sum as f64);
}

/// What a store of quotas was asked, and how it answered.
fn quota_store(page: &mut Page, tally: &Tally) {
    let name = "wavetank_quota_store_decisions_total";
    page.family(name, "counter", "Attempts that the store of quotas decided about.");
    page.sample(name, "{decision=\"allowed\"}", tally.allowed as f64);
    page.sample(name, "{decision=\"refused\"}", tally.refused as f64);
    let name = "wavetank_quota_store_failures_total";
    page.family(name, "counter", "Questions that the store of quotas did not decide, by reason.");
    for ((reason, _), failed) in Lapse::ALL.iter().zip(tally.failed) {
        page.sample(name, &format!("{{reason=\"{reason}\"}}"), failed as f64);
    }
    page.counter(
        "wavetank_quota_store_unasked_total",
        "Attempts about which the store of quotas was not asked, as it had not answered lately.",
        tally.unasked,
    );
    let name = "wavetank_quota_store_duration_seconds";
    page.family(name, "summary", "Time until the store of quotas answered.");
    page.sample(&format!("{name}_sum"), "", tally.took.as_secs_f64());
    page.sample(&format!("{name}_count"), "", (tally.allowed + tally.refused) as f64);
    let is_up = if tally.lost_since.is_none() { 1.0 } else { 0.0 };
    page.gauge("wavetank_quota_store_up", "Whether the store of quotas decides: 1, or 0 while it is lost.", is_up);
}

fn fleet(page: &mut Page, core: &Core) {
    page.gauge("wavetank_instances_ready", "Instances that take traffic.", f64::from(core.roster.ready()));
    page.gauge("wavetank_instances", "Instances that exist.", f64::from(core.roster.total()));
    page.gauge("wavetank_instances_desired", "Instances wanted.", f64::from(core.engine.desired()));
    if let Some((min, max)) = core.engine.bounds() {
        page.gauge("wavetank_instances_min", "Fewest instances allowed.", f64::from(min));
        page.gauge("wavetank_instances_max", "Most instances allowed.", f64::from(max));
    }
    page.gauge("wavetank_requests_in_flight", "Requests inside instances.", f64::from(core.roster.active()));
    page.gauge("wavetank_requests_held", "Requests that wait for an instance.", core.held() as f64);
    let state = match core.log.breaker() {
        BreakerState::Closed => 0.0,
        BreakerState::HalfOpen => 1.0,
        BreakerState::Open => 2.0,
    };
    page.gauge("wavetank_breaker_state", "The worst breaker: 0 closed, 1 half-open, 2 open.", state);
    page.gauge(
        "wavetank_baseline_requests_per_second",
        "Offered load that is usual now.",
        core.engine.baseline_rps().unwrap_or(f64::NAN),
    );
    page.gauge("wavetank_active_spikes", "Spikes that are on.", core.log.active_spikes().count() as f64);
    if let Some(second) = core.meter.seconds().next_back() {
        page.gauge("wavetank_cpu_utilization_ratio", "Mean CPU use of instances.", second.fleet.cpu_percent / 100.0);
        let memory = second.fleet.memory_percent / 100.0;
        page.gauge("wavetank_memory_utilization_ratio", "Mean memory use of instances.", memory);
        let lag = second.fleet.event_loop_lag_ms / 1e3;
        page.gauge("wavetank_event_loop_lag_seconds", "How late event loops of instances run.", lag);
    }
    let members: Vec<_> = core.roster.members().collect();
    if !members.is_empty() {
        let name = "wavetank_instance_requests_total";
        page.family(name, "counter", "Attempts sent to an instance.");
        for (id, member) in &members {
            page.sample(name, &format!("{{instance=\"{}\"}}", id.0), member.attempts as f64);
        }
        let name = "wavetank_instance_failures_total";
        page.family(name, "counter", "Attempts that failed there.");
        for (id, member) in &members {
            page.sample(name, &format!("{{instance=\"{}\"}}", id.0), member.failures as f64);
        }
    }
}
