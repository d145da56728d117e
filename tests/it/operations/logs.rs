//! The log: for people or for programs, kept for a while, searchable, and free of secrets.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Answer, Client, Program, TestServer, Upstream};

/// A request under an id of the test's choice.
async fn get_as(client: &Client, id: &str, path: &str) -> Answer {
    Answer::of(client.request("GET", path).header("x-request-id", id)).await
}

async fn logs(client: &Client, query: &str) -> Vec<Value> {
    let found = client.get(&format!("/api/monitoring/logs?{query}")).await.expect(200);
    let logs = found["logs"].as_array().unwrap().clone();
    assert_eq!(found["count"], logs.len());
    logs
}

#[tokio::test]
async fn lines_are_found_by_what_they_are_about() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[("REDIS_URL", "redis://cache")]).await;
    let client = &program.client;
    get_as(client, "story-1", "/api/agents/NoSuchAgent").await.expect(404);
    get_as(client, "story-2", "/api/agents").await.expect(200);

    let found = logs(client, "request_id=story-1").await;
    assert_eq!(found.len(), 1, "{found:?}");
    let line = &found[0];
    assert_eq!(
        (&line["level"], &line["message"], &line["request_id"]),
        (&json!("INFO"), &json!("served"), &json!("story-1"))
    );
    assert!(line["fields"]["duration_ms"].as_f64().unwrap() > 0.0);
    let fields = ["method", "route", "status"].map(|name| line["fields"][name].clone());
    assert_eq!(fields, [json!("GET"), json!("/api/agents/{name}"), json!(404)], "the route, not the path");

    let newest = logs(client, "contains=SERVED&limit=2").await;
    assert_eq!(newest.len(), 2);
    assert!(newest[0]["id"].as_u64() > newest[1]["id"].as_u64(), "newest first");
    let warnings = logs(client, "level=warning").await;
    assert!(!warnings.is_empty() && warnings.iter().all(|line| line["level"] == "WARN"), "{warnings:?}");
    assert_eq!(logs(client, "level=error").await, Vec::<Value>::new());
    let since = line["timestamp"].as_str().unwrap();
    assert!(logs(client, &format!("since={since}&request_id=story-2")).await.len() == 1);
    assert_eq!(logs(client, "since=2100-01-01T00:00:00Z").await, Vec::<Value>::new());
    assert_eq!(logs(client, "request_id=story-1&level=warning").await, Vec::<Value>::new(), "all filters must fit");
    assert_eq!(logs(client, "limit=0").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused() {
    let server = TestServer::bare().await;
    for (query, field) in [
        ("limit=-1", "limit"),
        ("limit=abc", "limit"),
        ("level=loud", "level"),
        ("since=yesterday", "since"),
        ("follow=2", "follow"),
        (&format!("contains={}", "x".repeat(257)), "contains"),
    ] {
        let refused = server.get(&format!("/api/monitoring/logs?{query}")).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["query", field]), "{query}");
    }
}

#[tokio::test]
async fn for_programs_every_line_is_a_json_object() {
    let folder = TempDir::new().unwrap();
    let variables = [("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug"), ("LLM_BASE_URL", "http://127.0.0.1:1")];
    let program = Program::start("serve", folder.path(), &variables).await;
    program.client.post("/api/llm/test", &json!({"model": "m"})).await.expect(200);
    get_as(&program.client, "story-3", "/nowhere").await.expect(404);
    let log = program.log();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for line in &lines {
        let named = ["id", "timestamp", "level", "target", "message", "request_id", "execution_id", "fields"];
        assert!(named.iter().all(|name| line.get(name).is_some()), "{line}");
    }
    let line = lines.iter().find(|line| line["request_id"] == "story-3").unwrap();
    assert_eq!((&line["fields"]["route"], &line["fields"]["status"]), (&json!("(none)"), &json!(404)));
}

#[tokio::test]
async fn for_people_a_line_is_text() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[]).await;
    get_as(&program.client, "story-4", "/livez").await.expect(200);
    let log = program.log();
    let line = log.lines().find(|line| line.contains("story-4")).unwrap();
    assert!(line.contains(" INFO served method=GET route=/livez status=200 duration_ms="), "{line}");
    assert!(line.ends_with(" request_id=story-4"), "{line}");
}

