//! Clients by the thousand that are idle or slow, descriptors that run out, callers of the control API who do not stop.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{SCALES, Serve, config, raw, resident};

/// Clients of each kind in a siege: idle ones as many as slow ones.
const SLOW: usize = 1000;
/// Slow ones send a body of which little comes, read nothing of a long answer, or send a head that does not end.
const BODIES: usize = 300;
const READERS: usize = 100;
const HEADS: usize = SLOW - BODIES - READERS;
/// Most memory of a gateway under siege \[KiB\]: half a megabyte for each that reads nothing, 32 KiB for the others. What the readers have
/// asked for is 6 GiB.
const MOST_KIB: f64 = (64 * 1024 + READERS * 512 + (SLOW + HEADS + BODIES) * 32) as f64;
/// No limit of addresses: all clients are here.
const LIMITS: &str = "limits = { connections_per_address = 10000 }";

/// Clients that hold a gateway up, as far as it lets itself be held up.
struct Siege {
    idle: Vec<TcpStream>,
    heads: Vec<TcpStream>,
    bodies: Vec<TcpStream>,
    readers: Vec<TcpStream>,
}

impl Siege {
    fn of(gateway: SocketAddr) -> Siege {
        let send = |n: usize, bytes: &str| -> Vec<TcpStream> {
            let one = |_| {
                let mut stream = TcpStream::connect(gateway).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                stream.write_all(bytes.as_bytes()).unwrap();
                stream
            };
            (0..n).map(one).collect()
        };
        // Those that never say a word get as long as a head may take; idle ones have been answered, and keep their connection.
        let mut idle = send(SLOW, "GET /echo/idle HTTP/1.1\r\nHost: a\r\n\r\n");
        idle.iter_mut().for_each(|stream| drop(until(stream, b"/echo/idle")));
        Siege {
            idle,
            heads: send(HEADS, "GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: "),
            bodies: send(BODIES, "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx"),
            readers: send(READERS, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n"),
        }
    }

    /// A byte more of each head and body.
    fn drip(&mut self) {
        for stream in self.heads.iter_mut().chain(&mut self.bodies) {
            // It may have been cut off meanwhile.
            let _ = stream.write_all(b"x");
        }
    }
}

/// Everything that comes up to `end`.
fn until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while !bytes.ends_with(end) {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "it ended with {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&part[..read]);
    }
    bytes
}

/// Everything that comes until the other side closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => panic!("it was never closed"),
        // A reset is an end, too.
        _ => bytes,
    }
}

/// A client that minds its manners: latencies of `n` requests on one connection, each with its own answer.
#[expect(clippy::disallowed_methods, reason = "latencies of a real client are times on the wall")]
fn ask_nicely(gateway: SocketAddr, name: &str, n: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(gateway).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut latencies = Vec::with_capacity(n);
    for k in 0..n {
        let target = format!("/echo/{name}/{k}");
        let asked = Instant::now();
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let answer = until(&mut stream, target.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{target}: {}", String::from_utf8_lossy(&answer));
        latencies.push(asked.elapsed());
    }
    latencies
}

/// The same for `clients` at once; all latencies, sorted.
fn crowd(gateway: SocketAddr, name: &str, clients: usize, n: usize) -> Vec<Duration> {
    let mut all: Vec<Duration> = thread::scope(|scope| {
        let asking: Vec<_> = (0..clients)
            .map(|client| scope.spawn(move || ask_nicely(gateway, &format!("{name}-{client}"), n)))
            .collect();
        asking.into_iter().flat_map(|each| each.join().unwrap()).collect()
    });
    all.sort_unstable();
    all
}

/// This program holds both thousands itself.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

#[test]
fn a_thousand_idle_and_a_thousand_slow_clients_keep_nobody_from_an_answer() {
    raise_descriptors();
    let timeouts = "timeouts = { head = \"10s\", body_idle = \"6s\", write_idle = \"6s\" }";
    let serve = Serve::start(&format!("{LIMITS}\n{timeouts}"), SCALES);
    let mut siege = Siege::of(serve.gateway);
    let held = (BODIES + READERS) as f64;
    serve.until("the siege", |serve| serve.metric("wavetank_requests_in_flight") == held);
    siege.drip();
    crowd(serve.gateway, "during", 4, 100);
    let kib = resident(serve.child.id());
    assert!(kib < MOST_KIB, "{kib} KiB for those who are slow");
    assert_eq!(serve.metric("wavetank_refused_connections_total"), 0.0);
    // However little comes at a time: a head has so long in all, a body so long between its parts.
    siege.drip();
    for stream in &mut siege.heads {
        assert!(rest(stream).starts_with(b"HTTP/1.1 408 "), "a slow head is told, and closed");
    }
    for stream in &mut siege.bodies {
        assert!(rest(stream).starts_with(b"HTTP/1.1 408 "), "a slow body is told, and closed");
    }
    // Whoever does not read is cut off, with what is in the sockets; nothing is left of them all.
    serve.until("the end of the readers", |serve| serve.metric("wavetank_requests_in_flight") == 0.0);
    for stream in &mut siege.readers {
        assert!(rest(stream).len() < 64 << 20, "the flood did not come to its end");
    }
    // The idle ones did nothing wrong, and still have their connections.
    for stream in &mut siege.idle {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        assert!(rest(stream).starts_with(b"HTTP/1.1 200 "));
    }
    serve.settles();
}

/// What a siege costs the others: p99 before it, during it and after it.
///
///     cargo test --release --test it what_a_siege_costs -- --ignored --nocapture
#[test]
#[ignore = "figures, for a machine that nobody else uses"]
fn what_a_siege_costs_those_who_mind_their_manners() {
    raise_descriptors();
    let serve = Serve::start(
        &format!("{LIMITS}\ntimeouts = {{ head = \"60s\", body_idle = \"60s\", write_idle = \"60s\" }}"),
        SCALES,
    );
    let measure = |when: &str| {
        let all = crowd(serve.gateway, when, 8, 2000);
        let at = |share: f64| all[(all.len() as f64 * share) as usize].as_secs_f64() * 1e3;
        println!("{when}: p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99));
        at(0.99)
    };
    measure("warm-up");
    let before = measure("before");
    let mut siege = Siege::of(serve.gateway);
    serve.until("the siege", |serve| serve.metric("wavetank_requests_in_flight") == (BODIES + READERS) as f64);
    let is_over = AtomicBool::new(false);
    let during = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                siege.drip();
                thread::park_timeout(Duration::from_millis(500));
            }
        });
        let during = measure("during");
        is_over.store(true, Ordering::Relaxed);
        during
    });
    assert_eq!(serve.metric("wavetank_requests_in_flight"), (BODIES + READERS) as f64, "they were held all the time");
    drop(siege);
    serve.until("the end", |serve| serve.metric("wavetank_requests_in_flight") == 0.0);
    let after = measure("after");
    println!("during / before: {:.2}, after / before: {:.2}", during / before, after / before);
}

