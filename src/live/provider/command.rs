//! A program of the user's as provider.
//!
//! It is called with a verb and an instance's number, and does one thing:
//!
//! ```text
//! PROGRAM list            prints a line for each instance that is there or is being started: its number and its address
//! PROGRAM launch ID       starts the instance; the first line that it prints is the address, HOST:PORT or PORT
//! PROGRAM drain ID        tells the instance that it gets nothing new
//! PROGRAM terminate ID    stops the instance
//! PROGRAM observe ID      prints JSON: {"cpuSeconds": 12.5, "memoryBytes": 104857600}, either may be missing; exit code 3: it is gone
//! ```
//!
//! Exit code 0 is success; anything else is a failure, told with the last line of standard error. Every call may come again for the same
//! instance, and is then to do nothing. One that takes longer than its time is killed and has failed.
//!
//! Instances may outlive the gateway, and the next one asks for the `list` before it launches any ([`super::super::fleet::adoption`]). So
//! that it finds its own and nobody else's, `WAVETANK_FLEET` tells every call the scenario's name, which the program keeps with each instance
//! as a tag, a label or a folder. Numbers of new instances are above all that were listed. A program whose instances end with the
//! gateway lists nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::Command;

use super::{Doing, Error, Orphan, Provider, Usage};
use crate::engine::request::InstanceId;
use crate::live::clock::duration;
use crate::units::Span;

/// How often the program is asked whether an instance is still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long calls other than `launch` and `terminate` may take.
const CALL: Duration = Duration::from_secs(10);
/// The exit code of `observe` for an instance that is gone.
const GONE: i32 = 3;
/// What tells the program which fleet it is asked about.
const FLEET: &str = "WAVETANK_FLEET";

/// Calls the user's program.
#[derive(Debug)]
pub struct Calls {
    program: PathBuf,
    /// The tag of its instances.
    fleet: String,
    launch_timeout: Span,
    stop_timeout: Span,
    numbers: Mutex<Numbers>,
}

/// What the program calls instances: ids begin at 0 with every gateway, numbers go on.
#[derive(Debug, Default)]
struct Numbers {
    /// Of those that were adopted, by id.
    adopted: Vec<u32>,
    /// Above all that were listed.
    free: u64,
}

impl Numbers {
    fn of(&self, id: InstanceId) -> u64 {
        let adopted = self.adopted.get(id.0 as usize).map(|number| u64::from(*number));
        adopted.unwrap_or_else(|| self.free + u64::from(id.0) - self.adopted.len() as u64)
    }
}

impl Calls {
    /// Calls `program` about the instances of `fleet`; its `launch` and `terminate` may take so long.
    pub fn new(program: PathBuf, fleet: String, launch_timeout: Span, stop_timeout: Span) -> Calls {
        Calls { program, fleet, launch_timeout, stop_timeout, numbers: Mutex::default() }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call about an instance.
    fn about(&self, verb: &str, id: InstanceId) -> Vec<String> {
        vec![verb.to_string(), self.numbers().of(id).to_string()]
    }

    async fn output(&self, words: &[String], within: Duration) -> Result<Output, Error> {
        let mut command = Command::new(&self.program);
        command.args(words).env(FLEET, &self.fleet).stdin(Stdio::null()).kill_on_drop(true);
        match tokio::time::timeout(within, command.output()).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(source)) => Err(Error::Spawn { program: self.shown(words), source }),
            Err(_) => Err(self.failed(words, format!("it took longer than {} s", within.as_secs_f64()))),
        }
    }

    async fn call(&self, words: &[String], within: Duration) -> Result<String, Error> {
        let output = self.output(words, within).await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("and said nothing");
        Err(self.failed(words, format!("{}: {last}", output.status)))
    }

    fn shown(&self, words: &[String]) -> String {
        format!("{} {}", self.program.display(), words.join(" "))
    }

    fn failed(&self, words: &[String], problem: String) -> Error {
        Error::Call { call: self.shown(words), problem }
    }

    async fn start(&self, id: InstanceId) -> Result<SocketAddr, Error> {
        let words = self.about("launch", id);
        let said = self.call(&words, duration(self.launch_timeout)).await?;
        let line = said.lines().next().unwrap_or_default().trim();
        let expected = || format!("its first line is {line:?}, expected an address such as \"127.0.0.1:3000\"");
        resolved(line).await.ok_or_else(|| self.failed(&words, expected()))
    }

    async fn list(&self) -> Result<Vec<Orphan>, Error> {
        let words = ["list".to_string()];
        let said = self.call(&words, CALL).await?;
        let mut orphans = Vec::new();
        for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let orphan = orphan(line).await.ok_or_else(|| {
                let expected = "expected a number and an address such as \"2 127.0.0.1:3000\"";
                self.failed(&words, format!("one of its lines is {line:?}, {expected}"))
            })?;
            orphans.push(orphan);
        }
        let last = orphans.iter().map(|orphan| u64::from(orphan.number)).max();
        self.numbers().free = last.map_or(0, |last| last + 1);
        Ok(orphans)
    }

    async fn look(&self, id: InstanceId) -> Result<Usage, Error> {
        let said = self.call(&self.about("observe", id), CALL).await?;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        Ok(Usage { cpu_seconds: said["cpuSeconds"].as_f64(), memory_bytes: said["memoryBytes"].as_f64() })
    }

    /// Beside the time for the instance there is some for the program itself.
    fn terminate_within(&self) -> Duration {
        duration(self.stop_timeout) + CALL
    }
}

/// `HOST:PORT`, or a port of this machine.
async fn resolved(text: &str) -> Option<SocketAddr> {
    let is_port = text.bytes().all(|b| b.is_ascii_digit());
    let address = if is_port { format!("127.0.0.1:{text}") } else { text.to_string() };
    tokio::net::lookup_host(&address).await.ok()?.next()
}

/// A line of `list`.
async fn orphan(line: &str) -> Option<Orphan> {
    let (number, address) = line.split_once(char::is_whitespace)?;
    Some(Orphan { number: number.parse().ok()?, address: resolved(address.trim()).await? })
}

impl Provider for Calls {
    fn launch(&self, id: InstanceId) -> Doing<'_, Result<SocketAddr, Error>> {
        Box::pin(self.start(id))
    }

    fn ended(&self, id: InstanceId) -> Doing<'_, ()> {
        Box::pin(async move {
            let words = self.about("observe", id);
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let gone = self.output(&words, CALL).await.is_ok_and(|seen| seen.status.code() == Some(GONE));
                if gone {
                    return;
                }
            }
        })
    }

    fn drain(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        Box::pin(async move { self.call(&self.about("drain", id), CALL).await.map(drop) })
    }

    fn terminate(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        Box::pin(async move { self.call(&self.about("terminate", id), self.terminate_within()).await.map(drop) })
    }

    fn observe(&self, id: InstanceId) -> Doing<'_, Result<Usage, Error>> {
        Box::pin(self.look(id))
    }

    fn orphans(&self) -> Doing<'_, Result<Vec<Orphan>, Error>> {
        Box::pin(self.list())
    }

    fn adopt(&self, id: InstanceId, orphan: Orphan) {
        let adopted = &mut self.numbers().adopted;
        debug_assert_eq!(id.0 as usize, adopted.len(), "ids come one after the other");
        adopted.push(orphan.number);
    }

    fn dismiss(&self, orphan: Orphan) -> Doing<'_, Result<(), Error>> {
        let words = ["terminate".to_string(), orphan.number.to_string()];
        Box::pin(async move { self.call(&words, self.terminate_within()).await.map(drop) })
    }
}
