//! The schedule: who asks for what when, exactly as the simulator would meet it.
//!
//! Arrivals come from the same source, and client and endpoint from the same keys (seed, stream, index), so that a simulated and a real run
//! of one scenario and seed are the same requests. Only the next one exists.

use crate::load::users::Users;
use crate::scenario::load::MOST_WORKERS;
use crate::scenario::request::Request;
use crate::scenario::service::Endpoint;
use crate::scenario::{Scenario, Traffic};
use crate::traffic::method::Method;
use crate::traffic::replay::{self, Dataset};
use crate::traffic::{Arrival, Arrivals, EndpointMix, Origin, Population};
use crate::units::{Span, Time};

/// Why there is nothing to send.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Users in a closed loop have no schedule.
    #[error("traffic.users: users ask when they have an answer, and not at times that are known before")]
    Users,
    /// More users than a machine has connections for.
    #[error(
        "traffic.users.count: {0} users, expected at most {MOST_WORKERS} on one machine: deal them out to several (--shard I/N)"
    )]
    TooManyUsers(u32),
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] replay::Error),
    /// There is no time in it.
    #[error("nothing to send: the traffic covers no time; say how long it is to run with scenario.duration")]
    NoTime,
    /// Nothing would be measured.
    #[error("scenario.warmup is {warmup}, but the run lasts only {duration}: nothing would be measured")]
    AllWarmup {
        /// The warm-up.
        warmup: Span,
        /// The run.
        duration: Span,
    },
}

/// A share of the schedule, for one of several generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which, from 0.
    pub index: u32,
    /// Of how many, ≥ 1.
    pub of: u32,
}

/// A request of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// When it is due.
    pub at: Time,
    /// Index of its random numbers.
    pub index: u64,
    /// Who asks.
    pub client: u32,
    /// The row of reports that it counts in.
    pub endpoint: u16,
    /// What it asks for and how, in [`Plan::requests`].
    pub form: u16,
}

/// A scenario whose traffic can be sent.
#[derive(Debug)]
pub struct Plan {
    scenario: Scenario,
    dataset: Option<Dataset>,
    duration: Span,
    endpoints: Vec<Endpoint>,
    /// Where the paths of a recording are in `endpoints`.
    recorded: Vec<u16>,
    requests: Vec<Request>,
}

impl Plan {
    /// Makes a scenario ready. Reads the recording once, if there is one.
    pub fn new(scenario: Scenario) -> Result<Plan, Error> {
        let dataset = match &scenario.traffic {
            Traffic::Replay { recording, .. } => Some(Dataset::open_all(&recording.paths, &recording.options)?),
            Traffic::Open(_) | Traffic::Closed(_) => None,
        };
        let duration = scenario.duration.or(dataset.as_ref().map(Dataset::duration)).unwrap_or(Span::ZERO);
        if duration.is_zero() {
            return Err(Error::NoTime);
        }
        if scenario.warmup >= duration {
            return Err(Error::AllWarmup { warmup: scenario.warmup, duration });
        }
        let logged = dataset.as_ref().map_or(&[][..], |dataset| &dataset.summary().endpoints);
        let (endpoints, recorded) = scenario.service.with_paths(logged);
        let mut requests: Vec<Request> =
            scenario.service.endpoints.iter().map(|endpoint| endpoint.request.clone()).collect();
        for path in logged {
            requests.extend(Method::ALL.map(|(_, method)| recorded_request(&scenario, method, path)));
        }
        Ok(Plan { dataset, duration, endpoints, recorded, requests, scenario })
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The recording, if one is replayed.
    pub fn dataset(&self) -> Option<&Dataset> {
        self.dataset.as_ref()
    }

    /// Length of the run: the scenario's, or the recording's.
    pub fn duration(&self) -> Span {
        self.duration
    }

    /// The rows of the report.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// What can be asked for: the scenario's endpoints, and then each path of the recording by every method. A recording tells only so many
    /// paths apart ([`replay::Summary::endpoints`]); all others are "other", and are asked for by that name.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The users, where they wait for answers; `None`: requests have a schedule.
    pub fn users(&self, seed: u64, share: Option<Share>) -> Result<Option<Users>, Error> {
        let Traffic::Closed(users) = &self.scenario.traffic else { return Ok(None) };
        let ours = users.count.div_ceil(share.map_or(1, |share| share.of));
        if ours > MOST_WORKERS {
            return Err(Error::TooManyUsers(ours));
        }
        Ok(Some(Users::new(users, self.mix(seed), seed, share)))
    }

    fn mix(&self, seed: u64) -> EndpointMix {
        let weights: Vec<f64> = self.scenario.service.endpoints.iter().map(|endpoint| endpoint.weight).collect();
        EndpointMix::new(&weights, seed)
    }

    /// What a scenario asks for that is not part of its arrivals, and does not happen here.
    pub fn left_out(&self) -> impl Iterator<Item = &'static str> {
        let scenario = &self.scenario;
        let regions = &scenario.clients.population.regions;
        let asked = [
            ("clients.retry: every arrival is one attempt", scenario.clients.retry.is_some()),
            ("clients.regions: the network is the real one", regions.iter().any(|region| !region.rtt.is_zero())),
            ("overload: clients do not throttle, hedge or give up", scenario.overload.is_on()),
            ("[[fault]]: of the simulator only", !scenario.faults.is_empty()),
            ("bodies of the recording, which is a log and has none", self.dataset.is_some() && self.has_bodies()),
        ];
        asked.into_iter().filter_map(|(what, is_asked)| is_asked.then_some(what))
    }

