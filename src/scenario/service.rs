//! The service: what an instance does with a request.

use crate::distribution::Distribution;
use crate::scenario::request::Request;
use crate::units::Span;

/// How requests inside an instance share it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Discipline {
    /// `workers` serve one request each, first come first served; the others wait.
    Fcfs,
    /// All requests inside share `cores` CPU cores equally, none getting more than one core.
    ProcessorSharing,
}

/// What an instance does with a request.
#[derive(Clone, Debug)]
pub struct Service {
    /// Requests served at once; `u32::MAX` when unlimited (processor sharing only).
    pub workers: u32,
    /// Requests that may wait; beyond that they are refused. `None`: unbounded.
    pub queue: Option<u32>,
    /// How requests share the instance.
    pub discipline: Discipline,
    /// CPU cores, > 0. Default: as many as the workers can keep busy, `workers · cpu_share`, so that CPU utilization equals
    /// worker utilization.
    pub cores: f64,
    /// The part of the demand that burns CPU, in (0, 1]; the rest waits (for a disk, say).
    pub cpu_share: f64,
    /// Demand of a request on an idle instance, for endpoints without their own.
    pub time: Distribution,
    /// Probability that a served request ends in a 5xx, for endpoints without their own, 0..1.
    pub error_rate: f64,
    /// What an attempt takes on its way there and back beside the round trip of its region, in which no worker is busy: a gateway,
    /// connections, being woken up. Only the simulator adds it, for live it is there by itself. Default zero; `wavetank calibrate` fits it.
    pub overhead: Span,
    /// Kinds of request; at least one ("/" if the scenario names none).
    pub endpoints: Vec<Endpoint>,
}

/// A kind of request.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name: its path, or method and path where another endpoint has the same path.
    pub path: String,
    /// How its requests are written.
    pub request: Request,
    /// Its share of requests relative to the other endpoints, ≥ 0.
    pub weight: f64,
    /// Demand of a request.
    pub time: Distribution,
    /// Probability that a served request ends in a 5xx, 0..1.
    pub error_rate: f64,
    /// How important it is under overload: 0 most, 15 least. Default 0.
    pub criticality: u8,
    /// What a request counts against quotas, ≥ 1. Default 1.
    pub cost: u32,
}

/// Rows of the endpoint table that the paths of a log may fill; the rest is [`OTHER`].
const LOG_ENDPOINTS: usize = 24;
/// The row of all paths that have none of their own.
const OTHER: &str = "other paths";

impl Service {
    /// The endpoints with those that the paths of a log add, and where each of these paths is among them. A path that the scenario names is
    /// that endpoint; any other gets a row of its own while there are some.
    pub fn with_paths(&self, paths: &[String]) -> (Vec<Endpoint>, Vec<u16>) {
        let mut endpoints = self.endpoints.clone();
        let places = paths.iter().map(|path| self.place_of(path, &mut endpoints)).collect();
        (endpoints, places)
    }

    fn place_of(&self, path: &str, endpoints: &mut Vec<Endpoint>) -> u16 {
        let find = |endpoints: &[Endpoint], path: &str| endpoints.iter().position(|endpoint| endpoint.path == path);
        if let Some(i) = find(endpoints, path) {
            return i as u16;
        }
        let path = if endpoints.len() < LOG_ENDPOINTS { path } else { OTHER };
        let place = find(endpoints, path).unwrap_or_else(|| {
            endpoints.push(Endpoint {
                path: path.to_string(),
                request: Request::get(path),
                weight: 0.0,
                time: self.time.clone(),
                error_rate: self.error_rate,
                criticality: 0,
                cost: 1,
            });
            endpoints.len() - 1
        });
        place as u16
    }

    /// The endpoint that a request is for, by its method and path without the query: `likely` if it fits, else the first that does. `None`: it
    /// is none of theirs.
    pub fn endpoint_of(&self, method: &str, path: &str, likely: Option<u16>) -> Option<u16> {
        let fits = |endpoint: &Endpoint| endpoint.request.fits(method, path);
        let is_likely = |&place: &u16| self.endpoints.get(usize::from(place)).is_some_and(fits);
        likely.filter(is_likely).or_else(|| self.endpoints.iter().position(fits).map(|place| place as u16))
    }

    /// The number of the endpoint that a request from outside is for: that of its method and path, else that of the longest beginning of the
    /// path; else the first.
    pub fn endpoint_before(&self, method: &str, path: &str) -> u16 {
        if self.endpoints.len() == 1 {
            return 0;
        }
        if let Some(place) = self.endpoint_of(method, path, None) {
            return place;
        }
        let fits = |endpoint: &str| {
            path.strip_prefix(endpoint)
                .is_some_and(|rest| rest.is_empty() || endpoint.ends_with('/') || rest.starts_with('/'))
        };
        let paths = self.endpoints.iter().map(|endpoint| endpoint.request.path()).enumerate();
        paths.filter(|(_, path)| fits(path)).max_by_key(|(_, path)| path.len()).map_or(0, |(place, _)| place as u16)
    }

    /// Mean demand over the endpoint mix \[s\].
    pub fn mean_demand(&self) -> f64 {
        let total: f64 = self.endpoints.iter().map(|e| e.weight).sum();
        let weighted: f64 = self.endpoints.iter().map(|e| e.weight * e.time.mean().as_secs_f64()).sum();
        if total > 0.0 { weighted / total } else { self.time.mean().as_secs_f64() }
    }

    /// Requests per second that one instance can serve at most, dependencies aside \[1/s\].
    pub fn capacity_rps(&self) -> f64 {
        let demand = self.mean_demand();
        let by_workers = f64::from(self.workers) / demand;
        match self.discipline {
            Discipline::Fcfs => by_workers,
            Discipline::ProcessorSharing => by_workers.min(self.cores / (demand * self.cpu_share)),
        }
    }

    /// Requests that one instance works on at full speed at once: workers, or under processor sharing cores over the
    /// CPU share.
    pub fn servers(&self) -> u32 {
        match self.discipline {
            Discipline::Fcfs => self.workers,
            Discipline::ProcessorSharing => {
                self.workers.min((self.cores / self.cpu_share).floor().clamp(1.0, f64::from(u32::MAX)) as u32)
            }
        }
    }
}

/// Extra slowness of a new instance: cold caches, a JIT compiler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// How long it lasts, counted from the moment the instance first takes traffic.
    pub over: Span,
    /// Demand is multiplied by this at first, falling linearly to 1; ≥ 1.
    pub slowdown: f64,
}

impl Warmup {
    /// Factor on demand when the warm-up has `left` to go.
    pub fn factor(&self, left: Span) -> f64 {
        1.0 + (self.slowdown - 1.0) * left.as_secs_f64() / self.over.as_secs_f64()
    }
}
