//! Instances that misbehave below HTTP: they reset, trickle, never stop, or close their shop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::teller::{Teller, find};
use super::world::Gateway;
use wavetank::record::outcome::Failure;

/// Between the bytes of one that trickles.
const DRIP: Duration = Duration::from_millis(20);

/// An instance that does as its target says, and answers everything else with the target.
fn start() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut part = [0; 64];
            // One that leaves its shop closes it behind it, and reads nothing more.
            if stream.peek(&mut part).is_ok_and(|n| find(&part[..n], b"/close-shop").is_some()) {
                return;
            }
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut part = [0; 4096];
        let n = stream.peek(&mut part)?;
        let Some(end) = find(&part[..n], b"\r\n\r\n") else { return Ok(()) };
        let target = String::from_utf8_lossy(&part[..n]).split(' ').nth(1).unwrap_or_default().to_string();
        // What was not read makes the end of a connection a reset.
        if target == "/reset" {
            return Ok(());
        }
        stream.read_exact(&mut part[..end + 4])?;
        match target.as_str() {
            "/trickled-head" => return trickle(stream, "HTTP/1.1 200 OK\r\nX-Long: "),
            "/trickled-body" => return trickle(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
            "/endless-head" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ")?;
                loop {
                    stream.write_all(&[b'x'; 1000])?;
                }
            }
            "/many-fields" => {
                let fields: String = (0..1000).map(|n| format!("X-{n}: {n}\r\n")).collect();
                return stream.write_all(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n").as_bytes());
            }
            _ => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len())?,
        }
    }
}

/// Begins, and goes on a byte at a time until nobody listens.
fn trickle(mut stream: TcpStream, beginning: &str) -> std::io::Result<()> {
    stream.write_all(beginning.as_bytes())?;
    loop {
        stream.write_all(b"x")?;
        thread::park_timeout(DRIP);
    }
}

#[test]
fn whatever_an_instance_does_to_a_request_the_next_one_gets_its_own_answer() {
    let instance = start();
    let gateway = Gateway::before_addresses(&[instance], "timeouts = { response = \"400ms\", request = \"1s\" }");
    let cases = [("/reset", 502), ("/trickled-head", 504), ("/endless-head", 502), ("/many-fields", 502)];
    for (target, status) in cases {
        let answer = gateway.get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        (0..3).for_each(|_| gateway.canary());
    }
    let answer = gateway.get("/trickled-body");
    assert!(answer.status == 200 && !answer.whole, "its client can tell that it was cut off");
    (0..3).for_each(|_| gateway.canary());
    gateway.settles();
    let totals = gateway.totals();
    let failed = |failure: Failure| totals.failed[failure as usize];
    assert_eq!(totals.failed.iter().sum::<u64>(), 5, "each counts once: {totals:?}");
    assert_eq!(failed(Failure::Timeout), 2, "{totals:?}");
}

#[test]
fn one_that_takes_no_more_connections_costs_nobody_an_answer_that_may_be_asked_for_elsewhere() {
    let (rude, sound) = (start(), Teller::start());
    let gateway = Gateway::before_addresses(
        &[rude, sound.address],
        "retries = 1\nretry_budget = 1.0\ntimeouts = { upstream_idle = \"1ms\" }",
    );
    drop(TcpStream::connect(rude).unwrap().write_all(b"GET /close-shop HTTP/1.1\r\n\r\n"));
    // Until its listener is gone.
    while TcpStream::connect(rude).is_ok() {
        thread::yield_now();
    }
    (0..20).for_each(|_| gateway.canary());
    gateway.settles();
    let totals = gateway.totals();
    assert_eq!((totals.offered, totals.succeeded), (20, 20));
    assert!(totals.retries > 0, "it was asked: {totals:?}");
}
