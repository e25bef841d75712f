//! `wavetank generate`: the traffic of a scenario as an access log or a rate series.
//!
//! The log has the arrivals that the simulator would see, by the same keyed draws: replaying it meets the same requests,
//! at the resolution that its format writes times in (whole seconds in most, milliseconds in HAProxy's, microseconds in AWS's and Caddy's,
//! nanoseconds in other JSON). Response times are the service demands that the simulator draws, without any waiting. Addresses come from the block for shared address space (RFC 6598), names of
//! agents from a short list; nothing in it is anybody's.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::args::{GenerateArgs, OutputFormat, SeriesForm};
use super::exit::{Exit, Failure, OrExit};
use crate::rng::{Dice, Stream, pick};
use crate::scenario::request::Request;
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
    match args.format.series() {
        Some(series) => steps(scenario, arrivals, args, series, out),
        None => log(scenario, arrivals, args, out),
    }
}

fn steps(
    scenario: &Scenario,
    arrivals: Arrivals,
    args: &GenerateArgs,
    form: SeriesForm,
    out: &mut impl Write,
) -> io::Result<u64> {
    let length = args.step.0.max(1);
    if form == SeriesForm::Csv {
        writeln!(out, "timestamp,requests")?;
    }
    let row = |out: &mut dyn Write, step: u64, n: u64| {
        let at =
            args.start + jiff::SignedDuration::from_nanos(step.saturating_mul(length).min(i64::MAX as u64) as i64);
        match form {
            SeriesForm::Csv => writeln!(out, "{at},{n}"),
            SeriesForm::Ndjson => writeln!(out, "{{\"timestamp\":\"{at}\",\"requests\":{n}}}"),
            SeriesForm::Numbers => writeln!(out, "{n}"),
        }
    };
    let (mut step, mut n, mut total) = (0, 0, 0);
    for arrival in arrivals {
        while arrival.at.0 / length > step {
            row(out, step, n)?;
            (step, n) = (step + 1, 0);
        }
        n += 1;
        total += 1;
    }
    let steps = scenario.duration.map_or(step + 1, |duration| duration.0.div_ceil(length));
    for step in step..steps {
        row(out, step, std::mem::take(&mut n))?;
    }
    Ok(total)
}

/// One request as a log has it.
struct Entry<'a> {
    at: Timestamp,
    address: String,
    method: &'a str,
    path: &'a str,
    status: u16,
    bytes: u64,
    agent: &'a str,
    /// Response time \[ns\].
    took: u64,
}

fn log(scenario: &Scenario, arrivals: Arrivals, args: &GenerateArgs, out: &mut impl Write) -> io::Result<u64> {
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
    let demand = Dice::new(scenario.seed, Stream::Demand);
    let samplers: Vec<_> = service.endpoints.iter().map(|endpoint| endpoint.time.sampler()).collect();
    let parameters = Request::dice(scenario.seed);
    head(args.format, out)?;
    let mut total = 0;
    for Arrival { at, index, origin } in arrivals {
        let (client, place, attack) = match origin {
            Origin::Attack(k) => {
                let k = usize::from(k);
                let aimed = attacks[k].endpoint.unwrap_or_else(|| mix.endpoint(index));
                (population.attacker(index, &attackers[k]), aimed, true)
            }
            _ => (population.client(index), mix.endpoint(index), false),
        };
        let endpoint = &service.endpoints[usize::from(place)];
        let agent = match (attack, population.bot(client)) {
            (true, _) => ATTACKER,
            (_, true) => BOT,
            _ => AGENTS[pick(size.sub(u64::from(client), 7).bits(), AGENTS.len())],
        };
        let written = endpoint.request.written(&parameters, index);
        let entry = Entry {
            at: args.start + jiff::SignedDuration::from_nanos(at.0.min(i64::MAX as u64) as i64),
            address: format!("100.{}.{}.{}", 64 + (client >> 16 & 63), client >> 8 & 255, client & 255),
            method: endpoint.request.method.name(),
            path: &written.target,
            status: if failure.sub(index, 1).unit() < endpoint.error_rate { 500 } else { 200 },
            // Answers between 200 B and 200 kB, most of them small.
            bytes: (200.0 * libm::exp(6.9 * size.unit(index) * size.sub(index, 1).unit())) as u64,
            agent,
            took: samplers[usize::from(place)].sample(&mut demand.draws(index)).0,
        };
        entry.write(args.format, out)?;
        total += 1;
    }
    Ok(total)
}

