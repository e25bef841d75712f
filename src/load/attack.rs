//! goose: its users are the workers, and it counts along.
//!
//! Each user runs one transaction that takes requests until there are none. Goose brings the users and its metrics; time is ours. What in goose
//! would get in the way is closed off here:
//!
//! - It prints on standard output, unless users are given without iterations and metrics are not printed: so they are.
//! - It logs to standard output: a logger of ours comes first, and writes warnings to standard error.
//! - It forgets what was counted until all users run: time begins a second after they do.
//! - Its second Ctrl-C ends the process without a report: whoever runs this takes the signal first, as only one handler is allowed.
//! - Its client follows redirects and proxies of the environment, says `goose/…` and asks for compressed bodies: requests are sent by one of
//!   ours ([`crate::load::client`]).
//! - Its client cannot be built where a system has no CA certificates, even for plain HTTP: told to check none it can, and it sends nothing.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionFunction, TransactionResult};
use goose::metrics::GooseMetrics;
use goose::{GooseAttack, GooseError};
use http_body_util::Full;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri, Version};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, oneshot, watch};

use crate::live::callers;
use crate::live::callers::writer::Writer;
use crate::live::clock::{Clock, duration};
use crate::live::gateway::fields;
use crate::load::client::{self, Client, Failed, Manner};
use crate::load::ledger::{Attempt, Ledger, Sum};
use crate::load::pacer::{Waiting, pace};
use crate::load::queue::Queue;
use crate::load::schedule::{self, Job, Plan, Schedule, Share};
use crate::load::stop::Stop;
use crate::load::target::Target;
use crate::load::users::{Seat, Users};
use crate::record::Run;
use crate::record::generator::Pacing;
use crate::record::outcome::Failure;
use crate::record::run::Ended;
use crate::scenario::load::{Http, Pace};
use crate::scenario::request;
use crate::scenario::slo;
use crate::units::{Span, Time};

/// Patience with an answer where the scenario's clients have no end of it: the longest latency with a slot of its own in most tools.
pub const PATIENCE: Span = Span::from_secs(60);
/// From the last user's start until time begins. Goose looks twice a second whether all users run, and then resets its metrics.
const SETTLE: Duration = Duration::from_secs(1);
/// How long requests under way may still take when somebody asked to stop.
const STOP_PATIENCE: Span = Span::from_secs(5);
/// How often a user with nothing left to do lets goose look whether it is to end.
const IDLE: Duration = Duration::from_millis(50);

/// Why no load could be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no schedule.
    #[error(transparent)]
    Schedule(#[from] schedule::Error),
    /// The target cannot be spoken to.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// Goose did not start, or gave up.
    #[error("goose: {0}")]
    Goose(Box<GooseError>),
    /// It panicked.
    #[error("goose: {0}")]
    Panic(tokio::task::JoinError),
    /// It ended without a word before the run was over.
    #[error("goose ended before the run did")]
    EndedEarly,
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What load is sent with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to.
    pub target: Target,
    /// Seed of every random number.
    pub seed: u64,
    /// Workers: requests that can be under way at once, ≥ 1.
    pub pool: u32,
    /// The share of the schedule that is ours; `None`: all of it.
    pub share: Option<Share>,
    /// How the target is spoken to.
    pub manner: Manner,
    /// Connections that are opened before the first request.
    pub connections: u32,
    /// How requests are timed.
    pub pace: Pace,
    /// When it begins; `None`: as soon as it can.
    pub start_at: Option<Timestamp>,
}

/// Cores that spinning takes to be worth it: one for the thread that is awake, and two that send and receive.
const CORES_TO_SPIN: usize = 3;
/// The tightest latency target above which a wake-up that is 100 µs late does not matter.
const TIGHT: Span = Span::from_millis(5);

