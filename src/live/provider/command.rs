//! A program of the user's as provider.
//!
//! It is called with a verb and an instance's number, and does one thing:
//!
//! ```text
//! PROGRAM launch ID       starts the instance; the first line that it prints is the address, HOST:PORT or PORT
//! PROGRAM drain ID        tells the instance that it gets nothing new
//! PROGRAM terminate ID    stops the instance
//! PROGRAM observe ID      prints JSON: {"cpuSeconds": 12.5, "memoryBytes": 104857600}, either may be missing; exit code 3: it is gone
//! ```
//!
//! Exit code 0 is success; anything else is a failure, told with the last line of standard error. Every call may come again for the same
//! instance, and is then to do nothing. One that takes longer than its time is killed and has failed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::{Doing, Error, Provider, Usage};
use crate::engine::request::InstanceId;
use crate::live::clock::duration;
use crate::units::Span;

/// How often the program is asked whether an instance is still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long calls other than `launch` and `terminate` may take.
const CALL: Duration = Duration::from_secs(10);
/// The exit code of `observe` for an instance that is gone.
const GONE: i32 = 3;

/// Calls the user's program.
#[derive(Debug)]
pub struct Calls {
    program: PathBuf,
    launch_timeout: Span,
    stop_timeout: Span,
}

impl Calls {
    /// Calls `program`, whose `launch` and `terminate` may take so long.
    pub fn new(program: PathBuf, launch_timeout: Span, stop_timeout: Span) -> Calls {
        Calls { program, launch_timeout, stop_timeout }
    }

    async fn output(&self, verb: &str, id: InstanceId, within: Duration) -> Result<Output, Error> {
        let call = format!("{} {verb} {}", self.program.display(), id.0);
        let mut command = Command::new(&self.program);
        command.arg(verb).arg(id.0.to_string()).stdin(Stdio::null()).kill_on_drop(true);
        match tokio::time::timeout(within, command.output()).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(source)) => Err(Error::Spawn { program: call, source }),
            Err(_) => Err(Error::Call { call, problem: format!("it took longer than {} s", within.as_secs_f64()) }),
        }
    }

    async fn call(&self, verb: &str, id: InstanceId, within: Duration) -> Result<String, Error> {
        let output = self.output(verb, id, within).await?;
        let call = format!("{} {verb} {}", self.program.display(), id.0);
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("and said nothing").to_string();
        Err(Error::Call { call, problem: format!("{}: {last}", output.status) })
    }

    async fn start(&self, id: InstanceId) -> Result<SocketAddr, Error> {
        let said = self.call("launch", id, duration(self.launch_timeout)).await?;
        let line = said.lines().next().unwrap_or_default().trim();
        let address =
            if line.bytes().all(|b| b.is_ascii_digit()) { format!("127.0.0.1:{line}") } else { line.into() };
        let found = tokio::net::lookup_host(&address).await.ok().and_then(|mut found| found.next());
        found.ok_or_else(|| Error::Call {
            call: format!("{} launch {}", self.program.display(), id.0),
            problem: format!("its first line is {line:?}, expected an address such as \"127.0.0.1:3000\""),
        })
    }

    async fn look(&self, id: InstanceId) -> Result<Usage, Error> {
        let said = self.call("observe", id, CALL).await?;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        Ok(Usage { cpu_seconds: said["cpuSeconds"].as_f64(), memory_bytes: said["memoryBytes"].as_f64() })
    }
}

impl Provider for Calls {
    fn launch(&self, id: InstanceId) -> Doing<'_, Result<SocketAddr, Error>> {
        Box::pin(self.start(id))
    }

    fn ended(&self, id: InstanceId) -> Doing<'_, ()> {
        Box::pin(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let gone = self.output("observe", id, CALL).await.is_ok_and(|seen| seen.status.code() == Some(GONE));
                if gone {
                    return;
                }
            }
        })
    }

    fn drain(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        Box::pin(async move { self.call("drain", id, CALL).await.map(drop) })
    }

    fn terminate(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        // Beside the time for the instance there is some for the program itself.
        let within = duration(self.stop_timeout) + CALL;
        Box::pin(async move { self.call("terminate", id, within).await.map(drop) })
    }

    fn observe(&self, id: InstanceId) -> Doing<'_, Result<Usage, Error>> {
        Box::pin(self.look(id))
    }
}
