//! Agents are called through the server: what goes out, what comes back, and what never happens.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::common::sources::wait_for;
use crate::common::upstream::{json_reply, open_head, reply};
use crate::common::{Act, Answer, TestServer, Upstream};

const CALL: &str = "/api/agents/a/call";
const TOKEN: &str = "token-of-the-agent";

/// A server that knows this agent as `a`.
async fn server_with(url: &str) -> TestServer {
    let server = TestServer::bare().await;
    add(&server, "a", url).await;
    server
}

async fn add(server: &TestServer, name: &str, url: &str) {
    let agent = json!({"name": name, "url": url, "auth_token": TOKEN, "timeout_seconds": 20});
    server.post("/api/agents", &agent).await.expect(201);
}

/// A server whose agent `a` gives every caller this reply.
async fn replying(status: &'static str, kind: &'static str, body: &'static str) -> (TestServer, Upstream) {
    let agent = Upstream::start(move |_, _| reply(status, kind, body)).await;
    (server_with(&agent.url()).await, agent)
}

/// Opens a call whose answer is read bit by bit.
async fn open(server: &TestServer) -> Reading {
    let request = server.request("POST", CALL).header("content-type", "application/json").body("{}");
    Reading { reply: request.send().await.unwrap(), text: String::new() }
}

struct Reading {
    reply: reqwest::Response,
    text: String,
}

