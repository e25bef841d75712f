//! A scenario's arrivals against real servers: what they get, and what the report says of them and of who sent it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;
use wavetank::load::schedule::{Job, Plan};
use wavetank::report::saved;
use wavetank::units::{Span, Time};

use crate::cli::{folder, names, output, stderr, wavetank};

/// What a server saw of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    index: u64,
    client: u32,
    path: String,
}

/// How a server answers.
#[derive(Clone, Copy)]
pub enum Manner {
    /// At once; by the path `/moved`, `/error`, `/cut` and `/hang` otherwise.
    AtOnce,
    /// After so long, which is what it needs for the request.
    Takes(Duration),
    /// At once, but from one request to another, by their numbers from 1, nobody until the last of them is there.
    Stalls(usize, usize),
}

/// A server on this machine, with a thread for each connection.
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    manner: Manner,
    seen: Mutex<Vec<Seen>>,
    arrived: Condvar,
}

impl Server {
    pub fn start(manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { manner, seen: Mutex::new(Vec::new()), arrived: Condvar::new() });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&serving));
                // A client that goes away ends its conversation.
                std::thread::spawn(move || drop(state.converse(&stream)));
            }
        });
        Server { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was seen until now, in the order of arrivals of the plan.
    fn seen(&self) -> Vec<Seen> {
        let mut seen = self.state.seen.lock().unwrap().clone();
        seen.sort();
        seen
    }

    /// Waits until so many requests were seen.
    pub fn until(&self, n: usize) {
        self.state.until(n);
    }
}

impl State {
    fn until(&self, n: usize) {
        let seen = self.arrived.wait_while(self.seen.lock().unwrap(), |seen| seen.len() < n);
        drop(seen.unwrap());
    }

    fn converse(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        while let Some(first) = lines.next() {
            let path = first?.split(' ').nth(1).unwrap_or_default().to_string();
            let mut fields = BTreeMap::new();
            loop {
                let Some(line) = lines.next() else { return Ok(()) };
                match line?.split_once(": ") {
                    Some((name, value)) => fields.insert(name.to_ascii_lowercase(), value.to_string()),
                    None => break,
                };
            }
            let number =
                |name: &str| fields.get(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(u64::MAX);
            let (index, client) = (number("wavetank-index"), number("wavetank-client") as u32);
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen { index, client, path: path.clone() });
            let nth = seen.len();
            drop(seen);
            self.arrived.notify_all();
            match self.manner {
                Manner::Takes(time) => std::thread::park_timeout(time),
                Manner::Stalls(from, to) if (from..=to).contains(&nth) => self.until(to),
                Manner::Stalls(..) | Manner::AtOnce => {}
            }
            let head = match path.as_str() {
                "/moved" => "302 Found\r\nLocation: /elsewhere",
                "/error" => "500 Internal Server Error",
                "/cut" => return Ok(()),
                // The client goes first.
                "/hang" => return lines.next().map_or(Ok(()), |line| line.map(drop)),
                _ => "200 OK",
            };
            (&*stream).write_all(format!("HTTP/1.1 {head}\r\nContent-Length: 5\r\n\r\nhello").as_bytes())?;
        }
        Ok(())
    }
}

/// Half of the requests for `/cart`, an attack, and targets that let a busy machine be late.
const SHOP: &str = r#"
    scenario.duration = "3s"
    traffic.shape = [{ kind = "constant", rate = 60 }]
    traffic.overlay = [{ kind = "attack", at = "1s", rate = 40, for = "1s", clients = 3 }]
    clients.population = 50
    clients.timeout = "20s"
    service.time = "10ms"
    service.endpoint = [{ path = "/" }, { path = "/cart?of=me" }]
    slo = { p99 = "200s", availability = 0.99 }
    "#;

/// The requests that a scenario plans.
fn planned(text: &str, folder: &Path) -> (Vec<Job>, Plan) {
    let scenario = wavetank::scenario::parse(text, "it.toml", folder, &[]).unwrap();
    let seed = scenario.seed;
    let plan = Plan::new(scenario).unwrap();
    (plan.schedule(seed, None).unwrap().collect(), plan)
}

