//! `[service]` and `[[dependency]]`.

use std::collections::BTreeMap;

use super::distribution::positive_distribution;
use super::request::request;
use super::{duplicate, weight};
use crate::distribution::Distribution;
use crate::scenario::dependency::{Cache, Dependency};
use crate::scenario::reader::{Field, Section};
use crate::scenario::request::Request;
use crate::scenario::service::{Discipline, Endpoint, Service};
use crate::traffic::method::Method;
use crate::units::Span;

const TIME: &str = "time = { dist = \"exponential\", mean = \"40ms\" }";

/// The service of a gateway that is told nothing about it: one core, and requests of no known length.
pub(crate) fn unknown() -> Service {
    let time = Distribution::Constant(Span::from_millis(1));
    let endpoint = root(&time, 0.0);
    Service {
        workers: u32::MAX,
        queue: None,
        discipline: Discipline::ProcessorSharing,
        cores: 1.0,
        cpu_share: 1.0,
        time,
        error_rate: 0.0,
        overhead: Span::ZERO,
        endpoints: vec![endpoint],
    }
}

/// What is asked for where a scenario names nothing.
fn root(time: &Distribution, error_rate: f64) -> Endpoint {
    let (path, time) = ("/".to_string(), time.clone());
    Endpoint { request: Request::get(&path), path, weight: 1.0, time, error_rate, criticality: 0, cost: 1 }
}

/// `[service]`.
pub(crate) fn service(field: &Field) -> Option<Service> {
    field.section(|s| {
        let disciplines = [("fcfs", Discipline::Fcfs), ("ps", Discipline::ProcessorSharing)];
        let discipline = s.or("discipline", Discipline::Fcfs, |f| f.choice(&disciplines));
        let default_workers = if discipline == Discipline::Fcfs { 1 } else { u32::MAX };
        let workers = s.or("workers", default_workers, |f| f.count(1));
        let queue = s.optional("queue", |f| f.count(0));
        let cpu_share = s.or("cpu_share", 1.0, Field::positive_ratio);
        let needed = f64::from(workers) * cpu_share;
        let default_cores = if discipline == Discipline::Fcfs { needed } else { 1.0 };
        let cores = s.or("cores", default_cores, Field::positive);
        let time = s.required("time", TIME, positive_distribution);
        let error_rate = s.or("error_rate", 0.0, Field::ratio);
        let overhead = s.or("overhead", Span::ZERO, Field::span);
        let sections_own = s.is_sound();
        let endpoints = match s.field("endpoint") {
            Some(f) => endpoints(&f, time.as_ref(), error_rate),
            None => time.as_ref().map(|time| vec![root(time, error_rate)]),
        };
        if sections_own {
            check_capacity(s, discipline, needed, cores);
            if let (Some(queue), u32::MAX) = (s.field("queue"), workers) {
                let _: Option<()> =
                    queue.contradiction("nothing ever waits while workers is unlimited: set workers too");
            }
        }
        Some(Service {
            workers,
            queue,
            discipline,
            cores,
            cpu_share,
            time: time?,
            error_rate,
            overhead,
            endpoints: endpoints?,
        })
    })
}

/// With first come first served, a worker runs at full speed whatever the others do: there have to be cores for all.
fn check_capacity(s: &Section, discipline: Discipline, needed: f64, cores: f64) {
    if discipline == Discipline::Fcfs
        && cores < needed * (1.0 - 1e-9)
        && let Some(field) = s.field("cores")
    {
        let _: Option<()> = field.contradiction(format!(
            "found {cores}, but workers × cpu_share is {needed}: the CPU part would need more cores than there are: use \
             discipline = \"ps\""
        ));
    }
}

