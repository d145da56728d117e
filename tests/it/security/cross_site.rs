//! What a web page that somebody opens can do with a server on their machine: nothing, unless it is the server's own or one
//! that the operator has allowed. A real browser tries.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::hosted_page::HostedPage;
use crate::common::upstream::{json_reply, openai};
use crate::common::{Answer, Program, TestServer, Upstream, browser};

const ATTACK: &str = include_str!("cross_site/attack.js");
const OWN: &str = include_str!("cross_site/own.js");
const GUI: &str = include_str!("cross_site/gui.js");
const EXPLORER: &str = include_str!("cross_site/explorer.js");

/// A server with an LLM, an agent, a tool and a conversation.
struct Victim {
    program: Program,
    _folder: TempDir,
    llm: Upstream,
    agent: Upstream,
}

impl Victim {
    async fn start() -> Self {
        let llm = Upstream::start(|seen, _| openai(seen, "Hi.")).await;
        let agent = Upstream::start(|_, _| json_reply("200 OK", &json!({"status": "ok"}))).await;
        let folder = TempDir::new().unwrap();
        let variables =
            [("LLM_BASE_URL", llm.url()), ("LLM_DEFAULT_MODEL", "m".into()), ("LLM_PROVIDER", "openai".into())];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let program = Program::start("serve", folder.path(), &variables).await;
        let server = &program.client;
        server.post("/api/agents", &json!({"name": "billing", "url": agent.url()})).await.expect(201);
        let tool = json!({"name": "weather", "type": "http_request", "config": {"base_url": agent.url()}});
        server.post("/api/tools", &tool).await.expect(201);
        server.post("/v1/chat", &json!({"prompt": "Hello, I am Ada", "user_id": "ada"})).await.expect(200);
        Self { program, _folder: folder, llm, agent }
    }

    /// All that a page could have changed, and how often upstreams were called.
    async fn state(&self) -> Value {
        let paths = [
            "/api/agents",
            "/api/tools",
            "/api/datasources",
            "/api/llm/config",
            "/api/memory/ada/history",
            "/v1/executions",
        ];
        let mut state = vec![json!([self.llm.seen().len(), self.agent.seen().len()])];
        for path in paths {
            state.push(self.program.client.get(path).await.expect(200));
        }
        state.into()
    }

