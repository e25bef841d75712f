//! Processes that come and go under a real gateway, and those who give it orders.
//!
//! Instances are this very test program, started once more as [`an_instance_serves`].

mod accounts;
mod adoption;
mod siege;
mod soak;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::chromium::Page;
use crate::cli::{folder, output, stderr, wavetank};

/// The instance: answers with its process id, sleeps for `/sleep/MS`, dies at `/die`, sends more than anybody needs at `/flood`, and
/// repeats at `/echo/…` what it was asked for, which it writes to `WAVETANK_TEST_LOG` first.
#[test]
fn an_instance_serves() {
    let Ok(port) = std::env::var("WAVETANK_TEST_PORT") else { return };
    let listener = TcpListener::bind(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
    for stream in listener.incoming() {
        std::thread::spawn(move || converse(stream.unwrap()));
    }
}

fn converse(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let target = head.split(' ').nth(1).unwrap_or_default().to_string();
        if let Some(ms) = target.strip_prefix("/sleep/") {
            std::thread::park_timeout(Duration::from_millis(ms.parse().unwrap_or(0)));
        }
        let mut body = std::process::id().to_string();
        match target.as_str() {
            "/die" => std::process::exit(1),
            "/flood" => {
                flood(&stream)?;
                continue;
            }
            echo if echo.starts_with("/echo/") => {
                if let Ok(log) = std::env::var("WAVETANK_TEST_LOG") {
                    let mut log = fs::OpenOptions::new().append(true).create(true).open(log)?;
                    log.write_all(format!("{echo}\n").as_bytes())?;
                }
                body = target;
            }
            _ => {}
        }
        // In one piece: the second of two small ones would wait for the acknowledgement of the first.
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        (&stream).write_all(answer.as_bytes())?;
    }
}

/// More than sockets between an instance and a client hold.
fn flood(mut stream: &TcpStream) -> std::io::Result<()> {
    static PART: [u8; 1 << 16] = [b'x'; 1 << 16];
    const PARTS: usize = 1024;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PARTS * PART.len())?;
    (0..PARTS).try_for_each(|_| stream.write_all(&PART))?;
    Ok(())
}

/// A running `wavetank serve`.
struct Serve {
    child: Child,
    gateway: SocketAddr,
    control: SocketAddr,
    folder: TempDir,
    token: Option<String>,
}

/// The configuration of a gateway before instances of this program, with `lines` in `[live]` and `sections` behind.
fn config(lines: &str, sections: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let command = format!(
        "env WAVETANK_TEST_PORT={{port}} {} --exact serving::an_instance_serves --nocapture",
        program.display()
    );
    format!(
        "[live]\nlisten = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\ncommand = {command:?}\n{lines}\n{sections}\n"
    )
}

const SCALES: &str = "[fleet]\ninitial = 2\n[autoscaler]\nmin = 1\nmax = 4\n";

impl Serve {
    fn start(lines: &str, sections: &str) -> Serve {
        Serve::start_with(&config(lines, sections))
    }

    fn start_with(text: &str) -> Serve {
        Serve::start_in(folder(&[("serve.toml", text.as_bytes())]))
    }

    /// With the `serve.toml` of a folder, which an earlier one may have used.
    fn start_in(folder: TempDir) -> Serve {
        let mut command = wavetank(folder.path());
        command.args(["serve", "serve.toml"]);
        Serve::run(command, folder)
    }

