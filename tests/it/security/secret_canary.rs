//! A planted secret must appear in no reply, no log line and no file that others may read.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::databases::postgres;
use crate::common::resources::encode;
use crate::common::upstream::{json_reply, open_head};
use crate::common::{Act, Answer, Client, Program, Upstream};

const CANARY: &str = "sk-canary-7f3a9c";

/// An LLM that quotes the key it was sent wherever it can: in errors, answers, streams, lists.
async fn parrot() -> Upstream {
    Upstream::start(|seen, nth| {
        let key = seen.headers.get("authorization").cloned().unwrap_or_default();
        let said = json!({"choices": [{"message": {"content": format!("your key is {key}")}, "finish_reason": "stop"}], "model": key});
        if seen.method == "GET" {
            return json_reply("200 OK", &json!({"data": [{"id": key}]}));
        }
        match nth % 3 {
            0 => json_reply("401 Unauthorized", &json!({"error": {"message": format!("bad key {key}")}})),
            _ if seen.body["stream"] == true => {
                let chunk = json!({"choices": [{"delta": {"content": format!("key {key} ")}, "finish_reason": "stop"}]});
                vec![open_head("text/event-stream"), Act::Send(format!("data: {chunk}\n\ndata: [DONE]\n\n"))]
            }
            _ => json_reply("200 OK", &said),
        }
    })
    .await
}

/// The replies of every operation of the document but those that delete.
async fn replies_of_all(
    client: &Client,
    names: &[(&str, &str)],
    body: impl Fn(&str) -> Value,
) -> Vec<(String, Answer)> {
    let document = client.get("/openapi.json").await.json();
    let mut replies = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = names.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
        for method in operations.as_object().unwrap().keys().filter(|method| *method != "delete") {
            let method = method.to_uppercase();
            let request = client.request(&method, &path).header("content-type", "application/json");
            replies.push((format!("{method} {path}"), Answer::of(request.body(body(&path).to_string())).await));
        }
    }
    replies
}

#[tokio::test]
async fn an_odd_password_appears_nowhere() {
    /// Pieces that nothing else has, with all that means something in a URL between them.
    const PIECES: [&str; 4] = ["Zecr", "Qord", "Xhop", "Jash"];
    let odd = PIECES.join("@/?#%:&=;'");
    let database = postgres(&["CREATE TABLE orders (id INT)"]).await;
    let quoted = odd.replace('\'', "''");
    database.execute(&format!("ALTER ROLE {} PASSWORD '{quoted}'", database.reader())).await;
    let url = database.reader_url.replace(database.password(), &encode(&odd));
    let (llm, folder) = (parrot().await, TempDir::new().unwrap());
    let base = llm.url();
    let proxy = format!("http://u:{}@127.0.0.1:9", encode(&odd));
    let variables = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_PROVIDER", "openai"),
        ("LOG_LEVEL", "trace"),
        ("HTTPS_PROXY", &proxy),
        ("REDIS_URL", &format!("redis://u:{}@127.0.0.1:9/0", encode(&odd))),
    ];
    let entry = |name: &str, url: &str| {
        json!({"name": name, "type": "postgres", "url": url, "timeout_seconds": 5,
        "config": {"replica": format!("postgres://u:{odd}@h/x"), "link": format!("https://h/x?api_key={odd}")}})
    };
    let wrong = url.replace(database.reader(), database.account());
    let raw = database.reader_url.replace(database.password(), &odd);
    let mut replies = Vec::new();
    // With a Postgres that can't be used nothing can be configured, but what was before is there.
    for dsn in [None, Some(("POSTGRES_DSN", url.as_str()))] {
        let all: Vec<_> = variables.iter().copied().chain(dsn).collect();
        let program = Program::start("serve", folder.path(), &all).await;
        let client = &program.client;
        if dsn.is_none() {
            client.post("/api/datasources", &entry("db", &url)).await.expect(201);
            client.post("/api/datasources", &entry("wrong", &wrong)).await.expect(201);
            client.post("/api/datasources", &entry("raw", &raw)).await.expect(422);
        }
        for name in ["db", "wrong"] {
            let names = [("{name}", name), ("{user_id}", "ada"), ("{id}", "none")];
            let body = |path: &str| match path {
                "/api/datasources" | "/api/datasources/db" | "/api/datasources/wrong" => entry(name, &raw),
                _ => {
                    json!({"prompt": "SELECT id FROM orders", "query": "SELECT id FROM orders", "role": "user", "content": "hi",
                    "metadata": {"use_cache": false, "datasource": name}})
                }
            };
            replies.extend(replies_of_all(client, &names, body).await);
            for event in
                client.chat_events(&json!({"prompt": "SELECT id FROM orders", "metadata": {"use_cache": false}})).await
            {
                assert!(!PIECES.iter().any(|piece| event.data.to_string().contains(piece)), "{event:?}");
            }
        }
        let asked = client.post("/api/datasources/db/query", &json!({"query": "SELECT 1 AS a"})).await.expect(200);
        assert_eq!(asked["data"], json!([{"a": 1}]), "the password was used");
        for path in ["/v1/executions?limit=200", "/metrics", "/api/monitoring/logs?limit=1000", "/api/memory/health"] {
            replies.push((path.to_owned(), client.get(path).await));
        }
        let log = program.log();
        assert_eq!(log.lines().find(|line| PIECES.iter().any(|piece| line.contains(piece))), None);
        program.kill();
    }
    for (whose, reply) in &replies {
        let all = format!("{} {:?}", reply.text, reply.headers);
        assert!(!PIECES.iter().any(|piece| all.contains(piece)), "{whose}: {}", reply.text);
    }
    let checked =
        Program::run("check-config", folder.path(), &[("DATASOURCES", &json!({"d": entry("d", &raw)}).to_string())]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("datasources.d.url") && !PIECES.iter().any(|piece| said.contains(piece)), "{said}");
}

