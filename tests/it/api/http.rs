//! What surrounds every request: envelopes, ids, CORS, compression, probes, the spelling of bodies and paths, and the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::common::upstream::openai;
use crate::common::{Act, Answer, Client, TestServer, Upstream};

const GUI: &str = "http://localhost:3000";

/// A reply as it came over the wire, which an HTTP client would unpack and tidy up.
struct Wire {
    status: String,
    /// Names in lower case, in the order of the wire.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Wire {
    /// Sends a request with these header lines, and reads until the server closes the connection.
    async fn exchange(client: &Client, first_line: &str, headers: &[&str], body: &str) -> Self {
        let mut stream = TcpStream::connect(address(client)).await.unwrap();
        let headers = headers.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        let length = body.len();
        let head = format!(
            "{first_line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}"
        );
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        let mut bytes = vec![];
        stream.read_to_end(&mut bytes).await.unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers = headers.lines().filter_map(header).collect();
        Self { status: status.to_owned(), headers, body: bytes[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The headers that two replies to the same question have in common.
    fn lasting(&self) -> Vec<(String, String)> {
        let own = ["x-request-id", "date"];
        self.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect()
    }
}

fn address(client: &Client) -> String {
    client.url("").trim_start_matches("http://").to_owned()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// The items of a comma-separated header.
fn items(answer: &Answer, name: &str) -> BTreeSet<String> {
    header(answer, name).split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// Asserts that this is the whole body of an error.
#[track_caller]
fn assert_envelope(answer: &Answer, status: u16, detail: &str, code: &str, asked: &str) {
    let id = header(answer, "x-request-id");
    let expected = format!(r#"{{"detail":"{detail}","code":"{code}","request_id":"{id}"}}"#);
    assert_eq!((answer.status, &answer.text), (status, &expected), "{asked}");
    assert_eq!(header(answer, "content-type"), "application/json", "{asked}");
    assert!(!id.is_empty(), "{asked}");
}

#[tokio::test]
async fn a_path_that_names_nothing_is_told_so_in_the_envelope() {
    let server = TestServer::bare().await;
    let paths =
        ["/nope", "/nope/", "/api", "/api/llm", "/v1", "/v1/chat/x", "/api//llm/config", "/Health", "/health/x"];
    for path in paths {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let answer = Answer::of(server.request(method, path)).await;
            assert_envelope(&answer, 404, "Not Found", "not_found", &format!("{method} {path}"));
        }
    }
}

#[tokio::test]
async fn a_file_that_the_explorer_does_not_have_is_told_so_in_the_envelope() {
    let server = TestServer::bare().await;
    assert_envelope(&server.get("/docs/nope.js").await, 404, "Not Found", "not_found", "/docs/nope.js");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_refused_with_those_it_knows() {
    let server = TestServer::bare().await;
    let wrong: [(&str, &str, &[&str]); 9] = [
        ("POST", "/api/llm/models", &["GET", "HEAD"]),
        ("PATCH", "/api/llm/config", &["GET", "HEAD", "POST", "PUT", "DELETE"]),
        ("GET", "/api/llm/test", &["POST"]),
        ("GET", "/v1/chat", &["POST"]),
        ("DELETE", "/v1/executions", &["GET", "HEAD"]),
        ("GET", "/api/memory/ada", &["DELETE"]),
        ("PUT", "/api/memory/ada/message", &["POST"]),
        ("POST", "/health/", &["GET", "HEAD"]),
        ("BREW", "/", &["GET", "HEAD"]),
    ];
    for (method, path, allowed) in wrong {
        let answer = Answer::of(server.request(method, path)).await;
        assert_envelope(&answer, 405, "Method Not Allowed", "method_not_allowed", &format!("{method} {path}"));
        assert_eq!(items(&answer, "allow"), set(allowed), "{method} {path}");
    }
    let chat = Answer::of(server.request("HEAD", "/v1/chat")).await;
    assert_eq!((chat.status, items(&chat, "allow")), (405, set(&["POST"])));
}

#[tokio::test]
async fn options_is_a_wrong_method_too_unless_a_browser_asks_in_advance() {
    let server = TestServer::bare().await;
    let plain = Answer::of(server.request("OPTIONS", "/api/llm/config")).await;
    assert_envelope(&plain, 405, "Method Not Allowed", "method_not_allowed", "OPTIONS /api/llm/config");
    assert_eq!(items(&plain, "allow"), set(&["GET", "HEAD", "POST", "PUT", "DELETE"]));
    let nowhere = Answer::of(server.request("OPTIONS", "/nope")).await;
    assert_envelope(&nowhere, 404, "Not Found", "not_found", "OPTIONS /nope");
}

#[tokio::test]
async fn head_says_what_get_would_without_the_body() {
    let server = TestServer::bare().await;
    let paths = ["/", "/health", "/livez", "/readyz", "/api/llm/config", "/v1/executions", "/api/memory/ada/history"];
    for path in paths {
        let get = Wire::exchange(&server, &format!("GET {path}"), &[], "").await;
        let head = Wire::exchange(&server, &format!("HEAD {path}"), &[], "").await;
        assert_eq!((&head.status, head.lasting()), (&get.status, get.lasting()), "{path}");
        assert_eq!((head.status.as_str(), head.body.len()), ("HTTP/1.1 200 OK", 0), "{path}");
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
    }
    let nowhere = Wire::exchange(&server, "HEAD /nope", &[], "").await;
    assert_eq!((nowhere.status.as_str(), nowhere.body.len()), ("HTTP/1.1 404 Not Found", 0));
}

#[tokio::test]
async fn a_trailing_slash_makes_no_difference() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    for path in ["/health", "/api/llm/config", "/api/memory/config", "/api/memory/bob/history", "/v1/chat/health"] {
        let (without, with) = (server.get(path).await, server.get(&format!("{path}/")).await);
        assert_eq!((with.status, &with.text), (200, &without.text), "{path}");
    }
    server.post("/v1/chat/", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    server.post("/api/memory/ada/message/?role=user&content=a/", &json!(null)).await.expect(200);
    server.put("/api/llm/config/", &json!({"default_model": "other"})).await.expect(200);
    let history = server.get("/api/memory/ada/history/?limit=1").await.expect(200);
    assert_eq!((&history["count"], &history["messages"][0]["content"]), (&json!(1), &json!("a/")));
    assert_eq!(server.get("/v1/executions/?limit=1").await.expect(200)["count"], 1);
    assert_eq!(server.get("/api/llm/config").await.expect(200)["default_model"], "other");
    server.delete("/api/memory/ada/").await.expect(200);
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn a_request_keeps_the_id_it_came_with() {
    let server = TestServer::bare().await;
    let longest = "x".repeat(128);
    for id in ["abc-1_2.3:4", "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11", "1", &longest] {
        let good = Answer::of(server.request("GET", "/health").header("x-request-id", id)).await;
        assert_eq!((good.status, header(&good, "x-request-id")), (200, id));
        let bad = Answer::of(server.request("GET", "/nope").header("x-request-id", id)).await;
        assert_eq!((header(&bad, "x-request-id"), bad.expect(404)["request_id"].as_str()), (id, Some(id)));
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_or_not_plain_is_replaced() {
    let server = TestServer::bare().await;
    let long = "x".repeat(129);
    let ids: [&[u8]; 8] =
        [b"", long.as_bytes(), b"two words", "schön".as_bytes(), b"\xff", b"a\"b", b"a=1", b"<script>"];
    let mut given = BTreeSet::new();
    for id in ids {
        let value = reqwest::header::HeaderValue::from_bytes(id).unwrap();
        let answer = Answer::of(server.request("GET", "/nope").header("x-request-id", value)).await;
        let own = header(&answer, "x-request-id");
        assert_eq!((own.len(), own.as_bytes() == id), (36, false), "{own}");
        assert_eq!(answer.expect(404)["request_id"], own);
        given.insert(own.to_owned());
    }
    for _ in 0..2 {
        given.insert(header(&server.get("/health").await, "x-request-id").to_owned());
    }
    assert_eq!(given.len(), 10, "every request has an id of its own");
}

#[tokio::test]
async fn the_gui_may_read_every_reply_and_see_its_id() {
    let server = TestServer::with(&[("MAX_BODY_BYTES", "100")]).await;
    let too_large = "x".repeat(101);
    let requests = [
        ("GET", "/health", "", 200),
        ("GET", "/nope", "", 404),
        ("POST", "/api/llm/models", "", 405),
        ("GET", "/api/llm/models", "", 400),
        ("PUT", "/api/llm/config", "{", 422),
        ("PUT", "/api/llm/config", &too_large, 413),
        ("POST", "/v1/chat", "{\"prompt\": \"Hello\"}", 503),
    ];
    for (method, path, body, status) in requests {
        let answer = Answer::of(server.request(method, path).header("origin", GUI).body(body.to_owned())).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(header(&answer, "access-control-allow-origin"), GUI, "{method} {path}");
        assert_eq!(header(&answer, "access-control-allow-credentials"), "true", "{method} {path}");
        let exposed = "x-request-id,etag,retry-after,ratelimit-policy,ratelimit";
        assert_eq!(header(&answer, "access-control-expose-headers"), exposed, "{method} {path}");
        let vary: Vec<_> = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(vary.join(",").to_lowercase().contains("origin"), "{method} {path} {vary:?}");
    }
}

/// A cache that keeps a reply for a page of one origin must not give it to another.
#[tokio::test]
async fn every_reply_says_in_one_line_that_it_depends_on_the_origin() {
    let llm = Upstream::saying("Hi.").await;
    for origins in ["", "http://localhost:3000,https://gui.example", r#"["http://localhost:3000"]"#] {
        let server = TestServer::with_llm(&llm, &[("CORS_ORIGINS", origins)]).await;
        let stream = r#"{"prompt": "Hello", "stream": true}"#;
        let requests = [
            ("GET", "/health", "", 200, true),
            ("GET", "/api/memory/ada/history", "", 200, true),
            ("GET", "/nope", "", 404, true),
            ("PUT", "/api/llm/config", "{", 422, true),
            ("POST", "/v1/chat", r#"{"prompt": "Hello"}"#, 200, true),
            ("POST", "/v1/chat", stream, 200, false),
        ];
        let allowed = &[(Some(GUI), false), (None, false), (Some("http://evil.example"), true)];
        for (method, path, body, status, may_be_packed) in requests {
            for (origin, is_foreign) in allowed {
                let mut request = server.request(method, path).body(body.to_owned());
                if let Some(origin) = origin {
                    request = request.header("origin", *origin);
                }
                let answer = Answer::of(request).await;
                let is_refused = *is_foreign && method != "GET";
                assert_eq!(answer.status, if is_refused { 403 } else { status }, "{method} {path} {origin:?}");
                let allowed = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
                assert_eq!(allowed, origin.filter(|_| !is_foreign), "{method} {path} {origin:?}");
                assert_eq!(answer.headers.get_all("vary").iter().count(), 1, "{method} {path} {origin:?}");
                let vary = items(&answer, "vary");
                assert!(vary.contains("origin"), "{method} {path} {origin:?} {vary:?}");
                assert!(vary.contains("accept-encoding") || is_refused || !may_be_packed, "{method} {path} {vary:?}");
            }
        }
        for (origin, allowed) in [(GUI, GUI), ("http://evil.example", "")] {
            let answer = preflight(&server, origin, "PUT", "/api/llm/config").await;
            assert_eq!((answer.status, header(&answer, "access-control-allow-origin")), (200, allowed));
            let expected = set(&["origin", "access-control-request-headers"]);
            assert_eq!(items(&answer, "vary"), expected, "{origin}");
            assert_eq!(answer.headers.get_all("vary").iter().count(), 1, "{origin}");
        }
        let misdirected = Answer::of(server.request("GET", "/health").header("host", "evil.example")).await;
        assert!(misdirected.status == 421 && items(&misdirected, "vary").contains("origin"));
    }
}

/// What a browser asks before it sends such a request.
async fn preflight(server: &TestServer, origin: &str, method: &str, path: &str) -> Answer {
    let request =
        server.request("OPTIONS", path).header("origin", origin).header("access-control-request-method", method);
    Answer::of(request.header("access-control-request-headers", "content-type,x-request-id")).await
}

#[tokio::test]
async fn the_gui_may_put_and_delete() {
    let server = TestServer::bare().await;
    for (method, path) in [("PUT", "/api/llm/config"), ("DELETE", "/api/memory/ada"), ("POST", "/v1/chat")] {
        let answer = preflight(&server, GUI, method, path).await;
        assert_eq!((answer.status, header(&answer, "access-control-allow-origin")), (200, GUI), "{method}");
        assert_eq!(header(&answer, "access-control-allow-credentials"), "true");
        let methods = set(&["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]);
        assert_eq!(items(&answer, "access-control-allow-methods"), methods);
        assert_eq!(items(&answer, "access-control-allow-headers"), set(&["content-type", "x-request-id"]));
        assert_eq!(header(&answer, "access-control-max-age"), "600");
    }
}

#[tokio::test]
async fn a_page_from_elsewhere_may_not_read_anything() {
    let server = TestServer::bare().await;
    let near_misses =
        ["http://evil.example", "https://localhost:3000", "http://localhost:3001", "http://localhost", "null"];
    for origin in near_misses {
        let simple = Answer::of(server.request("GET", "/health").header("origin", origin)).await;
        let asked = preflight(&server, origin, "PUT", "/api/llm/config").await;
        for answer in [simple, asked] {
            assert_eq!(answer.headers.get("access-control-allow-origin"), None, "{origin}");
        }
    }
}

#[tokio::test]
async fn the_pages_that_may_read_are_configured() {
    let second = "https://studio.example";
    let server = TestServer::with(&[("CORS_ORIGINS", "http://localhost:5173, https://studio.example")]).await;
    for origin in ["http://localhost:5173", second] {
        let answer = preflight(&server, origin, "DELETE", "/api/memory/ada").await;
        assert_eq!(header(&answer, "access-control-allow-origin"), origin);
    }
    let gui = preflight(&server, GUI, "DELETE", "/api/memory/ada").await;
    assert_eq!(header(&gui, "access-control-allow-origin"), "");
}

#[tokio::test]
async fn any_page_may_read_without_credentials_if_the_operator_says_so() {
    let server = TestServer::with(&[("CORS_ORIGINS", "*")]).await;
    let simple = Answer::of(server.request("GET", "/health").header("origin", "http://any.example")).await;
    let asked = preflight(&server, "http://any.example", "PUT", "/api/llm/config").await;
    assert!(items(&asked, "access-control-allow-methods").contains("PUT"));
    for answer in [simple, asked] {
        assert_eq!((answer.status, header(&answer, "access-control-allow-origin")), (200, "*"));
        assert_eq!(answer.headers.get("access-control-allow-credentials"), None, "not together with any origin");
    }
}

#[tokio::test]
async fn a_large_reply_is_compressed_for_whoever_can_read_it() {
    let server = TestServer::bare().await;
    for number in 0..20 {
        let message = json!({"role": "user", "content": format!("{number} {}", "all work and no play ".repeat(50))});
        server.post("/api/memory/ada/message", &message).await.expect(200);
    }
    let ask = "GET /api/memory/ada/history";
    let plain = Wire::exchange(&server, ask, &[], "").await;
    assert_eq!((plain.header("content-encoding"), plain.header("content-type")), (None, Some("application/json")));
    let text = String::from_utf8(plain.body).unwrap();
    assert!(text.len() > 20_000 && text.contains("all work and no play"));

    let packed = Wire::exchange(&server, ask, &["accept-encoding: gzip"], "").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.windows(2).any(|bytes| bytes == [0x1f, 0x8b]), "the bytes of gzip");
    assert!(packed.body.len() < text.len() / 4, "{} of {} bytes", packed.body.len(), text.len());
    let vary: Vec<_> = packed.headers.iter().filter(|(name, _)| name == "vary").map(|(_, value)| value).collect();
    assert!(vary.iter().any(|value| value.contains("accept-encoding")), "{vary:?}");
    assert_eq!(server.get("/api/memory/ada/history").await.text, text, "a client that unpacks reads the same");
}

#[tokio::test]
async fn a_stream_is_never_compressed() {
    let llm = Upstream::saying("A stream of words that would be worth compressing.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let headers = ["content-type: application/json", "accept: text/event-stream", "accept-encoding: gzip"];
    let reply = Wire::exchange(&server, "POST /v1/chat", &headers, r#"{"prompt": "Go on"}"#).await;
    assert_eq!((reply.header("content-type"), reply.header("content-encoding")), (Some("text/event-stream"), None));
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.contains("event: answer") && text.contains("worth compressing."), "{text}");
}

#[tokio::test]
async fn the_root_names_the_server_and_its_entry_points() {
    let server = TestServer::with(&[("APP_VERSION", "2.3.4")]).await;
    let expected = r#"{"message":"AI Orchestrator Studio API","version":"2.3.4","docs":"/docs","health":"/health","chat":"/v1/chat"}"#;
    let answer = server.get("/").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, expected));
    assert_eq!(header(&answer, "content-type"), "application/json");
}

#[tokio::test]
async fn health_says_what_is_configured() {
    let server = TestServer::bare().await;
    let nothing = r#"{"status":"healthy","service":"ZainOne Orchestrator Studio","version":"1.0.0","debug":false,"llm_configured":false,"external_agent_configured":false,"redis_configured":false,"postgres_configured":false}"#;
    assert_eq!(server.get("/health").await.text, nothing);
    server.put("/api/llm/config", &json!({"base_url": "http://127.0.0.1:9"})).await.expect(200);
    assert_eq!(server.get("/health").await.expect(200)["llm_configured"], true, "at once");
    server.put("/api/llm/config", &json!({"base_url": ""})).await.expect(200);
    assert_eq!(server.get("/health").await.text, nothing);

    let variables = [
        ("APP_NAME", "Studio"),
        ("APP_VERSION", "2.0"),
        ("DEBUG", "yes"),
        ("LLM_BASE_URL", "http://127.0.0.1:9"),
        ("EXTERNAL_AGENT_BASE_URL", "http://127.0.0.1:9"),
        ("REDIS_URL", "redis://127.0.0.1:9"),
        ("POSTGRES_DSN", "postgres://127.0.0.1:9/x"),
    ];
    let everything = r#"{"status":"healthy","service":"Studio","version":"2.0","debug":true,"llm_configured":true,"external_agent_configured":true,"redis_configured":true,"postgres_configured":true}"#;
    assert_eq!(TestServer::with(&variables).await.get("/health").await.text, everything);
}

#[tokio::test]
async fn the_probes_say_alive_and_ready() {
    // An LLM that nobody serves makes the server neither dead nor unready.
    let server = TestServer::with(&[("LLM_BASE_URL", "http://127.0.0.1:9"), ("LLM_DEFAULT_MODEL", "m")]).await;
    for (path, text) in [("/livez", r#"{"status":"alive"}"#), ("/readyz", r#"{"status":"ready"}"#)] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, text));
    }
}

#[tokio::test]
async fn a_user_may_have_any_name_that_can_be_percent_encoded() {
    let server = TestServer::bare().await;
    let names = [
        ("a%20b%2Fc", "a b/c"),
        ("%C3%BCn%C3%AF", "ünï"),
        ("50%25", "50%"),
        ("a%3Fb%23c", "a?b#c"),
        ("a+b", "a+b"),
        ("%2E%2E%2Fx", "../x"),
        ("config%20", "config "),
    ];
    for (written, name) in names {
        let path = |rest: &str| format!("/api/memory/{written}{rest}");
        let message = json!({"role": "user", "content": format!("I am {name}")});
        assert_eq!(server.post(&path("/message"), &message).await.expect(200)["user_id"], name);
        let history = server.get(&path("/history")).await.expect(200);
        assert_eq!((&history["user_id"], &history["count"]), (&json!(name), &json!(1)));
        assert_eq!(history["messages"][0]["content"], format!("I am {name}"));
        let cleared = format!("Conversation memory cleared for user {name}");
        assert_eq!(server.delete(&path("")).await.expect(200)["message"], cleared);
        assert_eq!(server.get(&path("/history")).await.expect(200)["count"], 0);
    }
}

#[tokio::test]
async fn bodies_are_compact_and_spell_every_script_as_it_is() {
    let llm = Upstream::saying("Grüße, 世界 🚀").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let message =
        json!({"role": "user", "content": "naïve \u{2028} \"quoted\" </script>", "metadata": {"ключ": ["é", 1.5]}});
    let added = server.post("/api/memory/%C3%BC/message", &message).await;
    let expected = r#"{"success":true,"message":"Message added to conversation history","user_id":"ü","role":"user"}"#;
    assert_eq!(added.text, expected);
    assert_eq!(header(&added, "content-type"), "application/json");
    let history = server.get("/api/memory/%C3%BC/history").await;
    let timestamp = history.json()["messages"][0]["timestamp"].as_str().unwrap().to_owned();
    let expected = [
        r#"{"success":true,"user_id":"ü","messages":[{"role":"user","content":"naïve "#,
        "\u{2028}",
        r#" \"quoted\" </script>","timestamp":""#,
        &timestamp,
        r#"","metadata":{"ключ":["é",1.5]}}],"count":1}"#,
    ];
    assert_eq!(history.text, expected.concat());
    let answer = server.post("/v1/chat", &json!({"prompt": "日本"})).await.text;
    assert!(answer.starts_with(r#"{"answer":"Grüße, 世界 🚀","metadata":{"#), "{answer}");
    let refusal = server.post("/v1/chat", &json!({"user_id": "日本"})).await;
    assert!(refusal.text.contains(r#""input":{"user_id":"日本"}"#), "{}", refusal.text);
}

#[tokio::test]
async fn a_request_under_way_is_finished_when_the_server_is_told_to_stop() {
    let (asked, word) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (asked.clone(), word.clone());
    let llm = Upstream::start(move |seen, _| {
        tell.notify_one();
        let mut acts = vec![Act::Wait(wait.clone())];
        acts.extend(openai(seen, "I took my time."));
        acts
    })
    .await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let (client, address) = (Client::new(server.url("")), address(&server));
    let question = json!({"prompt": "Hello", "user_id": "ada"});
    let asking = tokio::spawn(async move { client.post("/v1/chat", &question).await });
    asked.notified().await;

    let restarting = tokio::spawn(server.restart());
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(&address).await.is_ok() {
        assert!(Instant::now() < until, "the server still takes connections");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!asking.is_finished() && !restarting.is_finished(), "both wait for the LLM");

    word.notify_one();
    assert_eq!(asking.await.unwrap().expect(200)["answer"], "I took my time.");
    let server = restarting.await.unwrap();
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 2, "and it is remembered");
    let executions = server.get("/v1/executions").await.expect(200);
    assert_eq!(executions["executions"][0]["status"], "completed");
}

#[tokio::test]
async fn a_server_without_work_stops_at_once_even_while_clients_stay_connected() {
    let server = TestServer::with(&[("SHUTDOWN_GRACE_SECONDS", "3600")]).await;
    server.get("/health").await.expect(200);
    let idle = TcpStream::connect(address(&server)).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(30), server.stop()).await;
    assert!(stopped.is_ok(), "it waits for connections that ask for nothing");
    drop(idle);
}

#[tokio::test]
async fn work_that_outlasts_the_grace_period_is_cut_off() {
    let asked = Arc::new(Notify::new());
    let tell = asked.clone();
    let llm = Upstream::start(move |_, _| {
        tell.notify_one();
        vec![Act::Hang]
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("SHUTDOWN_GRACE_SECONDS", "0")]).await;
    let client = Client::new(server.url(""));
    let asking = tokio::spawn(async move {
        let request = client.request("POST", "/v1/chat").header("content-type", "application/json");
        request.body(r#"{"prompt": "Hello"}"#).send().await
    });
    asked.notified().await;
    let stopped = tokio::time::timeout(Duration::from_secs(30), server.stop()).await;
    assert!(stopped.is_ok(), "it waits longer than it was told to");
    assert!(asking.await.unwrap().is_err(), "the connection ends with the server");
    let left = tokio::time::timeout(Duration::from_secs(30), llm.client_left()).await;
    assert!(left.is_ok(), "the LLM is still kept busy");
}

#[tokio::test]
async fn a_body_is_utf_8_and_plain() {
    let server = TestServer::bare().await;
    let body = r#"{"role": "user", "content": "a"}"#;
    let send = async |kind: &str, coding: Option<&str>| {
        let request = server.request("POST", "/api/memory/ada/message").header("content-type", kind).body(body);
        Answer::of(coding.into_iter().fold(request, |request, coding| request.header("content-encoding", coding))).await
    };
    let json = "application/json";
    for kind in [
        json,
        "application/json;charset=utf-8",
        "application/json; Charset=\"UTF-8\"",
        "application/x+json; charset=utf8",
        "application/json; charset = 'utf-8'",
    ] {
        assert_eq!(send(kind, None).await.status, 200, "{kind}");
    }
    assert_eq!(send(json, Some("identity")).await.status, 200);
    for kind in [
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-16",
        "application/json;charset=",
        "application/json; charset = latin1",
        "application/json; charset\t='utf-16'",
    ] {
        let text = "Content-Type: charset should be utf-8, or be left out";
        assert_envelope(&send(kind, None).await, 415, text, "unsupported_media_type", kind);
    }
    for coding in ["gzip", "br", "identity, gzip"] {
        let text = "Content-Encoding should be left out";
        assert_envelope(&send(json, Some(coding)).await, 415, text, "unsupported_media_type", coding);
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_too_much_is_told_at_once() {
    let server = TestServer::with(&[("MAX_BODY_BYTES", "1000")]).await;
    let ask = async |length: usize| {
        let mut stream = TcpStream::connect(address(&server)).await.unwrap();
        let head =
            "POST /v1/chat HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-type: application/json";
        stream.write_all(format!("{head}\r\ncontent-length: {length}\r\n\r\n").as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        String::from_utf8(start.to_vec()).unwrap()
    };
    assert_eq!([ask(1000).await, ask(1001).await], ["HTTP/1.1 100", "HTTP/1.1 413"]);
}