    /// With at most so many open files.
    fn start_within(descriptors: u32, text: &str) -> Serve {
        let folder = folder(&[("serve.toml", text.as_bytes())]);
        let program = env!("CARGO_BIN_EXE_wavetank");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors}; exec {program} serve serve.toml")]);
        command.current_dir(folder.path());
        Serve::run(command, folder)
    }

    fn run(mut command: Command, folder: TempDir) -> Serve {
        let told = fs::File::create(folder.path().join("told")).unwrap();
        command.stdout(Stdio::piped()).stderr(told);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name: &str| -> SocketAddr {
            let line = lines.next().expect("it says where it is").unwrap();
            line.strip_prefix(&format!("{name} http://")).unwrap_or_else(|| panic!("{line}")).parse().unwrap()
        };
        Serve { gateway: address("gateway"), control: address("control"), child, folder, token: None }
    }

    /// Asks the gateway, or the control API; status and body.
    fn ask(&self, to: SocketAddr, method: &str, target: &str, body: Option<&Value>) -> (u16, String) {
        let token = self.token.as_ref().map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Type: application/json\r\n{token}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        raw(to, &(head + &body))
    }

    fn get(&self, target: &str) -> (u16, String) {
        self.ask(self.gateway, "GET", target, None)
    }

    fn status(&self) -> Value {
        let (status, body) = self.ask(self.control, "GET", "/api/scaling/status", None);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn order(&self, body: Value) -> (u16, Value) {
        let (status, text) = self.ask(self.control, "POST", "/api/scaling/actions", Some(&body));
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Instances in a state.
    fn count(&self, state: &str) -> usize {
        let status = self.status();
        status["fleet"].as_array().unwrap().iter().filter(|each| each["state"] == state).count()
    }

    fn until(&self, what: &str, holds: impl Fn(&Serve) -> bool) {
        for _ in 0..1500 {
            if holds(self) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        panic!("{what} never came: {:#}", self.status());
    }

    /// A number of its metrics, summed over labels.
    fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.ask(self.control, "GET", "/metrics", None);
        assert_eq!(status, 200, "{text}");
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        };
        text.lines().filter_map(of).sum()
    }

    /// Waits until nothing is under way; everything that was offered has ended in one way then.
    fn settles(&self) {
        self.until("the end of what is under way", |serve| serve.metric("wavetank_requests_in_flight") == 0.0);
        let (offered, ended) =
            (self.metric("wavetank_requests_offered_total"), self.metric("wavetank_requests_total"));
        assert_eq!(offered, ended, "offered = succeeded + failed");
    }

    /// What it has written to standard error.
    fn told(&self) -> String {
        fs::read_to_string(self.folder.path().join("told")).unwrap()
    }

    /// Process ids of the instances that answer.
    fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = (0..40).filter_map(|_| self.get("/").1.parse().ok()).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills it as nothing else kills; what it leaves behind.
    #[cfg(feature = "history")]
    fn killed(mut self) -> TempDir {
        self.signal("KILL");
        self.child.wait().unwrap();
        std::mem::replace(&mut self.folder, folder(&[]))
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success());
}

fn is_alive(pid: u32) -> bool {
    // One that nobody has reaped yet is dead all the same.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Resident memory of a process \[KiB\].
fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends a request as it is; status 0: no answer came.
pub fn raw(to: SocketAddr, request: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(to) else { return (0, String::new()) };
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = Vec::new();
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_string()))
}

/// Requests in the history of a folder, and whether the file is sound.
#[cfg(feature = "history")]
fn history(folder: &std::path::Path) -> (i64, String) {
    let database = rusqlite::Connection::open(folder.join("traffic.db")).unwrap();
    let check = database.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    let sum = "SELECT coalesce(sum(requests), 0) FROM traffic";
    (database.query_row(sum, [], |row| row.get(0)).unwrap(), check)
}

#[cfg(feature = "history")]
#[test]
fn what_was_learned_of_the_traffic_survives_kill_9() {
    let text = config(
        "history = { path = \"traffic.db\" }",
        "[analyzer]\nbin = \"1s\"\nbaseline_window = \"1m\"\nprediction_window = \"10s\"",
    );
    let first = Serve::start_with(&text);
    let traffic = |serve: &Serve| -> Value {
        serde_json::from_str(&serve.ask(serve.control, "GET", "/api/scaling/traffic", None).1).unwrap()
    };
    let is_known = |traffic: &Value| traffic["currentBaseline"]["rps"].is_number();
    assert!(!is_known(&traffic(&first)), "it begins with nothing");
    let sent = std::cell::Cell::new(0);
    first.until("a forecast", |serve| {
        (0..5).for_each(|_| assert_eq!(serve.get("/").0, 200));
        sent.set(sent.get() + 5);
        traffic(serve)["recentPredictions"].as_array().is_some_and(|all| !all.is_empty())
    });
    let learned = traffic(&first);
    assert!(is_known(&learned));
    let sent = sent.get();
    first.until("a row for all of them", |serve| history(serve.folder.path()).0 == sent);
    // Some more, which may or may not be written when it dies.
    (0..20).for_each(|_| assert_eq!(first.get("/").0, 200));
    let folder = first.killed();
    let (kept, check) = history(folder.path());
    assert!((sent..=sent + 20).contains(&kept), "{kept} of {sent} and the last second's 20");
    assert_eq!(check, "ok");
    let second = Serve::start_in(folder);
    let remembered = traffic(&second);
    assert!(is_known(&remembered), "{remembered}");
    assert!(!remembered["recentPredictions"].as_array().unwrap().is_empty(), "{remembered}");
    assert!(!remembered["patterns"]["hourly"].as_object().unwrap().is_empty(), "{remembered}");
    let rps = |traffic: &Value| traffic["currentBaseline"]["rps"].as_f64().unwrap();
    assert!((rps(&remembered) / rps(&learned) - 1.0).abs() < 0.5, "{remembered} after {learned}");
    assert_eq!(second.get("/").0, 200);
    second.until("its own rows", |serve| history(serve.folder.path()).0 == kept + 1);
}

