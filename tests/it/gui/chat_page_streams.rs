//! Answers of the chat page as they are made, in the form that version B of the GUI reads, and that the standard has.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::sync::Notify;

use super::chat_page_failures::until_said;
use crate::common::chat_page::*;
use crate::common::upstream::{open_head, openai_delta, openai_end};
use crate::common::{Act, TestServer, Upstream};

/// A model that says these pieces.
async fn saying(pieces: &'static [&'static str]) -> Upstream {
    Upstream::start(move |_, _| {
        let deltas = pieces.iter().map(|piece| openai_delta(piece));
        [open_head("text/event-stream")].into_iter().chain(deltas).chain([openai_end()]).collect()
    })
    .await
}

#[tokio::test]
async fn pieces_arrive_as_the_model_says_them_and_the_conversation_has_the_whole() {
    let word = Arc::new(Notify::new());
    let llm = Upstream::paced(&["one ", "two ", "three"], &word).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = begin(&server, "direct_llm").await;
    let mut body = message(&id, "direct_llm", "Count");
    body["connection_id"] = json!("default");
    let mut lines = lines(&server, &body).await;
    // The model says the next word only when told to, so each of these has come before the answer was complete.
    for text in ["one ", "two ", "three"] {
        assert_eq!(
            (lines.next().await.unwrap(), lines.next().await.unwrap()),
            (format!("data: {text}"), String::new())
        );
        word.notify_one();
    }
    assert_eq!(lines.next().await.unwrap(), "event: done");
    while lines.next().await.is_some() {}
    assert_eq!(said(&server, &id).await, turns(&[("user", "Count"), ("assistant", "one two three")]));
    let answer = load(&server, &id).await["messages"][1]["metadata"].clone();
    assert_eq!((&answer["model_used"], &answer["routing_profile"]), (&json!("stub-model"), &json!("direct_llm")));
    assert_eq!(server.get(&format!("/api/memory/chat-ui:{id}/history")).await.expect(200)["count"], 2);
}

#[tokio::test]
async fn line_feeds_and_blanks_come_through_by_the_standard_and_no_text_is_lost_to_a_reader_of_lines() {
    let llm = saying(&["# Head\n", "\n", " two", "\r\nthree", "\n"]).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = begin(&server, "direct_llm").await;
    let body = message(&id, "direct_llm", "Hello");
    let events = read_as_events(lines(&server, &body).await).await;
    let text: String = events.iter().filter(|(name, _)| name.is_empty()).map(|(_, data)| data.as_str()).collect();
    assert_eq!(text, "# Head\n\n two\nthree\n");
    assert_eq!(events.last().unwrap(), &("done".to_owned(), "\n".to_owned()), "readers of events hear of the end");
    let (read, ended) = read_as_the_page_does(lines(&server, &body).await).await;
    assert_eq!((read.as_str(), ended), ("# Head twothree", true));
    assert_eq!(
        said(&server, &id).await[1].1,
        "# Head\n\n two\r\nthree\n",
        "the page loads the conversation afterwards"
    );
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_work_upstream_and_what_it_saw_is_kept() {
    let llm = Upstream::start(|_, _| vec![open_head("text/event-stream"), openai_delta("Once upon "), Act::Hang]).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = begin(&server, "direct_llm").await;
    let mut lines = lines(&server, &message(&id, "direct_llm", "Tell me a story")).await;
    assert_eq!(lines.next().await.unwrap(), "data: Once upon ");
    drop(lines);
    tokio::time::timeout(Duration::from_secs(5), llm.client_left()).await.unwrap();
    let turns = until_said(&server, &id, 2).await;
    let told = "Once upon \n\nThere is no answer: Cancelled: the client left, or the server was stopped";
    assert_eq!(turns[1].1, told);
    assert_eq!(server.get(&format!("/api/memory/chat-ui:{id}/history")).await.expect(200)["count"], 0);
    let execution = server.get("/v1/executions?user_id=ada").await.expect(200)["executions"][0].clone();
    assert_eq!(execution["status"], "cancelled");
}

#[tokio::test]
async fn a_conversation_that_is_deleted_while_it_is_answered_is_forgotten_all_the_same() {
    let word = Arc::new(Notify::new());
    let wait = word.clone();
    let llm = Upstream::start(move |_, _| {
        let (begun, rest) = (openai_delta("Once upon "), openai_delta("a time."));
        vec![open_head("text/event-stream"), begun, Act::Wait(wait.clone()), rest, openai_end()]
    })
    .await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = begin(&server, "direct_llm").await;
    let mut lines = lines(&server, &message(&id, "direct_llm", "Tell me a story")).await;
    assert_eq!(lines.next().await.unwrap(), "data: Once upon ");
    server.delete(&format!("{CONVERSATIONS}/{id}")).await.expect(200);
    word.notify_one();
    while lines.next().await.is_some() {}
    server.get(&format!("{CONVERSATIONS}/{id}")).await.expect(404);
    assert_eq!(server.get(&format!("/api/memory/chat-ui:{id}/history")).await.expect(200)["count"], 0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_says_so_below_what_was_shown() {
    let llm = Upstream::start(|_, _| vec![open_head("text/event-stream"), openai_delta("Once upon ")]).await;
    let server = TestServer::with_llm(&llm, &[("LLM_MAX_RETRIES", "0")]).await;
    let id = begin(&server, "direct_llm").await;
    let events = read_as_events(lines(&server, &message(&id, "direct_llm", "Tell me a story")).await).await;
    let text: String = events.iter().filter(|(name, _)| name.is_empty()).map(|(_, data)| data.as_str()).collect();
    assert!(text.starts_with("Once upon \n\nThere is no answer: "), "{text}");
    assert_eq!(events.last().unwrap().0, "done");
    assert_eq!(said(&server, &id).await[1].1, text);
}

#[tokio::test]
async fn a_cached_answer_is_streamed_too() {
    let llm = Upstream::saying("Forty two.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    for _ in 0..2 {
        let id = begin(&server, "direct_llm").await;
        let (read, ended) = read_as_the_page_does(lines(&server, &message(&id, "direct_llm", "Answer?")).await).await;
        assert_eq!((read.as_str(), ended), ("Forty two.", true));
        assert_eq!(said(&server, &id).await[1].1, "Forty two.");
    }
    assert_eq!(llm.chats().len(), 1);
}
