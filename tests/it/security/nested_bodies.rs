//! Bodies that are small as text and huge as values: they are refused by what they take, and what they took is given back.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::common::process_memory::ProcessMemory;
use crate::common::{Answer, Client, Program, TestServer, Upstream};

/// Bytes of the attack.
const BODY: u64 = 9_800_000;

/// `count` lists, each of `depth` lists in each other.
pub fn lists(count: usize, depth: usize) -> String {
    vec![format!("{}{}", "[".repeat(depth), "]".repeat(depth)); count].join(",")
}

async fn send(client: &Client, method: &str, path: &str, body: impl Into<String>) -> Answer {
    Answer::of(client.request(method, path).header("content-type", "application/json").body(body.into())).await
}

/// Every place that takes free-form JSON: method, path, body with `X` for the inside of a list.
const PLACES: [(&str, &str, &str); 13] = [
    ("POST", "/v1/chat", r#"{"prompt": "Hi", "metadata": {"x": [X]}}"#),
    ("POST", "/v1/chat", r#"{"prompt": "Hi", "metadata": {"tool": "web", "tool_params": {"x": [X]}}}"#),
    ("POST", "/v1/chat", r#"{"prompt": "Hi", "unknown": [X]}"#),
    ("POST", "/api/memory/ada/message", r#"{"role": "user", "content": "Hi", "metadata": {"x": [X]}}"#),
    ("POST", "/api/memory/ada/message?role=user&content=Hi", r#"{"x": [X]}"#),
    ("POST", "/api/agents", r#"{"name": "b", "url": "http://127.0.0.1:9", "metadata": {"x": [X]}}"#),
    ("PUT", "/api/agents/a", r#"{"name": "a", "url": "http://127.0.0.1:9", "metadata": {"x": [X]}}"#),
    ("POST", "/api/agents/a/call", r#"{"x": [X]}"#),
    ("POST", "/api/datasources", r#"{"name": "b", "type": "api", "url": "http://127.0.0.1:9", "config": {"x": [X]}}"#),
    ("POST", "/api/datasources/d/query", r#"{"query": "SELECT 1", "parameters": {"x": [X]}}"#),
    (
        "POST",
        "/api/tools",
        r#"{"name": "b", "type": "mcp", "config": {"url": "http://127.0.0.1:9", "headers": {"x": [X]}}}"#,
    ),
    ("POST", "/api/tools/t/execute", r#"{"arguments": {"x": [X]}}"#),
    ("POST", "/api/tools/t/test", r#"{"x": [X]}"#),
];

/// The program with one of each, in a folder of its own; every place has been used once.
async fn program(folder: &TempDir, variables: &[(&str, &str)]) -> Program {
    let program = Program::start("serve", folder.path(), variables).await;
    let client = &program.client;
    let entry = |name: &str, kind: &str| json!({"name": name, "type": kind, "url": "http://127.0.0.1:9", "config": {}});
    client.post("/api/agents", &entry("a", "")).await.expect(201);
    client.post("/api/datasources", &entry("d", "api")).await.expect(201);
    client.post("/api/tools", &entry("t", "custom")).await.expect(201);
    for (method, path, body) in PLACES {
        send(client, method, path, body.replace('X', "1")).await;
    }
    for name in ["agents/b", "datasources/b", "tools/b"] {
        client.delete(&format!("/api/{name}")).await;
    }
    program
}

#[tokio::test]
async fn five_million_values_in_ten_megabytes_are_refused_wherever_they_stand_and_cost_no_memory() {
    let folder = TempDir::new().unwrap();
    let program = program(&folder, &[]).await;
    let lists = lists(49_000, 100);
    let memory = ProcessMemory::now(program.pid());
    for (method, path, body) in PLACES {
        let answer = send(&program.client, method, path, body.replace('X', &lists)).await.expect(413);
        assert_eq!(answer["detail"], "The body has more than 100000 values (MAX_BODY_VALUES)", "{method} {path}");
        assert_eq!(answer["code"], "payload_too_large");
    }
    assert!(memory.taken() < 5 * BODY, "it took {} bytes more", memory.taken());
    memory.given_back().await;
}

#[tokio::test]
async fn what_is_just_within_the_limits_is_given_back_too() {
    let folder = TempDir::new().unwrap();
    let program = program(&folder, &[]).await;
    let memory = ProcessMemory::now(program.pid());
    // A hundred thousand values in all, two thousand in metadata, five thousand in config.
    for (place, inside) in [(2, lists(980, 100)), (0, lists(19, 100)), (4, lists(19, 100)), (8, lists(75, 60))] {
        let (method, path, body) = PLACES[place];
        let body = body.replace('X', &inside);
        let answers = join_all((0..8).map(|_| send(&program.client, method, path, body.clone()))).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(statuses.iter().all(|status| ![413, 422].contains(status)), "{method} {path}: {statuses:?}");
    }
    // Metadata is read again with each message of the conversation.
    let (method, path, body) = PLACES[3];
    for _ in 0..50 {
        send(&program.client, method, path, body.replace('X', &lists(19, 100))).await.expect(200);
    }
    assert_eq!(program.client.get("/api/memory/ada/history").await.expect(200)["count"], 50);
    assert!(memory.taken() < 15 * BODY, "it took {} bytes more", memory.taken());
    program.client.delete("/api/memory/ada").await.expect(200);
    program.client.delete("/api/memory/default").await.expect(200);
    program.client.delete("/api/datasources/b").await.expect(200);
    memory.given_back().await;
}

#[tokio::test]
async fn metadata_and_config_have_a_size_of_their_own() {
    let limits = [("MAX_METADATA_BYTES", "200"), ("MAX_CONFIG_BYTES", "300"), ("MAX_BODY_VALUES", "50")];
    let server = TestServer::with(&limits).await;
    let agent =
        |bytes: usize| json!({"name": "a", "url": "http://127.0.0.1:9", "metadata": {"x": "x".repeat(bytes - 8)}});
    let tool = |bytes: usize| json!({"name": "t", "type": "custom", "config": {"x": "x".repeat(bytes - 8)}});
    server.post("/api/agents", &agent(100)).await.expect(201);
    server.post("/api/tools", &tool(200)).await.expect(201);
    let message = "/api/memory/ada/message";
    let metadata = &agent(101)["metadata"];
    let rows = [
        ("POST", "/api/agents", agent(101), vec!["body", "metadata"]),
        ("PUT", "/api/agents/a", agent(101), vec!["body", "metadata"]),
        ("PUT", "/api/tools/t", tool(201), vec!["body", "config"]),
        ("POST", "/v1/chat", json!({"prompt": "Hi", "metadata": metadata}), vec!["body", "metadata"]),
        ("POST", message, json!({"role": "user", "content": "Hi", "metadata": metadata}), vec!["body", "metadata"]),
        ("POST", "/api/memory/ada/message?role=user&content=Hi", metadata.clone(), vec!["body"]),
    ];
    for (method, path, body, loc) in rows {
        let issue = &send(&server, method, path, body.to_string()).await.expect(422)["errors"][0];
        let expected = match loc.last() {
            Some(&"config") => {
                "Input should have at most 300 bytes as JSON, each value counting 50 more (MAX_CONFIG_BYTES)"
            }
            _ => "Input should have at most 200 bytes as JSON, each value counting 50 more (MAX_METADATA_BYTES)",
        };
        assert_eq!((&issue["loc"], &issue["msg"]), (&json!(loc), &json!(expected)), "{method} {path}");
    }
    server.get("/api/memory/ada/history").await.expect(200)["count"].as_u64().filter(|count| *count == 0).unwrap();
    // What an agent is sent is its own affair.
    server.post("/api/agents/a/call", &json!({"metadata": metadata})).await.expect(200);
    let many = json!({"prompt": "Hi", "unknown": vec![1; 50]});
    assert_eq!(
        server.post("/v1/chat", &many).await.expect(413)["detail"],
        "The body has more than 50 values (MAX_BODY_VALUES)"
    );
}

/// Bytes that the reply to a wrong body may have; what is quoted of it is cut.
const REFUSAL: usize = 50_000;

#[tokio::test]
async fn a_refusal_quotes_the_beginning_of_what_was_wrong() {
    let server = TestServer::bare().await;
    let long = "x".repeat(1_000_000);
    let rows = [
        json!({"metadata": {"x": vec![1; 20_000]}, "user_id": 5}),
        json!({"prompt": [long], "user_id": {"x": long}}),
        json!({"prompt": {long.as_str(): 1}}),
        json!({"prompt": "Hi", "user_id": long}),
        json!({"prompt": "Hi", "metadata": vec![vec![1; 10]; 2_000]}),
        json!({"prompt": "Hi", "metadata": {"tools": vec![7; 40_000], "model": vec!["x"; 20_000]}}),
        json!(vec![1; 50_000]),
    ];
    for body in rows {
        let answer = server.post("/v1/chat", &body).await;
        assert!(answer.text.len() < REFUSAL, "{} bytes", answer.text.len());
        assert!(answer.expect(422)["errors"][0].to_string().contains('…'));
    }
    // As ever, if it is small.
    let small = server.post("/v1/chat", &json!({"user_id": ["x"], "metadata": {"a": 1}})).await.expect(422);
    let inputs: Vec<_> = small["errors"].as_array().unwrap().iter().map(|issue| &issue["input"]).collect();
    assert_eq!(inputs, [&json!({"user_id": ["x"], "metadata": {"a": 1}}), &json!(["x"])]);
}

#[tokio::test]
async fn ten_thousand_mistakes_are_told_in_a_hundred_and_in_linear_time() {
    let server = TestServer::with(&[("MAX_CONFIG_BYTES", "10000000")]).await;
    // A path that is long and wrong at each of its ends: whoever copies it for each takes gigabytes.
    let wrong = |text: &str| {
        let key = "k".repeat(100_000);
        let inner = json!({key: vec![text; 10_000]});
        (0..50).fold(inner, |inner, _| json!([inner]))
    };
    for text in ["********", "${NOBODY}", "${PATH}"] {
        let tool = json!({"name": "t", "type": "custom", "config": {"x": wrong(text)}});
        let started = std::time::Instant::now();
        let answer = server.post("/api/tools", &tool).await;
        assert!(started.elapsed().as_secs() < 20, "{text}: {:?}", started.elapsed());
        assert!(answer.text.len() < 200_000, "{text}: {} bytes", answer.text.len());
        assert_eq!(answer.expect(422)["errors"].as_array().unwrap().len(), 100, "{text}");
    }
}

#[tokio::test]
async fn what_is_long_but_honest_is_served() {
    let llm = Upstream::saying("A long story.").await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    let program = program(&folder, &variables).await;
    let prompt = r#"It said: "{[,:\" "#.repeat(400_000);
    let reply = program.client.post("/v1/chat", &json!({"prompt": prompt, "user_id": "ada"})).await.expect(200);
    assert_eq!(reply["answer"], "A long story.");
    let asked = llm.chats().pop().unwrap().body["messages"].take();
    // What was said before, without an answer, stands before it.
    let said = asked.as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
    assert_eq!(said.strip_suffix(&prompt), Some("Hi\n\nHi\n\n"));
    // The notes of a tool's owner: two thousand lines.
    let notes: Vec<_> =
        (0..2_000).map(|n| format!("column {n}: what there is to know about it, at some length")).collect();
    let tool = json!({"name": "noted", "type": "custom", "config": {"notes": notes}});
    program.client.post("/api/tools", &tool).await.expect(201);
    let shown: Value = program.client.get("/api/tools/noted").await.expect(200);
    assert_eq!(shown["config"]["notes"].as_array().map(Vec::len), Some(2_000));
}

/// A piece that is kept holds on to the buffer that it was read into.
#[tokio::test]
async fn bodies_that_come_byte_by_byte_take_as_much_memory_as_they_have_bytes() {
    let folder = TempDir::new().unwrap();
    let program = program(&folder, &[]).await;
    let memory = ProcessMemory::now(program.pid());
    let place = program.client.url("").trim_start_matches("http://").to_owned();
    let drip = async || {
        let mut stream = TcpStream::connect(&place).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let head = "POST /v1/chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..4_000 {
            stream.write_all(b" ").await.unwrap();
            tokio::task::yield_now().await;
        }
        stream
    };
    let streams = join_all((0..20).map(|_| drip())).await;
    let taken = memory.taken();
    // Kept in pieces, it was 97 MB in a release build.
    assert!(taken < 40_000_000, "{taken} bytes for 80,000");
    drop(streams);
    memory.given_back().await;
}
