//! A gateway in this process, and clients that speak to it byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wavetank::live::system::{Settings, System};
use wavetank::scenario;

use super::teller::{self, Teller};

/// A gateway in this process, and what it stands on.
pub struct Gateway {
    pub address: SocketAddr,
    pub system: Option<System>,
    runtime: tokio::runtime::Runtime,
}

impl Gateway {
    /// A gateway in front of `tellers`, with these lines in its configuration: those before a section belong to `[live]`.
    pub fn before(tellers: &[&Teller], lines: &str) -> Gateway {
        let addresses: Vec<SocketAddr> = tellers.iter().map(|teller| teller.address).collect();
        Gateway::before_addresses(&addresses, lines)
    }

    /// The same in front of anything.
    pub fn before_addresses(upstreams: &[SocketAddr], lines: &str) -> Gateway {
        let upstreams: Vec<String> = upstreams.iter().map(SocketAddr::to_string).collect();
        let text = format!(
            "[live]\nlisten = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\nupstreams = {upstreams:?}\n{lines}\n"
        );
        let scenario = scenario::parse(&text, "gateway.toml", "".as_ref(), &[]).unwrap_or_else(|e| panic!("{e}"));
        let settings = Settings {
            live: scenario.live.clone().unwrap(),
            file: ("gateway.toml".into(), Vec::new()),
            seed: scenario.seed,
            program: env!("CARGO_BIN_EXE_wavetank").into(),
            record: None,
            scenario,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let system = runtime.block_on(System::start(settings, None)).unwrap();
        Gateway { address: system.listen(), system: Some(system), runtime }
    }

    /// Sends bytes on a new connection.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = self.connect();
        client.write(bytes.as_ref());
        client
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { stream, bytes: Vec::new() }
    }

    /// The answer to a GET on a new connection.
    pub fn get(&self, target: &str) -> Answer {
        self.send(get(target)).answer().expect("an answer")
    }

    /// A sound request on a new connection gets its own answer.
    pub fn canary(&self) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let target = format!("/canary/{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let answer = self.get(&target);
        assert_eq!((answer.status, answer.text()), (200, target));
    }

    /// Counts since the beginning: requests offered, and those that succeeded, failed and were none.
    pub fn totals(&self) -> wavetank::live::meter::Totals {
        self.system.as_ref().unwrap().driver().with(|_, core| core.meter.totals().clone())
    }

    /// Waits until nothing is under way, and checks that everything that was offered is accounted for.
    pub fn settles(&self) {
        let driver = self.system.as_ref().unwrap().driver();
        let settled = || {
            driver.with(|_, core| {
                let totals = core.meter.totals();
                core.engine.in_flight() == 0 && totals.offered == totals.succeeded + totals.failed.iter().sum::<u64>()
            })
        };
        for _ in 0..2000 {
            if settled() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("{:?}", self.totals());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(system) = self.system.take() {
            self.runtime.block_on(system.stop());
        }
    }
}

/// A GET without a body.
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A client's connection.
pub struct Client {
    pub stream: TcpStream,
    pub bytes: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether all of the body came.
    pub whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn field(&self, name: &str) -> Option<String> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(each, _)| each.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_string())
    }
}

impl Client {
    /// Writes; one that was cut off need not be told all.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Whether there is more to read.
    pub fn more(&mut self) -> bool {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(n) if n > 0 => {
                self.bytes.extend_from_slice(&part[..n]);
                true
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("nothing came, and it was not closed: {:?}", String::from_utf8_lossy(&self.bytes));
            }
            _ => false,
        }
    }

    /// The next answer; `None`: the connection was closed instead.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer_to(false)
    }

    /// The next answer, `to_head` without its body.
    pub fn answer_to(&mut self, to_head: bool) -> Option<Answer> {
        let end = loop {
            match teller::find(&self.bytes, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if self.more() => {}
                None => return None,
            }
        };
        let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        self.bytes.drain(..end);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new(), whole: true };
        if to_head || status == 204 || status == 304 || status < 200 {
            return Some(answer);
        }
        if let Some(length) = answer.field("content-length") {
            let length: usize = length.parse().unwrap();
            while self.bytes.len() < length && self.more() {}
            answer.whole = self.bytes.len() >= length;
            answer.body = self.bytes.drain(..length.min(self.bytes.len())).collect();
        } else if answer.field("transfer-encoding").is_some() {
            answer.whole = self.chunks(&mut answer.body);
        } else {
            while self.more() {}
            answer.body = std::mem::take(&mut self.bytes);
        }
        Some(answer)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let end = loop {
                match teller::find(&self.bytes, b"\r\n") {
                    Some(at) => break at,
                    None if self.more() => {}
                    None => return false,
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.bytes[..end]).unwrap(), 16).unwrap();
            while self.bytes.len() < end + 2 + size + 2 {
                if !self.more() {
                    return false;
                }
            }
            body.extend_from_slice(&self.bytes[end + 2..end + 2 + size]);
            self.bytes.drain(..end + 4 + size);
            if size == 0 {
                return true;
            }
        }
    }

    /// Waits for the end of the connection, and fails if more comes.
    pub fn is_closed(&mut self) -> bool {
        self.bytes.is_empty() && !self.more()
    }
}
