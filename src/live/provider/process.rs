//! Processes on this machine: any command that listens on the port it is told.
//!
//! ```text
//! launch      a free port; the command with {port} and {id} filled in, in a process group of its own
//! ended       the process is reaped
//! drain       SIGTERM
//! terminate   SIGTERM, and SIGKILL to the whole group when its time is up
//! crash       SIGKILL
//! observe     /proc/PID
//! ```
//!
//! No process outlives the gateway, however that ends: its standard input is a pipe that only the gateway holds open, and on Linux it
//! asks the kernel to be killed when the thread that started it dies ([`become_instance`], run between fork and the command).

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal};
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;

use super::{Doing, Error, Provider, Usage};
use crate::engine::request::InstanceId;
use crate::live::clock::duration;
use crate::units::Span;

/// A process that was started.
#[derive(Debug)]
struct Process {
    pid: Pid,
    /// True once it has ended and was reaped.
    ended: watch::Receiver<bool>,
    /// Open as long as the gateway lives.
    _leash: Option<ChildStdin>,
}

/// Starts processes.
#[derive(Debug)]
pub struct Processes {
    /// The words of the command, with their placeholders.
    words: Vec<String>,
    /// This program, which runs the command as a process that does not outlive it.
    program: PathBuf,
    stop_timeout: Span,
    running: Mutex<BTreeMap<InstanceId, Process>>,
}

impl Processes {
    /// Starts `command`, its words divided as a shell divides them; `program` is where wavetank itself is.
    pub fn new(command: &str, program: PathBuf, stop_timeout: Span) -> Result<Processes, Error> {
        Processes::of_words(words(command)?, program, stop_timeout)
    }

    /// Starts a command whose words are known.
    pub fn of_words(words: Vec<String>, program: PathBuf, stop_timeout: Span) -> Result<Processes, Error> {
        if words.is_empty() {
            return Err(Error::NoCommand);
        }
        Ok(Processes { words, program, stop_timeout, running: Mutex::default() })
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, id: InstanceId) -> Result<SocketAddr, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Port)?;
        let address = listener.local_addr().map_err(Error::Port)?;
        drop(listener);
        let fill =
            |word: &String| word.replace("{port}", &address.port().to_string()).replace("{id}", &id.0.to_string());
        let mut command = Command::new(&self.program);
        command
            .arg("become-instance")
            .arg("--parent")
            .arg(std::process::id().to_string())
            .arg("--")
            .args(self.words.iter().map(fill))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let spawn = |source| Error::Spawn { program: self.words[0].clone(), source };
        let mut child = command.spawn().map_err(spawn)?;
        let pid = child.id().and_then(|pid| Pid::from_raw(pid as i32));
        let pid = pid.ok_or_else(|| spawn(io::Error::other("it has no process id")))?;
        let leash = child.stdin.take();
        let (tell, ended) = watch::channel(false);
        tokio::spawn(async move {
            // What it ended with does not matter: it is gone.
            let _ = child.wait().await;
            let _ = tell.send(true);
        });
        self.running().insert(id, Process { pid, ended, _leash: leash });
        Ok(address)
    }

    fn find(&self, id: InstanceId) -> Option<(Pid, watch::Receiver<bool>)> {
        self.running().get(&id).map(|process| (process.pid, process.ended.clone()))
    }

    /// Signals the whole group; one that is gone need not be told.
    fn signal(&self, id: InstanceId, signal: Signal) -> Result<(), Error> {
        let Some((pid, _)) = self.find(id) else { return Ok(()) };
        match rustix::process::kill_process_group(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(Error::Signal { id, source: error.into() }),
        }
    }

    async fn stop(&self, id: InstanceId) -> Result<(), Error> {
        let Some((_, mut ended)) = self.find(id) else { return Ok(()) };
        if !*ended.borrow() {
            self.signal(id, Signal::TERM)?;
        }
        let in_time = tokio::time::timeout(duration(self.stop_timeout), over(&mut ended)).await;
        // Whatever it has started goes with it, and so does what did not listen.
        self.signal(id, Signal::KILL)?;
        if in_time.is_err() {
            over(&mut ended).await;
        }
        self.running().remove(&id);
        Ok(())
    }
}