#[tokio::test]
async fn the_key_appears_nowhere() {
    let llm = parrot().await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_PROVIDER", "openai"),
        ("LLM_API_KEY", "sk-canary-7f3a9c-of-the-environment"),
        ("LOG_LEVEL", "trace"),
        ("REDIS_URL", "redis://:sk-canary-7f3a9c@cache/0"),
    ];
    let mut replies = Vec::new();
    // With a Postgres that is away nothing can be configured, but what was before is there.
    for (dsn, rounds) in [(None, 3), (Some(("POSTGRES_DSN", "postgres://u:sk-canary-7f3a9c@db/x")), 1)] {
        let all: Vec<_> = variables.iter().copied().chain(dsn).collect();
        let program = Program::start("serve", folder.path(), &all).await;
        let client = &program.client;
        for _ in 0..rounds {
            let names = [("{user_id}", "ada"), ("{id}", "none")];
            let body = |path: &str| match path {
                "/api/llm/config" => json!({"api_key": CANARY, "temperature": 9}),
                _ => json!({"prompt": "hello", "role": "user", "content": "hi", "metadata": {"use_cache": false}}),
            };
            let all = replies_of_all(client, &names, body).await;
            // A 422 quotes the wrong value, which is the temperature, not the key.
            let expected = if dsn.is_none() { 422 } else { 503 };
            assert!(all.iter().any(|(whose, reply)| whose == "PUT /api/llm/config" && reply.status == expected));
            replies.extend(all);
            replies.push((
                "PUT".to_owned(),
                client.put("/api/llm/config", &json!({"api_key": CANARY, "temperature": 0.5})).await,
            ));
            client.chat_events(&json!({"prompt": "stream it", "user_id": "ada"})).await;
            for event in client.chat_events(&json!({"prompt": "again", "metadata": {"use_cache": false}})).await {
                assert!(!event.data.to_string().contains(CANARY), "{event:?}");
            }
        }
        replies.push(("GET /v1/executions".into(), client.get("/v1/executions?limit=200").await));
        let log = program.log();
        assert!(log.contains("served"));
        assert_eq!(log.lines().find(|line| line.contains(CANARY)), None);
        program.kill();
    }
    assert!(llm.chats().iter().any(|seen| seen.headers["authorization"].contains(CANARY)), "the key was used");
    for (whose, reply) in &replies {
        assert!(
            !reply.text.contains(CANARY) && !format!("{:?}", reply.headers).contains(CANARY),
            "{whose}: {}",
            reply.text
        );
    }

    let stored = folder.path().join("data/config/llm.json");
    assert!(std::fs::read_to_string(&stored).unwrap().contains(CANARY), "the store itself must have it");
    assert_eq!(std::fs::metadata(&stored).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(folder.path().join("data")).unwrap().permissions().mode() & 0o777, 0o700);
    let database = std::fs::metadata(folder.path().join("data/studio.db")).unwrap();
    assert_eq!(database.permissions().mode() & 0o777, 0o600);
}