/// Ids live in spans, which must not be filtered as events are.
#[tokio::test]
async fn ids_are_known_whatever_the_level() {
    for level in ["off", "error", "info,orchestrator_studio=warn"] {
        let folder = TempDir::new().unwrap();
        let program = Program::start("serve", folder.path(), &[("LOG_LEVEL", level)]).await;
        let refused = get_as(&program.client, "story-5", "/nowhere").await.expect(404);
        assert_eq!(refused["request_id"], "story-5", "{level}");
    }
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::saying("Hi").await);
    let (base, level) = (upstream.url(), "error,orchestrator_studio=warn,orchestrator_studio::web=info");
    let variables = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LOG_LEVEL", level)];
    let program = Program::start("serve", folder.path(), &variables).await;
    let body = json!({"prompt": "Hello", "user_id": "ada"}).to_string();
    let request = program.client.request("POST", "/v1/chat").header("x-request-id", "story-6").body(body);
    Answer::of(request.header("content-type", "application/json")).await.expect(200);
    let lines = logs(&program.client, "request_id=story-6").await;
    assert!(!lines.is_empty() && lines.iter().all(|line| line["execution_id"].is_string()), "{lines:?}");
}

#[tokio::test]
async fn a_follower_gets_new_lines_and_does_not_hold_up_the_end() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[("SHUTDOWN_GRACE_SECONDS", "60")]).await;
    get_as(&program.client, "before", "/livez").await.expect(200);
    let request = program.client.request("GET", "/api/monitoring/logs?follow=true&limit=1&contains=livez");
    let reply = request.send().await.unwrap();
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    let mut chunks = reply.bytes_stream();
    let mut text = String::new();
    for id in ["before", "after-1", "after-2"] {
        if id != "before" {
            get_as(&program.client, id, "/livez").await.expect(200);
            get_as(&program.client, "unwanted", "/readyz").await.expect(200);
        }
        while !text.contains(id) {
            text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
        }
    }
    assert!(text.starts_with("id: ") && text.contains("\nevent: log\ndata: {") && !text.contains("unwanted"), "{text}");
    program.signal("TERM");
    let started = Instant::now();
    assert_eq!(program.wait(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// A client's own request id is the shortest way for a secret into a line.
/// Has these secrets pass through the log, and looks for them there and in what is kept of it.
async fn assert_masked(program: &Program, secrets: &[&str]) {
    let client = &program.client;
    for secret in secrets {
        get_as(client, &format!("x:{secret}"), "/livez").await.expect(200);
    }
    get_as(client, "no-canary-of-anybody", "/livez").await.expect(200);
    let kept = client.get("/api/monitoring/logs?contains=livez").await.text;
    for text in [program.log(), kept] {
        assert!(text.contains("x:********") && text.contains("no-canary-of-anybody"), "{text}");
        let told: Vec<_> = secrets.iter().filter(|secret| text.contains(**secret)).collect();
        assert!(told.is_empty(), "{told:?} in {text}");
    }
}

#[tokio::test]
async fn a_secret_is_masked_in_the_log_and_in_what_is_kept_of_it() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let agents = r#"{"one": {"url": "http://127.0.0.1:1", "auth_token": "canary-of-agent-one"}}"#;
    let variables = [
        ("EXTERNAL_AGENTS", agents),
        ("REDIS_URL", "redis://u:canary-of-redis@h/0"),
        ("LLM_API_KEY", "canary-of-the-llm"),
        ("LOG_LEVEL", "debug"),
    ];
    let program = Program::start("serve", folder.path(), &variables).await;
    let late = json!({"name": "two", "url": "http://127.0.0.1:1", "auth_token": "canary-of-agent-two"});
    program.client.post("/api/agents", &late).await.expect(201);
    let secrets = ["canary-of-agent-one", "canary-of-agent-two", "canary-of-redis", "canary-of-the-llm"];
    assert_masked(&program, &secrets).await;
    // Nothing can be configured while a Postgres is away.
    let variables = [("POSTGRES_DSN", "postgres://u:canary-of-postgres@h/x"), ("LOG_LEVEL", "debug")];
    let program = Program::start("serve", other.path(), &variables).await;
    assert_masked(&program, &["canary-of-postgres"]).await;
}

#[tokio::test]
async fn the_key_figures_are_logged_now_and_then() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[("MONITORING_EXPORT_INTERVAL", "1")]).await;
    for _ in 0..100 {
        if program.log().contains("INFO figures") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = program.log();
    let line = log.lines().find(|line| line.contains(" figures ")).unwrap();
    assert!(line.contains(" resident_bytes=") && line.contains(" cpu_percent="), "{line}");
}