/// Waits for the end of a process.
async fn over(ended: &mut watch::Receiver<bool>) {
    // A sender that is gone has no more to tell.
    let _ = ended.wait_for(|ended| *ended).await;
}

impl Provider for Processes {
    fn launch(&self, id: InstanceId) -> Doing<'_, Result<SocketAddr, Error>> {
        Box::pin(async move { self.start(id) })
    }

    fn ended(&self, id: InstanceId) -> Doing<'_, ()> {
        Box::pin(async move {
            if let Some((_, mut ended)) = self.find(id) {
                over(&mut ended).await;
            }
        })
    }

    fn drain(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        Box::pin(async move { self.signal(id, Signal::TERM) })
    }

    fn terminate(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        Box::pin(self.stop(id))
    }

    fn crash(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        Box::pin(std::future::ready(self.signal(id, Signal::KILL)))
    }

    fn observe(&self, id: InstanceId) -> Doing<'_, Result<Usage, Error>> {
        let usage = self.find(id).map(|(pid, _)| usage(pid)).ok_or(Error::Unknown(id));
        Box::pin(std::future::ready(usage))
    }
}

/// What the system says of this very process.
pub fn own_usage() -> Usage {
    usage(rustix::process::getpid())
}

/// What the system says of a process; nothing where there is no /proc.
fn usage(pid: Pid) -> Usage {
    let pid = pid.as_raw_nonzero();
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let stat = read("stat");
    // The name in parentheses may contain anything; fields are counted from behind it.
    let fields = stat.as_deref().and_then(|stat| stat.rsplit_once(')')).map(|(_, rest)| rest);
    let ticks = fields.and_then(|rest| {
        let mut fields = rest.split_ascii_whitespace().skip(11);
        let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
        Some(user + system)
    });
    let pages = read("statm").and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<f64>().ok());
    Usage {
        cpu_seconds: ticks.map(|ticks| ticks / rustix::param::clock_ticks_per_second() as f64),
        memory_bytes: pages.map(|pages| pages * rustix::param::page_size() as f64),
    }
}

/// Becomes the command `words`, as a process that the kernel kills when `parent` is gone. Only returns if that fails.
pub fn become_instance(parent: u32, words: &[String]) -> Result<(), Error> {
    use std::os::unix::process::CommandExt;
    let Some((program, arguments)) = words.split_first() else { return Err(Error::NoCommand) };
    let spawn = |source| Error::Spawn { program: program.clone(), source };
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| spawn(e.into()))?;
        let is_there = rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().get() as u32 == parent);
        if !is_there {
            return Err(spawn(io::Error::other("whoever wanted it is gone")));
        }
    }
    Err(spawn(std::process::Command::new(program).args(arguments).exec()))
}

/// Divides a command into words: blanks divide, quotes and backslashes keep together.
fn words(command: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(letter),
            (_, '\\') => word.get_or_insert_default().push(letters.next().unwrap_or('\\')),
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Error::Quotes(command.to_string()));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_divided_as_a_shell_divides_it() {
        let of = |text| words(text).unwrap();
        assert_eq!(of("node  server.js --port {port}"), ["node", "server.js", "--port", "{port}"]);
        assert_eq!(of(r#"sh -c "exec x '{id}'" a\ b '' "#), ["sh", "-c", "exec x '{id}'", "a b", ""]);
        assert!(matches!(words("echo 'a"), Err(Error::Quotes(_))));
        assert!(matches!(Processes::new(" ", "x".into(), Span::ZERO), Err(Error::NoCommand)));
    }
}
