//! A bare hyper client in a closed loop: what sending requests costs at the least. `benches/generator.sh` runs it beside wrk and `wavetank load`.
//!
//!     generator ADDRESS CONNECTIONS SECONDS
//!
//! Prints requests, wall time \[s\] and CPU time \[s\].
#![allow(clippy::disallowed_methods, missing_docs, reason = "a benchmark takes the time")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cpu_time::ProcessTime;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

static REQUESTS: AtomicU64 = AtomicU64::new(0);

fn main() {
    // cargo bench adds a flag of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let [address, connections, seconds] = &args[..] else {
        println!("generator ADDRESS CONNECTIONS SECONDS: nothing was asked for, see benches/generator.sh");
        return;
    };
    let connections: usize = connections.parse().expect("a number of connections");
    let seconds: f64 = seconds.parse().expect("a number of seconds");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (began, cpu) = (Instant::now(), ProcessTime::now());
    let end = began + Duration::from_secs_f64(seconds);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..connections).map(|_| tokio::spawn(ask(address.clone(), end))).collect();
        for task in tasks {
            task.await.expect("a connection that holds");
        }
    });
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu.elapsed().as_secs_f64());
    println!("{} {wall:.3} {cpu:.3}", REQUESTS.load(Ordering::Relaxed));
}

async fn ask(address: String, end: Instant) {
    let stream = TcpStream::connect(&address).await.expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    while Instant::now() < end {
        let request = Request::get("/").header(HOST, address.as_str()).body(Empty::<Bytes>::new());
        let response = sender.send_request(request.expect("a request")).await.expect("an answer");
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.expect("a body");
        }
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        sender.ready().await.expect("a connection that is kept");
    }
}