    /// How many requests were refused with this status.
    fn refused(&self, status: &str) -> usize {
        let log = self.program.log();
        log.lines().filter(|line| line.contains(&format!("status={status} "))).count()
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.program.port))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_changes_nothing_and_reads_nothing() {
    let Some(browser) = browser::find() else { return };
    let victim = Victim::start().await;
    let before = victim.state().await;
    for host in ["evil.test", "127.0.0.1"] {
        let page = HostedPage::start(ATTACK, None).await;
        let report = page.play(&browser, host, &victim.program.client.url("")).await;
        let report = report.as_array().unwrap();
        assert!(report.len() >= 3 * 40, "{}", report.len());
        let read: Vec<_> = report
            .iter()
            .filter(|attempt| !["nothing", "error"].contains(&attempt["read"].as_str().unwrap()))
            .collect();
        assert_eq!(read, Vec::<&Value>::new(), "a page at {host} can read");
        assert_eq!(victim.state().await, before, "a page at {host} changes something");
    }
    let (refused, misdirected) = (victim.refused("403"), victim.refused("421"));
    assert!(refused >= 2 * 2 * 30 && misdirected >= 2 * 30, "{refused} and {misdirected} attempts reached the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_made_to_point_here_reaches_nothing() {
    let Some(browser) = browser::find() else { return };
    let victim = Victim::start().await;
    let before = victim.state().await;
    let page = HostedPage::start(OWN, Some(victim.address())).await;
    let report = page.play(&browser, "rebound.test", "").await;
    for reply in &report.as_array().unwrap()[..4] {
        assert_eq!(
            (&reply[0], reply[1].as_str().unwrap().contains("misdirected_request")),
            (&json!(421), true),
            "{reply}"
        );
    }
    assert_eq!(victim.state().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_servers_own_origin_may_use_it_but_not_frame_it() {
    let Some(browser) = browser::find() else { return };
    let victim = Victim::start().await;
    let page = HostedPage::start(OWN, Some(victim.address())).await;
    let report = page.play(&browser, "localhost", "").await;
    let statuses: Vec<_> = report.as_array().unwrap()[..4].iter().map(|reply| reply[0].clone()).collect();
    assert_eq!(
        (statuses, &report[4], &report[5]),
        (vec![json!(200), json!(201), json!(200), json!(200)], &json!("refused"), &json!("refused"))
    );
    victim.program.client.get("/api/agents/own").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_explorer_sends_what_a_person_tries_out() {
    let Some(browser) = browser::find() else { return };
    let victim = Victim::start().await;
    let page = HostedPage::start(EXPLORER, Some(victim.address())).await;
    let report = page.play(&browser, "127.0.0.1", "").await;
    assert_eq!(report["status"].as_str().unwrap().split_whitespace().next(), Some("200"), "{report}");
    assert!(report["body"].as_str().unwrap().contains("Hi."), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_interface_that_is_allowed_works() {
    let Some(browser) = browser::find() else { return };
    let llm = Upstream::saying("Hi.").await;
    let page = HostedPage::start(GUI, None).await;
    let origin = format!("http://localhost:{}", page.port);
    let server = TestServer::with_llm(&llm, &[("CORS_ORIGINS", &origin)]).await;
    let report = page.play(&browser, "localhost", &server.url("")).await;
    let statuses: Vec<_> = report.as_array().unwrap().iter().map(|reply| (&reply[0], &reply[1])).collect();
    let id = json!("from-the-gui");
    assert_eq!(statuses, [(&json!(201), &id), (&json!(200), &id), (&json!(200), &id), (&json!(200), &id)]);
    assert_eq!(report[3][2]["answer"], "Hi.");
}

/// The status of the reply to a request that is spelled out.
async fn status_of(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    String::from_utf8(start[9..].to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_says_exactly_once_whom_it_is_for() {
    let server = TestServer::with(&[("ALLOWED_HOSTS", "studio.example")]).await;
    let address = server.url("").trim_start_matches("http://").parse().unwrap();
    let requests = [
        ("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n", "200"),
        ("GET /health HTTP/1.1\r\nhost: studio.example:443\r\n\r\n", "200"),
        ("GET http://studio.example/health HTTP/1.1\r\nhost: ignored.example\r\n\r\n", "200"),
        ("GET /health HTTP/1.1\r\nhost: evil.example\r\n\r\n", "421"),
        ("GET http://evil.example/health HTTP/1.1\r\nhost: localhost\r\n\r\n", "421"),
        ("CONNECT evil.example:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", "421"),
        ("GET /health HTTP/1.1\r\n\r\n", "400"),
        ("GET /health HTTP/1.0\r\n\r\n", "400"),
        ("GET /health HTTP/1.0\r\nhost: localhost\r\n\r\n", "200"),
        ("GET /health HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n", "400"),
        ("GET /health HTTP/1.1\r\nhost: localhost, evil.example\r\n\r\n", "400"),
        ("GET /health HTTP/1.1\r\nhost: localhost@evil.example\r\n\r\n", "400"),
        ("GET /health HTTP/1.1\r\nhost:\r\n\r\n", "400"),
    ];
    for (request, status) in requests {
        assert_eq!(status_of(address, request).await, status, "{request}");
    }
}

#[tokio::test]
async fn a_server_that_listens_wider_says_what_it_lets_in_and_still_knows_its_health() {
    let folder = TempDir::new().unwrap();
    let open = Program::start("serve", folder.path(), &[("API_HOST", "0.0.0.0"), ("CORS_ORIGINS", "*")]).await;
    Answer::of(open.client.request("GET", "/health").header("host", "any.example")).await.expect(200);
    Answer::of(open.client.request("POST", "/api/llm/test").header("origin", "https://any.example").body("[]"))
        .await
        .expect(422);
    let log = open.log();
    assert!(log.contains("ALLOWED_HOSTS names the right ones") && log.contains("CORS_ORIGINS is *"), "{log}");
    open.kill();

    let variables = [("API_HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "studio.example")];
    let folder = TempDir::new().unwrap();
    let named = Program::start("serve", folder.path(), &variables).await;
    Answer::of(named.client.request("GET", "/health").header("host", "any.example")).await.expect(421);
    Answer::of(named.client.request("GET", "/health").header("host", "studio.example")).await.expect(200);
    assert!(!named.log().contains("DNS rebinding"));
    let port = named.port.to_string();
    let check = Program::run("healthcheck", folder.path(), &[variables[0], variables[1], ("API_PORT", &port)]);
    assert!(check.status.success(), "{check:?}");
}

#[tokio::test]
async fn a_refusal_says_why_and_which_setting_allows_it() {
    let server = TestServer::bare().await;
    let add = |name: &'static str| {
        let body = json!({"name": name, "url": "http://127.0.0.1:9"}).to_string();
        server.request("POST", "/api/agents").body(body)
    };
    let foreign = Answer::of(add("a").header("origin", "https://evil.example")).await;
    assert!(foreign.headers.get("access-control-allow-origin").is_none());
    let foreign = foreign.expect(403);
    assert_eq!(foreign["code"], "cross_origin");
    assert!(foreign["detail"].as_str().unwrap().contains("CORS_ORIGINS"), "{foreign}");
    for path in ["/health", "/metrics", "/docs/", "/nowhere", "/api/agents"] {
        let request = server.request("POST", path).header("sec-fetch-site", "cross-site");
        Answer::of(request).await.expect(403);
        let misdirected = Answer::of(server.request("GET", path).header("host", "evil.example")).await.expect(421);
        assert!(misdirected["detail"].as_str().unwrap().contains("ALLOWED_HOSTS"), "{misdirected}");
    }
    Answer::of(add("b")).await.expect(201);
    Answer::of(add("c").header("origin", server.url(""))).await.expect(201);
}
