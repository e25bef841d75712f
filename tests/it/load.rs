//! A scenario's arrivals against real servers: what they get, and what the report says of them and of who sent it.

mod tls;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;
use wavetank::load::schedule::{Job, Plan};
use wavetank::report::saved;
use wavetank::scenario;
use wavetank::units::{Span, Time};

use crate::cli::{folder, names, output, stderr, wavetank};

/// What a server saw of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    index: u64,
    client: u32,
    method: String,
    path: String,
    /// The field `x-shop`.
    shop: String,
    body: String,
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
    connections: AtomicUsize,
}

impl Server {
    pub fn start(manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            manner,
            seen: Mutex::new(Vec::new()),
            arrived: Condvar::new(),
            connections: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&serving));
                let held = state.seen.lock().unwrap();
                state.connections.fetch_add(1, Ordering::Relaxed);
                drop(held);
                state.arrived.notify_all();
                // A client that goes away ends its conversation.
                std::thread::spawn(move || drop(state.converse(&stream)));
            }
        });
        Server { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until so many connections were made, and says how many were.
    fn connections(&self, n: usize) -> usize {
        let made = || self.state.connections.load(Ordering::Relaxed);
        drop(self.state.arrived.wait_while(self.state.seen.lock().unwrap(), |_| made() < n).unwrap());
        made()
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
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let word = |n: usize| line.split(' ').nth(n).unwrap_or_default().to_string();
            let (method, path) = (word(0), word(1));
            let mut fields = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                match line.trim_end().split_once(": ") {
                    Some((name, value)) => fields.insert(name.to_ascii_lowercase(), value.to_string()),
                    None => break,
                };
            }
            let number = |name: &str| fields.get(name).and_then(|value| value.parse::<u64>().ok());
            let mut body = vec![0; number("content-length").unwrap_or(0) as usize];
            reader.read_exact(&mut body)?;
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen {
                index: number("wavetank-index").unwrap_or(u64::MAX),
                client: number("wavetank-client").unwrap_or(u64::MAX) as u32,
                method,
                path: path.clone(),
                shop: fields.remove("x-shop").unwrap_or_default(),
                body: String::from_utf8(body).unwrap(),
            });
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
                "/hang" => return reader.read_line(&mut line).map(drop),
                _ => "200 OK",
            };
            (&*stream).write_all(format!("HTTP/1.1 {head}\r\nContent-Length: 5\r\n\r\nhello").as_bytes())?;
            if fields.get("connection").is_some_and(|value| value == "close") {
                return Ok(());
            }
        }
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
    let dice = scenario::request::Request::dice(plan.scenario().seed);
    let seen = |job: &Job| {
        let request = &plan.requests()[usize::from(job.form)];
        let written = request.written(&dice, job.index);
        Seen {
            index: job.index,
            client: job.client,
            method: request.method.name().to_string(),
            path: written.target.to_string(),
            shop: written.headers.first().map(ToString::to_string).unwrap_or_default(),
            body: match &request.body {
                scenario::request::Body::Bytes(n) => "x".repeat(*n as usize),
                _ => written.text.to_string(),
            },
        }
    };
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
    for (args, told) in [
        (&["--insecure"][..], "is not encrypted"),
        (&["--ca", "it.toml"], "is not encrypted"),
        (&["--start-at", "2026-01-01T00:00:00Z"], "has passed"),
        (&["--shard", "4/4"], "expected I/N"),
    ] {
        let refused = load(folder.path(), "http://127.0.0.1:9", args);
        assert!(refused.status.code() == Some(2) && stderr(&refused).contains(told), "{}", stderr(&refused));
    }
    for (file, told) in [("nowhere.pem", "cannot read nowhere.pem"), ("it.toml", "expected certificates as PEM")] {
        let refused = load(folder.path(), "https://127.0.0.1:9", &["--ca", file]);
        assert!(refused.status.code() == Some(2) && stderr(&refused).contains(told), "{}", stderr(&refused));
    }
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
fn shares_of_several_generators_are_the_schedule_together_and_one_report() {
    let (server, folder) = (Server::start(Manner::AtOnce), folder(&[("it.toml", SHOP.as_bytes())]));
    let shares = ["0", "1", "2"];
    std::thread::scope(|scope| {
        for index in shares {
            let (folder, url) = (folder.path(), server.url());
            scope.spawn(move || {
                let sent = load(folder, &url, &["--json", "--out", index, "--shard", &format!("{index}/3")]);
                let share = report(&sent, 0);
                assert_eq!(share["verdict"], "inconclusive", "a share alone decides nothing");
                assert_eq!(share["generator"]["faults"], serde_json::json!(["shares_missing"]));
            });
        }
    });
    assert_eq!(server.seen(), expected(SHOP, folder.path()));
    let merge = |shares: &[&str], exit: i32| {
        let args = [&["merge", "--json"], shares].concat();
        let mut merged = report(&output(folder.path(), &args), exit);
        merged["command"] = Value::Null;
        merged
    };
    let whole = merge(&shares, 0);
    assert_eq!(whole, merge(&["2", "0", "1"], 0), "the order of shares does not matter");
    let (jobs, plan) = planned(SHOP, folder.path());
    let warm = jobs.len() as u64;
    assert_eq!((&whole["requests"]["offered"], &whole["generator"]["due"]), (&warm.into(), &warm.into()));
    assert_eq!(
        (&whole["verdict"], &whole["generator"]["shares"]["here"]),
        (&"pass".into(), &serde_json::json!([0, 1, 2]))
    );
    let due_in = |second: u64| jobs.iter().filter(|job| job.at.0 / 1_000_000_000 == second).count() as u64;
    let seconds = 0..plan.duration().0 / 1_000_000_000;
    assert_eq!(whole["timeline"]["columns"]["offered_rps"], seconds.map(due_in).collect::<Value>());
    // Quantiles of the whole are those of all latencies: each share's histogram is in it.
    let run = |folder_name: &str| saved::load(&folder.path().join(folder_name)).unwrap().runs.remove(0);
    let mut all = run("0").latency;
    ["1", "2"].iter().for_each(|share| all.merge(&run(share).latency));
    let counted = whole["per_replication"][0]["latency"]["hdr"].as_str().unwrap();
    assert_eq!(counted, all.encoded().hdr);
    let missing = merge(&["0", "2"], 3);
    assert_eq!(
        (&missing["verdict"], &missing["generator"]["faults"][0]),
        (&"inconclusive".into(), &"shares_missing".into())
    );
    let told = output(folder.path(), &["merge", "0", "2", "--into", "some"]);
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.status.code() == Some(3) && words.contains("1 of 3 shares of the load are missing (1/3)"),
        "{words}"
    );
    // What was written reads back the same, in either form.
    let again = output(folder.path(), &["report", "some", "--format", "json", "--out", "-"]);
    assert_eq!(again.stdout, std::fs::read(folder.path().join("some/report.json")).unwrap());
    let log = output(folder.path(), &["report", "some", "--format", "hlog", "--out", "-"]);
    assert_eq!(String::from_utf8_lossy(&log.stdout).matches("Tag=step,").count(), 3, "a line for each second");
    for (shares, told) in [
        (&["0", "1", "0"][..], "share 0/3 is there already"),
        (&["0", "it.toml"], "it.toml is none"),
        (&["it.toml", "--into", "x"], "it.toml"),
    ] {
        let refused = output(folder.path(), &[&["merge"], shares].concat());
        assert!(refused.status.code() == Some(2) && stderr(&refused).contains(told), "{}", stderr(&refused));
    }
    let simulated = output(folder.path(), &["sim", "it.toml", "--out", "sim"]);
    assert!(simulated.status.success());
    let refused = output(folder.path(), &["merge", "sim"]);
    assert!(refused.status.code() == Some(2) && stderr(&refused).contains("not a share"), "{}", stderr(&refused));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a time to come is one of the clock on the wall")]
