//! `wavetank serve`: the engine as a gateway in front of instances.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::{BecomeInstanceArgs, ServeArgs};
use super::exit::{Exit, Failure, OrExit};
use super::flight::recording;
use crate::engine::input::Input;
use crate::live::driver::{Driver, Flight, Told};
use crate::live::fleet::adoption::{Adoption, Dismissed};
use crate::live::provider::{Orphan, process};
use crate::live::system::{Error, Settings, System};
use crate::scenario::{self, Scenario};

/// Serves until it is told to stop.
pub fn serve(args: ServeArgs) -> Result<Exit, Failure> {
    let scenario = scenario::load(&args.config, &args.overrides).or_bad_input()?;
    let Some(live) = scenario.live.clone() else {
        let problem = anyhow!(
            "{}: there is no [live] section: say where the gateway listens, e.g. --set live.listen=127.0.0.1:8080",
            args.config.display()
        );
        return Err(problem.context("wavetank serve")).or_bad_input();
    };
    let settings = Settings {
        seed: scenario.seed,
        live,
        file: (args.config.clone(), args.overrides.clone()),
        program: own_program()?,
        record: None,
        scenario,
    };
    let flight = recording(args.record.as_deref(), &args.config, &args.overrides, settings.seed)?;
    runtime()?.block_on(until_stopped(settings, flight, &args))
}

/// Threads that wait on sockets and processes.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads").or_run_failed()
}

/// Where this program is.
pub(super) fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().context("cannot tell where wavetank itself is").or_run_failed()
}

/// The signals that end a gateway.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Listens from now on.
    pub fn listen() -> Result<Stop, Failure> {
        let listen = |kind| signal(kind).context("cannot listen to signals").or_run_failed();
        Ok(Stop { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for one.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn until_stopped(settings: Settings, flight: Option<Flight>, args: &ServeArgs) -> Result<Exit, Failure> {
    let mut stop = Stop::listen()?;
    let mut reload = signal(SignalKind::hangup()).context("cannot listen to signals").or_run_failed()?;
    let wanted = settings.live.limits.connections;
    let scheme = if settings.live.tls.is_some() { "https" } else { "http" };
    let system = tokio::select! {
        started = System::start(settings, flight) => started.map_err(told)?,
        () = stop.wait() => return Ok(Exit::Done),
    };
    // Programs that start this one read where it is, whatever port it was given.
    let _ = writeln!(
        std::io::stdout().lock(),
        "gateway {scheme}://{}\ncontrol http://{}",
        system.listen(),
        system.control()
    );
    for note in system.notes() {
        eprintln!("{note}");
    }
    tell_of_orphans(system.adoption());
    let room = system.room().clients;
    if room < wanted {
        eprintln!(
            "there is room for {room} clients, and live.limits.connections = {wanted}: raise `ulimit -n`, two for each"
        );
    }
    let telling = tokio::spawn(tell(Arc::clone(system.driver())));
    loop {
        tokio::select! {
            () = stop.wait() => break,
            _ = reload.recv() => {
                #[cfg(feature = "tls")]
                match system.gateway().read_certificate_again() {
                    Ok(true) => eprintln!("reloaded: the certificate"),
                    Ok(false) => {}
                    Err(error) => eprintln!("not reloaded, the certificate stays as it is: {error}"),
                }
                match reloaded(&args.config, &args.overrides, system.driver()) {
                Ok(rules) => eprintln!("reloaded: {rules} rules"),
                Err(error) => eprintln!("not reloaded, the rules stay as they are: {error:#}"),
                }
            },
        }
    }
    eprintln!("draining; again to quit at once");
    tokio::select! {
        () = system.stop() => {}
        () = stop.wait() => {}
    }
    telling.abort();
    Ok(Exit::Done)
}

/// What became of instances that were there before.
fn tell_of_orphans(adoption: &Adoption) {
    for Orphan { number, address } in &adoption.adopted {
        eprintln!("adopted instance {number} at {address}");
    }
    for Dismissed { orphan, reason } in &adoption.dismissed {
        eprintln!("stopped instance {} at {}: {reason}", orphan.number, orphan.address);
    }
}

/// What cannot be started is bad input where the input says it, else a failed run.
pub(super) fn told(error: Error) -> Failure {
    let exit = match error {
        Error::Listen { .. } | Error::Provider(_) | Error::Reports => Exit::BadInput,
        #[cfg(feature = "tls")]
        Error::Tls(_) => Exit::BadInput,
        #[cfg(not(feature = "tls"))]
        Error::NoTls => Exit::BadInput,
        #[cfg(feature = "redis")]
        Error::Quotas(_) => Exit::BadInput,
        #[cfg(not(feature = "redis"))]
        Error::NoQuotaStore => Exit::BadInput,
        #[cfg(feature = "history")]
        Error::History(_) => Exit::BadInput,
        #[cfg(not(feature = "history"))]
        Error::NoHistory => Exit::BadInput,
        Error::Fleet(_) => Exit::RunFailed,
    };
    Failure { exit, source: error.into() }
}

/// Takes the rules of the file over into the running engine.
fn reloaded(path: &Path, overrides: &[String], driver: &Driver) -> anyhow::Result<usize> {
    let scenario: Scenario = scenario::load(path, overrides)?;
    let autoscaler = scenario.autoscaler.ok_or_else(|| anyhow!("there is no [autoscaler] section any more"))?;
    let rules = autoscaler.rules.len();
    driver.with(|now, core| {
        anyhow::ensure!(core.engine.bounds().is_some(), "the gateway began without an [autoscaler] section");
        core.feed(now, Input::Rules(autoscaler.rules));
        Ok(rules)
    })
}

/// Writes what happens to standard error, a line each.
pub(super) async fn tell(driver: Arc<Driver>) {
    let mut news = driver.watch();
    loop {
        match news.recv().await {
            Ok(Told::Event(entry)) => {
                let event = &entry.event;
                eprintln!("{} {}: {}", driver.clock().date(event.at), event.kind.name(), event.cause);
            }
            Ok(Told::Remark(remark)) => {
                eprintln!("{} instance {}: {}", driver.clock().date(remark.at), remark.instance.0, remark.text);
            }
            Ok(Told::Second(_)) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Becomes an instance's process.
pub fn become_instance(args: &BecomeInstanceArgs) -> Result<Exit, Failure> {
    process::become_instance(args.parent, &args.command).or_run_failed()?;
    Ok(Exit::Done)
}
