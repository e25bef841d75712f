use super::*;
use proptest::prelude::*;

/// What an inspector lets through and finds, its input cut at these places.
fn inspect(bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Vec<Found>) {
    let mut inspector = Inspector::new(1000);
    let (mut out, mut found) = (Vec::new(), Vec::new());
    let mut from = 0;
    for &cut in cuts.iter().chain([&bytes.len()]) {
        let cut = cut.clamp(from, bytes.len());
        inspector.read(&bytes[from..cut], &mut out, &mut found);
        from = cut;
    }
    (out, found)
}

fn statuses(found: &[Found]) -> Vec<u16> {
    let status = |found: &Found| match found {
        Found::Head(Ok(_)) => 200,
        Found::Head(Err(refusal)) | Found::Broken(refusal) => refusal.status,
    };
    found.iter().map(status).collect()
}

#[test]
fn what_follows_a_body_is_the_next_request() {
    let bytes = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /GET /b HTTP/1.1\r\nHost: a\r\n\r\n";
    let (out, found) = inspect(bytes, &[]);
    assert_eq!(out, bytes);
    assert_eq!(statuses(&found), [200, 200], "GW-69, GW-70");
}

#[test]
fn nothing_is_read_behind_what_was_refused() {
    let mut bytes = Vec::new();
    for n in 0..16 {
        let host = if n == 2 { "Host : a" } else { "Host: a" };
        bytes.extend_from_slice(format!("GET /{n} HTTP/1.1\r\n{host}\r\n\r\n").as_bytes());
    }
    let (out, found) = inspect(&bytes, &[]);
    assert_eq!(statuses(&found), [200, 200, 400], "GW-101");
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.contains("/1 ")
            && out.ends_with("GET /refused HTTP/1.1\r\nhost: refused\r\n\r\n")
            && !out.contains("/3 ")
    );
}

#[test]
fn two_empty_lines_are_skipped_and_no_more() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let with = |n: usize| inspect(&[&b"\r\n".repeat(n), request.as_slice()].concat(), &[]);
    assert_eq!(with(2).0, request);
    assert_eq!(statuses(&with(3).1), [400], "GW-102");
}

#[test]
fn after_a_handshake_everything_waits_for_a_decision() {
    let handshake = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let bytes = [handshake.as_slice(), b"\x81\x05hello"].concat();
    let read = |decision| {
        let mut inspector = Inspector::new(0);
        let (mut out, mut found) = (Vec::new(), Vec::new());
        inspector.read(&bytes, &mut out, &mut found);
        assert_eq!(out, handshake);
        out.clear();
        inspector.decided(decision, &mut out, &mut found);
        (out, statuses(&found))
    };
    assert_eq!(read(Decision::Tunnel), (b"\x81\x05hello".to_vec(), vec![200]));
    let (out, found) = read(Decision::Requests);
    assert_eq!(
        (out.as_slice(), found),
        (STAND_IN, vec![200, 400]),
        "GW-39, GW-94: they are a request, and no sound one"
    );
}

/// Pieces of requests, sound and unsound.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "hello",
        "\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    ]);
    prop_oneof![9 => text.prop_map(|text| text.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..8)]
}

proptest! {
    #[test]
    fn however_it_is_cut_it_is_read_alike(
        pieces in prop::collection::vec(piece(), 0..16),
        cuts in prop::collection::vec(0usize..400, 0..8),
    ) {
        let bytes = pieces.concat();
        let mut cuts = cuts;
        cuts.sort_unstable();
        let whole = inspect(&bytes, &[]);
        prop_assert_eq!(&inspect(&bytes, &cuts), &whole);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&inspect(&bytes, &every), &whole);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (out, found) = inspect(&bytes, &[]);
        let heads = found.iter().filter(|found| matches!(found, Found::Head(_))).count();
        prop_assert!(out.is_empty() || heads > 0, "nothing passes without a verdict");
    }
}
