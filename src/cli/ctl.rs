//! `wavetank ctl`: talks to the control API of a running gateway.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use super::args::{CtlArgs, CtlVerb, RulesVerb};
use super::exit::{Exit, Failure, OrExit};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks, and shows the answer.
pub fn ctl(args: &CtlArgs) -> Result<Exit, Failure> {
    let api = Api::new(args).or_bad_input()?;
    if args.watch {
        loop {
            print("\x1b[2J\x1b[H");
            once(args, &api).or_run_failed()?;
            // A pause is what watching is; nobody waits for an event here.
            std::thread::park_timeout(Duration::from_secs(2));
        }
    }
    once(args, &api).or_run_failed()
}

fn print(text: &str) {
    // A closed pipe is the reader's choice, not a failure.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn once(args: &CtlArgs, api: &Api) -> anyhow::Result<Exit> {
    let scale =
        |action: &str, key: &str, n: u32| api.post("/api/scaling/actions", &json!({ "action": action, key: n }));
    let (value, show): (Value, fn(&Value) -> String) = match &args.verb {
        CtlVerb::Status => (api.get("/api/scaling/status")?, shown::status),
        CtlVerb::Metrics => {
            let text = api.text("/metrics")?;
            print(&text);
            return Ok(Exit::Done);
        }
        CtlVerb::Health => (api.get("/health")?, shown::fields),
        CtlVerb::Traffic => (api.get("/api/scaling/traffic")?, shown::traffic),
        CtlVerb::Spikes => (api.get("/api/scaling/traffic")?, shown::spikes),
        CtlVerb::Baseline => (api.get("/api/scaling/traffic")?["currentBaseline"].take(), shown::fields),
        CtlVerb::Predict => (api.get("/api/scaling/traffic")?["recentPredictions"].take(), shown::predictions),
        CtlVerb::Analyze => (api.get("/api/scaling/traffic")?, shown::analysis),
        CtlVerb::ScaleUp { count } => (scale("scale_up", "count", *count)?, shown::message),
        CtlVerb::ScaleDown { count } => (scale("scale_down", "count", *count)?, shown::message),
        CtlVerb::Instances { count } => (scale("set", "instances", *count)?, shown::message),
        CtlVerb::Rules { verb } => match verb {
            RulesVerb::List => (api.get("/api/scaling/rules")?, shown::rules),
            RulesVerb::Add { rule } => {
                let rule = serde_json::from_str(rule).context("the rule is no JSON")?;
                (api.post("/api/scaling/rules", &rule)?, shown::fields)
            }
            RulesVerb::Enable { name } => (api.post(&rule_path(name, "enable"), &json!({}))?, shown::fields),
            RulesVerb::Disable { name } => (api.post(&rule_path(name, "disable"), &json!({}))?, shown::fields),
        },
        CtlVerb::Logs { follow } => return api.logs(*follow, args.json).map(|()| Exit::Done),
        CtlVerb::Test => return test(api, args.json),
    };
    print(&if args.json { format!("{value:#}\n") } else { show(&value) });
    // An order that was not carried out as given is a failure to scripts.
    Ok(if value["success"] == Value::Bool(false) { Exit::RunFailed } else { Exit::Done })
}

fn rule_path(name: &str, verb: &str) -> String {
    let coded: String = name
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    format!("/api/scaling/rules/{coded}/{verb}")
}

/// Asks for everything once, and says what answers.
fn test(api: &Api, json: bool) -> anyhow::Result<Exit> {
    let paths = ["/health", "/metrics", "/api/scaling/status", "/api/scaling/traffic", "/api/scaling/rules"];
    let results: Vec<(&str, anyhow::Result<u16>)> =
        paths.iter().map(|path| (*path, api.ask("GET", path, None).map(|answer| answer.status))).collect();
    let fine = results.iter().all(|(_, result)| matches!(result, Ok(200)));
    let told = |result: &anyhow::Result<u16>| match result {
        Ok(status) => status.to_string(),
        Err(error) => format!("{error:#}"),
    };
    if json {
        let object: serde_json::Map<_, _> =
            results.iter().map(|(path, result)| (path.to_string(), Value::from(told(result)))).collect();
        print(&format!("{:#}\n", Value::Object(object)));
    } else {
        results.iter().for_each(|(path, result)| print(&format!("{path:<24} {}\n", told(result))));
    }
    Ok(if fine { Exit::Done } else { Exit::RunFailed })
}

