//! The gateway over raw sockets: what instances see, what clients get, and that neither ever gets what is another's.
//!
//! The verdict is what the instance saw. After every case a request on the same connection, if it is open, and one on a new connection
//! have to get their own answers: that catches queues that are out of step, which status codes do not show.

mod rude;
pub mod teller;
#[cfg(feature = "tls")]
mod tls;
pub mod world;

use std::net::Shutdown;
use std::sync::Arc;

use proptest::prelude::*;
use teller::{Message, Reply, Teller};
use world::{Gateway, get};

/// The bytes are refused with one of `statuses`, the connection is closed, and no instance sees anything of `/x`.
fn refused(gateway: &Gateway, teller: &Teller, case: &str, bytes: &[u8], statuses: &[u16]) {
    let mut client = gateway.send(bytes);
    let answer = client.answer().unwrap_or_else(|| panic!("{case}: no answer"));
    assert!(statuses.contains(&answer.status), "{case}: {} {}", answer.status, answer.text());
    let rest = client.is_closed();
    assert!(rest, "{case}: something came behind the refusal");
    let seen = teller.seen_at("/x");
    assert!(seen.is_empty(), "{case}: {seen:?}");
    gateway.canary();
}

#[test]
fn what_can_be_misunderstood_reaches_no_instance() {
    let teller = Teller::start();
    let gateway = Gateway::before(&[&teller], "");
    let post = |fields: &str, body: &str| format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
    let smuggled = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let cases: Vec<(&str, String, &[u16])> = vec![
        // CL.TE and TE.CL (Watchfire 2005, PortSwigger 2019).
        ("GW-50", post("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG"), &[400]),
        (
            "GW-51",
            post("Transfer-Encoding: chunked\r\nContent-Length: 4", "5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"),
            &[400],
        ),
        // TE.TE: obfuscations that one of two servers does not see.
        ("GW-52", post("Transfer-Encoding : chunked", "0\r\n\r\n"), &[400]),
        (
            "GW-53",
            format!("POST /x HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n0\r\n\r\n{smuggled}"),
            &[400],
        ),
        ("GW-56", post("Transfer-Encoding: xchunked", "0\r\n\r\n"), &[400]),
        ("GW-57", post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"), &[400]),
        ("GW-57", post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), &[501]),
        ("GW-58", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"), &[400]),
        ("GW-60", post("X: x\nTransfer-Encoding: chunked", "0\r\n\r\n"), &[400]),
        ("GW-61", post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"), &[400]),
        // CVE-2024-like case folding.
        ("GW-62", post("Transfer-Encoding: chun\u{212A}ed", "0\r\n\r\n"), &[400]),
        ("GW-63", post("Content-Length: 5\r\nContent-Length: 5", "hello"), &[400]),
        ("GW-64", post("Content-Length: 5\r\nContent-Length: 6", "hello!"), &[400]),
        // CVE-2023-40225: an empty length that is forwarded.
        ("GW-65", post("Content-Length:", smuggled), &[400]),
        ("GW-65", post("Content-Length: +5", "hello"), &[400]),
        ("GW-67", post("Content_Length: 5", "hello"), &[400]),
        ("GW-68", post("Content-Length: 18446744073709551616", ""), &[400]),
        ("GW-71", format!("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"), &[400]),
        ("GW-77", "GET /x HTTP/1.1\nHost: a\n\n".to_string(), &[400]),
        ("GW-78", "GET /x HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n".to_string(), &[400]),
        ("GW-79", "GET /x HTTP/1.1\r\n\r\n".to_string(), &[400]),
        ("GW-79", "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_string(), &[400]),
        ("GW-80", "GET http://evil/x HTTP/1.1\r\nHost: good\r\n\r\n".to_string(), &[400]),
        ("GW-81", "GET  /x HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), &[400]),
        ("GW-83", "get /x HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), &[501, 405]),
        ("GW-84", "GET /x\r\n\r\n".to_string(), &[400]),
        ("GW-84", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_string(), &[400, 505]),
        ("GW-85", "Extra lineGET /x HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), &[400]),
        // CVE-2023-25725: an empty name.
        ("GW-86", post(": x", ""), &[400]),
        ("GW-87", post("X: a\0b", ""), &[400]),
        ("GW-90", post("Connection: X-Forwarded-For", ""), &[400]),
        ("GW-93", post("Expect: y 100-continue\r\nContent-Length: 5", "hello"), &[417]),
        ("GW-97", "GET /x\\..\\admin HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), &[400]),
        ("GW-98", "TRACE /x HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n".to_string(), &[405]),
        ("GW-99", "CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n".to_string(), &[501]),
        ("GW-100", "GET http://169.254.169.254/x HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), &[400]),
        ("GW-102", format!("{}{smuggled}", "\r\n".repeat(3)), &[400]),
        ("GW-103", post(&"a:b\r\n".repeat(200), ""), &[431]),
        ("GW-103", format!("GET /x{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)), &[414]),
        ("GW-35", post("Content-Length: 10485761", ""), &[413]),
    ];
    for (case, bytes, statuses) in &cases {
        refused(&gateway, &teller, case, bytes.as_bytes(), statuses);
    }
    gateway.settles();
    assert_eq!(gateway.totals().bad_requests, cases.len() as u64, "each was counted, and none as offered");
}

#[test]
fn a_body_is_cut_off_where_its_framing_breaks() {
    let teller = Teller::start();
    let gateway = Gateway::before(&[&teller], "");
    let bodies = [
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\nhelloX\r\n",
        "5;a\nb\r\nhello\r\n",
        "5\r\nhello\r\n0\r\n\n",
    ];
    for body in bodies {
        let mut client = gateway.send(format!(
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{}",
            get("/x/smuggled")
        ));
        let answer = client.answer();
        assert!(
            answer.as_ref().is_none_or(|answer| answer.status == 400),
            "GW-72, GW-73, GW-76 {body:?}: {answer:?}"
        );
        assert!(client.is_closed());
        gateway.canary();
    }
    gateway.settles();
    let seen = teller.seen_at("/x");
    assert!(
        seen.iter().all(|message| !message.whole && message.target() == "/x"),
        "never for a whole request: {seen:?}"
    );
}

#[test]
fn what_is_sound_arrives_as_it_was_meant() {
    let teller = Teller::start();
    let gateway = Gateway::before(&[&teller], "");
    let send = |bytes: &str| {
        let mut client = gateway.send(bytes);
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, 200, "{bytes}");
        (client, answer)
    };
    let (mut client, _) = send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhello");
    client.write(get("/b"));
    assert_eq!(client.answer().unwrap().text(), "/b");
    send(
        "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nContent-Length: 9\r\nX-Foo: 1\r\n\r\n",
    );
    send(&format!("GET /get HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}", get("/x").len(), get("/x")));
    send(
        "GET /fields HTTP/1.1\r\nHost: a\r\nConnection: close, X-Foo\r\nX-Foo: 1\r\nX-Bar: 2\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\nx-instance-id: other\r\nx-target-url: http://internal\r\nX-Empty:\r\nX-Latin: \u{e9}\r\n\r\n",
    );
    send("GET /query?a=%0d%0aX:1&b=..%2f HTTP/1.0\r\n\r\n");
    let seen = |target: &str| -> Message {
        let mut seen = teller.seen_at(target);
        assert_eq!(seen.len(), 1, "{target}: {seen:?}");
        seen.remove(0)
    };
    let message = seen("/a");
    assert_eq!(
        (message.field("content-length").as_deref(), message.body.as_slice()),
        (Some("5"), b"hello".as_slice()),
        "GW-66"
    );
    let message = seen("/chunks");
    assert_eq!(message.body, b"hello", "GW-54");
    assert_eq!((message.field("content-length"), message.field("x-foo")), (None, None), "GW-75");
    assert_eq!(seen("/get").body, get("/x").as_bytes(), "GW-69");
    assert!(teller.seen_at("/x").is_empty(), "GW-69");
    let message = seen("/fields");
    for gone in [
        "connection",
        "x-foo",
        "keep-alive",
        "te",
        "proxy-connection",
        "upgrade",
        "http2-settings",
        "forwarded",
        "x-real-ip",
        "x-instance-id",
        "x-target-url",
    ] {
        assert_eq!(message.field(gone), None, "GW-01 to GW-05, GW-38, GW-91, GW-92, GW-95: {gone}");
    }
    assert_eq!(message.field("x-bar").as_deref(), Some("2"), "GW-01");
    assert_eq!(message.field("x-forwarded-for").as_deref(), Some("127.0.0.1"), "GW-91");
    assert_eq!(message.field("x-empty").as_deref(), Some(""), "GW-89");
    assert_eq!(message.field("x-latin").as_deref(), Some("\u{e9}"), "GW-88");
    let message = seen("/query");
    assert_eq!(message.target(), "/query?a=%0d%0aX:1&b=..%2f", "GW-96");
    assert_eq!(message.field("host"), Some(gateway.address.to_string()), "GW-108");
    gateway.settles();
}

#[test]
fn pipelined_requests_are_answered_in_order_and_a_bad_one_ends_them() {
    let teller = Teller::start();
    let gateway = Gateway::before(&[&teller], "");
    let mut bytes = String::new();
    for n in 0..16 {
        bytes += &if n == 2 { format!("GET /p/{n} HTTP/1.1\r\nHost : a\r\n\r\n") } else { get(&format!("/p/{n}")) };
    }
    let mut client = gateway.send(&bytes);
    let answers: Vec<(u16, String)> =
        std::iter::from_fn(|| client.answer()).map(|answer| (answer.status, answer.text())).collect();
    assert_eq!(answers.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 400], "GW-101");
    assert_eq!((answers[0].1.as_str(), answers[1].1.as_str()), ("/p/0", "/p/1"));
    assert_eq!(teller.seen_at("/p/").len(), 2, "GW-101");
    // GW-105: nothing is read behind a request that closes.
    let closing = format!("GET /first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{}", get("/second"));
    let mut client = gateway.send(closing);
    assert_eq!(client.answer().unwrap().text(), "/first");
    assert!(client.is_closed() && teller.seen_at("/second").is_empty(), "GW-105");
    gateway.settles();
}

#[test]
fn a_request_in_pieces_is_the_same_request() {
    let teller = Teller::start();
    let gateway = Gateway::before(&[&teller], "");
    let request = b"POST /pieces HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    for cut in 1..request.len() {
        let mut client = gateway.send(&request[..cut]);
        // Two writes are two segments once the first has been read.
        std::thread::yield_now();
        client.write(&request[cut..]);
        assert_eq!(client.answer().unwrap().text(), "/pieces", "cut at {cut}");
    }
    let mut client = gateway.connect();
    request.iter().for_each(|byte| client.write([*byte]));
    assert_eq!(client.answer().unwrap().text(), "/pieces");
    assert!(teller.seen_at("/pieces").iter().all(|message| message.body == b"hello"));
    gateway.settles();
}

#[test]
fn odd_bytes_around_fields_that_matter_never_reach_an_instance_as_something_else() {
    let teller = Teller::start();
    let gateway = Gateway::before(&[&teller], "");
    let fields = [("Transfer-Encoding", "chunked"), ("Content-Length", "5"), ("Host", "a"), ("Connection", "close")];
    let mut number = 0;
    for byte in [0x01, 0x04, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1F, 0x20, 0x7F, 0xA0, 0xFF] {
        for (name, value) in fields {
            for place in 0..7 {
                number += 1;
                let byte = [byte];
                let parts: [&[u8]; 3] = match place {
                    0 | 6 => [&byte, name.as_bytes(), b": "],
                    1 => [&name.as_bytes()[..3], &byte, &[&name.as_bytes()[3..], b": "].concat()],
                    2 => [name.as_bytes(), &byte, b": "],
                    3 => [name.as_bytes(), b":", &byte],
                    _ => [name.as_bytes(), b": ", b""],
                };
                let value: Vec<u8> = match place {
                    4 => [&value.as_bytes()[..1], &byte, &value.as_bytes()[1..]].concat(),
                    5 => [value.as_bytes(), &byte].concat(),
                    _ => value.as_bytes().to_vec(),
                };
                let host: &[u8] = if name == "Host" { b"" } else { b"Host: a\r\n" };
                let line = [parts.concat(), value].concat();
                let start = format!("POST /odd/{number}/ HTTP/1.1\r\n");
                let body = if name == "Transfer-Encoding" { "0\r\n\r\n" } else { "hello" };
                let follower = get(&format!("/odd/{number}/smuggled"));
                let bytes =
                    [start.as_bytes(), host, &line, b"\r\n\r\n", body.as_bytes(), follower.as_bytes()].concat();
                let mut client = gateway.send(bytes);
                let _ = client.stream.shutdown(Shutdown::Write);
                while client.answer().is_some() {}
                // GW-111: whatever arrived was one sound request; the teller reads by the strictest grammar.
                for message in teller.seen_at(&format!("/odd/{number}/")) {
                    let smuggled = message.target().ends_with("smuggled");
                    let framed = name == "Connection" || name == "Host" || message.whole;
                    assert!(framed && (!smuggled || message.body.is_empty()), "{line:?}: {message:?}");
                }
            }
        }
    }
    gateway.canary();
}

#[test]
fn an_answer_is_relayed_as_far_as_it_can_be_trusted() {
    let teller = Teller::with(|message| {
        let reply = |bytes: &str| Some(Reply::Bytes(bytes.as_bytes().to_vec()));
        match message.target() {
            "/surplus" => reply(
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
            ),
            "/short" => Some(Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc".to_vec())),
            "/two-lengths" => reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
            "/both" => reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            "/nul" => reply("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
            "/garbage" => reply("this is not HTTP\r\n\r\n"),
            "/101" => reply("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
            "/head" => reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            "/hop" => reply(
                "HTTP/1.1 200 OK\r\nConnection: X-Internal\r\nX-Internal: 9\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
            ),
            "/204" => reply("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
            "/close" => Some(Reply::Last(b"HTTP/1.0 200 OK\r\n\r\nto the end".to_vec())),
            "/reset" => Some(Reply::Last(Vec::new())),
            "/silence" => Some(Reply::Silence),
            "/500" => reply("HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh"),
            _ => None,
        }
    });
    let gateway = Gateway::before(&[&teller], "timeouts = { response = \"300ms\" }");
    let cases = [
        ("GW-21", "/surplus", 200, "abc"),
        ("GW-23", "/two-lengths", 502, ""),
        ("§9", "/both", 502, ""),
        ("GW-25", "/nul", 502, ""),
        ("§9", "/garbage", 502, ""),
        ("§9", "/101", 502, ""),
        ("§9", "/204", 204, ""),
        ("§9", "/close", 200, "to the end"),
        ("§13", "/reset", 502, ""),
        ("GW-26", "/silence", 504, ""),
        ("§13", "/500", 500, "oh"),
    ];
    for (case, target, status, text) in cases {
        let answer = gateway.get(target);
        assert_eq!(answer.status, status, "{case} {target}: {}", answer.text());
        assert!(text.is_empty() || answer.text() == text, "{case} {target}: {}", answer.text());
        (0..3).for_each(|_| gateway.canary());
    }
    let mut client = gateway.send(get("/short"));
    assert!(!client.answer().expect("a head").whole, "GW-22: the client can tell");
    let mut client = gateway.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.answer_to(true).unwrap();
    assert_eq!((answer.status, answer.field("content-length").as_deref()), (200, Some("5")), "GW-24");
    client.write(get("/after"));
    assert_eq!(client.answer().unwrap().text(), "/after", "GW-24");
    let answer = gateway.get("/hop");
    assert_eq!((answer.field("x-internal"), answer.field("keep-alive")), (None, None), "GW-06");
    assert_eq!(answer.head.matches("set-cookie").count(), 2, "{}", answer.head);
    assert_eq!(answer.field("x-instance-id").as_deref(), Some("0"));
    gateway.settles();
    let totals = gateway.totals();
    let failed: Vec<(&str, u64)> = wavetank::record::outcome::Failure::ALL
        .iter()
        .map(|failure| (failure.name(), totals.failed[*failure as usize]))
        .filter(|(_, n)| *n > 0)
        .collect();
    assert_eq!(failed, [("timeout", 1), ("server_error", 6), ("connection", 2)]);
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let (told, asked) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let teller = Teller::with(move |message| {
        (message.target() == "/slow").then(|| {
            told.lock().unwrap().send(()).unwrap();
            Reply::Silence
        })
    });
    let gateway = Gateway::before(&[&teller], "");
    let client = gateway.send(get("/slow"));
    asked.recv().unwrap();
    drop(client);
    gateway.settles();
    assert_eq!(gateway.totals().client_aborted, 1);
    // GW-107: a body that ends early is never a whole request.
    let client = gateway.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    client.stream.shutdown(Shutdown::Both).unwrap();
    gateway.settles();
    gateway.canary();
    assert!(teller.seen_at("/upload").iter().all(|message| !message.whole), "GW-107");
}

#[test]
fn whoever_is_slow_is_waited_for_so_long_and_no_longer() {
    let teller = Teller::start();
    let timeouts = "timeouts = { head = \"200ms\", keep_alive = \"300ms\", body_idle = \"300ms\" }";
    let gateway = Gateway::before(&[&teller], timeouts);
    assert!(gateway.connect().answer().is_none(), "GW-28: not a byte, so not a word");
    let mut client = gateway.send("GET / HTTP/1.1\r\nHost:");
    assert_eq!(client.answer().unwrap().status, 408, "GW-27");
    assert!(client.is_closed());
    let mut client = gateway.send(get("/kept"));
    assert_eq!(client.answer().unwrap().status, 200);
    assert!(client.is_closed(), "after the pause between requests");
    let mut client = gateway.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx");
    assert_eq!(client.answer().unwrap().status, 408, "GW-29");
    gateway.settles();
    assert!(teller.seen_at("/upload").iter().all(|message| !message.whole), "GW-29");
}

#[test]
fn an_expectation_is_met_only_for_those_who_get_in() {
    let teller = Teller::start();
    let gateway = Gateway::before(
        &[&teller],
        "[limiter]\nalgorithm = \"sliding_log\"\nlimit = 1\nwindow = \"1h\"\nkey = \"global\"",
    );
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut client = gateway.send(head);
    assert_eq!(client.answer().unwrap().status, 100);
    client.write("hello");
    assert_eq!(client.answer().unwrap().text(), "/upload");
    let mut client = gateway.send(head);
    let answer = client.answer().unwrap();
    assert_eq!(answer.status, 429, "GW-37: and no 100 before");
    assert!(answer.field("retry-after").is_some() && answer.field("ratelimit").is_some(), "{}", answer.head);
    assert_eq!(answer.field("ratelimit-policy").as_deref(), Some("\"default\";q=1;w=3600"));
    assert!(client.is_closed());
    let seen = teller.seen_at("/upload");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].field("expect"), None);
}

#[test]
fn a_handshake_becomes_a_tunnel_if_the_instance_agrees() {
    let agree = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nwelcome";
    let teller = Teller::with(|message| match message.target() {
        "/chat" => Some(Reply::Bytes(agree.to_vec())),
        "/refuses" => Some(Reply::Bytes(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n".to_vec())),
        _ => None,
    });
    let gateway = Gateway::before(&[&teller], "");
    let handshake = |target: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
    };
    let mut client = gateway.send(handshake("/chat"));
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.field("upgrade").as_deref()), (101, Some("websocket")));
    while client.bytes.len() < 7 && client.more() {}
    assert_eq!(client.bytes, b"welcome");
    client.bytes.clear();
    // The instance reads what follows as it would a request, and answers it: bytes go both ways.
    client.write(get("/inside"));
    assert_eq!(client.answer().unwrap().text(), "/inside");
    drop(client);
    let mut client = gateway.send(format!("{}{}", handshake("/refuses"), get("/next")));
    assert_eq!(client.answer().unwrap().status, 426, "GW-39");
    assert_eq!(client.answer().unwrap().text(), "/next", "GW-39, GW-94: a request like any other");
    let smuggled = gateway.send(format!("{}GET /x HTTP/1.1\r\n\r\n", handshake("/refuses")));
    let mut smuggled = smuggled;
    let statuses: Vec<u16> = std::iter::from_fn(|| smuggled.answer()).map(|answer| answer.status).collect();
    assert_eq!(statuses, [426, 400], "GW-94: and judged like any other");
    gateway.settles();
}

#[test]
fn options_go_as_many_hops_as_they_may() {
    let teller = Teller::start();
    let gateway = Gateway::before(&[&teller], "");
    let options = |hops: u32| {
        gateway.send(format!("OPTIONS /o HTTP/1.1\r\nHost: a\r\nMax-Forwards: {hops}\r\n\r\n")).answer().unwrap()
    };
    assert_eq!((options(0).status, teller.seen_at("/o").len()), (200, 0), "GW-40");
    assert_eq!(options(3).status, 200);
    assert_eq!(teller.seen_at("/o")[0].field("max-forwards").as_deref(), Some("2"), "GW-40");
    let looped = gateway.send("GET /l HTTP/1.1\r\nHost: a\r\nVia: 1.1 wavetank\r\n\r\n").answer().unwrap();
    assert_eq!(looped.status, 508);
}

#[test]
fn what_an_instance_breaks_off_is_asked_of_another_if_it_may_be() {
    let broken = Teller::with(|message| (message.target() != "/-/health").then(|| Reply::Last(Vec::new())));
    let sound = Teller::start();
    let gateway = Gateway::before(&[&broken, &sound], "retries = 2\nretry_budget = 1.0");
    for n in 0..20 {
        assert_eq!(gateway.get(&format!("/get/{n}")).text(), format!("/get/{n}"));
    }
    let mut posts = Vec::new();
    for n in 0..20 {
        let mut client = gateway.send(format!("POST /post/{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"));
        posts.push(client.answer().unwrap().status);
    }
    assert!(posts.contains(&502), "what may not be repeated is not: {posts:?}");
    let all = broken.seen_at("/post/").len() + sound.seen_at("/post/").len();
    assert_eq!(all, 20, "each was sent once");
    gateway.settles();
    assert!(gateway.totals().retries > 0);
}

#[test]
fn nobody_gets_what_was_another_s() {
    let teller = Arc::new(Teller::start());
    let gateway = Gateway::before(&[&teller], "");
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let gateway = &gateway;
            scope.spawn(move || {
                for n in 0..50 {
                    let mut client = gateway.connect();
                    for part in 0..4 {
                        let target = format!("/w/{worker}/{n}/{part}");
                        client.write(get(&target));
                        // Every fifth leaves before its answer.
                        if part == 3 && n % 5 == 0 {
                            break;
                        }
                        assert_eq!(client.answer().unwrap().text(), target);
                    }
                }
            });
        }
    });
    gateway.settles();
    let totals = gateway.totals();
    assert_eq!(totals.offered, totals.succeeded + totals.failed.iter().sum::<u64>());
    assert!(totals.offered >= 8 * 50 * 3 + 8 * 40, "{totals:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn arbitrary_bytes_never_reach_an_instance_as_another_request(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "GET /a HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "Host: a\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n",
            "\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "hello", "\n", "Connection: close\r\n", "X: \u{e9}\r\n",
        ]), 0..14),
    ) {
        use std::sync::OnceLock;
        static WORLD: OnceLock<(Teller, Gateway)> = OnceLock::new();
        let (teller, gateway) = WORLD.get_or_init(|| {
            let teller = Teller::start();
            let gateway = Gateway::before(&[&teller], "");
            (teller, gateway)
        });
        let mut client = gateway.send(pieces.concat());
        let _ = client.stream.shutdown(Shutdown::Write);
        while client.answer().is_some() {}
        gateway.canary();
        // The teller itself asserts that what it reads is framed in one way.
        prop_assert!(teller.seen().iter().all(|message| message.field("host").is_some()));
    }
}

#[test]
fn hundreds_of_idle_and_slow_clients_do_not_keep_others_waiting() {
    let teller = Teller::start();
    let gateway = Gateway::before(&[&teller], "");
    let idle: Vec<_> = (0..150).map(|_| gateway.connect()).collect();
    let slow: Vec<_> = (0..150).map(|_| gateway.send("GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: ")).collect();
    for _ in 0..20 {
        gateway.canary();
    }
    // They are answered as soon as they are done.
    for mut client in slow {
        client.write("1\r\n\r\n");
        assert_eq!(client.answer().unwrap().text(), "/slow");
    }
    drop(idle);
    gateway.settles();
}

#[test]
fn no_address_has_more_connections_than_it_may() {
    let teller = Teller::start();
    let gateway =
        Gateway::before(&[&teller], "limits = { connections_per_address = 2, requests_per_connection = 3 }");
    let mut first = gateway.send(get("/1"));
    assert_eq!(first.answer().unwrap().status, 200);
    let mut second = gateway.send(get("/2"));
    assert_eq!(second.answer().unwrap().status, 200);
    assert!(gateway.connect().is_closed(), "there is no place for a third");
    assert_eq!(gateway.totals().refused_connections, 1);
    first.write(get("/3"));
    assert_eq!(first.answer().unwrap().field("connection"), None);
    first.write(get("/4"));
    let last = first.answer().unwrap();
    assert_eq!(
        (last.status, last.field("connection").as_deref()),
        (200, Some("close")),
        "its third request is its last"
    );
    assert!(first.is_closed());
}

#[test]
fn a_body_is_streamed_both_ways_and_not_kept() {
    let teller = Teller::with(|message| {
        (message.target() == "/big").then(|| {
            let body = "x".repeat(3_000_000);
            Reply::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
        })
    });
    let gateway = Gateway::before(&[&teller], "");
    assert_eq!(gateway.get("/big").body.len(), 3_000_000);
    let mut client = gateway.send("POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..500 {
        client.write(format!("{:x}\r\n{}\r\n", 4096, "y".repeat(4096)));
    }
    client.write("0\r\n\r\n");
    assert_eq!(client.answer().unwrap().text(), "/up");
    assert_eq!(teller.seen_at("/up")[0].body.len(), 500 * 4096);
    gateway.settles();
}