    /// Whether the recording has requests that usually have a body, which nobody wrote down.
    fn has_bodies(&self) -> bool {
        let summary = self.dataset.as_ref().map(Dataset::summary);
        summary
            .is_some_and(|summary| summary.methods.iter().zip(Method::ALL).any(|(n, (_, m))| *n > 0 && m.has_body()))
    }

    /// The requests under `seed`; those of a share, if one is given.
    pub fn schedule(&self, seed: u64, share: Option<Share>) -> Result<Schedule, Error> {
        let end = Time(self.duration.0);
        let (arrivals, changes) = match (&self.scenario.traffic, &self.dataset) {
            (Traffic::Replay { changes, .. }, Some(dataset)) => {
                (Arrivals::replay(dataset, changes, seed, end)?, changes)
            }
            (Traffic::Open(config), _) => (Arrivals::new(config, seed, end), config),
            _ => return Err(Error::Users),
        };
        let population = Population::new(&self.scenario.clients.population, seed);
        Ok(Schedule {
            arrivals,
            attackers: population.attackers(changes.attacks()),
            attacked: changes.attacks().map(|attack| attack.endpoint).collect(),
            population,
            mix: self.mix(seed),
            recorded: self.recorded.clone(),
            named: self.scenario.service.endpoints.len() as u16,
            share: share.unwrap_or(Share { index: 0, of: 1 }),
            ordinal: 0,
        })
    }
}

/// A recorded request; what the scenario says of such requests beside the path is true of it too.
fn recorded_request(scenario: &Scenario, method: Method, path: &str) -> Request {
    let bare = Request { method, ..Request::get(path) };
    let endpoint = scenario.service.endpoint_of(method.name(), bare.path(), None);
    let known = endpoint.map(|place| &scenario.service.endpoints[usize::from(place)].request);
    match known.filter(|known| known.parameters.is_empty()) {
        Some(known) => Request { target: path.to_string(), ..known.clone() },
        None => bare,
    }
}

/// The requests of a run, in order of their due times; an iterator.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    population: Population,
    attackers: Vec<std::ops::Range<u32>>,
    attacked: Vec<Option<u16>>,
    mix: EndpointMix,
    recorded: Vec<u16>,
    /// Requests before those of the recording.
    named: u16,
    share: Share,
    /// Arrivals so far, of all shares.
    ordinal: u64,
}

impl Schedule {
    /// What ended a recording before its end, if anything did.
    pub fn truncation(&self) -> Option<replay::Truncation<'_>> {
        self.arrivals.truncation()
    }

    fn job(&self, arrival: &Arrival) -> Job {
        let Arrival { at, index, ref origin } = *arrival;
        let drawn = || self.mix.endpoint(index);
        let asked = |client: u32, endpoint: u16| Job { at, index, client, endpoint, form: endpoint };
        match *origin {
            Origin::Base => asked(self.population.client(index), drawn()),
            Origin::Attack(k) => {
                let k = usize::from(k);
                let client = self.population.attacker(index, &self.attackers[k]);
                asked(client, self.attacked[k].unwrap_or_else(drawn))
            }
            Origin::Recorded { client, endpoint, method, .. } => {
                let row = self.recorded.get(usize::from(endpoint)).copied().unwrap_or(0);
                let form = self.named + endpoint * Method::ALL.len() as u16 + method as u16;
                Job { form, ..asked(client, row) }
            }
        }
    }
}

