//! Floods of one kind each: slow clients, idle connections, large bodies, endless heads. Others are served meanwhile, with and without
//! TLS. The server is a process of its own; who asks meanwhile is a thread of its own, whose figures are printed (`--nocapture`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::common::Program;
use crate::common::certificates::Authority;
use crate::common::process_memory::ProcessMemory;
use crate::common::wire::{Target, Wire, get, rest, send};

/// How often the other client asks while a flood is on.
const QUESTIONS: usize = 100;
/// What half of its questions must be answered in. On a machine that does nothing else it is milliseconds; this one runs other tests.
const MEDIAN: Duration = Duration::from_secs(1);
/// What every question must be answered in.
const LONGEST: Duration = Duration::from_secs(10);
const OTHER: &str = "127.0.0.2";

struct Flooded {
    program: Program,
    target: Target,
    kind: &'static str,
    _folder: TempDir,
    _authority: Option<Authority>,
}

/// One server without TLS, and one with it if there is openssl.
async fn servers(more: &[(&str, &str)]) -> Vec<Flooded> {
    // Both ends of thousands of connections, while other tests run.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let mut servers = Vec::new();
    for (kind, authority) in [("plain", None), ("TLS", Authority::new())] {
        let certificate = authority.as_ref().map(|authority| authority.issue("server").variables());
        if kind == "TLS" && certificate.is_none() {
            continue;
        }
        let tls = certificate.iter().flatten().map(|(name, path)| (*name, path.as_str()));
        let variables: Vec<_> = tls.chain(more.iter().copied()).collect();
        let folder = TempDir::new().unwrap();
        let program = Program::start("serve", folder.path(), &variables).await;
        let plain = Target::of(&program.client.url(""));
        let target = match &authority {
            Some(authority) => plain.with_tls(authority.roots()),
            None => plain,
        };
        servers.push(Flooded { program, target, kind, _folder: folder, _authority: authority });
    }
    servers
}

impl Flooded {
    /// Another client asks, again and again, over connections of its own.
    #[expect(clippy::print_stdout, reason = "the figures are for who runs the test with --nocapture")]
    async fn others_are_served(&self, flood: &str) {
        let (target, log) = (self.target.clone(), self.program.log.clone());
        let asking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut times = Vec::new();
                for number in 0..QUESTIONS {
                    let path = ["/livez", "/health", "/api/memory/ada/history", "/v1/executions"][number % 4];
                    let started = Instant::now();
                    let reply = target.ask(OTHER, path).await.unwrap();
                    times.push(started.elapsed());
                    let log = || std::fs::read_to_string(&log).unwrap();
                    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{path}: {reply}\n{}", log());
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                times.sort();
                times
            })
        });
        let times = tokio::task::spawn_blocking(|| asking.join().unwrap()).await.unwrap();
        let (median, most, longest) = (times[QUESTIONS / 2], times[QUESTIONS * 95 / 100], times[QUESTIONS - 1]);
        let figures = format!("median {median:?}, 95 of 100 within {most:?}, longest {longest:?}");
        println!("{}, {flood}: {figures}", self.kind);
        assert!(median < MEDIAN && longest < LONGEST, "{}, {flood}: {figures}", self.kind);
    }

    /// Has as many clients do the same until the other one has been served.
    async fn during<F>(&self, flood: &str, clients: usize, act: impl Fn(Target, usize) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut acting = JoinSet::new();
        for client in 0..clients {
            acting.spawn(act(self.target.clone(), client));
        }
        // The flood is to be there first.
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.others_are_served(flood).await;
        let ended = (0..clients).filter(|_| acting.try_join_next().is_some()).count();
        assert!(ended * 10 < clients, "{}, {flood}: {ended} clients have given up", self.kind);
        acting.abort_all();
    }
}