#[cfg(feature = "history")]
#[test]
fn a_damaged_history_is_moved_aside_and_told_of() {
    let text = config("history = { path = \"traffic.db\" }", "[analyzer]");
    let folder = folder(&[("serve.toml", text.as_bytes()), ("traffic.db", &[0x2a; 5000])]);
    let serve = Serve::start_in(folder);
    assert_eq!(serve.get("/").0, 200);
    let names =
        fs::read_dir(serve.folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let aside: Vec<String> = names.filter(|name| name.starts_with("traffic.db.damaged-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(fs::read(serve.folder.path().join(&aside[0])).unwrap(), [0x2a; 5000]);
    serve.until("a row", |serve| history(serve.folder.path()).0 == 1);
    serve.until("what became of the file", |serve| serve.told().contains("is damaged"));
}

#[test]
fn an_order_makes_a_process_appear_and_another_makes_it_go_without_a_lost_request() {
    let serve = Serve::start("", SCALES);
    assert_eq!(serve.pids().len(), 2);
    let (status, done) = serve.order(json!({ "action": "scale_up", "count": 2 }));
    assert_eq!((status, &done["success"], &done["newInstanceCount"]), (200, &json!(true), &json!(4)), "{done}");
    serve.until("the fourth", |serve| serve.count("ready") == 4);
    assert_eq!(serve.pids().len(), 4);
    let (_, done) = serve.order(json!({ "action": "scale_up" }));
    assert_eq!(done["success"], json!(false), "{done}");
    // Requests that are under way when their instance is to go are answered.
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..16).map(|_| scope.spawn(|| serve.get("/sleep/600").0)).collect();
        serve.until("they are under way", |serve| serve.status()["currentMetrics"]["activeConnections"] == json!(16));
        assert_eq!(serve.order(json!({ "action": "set", "instances": 1 })).1["newInstanceCount"], json!(1));
        assert!(slow.into_iter().all(|each| each.join().unwrap() == 200), "none is lost");
    });
    serve.until("one is left", |serve| serve.status()["fleet"].as_array().unwrap().len() == 1);
    assert_eq!(serve.pids().len(), 1);
    let actions = serve.status()["recentActions"].clone();
    assert_eq!(actions[0]["action"], "scale_down");
    assert_eq!(actions[0]["details"]["totalInstances"], 1);
}

#[test]
fn killing_an_instance_under_load_costs_only_what_it_held() {
    let serve = Serve::start("retries = 1\nretry_budget = 1.0", SCALES);
    let victim = serve.pids()[0];
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let serve = &serve;
                scope.spawn(move || (0..40).map(|_| serve.get("/sleep/5").0).collect::<Vec<_>>())
            })
            .collect();
        serve.until("load", |serve| serve.status()["currentMetrics"]["activeConnections"].as_u64() > Some(2));
        signal(victim, "KILL");
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| *status == 200), "what may be repeated does not fail: {statuses:?}");
    serve.until("its replacement", |serve| serve.count("ready") == 2);
    let pids = serve.pids();
    assert!(pids.len() == 2 && !pids.contains(&victim));
}

#[test]
fn an_instance_that_hangs_is_found_out_and_replaced() {
    let check = "[balancer]\nhealth_check = { interval = \"200ms\", timeout = \"100ms\", unhealthy_after = 2 }\n";
    let lines = "stop_timeout = \"300ms\"\ntimeouts = { response = \"500ms\" }";
    let serve = Serve::start(lines, &format!("{SCALES}{check}"));
    let victim = serve.pids()[0];
    signal(victim, "STOP");
    serve.until("its end", |_| !is_alive(victim));
    serve.until("its replacement", |serve| serve.count("ready") == 2);
    assert_eq!(serve.pids().len(), 2);
}