impl Reading {
    /// Reads until the text ends so; whatever comes later must not have come yet.
    async fn until(&mut self, end: &str) {
        while !self.text.ends_with(end) {
            let chunk = self.reply.chunk().await.unwrap();
            let chunk = chunk.unwrap_or_else(|| panic!("it ended before {end:?}"));
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn rest(mut self) -> String {
        while let Some(chunk) = self.reply.chunk().await.unwrap() {
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        self.text
    }
}

#[tokio::test]
async fn a_call_takes_the_body_and_the_token_to_execute_and_brings_back_the_answer() {
    let agent = Upstream::answering(json!({"answer": ["Zwei Rechnungen", null, 1.5]})).await;
    let server = server_with(&format!("{}/base/", agent.url())).await;
    let body = json!({"prompt": "Welche Rechnungen sind offen? 💶", "deep": [{"a": null}], "n": 0.1});
    let answer = server.post(CALL, &body).await.expect(200);
    let expected = json!({"success": true, "data": {"answer": ["Zwei Rechnungen", null, 1.5]}, "agent": "a", "status_code": 200,
        "content_type": "application/json"});
    assert_eq!(answer, expected);
    let seen = &agent.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str(), &seen.body), ("POST", "/base/execute", &body));
    assert_eq!(seen.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(seen.headers["content-type"], "application/json");
}

#[tokio::test]
async fn endpoint_and_method_are_the_callers_choice() {
    let agent = Upstream::answering(json!(true)).await;
    let server = server_with(&format!("{}/base", agent.url())).await;
    let rows = [
        ("?endpoint=/run", "POST", "/base/run"),
        ("?endpoint=run/it%3Fx%3D1%26y%3Da%252Fb", "POST", "/base/run/it?x=1&y=a%2Fb"),
        ("?endpoint=", "POST", "/base/"),
        ("?endpoint=/first&endpoint=/last", "POST", "/base/last"),
        ("?method=put", "PUT", "/base/execute"),
        ("?method=PATCH&endpoint=/v1:run", "PATCH", "/base/v1:run"),
        ("?method=GET&endpoint=/list&timeout_seconds=20", "GET", "/base/list"),
        ("?method=DELETE&endpoint=/a%20b", "DELETE", "/base/a%20b"),
    ];
    for (nth, (query, method, path)) in rows.into_iter().enumerate() {
        let answer = server.post(&format!("{CALL}{query}"), &json!({"n": nth})).await.expect(200);
        assert_eq!(answer["success"], true, "{query}: {answer}");
        let seen = agent.seen().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), (method, path), "{query}");
        assert_eq!(seen.body, json!({"n": nth}), "{query}");
    }
    // Methods that usually have no body do without.
    for method in ["GET", "DELETE"] {
        let path = format!("{CALL}?method={method}");
        assert_eq!(Answer::of(server.request("POST", &path)).await.expect(200)["success"], true);
        let seen = agent.seen().pop().unwrap();
        assert!(seen.method == method && seen.body.is_null() && !seen.headers.contains_key("content-type"), "{seen:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_json_comes_as_text_base64_or_null() {
    let (server, _agent) = replying("201 Created", "text/plain; charset=utf-8", "Grüße\n").await;
    let text = server.post(CALL, &json!({})).await.expect(200);
    let expected =
        json!({"success": true, "data": "Grüße\n", "agent": "a", "status_code": 201, "content_type": "text/plain"});
    assert_eq!(text, expected);

    let bytes = [0x89, b'P', b'N', b'G', 0, 0xff, 0xfe];
    let agent = Upstream::start(move |_, _| vec![open_head("image/png"), Act::SendBytes(bytes.to_vec())]).await;
    let image = server_with(&agent.url()).await.post(CALL, &json!({})).await.expect(200);
    let expected = json!({"success": true, "data": BASE64.encode(bytes), "agent": "a", "status_code": 200,
        "content_type": "image/png", "encoding": "base64"});
    assert_eq!(image, expected);

    let agent =
        Upstream::start(|_, _| vec![Act::Send("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".into())]).await;
    let empty = server_with(&agent.url()).await.post(CALL, &json!({})).await.expect(200);
    assert_eq!(empty, json!({"success": true, "data": null, "agent": "a", "status_code": 204}));

    let (server, _agent) = replying("200 OK", "text/html", "42").await;
    assert_eq!(server.post(CALL, &json!({})).await.expect(200)["data"], 42, "JSON by another name");
}

#[tokio::test]
async fn json_that_is_none_is_a_failure_that_says_so() {
    let (server, _agent) = replying("200 OK", "application/json", "{\"answer\": ").await;
    let answer = server.post(CALL, &json!({})).await.expect(200);
    assert_eq!(
        (&answer["success"], &answer["status_code"], &answer["agent"]),
        (&json!(false), &json!(400), &json!("a"))
    );
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("'a'") && error.contains("application/json"), "{error}");
    assert!(answer.get("data").is_none());
}

#[tokio::test]
async fn an_agents_error_is_told_with_its_status_and_words() {
    let (server, agent) = replying("404 Not Found", "text/plain", "no such endpoint, said token-of-the-agent").await;
    let answer = server.post(CALL, &json!({})).await.expect(200);
    assert_eq!((&answer["success"], &answer["status_code"]), (&json!(false), &json!(404)));
    let error = answer["error"].as_str().unwrap();
    for part in ["'a'", &agent.url(), "404 Not Found", "no such endpoint, said ********"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[tokio::test]
async fn what_could_not_be_called_has_the_originals_status() {
    let server = server_with("http://127.0.0.1:1").await;
    let refused = server.post(CALL, &json!({})).await.expect(200);
    assert_eq!((&refused["success"], &refused["status_code"]), (&json!(false), &json!(500)));
    assert!(refused["error"].as_str().unwrap().contains("refused the connection"), "{refused}");

    let agent = Upstream::start(|_, _| vec![Act::Hang]).await;
    add(&server, "slow", &agent.url()).await;
    let late = server.post("/api/agents/slow/call?timeout_seconds=1", &json!({})).await.expect(200);
    assert_eq!((&late["success"], &late["status_code"]), (&json!(false), &json!(408)));
    assert!(late["error"].as_str().unwrap().starts_with("Request timeout"), "{late}");
    // The connection is not left open either.
    agent.client_left().await;

    let mut off = server.get("/api/agents/slow").await.expect(200);
    off["enabled"] = json!(false);
    server.put("/api/agents/slow", &off).await.expect(200);
    let disabled = server.post("/api/agents/slow/call", &json!({})).await.expect(200);
    let expected = json!({"success": false, "error": "Agent 'slow' is disabled", "agent": "slow", "status_code": 400});
    assert_eq!(disabled, expected);
    assert_eq!(agent.seen().len(), 1);

    let unknown = server.post("/api/agents/nobody/call", &json!({})).await.expect(404);
    assert_eq!(unknown["detail"], "Agent 'nobody' not found");
}

#[tokio::test]
async fn a_reply_of_ten_megabytes_is_taken_and_one_byte_more_is_a_failure() {
    const CAP: usize = 10_000_000;
    let agent = Upstream::start(|seen, _| {
        let size = if seen.path == "/most" { CAP } else { CAP + 1 };
        vec![open_head("text/plain"), Act::SendBytes(vec![b'x'; size])]
    })
    .await;
    let server = server_with(&agent.url()).await;
    let most = server.post(&format!("{CALL}?endpoint=/most"), &json!({})).await.expect(200);
    assert_eq!((&most["success"], most["data"].as_str().unwrap().len()), (&json!(true), CAP));
    let more = server.post(&format!("{CALL}?endpoint=/more"), &json!({})).await.expect(200);
    assert_eq!((&more["success"], &more["status_code"]), (&json!(false), &json!(400)));
    assert!(more["error"].as_str().unwrap().contains("10000000 bytes"), "{more}");
}

#[tokio::test]
async fn events_pass_through_one_by_one_as_the_agent_sends_them() {
    let word = Arc::new(Notify::new());
    let heard = word.clone();
    let agent = Upstream::start(move |_, _| {
        vec![
            open_head("text/event-stream; charset=utf-8"),
            Act::Send("id: 1\nevent: thought\ndata: {\"step\": 1}\n\n".into()),
            Act::Wait(heard.clone()),
            Act::Send(": a comment\r\n\r\ndata: two\r\ndata: lines\r\n\r\n".into()),
            Act::Wait(heard.clone()),
            Act::Send("data: [DONE]\n\n".into()),
        ]
    })
    .await;
    let server = server_with(&agent.url()).await;
    let mut reading = open(&server).await;
    assert_eq!(reading.reply.status(), 200);
    let header = |name| reading.reply.headers()[name].to_str().unwrap();
    assert_eq!((header("content-type"), header("x-accel-buffering")), ("text/event-stream", "no"));
    reading.until("id: 1\nevent: thought\ndata: {\"step\": 1}\n\n").await;
    word.notify_one();
    reading.until(": a comment\n\ndata: two\ndata: lines\n\n").await;
    word.notify_one();
    assert!(reading.rest().await.ends_with("lines\n\ndata: [DONE]\n\n"));
    assert!(agent.seen()[0].headers["accept"].contains("text/event-stream"));
}

#[tokio::test]
async fn a_token_that_an_agent_streams_in_pieces_is_masked() {
    let agent = Upstream::start(|_, _| {
        let said = format!("my {TOKEN} is good").chars().collect::<Vec<_>>();
        let event = |c: &char| Act::Send(format!("data: {}\n\n", json!({"id": "t", "delta": {"content": c}})));
        [open_head("text/event-stream")].into_iter().chain(said.iter().map(event)).collect()
    })
    .await;
    let text = open(&server_with(&agent.url()).await).await.rest().await;
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = events.map(|data| serde_json::from_str(data).unwrap()).collect();
    let said: String = events.iter().map(|event| event["delta"]["content"].as_str().unwrap()).collect();
    assert_eq!((said.as_str(), events.len()), ("my ******** is good", 29), "{text}");
    assert!(events.iter().all(|event| event["id"] == "t"), "{text}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_in_an_error_event() {
    let agent = Upstream::start(|_, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n";
        vec![Act::Send(head.into()), Act::Send("data: token-of-the-agent\n\ndata: ha".into())]
    })
    .await;
    let server = server_with(&agent.url()).await;
    let text = open(&server).await.rest().await;
    let (before, error) = text.split_once("event: error\ndata: ").unwrap();
    assert_eq!(before, "data: ********\n\n", "half an event is none");
    let error: Value = serde_json::from_str(error.trim_end()).unwrap();
    assert_eq!(error["status_code"], 500);
    assert!(error["detail"].as_str().unwrap().contains("Agent 'a'"), "{error}");
    assert!(text.ends_with("\n\n"));
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_or_a_call_ends_it_at_the_agent() {
    let agent = Upstream::start(|seen, _| match seen.path.as_str() {
        "/execute" => vec![open_head("text/event-stream"), Act::Send("data: 1\n\n".into()), Act::Hang],
        _ => vec![Act::Hang],
    })
    .await;
    let server = server_with(&agent.url()).await;
    let mut reading = open(&server).await;
    reading.until("data: 1\n\n").await;
    drop(reading);
    agent.client_left().await;

    let arrived = Arc::new(Notify::new());
    let word = arrived.clone();
    let agent = Upstream::start(move |_, _| {
        word.notify_one();
        vec![Act::Hang]
    })
    .await;
    add(&server, "b", &agent.url()).await;
    let body = json!({});
    tokio::select! {
        _ = server.post("/api/agents/b/call", &body) => panic!("there can be no answer"),
        () = arrived.notified() => {}
    }
    agent.client_left().await;
}

#[tokio::test]
async fn an_endpoint_that_leads_elsewhere_is_refused_before_anything_is_sent() {
    let (agent, other) = (Upstream::answering(json!(1)).await, Upstream::answering(json!(2)).await);
    let server = server_with(&format!("{}/base", agent.url())).await;
    let absolute = format!("{}/execute", other.url());
    let host = other.url().replace("http:", "");
    let endpoints = [
        absolute.as_str(),
        &host,
        &format!("/{absolute}"),
        "//169.254.169.254/latest",
        "..",
        "/../admin",
        "/a/../../admin",
        "/%2e%2e/admin",
        "/%2E%2e/admin",
        "/a%2f..%2f..%2fadmin",
        "/%252e%252e/admin",
        "/..%5cadmin",
        "\\\\elsewhere",
        "/a\\..\\..\\admin",
        "/x#fragment",
        "/a\nHost: elsewhere",
        "/..;/admin",
    ];
    for endpoint in endpoints {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("endpoint", endpoint).finish();
        let refused = server.post(&format!("{CALL}?{query}"), &json!({})).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["query", "endpoint"]), "{endpoint}");
        assert_eq!(refused["errors"][0]["input"], endpoint);
    }
    assert_eq!((agent.seen().len(), other.seen().len()), (0, 0));
}

#[tokio::test]
async fn a_redirect_is_not_followed_so_the_token_stays_with_its_agent() {
    let other = Upstream::answering(json!({"stolen": true})).await;
    let targets = [other.url(), "http://169.254.169.254/latest/meta-data".to_owned()];
    for target in targets {
        for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let location = target.clone();
            let head = move || {
                format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            };
            let agent = Upstream::start(move |_, _| vec![Act::Send(head())]).await;
            let server = server_with(&agent.url()).await;
            let answer = server.post(CALL, &json!({})).await.expect(200);
            let code: u16 = status[..3].parse().unwrap();
            assert_eq!((&answer["success"], &answer["status_code"]), (&json!(false), &json!(code)), "{answer}");
            assert!(answer["error"].as_str().unwrap().contains(status), "{answer}");
            let tested = server.post("/api/agents/a/test", &json!({})).await.expect(200);
            assert_eq!((&tested["success"], &tested["status_code"]), (&json!(false), &json!(code)));
            assert_eq!(agent.seen().len(), 2, "{status}");
        }
    }
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn addresses_that_hand_out_credentials_are_never_called() {
    let server = TestServer::bare().await;
    for url in ["http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]", "http://2852039166"] {
        let agent = json!({"name": "meta", "url": url, "timeout_seconds": 1});
        server.post("/api/agents", &agent).await.expect(201);
        let answer = server.post("/api/agents/meta/call", &json!({})).await.expect(200);
        assert_eq!((&answer["success"], &answer["status_code"]), (&json!(false), &json!(400)), "{url}");
        assert!(answer["error"].as_str().unwrap().contains("never called"), "{answer}");
        server.delete("/api/agents/meta").await.expect(200);
    }
}

#[tokio::test]
async fn the_own_timeout_of_a_call_is_at_most_the_agents() {
    let agent = Upstream::start(|_, _| json_reply("200 OK", &json!("ok"))).await;
    let server = server_with(&agent.url()).await;
    for seconds in ["1", "20", "05"] {
        server.post(&format!("{CALL}?timeout_seconds={seconds}"), &json!({})).await.expect(200);
    }
    let refused = server.post(&format!("{CALL}?timeout_seconds=21"), &json!({})).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["query", "timeout_seconds"]));
    assert!(refused["errors"][0]["msg"].as_str().unwrap().contains("20"), "{refused}");
    assert_eq!(agent.seen().len(), 3);
}

