use super::*;

fn judged(head: &[u8]) -> Result<Framing, u16> {
    judge(head, 10 * 1024 * 1024).map(|head| head.framing).map_err(|refusal| refusal.status)
}

/// The verdict on a POST with these field lines beside its Host.
fn with(fields: &str) -> Result<Framing, u16> {
    judged(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").as_bytes())
}

/// The verdict on a GET of this target.
fn target(target: &str) -> Result<Framing, u16> {
    judged(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
}

#[test]
fn a_body_is_framed_in_one_way_or_not_at_all() {
    assert_eq!(with("X: 1"), Ok(Framing::None));
    assert_eq!(with("Content-Length: 5"), Ok(Framing::Length(5)));
    assert_eq!(with("Content-Length: 005"), Ok(Framing::Length(5)), "GW-66");
    assert_eq!(with("Transfer-Encoding: chunked"), Ok(Framing::Chunked));
    assert_eq!(with("transfer-encoding:\tChunked"), Ok(Framing::Chunked), "GW-54");
    assert_eq!(with("Transfer-Encoding: chunked\t "), Ok(Framing::Chunked), "GW-55");
    assert_eq!(with("Content-Length: 6\r\nTransfer-Encoding: chunked"), Err(400), "GW-50");
    assert_eq!(with("Transfer-Encoding: chunked\r\nContent-Length: 4"), Err(400), "GW-51");
}

#[test]
fn a_coding_that_is_not_quite_chunked_is_none() {
    for coding in
        ["xchunked", "chunkedx", "\"chunked\"", "'chunked'", "chunk", "chunked, identity", "identity, chunked"]
    {
        assert_eq!(with(&format!("Transfer-Encoding: {coding}")), Err(400), "GW-56, GW-57 {coding}");
    }
    for coding in ["chunked, chunked", ",chunked", "chunked,", "", "chunked;q=1", "gzip", "chunked, gzip"] {
        assert_eq!(with(&format!("Transfer-Encoding: {coding}")), Err(400), "GW-57 {coding}");
    }
    assert_eq!(with("Transfer-Encoding: gzip, chunked"), Err(501));
    for two in ["chunked\r\nTransfer-Encoding: identity", "identity\r\nTransfer-Encoding: chunked"] {
        assert_eq!(with(&format!("Transfer-Encoding: {two}")), Err(400), "GW-58");
    }
    for fields in
        ["Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked"]
    {
        assert_eq!(with(fields), Err(400), "GW-52, GW-53, GW-61");
    }
    assert_eq!(with("Transfer-Encoding:\r\n chunked"), Err(400), "GW-61");
    assert_eq!(with("X: x\nTransfer-Encoding: chunked"), Err(400), "GW-60");
    assert_eq!(with("X: x\rTransfer-Encoding: chunked"), Err(400), "GW-60");
    assert_eq!(with("Transfer-Encoding: chun\u{212A}ed"), Err(400), "GW-62");
    assert_eq!(with("tran\u{17F}fer-encoding: chunked"), Err(400), "GW-62");
    assert_eq!(judged(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400), "GW-71");
}

#[test]
fn a_length_is_digits_that_fit() {
    for length in ["+5", "-5", "0x5", "5 5", "5,", ",5", "5e0", "5.0", "", "0_5", "5, 5", "\u{FF15}"] {
        assert_eq!(with(&format!("Content-Length: {length}")), Err(400), "GW-63, GW-65, GW-109 {length:?}");
    }
    for length in ["18446744073709551616", "9223372036854775808", &"9".repeat(99), "18446744073709551615"] {
        assert_eq!(with(&format!("Content-Length: {length}")), Err(400), "GW-36, GW-68 {length}");
    }
    assert_eq!(with("Content-Length: 5\r\nContent-Length: 5"), Err(400), "GW-63");
    assert_eq!(with("Content-Length: 5\r\nContent-Length: 6"), Err(400), "GW-64");
    for name in ["Content-Length ", "Content_Length", "Content-Length\0"] {
        assert_eq!(with(&format!("{name}: 5")), Err(400), "GW-67");
    }
    assert_eq!(with("Content-Length: 10485760"), Ok(Framing::Length(10_485_760)));
    assert_eq!(with("Content-Length: 10485761"), Err(413), "GW-35");
}

#[test]
fn a_control_character_anywhere_is_too_many() {
    for byte in [0x01, 0x04, 0x08, 0x0B, 0x0C, 0x0D, 0x1F, 0x7F] {
        let at = |before: &str, after: &str| {
            let mut head = format!("POST / HTTP/1.1\r\nHost: a\r\n{before}").into_bytes();
            head.push(byte);
            head.extend_from_slice(format!("{after}\r\n\r\n").as_bytes());
            judged(&head)
        };
        for (before, after) in [
            ("", "Transfer-Encoding: chunked"),
            ("Transfer-", "Encoding: chunked"),
            ("Transfer-Encoding", ": chunked"),
            ("Transfer-Encoding:", "chunked"),
            ("Transfer-Encoding: chun", "ked"),
            ("Transfer-Encoding: chunked", ""),
        ] {
            assert_eq!(at(before, after), Err(400), "GW-59 {byte:#x} after {before:?}");
        }
    }
    for byte in [0xA0, 0xFF] {
        let mut head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked".to_vec();
        head.push(byte);
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(judged(&head), Err(400), "GW-59 {byte:#x}");
    }
    assert_eq!(judged("GET / HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n\r\n".as_bytes()), Ok(Framing::None), "GW-88");
    assert_eq!(with("X:\r\nY:  \t "), Ok(Framing::None), "GW-89");
}

#[test]
fn there_is_one_host_and_it_is_a_host() {
    let host = |lines: &str| judged(format!("GET / HTTP/1.1\r\n{lines}X: 1\r\n\r\n").as_bytes());
    for lines in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n"] {
        assert_eq!(host(lines), Err(400), "GW-79 {lines:?}");
    }
    for name in ["a, b", "a b", "a@b", "a/b", "a:99999", "[::1", "[::g]", "a:b", "", "a\\b"] {
        assert_eq!(host(&format!("Host: {name}\r\n")), Err(400), "GW-79 {name:?}");
    }
    for name in ["a", "a:80", "[::1]", "[::1]:8080", "a-b.c_d:", "127.0.0.1:65535"] {
        assert_eq!(host(&format!("Host: {name}\r\n")), Ok(Framing::None), "{name:?}");
    }
    assert_eq!(judged(b"GET / HTTP/1.0\r\n\r\n"), Ok(Framing::None), "GW-108");
    assert_eq!(target("http://evil/x"), Err(400), "GW-80");
    assert_eq!(target("http://a/x"), Ok(Framing::None));
    assert_eq!(target("http://A"), Ok(Framing::None));
    assert_eq!(target("http://169.254.169.254/latest"), Err(400), "GW-100");
}

#[test]
fn a_request_line_has_three_parts_and_two_spaces() {
    for line in
        ["GET  / HTTP/1.1", "GET\t/ HTTP/1.1", "GET / HTTP/1.1 ", "GET /a b HTTP/1.1", " GET / HTTP/1.1", "GET /"]
    {
        assert_eq!(judged(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), Err(400), "GW-81 {line:?}");
    }
    for line in ["GET / HTTP/1.1\0", "GET /\0 HTTP/1.1", "GET /\r HTTP/1.1", "Extra lineGET / HTTP/1.1"] {
        assert_eq!(judged(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), Err(400), "GW-82, GW-85 {line:?}");
    }
    for (version, status) in
        [("HTTP/1.10", 400), ("HTTP/01.1", 400), ("http/1.1", 400), ("HTTP/2.0", 505), ("HTTP/1.2", 505)]
    {
        assert_eq!(judged(format!("GET / {version}\r\nHost: a\r\n\r\n").as_bytes()), Err(status), "GW-84 {version}");
    }
    let method = |method: &str| judged(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!((method("get"), method("TRACE"), method("BREW")), (Err(501), Err(405), Err(501)), "GW-83, GW-98");
    assert_eq!(judged(b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n"), Err(501), "GW-99");
    assert_eq!(judged(b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n"), Err(400), "GW-77");
    assert_eq!(judged(b"GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n"), Err(400), "GW-78");
    assert_eq!(judged(b"PRI * HTTP/2.0\r\n\r\n"), Err(505), "GW-84");
}

#[test]
fn a_target_has_only_characters_that_targets_have() {
    for bad in ["/a\\b", "/a#b", "/\"", "/<", "/{", "/|", "/^", "/`", "a", "a:80", "*", "ftp://a/"] {
        assert_eq!(target(bad), Err(400), "GW-97 {bad:?}");
    }
    assert_eq!(judged("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes()), Err(400));
    for fine in ["//evil/", "/..;/admin", "/%2e%2e/admin", "/?q=%0d%0aX:1", "/a?b=c&d=[1]"] {
        assert_eq!(target(fine), Ok(Framing::None), "GW-96, GW-97 {fine:?}");
    }
    assert_eq!(judged(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Framing::None));
    assert_eq!(target(&format!("/{}", "a".repeat(8000))), Ok(Framing::None), "GW-33");
    assert_eq!(target(&format!("/{}", "a".repeat(9000))), Err(414), "GW-33");
}

#[test]
fn a_head_is_bounded() {
    let fields = |n: usize| with(&(0..n).map(|i| format!("X-{i}: 1")).collect::<Vec<_>>().join("\r\n"));
    assert_eq!(fields(99), Ok(Framing::None), "GW-34: the Host is one of them");
    assert_eq!(fields(100), Err(431), "GW-34");
    assert_eq!(with(&format!("X: {}", "a".repeat(9000))), Err(431));
    let long = vec![format!("X: {}", "a".repeat(8000)); 5].join("\r\n");
    assert_eq!(with(&long), Err(431));
}

#[test]
fn connection_may_not_name_what_has_to_stay() {
    for name in ["X-Forwarded-For", "Host", "content-length", "Transfer-Encoding", "close, Cookie", "x y"] {
        assert_eq!(with(&format!("Connection: {name}")), Err(400), "GW-02, GW-08, GW-09, GW-90 {name}");
    }
    assert_eq!(with("Connection: ,, ,close"), Ok(Framing::None), "GW-07");
    for expectation in ["y 100-continue", "100-continue, x", "100-continue2", ""] {
        assert_eq!(with(&format!("Expect: {expectation}")), Err(417), "GW-93 {expectation}");
    }
    assert_eq!(with("Expect: 100-Continue"), Ok(Framing::None));
}

#[test]
fn a_websocket_handshake_is_one_only_if_it_is_whole() {
    let head = |more: &str| format!("GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n{more}\r\n");
    let is = |head: &str| judge(head.as_bytes(), 0).unwrap().websocket;
    let whole = "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    assert!(is(&head(whole)));
    assert!(!is(&head(&whole.replace("13", "12"))));
    assert!(!is(&head(&whole.replace("dGhl", ""))));
    assert!(!is(&head(&whole.replace("Upgrade", "close"))));
    assert!(!is(&head(whole).replace("websocket", "h2c")), "GW-95");
    assert!(!is(&head(&format!("{whole}Content-Length: 5\r\n"))));
}

#[test]
fn the_beginning_of_a_sound_head_is_waited_for() {
    let head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    for cut in 0..head.len() {
        assert_eq!(prospect(&head[..cut]), Ok(()), "cut at {cut}");
        assert_eq!(end(&head[..cut], 0), None);
    }
    assert_eq!(end(head, 0), Some(head.len()));
    assert_eq!(end(head, head.len() - 2), Some(head.len()), "what was searched before is not lost");
}
