//! Every request has a name of its own on both ends, and instances are killed meanwhile: nothing is lost, done twice, or somebody else's.

use std::collections::BTreeMap;
use std::fs;
use std::thread;

use super::{SCALES, Serve, config, folder, signal};

/// Threads of clients, and requests of each.
const CLIENTS: usize = 8;
const REQUESTS: usize = 120;

/// The number of the instance that became ready last.
fn newest(serve: &Serve) -> u32 {
    let status = serve.status();
    let ready = status["fleet"].as_array().unwrap().iter().filter(|each| each["state"] == "ready");
    ready.map(|each| each["id"].as_str().unwrap().parse().unwrap()).max().unwrap_or(0)
}

#[test]
fn what_clients_and_instances_have_written_down_agrees_whatever_is_killed() {
    let log = folder(&[]);
    let path = log.path().join("asked");
    let text = config("retries = 2\nretry_budget = 1.0", SCALES);
    let text = text
        .replace("env WAVETANK_TEST_PORT", &format!("env WAVETANK_TEST_LOG={} WAVETANK_TEST_PORT", path.display()));
    let serve = Serve::start_with(&text);
    let victims = serve.pids();
    let before = serve.metric("wavetank_requests_offered_total");
    // Statuses by target; every other request may not be repeated.
    let answers: BTreeMap<String, (u16, String)> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let serve = &serve;
                scope.spawn(move || {
                    let one = |n: usize| {
                        let method = if n.is_multiple_of(2) { "GET" } else { "POST" };
                        let target = format!("/echo/{}/{client}/{n}", method.to_ascii_lowercase());
                        let answer = serve.ask(serve.gateway, method, &target, None);
                        (target, answer)
                    };
                    (0..REQUESTS).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        for victim in victims {
            let seen = || fs::read_to_string(&path).map_or(0, |text| text.lines().count());
            let begun = seen();
            serve.until("load", |_| seen() > begun + 100);
            let last = newest(&serve);
            signal(victim, "KILL");
            // Until its end is noticed, the victim counts as ready too.
            serve.until("its replacement", |serve| serve.count("ready") == 2 && newest(serve) > last);
        }
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    serve.settles();

    let mut asked: BTreeMap<String, u32> = BTreeMap::new();
    for target in fs::read_to_string(&path).unwrap().lines() {
        *asked.entry(target.to_string()).or_default() += 1;
    }
    assert_eq!(answers.len(), CLIENTS * REQUESTS);
    for (target, (status, body)) in &answers {
        let times = asked.get(target).copied().unwrap_or(0);
        match status {
            200 => assert!(body == target && times >= 1, "{target}: its own answer, from an instance: {body}"),
            502 | 503 => {}
            _ => panic!("{target}: {status} {body}"),
        }
        if target.starts_with("/echo/post") {
            assert!(times <= 1, "{target} was done {times} times");
        } else {
            assert_eq!(*status, 200, "{target} may be repeated, and was not: {body}");
        }
    }
    assert!(asked.keys().all(|target| answers.contains_key(target)), "instances saw nothing that nobody has sent");
    let failed = answers.values().filter(|(status, _)| *status != 200).count();
    assert!(failed <= 2 * CLIENTS, "{failed} failed, and each of two instances held {CLIENTS} at most");
    let counted = |outcome: &str| {
        let text = serve.ask(serve.control, "GET", "/metrics", None).1;
        let line =
            text.lines().find(|line| line.starts_with(&format!("wavetank_requests_total{{outcome=\"{outcome}\"")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let offered = serve.metric("wavetank_requests_offered_total") - before;
    assert_eq!(offered, answers.len() as f64, "the gateway has counted each once");
    assert_eq!(serve.metric("wavetank_requests_total") - counted("succeeded"), failed as f64, "and as it ended");
}
