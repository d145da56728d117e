//! What the chat page says when something is wrong: in words, and in the conversation.

use std::time::Duration;

use serde_json::json;

use crate::common::chat_page::*;
use crate::common::databases::postgres;
use crate::common::upstream::reply;
use crate::common::{Act, TestServer, Upstream};

#[tokio::test]
async fn a_turn_that_failed_is_told_and_stays_visible() {
    let server = TestServer::bare().await;
    let id = begin(&server, "direct_llm").await;
    let failed = send(&server, &id, "direct_llm", "Hello").await;
    let (answer, error) = (failed["answer"].as_str().unwrap(), failed["error"].as_str().unwrap());
    assert!(answer.starts_with("There is no answer: ") && answer.contains(error), "{failed}");
    assert!(error.contains("LLM base URL"), "{error}");
    assert_eq!(said(&server, &id).await, turns(&[("user", "Hello"), ("assistant", answer)]));
    let metadata = load(&server, &id).await["messages"][1]["metadata"].clone();
    assert_eq!((&metadata["error"], &metadata["model_used"]), (&json!(error), &json!(null)));

    let body = message(&id, "direct_llm", "Hello");
    let (streamed, ended) = read_as_the_page_does(lines(&server, &body).await).await;
    assert_eq!((streamed.as_str(), ended), (answer, true), "in a stream it is told as text");
    assert_eq!(server.get(&format!("/api/memory/chat-ui:{id}/history")).await.expect(200)["count"], 0);
}

