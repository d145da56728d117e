//! The server speaks TLS itself: with whom it does, with whom not, and what clients that speak it badly keep from the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::common::certificates::{Authority, Certificate};
use crate::common::upstream::openai;
use crate::common::wire::{Target, client_config, get, rest, send};
use crate::common::{Act, Client, TestServer, Upstream};

const CLIENT: &str = "127.0.0.1";
const OTHER: &str = "127.0.0.2";
/// Longest wait for something that takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(20);

fn both<'a>(certificate: &'a [(&'static str, String); 2], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    certificate.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()).collect()
}

async fn server(certificate: &Certificate, more: &[(&str, &str)]) -> TestServer {
    TestServer::with(&both(&certificate.variables(), more)).await
}

fn client(server: &TestServer, authority: &Authority) -> Client {
    Client::trusting(server.url("").replace("http://", "https://"), authority.roots())
}

fn target(server: &TestServer, authority: &Authority) -> Target {
    Target::of(&server.url("")).with_tls(authority.roots())
}

#[tokio::test]
async fn https_serves_whoever_trusts_the_authority() {
    let Some(authority) = Authority::new() else { return };
    let llm = Upstream::saying("Hello there, Ada.").await;
    let base = llm.url();
    let more = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    let server = server(&authority.issue("server"), &more).await;
    let client = client(&server, &authority);
    let health = client.get("/health").await;
    assert!(!health.headers.contains_key("strict-transport-security"), "on loopback other programs have ports");
    let content = json!({"role": "user", "content": "x".repeat(3_000_000)});
    client.post("/api/memory/bob/message", &content).await.expect(200);
    assert!(client.get("/api/memory/bob/history").await.text.len() > 3_000_000);
    let frames = client.chat_events(&json!({"prompt": "Hello"})).await;
    assert_eq!(frames.last().unwrap().data["answer"], "Hello there, Ada.");
    let own = server.url("").replace("http://", "https://");
    for (origin, status) in [(own.as_str(), 200), (&server.url(""), 403), ("https://evil.example", 403)] {
        let asked = client.request("POST", "/api/memory/bob/message").header("origin", origin);
        let reply = asked.body(r#"{"role": "user", "content": "Hi"}"#).send().await.unwrap();
        assert_eq!(reply.status(), status, "{origin}");
    }

    let stranger = Client::new(own);
    let refused = stranger.request("GET", "/health").send().await.unwrap_err();
    assert!(format!("{refused:?}").contains("UnknownIssuer"), "{refused:?}");
}

#[tokio::test]
async fn browsers_are_told_to_stay_with_tls_where_others_reach_the_server() {
    let Some(authority) = Authority::new() else { return };
    let certificate = authority.issue("server");
    let open = server(&certificate, &[("API_HOST", "0.0.0.0")]).await;
    for path in ["/health", "/nowhere", "/docs/"] {
        let reply = client(&open, &authority).get(path).await;
        assert_eq!(reply.headers["strict-transport-security"], "max-age=86400", "{path}");
    }
    let plain = TestServer::with(&[("API_HOST", "0.0.0.0")]).await;
    assert!(!plain.get("/health").await.headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn versions_since_1_2_are_spoken_and_http_1_1_over_them() {
    let Some(authority) = Authority::new() else { return };
    let server = server(&authority.issue("server"), &[]).await;
    let target = target(&server, &authority);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut config = client_config(authority.roots(), &[version]);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut stream = target.clone().with_config(config).shake_hands(CLIENT).await.unwrap();
        let agreed = stream.get_ref().1;
        assert_eq!(
            (agreed.protocol_version(), agreed.alpn_protocol()),
            (Some(version.version), Some(&b"http/1.1"[..]))
        );
        send(&mut stream, get("/livez").as_bytes()).await.unwrap();
        let reply = rest(&mut stream).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }

    // A ClientHello of TLS 1.0, 1.1 and 1.2: with a suite, a curve, a form of points and a signature that the server knows.
    let suite = [0, 0, 2, 0xc0, 0x2b, 1, 0];
    let extensions = [0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    for minor in [1, 2, 3] {
        let hello = [&[3, minor][..], &[7; 32], &suite, &extensions].concat();
        let message = [&[1, 0, 0, u8::try_from(hello.len()).unwrap()][..], &hello].concat();
        let record = [&[22, 3, 1, 0, u8::try_from(message.len()).unwrap()][..], &message].concat();
        let mut stream = target.tcp(CLIENT).await.unwrap();
        stream.write_all(&record).await.unwrap();
        let mut reply = [0; 7];
        stream.read_exact(&mut reply).await.unwrap();
        let (handshake, alert, fatal, protocol_version) = (22, 21, 2, 70);
        if minor == 3 {
            assert_eq!(reply[0], handshake, "{reply:?}");
        } else {
            assert_eq!([reply[0], reply[5], reply[6]], [alert, fatal, protocol_version], "{reply:?}");
            assert_eq!(rest(&mut stream).await, "");
        }
    }
}

#[tokio::test]
async fn who_speaks_http_to_the_port_is_told_so_and_harms_nobody() {
    let Some(authority) = Authority::new() else { return };
    let server = server(&authority.issue("server"), &[]).await;
    let reply = server.get("/health").await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("HTTPS only"), "{}", reply.text);
    let target = target(&server, &authority);
    for nonsense in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        &[0; 300],
        &[22, 3, 1, 255, 255],
        &[22; 70_000],
        &[22, 3, 3, 0, 4, 1, 2, 3, 4],
    ] {
        let mut stream = target.tcp(CLIENT).await.unwrap();
        drop(stream.write_all(nonsense).await);
        drop(stream.shutdown().await);
        let ended = tokio::time::timeout(DEADLINE, rest(&mut stream)).await;
        assert!(!ended.expect("it is closed").contains("200 OK"));
    }
    client(&server, &authority).get("/health").await.expect(200);
}

/// Puts a certificate into place as Kubernetes does: all of it at once, by a link that comes to lead to another folder.
fn mount(authority: &Authority, certificate: &Certificate, version: &str) {
    let folder = authority.path(version);
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(&certificate.cert, folder.join("tls.crt")).unwrap();
    std::fs::copy(&certificate.key, folder.join("tls.key")).unwrap();
    let (next, data) = (authority.path("..data_tmp"), authority.path("..data"));
    std::os::unix::fs::symlink(version, &next).unwrap();
    std::fs::rename(next, data).unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_a_stream_goes_on() {
    let Some(authority) = Authority::new() else { return };
    let (old, new) = (authority.issue("old"), authority.issue("new"));
    mount(&authority, &old, "first");
    let mounted =
        Certificate { cert: authority.path("..data").join("tls.crt"), key: authority.path("..data").join("tls.key") };
    let word = Arc::new(Notify::new());
    let llm = Upstream::paced(&["Hello", " again"], &word).await;
    let base = llm.url();
    let more = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    let server = server(&mounted, &more).await;
    let (client, target) = (client(&server, &authority), target(&server, &authority));
    let mut stream = client.open_stream(&json!({"prompt": "Hello"})).await;
    let shown = async || {
        // The sessions of a client are kept from connection to connection, and may be resumed.
        let stream = target.shake_hands(CLIENT).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    assert_eq!(shown().await, old.der());
    assert_eq!(shown().await, old.der());

    mount(&authority, &new, "second");
    let until = Instant::now() + DEADLINE;
    while shown().await != new.der() {
        assert!(Instant::now() < until, "the new certificate is not used");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    word.notify_one();
    word.notify_one();
    let mut last = None;
    let mut release = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            frame = futures_util::StreamExt::next(&mut stream) => match frame {
                Some(frame) => last = Some(frame),
                None => break,
            },
            _ = release.tick() => word.notify_one(),
        }
    }
    assert_eq!(last.unwrap().data["answer"], "Hello again");
}

#[tokio::test]
async fn handshakes_that_are_not_finished_delay_nobody() {
    let Some(authority) = Authority::new() else { return };
    let more = [("MAX_CONNECTIONS", "100"), ("MAX_CONNECTIONS_PER_ADDRESS", "0")];
    let certificate = authority.issue("server");
    for more in [&more[..], &[]] {
        let server = server(&certificate, more).await;
        let target = target(&server, &authority);
        let mut half_open = Vec::new();
        for number in 0..200 {
            let mut stream = target.tcp(CLIENT).await.unwrap();
            // Some say nothing, some begin.
            let begun: &[u8] = if number % 2 == 0 { &[] } else { &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3] };
            stream.write_all(begun).await.unwrap();
            half_open.push(stream);
        }
        for _ in 0..20 {
            let started = Instant::now();
            let reply = target.ask(OTHER, "/livez").await.unwrap();
            assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
            assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
        }
        for mut stream in half_open {
            let ended = tokio::time::timeout(DEADLINE, rest(&mut stream)).await;
            assert!(ended.is_ok(), "the server waits for a handshake for ever");
        }
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_waits_for_no_handshake() {
    let Some(authority) = Authority::new() else { return };
    let (asked, word) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (asked.clone(), word.clone());
    let llm = Upstream::start(move |seen, _| {
        tell.notify_one();
        let mut acts = vec![Act::Wait(wait.clone())];
        acts.extend(openai(seen, "I took my time."));
        acts
    })
    .await;
    let base = llm.url();
    let more = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_PROVIDER", "openai"),
        ("SHUTDOWN_GRACE_SECONDS", "3600"),
    ];
    let server = server(&authority.issue("server"), &more).await;
    let (client, target) = (client(&server, &authority), target(&server, &authority));
    let half_open = target.tcp(CLIENT).await.unwrap();
    let idle = target.shake_hands(CLIENT).await.unwrap();
    let asking = tokio::spawn(async move { client.post("/v1/chat", &json!({"prompt": "Hello"})).await });
    asked.notified().await;

    let stopping = tokio::spawn(server.stop());
    let until = Instant::now() + DEADLINE;
    while target.tcp(CLIENT).await.is_ok() {
        assert!(Instant::now() < until, "the server still takes connections");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!stopping.is_finished() && !asking.is_finished());
    word.notify_one();
    assert_eq!(asking.await.unwrap().expect(200)["answer"], "I took my time.");
    // Sooner than a handshake would be given up.
    let stopped = tokio::time::timeout(Duration::from_secs(5), stopping).await;
    stopped.expect("it waits for connections that ask for nothing").unwrap();
    drop((half_open, idle));
}
