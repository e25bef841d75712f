//! `wavetank live`: a scenario on this machine, with real processes behind a real gateway; and `wavetank backend`, one such process.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, anyhow};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::args::{BackendArgs, LiveArgs};
use super::exit::{Exit, Failure, OrExit};
use super::flight::recording;
use super::host::Witness;
use super::run::{Stopwatch, experiment_of, folder_name, print_report, stop_on_ctrl_c};
use super::serve::{own_program, runtime, tell, told};
use crate::gate::disturbance::Machine;
use crate::live::backend;
use crate::live::callers::{self, Callers};
use crate::live::driver::Flight;
use crate::live::faults;
use crate::live::system::{Settings, System};
use crate::record::generator::Generator;
use crate::record::run::Ended;
use crate::record::{Run, attempts};
use crate::report::{self, Mode, RunInfo};
use crate::scenario::live::{Live, Provider};
use crate::scenario::{self, Scenario};
use crate::sim::Monitor;
use crate::units::{Span, Time};

/// Runs a scenario live, and writes its report.
pub fn live(args: &LiveArgs) -> Result<Exit, Failure> {
    let scenario = scenario::load(&args.scenario, &args.overrides).or_bad_input()?;
    let duration = scenario.duration.ok_or_else(|| anyhow!("scenario.duration: missing: say how long it is to run"));
    let duration = duration.or_bad_input()?;
    // What nobody can send is told before anything is started.
    callers::traffic(&scenario).or_bad_input()?;
    let mut live = scenario.live.clone().unwrap_or_default();
    // The callers are of this machine, and speak in the clear.
    live.tls = None;
    if scenario.live.is_none() {
        // A scenario that does not say where takes ports that are free.
        live.listen.set_port(0);
        live.control.set_port(0);
    }
    let seed = args.seed.unwrap_or(scenario.seed);
    let out = args.out.clone();
    let write_files = out.is_some() || !args.json;
    let out = out.unwrap_or_else(|| Path::new("reports").join(folder_name(&format!("{}-live", scenario.name))));
    if write_files {
        let make = std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()));
        make.or_bad_input()?;
    }
    let settings = Settings {
        live,
        file: (args.scenario.clone(), args.overrides.clone()),
        seed,
        program: own_program()?,
        record: Some(duration),
        scenario: scenario.clone(),
    };
    let stopwatch = Stopwatch::start();
    let flight = recording(args.record.as_deref(), &args.scenario, &args.overrides, seed)?;
    let monitor = stop_on_ctrl_c();
    let attempts = write_files.then(|| out.join(attempts::FILE));
    let playing = play(settings, flight, attempts.as_deref(), duration, &monitor, Tell::Everything);
    let Played { run, .. } = runtime()?.block_on(playing)?;
    show(&scenario, seed, duration, run, args, write_files.then_some(out.as_path()), stopwatch.stop(1))
}

/// What a live run left behind.
pub(super) struct Played {
    /// Its record.
    pub run: Run,
    /// How well its callers kept their times.
    pub generator: Generator,
}

/// What is told of a run while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// Where it can be watched, what happens, and what does not.
    Everything,
    /// Nothing: somebody else tells.
    Nothing,
}

/// Plays the scenario once, or until `monitor` says stop, and writes attempts into a file if there is one for them.
pub(super) async fn play(
    settings: Settings,
    flight: Option<Flight>,
    attempts: Option<&Path>,
    duration: Span,
    monitor: &Monitor,
    telling: Tell,
) -> Result<Played, Failure> {
    let (scenario, seed) = (settings.scenario.clone(), settings.seed);
    let notes = simulated_only(&scenario, &settings.live);
    let sheet = match attempts {
        None => None,
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()));
            Some(BufWriter::new(file.or_run_failed()?))
        }
    };
    let system = System::start(settings, flight).await.map_err(told)?;
    let driver = Arc::clone(system.driver());
    if let Some(sheet) = sheet {
        let paths = scenario.service.endpoints.iter().map(|endpoint| endpoint.path.clone());
        driver.write_attempts(paths.collect(), Box::new(sheet));
    }
    let teller = (telling == Tell::Everything).then(|| {
        eprintln!("gateway http://{}\ndashboard http://{}", system.listen(), system.control());
        notes.iter().for_each(|what| eprintln!("note: {what} is for the simulator only: nothing of it happens here"));
        system.notes().iter().for_each(|note| eprintln!("{note}"));
        tokio::spawn(tell(Arc::clone(&driver)))
    });
    let callers = Callers::new(&scenario, seed, Arc::clone(&driver), system.listen()).or_bad_input()?;
    let generator = callers.call(seed, Time(duration.0), &monitor.stop).await;
    let ended = if monitor.stop.load(Ordering::Relaxed) {
        driver.close();
        Ended::Interrupted { at: driver.clock().now() }
    } else {
        Ended::Completed
    };
    if let Some(teller) = teller {
        teller.abort();
    }
    let run = driver.finish(seed, ended);
    system.stop().await;
    let run = run.ok_or_else(|| anyhow!("nothing was recorded")).or_run_failed()?;
    Ok(Played { run, generator })
}

