//! MCP servers that are slow to start, or never answer what they don't know: they are waited for and greeted in the way that they
//! understand, and none is started again and again or left behind.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::common::chat::catalog;
use crate::common::databases::variable;
use crate::common::mcp::{
    allowing, call, configure, functions, gone, is_alive, notes, scripted, starts, test, try_call,
};
use crate::common::sources::wait_for;
use crate::common::tools::{ask, offered};
use crate::common::{Client, TestServer, Upstream};

/// A folder with the log of a scripted server, and the file that lets it go on.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }

    fn gate(&self) -> PathBuf {
        self.0.path().join("gate")
    }

    fn open_gate(&self) {
        std::fs::write(self.gate(), "").unwrap();
    }

    /// A plan with the log, and what else it has.
    fn plan(&self, more: &Value) -> Value {
        let mut plan = json!({"log": self.log()});
        plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plan
    }
}

/// A server that knows a scripted one as `mcp`, with this limit for a call.
async fn server_with(plan: &Value, timeout: Option<f64>) -> TestServer {
    let server = allowing(&["python3"], &[]).await;
    let mut config = scripted(plan);
    config["timeout"] = json!(timeout);
    configure(&server, &config).await;
    server
}

fn in_background(server: &TestServer, path: &'static str) -> JoinHandle<Value> {
    let client = Client::clone(server);
    tokio::spawn(async move { client.post(path, &json!({"tool": "echo"})).await.expect(200) })
}

async fn has_noted(log: &Path, method: &str) {
    wait_for(async || notes(log).iter().any(|line| line == method)).await;
}

#[tokio::test]
async fn all_who_come_while_a_server_starts_wait_for_that_start() {
    let stage = Stage::new();
    let server = server_with(&stage.plan(&json!({"before": stage.gate(), "newest": true})), Some(60.0)).await;
    let first = in_background(&server, "/api/tools/mcp/execute");
    wait_for(async || starts(&stage.log()).len() == 1).await;
    // One leaves, as impatient clients do; that neither ends the start nor begins another.
    let impatient = in_background(&server, "/api/tools/mcp/execute");
    impatient.abort();
    let second = in_background(&server, "/api/tools/mcp__echo/execute");
    stage.open_gate();
    for done in [first.await.unwrap(), second.await.unwrap(), call(&server, "echo", json!({})).await] {
        assert_eq!((&done["status"], &done["output"]), (&json!("success"), &json!("done")), "{done}");
    }
    assert_eq!(starts(&stage.log()).len(), 1, "{:?}", notes(&stage.log()));
}

#[tokio::test]
async fn a_chat_does_without_a_server_that_starts_and_a_later_one_has_it() {
    let (stage, llm) = (Stage::new(), Upstream::saying("Hello.").await);
    let plan = stage.plan(&json!({"before": stage.gate(), "newest": true}));
    let tool = json!({"type": "mcp", "config": scripted(&plan)});
    let (tools, path) = (catalog(&[("slow", tool)]), variable("PATH"));
    let variables = [("TOOLS", tools.as_str()), ("MCP_STDIO_COMMANDS", "python3"), ("PATH", &path)];
    let server = TestServer::with_llm(&llm, &variables).await;
    let without = ask(&server, "Hello", json!({"use_cache": false})).await;
    let missing = without["metadata"]["missing"].to_string();
    assert!(missing.contains("MCP server 'slow' did not answer in time"), "{without}");
    assert_eq!((&without["metadata"]["degraded"], &without["answer"]), (&json!(false), &json!("Hello.")), "{without}");
    // Nobody asked for it, so the model is not told either.
    assert!(!llm.chats()[0].text.contains("did not answer"), "{}", llm.chats()[0].text);
    stage.open_gate();
    wait_for(async || !functions(&server).await.0.is_empty()).await;
    let with = ask(&server, "Hello again", json!({"use_cache": false})).await;
    assert_eq!((&with["metadata"]["missing"], starts(&stage.log()).len()), (&json!([]), 1), "{with}");
    assert_eq!(offered(llm.chats().last().unwrap()), ["slow__echo"]);
}

#[tokio::test]
async fn a_server_that_answers_only_what_it_knows_is_greeted_in_the_old_way_on_the_same_connection() {
    let stage = Stage::new();
    let server = server_with(&stage.plan(&json!({"silent": true})), None).await;
    let tested = test(&server).await;
    assert_eq!((&tested["success"], &tested["protocol_version"]), (&json!(true), &json!("2025-11-25")), "{tested}");
    assert_eq!(tested["server"], json!({"name": "scripted"}), "it tells no version");
    assert_eq!(call(&server, "echo", json!({})).await["status"], "success");
    // The test and the call have a process each; what is never answered is asked by the first of them only.
    let log = notes(&stage.log());
    let count = |method: &str| log.iter().filter(|line| *line == method).count();
    assert_eq!((starts(&stage.log()).len(), count("server/discover"), count("initialize")), (2, 1, 2), "{log:?}");
}

#[tokio::test]
async fn a_server_that_breaks_at_what_it_does_not_know_is_started_once_more_and_then_known() {
    let stage = Stage::new();
    let server = server_with(&stage.plan(&json!({"dies": true})), None).await;
    let done = call(&server, "echo", json!({})).await;
    assert_eq!((&done["status"], starts(&stage.log()).len()), (&json!("success"), 2), "{done}");
    assert_eq!(test(&server).await["success"], true);
    assert_eq!(starts(&stage.log()).len(), 3, "the test needs one start, in the old way at once");
    assert_eq!(notes(&stage.log()).iter().filter(|line| *line == "server/discover").count(), 1);
}

