//! A Redis server of this test's own, on a free port, that keeps nothing on disk.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The server.
pub struct Server {
    pub port: u16,
    child: Option<Child>,
    folder: TempDir,
}

impl Server {
    /// One that takes questions; `None`, and a word about it, where there is no program.
    pub fn start() -> Option<Server> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: there is no redis-server (apt-get install redis-server)");
            return None;
        }
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut server = Server { port, child: None, folder: tempfile::tempdir().unwrap() };
        server.begin();
        Some(server)
    }

    /// Starts it, again if it was killed, and waits until it takes questions.
    pub fn begin(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(self.folder.path()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("Ready to accept connections")), "it never took questions");
        // What it says later is nobody's business, but has to go somewhere.
        std::thread::spawn(move || lines.count());
        self.child = Some(child);
    }

    /// Kills it, and all that it knew.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends it a signal: `STOP` makes it the slowest of servers, `CONT` ends that.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    pub fn connect(&self) -> Asker {
        Asker(BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Somebody who asks the server without a library.
pub struct Asker(BufReader<TcpStream>);

impl Asker {
    /// Whole numbers of the answer; anything else in it as [`i64::MIN`].
    pub fn ask(&mut self, words: &[&str]) -> Vec<i64> {
        let mut text = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| text += &format!("${}\r\n{word}\r\n", word.len()));
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
        let first = self.line();
        match first.strip_prefix('*') {
            Some(count) => (0..count.parse::<usize>().unwrap()).map(|_| self.value()).collect(),
            None => vec![self.number(&first)],
        }
    }

    fn value(&mut self) -> i64 {
        let line = self.line();
        self.number(&line)
    }

    fn number(&mut self, line: &str) -> i64 {
        assert!(!line.starts_with('-'), "{line}");
        if let Some(length) = line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) {
            self.0.read_exact(&mut vec![0; length + 2]).unwrap();
        }
        line.strip_prefix(':').map_or(i64::MIN, |number| number.parse().unwrap())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }
}