#[tokio::test]
async fn an_upstream_that_fails_is_named_without_its_secrets() {
    let llm = Upstream::start(|_, _| {
        reply("500 Internal Server Error", "text/plain", "out of memory, key sk-secret-0123456789")
    })
    .await;
    let variables = [("LLM_API_KEY", "sk-secret-0123456789"), ("LLM_MAX_RETRIES", "0")];
    let server = TestServer::with_llm(&llm, &variables).await;
    let id = begin(&server, "direct_llm").await;
    let failed = send(&server, &id, "direct_llm", "Hello").await;
    assert!(failed["error"].as_str().unwrap().contains("500"), "{failed}");
    for text in [failed.to_string(), load(&server, &id).await.to_string()] {
        assert!(!text.contains("sk-secret"), "{text}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_plain_message_ends_the_work_and_the_conversation_says_so() {
    let llm = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = begin(&server, "direct_llm").await;
    let body = message(&id, "direct_llm", "Hello").to_string();
    let request = server.request("POST", "/api/chat/ui/send").header("content-type", "application/json").body(body);
    tokio::select! {
        _ = request.send() => panic!("there can be no answer"),
        () = async { while llm.chats().is_empty() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    tokio::time::timeout(Duration::from_secs(5), llm.client_left()).await.unwrap();
    let turns = until_said(&server, &id, 2).await;
    assert_eq!(turns[1].1, "There is no answer: Cancelled: the client left, or the server was stopped");
}

/// What was said in a conversation, once there is as much.
pub(super) async fn until_said(server: &TestServer, id: &str, count: usize) -> Vec<(String, String)> {
    for _ in 0..500 {
        let turns = said(server, id).await;
        if turns.len() == count {
            return turns;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the conversation has no {count} messages: {:?}", said(server, id).await);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_the_field_named() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let (send, create, profile) = ("/api/chat/ui/send", CONVERSATIONS, "/api/chat/ui/prompt-profiles");
    for (path, body, field) in [
        (send, json!({}), "message"),
        (send, json!({"message": 1}), "message"),
        (send, json!({"message": "a", "routing_profile": "everything"}), "routing_profile"),
        (send, json!({"message": "a", "use_memory": "perhaps"}), "use_memory"),
        (send, json!({"message": "a", "use_tools": null}), "use_tools"),
        (send, json!({"message": "a", "metadata": []}), "metadata"),
        (send, json!({"message": "a", "metadata": {"intent": "x"}}), "intent"),
        (send, json!({"message": "a", "connection_id": "second"}), "connection_id"),
        ("/api/chat/ui/send/stream", json!({"message": "a", "model_id": 7}), "model_id"),
        (send, json!({"message": "a", "model_id": " "}), "model_id"),
        (send, json!({"message": "a", "model_id": "x".repeat(201)}), "model_id"),
        (send, json!({"message": "x".repeat(1_000_001)}), "message"),
        (create, json!({"model_id": "x".repeat(201)}), "model_id"),
        (create, json!({"title": "x".repeat(201)}), "title"),
        (create, json!({"routing_profile": "Direct LLM"}), "routing_profile"),
        (create, json!({"user_id": "config"}), "user_id"),
        (create, json!({"user_id": "chat-ui:x"}), "user_id"),
        ("/v1/chat", json!({"prompt": "a", "user_id": "chat-ui:x"}), "user_id"),
        ("/api/memory/chat-ui:x/message", json!({"role": "user", "content": "a"}), "user_id"),
        (profile, json!({"name": "x"}), "system_prompt"),
        (profile, json!({"name": " ", "system_prompt": "x"}), "name"),
        (profile, json!({"name": "x".repeat(201), "system_prompt": "x"}), "name"),
        (profile, json!({"name": "x", "system_prompt": "x".repeat(20_001)}), "system_prompt"),
    ] {
        let refusal = server.post(path, &body).await.expect(422);
        assert!(refusal.to_string().contains(field), "{path}: {refusal}");
    }
    for query in ["limit=0", "limit=201", "offset=-1", "limit=x"] {
        server.get(&format!("{CONVERSATIONS}?{query}")).await.expect(422);
    }
    for query in ["hours=0", "hours=8761"] {
        server.get(&format!("/api/chat/ui/metrics?{query}")).await.expect(422);
    }
    for path in [send, "/api/chat/ui/send/stream"] {
        let unknown = json!({"message": "a", "conversation_id": "none"});
        assert_eq!(server.post(path, &unknown).await.expect(404)["detail"], "Conversation not found");
    }
    assert_eq!(server.get(CONVERSATIONS).await.expect(200)["total"], 0, "nothing was begun");
    assert_eq!(llm.chats().len(), 0);
    for taken in [json!({"message": "a", "connection_id": "default"}), json!({"message": "a", "connection_id": ""})] {
        server.post(send, &taken).await.expect(200);
    }
}

#[tokio::test]
async fn there_are_only_so_many_prompt_profiles() {
    let server = TestServer::bare().await;
    let put = async |name: &str| {
        server.post("/api/chat/ui/prompt-profiles", &json!({"name": name, "system_prompt": "Be brief."})).await
    };
    for number in 0..100 {
        put(&number.to_string()).await.expect(200);
    }
    assert!(put("one more").await.expect(409)["detail"].as_str().unwrap().contains("100 prompt profiles"));
    put("7").await.expect(200);
}

#[tokio::test]
async fn two_servers_with_one_postgres_show_the_same_conversations() {
    let (database, llm) = (postgres(&[]).await, Upstream::saying("Hi.").await);
    let variables = [("POSTGRES_DSN", database.url.as_str())];
    let one = TestServer::with_llm(&llm, &variables).await;
    let other = TestServer::with_llm(&llm, &variables).await;
    let id = begin(&one, "direct_llm").await;
    send(&one, &id, "direct_llm", "Hello").await;
    send(&other, &id, "direct_llm", "Hello again").await;
    assert_eq!(load(&one, &id).await, load(&other, &id).await);
    assert_eq!(said(&one, &id).await.len(), 4);
    one.delete(&format!("{CONVERSATIONS}/{id}")).await.expect(200);
    other.get(&format!("{CONVERSATIONS}/{id}")).await.expect(404);
    assert_eq!(database.count("SELECT count(*) FROM transcript_message").await, 0);
}