impl Iterator for Schedule {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        loop {
            let arrival = self.arrivals.next()?;
            let ordinal = self.ordinal;
            self.ordinal += 1;
            if ordinal % u64::from(self.share.of) == u64::from(self.share.index) {
                return Some(self.job(&arrival));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, Error> {
        Plan::new(crate::scenario::parse(text, "plan.toml", "".as_ref(), &[]).unwrap())
    }

    const SHOP: &str = r#"
        scenario.duration = "20s"
        traffic.shape = [{ kind = "constant", rate = 50 }]
        traffic.overlay = [{ kind = "attack", at = "5s", rate = 40, for = "5s", clients = 3 }]
        clients.population = 100
        service.time = "10ms"
        service.endpoint = [{ path = "/", weight = 3 }, { path = "/cart" }]
        "#;

    #[test]
    fn shares_are_the_schedule_dealt_out_one_by_one_and_keep_its_order() {
        let plan = plan(SHOP).unwrap();
        let whole: Vec<Job> = plan.schedule(7, None).unwrap().collect();
        assert!(whole.len() > 900 && whole.is_sorted_by_key(|job| job.at), "{}", whole.len());
        let mut dealt: Vec<Option<Job>> = vec![None; whole.len()];
        for index in 0..4 {
            let share = plan.schedule(7, Some(Share { index, of: 4 })).unwrap();
            for (job, place) in share.zip((index as usize..).step_by(4)) {
                dealt[place] = Some(job);
            }
        }
        assert_eq!(dealt, whole.into_iter().map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn attackers_and_paths_are_those_of_the_plan() {
        let plan = plan(SHOP).unwrap();
        let jobs: Vec<Job> = plan.schedule(7, None).unwrap().collect();
        let attacks: Vec<&Job> = jobs.iter().filter(|job| job.client >= 100).collect();
        assert!(attacks.iter().all(|job| job.index >= 1 << 48 && job.client < 103), "{attacks:?}");
        assert!(attacks.len() > 100);
        let carts = jobs.iter().filter(|job| plan.requests()[usize::from(job.form)].target == "/cart").count();
        assert!((jobs.len() / 6..jobs.len() / 3).contains(&carts), "{carts} of {}", jobs.len());
    }

    #[test]
    fn a_recording_is_sent_at_its_own_times_under_its_own_paths() {
        let folder = tempfile::tempdir().unwrap();
        let log = (0..40).map(|i| {
            format!("10.0.0.{} - - [01/Jan/2026:00:00:{:02} +0000] \"GET /p{i} HTTP/1.1\" 200 1\n", i % 3, i / 4)
        });
        std::fs::write(folder.path().join("a.log"), log.collect::<String>()).unwrap();
        let text = "traffic.replay = { path = \"a.log\" }\nservice.time = \"1ms\"";
        let scenario = crate::scenario::parse(text, "plan.toml", folder.path(), &[]).unwrap();
        let plan = Plan::new(scenario).unwrap();
        let asked: Vec<&str> = plan
            .schedule(1, None)
            .unwrap()
            .map(|job| plan.requests()[usize::from(job.form)].target.as_str())
            .collect();
        let expected: Vec<String> = (0..40).map(|i| format!("/p{i}")).collect();
        assert_eq!(asked, expected);
        assert!(plan.endpoints().len() < 40, "the report shows some rows, and the requests keep their paths");
    }

    #[test]
    fn a_recording_keeps_its_methods_and_what_the_scenario_says_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let line = |method: &str, second: u32| {
            format!("10.0.0.1 - - [01/Jan/2026:00:00:0{second} +0000] \"{method} /cart HTTP/1.1\" 200 1\n")
        };
        let log: String = ["GET", "POST", "BREW", "DELETE"].into_iter().zip(0..).map(|(m, s)| line(m, s)).collect();
        std::fs::write(folder.path().join("a.log"), log).unwrap();
        let text = r#"
            traffic.replay = { path = "a.log" }
            service.time = "1ms"
            service.endpoint = [{ path = "/cart", method = "POST", body = "{}", headers = { x-from = "log" } }]
            "#;
        let plan = Plan::new(crate::scenario::parse(text, "plan.toml", folder.path(), &[]).unwrap()).unwrap();
        let asked: Vec<&Request> =
            plan.schedule(1, None).unwrap().map(|job| &plan.requests()[usize::from(job.form)]).collect();
        let methods: Vec<&str> = asked.iter().map(|request| request.method.name()).collect();
        assert_eq!(methods, ["GET", "POST", "GET", "DELETE"], "what nobody knows is asked for with GET");
        assert!(asked.iter().all(|request| request.target == "/cart"));
        let with: Vec<usize> = asked.iter().map(|request| request.headers.len()).collect();
        assert_eq!(with, [0, 1, 0, 0]);
        assert!(plan.left_out().any(|what| what.contains("bodies")));
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        let told = |text: &str| plan(text).unwrap_err().to_string();
        let users = "scenario.duration = \"1s\"\ntraffic.users = { count = 100_000 }\nservice.time = \"1ms\"";
        let users = plan(users).unwrap();
        assert!(users.users(1, None).unwrap_err().to_string().contains("65536"));
        assert_eq!(users.users(1, Some(Share { index: 1, of: 3 })).unwrap().unwrap().count(), 33_333);
        assert!(users.schedule(1, None).is_err());
        let warm = format!("scenario.warmup = \"30s\"\n{SHOP}");
        assert!(crate::scenario::parse(&warm, "w.toml", "".as_ref(), &[]).is_err() || told(&warm).contains("warmup"));
    }
}
