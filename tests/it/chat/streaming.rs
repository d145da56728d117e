//! Answers as they are made: order, immediacy, and an end when the client has left.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::common::upstream::{open_head, openai_delta, openai_end};
use crate::common::{Act, TestServer, Upstream};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn frames_arrive_as_the_upstream_sends_them() {
    let word = Arc::new(Notify::new());
    let llm = Upstream::paced(&["one ", "two ", "three"], &word).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let mut stream = server.open_stream(&json!({"prompt": "Count", "user_id": "ada"})).await;

    let first = stream.next().await.unwrap();
    assert_eq!((first.id, first.event.as_str()), (Some(2), "execution"));
    assert_eq!((&first.data["intent"], &first.data["plan"][0]["action"]), (&json!("general_llm"), &json!("llm_call")));
    // The upstream sends the next word only when told to, so each of these has come before the answer was complete.
    for text in ["one ", "two ", "three"] {
        let frame = stream.next().await.unwrap();
        assert_eq!((frame.id, frame.event.as_str(), &frame.data["content"]), (None, "delta", &json!(text)));
        word.notify_one();
    }
    let step = stream.next().await.unwrap();
    assert_eq!((step.id, step.event.as_str(), &step.data["status"]), (Some(3), "step", &json!("completed")));
    let answer = stream.next().await.unwrap();
    assert_eq!(
        (answer.id, answer.event.as_str(), &answer.data["answer"]),
        (Some(4), "answer", &json!("one two three"))
    );
    assert_eq!(answer.data["execution_id"], first.data["execution_id"]);
    assert!(stream.next().await.is_none());
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 2);
}

#[tokio::test]
async fn the_body_or_the_accept_header_asks_for_a_stream_and_proxies_are_told() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let by_body = json!({"prompt": "Hello", "stream": "yes"});
    let reply = server.post("/v1/chat", &by_body).await;
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    assert_eq!(reply.headers["x-accel-buffering"], "no");
    assert_eq!(reply.headers["cache-control"], "no-cache");
    let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
    assert_eq!(frames.last().unwrap().event, "answer");
}

#[tokio::test]
async fn a_cached_answer_is_streamed_too() {
    let llm = Upstream::saying("42").await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_ENABLED", "false")]).await;
    let body = json!({"prompt": "Answer?"});
    server.post("/v1/chat", &body).await.expect(200);
    let frames = server.chat_events(&body).await;
    let events: Vec<_> = frames.iter().map(|frame| frame.event.as_str()).collect();
    assert_eq!(events, ["execution", "delta", "answer"]);
    assert_eq!(frames[2].data["metadata"]["cached"], true);
}

/// Waits until the only execution has this status.
async fn execution_ends(server: &TestServer, status: &str) -> Value {
    for _ in 0..100 {
        let list = server.get("/v1/executions").await.expect(200);
        if list["executions"][0]["status"] == status {
            return list["executions"][0].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the execution did not become {status}");
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_the_work_upstream() {
    let llm = Upstream::start(|_, _| vec![open_head("text/event-stream"), openai_delta("Once "), Act::Hang]).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let mut stream = server.open_stream(&json!({"prompt": "Tell me a story"})).await;
    while stream.next().await.unwrap().event != "delta" {}
    drop(stream);
    timeout(SECOND, llm.client_left()).await.unwrap();
    assert_eq!(
        execution_ends(&server, "cancelled").await["error"],
        "Cancelled: the client left, or the server was stopped"
    );
    assert_eq!(server.get("/api/memory/default/history").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_ends_the_work_upstream() {
    let llm = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let stream = server.open_stream(&json!({"prompt": "Hello"})).await;
    while llm.chats().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    timeout(SECOND, llm.client_left()).await.unwrap();
    execution_ends(&server, "cancelled").await;
}

#[tokio::test]
async fn a_client_that_leaves_a_plain_request_ends_the_work_upstream() {
    let llm = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let body = json!({"prompt": "Hello"}).to_string();
    let request = server.request("POST", "/v1/chat").header("content-type", "application/json").body(body).send();
    tokio::select! {
        _ = request => panic!("there can be no answer"),
        () = async { while llm.chats().is_empty() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    timeout(SECOND, llm.client_left()).await.unwrap();
    execution_ends(&server, "cancelled").await;
}

#[tokio::test]
async fn many_streams_at_once_do_not_mix() {
    let llm = Upstream::start(|seen, _| {
        let prompt = seen.body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
        vec![open_head("text/event-stream"), openai_delta(&prompt), openai_delta("!"), openai_end()]
    })
    .await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let asks = (0..40).map(|number| {
        let server = &server;
        async move {
            let frames = server
                .chat_events(&json!({"prompt": format!("prompt {number}"), "user_id": format!("user {number}")}))
                .await;
            assert_eq!(frames.last().unwrap().data["answer"], format!("prompt {number}!"));
            let ids: Vec<_> = frames.iter().filter_map(|frame| frame.id).collect();
            assert_eq!(ids, [2, 3, 4]);
        }
    });
    futures_util::future::join_all(asks).await;
}

#[tokio::test]
async fn a_silent_stream_is_kept_open_by_pings() {
    let llm = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let body = json!({"prompt": "Hello", "stream": true}).to_string();
    let request = server.request("POST", "/v1/chat").header("content-type", "application/json").body(body);
    let mut bytes = request.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    while !text.contains("\n: ping") {
        let chunk = timeout(20 * SECOND, bytes.next()).await.expect("no ping").unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.starts_with("event: execution\ndata: "), "{text}");
}