impl Settings {
    /// How requests of a plan are timed on a machine with so many cores.
    fn pacing(&self, plan: &Plan, cores: usize) -> Pacing {
        let is_tight = slo::tightest(&plan.scenario().slo).is_some_and(|target| target < TIGHT);
        match self.pace {
            Pace::Sleep => Pacing::Sleep,
            Pace::Spin => Pacing::Spin,
            Pace::Auto if is_tight && cores >= CORES_TO_SPIN => Pacing::Spin,
            Pace::Auto => Pacing::Sleep,
        }
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Its record.
    pub run: Run,
    /// The clock that its times are of.
    pub clock: Clock,
    /// What was sent.
    pub sent: Sum,
    /// The same by goose's account; `None`: goose failed after all was sent, and left none.
    pub by_goose: Option<Sum>,
    /// Time from the call to the first moment of the run, in which nothing was sent.
    pub prepared: Span,
    /// When it began, and how long after it was to; `None`: it was to begin as soon as it could.
    pub began: Option<(String, SignedDuration)>,
    /// What the first connection that could not be made, could not.
    pub trouble: Option<String>,
}

/// What all workers share.
#[derive(Debug)]
struct Crew {
    client: Arc<Client>,
    target: Target,
    host: HeaderValue,
    writer: Writer,
    /// Where requests go that all go to one place, by their forms.
    places: Vec<Option<Uri>>,
    /// Names and methods of the forms in goose's tables.
    names: Vec<(&'static str, String)>,
    patience: Span,
    queue: Queue,
    ledger: Ledger,
    /// Those who ask when they have thought; `None`: requests have a schedule.
    users: Option<Users>,
    /// Started when all workers are there.
    clock: OnceLock<Clock>,
    /// Whether what is still under way is cut off.
    cut: watch::Sender<bool>,
    missing: AtomicUsize,
    all_there: Notify,
}

/// Load that is ready to be sent: everything that an input can have wrong with it was looked at.
#[derive(Debug)]
pub struct Attack {
    crew: Arc<Crew>,
    /// `None`: users ask.
    schedule: Option<Schedule>,
    settings: Settings,
    pacing: Pacing,
    end: Time,
}

impl Attack {
    /// Makes the arrivals of a plan ready.
    pub fn new(plan: &Plan, settings: &Settings) -> Result<Attack, Error> {
        let patience = plan.scenario().clients.timeout.unwrap_or(PATIENCE);
        let users = plan.users(settings.seed, settings.share)?;
        let schedule = if users.is_none() { Some(plan.schedule(settings.seed, settings.share)?) } else { None };
        let pool = users.as_ref().map_or(settings.pool, |users| users.count() as u32).max(1);
        let settings = Settings { pool, ..settings.clone() };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pacing = if users.is_some() { Pacing::Users } else { settings.pacing(plan, cores) };
        let client = Arc::new(Client::new(&settings.target, settings.manner.clone())?);
        let writer = Writer::new(plan.requests().iter(), settings.seed);
        let place = |(place, request): (usize, &request::Request)| {
            writer.has_one_target(place).then(|| settings.target.uri(&request.target, settings.manner.http)).flatten()
        };
        let crew = Crew {
            client,
            places: plan.requests().iter().enumerate().map(place).collect(),
            names: plan.requests().iter().map(|each| (each.method.name(), each.target.clone())).collect(),
            writer,
            // What parses as a host has only such characters.
            host: HeaderValue::from_str(&settings.target.authority())
                .unwrap_or(HeaderValue::from_static("localhost")),
            target: settings.target.clone(),
            patience,
            queue: Queue::new(settings.pool as usize),
            ledger: Ledger::new(plan, settings.pool, settings.share),
            users,
            clock: OnceLock::new(),
            cut: watch::Sender::new(false),
            missing: AtomicUsize::new(settings.pool as usize),
            all_there: Notify::new(),
        };
        Ok(Attack { crew: Arc::new(crew), schedule, settings, pacing, end: Time(plan.duration().0) })
    }

    /// Workers, each with one request under way at most.
    pub fn workers(&self) -> u32 {
        self.settings.pool
    }