#[test]
fn no_instance_outlives_its_gateway() {
    let mut serve = Serve::start("", SCALES);
    let pids = serve.pids();
    assert_eq!(pids.len(), 2);
    serve.child.kill().unwrap();
    serve.child.wait().unwrap();
    for pid in pids {
        for _ in 0..500 {
            if !is_alive(pid) {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        assert!(!is_alive(pid), "{pid} is an orphan");
    }
}

#[test]
fn a_gateway_that_is_told_to_end_answers_what_has_begun() {
    let mut serve = Serve::start("", SCALES);
    let pids = serve.pids();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| serve.get("/sleep/800"));
        serve.until("it is under way", |serve| serve.status()["currentMetrics"]["activeConnections"] == json!(1));
        serve.signal("TERM");
        assert_eq!(slow.join().unwrap().0, 200);
    });
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
    assert!(pids.into_iter().all(|pid| !is_alive(pid)));
}

#[test]
fn rules_are_listed_added_switched_and_read_again() {
    let rule = "[[autoscaler.rule]]\nname = \"busy\"\nmetric = \"requests_per_second\"\noperator = \"gt\"\nthreshold = 1000\naction = \"scale_up\"\n";
    let serve = Serve::start("", &format!("{SCALES}{rule}"));
    let rules = |serve: &Serve| -> Vec<(String, f64, bool)> {
        let text = serve.ask(serve.control, "GET", "/api/scaling/rules", None).1;
        let value: Value = serde_json::from_str(&text).unwrap();
        let one = |rule: &Value| {
            let name = rule["name"].as_str().unwrap().to_string();
            (name, rule["threshold"].as_f64().unwrap(), rule["enabled"].as_bool().unwrap())
        };
        value["rules"].as_array().unwrap().iter().map(one).collect()
    };
    let post = |target: &str, body: Value| serve.ask(serve.control, "POST", target, Some(&body));
    let hot = json!({ "name": "hot", "metric": "cpu_utilization", "operator": "gt", "threshold": 70, "action": "scale_up" });
    assert_eq!(post("/api/scaling/rules", hot.clone()).0, 201);
    assert_eq!(post("/api/scaling/rules", hot).0, 409, "its name is taken");
    assert_eq!(post("/api/scaling/rules/busy/disable", json!({})).0, 200);
    assert_eq!(post("/api/scaling/rules/none/disable", json!({})).0, 404);
    assert_eq!(rules(&serve), [("busy".into(), 1000.0, false), ("hot".into(), 70.0, true)]);
    let (status, said) = post(
        "/api/scaling/rules",
        json!({ "name": "bad", "metric": "cpu", "operator": "gt", "threshold": 1, "action": "alert" }),
    );
    assert!(status == 400 && said.contains("did you mean"), "{said}");
    fs::write(serve.folder.path().join("serve.toml"), config("", &format!("{SCALES}{rule}").replace("1000", "2000")))
        .unwrap();
    serve.signal("HUP");
    serve.until("the new threshold", |serve| rules(serve) == [("busy".into(), 2000.0, true)]);
}

