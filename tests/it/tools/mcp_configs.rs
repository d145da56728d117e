//! Configs as people paste them from other MCP clients.

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::common::mcp::{allowing, call, modern, scripted};

async fn refused(server: &TestServer, config: Value) -> Value {
    server.post("/api/tools", &json!({"name": "mcp", "type": "mcp", "config": config})).await.expect(422)["errors"][0]
        .take()
}

#[tokio::test]
async fn one_server_of_another_client_works_as_it_is_pasted() {
    let upstream = modern(|_| None).await;
    let url = format!("{}/mcp", upstream.url());
    let process = scripted(&json!({}));
    let remote = json!({"type": "streamable-http", "url": url, "headers": {"X-Api-Key": "canary-key-4711"}});
    let rows = [
        (json!({"mcpServers": {"files": process}}), "command"),
        (
            json!({"servers": {"files": {"type": "stdio", "command": process["command"], "args": process["args"]}}, "inputs": []}),
            "command",
        ),
        (json!({"mcp": {"servers": {"files": process}}}), "command"),
        (
            json!({"context_servers": {"files": {"command": {"path": process["command"], "args": process["args"], "env": {}}}}}),
            "command",
        ),
        (json!({"mcpServers": {"remote": remote}}), "url"),
        (json!({"mcpServers": {"remote": {"serverUrl": url}}, "include": ["echo"]}), "url"),
    ];
    for (config, key) in rows {
        let server = allowing(&["python3"], &[]).await;
        let tool = json!({"name": "mcp", "type": "mcp", "config": config});
        let created = server.post("/api/tools", &tool).await.expect(201);
        assert!(!created.to_string().contains("4711"), "{created}");
        let shown = server.get("/api/tools/mcp").await.expect(200);
        assert!(shown["config"][key].is_string() && shown["config"].get("mcpServers").is_none(), "{shown}");
        assert!(!shown.to_string().contains("4711"), "{shown}");
        assert_eq!(call(&server, "echo", json!({})).await["status"], "success", "{config}");
        // What was shown can be sent back.
        server.put("/api/tools/mcp", &shown).await.expect(200);
        assert_eq!(call(&server, "echo", json!({})).await["status"], "success", "{config}");
    }
    let seen = upstream.seen();
    assert!(seen.iter().any(|seen| seen.headers.get("x-api-key").is_some_and(|key| key == "canary-key-4711")));
}

#[tokio::test]
async fn a_config_that_is_no_single_server_says_what_to_do() {
    let server = allowing(&["npx"], &[]).await;
    let env = json!({"TOKEN": "canary-4711"});
    let rows = [
        (
            json!({"mcpServers": {"github": {"command": "npx", "env": env}, "files": {"command": "npx"}}}),
            "mcpServers",
            "add a tool for each of github, files",
        ),
        (json!({"servers": {"a": {"url": "http://127.0.0.1:1"}, "b": {}}}), "servers", "add a tool for each of a, b"),
        (json!({"mcp": {"servers": {}}}), "mcp", "under its name"),
        (json!({"mcpServers": "npx"}), "mcpServers", "under its name"),
        (
            json!({"mcpServers": {"old": {"type": "sse", "url": "http://127.0.0.1:1/sse", "headers": env}}}),
            "mcpServers",
            "'old' is one of another transport",
        ),
        (json!({"mcpServers": {"a": {"env": env}}}), "mcpServers", "'a' has neither"),
        (
            json!({"mcpServers": {"a": {"command": "npx"}}, "url": "http://127.0.0.1:1"}),
            "mcpServers",
            "not be given together",
        ),
        (json!({"github": {"command": "npx", "env": env}}), "command", "unless 'url' leads to a server"),
    ];
    for (config, key, expected) in rows {
        let issue = refused(&server, config.clone()).await;
        assert_eq!(issue["loc"][2], key, "{issue}");
        assert!(issue["msg"].as_str().unwrap().contains(expected), "{config}: {issue}");
        assert!(!issue.to_string().contains("4711"), "{issue}");
    }
    // What other clients may start, this one may not without its operator.
    let issue = refused(&server, json!({"mcpServers": {"a": {"command": "sh", "args": ["-c", "true"]}}})).await;
    assert_eq!(issue["loc"], json!(["body", "config", "command"]), "{issue}");
}