/// An address of a client, of which there are as many as connections make necessary.
fn address(client: usize) -> String {
    format!("127.0.1.{}", 1 + client / 900)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_keep_nobody_waiting() {
    for server in servers(&[]).await {
        let mut idle: Vec<Box<dyn Wire>> = Vec::new();
        let memory = ProcessMemory::now(server.program.pid());
        for batch in 0..50 {
            let opening = (0..100).map(|number| {
                let (target, client) = (server.target.clone(), batch * 100 + number);
                async move {
                    let mut wire = target.connect(&address(client)).await.unwrap();
                    // Half of them have asked before, which leaves more of them.
                    if client % 2 == 0 {
                        send(&mut wire, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
                        wire.read_exact(&mut [0; 12]).await.unwrap();
                    }
                    wire
                }
            });
            idle.extend(futures_util::future::join_all(opening).await);
        }
        assert_eq!(idle.len(), 5_000);
        server.others_are_served("5,000 idle connections").await;
        let mut open = 0;
        for wire in idle.iter_mut().skip(1).step_by(2) {
            open += usize::from(tokio::time::timeout(Duration::ZERO, wire.read_u8()).await.is_err());
        }
        assert!(open >= 2_400, "only {open} of the 2,500 that have never asked are still open");
        let each = memory.taken() / 5_000;
        assert!(each < 60_000, "an idle connection takes {each} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_keep_nobody_waiting() {
    for server in servers(&[("MAX_BODY_BYTES", "2000000")]).await {
        let content = json!({"role": "user", "content": "x".repeat(1_900_000)}).to_string();
        let head =
            "POST /api/memory/large/message HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: ";
        // More than the system keeps for a connection.
        for _ in 0..4 {
            let mut filling = server.target.connect(OTHER).await.unwrap();
            send(&mut filling, format!("{head}{}\r\n\r\n{content}", content.len()).as_bytes()).await.unwrap();
            assert!(rest(&mut filling).await.starts_with("HTTP/1.1 200 OK"));
        }

        let slow = |target: Target, client: usize| async move {
            let Ok(mut wire) = target.connect(&address(client)).await else { return };
            // A reply that is not read, a head and a body that come byte by byte.
            let unread = get("/api/memory/large/history");
            let (start, piece) = match client % 2 {
                _ if client < 20 => (unread.as_str(), ""),
                0 => ("GET /livez HTTP/1.1\r\nhost: localhost\r\nx-slow: ", "x"),
                _ => ("POST /v1/chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n{", " "),
            };
            let mut sent = send(&mut wire, start.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                sent = send(&mut wire, piece.as_bytes()).await;
            }
        };
        server.during("600 slow clients", 600, slow).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_a_hundred_megabytes_keep_nobody_waiting() {
    const BODY: usize = 100_000_000;
    // As it is by default, and where such bodies are taken.
    for allowed in ["10000000", "200000000"] {
        for server in servers(&[("MAX_BODY_BYTES", allowed)]).await {
            let memory = ProcessMemory::now(server.program.pid());
            let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
            let upload = |target: Target, client: usize| {
                let (stop, sent) = (stop.clone(), sent.clone());
                async move {
                    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
                    while !stop.load(Ordering::Relaxed) {
                        let Ok(mut wire) = target.connect(&address(client)).await else { continue };
                        let head = "POST /v1/chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
                        // Either says how long it is, and is refused for it, or does not.
                        let (framing, piece) = match client % 2 {
                            0 => (format!("content-length: {BODY}\r\n\r\n"), &chunk[7..chunk.len() - 2]),
                            _ => ("transfer-encoding: chunked\r\n\r\n".to_owned(), chunk.as_str()),
                        };
                        let mut going = send(&mut wire, format!("{head}{framing}").as_bytes()).await;
                        for _ in 0..BODY / 0x10000 {
                            if going.is_err() || stop.load(Ordering::Relaxed) {
                                break;
                            }
                            going = send(&mut wire, piece.as_bytes()).await;
                            sent.fetch_add(piece.len(), Ordering::Relaxed);
                        }
                    }
                }
            };
            server.during(&format!("12 bodies of 100 MB, {allowed} bytes allowed"), 12, upload).await;
            stop.store(true, Ordering::Relaxed);
            assert!(sent.load(Ordering::Relaxed) > 0);
            // What clients keep (256 MB by default), as it grows, and what has not been given back to the system yet.
            assert!(memory.taken() < 1_300_000_000, "{} bytes are taken", memory.taken());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_headers_keep_nobody_waiting() {
    for server in servers(&[]).await {
        let memory = ProcessMemory::now(server.program.pid());
        let refused = Arc::<AtomicUsize>::default();
        let flood = |target: Target, client: usize| {
            let refused = refused.clone();
            async move {
                let line = format!("x-{client}: {}\r\n", "y".repeat(8_000));
                loop {
                    let Ok(mut wire) = target.connect(&address(client)).await else { continue };
                    let mut going = send(&mut wire, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n").await;
                    // Never comes to an end by itself.
                    for _ in 0..40 {
                        if going.is_err() {
                            break;
                        }
                        going = send(&mut wire, line.as_bytes()).await;
                    }
                    let reply = tokio::time::timeout(Duration::from_secs(10), rest(&mut wire)).await;
                    refused.fetch_add(usize::from(reply.is_ok()), Ordering::Relaxed);
                }
            }
        };
        server.during("20 clients with endless heads", 20, flood).await;
        assert!(refused.load(Ordering::Relaxed) > 20, "the server waits for the end of a head");
        assert!(memory.taken() < 100_000_000, "{} bytes are taken", memory.taken());
    }
}