/// The control API, over one plain connection a question.
struct Api {
    host: String,
    token: Option<String>,
}

struct Answer {
    status: u16,
    body: String,
}

impl Api {
    fn new(args: &CtlArgs) -> anyhow::Result<Api> {
        let url = args.url.trim_end_matches('/');
        let host = url.strip_prefix("http://").unwrap_or(url);
        if host.contains("://") || host.contains('/') || host.is_empty() {
            bail!("--url: found {:?}, expected something like http://127.0.0.1:9090", args.url);
        }
        let host = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            host.to_string()
        } else {
            format!("{host}:80")
        };
        Ok(Api { host, token: args.token.clone().filter(|token| !token.is_empty()) })
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        Self::json(&self.ask("GET", path, None)?, path)
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        Self::json(&self.ask("POST", path, Some(&body.to_string()))?, path)
    }

    fn text(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.ask("GET", path, None)?;
        if answer.status == 200 { Ok(answer.body) } else { Err(refused(&answer, path)) }
    }

    fn json(answer: &Answer, path: &str) -> anyhow::Result<Value> {
        // An unhealthy gateway says so with a 503 and the same JSON.
        if !(200..300).contains(&answer.status) && path != "/health" {
            return Err(refused(answer, path));
        }
        serde_json::from_str(&answer.body).with_context(|| format!("{path} did not answer with JSON"))
    }

    fn send(&self, method: &str, path: &str, body: Option<&str>) -> anyhow::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.host)
            .with_context(|| format!("cannot connect to http://{}: is the gateway running?", self.host))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let token = self.token.as_ref().map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let (kind, body) = match body {
            Some(body) => (format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()), body),
            None => (String::new(), ""),
        };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{token}{kind}\r\n", self.host);
        (&stream).write_all(format!("{head}{body}").as_bytes())?;
        Ok(BufReader::new(stream))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> anyhow::Result<Answer> {
        let mut reader = self.send(method, path, body)?;
        let (status, length) = head(&mut reader)?;
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(length, 0);
                reader.read_exact(&mut body)?;
            }
            None => {
                reader.read_to_end(&mut body)?;
            }
        }
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Shows what happened, and with `follow` what happens from now on.
    fn logs(&self, follow: bool, json: bool) -> anyhow::Result<()> {
        let mut reader = self.send("GET", "/api/scaling/events", None)?;
        let (status, _) = head(&mut reader)?;
        if status != 200 {
            bail!("the gateway answered {status}");
        }
        if follow {
            reader.get_ref().set_read_timeout(None)?;
        }
        let (mut kind, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(said) = line.strip_prefix("event: ") {
                kind = said.trim().to_string();
                // A second comes when everything that is remembered was told.
                if kind == "second" && !follow {
                    return Ok(());
                }
            } else if let Some(data) = line.strip_prefix("data: ")
                && (kind == "event" || kind == "remark")
            {
                let value: Value = serde_json::from_str(data)?;
                print(&if json { format!("{value}\n") } else { shown::event(&value) });
            }
        }
    }
}