/// Whoever runs scenarios on this machine one after the other, each under a witness.
pub(super) struct Runner {
    program: PathBuf,
    runtime: Runtime,
    monitor: Arc<Monitor>,
}

/// A run, and what its witnesses say.
pub(super) struct Witnessed {
    /// Its record.
    pub run: Run,
    /// How well its callers kept their times.
    pub generator: Generator,
    /// What the machine did meanwhile.
    pub machine: Machine,
}

impl Runner {
    /// Runs until `monitor` says that it is to stop.
    pub fn new(monitor: Arc<Monitor>) -> Result<Runner, Failure> {
        Ok(Runner { program: own_program()?, runtime: runtime()?, monitor })
    }

    /// Whether a scenario can be run here at all; what cannot is told before anything is started.
    pub fn check(scenario: &Scenario) -> anyhow::Result<Span> {
        let duration = scenario.duration;
        let duration = duration.ok_or_else(|| anyhow!("scenario.duration: missing: say how long it is to run"))?;
        if scenario.warmup >= duration {
            return Err(anyhow!(
                "scenario.warmup is {}, but the run lasts only {duration}: nothing would be measured",
                scenario.warmup
            ));
        }
        callers::traffic(scenario)?;
        Ok(duration)
    }

    /// Runs a scenario, whose file and overrides instances read again, once. It takes ports that are free: nobody from outside calls, and
    /// several may run at once.
    pub fn run(&self, scenario: Scenario, file: (PathBuf, Vec<String>), seed: u64) -> Result<Witnessed, Failure> {
        let duration = Runner::check(&scenario).or_bad_input()?;
        let mut live = scenario.live.clone().unwrap_or_default();
        // The callers are of this machine, and speak in the clear.
        live.tls = None;
        live.listen.set_port(0);
        live.control.set_port(0);
        let instances_are_others = !matches!(live.provider, Provider::Process { .. });
        let program = self.program.clone();
        let settings = Settings { live, file, seed, program, record: Some(duration), scenario };
        let witness = Witness::call();
        let played = self.runtime.block_on(play(settings, None, None, duration, &self.monitor, Tell::Nothing))?;
        let (machine, cpu) = witness.asked(instances_are_others, Span::ZERO);
        let Played { run, mut generator } = played;
        generator.cpu = cpu;
        Ok(Witnessed { run, generator, machine })
    }
}

/// What a scenario asks for that only the simulator has.
pub(super) fn simulated_only(scenario: &Scenario, live: &Live) -> Vec<String> {
    let is_process = matches!(live.provider, Provider::Process { .. });
    let is_own = matches!(live.provider, Provider::Process { command: None });
    let mut asked: Vec<String> = Vec::new();
    for fault in &scenario.faults {
        let name = format!("fault {:?}", fault.kind.name());
        if !faults::can_happen(&fault.kind, is_own, is_process) && !asked.contains(&name) {
            asked.push(name);
        }
    }
    if !scenario.dependencies.is_empty() {
        asked.push("[[dependency]]".to_string());
    }
    // Of clients and instances; what the gateway does, it does here as well.
    if scenario.overload.is_on() {
        asked.push("overload (throttle, hedge, codel, adaptive_lifo, deadlines)".to_string());
    }
    asked
}

fn show(
    scenario: &Scenario,
    seed: u64,
    duration: Span,
    run: Run,
    args: &LiveArgs,
    out: Option<&Path>,
    info: RunInfo,
) -> Result<Exit, Failure> {
    let runs = [run];
    let command = format!("wavetank live {}", super::dataset::quoted(&args.scenario));
    let mut experiment = experiment_of(scenario, duration, &runs, command, info);
    (experiment.mode, experiment.seed) = (Mode::Live, seed);
    experiment.notes.extend(args.note.clone());
    if let Some(out) = out {
        report::write(&experiment, out).or_run_failed()?;
    }
    print_report(&experiment, out, args.json);
    Ok(Exit::Done)
}

/// Serves a scenario's `[service]` as one instance.
pub fn backend(args: &BackendArgs) -> Result<Exit, Failure> {
    let scenario = scenario::load(&args.scenario, &args.overrides).or_bad_input()?;
    let seed = args.seed.unwrap_or(scenario.seed);
    let settings = backend::Settings { port: args.port, seed, instance: args.instance };
    if args.with_parent {
        std::thread::spawn(|| {
            // The end of the pipe is the end of whoever wanted this process.
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
    }
    let patience = backend::patience(&scenario);
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals").or_run_failed()?;
        let (stop, stopped) = watch::channel(false);
        let serving = backend::serve(scenario, settings, stopped);
        tokio::pin!(serving);
        tokio::select! {
            served = serving.as_mut() => served.or_bad_input()?,
            _ = terminate.recv() => {
                // The receiver is in `serving`, which is there.
                let _ = stop.send(true);
                // What takes longer is cut off.
                if let Ok(served) = tokio::time::timeout(patience, serving).await {
                    served.or_bad_input()?;
                }
            }
        }
        Ok(Exit::Done)
    })
}