    /// Sends it, until its end or until somebody asks to stop, and says what came of it. One at a time in a process: goose's switch to end
    /// a run is the process's.
    pub async fn run(self, stop: &Arc<Stop>) -> Result<Outcome, Error> {
        let called = Clock::start();
        let Attack { crew, schedule, settings, pacing, end } = self;
        Log::install();
        // It is the process's, and stays as the run before has left it.
        goose::reset_killswitch();
        // A task of its own: if goose panics, what was recorded is kept all the same.
        let mut executing = tokio::spawn(goose(&crew, &settings)?.execute());
        let began = OnceLock::new();
        let begin = async {
            crew.all_there.notified().await;
            tokio::join!(tokio::time::sleep(SETTLE), crew.client.warm(settings.connections.min(settings.pool)));
            let (clock, late) = match settings.start_at {
                None => (Clock::start(), None),
                Some(at) => {
                    let (clock, late) = Clock::start_at(at, || !stop.is_wished()).await;
                    (clock, Some((clock.date(Time::ZERO), late)))
                }
            };
            let prepared = called.now().since(Time::ZERO);
            // Nobody else sets them.
            let _ = began.set((prepared, late));
            conduct(&crew, schedule, *crew.clock.get_or_init(|| clock), end, pacing, stop).await
        };
        let conducted = tokio::select! {
            over = &mut executing => Err(match over {
                Ok(Ok(_)) => Error::EndedEarly,
                Ok(Err(error)) => Error::Goose(Box::new(error)),
                Err(panic) => Error::Panic(panic),
            }),
            ended = begin => ended,
        };
        let (ended, by_goose) = match conducted {
            Ok(ended) => (ended, executing.await.ok().and_then(Result::ok).as_ref().map(sum)),
            // What was recorded until then is kept, if time had begun.
            Err(error) => {
                let Some(clock) = crew.clock.get() else { return Err(error) };
                stop.stop();
                (Ended::TrafficLost { at: clock.now(), problem: error.to_string() }, None)
            }
        };
        let now = match &ended {
            Ended::Completed => end,
            Ended::Interrupted { at } | Ended::TrafficLost { at, .. } => *at,
        };
        let sent = crew.ledger.sent();
        let mut run = crew.ledger.finish(settings.seed, ended, now).ok_or(Error::EndedEarly)?;
        if let Some(generator) = &mut run.generator {
            generator.pacing = pacing;
            (generator.warmed, generator.connects) = crew.client.opened();
        }
        let (prepared, began) = began.into_inner().unwrap_or_default();
        let trouble = crew.client.trouble().map(str::to_string);
        let clock = *crew.clock.get().ok_or(Error::EndedEarly)?;
        Ok(Outcome { run, clock, sent, by_goose, prepared, began, trouble })
    }
}

/// What is in goose's tables.
fn sum(metrics: &GooseMetrics) -> Sum {
    metrics.requests.values().fold(Sum::default(), |sum, row| Sum {
        requests: sum.requests + (row.success_count + row.fail_count) as u64,
        micros: sum.micros + row.raw_data.total_time_us,
        longest: sum.longest.max(row.raw_data.maximum_time_us),
    })
}

/// From the first moment of a run to the end of its last request.
async fn conduct(
    crew: &Arc<Crew>,
    schedule: Option<Schedule>,
    clock: Clock,
    end: Time,
    pacing: Pacing,
    stop: &Arc<Stop>,
) -> Result<Ended, Error> {
    let (tell, told) = oneshot::channel();
    let (pacing_crew, stop) = (Arc::clone(crew), Arc::clone(stop));
    let pace = move || {
        let Crew { queue, ledger, users, .. } = &*pacing_crew;
        let waiting = Waiting { clock: &clock, stop: &stop, spins: pacing == Pacing::Spin };
        let ended = match (schedule, users) {
            (Some(schedule), _) => pace(schedule, waiting, end, queue, ledger),
            (None, Some(users)) => users.conduct(&clock, end, queue, ledger, &stop),
            (None, None) => Ended::Completed,
        };
        // Whoever asked may have gone.
        let _ = tell.send(ended);
    };
    std::thread::Builder::new().name("pacer".to_string()).spawn(pace).map_err(Error::Thread)?;
    let ended = told.await.map_err(|_| Error::EndedEarly)?;
    // The slowest are not thrown away: who was sent in time has its whole patience.
    let grace = if ended == Ended::Completed { crew.patience } else { crew.patience.min(STOP_PATIENCE) };
    if tokio::time::timeout(duration(grace), crew.queue.all_ended()).await.is_err() {
        crew.cut.send_replace(true);
        crew.queue.all_ended().await;
    }
    goose::trigger_killswitch("the schedule is over");
    Ok(ended)
}

fn goose(crew: &Arc<Crew>, settings: &Settings) -> Result<GooseAttack, Error> {
    let Settings { target, pool, .. } = settings;
    let problem = |error| Error::Goose(Box::new(error));
    // Some of its fields are private, so that there is no other way to fill it in.
    let mut configuration = GooseConfiguration::default();
    configuration.host = Some(target.base().to_string());
    configuration.users = Some(*pool as usize);
    configuration.increase_rate = Some("100000".to_string());
    configuration.quiet = 3;
    configuration.no_telnet = true;
    configuration.no_print_metrics = true;
    configuration.no_transaction_metrics = true;
    configuration.no_scenario_metrics = true;
    let of_goose = GooseClientBuilder::new()
        .without_cookies()
        .timeout(duration(crew.patience))
        .gzip(false)
        // It sends nothing, and need not know whom to believe.
        .accept_invalid_certs(true);
    let (arriving, working) = (Arc::clone(crew), Arc::clone(crew));
    let arrive: TransactionFunction = Arc::new(move |user| Box::pin(arrive(user, Arc::clone(&arriving))));
    let work: TransactionFunction =
        Arc::new(move |user| -> Pin<Box<dyn Future<Output = TransactionResult> + Send + '_>> {
            Box::pin(work(user, Arc::clone(&working)))
        });
    let users = Scenario::new("schedule")
        .register_transaction(Transaction::new(arrive).set_on_start())
        .register_transaction(Transaction::new(work));
    let attack = GooseAttack::initialize_with_config(configuration).map_err(problem)?;
    Ok(attack.set_client_builder_without_cookies(of_goose).map_err(problem)?.register_scenario(users))
}

/// A user is there.
async fn arrive(_: &mut GooseUser, crew: Arc<Crew>) -> TransactionResult {
    if crew.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
        crew.all_there.notify_one();
    }
    Ok(())
}

