//! Ten minutes of all that comes and goes, and the memory that is left of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Serve, resident, signal};

/// How much more the second half may take than the first \[share\]: a leak of a kilobyte for each slow client would be twice as much.
const TOLERANCE: f64 = 0.10;
/// The share of the run that is not looked at: pools, histograms and the allocator's arenas fill.
const BEGINNING: f64 = 0.1;

const SECTIONS: &str = r#"
[fleet]
initial = 2
[autoscaler]
min = 2
max = 5
interval = "2s"
[analyzer]
[breaker]
scope = "instance"
[limiter]
algorithm = "sliding_window"
limit = 100000
window = "1m"
[balancer]
strategy = "least_connections"
health_check = { interval = "1s", timeout = "500ms" }
"#;

const LIVE: &str = r#"
retries = 1
limits = { connections_per_address = 10000 }
timeouts = { head = "2s", body_idle = "2s", write_idle = "2s", response = "5s" }
"#;

/// Slope of a straight line through points \[y for each x\], by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / n, y + point.1 / n));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    covariance / variance
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Asks on one connection until it ends, four hundred times a second at most.
fn ask(gateway: SocketAddr, over: &AtomicBool, answered: &AtomicU64) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(gateway)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut part = [0; 4096];
    while !over.load(Ordering::Relaxed) {
        stream.write_all(b"GET /sleep/1 HTTP/1.1\r\nHost: a\r\n\r\n")?;
        if stream.read(&mut part)? == 0 {
            return Ok(());
        }
        answered.fetch_add(1, Ordering::Relaxed);
        thread::park_timeout(Duration::from_micros(2500));
    }
    Ok(())
}

/// Memory neither grows nor stays behind while instances come, go and crash, and clients are slow, leave early and are cut off.
///
///     cargo test --release --test it memory_is_flat -- --ignored --nocapture
///
/// `WAVETANK_SOAK_SECONDS` makes it shorter or longer than ten minutes.
#[test]
#[ignore = "ten minutes"]
#[expect(clippy::disallowed_methods, reason = "it lasts for so long on the wall")]
fn memory_is_flat_over_ten_minutes_of_everything_that_comes_and_goes() {
    let seconds = std::env::var("WAVETANK_SOAK_SECONDS").map_or(600, |text| text.parse::<u64>().unwrap());
    let serve = Serve::start(LIVE, SECTIONS);
    let (over, answered, crashes, slow) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let mut samples = Vec::new();
    thread::scope(|scope| {
        let (serve, over, answered, crashes, slow) = (&serve, &over, &answered, &crashes, &slow);
        for _ in 0..4 {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // One that is cut off begins anew.
                    let _ = ask(serve.gateway, over, answered);
                }
            });
        }
        // Fleets that grow, shrink and die.
        scope.spawn(move || {
            for turn in 0.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                match turn % 4 {
                    0 => drop(serve.order(json!({ "action": "scale_up", "count": 2 }))),
                    2 => drop(serve.order(json!({ "action": "scale_down", "count": 2 }))),
                    _ => {
                        if let Ok(pid) = serve.get("/").1.parse::<u32>() {
                            signal(pid, "KILL");
                            crashes.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                thread::park_timeout(Duration::from_secs(4));
            }
        });
        // Slow clients of every kind: heads, bodies, readers, and some that leave.
        scope.spawn(move || {
            let kinds = [
                "GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: ",
                "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx",
                "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /sleep/500 HTTP/1.1\r\nHost: a\r\n\r\n",
            ];
            let mut held = std::collections::VecDeque::new();
            for n in 0.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(mut stream) = TcpStream::connect(serve.gateway) {
                    let _ = stream.write_all(kinds[n % kinds.len()].as_bytes());
                    held.push_back(stream);
                    slow.fetch_add(1, Ordering::Relaxed);
                }
                // Two hundred of them are there at once, longer than the gateway waits for any.
                if held.len() > 200 {
                    held.pop_front();
                }
                thread::park_timeout(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(seconds) {
            samples.push((began.elapsed().as_secs_f64() / 60.0, resident(serve.child.id())));
            assert_ne!(
                serve.ask(serve.control, "GET", "/api/scaling/traffic", None).0,
                0,
                "it can be asked all the time"
            );
            thread::park_timeout(Duration::from_secs(1));
        }
        over.store(true, Ordering::Relaxed);
    });
    serve.settles();
    let skipped = (samples.len() as f64 * BEGINNING) as usize;
    let looked_at = &samples[skipped..];
    let of = |part: &[(f64, f64)]| median(part.iter().map(|sample| sample.1).collect());
    let (first, second) = looked_at.split_at(looked_at.len() / 2);
    let (first, second) = (of(first), of(second));
    println!(
        "{} requests answered, {} slow clients, {} crashes; resident: {first:.0} KiB in the first half, {second:.0} KiB in the second \
         ({:+.1} %), {:+.1} KiB a minute",
        answered.load(Ordering::Relaxed),
        slow.load(Ordering::Relaxed),
        crashes.load(Ordering::Relaxed),
        (second / first - 1.0) * 100.0,
        slope(looked_at),
    );
    for sample in samples.iter().step_by((samples.len() / 20).max(1)) {
        println!("{:5.2} min  {:.0} KiB", sample.0, sample.1);
    }
    assert!(answered.load(Ordering::Relaxed) > 10 * seconds && crashes.load(Ordering::Relaxed) > 0);
    assert!(second <= first * (1.0 + TOLERANCE), "it grew by {:.0} KiB", second - first);
}
