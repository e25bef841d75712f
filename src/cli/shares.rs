//! Shares of a simulation: each plays some of the replications and leaves them in a place; together they are the report of all.

use std::path::Path;

use anyhow::{Context, anyhow};

use super::args::{MergeArgs, SimArgs};
use super::dataset::tables;
use super::exit::{Exit, Failure, OrExit};
use super::run::{self, Stopwatch};
use crate::cluster::System;
use crate::record::Run;
use crate::record::archive::{Archive, Simulation};
use crate::record::run::Ended;
use crate::scenario::{self, Scenario, Traffic};
use crate::sim::Plan;
use crate::sim::replicate::replicate_these;
use crate::store::Store;
use crate::tune::laboratory::Share;

const ENDING: &str = ".runs";

/// Plays a share of the replications of `plan`, and leaves them in `place`.
pub fn play(
    plan: &Plan,
    args: &SimArgs,
    path: &Path,
    command: String,
    share: Share,
    place: &str,
) -> Result<Exit, Failure> {
    let of = simulation(plan.scenario(), args, path);
    if of.replications < 2 {
        return Err(anyhow!("--shard: there is one replication, which has no shares; say --replications N"))
            .or_bad_input();
    }
    let store = Store::open(place).context("--results").or_bad_input()?;
    let file = name(&of, share);
    if store.list(ENDING).or_bad_input()?.contains(&file) {
        eprintln!("{} is there already", store.called(&file));
        return Ok(Exit::Done);
    }
    let numbers: Vec<u32> = (share.index..of.replications).step_by(share.of as usize).collect();
    let (runs, _) = run::timed(plan, args.run.threads, |monitor| replicate_these(plan, &numbers, monitor))?;
    if let Some(short) = runs.iter().find(|run| run.ended != Ended::Completed) {
        let why = match &short.ended {
            Ended::TrafficLost { at, problem } => format!("the traffic was lost at {at}: {problem}"),
            Ended::Completed | Ended::Interrupted { .. } => {
                "interrupted: a share is left whole, or not at all".to_string()
            }
        };
        return Err(anyhow!("{}: {why}", path.display())).or_run_failed();
    }
    let n = runs.len();
    let archive = Archive { of, command, runs: numbers.into_iter().zip(runs).collect() };
    store.put(&file, archive.write()).or_run_failed()?;
    eprintln!("{}: {n} of {} replications", store.called(&file), archive.of.replications);
    Ok(Exit::Done)
}

/// Prints what plays the replications of scenarios in shares on a cluster.
pub fn on_cluster(args: &SimArgs, scenarios: &[Scenario], system: System) -> Result<Exit, Failure> {
    let mut command = vec!["sim".to_string()];
    command.extend(args.scenarios.iter().map(|path| path.display().to_string()));
    command.extend(run::words(&args.run));
    let mut files = Vec::new();
    for (scenario, path) in scenarios.iter().zip(&args.scenarios) {
        let keys = scenario::keys(path, None, &args.run.overrides).or_bad_input()?;
        let plan = Plan::new(scenario.clone()).or_bad_input()?;
        files.extend(super::cluster::files(path, &keys, plan.dataset()));
    }
    let name = scenarios.first().map_or("sim", |scenario| &scenario.name);
    let join = ["merge", "--into", "/tmp/report"];
    let shared = super::cluster::Shared { name, command, join: &join, files };
    super::cluster::print(&args.cluster, system, args.results.as_deref(), shared)
}

/// `I/N`, or `/N` with the index that Kubernetes gave.
pub fn share(text: &str) -> anyhow::Result<Share> {
    let expected = || anyhow!("--shard: found {text:?}, expected I/N with I from 0 to N − 1, such as 0/4");
    let (index, of) = text.split_once('/').ok_or_else(expected)?;
    let of: u32 = of.parse().ok().filter(|n| *n > 0).ok_or_else(expected)?;
    let index = match index {
        "" => std::env::var("JOB_COMPLETION_INDEX")
            .context("--shard: JOB_COMPLETION_INDEX is not set, say which share")?,
        index => index.to_string(),
    };
    let index: u32 = index.parse().ok().filter(|i| *i < of).ok_or_else(expected)?;
    Ok(Share { index, of })
}