fn endpoints(field: &Field, time: Option<&Distribution>, error_rate: f64) -> Option<Vec<Endpoint>> {
    let elements = field.elements()?;
    if elements.len() > usize::from(u16::MAX) {
        return field.unfit_part(format!("{} endpoints", elements.len()), "at most 65535");
    }
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for element in &elements {
        let endpoint = element.section(|s| {
            let target = s.required("path", "path = \"/api/search\"", Field::text);
            let request = request(s, target.clone().unwrap_or_default());
            let is_taken = |request: &Request| {
                endpoints.iter().any(|e| (e.request.method, &e.request.target) == (request.method, &request.target))
            };
            let is_new = match s.field("path").filter(|_| request.as_ref().is_some_and(is_taken)) {
                Some(field) => duplicate(&field),
                None => Some(()),
            };
            let weight = s.or("weight", 1.0, weight);
            let own_time = s.field("time");
            let time = match &own_time {
                Some(f) => positive_distribution(f),
                None => time.cloned(),
            };
            let error_rate = s.or("error_rate", error_rate, Field::ratio);
            let criticality = s.or("criticality", 0, |f| match f.count(0)? {
                level if level <= 15 => Some(level as u8),
                _ => f.unfit("a level from 0 (most important) to 15"),
            });
            is_new?;
            Some(Endpoint {
                path: target?,
                request: request?,
                weight,
                time: time?,
                error_rate,
                criticality,
                cost: s.or("cost", 1, |f| f.count(1)),
            })
        });
        endpoints.extend(endpoint);
    }
    if endpoints.len() < elements.len() {
        return None;
    }
    if endpoints.is_empty() {
        return field.unfit_part("no endpoints", "at least one, or no endpoint key at all");
    }
    if endpoints.iter().all(|e| e.weight == 0.0) {
        return field.unfit_part("only weights of 0", "at least one endpoint with a weight above 0");
    }
    name_by_method(&mut endpoints);
    Some(endpoints)
}

/// Where several endpoints have one path, those that are no GET are called by their method too.
fn name_by_method(endpoints: &mut [Endpoint]) {
    let mut sharing = BTreeMap::new();
    for endpoint in &*endpoints {
        *sharing.entry(endpoint.path.clone()).or_insert(0) += 1;
    }
    for endpoint in endpoints {
        if sharing[&endpoint.path] > 1 && endpoint.request.method != Method::Get {
            endpoint.path = format!("{} {}", endpoint.request.method.name(), endpoint.request.target);
        }
    }
}

/// A text that none of `seen` has; it joins them.
pub(super) fn unique(field: &Field, seen: &mut Vec<String>) -> Option<String> {
    let text = field.text()?;
    if seen.contains(&text) {
        return duplicate(field);
    }
    seen.push(text.clone());
    Some(text)
}

/// `[[dependency]]`.
pub(crate) fn dependencies(field: &Field) -> Option<Vec<Dependency>> {
    let mut names = Vec::new();
    field.list(|element| {
        element.section(|s| {
            let name = s.required("name", "name = \"database\"", |f| unique(f, &mut names));
            let connections = s.required("connections", "connections = 100", |f| f.count(1));
            let time = s.required("time", "time = \"5ms\"", positive_distribution);
            let calls_per_request = s.or("calls_per_request", 1.0, Field::positive);
            let coefficient = |f: &Field| f.number("a coefficient from 0 to 1", |x| (0.0..=1.0).contains(&x));
            let contention = s.or("contention", 0.0, coefficient);
            let coherency = s.or("coherency", 0.0, coefficient);
            let cache = s.optional("cache", cache);
            let timeout = s.optional("timeout", Field::positive_span);
            let optional = s.or("optional", false, Field::boolean);
            if let (Some(field), true, None) = (s.field("optional"), optional, s.field("timeout")) {
                return field.contradiction("a request only goes on without a call that timed out: set timeout");
            }
            Some(Dependency {
                name: name?,
                connections: connections?,
                time: time?,
                calls_per_request,
                contention,
                coherency,
                cache,
                timeout,
                optional,
            })
        })
    })
}

fn cache(field: &Field) -> Option<Cache> {
    field.section(|s| {
        let hit_ratio = s.required("hit_ratio", "hit_ratio = 0.9", Field::positive_ratio);
        let entries = s.required("entries", "entries = 10000", |f| f.count(1));
        Some(Cache { hit_ratio: hit_ratio?, entries: entries? })
    })
}
