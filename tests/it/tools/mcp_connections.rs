//! Which MCP server is meant: by a name, and by a request that began before the tool was changed.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::common::chat::catalog;
use crate::common::databases::variable;
use crate::common::mcp::{
    configure_script, count, functions, gone, is, is_alive, listed, modern, python, result_reply, tools,
};
use crate::common::sources::wait_for;
use crate::common::tools::{ask, of_action};
use crate::common::upstream::{openai, openai_calls};
use crate::common::{Act, Client, TestServer, Upstream};

/// A model that asks for a tool once it is given the word, and then says that it is done.
async fn hesitant(tool: &'static str) -> (Upstream, Arc<Notify>) {
    let word = Arc::new(Notify::new());
    let given = Arc::clone(&word);
    let llm = Upstream::start(move |seen, nth| {
        if nth > 0 {
            return openai(seen, "Done.");
        }
        let mut acts = vec![Act::Wait(given.clone())];
        acts.extend(openai_calls(seen, "", &[(tool, json!({}))]));
        acts
    })
    .await;
    (llm, word)
}

/// A server whose slow calls wait for the word.
async fn slow() -> (Upstream, Arc<Notify>) {
    let word = Arc::new(Notify::new());
    let given = Arc::clone(&word);
    let upstream = modern(move |seen| {
        if !is(seen, "tools/call") || seen.body["params"]["arguments"]["quick"] == true {
            return None;
        }
        let mut acts = vec![Act::Wait(given.clone())];
        acts.extend(result_reply(
            seen,
            &json!({"resultType": "complete", "content": [{"type": "text", "text": "slow"}]}),
        ));
        Some(acts)
    })
    .await;
    (upstream, word)
}

fn at(upstream: &Upstream) -> Value {
    json!({"type": "mcp", "config": {"url": format!("{}/mcp", upstream.url())}})
}

fn called(server: &TestServer, arguments: Value) -> JoinHandle<Value> {
    let (client, body) = (Client::clone(server), json!({"tool": "echo", "arguments": arguments}));
    tokio::spawn(async move { client.post("/api/tools/mcp/execute", &body).await.expect(200) })
}

#[tokio::test]
async fn a_change_cuts_off_no_call_and_a_chat_goes_on_with_the_server_it_began_with() {
    let ((former, former_word), (latter, latter_word)) = (slow().await, slow().await);
    let (llm, word) = hesitant("mcp__echo").await;
    let server = TestServer::with_llm(&llm, &[("TOOLS", &catalog(&[("mcp", at(&former))]))]).await;
    let client = server.clone();
    let chat = tokio::spawn(async move {
        let body = json!({"prompt": "How warm is it in Lisbon?", "user_id": "ada"});
        client.post("/v1/chat", &body).await.expect(200)
    });
    wait_for(async || llm.chats().len() == 1).await;
    let early = called(&server, json!({}));
    wait_for(async || count(&former, "tools/call") == 1).await;

    let mut changed = at(&latter);
    changed["name"] = json!("mcp");
    server.put("/api/tools/mcp", &changed).await.expect(200);
    let late = called(&server, json!({}));
    wait_for(async || count(&latter, "tools/call") == 1).await;
    former_word.notify_one();
    assert_eq!(early.await.unwrap()["output"], "slow");

    // The chat calls the tool that it was offered, while that of now is in use; and the other way round.
    word.notify_one();
    wait_for(async || count(&former, "tools/call") == 2).await;
    let quick = called(&server, json!({"quick": true})).await.unwrap();
    assert_eq!(quick["status"], "success", "{quick}");
    latter_word.notify_one();
    let late = late.await.unwrap();
    assert_eq!(late["output"], "slow", "{late}");
    former_word.notify_one();
    let reply = chat.await.unwrap();
    assert_eq!(of_action(&reply, "tool_execution", "status"), ["completed"], "{reply}");
    assert_eq!(count(&latter, "server/discover"), 1, "they share a connection");
}

/// The chat's own process, started for it although the tool is deleted, does not stay for ever.
#[tokio::test]
async fn what_only_an_old_request_needed_is_closed_after_it() {
    let (llm, word) = hesitant("mcp__process").await;
    let (folder, real, other) = (TempDir::new().unwrap(), python(2), modern(|_| None).await);
    let file = folder.path().join("processes");
    let script = format!("echo $$ >> {}; exec {} {}", file.display(), real.command, real.stdio[0]);
    let (all, path) = (catalog(&[("other", at(&other))]), variable("PATH"));
    let variables = [("TOOLS", all.as_str()), ("MCP_STDIO_COMMANDS", "sh"), ("PATH", &path)];
    let server = TestServer::with_llm(&llm, &variables).await;
    configure_script(&server, &script).await;
    let started = || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().map(|line| line.parse::<i64>().unwrap()).collect::<Vec<_>>()
    };
    let (reply, ()) = tokio::join!(ask(&server, "Which process is it?", json!({})), async {
        wait_for(async || llm.chats().len() == 1).await;
        server.delete("/api/tools/mcp").await.expect(200);
        gone(started()[0]).await;
        word.notify_one();
    });
    assert_eq!(of_action(&reply, "tool_execution", "status"), ["completed"], "{reply}");
    let of_the_chat = started()[1];
    assert!(is_alive(of_the_chat));
    assert_eq!(functions(&server).await.0, ["other__echo"]);
    gone(of_the_chat).await;
}

/// In the API and in chat alike.
#[tokio::test]
async fn a_name_that_fits_two_servers_means_the_one_with_the_longer_name() {
    let with =
        |tool: &'static str| modern(move |seen| is(seen, "tools/list").then(|| tools(seen, &[listed(tool, "")])));
    let (short, long) = (with("old__read").await, with("read").await);
    let llm = Upstream::saying("Done.").await;
    let all = catalog(&[("files", at(&short)), ("files__old", at(&long))]);
    let server = TestServer::with_llm(&llm, &[("TOOLS", &all)]).await;
    let done = server.post("/api/tools/files__old__read/execute", &json!({})).await.expect(200);
    assert_eq!((&done["status"], &done["metadata"]["tool"]), (&json!("success"), &json!("read")), "{done}");
    let reply = ask(&server, "Read it", json!({"tool": "files__old__read"})).await;
    assert_eq!(of_action(&reply, "tool_execution", "status"), ["completed"], "{reply}");
    assert_eq!((count(&short, "tools/call"), count(&long, "tools/call")), (0, 2));
    // The server itself, with the name of its tool beside, is meant as ever.
    let done = server.post("/api/tools/files/execute", &json!({"tool": "old__read"})).await.expect(200);
    assert_eq!((&done["status"], count(&short, "tools/call")), (&json!("success"), 1), "{done}");
}
