//! `wavetank generate`: the traffic of a scenario as an access log or a rate series.
//!
//! The log has the arrivals that the simulator would see, by the same keyed draws: replaying it meets the same requests,
//! to the second that logs are written in. Addresses come from the block for shared address space (RFC 6598), names of
//! agents from a short list; nothing in it is anybody's.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::args::{GenerateArgs, OutputFormat};
use super::exit::{Exit, Failure, OrExit};
use crate::rng::{Dice, Stream, pick};
use crate::scenario::{self, Scenario, Traffic};
use crate::traffic::{Arrival, Arrivals, EndpointMix, Origin, Population};
use crate::units::Time;

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_3) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.3 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:123.0) Gecko/20100101 Firefox/123.0",
];
const BOT: &str = "Mozilla/5.0 (compatible; examplebot/1.0; +https://bot.example/)";
const ATTACKER: &str = "python-requests/2.31.0";

/// Writes the file.
pub fn generate(args: GenerateArgs) -> Result<Exit, Failure> {
    let scenario = scenario::load(&args.scenario, &args.overrides).or_bad_input()?;
    let Traffic::Open(config) = &scenario.traffic else {
        let error = anyhow!(
            "only a traffic.shape can be written: users of a closed loop wait for answers, and a replay exists already"
        );
        return Err(error).or_bad_input();
    };
    let duration = scenario.duration.context("scenario.duration is missing, e.g. \"24h\"").or_bad_input()?;
    let arrivals = Arrivals::new(config, scenario.seed, Time(duration.0));
    let aside = args.out.with_extension(format!("tmp{}", std::process::id()));
    let written = write(&scenario, arrivals, &args, &aside)
        .and_then(|n| std::fs::rename(&aside, &args.out).map(|()| n))
        .with_context(|| format!("cannot write {}", args.out.display()));
    if written.is_err() {
        // Half a file helps nobody; the error to tell is the first.
        let _ = std::fs::remove_file(&aside);
    }
    let requests = written.or_run_failed()?;
    eprintln!("{}: {requests} requests over {duration}", args.out.display());
    Ok(Exit::Done)
}

fn write(scenario: &Scenario, arrivals: Arrivals, args: &GenerateArgs, path: &Path) -> io::Result<u64> {
    let file = BufWriter::new(File::create(path)?);
    if args.out.extension().is_some_and(|extension| extension == "gz") {
        let mut out = GzEncoder::new(file, Compression::best());
        let n = lines(scenario, arrivals, args, &mut out)?;
        out.finish()?.flush()?;
        return Ok(n);
    }
    let mut out = file;
    let n = lines(scenario, arrivals, args, &mut out)?;
    out.flush()?;
    Ok(n)
}

fn lines(scenario: &Scenario, arrivals: Arrivals, args: &GenerateArgs, out: &mut impl Write) -> io::Result<u64> {
    match args.format {
        OutputFormat::Csv => series(scenario, arrivals, args.start, out),
        OutputFormat::Combined => log(scenario, arrivals, args.start, true, out),
        OutputFormat::Common => log(scenario, arrivals, args.start, false, out),
    }
}

fn series(scenario: &Scenario, arrivals: Arrivals, start: Timestamp, out: &mut impl Write) -> io::Result<u64> {
    const MINUTE: u64 = 60_000_000_000;
    writeln!(out, "timestamp,requests")?;
    let row = |out: &mut dyn Write, minute: u64, n: u64| {
        writeln!(out, "{},{n}", start + jiff::SignedDuration::from_secs(60 * minute as i64))
    };
    let (mut minute, mut n, mut total) = (0, 0, 0);
    for arrival in arrivals {
        while arrival.at.0 / MINUTE > minute {
            row(out, minute, n)?;
            (minute, n) = (minute + 1, 0);
        }
        n += 1;
        total += 1;
    }
    let minutes = scenario.duration.map_or(minute + 1, |duration| duration.0.div_ceil(MINUTE));
    for minute in minute..minutes {
        row(out, minute, std::mem::take(&mut n))?;
    }
    Ok(total)
}

fn log(
    scenario: &Scenario,
    arrivals: Arrivals,
    start: Timestamp,
    combined: bool,
    out: &mut impl Write,
) -> io::Result<u64> {
    let service = &scenario.service;
    let weights: Vec<f64> = service.endpoints.iter().map(|endpoint| endpoint.weight).collect();
    let mix = EndpointMix::new(&weights, scenario.seed);
    let population = Population::new(&scenario.clients.population, scenario.seed);
    let attacks: Vec<_> = match &scenario.traffic {
        Traffic::Open(config) => config.attacks().collect(),
        _ => Vec::new(),
    };
    let attackers = population.attackers(attacks.iter().copied());
    let failure = Dice::new(scenario.seed, Stream::Failure);
    let size = Dice::new(scenario.seed, Stream::Spread);
    let mut total = 0;
    for Arrival { at, index, origin } in arrivals {
        let (client, endpoint, attack) = match origin {
            Origin::Attack(k) => {
                let k = usize::from(k);
                let aimed = attacks[k].endpoint.unwrap_or_else(|| mix.endpoint(index));
                (population.attacker(index, &attackers[k]), aimed, true)
            }
            _ => (population.client(index), mix.endpoint(index), false),
        };
        let endpoint = &service.endpoints[usize::from(endpoint)];
        let status = if failure.sub(index, 1).unit() < endpoint.error_rate { 500 } else { 200 };
        // Answers between 200 B and 200 kB, most of them small.
        let bytes = (200.0 * libm::exp(6.9 * size.unit(index) * size.sub(index, 1).unit())) as u64;
        let when = start + jiff::SignedDuration::from_secs((at.0 / 1_000_000_000) as i64);
        let stamp = when.strftime("%d/%b/%Y:%H:%M:%S +0000");
        let address = format!("100.{}.{}.{}", 64 + (client >> 16 & 63), client >> 8 & 255, client & 255);
        write!(out, "{address} - - [{stamp}] \"GET {} HTTP/1.1\" {status} {bytes}", endpoint.path)?;
        if combined {
            let agent = match (attack, population.bot(client)) {
                (true, _) => ATTACKER,
                (_, true) => BOT,
                _ => AGENTS[pick(size.sub(u64::from(client), 7).bits(), AGENTS.len())],
            };
            write!(out, " \"-\" \"{agent}\"")?;
        }
        out.write_all(b"\n")?;
        total += 1;
    }
    Ok(total)
}
