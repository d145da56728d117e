//! What tools make of the replies of HTTP services: of every kind, too long, too slow, or none.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::upstream::{json_reply, open_head, reply};
use crate::common::{Act, Upstream};
use crate::tools::http_requests::{run, server_with};

fn bytes(content_type: &str, body: &[u8]) -> Vec<Act> {
    vec![open_head(content_type), Act::SendBytes(body.to_vec())]
}

#[tokio::test]
async fn replies_become_json_text_or_a_description() {
    let upstream = Upstream::start(|seen, _| match seen.path.as_str() {
        "/json" => json_reply("200 OK", &json!({"a": [1, null, "é"]})),
        "/problem" => reply("200 OK", "application/problem+json; charset=utf-8", "[1]"),
        "/number" => reply("200 OK", "text/plain", "5"),
        "/no-type" => vec![Act::Send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"a\":1}".to_owned())],
        "/not-json" => reply("200 OK", "application/json", "{oops"),
        "/html" => reply("200 OK", "text/html; charset=utf-8", "<p>h\u{e9}</p>"),
        "/bom" => bytes("text/plain", b"\xef\xbb\xbfhi"),
        "/latin" => bytes("text/plain; charset=iso-8859-1", b"caf\xe9"),
        "/plain-bytes" => bytes("application/octet-stream", b"a,b"),
        "/png" => bytes("image/png", b"\x89PNG\0\xff"),
        "/big-png" => bytes("image/png", &[0xff; 200_000]),
        _ => vec![Act::Send("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned())],
    })
    .await;
    let server = server_with(json!({"base_url": upstream.url()})).await;
    let rows = [
        ("/json", json!({"a": [1, null, "é"]})),
        ("/problem", json!([1])),
        ("/number", json!("5")),
        ("/no-type", json!({"a": 1})),
        ("/not-json", json!("{oops")),
        ("/html", json!("<p>h\u{e9}</p>")),
        ("/bom", json!("hi")),
        ("/latin", json!("caf\u{fffd}")),
        ("/plain-bytes", json!("a,b")),
        ("/png", json!({"content_type": "image/png", "bytes": 6, "base64": "iVBORwD/"})),
        ("/big-png", json!({"content_type": "image/png", "bytes": 200_000})),
        ("/empty", Value::Null),
    ];
    for (path, output) in rows {
        let done = run(&server, json!({"url": path})).await;
        assert_eq!((&done["status"], &done["output"]), (&json!("success"), &output), "{path} {done}");
    }
}

#[tokio::test]
async fn a_status_of_400_or_more_is_a_failure_that_keeps_what_was_said() {
    let upstream = Upstream::start(|_, _| {
        let mut acts =
            vec![Act::Send("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\nset-cookie: a=b\r\n".to_owned())];
        acts.push(Act::Send(
            "content-type: application/json\r\nconnection: close\r\n\r\n{\"why\":\"slow down\"}".to_owned(),
        ));
        acts
    })
    .await;
    let server = server_with(json!({"base_url": upstream.url()})).await;
    let done = run(&server, json!({"url": "/x?key=1", "method": "POST"})).await;
    assert_eq!((&done["status"], &done["success"]), (&json!("failure"), &json!(false)), "{done}");
    assert_eq!(done["error"], format!("POST {}/x answered 429 Too Many Requests", upstream.url()));
    assert_eq!((&done["output"], &done["metadata"]["status_code"]), (&json!({"why": "slow down"}), &json!(429)));
    assert_eq!(done["metadata"]["headers"], json!({"retry-after": "7"}));
}

#[tokio::test]
async fn head_gives_the_headers() {
    let upstream = Upstream::start(|_, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: 999\r\nx-version: 3\r\nset-cookie: a=b\r\nconnection: close\r\n\r\n";
        vec![Act::Send(head.to_owned())]
    })
    .await;
    let server = server_with(json!({"base_url": upstream.url()})).await;
    let done = run(&server, json!({"url": "/x", "method": "HEAD"})).await;
    assert_eq!(done["status"], "success", "{done}");
    assert_eq!((&done["output"]["x-version"], &done["output"]["content-length"]), (&json!("3"), &json!("999")));
    assert_eq!(done["output"].get("set-cookie"), None);
}