/// Takes requests until there are none, and then waits for goose's word to end.
async fn work(user: &mut GooseUser, crew: Arc<Crew>) -> TransactionResult {
    let mut cut = crew.cut.subscribe();
    match &crew.users {
        None => {
            while let Some(job) = crew.queue.take().await {
                crew.serve(user, &job, &mut cut).await;
                crew.queue.ended();
            }
        }
        Some(users) => {
            if let Some(seat) = users.sit() {
                crew.be_user(user, users, seat, &mut cut).await;
            }
        }
    }
    tokio::time::sleep(IDLE).await;
    Ok(())
}

impl Crew {
    /// A user's whole life: it thinks, asks, waits for the answer, and thinks again.
    async fn be_user(&self, user: &mut GooseUser, users: &Users, mut seat: Seat, cut: &mut watch::Receiver<bool>) {
        users.think(&seat, Time::ZERO);
        while let Some(job) = seat.next().await {
            let done = self.serve(user, &job, cut).await;
            users.think(&seat, done);
            self.queue.ended();
        }
    }

    /// Sends a request, and puts down what became of it; when that was.
    async fn serve(&self, user: &mut GooseUser, job: &Job, cut: &mut watch::Receiver<bool>) -> Time {
        // Requests come from the pacer, which has the clock.
        let Some(clock) = self.clock.get() else { return Time::ZERO };
        let (attempt, status) = self.send(job, clock, cut).await;
        self.ledger.ended(job, &attempt);
        if attempt.sent.is_some() {
            let latency = duration(attempt.done.since(job.at));
            let (method, name) = &self.names[usize::from(job.form)];
            let why = attempt.failure.map(Failure::name);
            // It fails when goose has gone, which the comparison of both accounts tells.
            let _ = user.record_custom_request_duration(method, name, latency, why.is_none(), status, why).await;
        }
        attempt.done
    }