#[tokio::test]
async fn a_caller_without_patience_does_not_close_an_agent_to_others() {
    let agent = Upstream::start(|_, nth| match nth {
        0..6 => vec![Act::Hang],
        _ => json_reply("200 OK", &json!({"answer": "here"})),
    })
    .await;
    let server = server_with(&agent.url()).await;
    let hurried = format!("{CALL}?timeout_seconds=1");
    let body = json!({});
    let calls = std::array::from_fn::<_, 6, _>(|_| server.post(&hurried, &body));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.expect(200)["status_code"], 408);
    }
    assert_eq!(server.post(CALL, &body).await.expect(200)["data"], json!({"answer": "here"}));
}

#[tokio::test]
async fn a_server_for_public_addresses_calls_private_ones_only_where_they_are_allowed() {
    let agent = Upstream::start(|_, _| json_reply("200 OK", &json!({"answer": "here"}))).await;
    let by_name = agent.url().replace("127.0.0.1", "localhost");
    let body = json!({});
    for (allow, reached) in [("", false), ("10.0.0.0/8,db.internal", false), ("127.0.0.0/8", true)] {
        let server = TestServer::with(&[("OUTBOUND_POLICY", "public_only"), ("OUTBOUND_ALLOW", allow)]).await;
        for url in [&agent.url(), &by_name] {
            add(&server, "a", url).await;
            let answer = server.post(CALL, &body).await.expect(200);
            assert_eq!(answer["success"], reached, "{url} with {allow}: {answer}");
            let said = answer["error"].as_str().unwrap_or_default();
            assert!(reached || said.contains("must not be called") && said.contains("public_only"), "{said}");
            server.delete("/api/agents/a").await.expect(200);
        }
        for (kind, url) in [("postgres", "postgres://u:p@127.0.0.1:1/x"), ("mysql", "mysql://u:p@localhost:1/x")] {
            let source = json!({"name": "db", "type": kind, "url": url});
            server.post("/api/datasources", &source).await.expect(201);
            let answer = server.post("/api/datasources/db/query", &json!({"query": "SELECT 1"})).await.expect(200);
            let said = answer["error"].as_str().unwrap();
            assert_eq!(said.contains("must not be called"), !reached, "{url} with {allow}: {said}");
            server.delete("/api/datasources/db").await.expect(200);
        }
    }
    assert_eq!(agent.seen().len(), 2, "nobody knocked where it was not allowed");
}

#[tokio::test]
async fn an_agent_that_hangs_for_all_of_its_time_is_spared_after_five_calls() {
    let agent = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = TestServer::bare().await;
    server.post("/api/agents", &json!({"name": "a", "url": agent.url(), "timeout_seconds": 1})).await.expect(201);
    let body = json!({});
    let calls = std::array::from_fn::<_, 5, _>(|_| server.post(CALL, &body));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.expect(200)["status_code"], 408);
    }
    // It gives no sign of life either.
    let open = async || server.post("/api/agents/a/test", &json!({})).await.expect(200)["breaker"] == "open";
    wait_for(open).await;
    let spared = server.post(CALL, &body).await.expect(200);
    assert!(spared["error"].as_str().unwrap().contains("keeps failing"), "{spared}");
    assert_eq!(agent.seen().iter().filter(|seen| seen.path != "/health").count(), 5);
}