fn simulation(scenario: &Scenario, args: &SimArgs, path: &Path) -> Simulation {
    Simulation {
        digest: scenario.digest.clone(),
        scenario: path.display().to_string(),
        overrides: args.run.overrides.clone(),
        seed: scenario.seed,
        replications: scenario.replications,
        fidelity: args.run.fidelity.unwrap_or_default(),
    }
}

fn name(of: &Simulation, share: Share) -> String {
    let digest: String = of.digest.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let which = format!("{}-{}-{}", of.fidelity.name(), of.seed, of.replications);
    format!("{digest}-{which}-share-{}-of-{}{ENDING}", share.index, share.of)
}

/// The runs of simulations in the places called so.
pub fn archives(places: &[String]) -> Result<Vec<Archive>, Failure> {
    let mut archives = Vec::new();
    for place in places {
        if Path::new(place).is_file() {
            continue;
        }
        let store = Store::open(place).or_bad_input()?;
        for file in store.list(ENDING).or_bad_input()? {
            let archive = Archive::read(&store.get(&file).or_bad_input()?);
            archives.push(archive.map_err(|problem| anyhow!("{}: {problem}", store.called(&file))).or_bad_input()?);
        }
    }
    Ok(archives)
}

/// Makes the report of each simulation of which all replications are there.
pub fn merge(args: &MergeArgs, archives: Vec<Archive>) -> Result<Exit, Failure> {
    let mut simulations: Vec<Archive> = Vec::new();
    for archive in archives {
        match simulations.iter_mut().find(|known| known.of == archive.of) {
            Some(known) => known.runs.extend(archive.runs),
            None => simulations.push(archive),
        }
    }
    let several = simulations.len() > 1;
    for simulation in simulations {
        let Archive { of, command, mut runs } = simulation;
        runs.sort_by_key(|(number, _)| *number);
        runs.dedup_by_key(|(number, _)| *number);
        let missing: Vec<String> = (0..of.replications)
            .filter(|wanted| runs.binary_search_by_key(wanted, |(number, _)| *number).is_err())
            .map(|number| number.to_string())
            .collect();
        if !missing.is_empty() {
            let (n, all) = (missing.len(), missing.join(", "));
            let words = format!("{n} of {} replications are not there yet: {all}", of.replications);
            return Err(anyhow!("{}: {words}", of.scenario)).or_bad_input();
        }
        let plan = plan(&of)?;
        let out = args.into.clone().map(|out| if several { out.join(&plan.scenario().name) } else { out });
        let runs: Vec<Run> = runs.into_iter().map(|(_, run)| run).collect();
        // What the shares took is not known here.
        let info = crate::report::RunInfo { cpu_seconds: None, ..Stopwatch::start().stop(1) };
        run::tell(&plan, &runs, command, info, &run::Telling { out, json: args.json, ..run::Telling::default() })?;
    }
    Ok(Exit::Done)
}

/// The plan of a simulation whose scenario is here, too.
fn plan(of: &Simulation) -> Result<Plan, Failure> {
    let mut scenario = scenario::load(Path::new(&of.scenario), &of.overrides).or_bad_input()?;
    if scenario.digest != of.digest {
        return Err(anyhow!("{}: not the scenario that the runs are of any more", of.scenario)).or_bad_input();
    }
    if let Traffic::Replay { recording, .. } = &mut scenario.traffic {
        recording.options.tables = tables();
    }
    (scenario.seed, scenario.replications) = (of.seed, of.replications);
    Ok(Plan::new(scenario).or_bad_input()?.with_fidelity(of.fidelity))
}