/// The head of an answer: its status and the length of its body, where it says that.
fn head(reader: &mut BufReader<TcpStream>) -> anyhow::Result<(u16, Option<usize>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| anyhow!("that is no HTTP server"))?;
    let mut length = None;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            return Ok((status, length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}

fn refused(answer: &Answer, path: &str) -> anyhow::Error {
    let said: Option<Value> = serde_json::from_str(&answer.body).ok();
    let said = said.and_then(|said| said["error"].as_str().map(String::from)).unwrap_or_else(|| answer.body.clone());
    anyhow!("{path}: {} ({})", said.trim(), answer.status)
}

mod shown {
    //! Answers as tables for people.

    use serde_json::Value;

    /// Text as it is, numbers as they are, nothing as a dash.
    fn text(value: &Value) -> String {
        match value {
            Value::Null => "–".to_string(),
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
            Value::Number(n) => n.as_f64().map_or_else(
                || n.to_string(),
                |x| {
                    if x.fract() == 0.0 { format!("{x:.0}") } else { format!("{x:.2}") }
                },
            ),
            other => other.to_string(),
        }
    }

    /// Columns as wide as they need to be.
    fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([heads[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            padded.join("  ").trim_end().to_string() + "\n"
        };
        let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
        rows.iter().fold(line(&heads), |all, row| all + &line(row))
    }

    fn rows(list: &Value, keys: &[&str]) -> Vec<Vec<String>> {
        let row = |each: &Value| keys.iter().map(|key| text(&each[*key])).collect();
        list.as_array().map_or(Vec::new(), |list| list.iter().map(row).collect())
    }

    fn list(heading: &str, said: &Value) -> String {
        let said = said.as_array().map_or(&[][..], Vec::as_slice);
        said.iter().fold(format!("\n{heading}\n"), |all, each| all + "  " + &text(each) + "\n")
    }

    /// Every field on a line.
    pub fn fields(value: &Value) -> String {
        let Some(entries) = value.as_object() else { return text(value) + "\n" };
        let width = entries.keys().map(String::len).max().unwrap_or(0);
        entries.iter().fold(String::new(), |all, (key, value)| all + &format!("{key:<width$}  {}\n", text(value)))
    }

    pub fn message(value: &Value) -> String {
        text(&value["message"]) + "\n"
    }

    pub fn status(value: &Value) -> String {
        let mut out = format!(
            "instances {} ({} healthy, {} wanted, {} to {})   breaker {}   autoscaler {}\n\n",
            text(&value["instances"]),
            text(&value["healthyInstances"]),
            text(&value["desiredInstances"]),
            text(&value["minInstances"]),
            text(&value["maxInstances"]),
            text(&value["circuitBreakerState"]),
            if value["enabled"] == Value::Bool(true) { "on" } else { "off" },
        );
        out += &fields(&value["currentMetrics"]);
        let keys = ["id", "state", "address", "activeRequests", "requests", "failures"];
        let heads = ["ID", "STATE", "ADDRESS", "ACTIVE", "REQUESTS", "FAILURES"];
        out += "\n";
        out += &table(&heads, &rows(&value["fleet"], &keys));
        let actions = rows(&value["recentActions"], &["timestamp", "action", "rule", "reason"]);
        if !actions.is_empty() {
            out += "\n";
            out += &table(&["WHEN", "ACTION", "RULE", "WHY"], &actions);
        }
        out + &list("Recommendations", &value["recommendations"])
    }

    pub fn rules(value: &Value) -> String {
        let keys = ["name", "metric", "operator", "threshold", "duration", "action", "step", "priority", "enabled"];
        let heads = ["NAME", "METRIC", "OP", "THRESHOLD", "FOR", "ACTION", "STEP", "PRIORITY", "ENABLED"];
        table(&heads, &rows(&value["rules"], &keys))
    }

    pub fn spikes(value: &Value) -> String {
        let keys = ["id", "startTime", "baselineRPS", "peakRPS", "magnitude", "source", "confidence"];
        let heads = ["ID", "SINCE", "BASELINE/S", "PEAK/S", "TIMES", "SOURCE", "CONFIDENCE"];
        let active = rows(&value["activeSpikes"], &keys);
        let recent = rows(&value["recentSpikes"], &keys);
        let part = |name: &str, rows: &[Vec<String>]| {
            if rows.is_empty() { format!("{name}: none\n") } else { format!("{name}\n{}", table(&heads, rows)) }
        };
        part("Active", &active) + &part("Over", &recent)
    }

    pub fn predictions(value: &Value) -> String {
        let keys = ["timestamp", "timeframe", "predictedRPS", "lowRPS", "highRPS", "confidence", "basis"];
        let found = rows(value, &keys);
        if found.is_empty() {
            return "nothing is predicted: too little was seen, or analyzer.prediction_window is not set\n"
                .to_string();
        }
        table(&["WHEN", "IN", "RPS", "LOW", "HIGH", "CONFIDENCE", "MODEL"], &found)
    }

    pub fn traffic(value: &Value) -> String {
        let baseline = &value["currentBaseline"];
        let head =
            format!("baseline {}/s (confidence {})\n\n", text(&baseline["rps"]), text(&baseline["confidence"]));
        head + &spikes(value)
    }

    pub fn analysis(value: &Value) -> String {
        let mut out = traffic(value) + "\nMean rate by hour since the gateway began\n";
        out += &fields(&value["patterns"]["hourly"]);
        out + &list("Recommendations", &value["recommendations"])
    }

    pub fn event(value: &Value) -> String {
        let what = if value["kind"].is_null() { &value["text"] } else { &value["kind"] };
        let cause = if value["cause"].is_null() { String::new() } else { format!(": {}", text(&value["cause"])) };
        format!("{} {}{cause}\n", text(&value["timestamp"]), text(what).replace('_', " "))
    }
}
