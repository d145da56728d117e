//! Names with several addresses, of which the server may call some: it reaches those and no others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::common::databases::{TestDatabase, mariadb, postgres};
use crate::common::sources::{failure, rows, source, test};
use crate::common::{TestServer, Upstream};

const DEADLINE: Duration = Duration::from_secs(15);
const FORBIDDEN: &str = "127.0.0.2";

/// A server that may call 127.0.0.1 and nothing else of this machine.
async fn server_with_names() -> TestServer {
    let names: &[(&str, &[&str])] = &[
        ("mixed.test", &[FORBIDDEN, "127.0.0.1"]),
        ("forbidden.test", &[FORBIDDEN]),
        ("private.test", &["10.0.0.1", "127.0.0.2"]),
        ("several.test", &["127.0.0.1", "127.0.0.1"]),
    ];
    TestServer::with_names(&[("OUTBOUND_POLICY", "public_only"), ("OUTBOUND_ALLOW", "127.0.0.1")], names).await
}

/// Counts who connects to a forbidden address at this port.
async fn trap(port: u16) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind((FORBIDDEN, port)).await.unwrap();
    let caught = Arc::new(AtomicUsize::new(0));
    let counter = caught.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    caught
}

fn address(database: &TestDatabase) -> SocketAddr {
    let (_, rest) = database.url.split_once('@').unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_name_with_a_forbidden_and_an_allowed_address_leads_to_the_allowed_one() {
    let (one, two) = (postgres(&[]).await, mariadb(&[]).await);
    let server = server_with_names().await;
    let upstream = Upstream::answering(json!({"data": [{"one": 1}], "row_count": 1})).await;
    let (_, place) =
        upstream.url().split_once("//").map(|(a, b)| (a.to_owned(), b.parse::<SocketAddr>().unwrap())).unwrap();
    for (kind, url, place) in [
        ("postgres", one.url.clone(), address(&one)),
        ("mysql", two.url.clone(), address(&two)),
        ("api", upstream.url(), place),
    ] {
        let caught = trap(place.port()).await;
        let named = |name: &str| url.replace(&place.to_string(), &format!("{name}:{}", place.port()));
        server.post("/api/datasources", &source(kind, &named("mixed.test"), json!({}))).await.expect(201);
        for _ in 0..3 {
            assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]), "{kind}");
        }
        for name in ["forbidden.test", "private.test", FORBIDDEN, "10.0.0.1", "0x7f.2", "[::1]"] {
            server.put("/api/datasources/db", &source(kind, &named(name), json!({}))).await.expect(200);
            let said = failure(&server, "SELECT 1 AS one", json!({})).await;
            assert!(said.contains("must not be called"), "{kind} at {name}: {said}");
            assert_eq!(test(&server).await["success"], false);
        }
        assert_eq!(caught.load(Ordering::SeqCst), 0, "{kind}");
        server.delete("/api/datasources/db").await.expect(200);
    }
}

/// What a client says that is greeted like this and gets this answer to its first words.
async fn said_to(greeting: &'static [u8], answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(greeting).await.unwrap();
        let mut heard = vec![0; 4096];
        let mut length = stream.read(&mut heard).await.unwrap();
        stream.write_all(answer).await.unwrap();
        while length < 200 {
            let more = stream.read(&mut heard[length..]).await.unwrap();
            assert!(more > 0, "it left after {length} bytes");
            length += more;
        }
        heard
    });
    (address, heard)
}

#[tokio::test]
async fn the_name_is_kept_for_tls() {
    // A MySQL server that speaks TLS.
    const GREETING: &[u8] = b"\x49\0\0\0\x0a8.0.0\0\x01\0\0\0a-nonce.\0\xff\xff\xff\x02\0\xff\xdf\x15\
        \0\0\0\0\0\0\0\0\0\0second-half-\0mysql_native_password\0";
    let server = server_with_names().await;
    for (kind, greeting, answer, mode) in
        [("postgres", &b""[..], &b"S"[..], "verify-full"), ("mysql", GREETING, b"", "VERIFY_IDENTITY")]
    {
        let (place, heard) = said_to(greeting, answer).await;
        let url = format!("{kind}://u:p@several.test:{}/x?sslmode={mode}", place.port());
        server.post("/api/datasources", &source(kind, &url, json!({}))).await.expect(201);
        let (said, heard) =
            timeout(DEADLINE, async { tokio::join!(failure(&server, "SELECT 1", json!({})), heard) }).await.unwrap();
        assert!(heard.unwrap().windows(12).any(|part| part == b"several.test"), "{kind}: {said}");
        server.delete("/api/datasources/db").await.expect(200);
    }
}

/// Tries all sockets on this machine over which a server reaches databases, and shows what each of them says.
const INTRUDER: &str = r"
import socket
for line in open('/proc/net/unix'):
    name = line.split()[-1]
    if name.startswith('@orchestrator-studio/'):
        intruder = socket.socket(socket.AF_UNIX)
        intruder.settimeout(5)
        try:
            intruder.connect('\0' + name[1:])
            intruder.sendall(b'\0\0\0\x08\x04\xd2\x16\x2f')
            print(intruder.recv(1))
        except (ConnectionError, BrokenPipeError):
            print(b'')
";

#[tokio::test]
async fn no_other_process_gets_to_a_database_over_the_servers_own_sockets() {
    let (one, two) = (postgres(&[]).await, mariadb(&[]).await);
    for (kind, database) in [("postgres", &one), ("mysql", &two)] {
        let server = server_with_names().await;
        server.post("/api/datasources", &source(kind, &database.url, json!({}))).await.expect(201);
        rows(&server, "SELECT 1 AS one", json!({})).await;
        let said = tokio::process::Command::new("python3").args(["-c", INTRUDER]).output().await.unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(!said.is_empty() && said.lines().all(|line| line == "b''"), "{kind}: {said}");
        assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]));
    }
}
