//! The engine as a layer of an axum service, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use wavetank::engine::events::EventKind;
use wavetank::live::driver::Told;
use wavetank::live::layer::{EngineLayer, Error};
use wavetank::record::outcome::Failure;
use wavetank::scenario;
use wavetank::sim::{Monitor, Plan};

use crate::cli::{folder, output};

/// What the service does.
#[derive(Default)]
struct Teller {
    is_broken: AtomicBool,
    /// Requests that reached it.
    seen: AtomicUsize,
    /// Lets one that waits at `/slow` go on.
    go: Notify,
}

/// A service below a layer.
struct Served {
    address: SocketAddr,
    layer: EngineLayer,
    teller: Arc<Teller>,
}

impl Served {
    async fn with(text: &str) -> Served {
        Served::under(EngineLayer::from_text(text, "layer.toml").unwrap_or_else(|e| panic!("{e}"))).await
    }

    async fn under(layer: EngineLayer) -> Served {
        let layer = layer.with_client(|parts| Some(parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()));
        let teller = Arc::new(Teller::default());
        let (quick, slow) = (Arc::clone(&teller), Arc::clone(&teller));
        let quick = move || async move {
            quick.seen.fetch_add(1, Ordering::Relaxed);
            if quick.is_broken.load(Ordering::Relaxed) {
                (StatusCode::INTERNAL_SERVER_ERROR, "broken")
            } else {
                (StatusCode::OK, "hello")
            }
        };
        let slow = move || async move {
            slow.seen.fetch_add(1, Ordering::Relaxed);
            slow.go.notified().await;
            "at last"
        };
        let app = Router::new().route("/", get(quick)).route("/slow", get(slow)).layer(layer.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Served { address, layer, teller }
    }

    async fn ask(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Status, and the whole answer in small letters.
    async fn get(&self, path: &str) -> (u16, String) {
        answer(self.ask(path).await).await
    }

    /// Waits until it is so; 20 s at most.
    async fn until(&self, what: &str, is_so: impl Fn(&Served) -> bool) {
        for _ in 0..4000 {
            if is_so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}: {:?}", self.layer.driver().with(|_, core| core.meter.totals().clone()));
    }

    /// Nothing is under way, and everything that was offered is accounted for.
    async fn settles(&self) {
        self.until("settles", |served| {
            served.layer.in_flight() == 0
                && served.layer.driver().with(|_, core| {
                    let totals = core.meter.totals();
                    core.engine.in_flight() == 0
                        && totals.offered == totals.succeeded + totals.failed.iter().sum::<u64>()
                })
        })
        .await;
    }

    fn failed(&self, why: Failure) -> u64 {
        self.layer.driver().with(|_, core| core.meter.totals().failed[why as usize])
    }
}

async fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap().to_lowercase();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {text:?}")), text)
}

const QUOTA: &str = "
    scenario.duration = '1s'
    service.time = '1ms'
    [traffic]
    arrivals = 'paced'
    shape = [{ kind = 'constant', rate = 20 }]
    [clients]
    population = 1
    [limiter]
    algorithm = 'fixed_window'
    key = 'client'
    limit = 5
    window = '1h'
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_used_up_a_quota_is_told_when_to_come_again_as_the_simulator_decides() {
    let plan = Plan::new(scenario::parse(QUOTA, "layer.toml", "".as_ref(), &[]).unwrap()).unwrap();
    let simulated = plan.run(42, &Monitor::default()).unwrap().counts;
    let served = Served::with(QUOTA).await;
    let mut statuses = Vec::new();
    for _ in 0..simulated.offered {
        let (status, text) = served.get("/").await;
        statuses.push(status);
        if status == 429 {
            // The window began with the layer, a moment ago.
            let wait = text.split("retry-after: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let wait: u64 = wait.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
            assert!((3500..=3600).contains(&wait), "{text}");
            assert!(text.contains("ratelimit-policy: ") && text.contains("x-ratelimit-remaining: 0"), "{text}");
            assert!(text.contains("wavetank-refused: rate_limited"), "{text}");
        }
    }
    let (let_in, refused) = statuses.split_at(5);
    assert!(let_in == [200; 5] && refused.iter().all(|&status| status == 429), "{statuses:?}");
    assert_eq!(served.teller.seen.load(Ordering::Relaxed), 5, "what is refused does not reach the service");
    served.settles().await;
    assert_eq!((simulated.succeeded, simulated.failed_for(Failure::RateLimited)), (5, refused.len() as u64));
    assert_eq!(served.failed(Failure::RateLimited), refused.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_opens_before_a_service_that_fails_and_closes_when_it_is_well() {
    let served = Served::with(
        "[breaker]\nscope = 'service'\nfailure_rate = 0.5\nminimum_calls = 4\nwindow = '1m'\nopen_for = '300ms'\nhalf_open_calls = 1\n",
    )
    .await;
    let mut events = served.layer.events();
    served.teller.is_broken.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        assert_eq!(served.get("/").await.0, 500);
    }
    let (status, text) = served.get("/").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("retry-after: 1") && text.contains("wavetank-refused: circuit_open"), "{text}");
    assert_eq!(served.teller.seen.load(Ordering::Relaxed), 4, "an open breaker lets nobody through");
    served.teller.is_broken.store(false, Ordering::Relaxed);
    let closed = async {
        while served.get("/").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the breaker closes");
    let opened = async {
        loop {
            if let Told::Event(entry) = events.recv().await.unwrap()
                && matches!(entry.event.kind, EventKind::BreakerOpened { .. })
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), opened).await.expect("those who watch are told");
    served.settles().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_leaves_no_place_taken() {
    let served = Served::with("[service]\ntime = '1ms'\nworkers = 1\nqueue = 1\n").await;
    let inside = served.ask("/slow").await;
    served.until("one is inside", |served| served.teller.seen.load(Ordering::Relaxed) == 1).await;
    let waiting = served.ask("/slow").await;
    served.until("one waits", |served| served.layer.in_flight() == 2).await;
    let (status, text) = served.get("/").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("wavetank-refused: queue_full"), "{text}");
    drop(waiting);
    served.until("the one that waited has left", |served| served.layer.in_flight() == 1).await;
    drop(inside);
    served.settles().await;
    assert_eq!(served.get("/").await.0, 200, "the place is free again");
    let inside = served.ask("/slow").await;
    served.until("one is inside", |served| served.teller.seen.load(Ordering::Relaxed) == 3).await;
    let next = served.ask("/").await;
    served.until("one waits", |served| served.layer.in_flight() == 2).await;
    served.teller.go.notify_one();
    assert_eq!(answer(inside).await.0, 200);
    assert_eq!(answer(next).await.0, 200, "its turn has come");
    served.settles().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_load_needs_is_told() {
    let served = Served::with(
        "[autoscaler]\nmin = 1\nmax = 5\ninterval = '100ms'\nmetrics = { window = '200ms', delay = '0s' }\n
         [[autoscaler.rule]]\nname = 'busy'\nmetric = 'requests_per_second'\noperator = 'gt'\nthreshold = 1\nduration = '0s'\n
         action = 'scale_up'\nstep = 2\ncooldown = '1h'\n",
    )
    .await;
    let mut wanted = served.layer.wanted();
    assert_eq!(*wanted.borrow_and_update(), 1);
    let more = async {
        tokio::select! {
            changed = wanted.changed() => changed.unwrap(),
            () = async { loop { served.get("/").await; } } => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(20), more).await.expect("more is wanted");
    assert_eq!(*wanted.borrow(), 3);
    assert_eq!(served.get("/").await.0, 200, "this instance goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_layer_has_recorded_is_decided_again() {
    let scenario = "
        [limiter]
        algorithm = 'gcra'
        key = 'client'
        limit = 10
        window = '1h'
        [breaker]
        scope = 'service'
        minimum_calls = 4
        open_for = '50ms'
        half_open_calls = 1
        [autoscaler]
        min = 1
        max = 5
        interval = '100ms'
        metrics = { window = '200ms', delay = '0s' }
        [[autoscaler.rule]]
        name = 'busy'
        metric = 'requests_per_second'
        operator = 'gt'
        threshold = 1
        action = 'scale_up'
    ";
    let folder = folder(&[("layer.toml", scenario.as_bytes())]);
    let path = folder.path().join("flight");
    let recording = std::fs::File::create(&path).unwrap();
    let served = Served::under(EngineLayer::recording(folder.path().join("layer.toml"), recording).unwrap()).await;
    let mut wanted = served.layer.wanted();
    served.teller.is_broken.store(true, Ordering::Relaxed);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(served.get("/").await.0);
    }
    assert!([500, 503].iter().all(|status| statuses.contains(status)), "{statuses:?}");
    tokio::time::timeout(Duration::from_secs(20), wanted.changed()).await.expect("more is wanted").unwrap();
    served.settles().await;
    let written = || std::fs::read_to_string(&path).unwrap();
    let admissions = |text: &str| text.lines().filter(|line| line.contains("[\"admit\",")).count();
    served.until("all is written down", |_| admissions(&written()) == statuses.len()).await;
    let played = output(folder.path(), &["replay-decisions", "flight"]);
    let told = String::from_utf8(played.stdout).unwrap();
    assert!(played.status.success() && told.starts_with("the same decisions: "), "{told}");
    // It would have been noticed.
    let text = written();
    let other = text.replacen("[\"forward\",0", "[\"forward\",1", 1);
    assert_ne!(text, other, "{text}");
    std::fs::write(&path, other).unwrap();
    let played = output(folder.path(), &["replay-decisions", "flight"]);
    assert_eq!(played.status.code(), Some(1), "{}", String::from_utf8_lossy(&played.stdout));
}

#[test]
fn what_cannot_be_a_layer_is_told() {
    let told = |text| EngineLayer::from_text(text, "layer.toml").unwrap_err();
    assert!(matches!(told(""), Error::NoRuntime));
    let nothing = told(
        "[autoscaler]\nmin = 0\nmax = 2\n[[autoscaler.rule]]\nname = 'busy'\nmetric = 'requests_per_second'\noperator = 'gt'\nthreshold = 1\n
         action = 'scale_up'\n",
    );
    assert!(matches!(nothing, Error::ScaledToNothing) && nothing.to_string().contains("autoscaler.min"), "{nothing}");
    let unknown = told("[limiter]\nlimti = 3\n").to_string();
    assert!(unknown.contains("layer.toml:2") && unknown.contains("limti"), "{unknown}");
}
