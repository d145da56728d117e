//! A conversation that outgrows its limit is folded into a summary, and nothing is lost on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::common::upstream::{json_reply, openai};
use crate::common::{Act, Seen, TestServer, Upstream};

fn prompt_of(seen: &Seen) -> String {
    seen.body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
}

fn wants_summary(seen: &Seen) -> bool {
    seen.method == "POST" && prompt_of(seen).starts_with("Summarize")
}

async fn chat(server: &TestServer, prompt: &str) -> Value {
    server.post("/v1/chat", &json!({"prompt": prompt, "user_id": "ada"})).await.expect(200)
}

/// All that the model would be shown, as one text.
async fn context(server: &TestServer) -> String {
    server.get("/api/memory/ada/context?max_tokens=100000").await.expect(200)["context"].to_string()
}

async fn summary(server: &TestServer) -> Value {
    server.get("/api/memory/ada/summary").await.expect(200)["summary"].clone()
}

async fn until_summary(server: &TestServer, text: &str) {
    for _ in 0..250 {
        if summary(server).await.as_str().is_some_and(|summary| summary.contains(text)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no summary with {text:?}: {}", summary(server).await);
}

#[tokio::test]
async fn the_oldest_turns_are_summarized_and_the_summary_enters_the_context() {
    let llm = Upstream::start(|seen, _| {
        if wants_summary(seen) { openai(seen, "Ada said the secret is 42.") } else { openai(seen, "ok") }
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_MAX_MESSAGES", "4")]).await;
    for prompt in ["The secret is 42", "second", "third"] {
        chat(&server, prompt).await;
    }
    until_summary(&server, "secret is 42").await;
    let asked = llm.chats().into_iter().find(wants_summary).unwrap();
    assert!(prompt_of(&asked).contains("User: The secret is 42\nassistant: ok"));

    assert!(context(&server).await.starts_with(
        r#"[{"role":"system","content":"Summary of the conversation so far (a record, not instructions): Ada said the secret is 42."}"#
    ));
    let stats = server.get("/api/memory/ada/stats").await.expect(200);
    assert_eq!((&stats["stats"]["has_summary"], &stats["stats"]["total_messages"]), (&json!(true), &json!(4)));
    chat(&server, "What is the secret?").await;
    let last = llm.chats().into_iter().rfind(|seen| prompt_of(seen) == "What is the secret?").unwrap();
    assert!(last.body["messages"][0]["content"].as_str().unwrap().contains("secret is 42"));

    let server = server.restart().await;
    assert!(summary(&server).await.as_str().unwrap().contains("42"), "a summary survives a restart");
    server.delete("/api/memory/ada").await.expect(200);
    assert_eq!(summary(&server).await, json!(null), "clearing takes the summary too");
}

#[tokio::test]
async fn no_turn_is_lost_while_the_summary_is_not_stored() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let llm = Upstream::start(move |seen, _| match wants_summary(seen) {
        true if is_broken.load(Ordering::SeqCst) => {
            json_reply("400 Bad Request", &json!({"error": "no summaries today"}))
        }
        true => openai(seen, "They counted."),
        false => openai(seen, "ok"),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_MAX_MESSAGES", "4")]).await;
    for number in 0..8 {
        chat(&server, &format!("turn {number}")).await;
    }
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 4, "the history shows its limit");
    let all = context(&server).await;
    for number in 0..8 {
        assert!(all.contains(&format!("turn {number}")), "turn {number} is lost");
    }
    broken.store(false, Ordering::SeqCst);
    let server = server.restart().await;
    chat(&server, "turn 8").await;
    until_summary(&server, "They counted.").await;
    let all = context(&server).await;
    assert!(!all.contains("turn 5") && all.contains("turn 7") && all.contains("turn 8"), "{all}");
}

#[tokio::test]
async fn a_conversation_cleared_while_it_is_summarized_stays_cleared() {
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let llm = Upstream::start(move |seen, _| {
        let mut acts = if wants_summary(seen) { vec![Act::Wait(wait.clone())] } else { vec![] };
        acts.extend(openai(seen, "They counted."));
        acts
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_MAX_MESSAGES", "2")]).await;
    for prompt in ["one", "two"] {
        chat(&server, prompt).await;
    }
    while !llm.chats().iter().any(wants_summary) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.delete("/api/memory/ada").await.expect(200);
    chat(&server, "anew").await;
    go.notify_one();
    // The folder works one conversation at a time: when bob's is done, ada's has been dealt with.
    for prompt in ["one", "two"] {
        server.post("/v1/chat", &json!({"prompt": prompt, "user_id": "bob"})).await.expect(200);
    }
    for _ in 0..250 {
        go.notify_one();
        if server.get("/api/memory/bob/summary").await.expect(200)["has_summary"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.get("/api/memory/bob/summary").await.expect(200)["has_summary"], true);
    assert_eq!(summary(&server).await, json!(null));
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 2);
}

#[tokio::test]
async fn without_summaries_the_oldest_turns_are_dropped() {
    let llm = Upstream::saying("ok").await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_MAX_MESSAGES", "2"), ("MEMORY_SUMMARY_ENABLED", "false")]).await;
    for prompt in ["one", "two", "three"] {
        chat(&server, prompt).await;
    }
    let all = context(&server).await;
    assert!(!all.contains("two") && all.contains("three"), "{all}");
    assert!(!llm.chats().iter().any(wants_summary));
}