#[test]
fn a_gateway_without_descriptors_turns_clients_away_and_answers_whoever_controls_it() {
    let serve = Serve::start_within(64, &config("", SCALES));
    serve.until("a warning", |serve| serve.told().contains("there is room for 16 clients"));
    let pids = serve.pids();
    let held: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(serve.gateway).unwrap()).collect();
    serve.until("those for whom there is no room", |serve| {
        serve.metric("wavetank_refused_connections_total") >= 184.0
    });
    // It is full, and waits: those who are in are answered, callers too, and it does not run in circles meanwhile.
    let before = cpu_ticks(serve.child.id());
    for mut stream in held.iter().take(16) {
        stream.write_all(b"GET /sleep/60 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        assert_eq!(serve.status()["running"], true);
    }
    let ticks = cpu_ticks(serve.child.id()) - before;
    assert!(ticks < 60, "{ticks} hundredths of a second of CPU in which nothing was to be done");
    drop(held);
    serve.until("it answers again", |serve| serve.get("/").0 == 200);
    assert_eq!(serve.pids(), pids, "and its instances are still there");
}

/// CPU time of a process \[1/100 s\].
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn callers_who_do_not_stop_leave_the_traffic_alone() {
    let serve = Serve::start("", SCALES);
    // Watchers that read nothing, and callers that say nothing, more than there are places.
    let watch = format!("GET /api/scaling/events HTTP/1.1\r\nHost: {}\r\n\r\n", serve.control);
    let mut open: Vec<TcpStream> = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(serve.control).unwrap();
        if n % 2 == 0 {
            // One for whom there is no place may hear of it before it has spoken.
            let _ = stream.write_all(watch.as_bytes());
        }
        open.push(stream);
    }
    // Most are turned away at once, which the others can tell by the end of their connection.
    let closed = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        match stream.peek(&mut [0; 1]) {
            Ok(n) => n == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    };
    for _ in 0..1500 {
        open.retain_mut(|stream| !closed(stream));
        if open.len() <= 64 {
            break;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    assert!((1..=64).contains(&open.len()), "{} callers at once", open.len());
    open.truncate(open.len() / 2);
    let is_over = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let (serve, is_over) = (&serve, &is_over);
                scope.spawn(move || {
                    let mut answered = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let status = call(serve, caller);
                        assert!(status == 0 || (200..500).contains(&status), "caller {caller}: {status}");
                        answered += usize::from(status != 0);
                    }
                    answered
                })
            })
            .collect();
        crowd(serve.gateway, "beside", 4, 500);
        is_over.store(true, Ordering::Relaxed);
        callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>()
    });
    assert!(answered > 8, "callers were answered, too: {answered}");
    drop(open);
    serve.until("room for a caller", |serve| {
        raw(serve.control, &format!("GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", serve.control)).0
            == 200
    });
    serve.settles();
    assert_eq!(serve.metric("wavetank_requests_total"), 2000.0, "each was answered once, and well");
}

/// What each caller keeps asking, from the cheap to the mad.
fn call(serve: &Serve, caller: usize) -> u16 {
    let target = ["/api/scaling/status", "/api/scaling/traffic", "/api/scaling/timeline", "/metrics", "/nothing"];
    let long = "x".repeat(100_000);
    match caller {
        0..5 => serve.ask(serve.control, "GET", target[caller], None).0,
        5 => serve.ask(serve.control, "POST", "/api/scaling/actions", Some(&serde_json::json!({ "action": long }))).0,
        6 => serve.ask(serve.control, "POST", "/api/scaling/rules", Some(&serde_json::json!([long]))).0,
        _ => raw(serve.control, "GET / HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n").0,
    }
}