fn several_machines_begin_at_one_time() {
    let text = SHOP.replace("\"3s\"", "\"1s\"").replace("at = \"1s\"", "at = \"0s\"");
    let (server, folder) = (Server::start(Manner::AtOnce), folder(&[("it.toml", text.as_bytes())]));
    let at = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 4).unwrap();
    let sent = load(folder.path(), &server.url(), &["--json", "--start-at", &at.to_string()]);
    let report = report(&sent, 0);
    let began = report["notes"].as_array().unwrap().iter().find_map(|note| note.as_str()?.strip_prefix("began "));
    let began = began.unwrap_or_else(|| panic!("{}", report["notes"]));
    assert!(stderr(&sent).contains(began), "the offset is printed");
    let (date, late) = began.split_once(", ").unwrap();
    let late: f64 = late.split(' ').next().unwrap().parse().unwrap();
    assert!(date.parse::<jiff::Timestamp>().unwrap() >= at && late >= 0.0, "nobody begins early: {began}");
}

#[test]
fn whoever_waits_for_a_time_to_begin_can_be_told_not_to() {
    let (server, folder) = (Server::start(Manner::AtOnce), folder(&[("it.toml", SHOP.as_bytes())]));
    let mut command = command(folder.path(), &server.url(), &["--json", "--start-at", "2999-01-01T00:00:00Z"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It listens to signals before it connects.
    server.connections(32);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let report = report(&child.wait_with_output().unwrap(), 0);
    assert_eq!((&report["ended"]["state"], &report["requests"]["offered"]), (&"interrupted".into(), &0.into()));
    assert_eq!(server.seen(), []);
}

/// Endpoints with methods, fields, bodies, and paths that differ from request to request.
const API: &str = r#"
    scenario.duration = "2s"
    traffic.shape = [{ kind = "constant", rate = 60 }]
    clients.timeout = "20s"
    slo = { p99 = "200s" }

    [service]
    time = "1ms"
    endpoint = [
        { path = "/" },
        { path = "/shops/{shop}/items?page={page}", parameters = { shop = ["north", "süd"], page = { to = 9 } } },
        { path = "/orders", method = "POST", body = '{"shop": "{shop}", "of": {}}', headers = { x-shop = "{shop}!" }, parameters = { shop = ["a", "b"] } },
        { path = "/orders", method = "PUT", body_bytes = "3KB" },
        { path = "/orders/7", method = "DELETE" },
    ]
    "#;

#[test]
fn requests_are_written_as_the_scenario_says() {
    let (server, folder) = (Server::start(Manner::AtOnce), folder(&[("it.toml", API.as_bytes())]));
    let report = report(&load(folder.path(), &server.url(), &["--json"]), 0);
    let (seen, expected) = (server.seen(), expected(API, folder.path()));
    assert_eq!(seen, expected);
    let any = |method: &str, path: &str, body: &str| {
        seen.iter().any(|each| each.method == method && each.path == path && each.body == body)
    };
    assert!(any("POST", "/orders", r#"{"shop": "b", "of": {}}"#) && any("DELETE", "/orders/7", ""));
    assert!(seen.iter().any(|each| each.path.starts_with("/shops/s%C3%BCd/items?page=")), "{seen:?}");
    assert!(seen.iter().any(|each| each.shop == "a!") && any("PUT", "/orders", &"x".repeat(3000)));
    let names: Vec<&str> =
        report["endpoints"].as_array().unwrap().iter().map(|each| each["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["/", "/shops/{shop}/items?page={page}", "POST /orders", "PUT /orders", "/orders/7"]);
}

#[test]
fn users_ask_think_and_ask_again() {
    let text = r#"
        scenario.duration = "2s"
        traffic.users = { count = 5, think = { dist = "exponential", mean = "100ms" } }
        service.time = "10ms"
        service.endpoint = [{ path = "/" }, { path = "/cart" }]
        slo = { p99 = "200s" }
        "#;
    let (server, folder) = (Server::start(Manner::AtOnce), folder(&[("it.toml", text.as_bytes())]));
    let sent = report(&load(folder.path(), &server.url(), &["--json"]), 0);
    let mut turns = vec![0; 5];
    for seen in server.seen() {
        let (user, turn) = ((seen.index >> 32) as usize, seen.index as u32);
        assert_eq!((seen.client as usize, turn), (user, turns[user]), "no turn is left out, and none comes twice");
        turns[user] += 1;
    }
    assert!(turns.iter().all(|n| *n > 2), "{turns:?}");
    assert_eq!(sent["requests"]["offered"].as_u64().unwrap(), u64::from(turns.iter().sum::<u32>()));
    assert_eq!((&sent["generator"]["pacing"], &sent["generator"]["pool"]), (&"users".into(), &5.into()));
    // The first requests of all are those of the simulator: nobody has waited for anybody yet.
    let shared = report(&load(folder.path(), &server.url(), &["--json", "--shard", "1/2"]), 0);
    assert_eq!(shared["generator"]["pool"], 2, "users 1 and 3");
}

#[test]
fn connections_are_there_before_the_first_request_and_are_kept_unless_somebody_says_otherwise() {
    let text = SHOP.replace("\"3s\"", "\"2s\"");
    let folder = folder(&[("it.toml", text.as_bytes())]);
    let sent = |args: &[&str]| {
        let server = Server::start(Manner::AtOnce);
        let report = report(&load(folder.path(), &server.url(), &[&["--json"], args].concat()), 0);
        let of = |key: &str| report["generator"][key].as_u64().unwrap() as usize;
        let all = of("warmed_connections") + of("connects");
        assert_eq!(server.connections(all), all);
        assert_eq!(report["generator"]["versions"]["HTTP/1.1"].as_u64(), report["requests"]["offered"].as_u64());
        (of("warmed_connections"), of("connects"), report)
    };
    let (warmed, connects, report) = sent(&["--pace", "spin"]);
    // A machine that stalls has more under way at once, but never a connection for each.
    assert!(warmed == 32 && connects < 100, "{connects}");
    assert_eq!(report["generator"]["pacing"], "spin");
    assert_eq!(sent(&["--set", "load.connections=3"]).0, 3);
    let (warmed, connects, report) = sent(&["--set", "load.keep_alive=false"]);
    assert_eq!((warmed, Some(connects as u64)), (0, report["requests"]["offered"].as_u64()));
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
