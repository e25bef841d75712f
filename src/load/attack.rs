//! goose: its users are the workers, and it counts along.
//!
//! Each user runs one transaction that takes requests until there are none. Goose brings the users and its metrics; time is ours. What in goose
//! would get in the way is closed off here:
//!
//! - It prints on standard output, unless users are given without iterations and metrics are not printed: so they are.
//! - It logs to standard output: a logger of ours comes first, and writes warnings to standard error.
//! - It forgets what was counted until all users run: time begins a second after they do.
//! - Its second Ctrl-C ends the process without a report: whoever runs this takes the signal first, as only one handler is allowed.
//! - Its client follows redirects and proxies of the environment, says `goose/…` and asks for compressed bodies: users get one of ours.
//! - Its client cannot be built where a system has no CA certificates, even for plain HTTP: there neither of them checks any.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionFunction, TransactionResult};
use goose::metrics::GooseMetrics;
use goose::{GooseAttack, GooseError};
use reqwest::{Client, Url, redirect};
use rustix::io::Errno;
use tokio::sync::{Notify, oneshot, watch};

use crate::live::callers;
use crate::live::clock::{Clock, duration};
use crate::live::gateway::fields;
use crate::load::ledger::{Attempt, Ledger, Sum};
use crate::load::pacer::pace;
use crate::load::queue::Queue;
use crate::load::schedule::{self, Job, Plan, Schedule, Share};
use crate::load::stop::Stop;
use crate::load::target::Target;
use crate::record::Run;
use crate::record::outcome::Failure;
use crate::record::run::Ended;
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
    /// The HTTP client cannot be had.
    #[error(
        "cannot make an HTTP client ({source}); for https, install the system's CA certificates (package ca-certificates)"
    )]
    Client {
        /// What the library says.
        source: reqwest::Error,
    },
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
}

/// What all workers share.
#[derive(Debug)]
struct Crew {
    client: Client,
    urls: Vec<Url>,
    /// Names of the paths in goose's tables.
    names: Vec<String>,
    queue: Queue,
    ledger: Ledger,
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
    schedule: Schedule,
    settings: Settings,
    patience: Span,
    end: Time,
}

impl Attack {
    /// Makes the arrivals of a plan ready.
    pub fn new(plan: &Plan, settings: &Settings) -> Result<Attack, Error> {
        let patience = plan.scenario().clients.timeout.unwrap_or(PATIENCE);
        let settings = Settings { pool: settings.pool.max(1), ..settings.clone() };
        let crew = Crew {
            client: client(&settings.target, patience, settings.pool)?,
            urls: plan.paths().iter().map(|path| settings.target.url(path)).collect(),
            names: plan.paths().to_vec(),
            queue: Queue::new(settings.pool as usize),
            ledger: Ledger::new(plan, settings.pool),
            clock: OnceLock::new(),
            cut: watch::Sender::new(false),
            missing: AtomicUsize::new(settings.pool as usize),
            all_there: Notify::new(),
        };
        let schedule = plan.schedule(settings.seed, settings.share)?;
        Ok(Attack { crew: Arc::new(crew), schedule, settings, patience, end: Time(plan.duration().0) })
    }