    /// Sends a request, reads its answer to the end, and says what became of it, and its status.
    async fn send(&self, job: &Job, clock: &Clock, cut: &mut watch::Receiver<bool>) -> (Attempt, Option<u16>) {
        let failed = |sent, head, failure| Attempt { sent, head, done: clock.now(), failure: Some(failure) };
        if *cut.borrow() {
            return (failed(None, None, Failure::Timeout), None);
        }
        let sent = clock.now();
        let Some(request) = self.request(job) else {
            return (failed(None, None, Failure::Connection), None);
        };
        let mut head = None;
        let mut status = None;
        let asking = async {
            let answer = self.client.ask(request).await?;
            let response = &answer.response;
            head = Some((clock.now(), version(response.version())));
            status = Some(response.status().as_u16());
            let failure = callers::failure(response.status(), response.headers());
            self.client.read(answer).await?;
            Ok::<_, Failed>(failure)
        };
        let failure = tokio::select! {
            asked = tokio::time::timeout(duration(self.patience), asking) => match asked {
                Ok(Ok(failure)) => failure,
                Ok(Err(Failed::Here)) => return (failed(None, None, Failure::Connection), None),
                Ok(Err(Failed::There)) => Some(Failure::Connection),
                Err(_) => Some(Failure::Timeout),
            },
            _ = cut.wait_for(|cut| *cut) => Some(Failure::Timeout),
        };
        (Attempt { sent: Some(sent), head, done: clock.now(), failure }, status)
    }

    /// What a request looks like; `None`: no URL can be made of what it asks for.
    fn request(&self, job: &Job) -> Option<Request<Full<Bytes>>> {
        let form = usize::from(job.form);
        let message = self.writer.write(form, job.index);
        let manner = self.client.manner();
        let uri = match &self.places[form] {
            Some(uri) => uri.clone(),
            None => self.target.uri(&message.target, manner.http)?,
        };
        let mut request = Request::new(Full::new(message.body));
        (*request.method_mut(), *request.uri_mut()) = (message.method, uri);
        let headers = request.headers_mut();
        if manner.http == Http::One {
            headers.insert(HOST, self.host.clone());
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("wavetank/", env!("CARGO_PKG_VERSION"))));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(fields::INDEX, HeaderValue::from(job.index));
        headers.insert(fields::CLIENT, HeaderValue::from(job.client));
        headers.insert(fields::ATTEMPT, HeaderValue::from(1));
        if !manner.keep_alive {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in message.headers {
            headers.insert(name, value);
        }
        Some(request)
    }
}

/// The place of a version in [`VERSIONS`](crate::record::generator::VERSIONS).
fn version(version: Version) -> usize {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => 0,
        Version::HTTP_11 => 1,
        _ => 2,
    }
}

/// Warnings of goose and what it uses, on standard error.
struct Log;

impl Log {
    fn install() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // A program that has a logger already keeps it.
            if log::set_logger(&Log).is_ok() {
                log::set_max_level(log::LevelFilter::Warn);
            }
        });
    }
}

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            eprintln!("{}: {}", record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tls::Trust;

    #[test]
    fn who_is_awake_for_the_last_of_a_wait_has_a_tight_target_and_a_core_to_spare() {
        let plan = |slo: &str| {
            let text = format!(
                "scenario.duration = \"1s\"\ntraffic.shape = [{{ kind = \"constant\", rate = 1 }}]\nservice.time = \"1ms\"\n{slo}"
            );
            Plan::new(crate::scenario::parse(&text, "plan.toml", "".as_ref(), &[]).unwrap()).unwrap()
        };
        let settings = |pace| Settings {
            target: Target::new("http://127.0.0.1:1", false).unwrap(),
            seed: 1,
            pool: 1,
            share: None,
            manner: Manner { http: Http::One, keep_alive: true, trust: Trust::System },
            connections: 0,
            pace,
            start_at: None,
        };
        for (pace, slo, cores, pacing) in [
            (Pace::Auto, "slo = { p99 = \"1s\", p50 = \"4ms\" }", 3, Pacing::Spin),
            (Pace::Auto, "slo.p50 = \"4ms\"", 2, Pacing::Sleep),
            (Pace::Auto, "slo.p50 = \"5ms\"", 8, Pacing::Sleep),
            (Pace::Auto, "", 8, Pacing::Sleep),
            (Pace::Spin, "", 1, Pacing::Spin),
            (Pace::Sleep, "slo.p50 = \"4ms\"", 8, Pacing::Sleep),
        ] {
            assert_eq!(settings(pace).pacing(&plan(slo), cores), pacing, "{pace:?} {slo} {cores}");
        }
    }
}
