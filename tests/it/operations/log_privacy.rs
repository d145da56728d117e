//! What people ask and are answered stays out of the log, however it comes there, unless the operator wants it.

use serde_json::json;
use tempfile::TempDir;

use crate::common::databases::variable;
use crate::common::upstream::{json_reply, openai, reply};
use crate::common::{Program, Upstream};

/// A prompt may be a statement, which drivers like to log.
#[tokio::test]
async fn prompts_and_answers_are_logged_only_by_whoever_wants_that() {
    let llm = Upstream::saying("canary-of-the-answer").await;
    for wanted in [false, true] {
        let folder = TempDir::new().unwrap();
        let (base, shown) = (llm.url(), wanted.to_string());
        std::fs::File::create(folder.path().join("x.db")).unwrap();
        let variables = [
            ("LLM_BASE_URL", base.as_str()),
            ("LLM_DEFAULT_MODEL", "m"),
            ("LLM_PROVIDER", "openai"),
            ("LOG_LEVEL", if wanted { "info" } else { "trace" }),
            ("LOG_CONTENT", &shown),
            ("DATASOURCES", r#"{"files": {"type": "sqlite", "url": "sqlite:x.db"}}"#),
        ];
        let program = Program::start("serve", folder.path(), &variables).await;
        let client = &program.client;
        client.post("/v1/chat", &json!({"prompt": "canary-of-the-prompt"})).await.expect(200);
        client.chat_events(&json!({"prompt": "canary-of-the-prompt"})).await;
        let query = json!({"query": "SELECT 'canary-of-the-statement', 2 AS two"});
        let asked = client.post("/api/datasources/files/query", &query).await.expect(200);
        assert_eq!(asked["success"], true, "{asked}");
        client
            .post("/api/memory/ada/message", &json!({"role": "user", "content": "canary-of-the-prompt"}))
            .await
            .expect(200);
        let kept = client.get("/api/monitoring/logs?limit=10000").await.text;
        for text in [program.log(), kept] {
            let leaks: Vec<_> = text.lines().filter(|line| line.contains("canary-of-the")).collect();
            match wanted {
                false => assert_eq!(leaks, Vec::<&str>::new()),
                true => {
                    assert!(text.contains("canary-of-the-prompt") && text.contains("canary-of-the-answer"), "{text}")
                }
            }
        }
    }
}

/// An LLM that objects to requests by quoting them, as some do, and writes queries that do not work.
async fn parrot() -> Upstream {
    Upstream::start(|seen, _| match (seen.path.as_str(), seen.body["model"].as_str()) {
        (path, _) if path.ends_with("/models") => reply("500 Oops", "text/plain", "no models for canary"),
        (_, Some("echo")) => json_reply("422 Unprocessable Entity", &json!({"detail": [{"input": seen.body}]})),
        (_, Some("babble")) => reply("200 OK", "application/json", "canary, but no JSON"),
        _ => openai(seen, "SELECT canary_of_a_column"),
    })
    .await
}

/// Greets as an MCP server of before does, and dies of the first question.
const MORTAL: &str = r#"id() { echo "$1" | sed 's/.*"id":\([^,}]*\).*/\1/'; }
read -r discovery
echo '{"jsonrpc":"2.0","id":'"$(id "$discovery")"',"error":{"code":-32601,"message":"Method not found"}}'
read -r hello
echo '{"jsonrpc":"2.0","id":'"$(id "$hello")"',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"canary","version":"1"}}}'
read -r thanks
read -r question; echo "canary can not answer $question" >&2; exit 3"#;

#[tokio::test]
async fn errors_tell_what_failed_and_nothing_of_what_was_asked() {
    for wanted in [false, true] {
        let (llm, folder) = (parrot().await, TempDir::new().unwrap());
        let (base, shown, path) = (llm.url(), wanted.to_string(), variable("PATH"));
        std::fs::File::create(folder.path().join("x.db")).unwrap();
        let variables = [
            ("LLM_BASE_URL", base.as_str()),
            ("LLM_DEFAULT_MODEL", "echo"),
            ("LLM_FALLBACK_MODELS", "babble,m"),
            ("LLM_PROVIDER", "openai"),
            ("LLM_MAX_RETRIES", "1"),
            ("LOG_LEVEL", if wanted { "info" } else { "trace" }),
            ("LOG_CONTENT", &shown),
            ("DATASOURCES", r#"{"files": {"type": "sqlite", "url": "sqlite:x.db"}}"#),
            ("MCP_STDIO_COMMANDS", "sh"),
            ("PATH", &path),
        ];
        let program = Program::start("serve", folder.path(), &variables).await;
        let client = &program.client;
        client.get("/api/llm/models").await;
        client.post("/v1/chat", &json!({"prompt": "canary", "metadata": {"intent": "general_llm"}})).await.expect(200);
        client.post("/v1/chat", &json!({"prompt": "Count canary", "metadata": {"intent": "data_query"}})).await;
        let tool = json!({"name": "mortal", "type": "mcp", "config": {"command": "sh", "args": ["-c", MORTAL]}});
        client.post("/api/tools", &tool).await.expect(201);
        client.get("/api/tools/registry/schemas").await.expect(200);

        let kept = client.get("/api/monitoring/logs?limit=10000").await.text;
        for text in [program.log(), kept] {
            let leaks: Vec<_> = text.lines().filter(|line| line.contains("canary")).collect();
            assert_eq!(leaks.is_empty(), !wanted, "{leaks:?}");
            for told in [
                "the LLM server lists no models",
                "answered 500 Internal Server Error",
                "falling back to another model",
                "answered 422 Unprocessable Entity",
                "sent a reply that can't be used",
                "a written query is to be mended",
                "the process of an MCP server ended with exit status 3",
                "a tool is not offered",
            ] {
                assert!(text.contains(told), "{told}: {text}");
            }
            assert_eq!(text.contains("canary can not answer"), wanted);
            assert_eq!(text.contains("canary_of_a_column"), wanted);
        }
    }
}