/// It comes to itself only after it has been greeted in both ways, and answers both.
#[tokio::test]
async fn a_late_answer_to_the_first_question_is_no_answer_to_the_second() {
    for (more, protocol) in [
        (json!({}), "2025-11-25"),
        (json!({"newest": true}), "2026-07-28"),
        (json!({"newest": true, "versions": []}), "2026-07-28"),
    ] {
        let stage = Stage::new();
        let mut plan = stage.plan(&more);
        plan["hold"] = json!(stage.gate());
        let server = server_with(&plan, None).await;
        let waiting = in_background(&server, "/api/tools/mcp/execute");
        has_noted(&stage.log(), "initialize").await;
        stage.open_gate();
        let done = waiting.await.unwrap();
        assert_eq!(
            (&done["status"], &done["metadata"]["protocol_version"]),
            (&json!("success"), &json!(protocol)),
            "{done}"
        );
        assert_eq!(starts(&stage.log()).len(), 1);
    }
}

#[tokio::test]
async fn a_refused_revision_is_followed_by_one_that_both_know() {
    for versions in [json!(["2024-11-05"]), json!(["2025-03-26", "2024-11-05", "1999-01-01"]), json!(["2025-06-18"])] {
        let stage = Stage::new();
        let server = server_with(&stage.plan(&json!({"versions": versions})), None).await;
        let done = call(&server, "echo", json!({})).await;
        assert_eq!(done["metadata"]["protocol_version"], versions[0], "{done}");
    }
    let stage = Stage::new();
    let server = server_with(&stage.plan(&json!({"versions": ["1999-01-01", "2031-05-05"]})), None).await;
    let message = test(&server).await["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("Unsupported protocol version")
            && message.contains("it supports [\"1999-01-01\",\"2031-05-05\"]"),
        "{message}"
    );
}

#[tokio::test]
async fn the_tools_own_limit_bounds_a_test_and_a_call_and_leaves_nothing_behind() {
    let (stage, server) = (Stage::new(), allowing(&["sh"], &[]).await);
    let script = format!("echo start $$ >> {}; exec sleep 600", stage.log().display());
    configure(&server, &json!({"command": "sh", "args": ["-c", script], "timeout": 3})).await;
    let tested = test(&server).await;
    assert_eq!((&tested["success"], &tested["connectivity_status"]), (&json!(false), &json!("timeout")), "{tested}");
    gone(starts(&stage.log())[0]).await;
    // What a call has started goes on for the next, until nobody can want it any more.
    let called = call(&server, "echo", json!({})).await;
    assert_eq!(called["error"], "MCP server 'mcp' did not answer in time", "{called}");
    let again = call(&server, "echo", json!({})).await;
    assert_eq!((&again["error"], starts(&stage.log()).len()), (&called["error"], 2));
    let process = starts(&stage.log())[1];
    assert!(is_alive(process));
    server.delete("/api/tools/mcp").await.expect(200);
    gone(process).await;
}

#[tokio::test]
async fn no_start_outlives_a_change_of_the_tool_or_the_server() {
    let stage = Stage::new();
    let plan = stage.plan(&json!({"before": stage.gate()}));
    let server = server_with(&plan, Some(60.0)).await;
    tokio::select! {
        answer = try_call(&server, "echo", json!({})) => panic!("{}", answer.json()),
        () = wait_for(async || starts(&stage.log()).len() == 1) => {}
    }
    let changed = json!({"name": "mcp", "type": "mcp", "config": scripted(&plan), "description": "Another one"});
    server.put("/api/tools/mcp", &changed).await.expect(200);
    gone(starts(&stage.log())[0]).await;
    let waiting = in_background(&server, "/api/tools/mcp/test");
    wait_for(async || starts(&stage.log()).len() == 2).await;
    waiting.abort();
    gone(starts(&stage.log())[1]).await;
    let waiting = in_background(&server, "/api/tools/mcp/execute");
    wait_for(async || starts(&stage.log()).len() == 3).await;
    waiting.abort();
    server.stop().await;
    assert!(!is_alive(starts(&stage.log())[2]));
}

#[tokio::test]
async fn a_crash_is_told_with_its_cause_wherever_that_stands_in_the_log() {
    let node = json!([
        "node:internal/modules/cjs/loader:1080",
        "  throw err;",
        "  ^",
        "",
        "Error: Cannot find module './tools'",
        "    at Module._resolveFilename (node:internal/modules/cjs/loader:1077:15)",
        "    at Module._load (node:internal:922:27) {",
        "  code: 'MODULE_NOT_FOUND',",
        "  requireStack: []",
        "}",
        "",
        "Node.js v20.20.2"
    ]);
    let server = server_with(&json!({"says": node}), None).await;
    let message = test(&server).await["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("MCP server 'mcp' ended with exit status 1; its last words: "), "{message}");
    assert!(
        message.contains("Error: Cannot find module './tools'") && message.contains("Node.js v20.20.2"),
        "{message}"
    );
    assert!(!message.contains("at Module"), "{message}");
}
