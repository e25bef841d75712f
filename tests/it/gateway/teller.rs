//! An instance that tells: it writes down every byte that reaches it, and answers each request with what only that request could have
//! asked for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it reached the instance.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its head, to the empty line.
    pub head: String,
    /// Its body; of one in chunks, their data.
    pub body: Vec<u8>,
    /// Whether all of it came.
    pub whole: bool,
}

impl Message {
    /// The value of a field; `None` if there is none, and a panic if there are two.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut found = self.fields(name);
        assert!(found.len() < 2, "{name} twice: {}", self.head);
        found.pop()
    }

    /// All values of a field.
    pub fn fields(&self, name: &str) -> Vec<String> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let found = fields.filter(|(each, _)| each.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_string()).collect()
    }

    /// Its target.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// What is answered.
pub enum Reply {
    /// These bytes, and the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes, and the connection is closed.
    Last(Vec<u8>),
    /// Nothing, ever.
    Silence,
}

/// What the instance does with a request.
pub type Script = dyn Fn(&Message) -> Option<Reply> + Send + Sync;

/// The instance.
pub struct Teller {
    /// Where it is.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Teller {
    /// One that answers every request with its target.
    pub fn start() -> Teller {
        Teller::with(|_| None)
    }

    /// One that answers as `script` says, and with the target where it says nothing.
    pub fn with(script: impl Fn(&Message) -> Option<Reply> + Send + Sync + 'static) -> Teller {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, all): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, all) = (Arc::clone(&script), Arc::clone(&all));
                std::thread::spawn(move || converse(stream.unwrap(), &*script, &all));
            }
        });
        Teller { address, seen }
    }

    /// What reached it, health checks aside.
    pub fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    /// What reached it for targets that begin so.
    pub fn seen_at(&self, target: &str) -> Vec<Message> {
        self.seen().into_iter().filter(|message| message.target().starts_with(target)).collect()
    }
}

fn converse(mut stream: TcpStream, script: &Script, seen: &Mutex<Vec<Message>>) {
    let mut bytes = Vec::new();
    loop {
        let Some(end) = until(&mut stream, &mut bytes, |bytes| find(bytes, b"\r\n\r\n").map(|at| at + 4)) else {
            if !bytes.is_empty() {
                let head = String::from_utf8_lossy(&bytes).into_owned();
                seen.lock().unwrap().push(Message { head, body: Vec::new(), whole: false });
            }
            return;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes.drain(..end);
        let mut message = Message { head, body: Vec::new(), whole: true };
        assert!(message.field("transfer-encoding").is_none() || message.field("content-length").is_none());
        if let Some(length) = message.field("content-length") {
            let length: usize = length.parse().unwrap();
            match until(&mut stream, &mut bytes, |bytes| (bytes.len() >= length).then_some(length)) {
                Some(length) => message.body = bytes.drain(..length).collect(),
                None => message.whole = false,
            }
        } else if message.field("transfer-encoding").is_some() {
            message.whole = chunks(&mut stream, &mut bytes, &mut message.body);
        }
        if message.target() != "/-/health" {
            seen.lock().unwrap().push(message.clone());
        }
        if !message.whole {
            return;
        }
        let reply = if message.target() == "/-/health" { None } else { script(&message) };
        let token = message.target().to_string();
        let body = if message.head.starts_with("HEAD") { "" } else { &token };
        let plain = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", token.len());
        match reply.unwrap_or(Reply::Bytes(plain.into_bytes())) {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::Last(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Reply::Silence => {
                let _ = stream.read(&mut [0; 1]);
                return;
            }
        }
    }
}

/// Reads until `enough` says how many bytes there are of what is looked for; `None`: it does not come.
fn until(stream: &mut TcpStream, bytes: &mut Vec<u8>, enough: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let mut part = [0; 4096];
    loop {
        if let Some(n) = enough(bytes) {
            return Some(n);
        }
        match stream.read(&mut part) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&part[..n]),
            _ => return None,
        }
    }
}

/// Reads chunks by the strictest grammar; false if they break off.
fn chunks(stream: &mut TcpStream, bytes: &mut Vec<u8>, body: &mut Vec<u8>) -> bool {
    loop {
        let Some(end) = until(stream, bytes, |bytes| find(bytes, b"\r\n").map(|at| at + 2)) else { return false };
        let size = String::from_utf8(bytes.drain(..end).collect()).unwrap();
        let size = usize::from_str_radix(size.trim_end_matches("\r\n"), 16).unwrap();
        let Some(_) = until(stream, bytes, |bytes| (bytes.len() >= size + 2).then_some(0)) else { return false };
        body.extend(bytes.drain(..size));
        let end: Vec<u8> = bytes.drain(..2).collect();
        assert_eq!(end, b"\r\n");
        if size == 0 {
            return true;
        }
    }
}

/// Where `part` begins in `bytes`.
pub fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
