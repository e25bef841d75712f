//! Whether samples can stand for a scenario's requests, and if not, why.
//!
//! They can where requests that are alike meet alike instances, and nothing counts, remembers or couples them but queues. Whatever
//! looks at single requests over time would see fewer of them, so a scenario with any such thing is simulated in full. When in doubt, the
//! answer is no.

use crate::engine::autoscaler::Policy;
use crate::engine::autoscaler::rules::Config as Rule;
use crate::engine::balancer::Strategy;
use crate::engine::metrics::{Aggregate, Metric};
use crate::scenario::service::Discipline;
use crate::scenario::{Scenario, Traffic};
use crate::sim::Plan;
use crate::traffic::Process;

/// Why every request of `plan` has to be simulated, in words; `None`: samples do.
pub(in crate::sim) fn unfit(plan: &Plan) -> Option<String> {
    let scenario = plan.scenario();
    by_traffic(plan)
        .or_else(|| by_protection(scenario))
        .or_else(|| by_balancer(scenario))
        .or_else(|| by_service(plan))
        .or_else(|| by_autoscaler(scenario))
}

fn told(reason: &str) -> Option<String> {
    Some(reason.to_string())
}

fn by_traffic(plan: &Plan) -> Option<String> {
    let config = match &plan.scenario().traffic {
        Traffic::Closed(_) => return told("users who wait for answers are a closed loop"),
        Traffic::Replay { .. } if plan.dataset().is_some_and(|dataset| dataset.summary().is_log) => {
            return told("the requests of a log are read one by one");
        }
        Traffic::Replay { changes, .. } => changes,
        Traffic::Open(config) => config,
    };
    if config.attacks().next().is_some() {
        return told("an attack comes from few clients");
    }
    match config.arrivals {
        Process::Mmpp(_) => told("arrivals come in bursts of which the rate does not tell"),
        Process::Paced => told("paced arrivals have no chance in them to sample"),
        Process::Poisson => None,
    }
}

fn by_protection(scenario: &Scenario) -> Option<String> {
    let overload = &scenario.overload;
    if scenario.limiter.is_some() {
        told("a rate limiter counts requests")
    } else if scenario.breaker.is_some() {
        told("a circuit breaker counts calls")
    } else if overload.gateway.is_on() || overload.adaptive_lifo || overload.is_on() {
        told("overload control looks at every request")
    } else if scenario.analyzer.is_some() {
        told("the traffic analyzer looks at every client")
    } else if !scenario.faults.is_empty() {
        told("faults change what instances do")
    } else if !scenario.dependencies.is_empty() {
        told("a dependency couples the instances")
    } else if scenario.autoscaler.as_ref().is_some_and(|autoscaler| autoscaler.hold.is_some() || autoscaler.min == 0)
    {
        told("the gateway holds requests while there is no instance for them")
    } else {
        None
    }
}

fn by_balancer(scenario: &Scenario) -> Option<String> {
    use Strategy as S;
    let balancer = &scenario.balancer;
    match balancer.strategy {
        S::RoundRobin | S::Weighted | S::WeightedEdf | S::LeastConnections | S::LeastConnectionsEdf => {}
        S::Random | S::PowerOfTwoChoices | S::JoinIdleQueue => {}
        S::IpHash | S::NginxIpHash | S::RingHash | S::Maglev => {
            return told("the balancer sends the same clients to the same instance");
        }
        S::PeakEwma | S::Prequal | S::C3 | S::ReportedUtilization => {
            return told("the balancer remembers how instances answered");
        }
    }
    if balancer.sticky.is_some() {
        told("clients stay with their instance")
    } else if balancer.ejection.is_some() || balancer.passive.is_some() {
        told("the ejection of outliers counts answers")
    } else if balancer.zone_aware.is_some() || !balancer.priorities.is_empty() {
        told("the balancer prefers some instances")
    } else if balancer.slow_start.is_some() {
        told("the weights of new instances grow slowly")
    } else if balancer.limit_ramp.is_some() {
        told("the limit of an instance moves with the load")
    } else {
        None
    }
}

fn by_service(plan: &Plan) -> Option<String> {
    let heavy = plan.endpoints().iter().find(|endpoint| endpoint.time.cv() > MOST_VARIED);
    if plan.scenario().clients.cancel {
        return told("clients that give up stop the work they caused");
    }
    heavy.map(|endpoint| format!("the demand of {} varies too much for a sample", endpoint.path))
}

/// Rates and work are known exactly whatever is left out, and so is what policies make of them. Queues and latencies are those of samples
/// that stand for much: what waits for the highest of many values, or steers by one, would find them too steady.
fn by_autoscaler(scenario: &Scenario) -> Option<String> {
    let autoscaler = scenario.autoscaler.as_ref()?;
    let service = &scenario.service;
    let is_exact = |(metric, aggregate): (Metric, Aggregate)| match metric {
        Metric::RequestsPerSecond => true,
        Metric::CpuUtilization => is_total(aggregate),
        Metric::ActiveConnections | Metric::MemoryUtilization => {
            is_total(aggregate) && service.discipline == Discipline::Fcfs
        }
        _ => false,
    };
    let typical = service.endpoints.iter().map(|endpoint| endpoint.time.mean()).max()?;
    let rtt = scenario.clients.population.regions.iter().map(|region| region.rtt).max().unwrap_or_default()
        + scenario.service.overhead;
    // No calm comes near twice of what a request takes by itself.
    let is_far = |rule: &Rule| {
        matches!(rule.metric, Metric::AverageResponseTime | Metric::P50ResponseTime)
            && rule.threshold >= 2.0 * (typical + rtt).as_millis_f64()
    };
    let by_rules = autoscaler.rules.iter().filter(|rule| !is_far(rule)).map(|rule| (rule.metric, rule.aggregate));
    let by_policies = autoscaler.policies.iter().flat_map(Policy::metrics);
    let sampled = by_rules.chain(by_policies).find(|&each| !is_exact(each));
    sampled.map(|(metric, _)| format!("the autoscaler looks at {}, of which samples tell too little", metric.name()))
}

fn is_total(aggregate: Aggregate) -> bool {
    matches!(aggregate, Aggregate::Avg | Aggregate::Sum)
}

/// A sample of a demand with a larger coefficient of variation says little about its mean.
const MOST_VARIED: f64 = 4.0;