#[tokio::test]
async fn the_lines_of_a_chat_are_found_by_its_execution() {
    let llm = Upstream::saying("Hello.").await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let reply = program.client.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
    let events = program.client.chat_events(&json!({"prompt": "Hello again"})).await;
    for id in [&reply["execution_id"], &events.last().unwrap().data["execution_id"]] {
        let id = id.as_str().unwrap();
        let lines = logs(&program.client, &format!("execution_id={id}")).await;
        let served: Vec<_> = lines.iter().filter(|line| line["message"] == "served").collect();
        assert_eq!(served.len(), 1, "{lines:?}");
        assert_eq!((&served[0]["fields"]["route"], &served[0]["execution_id"]), (&json!("/v1/chat"), &json!(id)));
    }
}

/// A paused terminal, a pager, a logging driver that is stuck.
#[tokio::test]
async fn nobody_reads_the_log_and_everybody_is_served() {
    let folder = TempDir::new().unwrap();
    let mut program =
        Program::start_logging_to(Stdio::piped(), "serve", folder.path(), &[("LOG_FORMAT", "json")]).await;
    let client = &program.client;
    let gets = futures_util::stream::iter(0..7_000).map(|_| async { client.get("/livez").await.expect(200) });
    gets.buffer_unordered(16).collect::<Vec<_>>().await;
    let figures = client.get("/metrics").await.text;
    let lost = figures.lines().find_map(|line| line.strip_prefix("orchestrator_log_lines_lost_total")).unwrap();
    let lost: f64 = lost.trim_start_matches("{}").trim().parse().unwrap();
    assert!(lost > 500.0 && lost < 2_500.0, "more than the pipe and what is kept: {lost}");

    // The reader is back: it is told once, and gets the rest in order.
    let lines =
        BufReader::new(program.stderr()).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let is_told = |line: &Value| line["message"].as_str().unwrap().starts_with("nobody has read the log");
    let read = std::thread::spawn(move || {
        let mut read = Vec::new();
        for line in lines {
            let told = is_told(&line);
            read.push(line);
            if told {
                break;
            }
        }
        read
    });
    let read = tokio::task::spawn_blocking(move || read.join().unwrap()).await.unwrap();
    let ids: Vec<_> = read.iter().map(|line| line["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    let told = read.last().unwrap();
    let told_lost = told["fields"]["lines"].as_u64().unwrap();
    assert!(told["level"] == "WARN" && told_lost as f64 >= lost, "{told} but {lost}");
    assert_eq!(ids.len() as u64 + told_lost, *ids.last().unwrap(), "each line was read or counted");
}

#[tokio::test]
async fn nobody_reads_the_log_and_the_server_ends_when_told_to() {
    let folder = TempDir::new().unwrap();
    let program = Program::start_logging_to(Stdio::piped(), "serve", folder.path(), &[("LOG_FORMAT", "json")]).await;
    for _ in 0..2_000 {
        program.client.get("/livez").await.expect(200);
    }
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}

#[tokio::test]
async fn the_log_is_written_to_its_end() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[]).await;
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let log = std::fs::read_to_string(folder.path().join("log.txt")).unwrap();
    assert!(log.contains(" INFO stopping: ") && log.ends_with('\n'), "{log}");
}

#[tokio::test]
async fn followers_are_as_many_as_there_are_places() {
    let server = TestServer::bare().await;
    let follow = async || server.request("GET", "/api/monitoring/logs?follow=true").send().await.unwrap();
    let mut followers = Vec::new();
    for _ in 0..32 {
        followers.push(follow().await);
    }
    assert!(followers.iter().all(|reply| reply.status() == 200));
    let refused = server.get("/api/monitoring/logs?follow=true").await.expect(503);
    assert_eq!((&refused["code"], refused["detail"].as_str().unwrap().contains("32")), (&json!("busy"), true));
    server.get("/api/monitoring/logs").await.expect(200);
    followers.pop();
    for _ in 0..200 {
        if follow().await.status() == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place of one that left stays taken");
}

/// A laptop that sleeps with the log open.
#[tokio::test]
async fn a_follower_that_does_not_read_does_not_hold_up_the_end() {
    let folder = TempDir::new().unwrap();
    let variables = [("SHUTDOWN_GRACE_SECONDS", "60"), ("LOG_CONTENT", "true")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let prompt = json!({"prompt": "long ".repeat(1_500)});
    for _ in 0..600 {
        program.client.post("/v1/chat", &prompt).await;
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut asleep = socket.connect(([127, 0, 0, 1], program.port).into()).await.unwrap();
    let request = b"GET /api/monitoring/logs?follow=true&limit=10000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut asleep, request).await.unwrap();
    asleep.readable().await.unwrap();
    program.signal("TERM");
    let started = Instant::now();
    assert_eq!(program.wait(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