#[tokio::test]
async fn of_a_huge_reply_the_beginning_is_given() {
    let upstream = Upstream::start(|seen, _| {
        let mut acts = vec![open_head(if seen.path == "/json" { "application/json" } else { "text/plain" })];
        acts.extend((0..800).map(|_| Act::Send("x".repeat(65_536))));
        acts
    })
    .await;
    let server = server_with(json!({"base_url": upstream.url(), "timeout": 30})).await;
    for path in ["/text", "/json"] {
        let done = run(&server, json!({"url": path})).await;
        assert_eq!((&done["status"], &done["metadata"]["truncated"]), (&json!("success"), &json!(true)), "{path}");
        let length = done["output"].as_str().unwrap().len();
        assert!((100_000..=1_000_000).contains(&length), "{length}");
    }
}

/// A gzip stream that unpacks to 258 megabytes of one letter: the letter once, then copies of what was before, 258 at a time.
fn bomb() -> Vec<u8> {
    let mut bits = vec![true, true, false];
    let code =
        |bits: &mut Vec<bool>, value: u32, length: u32| bits.extend((0..length).rev().map(|at| value >> at & 1 == 1));
    code(&mut bits, 0x30 + u32::from(b'x'), 8);
    for _ in 0..1_000_000 {
        code(&mut bits, 0b1100_0101, 8);
        code(&mut bits, 0, 5);
    }
    let packed =
        bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |sum, (at, bit)| sum | u8::from(*bit) << at));
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255].into_iter().chain(packed).collect()
}

#[tokio::test]
async fn a_small_reply_that_unpacks_to_a_huge_one_is_cut_too() {
    let bomb = bomb();
    let upstream = Upstream::start(move |_, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
        vec![Act::Send(head.to_owned()), Act::SendBytes(bomb.clone())]
    })
    .await;
    let server = server_with(json!({"base_url": upstream.url()})).await;
    let done = run(&server, json!({"url": "/x"})).await;
    assert_eq!(
        (&done["status"], &done["metadata"]["truncated"]),
        (&json!("success"), &json!(true)),
        "{}",
        done["error"]
    );
    assert!(done["output"].as_str().unwrap().starts_with("xxxx"));
}

#[tokio::test]
async fn a_server_that_is_slow_broken_or_not_there_is_named() {
    let slow = Upstream::start(|seen, _| match seen.path.as_str() {
        "/silent" => vec![Act::Hang],
        "/broken" => {
            vec![Act::Send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nabc".to_owned())]
        }
        "/nonsense" => vec![Act::Send("hello\r\n\r\n".to_owned())],
        _ => vec![open_head("text/plain"), Act::Send("abc".to_owned()), Act::Hang],
    })
    .await;
    let server = server_with(json!({"base_url": slow.url(), "timeout": "0.5"})).await;
    let rows = [
        ("/silent", "timeout", "did not answer in time"),
        ("/trickle", "timeout", "did not answer in time"),
        ("/broken", "error", "broke off its reply"),
        ("/nonsense", "error", "broke off its reply"),
    ];
    for (path, status, why) in rows {
        let done = run(&server, json!({"url": path})).await;
        assert_eq!(done["status"], status, "{path} {done}");
        let error = done["error"].as_str().unwrap();
        assert!(error.starts_with(&format!("GET {}{path}", slow.url())) && error.contains(why), "{path}: {error}");
    }
    let server = server_with(json!({"base_url": "http://127.0.0.1:1"})).await;
    let done = run(&server, json!({"url": "/x"})).await;
    assert_eq!(done["error"], "GET http://127.0.0.1:1/x refused the connection", "{done}");
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_call() {
    let upstream = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = server_with(json!({"base_url": upstream.url()})).await;
    let request = server.request("POST", "/api/tools/api/execute").header("content-type", "application/json");
    let request = request.body(json!({"arguments": {"url": "/x"}}).to_string()).timeout(Duration::from_millis(500));
    assert!(request.send().await.unwrap_err().is_timeout());
    tokio::time::timeout(Duration::from_secs(10), upstream.client_left()).await.unwrap();
}