#[test]
fn the_control_api_lets_in_who_may_come_in() {
    let mut serve = Serve::start("token = \"0123456789abcdef\"", SCALES);
    let control = serve.control;
    let say = |serve: &Serve, host: &str, more: &str| {
        let head = format!(
            "POST /api/scaling/actions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}Content-Length: 21\r\n\r\n{{\"action\":\"scale_up\"}}"
        );
        raw(serve.control, &head).0
    };
    let host = control.to_string();
    let bearer = "Authorization: Bearer 0123456789abcdef\r\n";
    let json_type = "Content-Type: application/json\r\n";
    assert_eq!(say(&serve, &host, json_type), 401, "GW-113");
    assert_eq!(say(&serve, &host, &format!("Authorization: Bearer 0123456789abcdeX\r\n{json_type}")), 401, "GW-113");
    assert_eq!(say(&serve, &host, &format!("{bearer}{json_type}Origin: http://evil\r\n")), 403, "GW-114");
    assert_eq!(say(&serve, "evil.example", &format!("{bearer}{json_type}")), 421, "GW-115");
    assert_eq!(say(&serve, &host, bearer), 415);
    assert_eq!(raw(control, &format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).0, 200);
    serve.token = Some("0123456789abcdef".into());
    assert_eq!(serve.ask(control, "DELETE", "/api/scaling/rules", None).0, 405);
    assert_eq!(serve.ask(control, "GET", "/api/none", None).0, 404);
    for (body, word) in [
        (json!({ "action": "explode" }), "scale_up"),
        (json!({ "action": "set" }), "instances"),
        (json!({ "action": "scale_up", "count": -1 }), "count"),
    ] {
        let (status, said) = serve.order(body);
        assert!(status == 400 && said["error"].as_str().unwrap().contains(word), "{said}");
    }
    // GW-112: a path of the control API is nothing special at the gateway.
    assert!(serve.get("/api/scaling/status").1.parse::<u32>().is_ok(), "an instance answered");
    let openapi: Value = serde_json::from_str(&serve.ask(control, "GET", "/openapi.json", None).1).unwrap();
    for (path, schema) in [("/api/scaling/status", "Status"), ("/api/scaling/traffic", "Traffic")] {
        let answer: Value = serde_json::from_str(&serve.ask(control, "GET", path, None).1).unwrap();
        let mut whole = openapi.clone();
        whole["$ref"] = json!(format!("#/components/schemas/{schema}"));
        let validator = jsonschema::validator_for(&whole).unwrap();
        let problems: Vec<String> =
            validator.iter_errors(&answer).map(|e| format!("{e} at {}", e.instance_path())).collect();
        assert!(problems.is_empty(), "{path}: {problems:?}");
    }
    let (status, metrics) = serve.ask(control, "GET", "/metrics", None);
    assert!(status == 200 && metrics.contains("wavetank_requests_total{outcome=\"succeeded\"} 1\n"), "{metrics}");
    assert!(metrics.contains("wavetank_request_duration_seconds_bucket{le=\"+Inf\"} 1\n"), "{metrics}");
}

#[test]
fn ctl_speaks_to_a_gateway() {
    let serve = Serve::start("", &format!("{SCALES}[analyzer]\n"));
    let url = format!("http://{}", serve.control);
    let ctl = |args: &[&str]| {
        let all: Vec<&str> = ["ctl"].iter().chain(args).copied().chain(["--url", &url]).collect();
        let out = output(serve.folder.path(), &all);
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &stderr(&out))
    };
    assert_eq!(ctl(&["scale-up"]), (Some(0), "from 2 to 3 instances\n".into()));
    assert_eq!(ctl(&["instances", "9"]).0, Some(4));
    serve.until("four are ready", |serve| serve.count("ready") == 4);
    let (code, told) = ctl(&["status"]);
    assert!(
        code == Some(0) && told.starts_with("instances 4 (4 healthy, 4 wanted, 1 to 4)   breaker CLOSED"),
        "{told}"
    );
    let value: Value = serde_json::from_str(&ctl(&["status", "--json"]).1).unwrap();
    assert_eq!(value["instances"], 4);
    for verb in ["traffic", "predict", "analyze", "spikes", "baseline", "metrics", "health", "test"] {
        let (code, told) = ctl(&[verb]);
        assert!(code == Some(0) && !told.is_empty(), "{verb}: {told}");
    }
    let (_, told) = ctl(&["logs"]);
    assert!(told.contains("scaled up: 3 ordered by hand"), "{told}");
    assert_eq!(ctl(&["rules", "enable", "none"]).0, Some(4));
    let (code, told) = ctl(&["rules", "add", "{\"name\": \"x\"}"]);
    assert!(code == Some(4) && told.contains("metric"), "{told}");
    let nobody = output(serve.folder.path(), &["ctl", "status", "--url", "http://127.0.0.1:1"]);
    assert!(
        nobody.status.code() == Some(4) && stderr(&nobody).contains("is the gateway running?"),
        "{}",
        stderr(&nobody)
    );
}

#[test]
fn what_cannot_be_served_is_told() {
    let tell = |text: &str| {
        let folder = folder(&[("serve.toml", text.as_bytes())]);
        let out = output(folder.path(), &["serve", "serve.toml"]);
        (out.status.code(), stderr(&out))
    };
    let (code, told) = tell(
        "[fleet]\ninitial = 1\n[scenario]\nduration = \"1m\"\n[traffic]\nshape = [{ kind = \"constant\", rate = 1 }]\n[service]\ntime = \"1ms\"",
    );
    assert!(code == Some(2) && told.contains("[live]"), "{told}");
    let (code, told) = tell("[live]\ncontrol = \"0.0.0.0:0\"");
    assert!(code == Some(2) && told.contains("live.token"), "{told}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, told) = tell(&format!("[live]\nlisten = \"{}\"", taken.local_addr().unwrap()));
    assert!(code == Some(2) && told.contains("cannot listen at"), "{told}");
    let (code, told) = tell("[live]\nlisten = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\ncommand = \"false\"");
    assert!(code == Some(4) && told.contains("ended before it answered"), "{told}");
}

