//! One client's share: whatever one client does with its connections, another one is served. The first is 127.0.0.1, the other
//! 127.0.0.2.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::common::{Client, TestServer};

const GREEDY: &str = "127.0.0.1";
const OTHER: &str = "127.0.0.2";
/// Longest wait for something that takes milliseconds, or the seconds after which a body counts as slow.
const DEADLINE: Duration = Duration::from_secs(20);
const FOLLOW: &str = "GET /api/monitoring/logs?follow=true HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn connect(client: &Client, from: &str) -> TcpStream {
    let to: SocketAddr = client.url("").trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    // What waits here does not wait in the server.
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn send(client: &Client, from: &str, text: &str) -> TcpStream {
    let mut stream = connect(client, from).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What comes until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is cut may end in an error.
    let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The reply to a request of the other client, which must come soon.
async fn asked(client: &Client, method: &str, path: &str, body: &str) -> String {
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}", body.len());
    let mut stream = send(client, OTHER, &format!("{head}\r\n\r\n{body}")).await;
    rest(&mut stream).await
}

/// A reply that says which limit is reached, and when to come again.
fn assert_refused(reply: &str, limit: &str) {
    assert!(reply.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{reply}");
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("retry-after: 1") && head.contains("connection: close"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["code"], "busy");
    assert!(body["detail"].as_str().unwrap().contains(&format!("({limit})")), "{body}");
}

/// Whether nothing more comes after what has come.
fn is_closed(stream: &TcpStream) -> bool {
    let mut bytes = [0; 4_096];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// How many of them are closed, given a moment.
async fn closed_of(streams: &[TcpStream]) -> usize {
    tokio::time::sleep(Duration::from_millis(300)).await;
    streams.iter().filter(|stream| is_closed(stream)).count()
}

#[tokio::test]
async fn idle_connections_lock_nobody_out_even_if_a_client_may_have_any_number() {
    let server = TestServer::with(&[("MAX_CONNECTIONS", "200"), ("MAX_CONNECTIONS_PER_ADDRESS", "0")]).await;
    let mut idle = Vec::new();
    for number in 0..1_000 {
        // Some say nothing, some begin and don't go on, some have been served.
        let text =
            ["", "GET /health HTTP/1.1\r\nhost: lo", "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"][number % 3];
        idle.push(send(&server, GREEDY, text).await);
    }
    for _ in 0..3 {
        let reply = asked(&server, "GET", "/livez", "").await;
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }
    assert!(closed_of(&idle).await >= 800, "they stay");
}

#[tokio::test]
async fn a_client_has_its_share_of_connections_and_no_more() {
    let server = TestServer::with(&[("MAX_CONNECTIONS_PER_ADDRESS", "20")]).await;
    let mut idle = send(&server, GREEDY, "").await;
    let mut busy = Vec::new();
    for _ in 0..20 {
        let mut stream = send(&server, GREEDY, FOLLOW).await;
        stream.read_exact(&mut [0; 12]).await.unwrap();
        busy.push(stream);
    }
    assert_eq!(rest(&mut idle).await, "", "the idle one made room");
    let mut further = send(&server, GREEDY, FOLLOW).await;
    assert_refused(&rest(&mut further).await, "MAX_CONNECTIONS_PER_ADDRESS");
    assert!(asked(&server, "GET", "/livez", "").await.starts_with("HTTP/1.1 200 OK"));

    drop(busy.pop());
    let until = tokio::time::Instant::now() + DEADLINE;
    loop {
        let mut stream = connect(&server, GREEDY).await;
        // It may be refused while the server has not noticed yet that there is one less.
        drop(stream.write_all(FOLLOW.as_bytes()).await);
        let mut status = [0; 12];
        if stream.read_exact(&mut status).await.is_ok() && status.ends_with(b"200") {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "the place of a closed connection is not given away");
    }
    assert_eq!(closed_of(&busy).await, 0, "what is in use stays");
}

#[tokio::test]
async fn replies_that_nobody_takes_are_bounded_in_total() {
    let variables = [("MAX_BODY_BYTES", "9000000"), ("MAX_BUFFERED_BYTES", "40000000")];
    let server = TestServer::with(&variables).await;
    let content = json!({"role": "user", "content": "x".repeat(8_000_000)});
    server.post("/api/memory/ada/message", &content).await.expect(200);
    let ask = "GET /api/memory/ada/history HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let zipped = "GET /api/memory/ada/history HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n\r\n";
    let mut asleep = Vec::new();
    for _ in 0..12 {
        let mut stream = send(&server, GREEDY, ask).await;
        stream.read_exact(&mut [0; 12]).await.unwrap();
        asleep.push(stream);
    }
    // The other one asks for much too, and takes it.
    for _ in 0..3 {
        assert!(asked(&server, "GET", "/api/memory/ada/history", "").await.len() > 8_000_000);
    }
    let mut complete = 0;
    for stream in &mut asleep {
        complete += usize::from(rest(stream).await.len() > 8_000_000);
    }
    assert!(complete <= 5, "{complete} replies of 8 MB waited in 40 MB");
    let mut stream = send(&server, GREEDY, zipped).await;
    stream.read_exact(&mut [0; 12]).await.unwrap();
}

#[tokio::test]
async fn a_reply_that_alone_is_more_than_all_may_keep_is_sent() {
    let server = TestServer::with(&[("MAX_BODY_BYTES", "1000000"), ("MAX_BUFFERED_BYTES", "1000000")]).await;
    let content = json!({"role": "user", "content": "x".repeat(900_000)});
    for _ in 0..8 {
        server.post("/api/memory/ada/message", &content).await.expect(200);
    }
    assert!(asked(&server, "GET", "/api/memory/ada/history", "").await.len() > 7_200_000);
}

#[tokio::test]
async fn bodies_that_do_not_come_to_an_end_are_bounded_in_memory() {
    let server = TestServer::with(&[("MAX_BODY_BYTES", "1000000"), ("MAX_BUFFERED_BYTES", "2000000")]).await;
    let mut slow = Vec::new();
    let part = format!(
        "POST /api/memory/ada/message HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999\r\n\r\n{}",
        " ".repeat(500_000)
    );
    for _ in 0..8 {
        slow.push(send(&server, GREEDY, &part).await);
    }
    let body = json!({"role": "user", "content": "x".repeat(900_000)}).to_string();
    for _ in 0..3 {
        let reply = asked(&server, "POST", "/api/memory/bob/message", &body).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }
    let closed = closed_of(&slow).await;
    assert!(closed >= 4, "only {closed} of 8 bodies of 500 kB had to go for 2 MB");
}

#[tokio::test]
async fn bodies_that_do_not_come_to_an_end_are_bounded_in_number() {
    let server = TestServer::with(&[("MAX_CONNECTIONS", "10"), ("MAX_CONNECTIONS_PER_ADDRESS", "0")]).await;
    let mut slow = Vec::new();
    for _ in 0..10 {
        let head = "POST /v1/chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
        slow.push(send(&server, GREEDY, head).await);
    }
    let until = tokio::time::Instant::now() + DEADLINE;
    loop {
        let reply = asked(&server, "GET", "/livez", "").await;
        if reply.starts_with("HTTP/1.1 200 OK") {
            break;
        }
        assert_refused(&reply, "MAX_CONNECTIONS");
        assert!(tokio::time::Instant::now() < until, "slow bodies lock others out");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(closed_of(&slow).await >= 1);
}

#[tokio::test]
async fn a_full_server_says_so_at_once_and_goes_on_with_what_it_has() {
    let server = TestServer::with(&[("MAX_CONNECTIONS", "20"), ("MAX_CONNECTIONS_PER_ADDRESS", "0")]).await;
    let mut busy = Vec::new();
    for _ in 0..20 {
        let mut stream = send(&server, GREEDY, FOLLOW).await;
        stream.read_exact(&mut [0; 12]).await.unwrap();
        busy.push(stream);
    }
    let started = tokio::time::Instant::now();
    for _ in 0..10 {
        assert_refused(&asked(&server, "GET", "/livez", "").await, "MAX_CONNECTIONS");
        let large = "x".repeat(90_000);
        assert_refused(&asked(&server, "POST", "/v1/chat", &large).await, "MAX_CONNECTIONS");
    }
    // Those that say nothing are closed, and those that are too many to be told.
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(connect(&server, GREEDY).await);
    }
    for stream in &mut silent {
        rest(stream).await;
    }
    assert!(started.elapsed() < DEADLINE, "it took {:?}", started.elapsed());
    assert_eq!(closed_of(&busy).await, 0, "what is in use stays");
    drop(busy);
    let until = tokio::time::Instant::now() + DEADLINE;
    while !asked(&server, "GET", "/livez", "").await.starts_with("HTTP/1.1 200 OK") {
        assert!(tokio::time::Instant::now() < until, "there is no room again");
    }
}
