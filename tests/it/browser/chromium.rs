//! Chromium without a window, spoken to over a pipe: JSON, a zero byte after each message (Chrome DevTools Protocol). No crate, no
//! port, no waiting by the clock: each question has an answer.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// What no answer takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page.
pub struct Page {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    asked: u64,
    /// Events since the page was opened.
    events: Vec<Value>,
    _profile: TempDir,
}

/// The browser's name, if there is one: `WAVETANK_CHROMIUM`, or what distributions call it.
fn name() -> Option<String> {
    let named = std::env::var("WAVETANK_CHROMIUM").ok().filter(|name| !name.is_empty());
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].map(str::to_string);
    named.into_iter().chain(names).find(|name| {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    })
}

impl Page {
    /// Opens a file; `None`, with a line that says so, where there is no browser.
    pub fn open(file: &Path) -> Option<Page> {
        Page::at(&format!("file://{}", file.display()))
    }

    /// Opens what is at a URL.
    pub fn at(url: &str) -> Option<Page> {
        let Some(name) = name() else {
            eprintln!("skipped: no chromium here; apt-get install chromium, or set WAVETANK_CHROMIUM to one");
            return None;
        };
        let profile = TempDir::new().expect("a temporary folder");
        // The browser reads from file descriptor 3 and writes to 4; a shell puts the pipes there.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null", "sh", &name]);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--window-size=1200,900",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh starts");
        let to = child.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, from) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while lines.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).expect("the browser speaks JSON");
                message.clear();
                if send.send(parsed).is_err() {
                    break;
                }
            }
        });
        let mut page = Page { child, to, from, session: None, asked: 0, events: Vec::new(), _profile: profile };
        let target = page.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = page.ask("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        page.session = attached["sessionId"].as_str().map(str::to_string);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.ask(&format!("{domain}.enable"), json!({}));
        }
        page.events.clear();
        page.visit(url);
        Some(page)
    }

    /// Opens another file, or the same again.
    pub fn go(&mut self, file: &Path) {
        self.visit(&format!("file://{}", file.display()));
    }

    fn visit(&mut self, url: &str) {
        let loads = self.count("Page.loadEventFired");
        self.ask("Page.navigate", json!({ "url": url }));
        while self.count("Page.loadEventFired") == loads {
            let event = self.next();
            self.events.push(event);
        }
    }

    fn count(&self, method: &str) -> usize {
        self.events.iter().filter(|event| event["method"] == method).count()
    }

    fn next(&mut self) -> Value {
        self.from.recv_timeout(PATIENCE).expect("the browser answers")
    }

    /// Asks the browser, and waits for its answer.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut question = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            question["sessionId"] = json!(session);
        }
        self.to.write_all(question.to_string().as_bytes()).expect("the browser listens");
        self.to.write_all(&[0]).expect("the browser listens");
        self.to.flush().expect("the browser listens");
        loop {
            let message = self.next();
            if message["id"] == self.asked {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Presses and releases a key.
    pub fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if key.chars().count() == 1 && kind == "keyDown" { key } else { "" };
            self.ask("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "text": text }));
        }
    }

    /// Does something with the mouse at a point of the window.
    pub fn mouse(&mut self, kind: &str, (x, y): (f64, f64), clicks: u32) {
        let held = u32::from(kind != "mouseReleased");
        let parameters =
            json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": held, "clickCount": clicks });
        self.ask("Input.dispatchMouseEvent", parameters);
    }

    /// What the page said on the console, what went wrong in it, dialogs, and requests for anything but `files`.
    pub fn complaints(&mut self, files: &[&Path]) -> Vec<String> {
        // Whatever is on its way is here before the answer to this.
        self.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))");
        let allowed: Vec<String> = files.iter().map(|file| format!("file://{}", file.display())).collect();
        let told = |event: &Value| match event["method"].as_str()? {
            "Runtime.consoleAPICalled"
            | "Runtime.exceptionThrown"
            | "Log.entryAdded"
            | "Page.javascriptDialogOpening" => Some(event.to_string()),
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
                (!allowed.iter().any(|file| file == url) && url != "data:,").then(|| format!("a request for {url}"))
            }
            _ => None,
        };
        self.events.iter().filter_map(told).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It is this test's own child; whether it is gone already does not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