#[test]
fn a_click_on_scale_up_makes_a_process_appear_and_the_page_show_it() {
    let serve = Serve::start("", SCALES);
    let Some(mut page) = Page::at(&format!("http://{}/", serve.control)) else { return };
    let until = |page: &mut Page, expression: &str| {
        for _ in 0..400 {
            if page.value(expression) == json!(true) {
                return;
            }
            page.value("new Promise((done) => setTimeout(done, 50))");
        }
        panic!("{expression} never held: {}", page.value("document.body.innerText"));
    };
    until(&mut page, "document.getElementById('state').textContent === 'live'");
    until(&mut page, "document.querySelectorAll('#fleet td.ready').length === 2");
    page.value("document.getElementById('up').click()");
    until(&mut page, "document.querySelectorAll('#fleet td.ready').length === 3");
    assert_eq!(serve.pids().len(), 3, "there is a process behind it");
    until(
        &mut page,
        "[...document.querySelectorAll('#log td')].some((td) => td.textContent.startsWith('scaled up'))",
    );
    // By keyboard.
    page.press("d");
    until(&mut page, "document.querySelectorAll('#fleet td.ready').length === 2");
    // Charts move, on a phone nothing sticks out, and nobody but the gateway was asked for anything.
    until(&mut page, "document.querySelector('#c-fleet path.k2').getTotalLength() > 0");
    page.ask(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": 320, "height": 700, "deviceScaleFactor": 1, "mobile": true }),
    );
    assert_eq!(page.value("document.documentElement.scrollWidth"), 320);
    let foreign = page.value(
        "performance.getEntriesByType('resource').map((r) => r.name).filter((name) => !name.startsWith(location.origin) && !name.startsWith('data:'))",
    );
    assert_eq!(foreign, json!([]));
}

#[test]
fn a_program_of_the_user_s_starts_and_stops_instances() {
    let program = std::env::current_exe().unwrap();
    // Ports that are free now, one a line: the script takes the one of the instance's number.
    let taken: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: String = taken.iter().map(|each| format!("{}\n", each.local_addr().unwrap().port())).collect();
    drop(taken);
    let script = format!(
        r#"#!/bin/sh
cd "$(dirname "$0")"
echo "$1 $2" >> calls
case $1 in
launch)
    port=$(sed -n "$(($2 + 1))p" ports)
    WAVETANK_TEST_PORT=$port {} --exact serving::an_instance_serves --nocapture >/dev/null 2>&1 &
    echo $! > "$2.pid"
    echo "127.0.0.1:$port" ;;
terminate) kill "$(cat "$2.pid")" 2>/dev/null || true ;;
observe) kill -0 "$(cat "$2.pid")" 2>/dev/null || exit 3
    echo '{{"cpuSeconds": 1.5, "memoryBytes": 1000000}}' ;;
esac
"#,
        program.display()
    );
    let files = [("fleet.sh", script.as_bytes()), ("ports", ports.as_bytes())];
    let scripts = folder(&files);
    let path = scripts.path().join("fleet.sh");
    let mode = Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    assert!(mode.success());
    let text = config("provider = \"command\"", SCALES);
    let command = text.lines().find(|line| line.starts_with("command")).unwrap().to_string();
    let text = text.replace(&command, &format!("command = {path:?}"));
    let mut serve = Serve::start_with(&text);
    assert_eq!(serve.pids().len(), 2);
    serve.order(json!({ "action": "scale_up" }));
    serve.until("the third", |serve| serve.count("ready") == 3);
    assert_eq!(serve.pids().len(), 3);
    serve.order(json!({ "action": "set", "instances": 1 }));
    serve.until("one is left", |serve| serve.status()["fleet"].as_array().unwrap().len() == 1);
    let pids = serve.pids();
    assert_eq!(pids.len(), 1);
    serve.signal("TERM");
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
    let calls = fs::read_to_string(scripts.path().join("calls")).unwrap();
    for call in ["launch 0", "launch 1", "launch 2", "terminate 0", "terminate 1", "terminate 2"] {
        assert!(calls.lines().any(|line| line == call), "{call}: {calls}");
    }
}