/// What comes before the first line.
fn head(format: OutputFormat, out: &mut impl Write) -> io::Result<()> {
    match format {
        OutputFormat::Iis => writeln!(
            out,
            "#Software: wavetank\n#Version: 1.0\n#Fields: date time c-ip cs-method cs-uri-stem sc-status sc-bytes time-taken \
             cs(User-Agent)"
        ),
        OutputFormat::CloudFront => writeln!(
            out,
            "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs-uri-stem sc-status cs(User-Agent) time-taken"
        ),
        _ => Ok(()),
    }
}

impl Entry<'_> {
    fn write(&self, format: OutputFormat, out: &mut impl Write) -> io::Result<()> {
        let Entry { at, address, method, path, status, bytes, agent, took } = self;
        let seconds = *took as f64 / 1e9;
        match format {
            OutputFormat::Common | OutputFormat::Combined => {
                let stamp = at.strftime("%d/%b/%Y:%H:%M:%S +0000");
                write!(out, "{address} - - [{stamp}] \"{method} {path} HTTP/1.1\" {status} {bytes}")?;
                if format == OutputFormat::Combined {
                    write!(out, " \"-\" \"{agent}\"")?;
                }
                writeln!(out)
            }
            OutputFormat::Caddy => {
                // A number of seconds, which holds microseconds and no more.
                let (whole, part) = (at.as_second(), at.subsec_nanosecond() / 1000);
                writeln!(
                    out,
                    "{{\"level\":\"info\",\"ts\":{whole}.{part:06},\"logger\":\"http.log.access\",\"msg\":\"handled request\",\
                     \"request\":{{\"client_ip\":\"{address}\",\"method\":\"{method}\",\"uri\":{},\"headers\":{{\"User-Agent\":[{}]}}}},\
                     \"duration\":{seconds:.9},\"size\":{bytes},\"status\":{status}}}",
                    quoted(path),
                    quoted(agent)
                )
            }
            OutputFormat::Traefik => writeln!(
                out,
                "{{\"ClientHost\":\"{address}\",\"DownstreamContentSize\":{bytes},\"DownstreamStatus\":{status},\"Duration\":{took},\
                 \"RequestMethod\":\"{method}\",\"RequestPath\":{},\"StartUTC\":\"{at:.9}\",\"request_User-Agent\":{}}}",
                quoted(path),
                quoted(agent)
            ),
            OutputFormat::NginxJson => writeln!(
                out,
                "{{\"time_iso8601\":\"{at:.9}\",\"remote_addr\":\"{address}\",\"request\":{},\"status\":{status},\
                 \"body_bytes_sent\":{bytes},\"request_time\":{seconds:.3},\"http_user_agent\":{}}}",
                quoted(&format!("{method} {path} HTTP/1.1")),
                quoted(agent)
            ),
            OutputFormat::Haproxy => {
                let stamp = at.strftime("%d/%b/%Y:%H:%M:%S");
                let (part, ms) = (at.subsec_millisecond(), took / 1_000_000);
                writeln!(
                    out,
                    "{address}:50000 [{stamp}.{part:03}] in back/app 0/0/0/{ms}/{ms} {status} {bytes} - - ---- 1/1/1/1/0 0/0 \
                     \"{method} {path} HTTP/1.1\""
                )
            }
            OutputFormat::Alb => {
                // The log has the time of the answer.
                let answered = *at + jiff::SignedDuration::from_micros((took / 1000) as i64);
                writeln!(
                    out,
                    "http {answered:.6} app/wavetank/1 {address}:50000 10.0.0.1:80 0.000 {:.6} 0.000 {status} {status} 0 {bytes} \
                     \"{method} http://example.com:80{path} HTTP/1.1\" \"{agent}\" - -",
                    (took / 1000) as f64 / 1e6
                )
            }
            OutputFormat::Iis => {
                let (stamp, agent) = (at.strftime("%Y-%m-%d %H:%M:%S"), agent.replace(' ', "+"));
                writeln!(out, "{stamp} {address} {method} {path} {status} {bytes} {} {agent}", took / 1_000_000)
            }
            OutputFormat::CloudFront => {
                let (stamp, agent) = (at.strftime("%Y-%m-%d\t%H:%M:%S"), agent.replace(' ', "%20"));
                writeln!(out, "{stamp}\tFRA2\t{bytes}\t{address}\t{method}\t{path}\t{status}\t{agent}\t{seconds:.3}")
            }
            OutputFormat::Csv | OutputFormat::Ndjson | OutputFormat::Numbers => Ok(()),
        }
    }
}

/// A text in JSON.
fn quoted(text: &str) -> serde_json::Value {
    text.into()
}
