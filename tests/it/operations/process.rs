//! The binary as it is run: started, killed, stopped, started again.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::upstream::openai;
use crate::common::{Program, Upstream};

#[tokio::test]
async fn the_demo_answers_remembers_and_streams_with_nothing_configured() {
    let folder = TempDir::new().unwrap();
    let program =
        Program::start("demo", folder.path(), &[("LLM_BASE_URL", "http://127.0.0.1:9"), ("LLM_API_KEY", "unused")])
            .await;
    let client = &program.client;
    let told = client.post("/v1/chat", &json!({"prompt": "My name is Ada", "user_id": "ada"})).await.expect(200);
    assert!(told["answer"].as_str().unwrap().starts_with("[demo model, scripted]"));
    for provider in ["openai", "ollama", "auto"] {
        client.put("/api/llm/config", &json!({"provider": provider})).await.expect(200);
        let frames = client
            .chat_events(&json!({"prompt": "What is my name?", "user_id": "ada", "metadata": {"via": provider}}))
            .await;
        assert!(frames.iter().filter(|frame| frame.event == "delta").count() > 3);
        assert_eq!(frames.last().unwrap().data["answer"], "[demo model, scripted] Your name is Ada.", "{provider}");
        assert_eq!(client.get("/api/llm/health").await.expect(200)["healthy"], true);
        assert_eq!(client.get("/api/llm/models").await.expect(200)["models"][0]["id"], "demo-model");
        assert_eq!(client.post("/api/llm/test", &json!({})).await.expect(200)["success"], true);
    }
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let program = Program::start("demo", folder.path(), &[]).await;
    assert_eq!(
        program.client.get("/api/memory/ada/history").await.expect(200)["count"],
        8,
        "remembered across a restart"
    );
}

#[tokio::test]
async fn every_acknowledged_turn_is_there_after_kill_9() {
    let llm = Upstream::start(|seen, _| openai(seen, "ok")).await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("MEMORY_MAX_MESSAGES", "1000"),
        ("CACHE_ENABLED", "false"),
    ];
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let program = Program::start("serve", folder.path(), &variables).await;
        let history = program.client.get("/api/memory/ada/history").await.expect(200);
        let stored: Vec<_> = history["messages"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .filter(|m| m["role"] == "user")
            .map(|m| m["content"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(stored, acknowledged, "after {round} kills");
        for number in 0..=round {
            let prompt = format!("round {round} turn {number}");
            program.client.post("/v1/chat", &json!({"prompt": prompt, "user_id": "ada"})).await.expect(200);
            acknowledged.push(prompt);
        }
        let model = format!("model-{round}");
        program.client.put("/api/llm/config", &json!({"default_model": model})).await.expect(200);
        program.kill();
        let program = Program::start("serve", folder.path(), &variables).await;
        assert_eq!(program.client.get("/api/llm/config").await.expect(200)["default_model"], json!(model));
        program.kill();
    }
    let program = Program::start("serve", folder.path(), &variables).await;
    let executions = program.client.get("/v1/executions?status=completed").await.expect(200);
    assert_eq!(executions["count"], acknowledged.len());
}

#[tokio::test]
async fn an_execution_that_a_crash_cut_off_is_marked_as_interrupted() {
    let llm = Upstream::start(|_, _| vec![crate::common::Act::Hang]).await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let _stream = program.client.open_stream(&json!({"prompt": "Hello"})).await;
    while llm.chats().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(program.client.get("/v1/executions").await.expect(200)["executions"][0]["status"], "running");
    program.kill();
    let program = Program::start("serve", folder.path(), &variables).await;
    let list = program.client.get("/v1/executions").await.expect(200);
    assert_eq!((&list["count"], &list["executions"][0]["status"]), (&json!(1), &json!("interrupted")));
}

#[tokio::test]
async fn stored_values_that_override_the_environment_are_named_at_start() {
    let folder = TempDir::new().unwrap();
    let variables = [("LLM_DEFAULT_MODEL", "from-env"), ("LLM_TEMPERATURE", "0.2")];
    let program = Program::start("serve", folder.path(), &variables).await;
    assert!(!program.log().contains("override"));
    program.client.put("/api/llm/config", &json!({"default_model": "from-api", "max_tokens": 5})).await.expect(200);
    program.kill();
    let program = Program::start("serve", folder.path(), &variables).await;
    let log = program.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("override")).collect();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("LLM_DEFAULT_MODEL") && !lines[0].contains("LLM_TEMPERATURE"), "{}", lines[0]);
}