    /// Sends it, until its end or until somebody asks to stop, and says what came of it. One at a time in a process: goose's switch to end
    /// a run is the process's.
    pub async fn run(self, stop: &Arc<Stop>) -> Result<Outcome, Error> {
        let Attack { crew, schedule, settings, patience, end } = self;
        Log::install();
        // It is the process's, and stays as the run before has left it.
        goose::reset_killswitch();
        // A task of its own: if goose panics, what was recorded is kept all the same.
        let mut executing = tokio::spawn(goose(&crew, &settings, patience)?.execute());
        let conducted = tokio::select! {
            over = &mut executing => Err(match over {
                Ok(Ok(_)) => Error::EndedEarly,
                Ok(Err(error)) => Error::Goose(Box::new(error)),
                Err(panic) => Error::Panic(panic),
            }),
            ended = conduct(&crew, schedule, end, patience, stop) => ended,
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
        let run = crew.ledger.finish(settings.seed, ended, now).ok_or(Error::EndedEarly)?;
        let clock = *crew.clock.get().ok_or(Error::EndedEarly)?;
        Ok(Outcome { run, clock, sent, by_goose })
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

/// From the arrival of the last worker to the end of the last request.
async fn conduct(
    crew: &Arc<Crew>,
    schedule: Schedule,
    end: Time,
    patience: Span,
    stop: &Arc<Stop>,
) -> Result<Ended, Error> {
    crew.all_there.notified().await;
    tokio::time::sleep(SETTLE).await;
    let clock = *crew.clock.get_or_init(Clock::start);
    let (tell, told) = oneshot::channel();
    let (pacing, stop) = (Arc::clone(crew), Arc::clone(stop));
    let pace = move || {
        // Whoever asked may have gone.
        let _ = tell.send(pace(schedule, &clock, end, &pacing.queue, &pacing.ledger, &stop));
    };
    std::thread::Builder::new().name("pacer".to_string()).spawn(pace).map_err(Error::Thread)?;
    let ended = told.await.map_err(|_| Error::EndedEarly)?;
    // The slowest are not thrown away: who was sent in time has its whole patience.
    let grace = if ended == Ended::Completed { patience } else { patience.min(STOP_PATIENCE) };
    if tokio::time::timeout(duration(grace), crew.queue.all_ended()).await.is_err() {
        crew.cut.send_replace(true);
        crew.queue.all_ended().await;
    }
    goose::trigger_killswitch("the schedule is over");
    Ok(ended)
}

/// The client of all workers: no redirects, no proxies, HTTP/1.1, bodies as they are.
fn client(target: &Target, patience: Span, pool: u32) -> Result<Client, Error> {
    let builder = Client::builder()
        .user_agent(concat!("wavetank/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .no_gzip()
        .http1_only()
        .pool_max_idle_per_host(pool as usize)
        .timeout(duration(patience))
        // Of a plain target no certificate is ever looked at, and none need be there.
        .tls_danger_accept_invalid_certs(!target.is_encrypted());
    builder.build().map_err(|source| Error::Client { source })
}

fn goose(crew: &Arc<Crew>, settings: &Settings, patience: Span) -> Result<GooseAttack, Error> {
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
        .timeout(duration(patience))
        .gzip(false)
        .accept_invalid_certs(!target.is_encrypted());
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

/// A user is there, and gets its client.
async fn arrive(user: &mut GooseUser, crew: Arc<Crew>) -> TransactionResult {
    user.client = crew.client.clone();
    if crew.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
        crew.all_there.notify_one();
    }
    Ok(())
}

/// Takes requests until there are none, and then waits for goose's word to end.
async fn work(user: &mut GooseUser, crew: Arc<Crew>) -> TransactionResult {
    let mut cut = crew.cut.subscribe();
    while let Some(job) = crew.queue.take().await {
        // Requests come from the pacer, which has the clock.
        let Some(clock) = crew.clock.get() else { break };
        let (attempt, status) = crew.send(&user.client, &job, clock, &mut cut).await;
        crew.ledger.ended(&job, &attempt);
        if attempt.sent.is_some() {
            let latency = duration(attempt.done.since(job.at));
            let (name, why) = (&crew.names[usize::from(job.path)], attempt.failure.map(Failure::name));
            // It fails when goose has gone, which the comparison of both accounts tells.
            let _ = user.record_custom_request_duration("GET", name, latency, why.is_none(), status, why).await;
        }
        crew.queue.ended();
    }
    tokio::time::sleep(IDLE).await;
    Ok(())
}

impl Crew {
    /// Sends a request, reads its answer to the end, and says what became of it, and its status.
    async fn send(
        &self,
        client: &Client,
        job: &Job,
        clock: &Clock,
        cut: &mut watch::Receiver<bool>,
    ) -> (Attempt, Option<u16>) {
        let failed = |sent, head, failure| Attempt { sent, head, done: clock.now(), failure: Some(failure) };
        if *cut.borrow() {
            return (failed(None, None, Failure::Timeout), None);
        }
        let sent = clock.now();
        let mut head = None;
        let mut status = None;
        let asking = async {
            let request = client
                .get(self.urls[usize::from(job.path)].clone())
                .header(fields::INDEX, job.index)
                .header(fields::CLIENT, job.client)
                .header(fields::ATTEMPT, 1);
            let mut response = request.send().await?;
            head = Some(clock.now());
            status = Some(response.status().as_u16());
            let failure = callers::failure(response.status(), response.headers());
            // Bodies are read and not kept.
            while response.chunk().await?.is_some() {}
            Ok::<_, reqwest::Error>(failure)
        };
        let failure = tokio::select! {
            asked = asking => match asked {
                Ok(failure) => failure,
                Err(error) if is_ours(&error) => return (failed(None, None, Failure::Connection), None),
                Err(error) if error.is_timeout() => Some(Failure::Timeout),
                Err(_) => Some(Failure::Connection),
            },
            _ = cut.wait_for(|cut| *cut) => Some(Failure::Timeout),
        };
        (Attempt { sent: Some(sent), head, done: clock.now(), failure }, status)
    }
}

/// Whether it was this machine that had no connection left to give: of its files, or of its ports. Such a request was never sent, and the target
/// is not to blame.
fn is_ours(error: &reqwest::Error) -> bool {
    const EXHAUSTED: [Errno; 3] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL];
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let code = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>()?.raw_os_error();
    causes.filter_map(code).any(|code| EXHAUSTED.iter().any(|errno| errno.raw_os_error() == code))
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