/// The same as a server sees them, in order of their indices.
fn expected(text: &str, folder: &Path) -> Vec<Seen> {
    let (jobs, plan) = planned(text, folder);
    let seen =
        |job: &Job| Seen { index: job.index, client: job.client, path: plan.paths()[usize::from(job.path)].clone() };
    let mut expected: Vec<Seen> = jobs.iter().map(seen).collect();
    expected.sort();
    expected
}

/// `wavetank load`, on a machine without any CA certificate.
fn command(folder: &Path, target: &str, args: &[&str]) -> Command {
    let mut command = wavetank(folder);
    command.args(["load", "--target", target, "it.toml"]).args(args);
    command.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere").env("http_proxy", "http://127.0.0.1:9");
    command
}

fn load(folder: &Path, target: &str, args: &[&str]) -> Output {
    command(folder, target, args).output().unwrap()
}

fn wavetank_in_shell(folder: &Path, line: &str) -> Output {
    Command::new("sh").args(["-c", line]).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

/// `report.json` on standard output, which has nothing else on it.
fn report(output: &Output, exit: i32) -> Value {
    assert_eq!(output.status.code(), Some(exit), "{}", stderr(output));
    let told = stderr(output);
    assert!(!told.contains("accounts"), "ours and that of goose agree: {told}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

fn failed(requests: &Value) -> u64 {
    requests["failed"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
}

#[test]
fn a_server_gets_every_request_that_the_simulator_would_and_none_twice() {
    let (server, folder) = (Server::start(Manner::AtOnce), folder(&[("it.toml", SHOP.as_bytes())]));
    let sent = report(&load(folder.path(), &server.url(), &["--json"]), 0);
    assert_eq!(server.seen(), expected(SHOP, folder.path()));
    let simulated = report(&output(folder.path(), &["sim", "it.toml", "--json"]), 0);
    assert_eq!(sent["requests"]["offered"], simulated["requests"]["offered"]);
    let offered = |report: &Value| -> Vec<Value> {
        report["endpoints"].as_array().unwrap().iter().map(|each| each["requests"]["offered"].clone()).collect()
    };
    assert_eq!(offered(&sent), offered(&simulated));
    assert_eq!((&sent["mode"], &sent["verdict"]), (&"live".into(), &"pass".into()));
    assert_eq!(
        (&sent["generator"]["faults"], &sent["generator"]["due"]),
        (&Value::Array(Vec::new()), &sent["requests"]["offered"])
    );
    let schema: Value = serde_json::from_str(wavetank::report::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> =
        validator.iter_errors(&sent).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn latency_counts_from_the_due_time_while_a_server_stalls() {
    let text = SHOP.replace("rate = 60", "rate = 100");
    let folder = folder(&[("it.toml", text.as_bytes())]);
    // Nobody of the 50th to the 200th is answered until the 200th is there: in a closed loop it would never come.
    let server = Server::start(Manner::Stalls(50, 200));
    let output = load(folder.path(), &server.url(), &["--out", "out", "--pool", "500"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let due: Vec<Time> = planned(&text, folder.path()).0.iter().map(|job| job.at).collect();
    // Two hundred requests are not there before that many are due.
    let least: Vec<Span> = due[49..200].iter().map(|at| due[199].since(*at)).collect();
    let bound = Span::from_millis(300);
    let slow = least.iter().filter(|latency| **latency >= bound).count() as u64;
    assert!(slow > 50, "the stall is long enough to see: {slow}");
    let run = saved::load(&folder.path().join("out")).unwrap().runs.remove(0);
    let at_least = |latency: Span| run.latency.histogram().count_between(latency.as_micros() - 1, u64::MAX);
    assert!(at_least(bound) >= slow, "{} of {slow}", at_least(bound));
    assert!(run.latency.max().unwrap() >= least[0], "{:?} of {:?}", run.latency.max(), least[0]);
    assert_eq!(
        run.generator.unwrap().found_busy,
        0,
        "the pool was large enough, so that it was the server who was slow"
    );
    assert_eq!(run.counts.succeeded, due.len() as u64);
}

#[test]
fn a_pool_that_is_too_small_leaves_the_run_inconclusive_and_says_what_would_do() {
    let folder = folder(&[("it.toml", SHOP.as_bytes())]);
    let server = Server::start(Manner::Takes(Duration::from_millis(60)));
    let output = load(folder.path(), &server.url(), &["--pool", "2", "--out", "out"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.starts_with("INCONCLUSIVE") && told.contains("found all 2 workers busy; "), "{told}");
    let report: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("out/report.json")).unwrap()).unwrap();
    assert_eq!(report["verdict"], "inconclusive");
    assert!(
        report["slo"].as_array().unwrap().iter().all(|each| each["verdict"] == "inconclusive"),
        "{}",
        report["slo"]
    );
    let faults = report["generator"]["faults"].as_array().unwrap();
    assert!(faults.contains(&"pool_exhausted".into()), "{faults:?}");
    assert_eq!(server.seen(), expected(SHOP, folder.path()), "late is not never");
    // Nor does a gate decide by it.
    let gate = crate::cli::output(folder.path(), &["gate", "out"]);
    let told = String::from_utf8_lossy(&gate.stdout).into_owned() + &stderr(&gate);
    assert!(gate.status.code() == Some(3) && told.contains("the generator of load was measured"), "{told}");
    let lag = report["generator"]["lag_ms"]["max"].as_f64().unwrap();
    assert!(lag > 60.0, "whoever waits for a worker waits for the request before: {lag}");
}

#[test]
fn connections_that_this_machine_cannot_make_are_no_failures_of_the_target() {
    let folder = folder(&[("it.toml", SHOP.as_bytes())]);
    let server = Server::start(Manner::Takes(Duration::from_secs(1)));
    let program = env!("CARGO_BIN_EXE_wavetank");
    let few = format!("ulimit -n 50; exec {program} load --target {} it.toml --json", server.url());
    let output = wavetank_in_shell(folder.path(), &few);
    let report = report(&output, 3);
    assert_eq!(report["verdict"], "inconclusive");
    assert!(report["generator"]["faults"].as_array().unwrap().contains(&"generator_saturated".into()), "{report}");
    let offered = report["requests"]["offered"].as_u64().unwrap();
    assert_eq!(offered, report["requests"]["succeeded"].as_u64().unwrap() + failed(&report["requests"]));
    assert_eq!(server.seen().len() as u64, report["generator"]["sent"].as_u64().unwrap());
}

#[test]
fn a_signal_ends_a_run_with_its_report_even_if_it_comes_twice() {
    let text = SHOP.replace("\"3s\"", "\"30m\"");
    for signal in ["INT", "TERM"] {
        let folder = folder(&[("it.toml", text.as_bytes())]);
        let server = Server::start(Manner::AtOnce);
        let mut command = command(folder.path(), &server.url(), &["--out", "out"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        server.until(30);
        for _ in 0..2 {
            let kill = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
            assert!(kill.unwrap().success());
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{signal}: {}", stderr(&output));
        let report: Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("out/report.json")).unwrap()).unwrap();
        assert_eq!(report["ended"]["state"], "interrupted");
        assert_eq!(report["verdict"], "inconclusive", "a run that was cut short passes nothing");
        let offered = report["requests"]["offered"].as_u64().unwrap();
        assert!(offered >= 30);
        assert_eq!(offered, report["requests"]["succeeded"].as_u64().unwrap() + failed(&report["requests"]));
    }
}

#[test]
fn only_this_machine_takes_load_unless_somebody_owns_the_target() {
    let folder = folder(&[("it.toml", SHOP.as_bytes())]);
    for theirs in ["http://192.0.2.1:80", "https://shop.example"] {
        let refused = load(folder.path(), theirs, &[]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains("is not this machine") && stderr(&refused).contains("--i-own-this-target"));
    }
    // Certificates are checked where there are any, and asked for where there are none.
    let refused = load(folder.path(), "https://localhost:9", &[]);
    assert!(refused.status.code() == Some(2) && stderr(&refused).contains("ca-certificates"), "{}", stderr(&refused));
    let closed = SHOP.replace("shape = [{ kind = \"constant\", rate = 60 }]", "users = { count = 3 }");
    let closed: String =
        closed.lines().filter(|line| !line.contains("overlay")).map(|line| format!("{line}\n")).collect();
    std::fs::write(folder.path().join("it.toml"), closed).unwrap();
    let refused = load(folder.path(), "http://127.0.0.1:9", &[]);
    assert!(refused.status.code() == Some(2) && stderr(&refused).contains("traffic.users"), "{}", stderr(&refused));
    assert_eq!(names(folder.path()), ["it.toml"], "what is refused leaves nothing behind");
}

#[test]
fn every_request_ends_in_one_way_and_nobody_is_led_elsewhere() {
    let paths = ["/", "/moved", "/error", "/cut", "/hang"];
    let endpoints: Vec<String> = paths.iter().map(|path| format!("{{ path = \"{path}\" }}")).collect();
    let text = SHOP
        .replace("{ path = \"/\" }, { path = \"/cart?of=me\" }", &endpoints.join(", "))
        .replace("timeout = \"20s\"", "timeout = \"1s\"");
    let (server, folder) = (Server::start(Manner::AtOnce), folder(&[("it.toml", text.as_bytes())]));
    let report = report(&load(folder.path(), &server.url(), &["--json"]), 0);
    assert_eq!(server.seen(), expected(&text, folder.path()));
    for (path, reason) in paths.into_iter().zip(["", "", "server_error", "connection", "timeout"]) {
        let endpoint = report["endpoints"].as_array().unwrap().iter().find(|each| each["path"] == path).unwrap();
        let requests = &endpoint["requests"];
        // A busy machine may let somebody's patience end who would have been answered.
        let offered = requests["offered"].as_u64().unwrap();
        assert_eq!(offered, requests["succeeded"].as_u64().unwrap() + failed(requests), "{path}");
        let such = if reason.is_empty() { &requests["succeeded"] } else { &requests["failed"][reason] };
        assert!(such.as_u64().unwrap() * 10 >= offered * 9 && offered > 10, "{path}: {requests}");
    }
    assert_eq!(report["verdict"], "fail");
}

#[test]
fn shares_of_several_generators_are_the_schedule_together() {
    let (server, folder) = (Server::start(Manner::AtOnce), folder(&[("it.toml", SHOP.as_bytes())]));
    let offered: Vec<u64> = std::thread::scope(|scope| {
        let shares = ["0/3", "1/3", "2/3"].map(|share| {
            let (folder, url) = (folder.path(), server.url());
            scope.spawn(move || report(&load(folder, &url, &["--json", "--shard", share]), 0))
        });
        shares.map(|share| share.join().unwrap()["requests"]["offered"].as_u64().unwrap()).to_vec()
    });
    assert_eq!(server.seen(), expected(SHOP, folder.path()));
    assert!(offered.iter().max().unwrap() - offered.iter().min().unwrap() <= 1, "{offered:?}");
}

#[test]
fn a_recording_is_sent_at_its_own_times_and_for_its_own_paths() {
    let line =
        |i: u32| format!("10.0.0.{} - - [01/Jan/2026:00:00:0{} +0000] \"GET /p{i} HTTP/1.1\" 200 1\n", i % 3, i / 20);
    let log: String = (0..60).map(line).collect();
    let text = "traffic.replay = { path = \"a.log\" }\nservice.time = \"1ms\"\nslo.p99 = \"200s\"";
    let (server, folder) =
        (Server::start(Manner::AtOnce), folder(&[("it.toml", text.as_bytes()), ("a.log", log.as_bytes())]));
    let output = load(folder.path(), &server.url(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.seen(), expected(text, folder.path()));
    let mut paths: Vec<String> = server.seen().into_iter().map(|seen| seen.path).collect();
    paths.sort_unstable_by_key(|path| path[2..].parse::<u32>().unwrap());
    assert_eq!(paths, (0..60).map(|i| format!("/p{i}")).collect::<Vec<_>>());
    let written = names(&folder.path().join("reports/it-load"));
    for file in ["latency.hgrm", "report.html", "report.json", "timeline.csv"] {
        assert!(written.iter().any(|name| name == file), "{file}: {written:?}");
    }
    // What was written can be read, and written again and in any other form.
    let again = crate::cli::output(folder.path(), &["report", "reports/it-load", "--format", "json", "--out", "-"]);
    let report = std::fs::read_to_string(folder.path().join("reports/it-load/report.json")).unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stdout), report);
    let again = crate::cli::output(folder.path(), &["report", "reports/it-load", "--format", "md", "--out", "-"]);
    assert!(
        again.status.success() && String::from_utf8_lossy(&again.stdout).contains("generator"),
        "{}",
        stderr(&again)
    );
}