#[tokio::test]
async fn a_stop_signal_lets_a_stream_finish_and_ends_it_after_the_grace_period() {
    let llm = Upstream::start(|_, _| vec![crate::common::Act::Hang]).await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_PROVIDER", "openai"),
        ("SHUTDOWN_GRACE_SECONDS", "1"),
    ];
    let program = Program::start("serve", folder.path(), &variables).await;
    let _stream = program.client.open_stream(&json!({"prompt": "Hello"})).await;
    program.signal("TERM");
    let started = std::time::Instant::now();
    assert_eq!(program.wait(), Some(0));
    let took = started.elapsed();
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_connection_that_is_open_when_the_server_stops_is_answered() {
    const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let folder = TempDir::new().unwrap();
    let server = Program::start("demo", folder.path(), &[]).await;
    let connect = async || TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    // Accepted by the server, and silent until it stops.
    let mut silent = connect().await;
    server.client.get("/livez").await.expect(200);
    // Accepted by the system only: the server stands still.
    server.signal("STOP");
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut stream = connect().await;
        stream.write_all(REQUEST).await.unwrap();
        waiting.push(stream);
    }
    server.signal("TERM");
    server.signal("CONT");
    tokio::time::sleep(Duration::from_millis(200)).await;
    silent.write_all(REQUEST).await.unwrap();
    for mut stream in waiting.into_iter().chain([silent]) {
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply:?}");
    }
    assert_eq!(server.wait(), Some(0));
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_says_so() {
    let folder = TempDir::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = Program::run("serve", folder.path(), &[("API_PORT", &port)]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("can't listen on 127.0.0.1:") && text.contains("API_PORT"), "{text}");
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_server_at_a_time() {
    let folder = TempDir::new().unwrap();
    let first = Program::start("serve", folder.path(), &[]).await;
    let port = crate::common::program::free_port().to_string();
    let output = Program::run("serve", folder.path(), &[("API_PORT", &port)]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another server uses this DATA_DIR"), "{text}");
    first.kill();
    Program::start("serve", folder.path(), &[]).await;
}

#[tokio::test]
async fn the_demo_is_the_same_whatever_is_configured_about_upstreams() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/agents.json"), "{ broken").unwrap();
    std::fs::write(folder.path().join("config/llm.json"), r#"{"api_key": "${NOT_SET}"}"#).unwrap();
    let variables = [
        ("MEMORY_MAX_MESSAGES", "7"),
        ("REDIS_URL", "redis://127.0.0.1:9/0"),
        ("TOOLS", "nonsense"),
        ("LLM_API_KEY_FILE", "/no/such/file"),
        ("POSTGRES_DSN_FILE", "/no/such/file"),
        ("POSTGRES_PASSWORD_FILE", "/no/such/file"),
        ("REDIS_PASSWORD_FILE", "/no/such/file"),
    ];
    let program = Program::start("demo", folder.path(), &variables).await;
    let reply = program.client.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
    assert!(reply["answer"].as_str().unwrap().starts_with("[demo model, scripted]"));
    let memory = program.client.get("/api/memory/config").await.expect(200);
    assert_eq!((&memory["max_messages"], &memory["redis_configured"]), (&json!(7), &json!(false)));
}

#[test]
fn the_demo_does_not_authenticate_without_a_secret_nor_overlook_a_wrong_limit() {
    let folder = TempDir::new().unwrap();
    for (name, value) in [("AUTH_ENABLED", "true"), ("REDIS_TTL_SECONDS", "never"), ("TOOLS_MAX_CONCURRENT", "0")] {
        let output = Program::run("demo", folder.path(), &[("API_PORT", "0"), (name, value)]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {text}");
        assert!(text.contains(name), "{text}");
    }
}

#[tokio::test]
async fn a_request_whose_client_leaves_has_its_line_in_the_log() {
    let llm = Upstream::start(|_, _| vec![crate::common::Act::Hang]).await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let request = program.client.request("POST", "/v1/chat").header("content-type", "application/json");
    let request = request.header("x-request-id", "left-early").body(json!({"prompt": "Hello"}).to_string()).send();
    tokio::select! {
        _ = request => panic!("there can be no answer"),
        () = async { while llm.chats().is_empty() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    llm.client_left().await;
    let lines =
        |log: &str| log.lines().filter(|line| line.contains("left-early")).map(str::to_owned).collect::<Vec<_>>();
    for _ in 0..100 {
        if !lines(&program.log()).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lines = lines(&program.log());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("abandoned") && lines[0].contains("/v1/chat"), "{}", lines[0]);
}
