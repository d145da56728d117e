//! How answers end: whole, cut off, broken, refused, or in text that is hardly JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::client::Frame;
use crate::common::upstream::{json_reply, ollama, open_head, openai_chunk, openai_message, openai_stream, reply};
use crate::common::{Act, TestServer, Upstream};

/// The frames of a chat with a model that streams this.
async fn stream_of(
    acts: impl Fn() -> Vec<Act> + Send + Sync + 'static,
    variables: &[(&str, &str)],
) -> (Vec<Frame>, TestServer) {
    let llm = Upstream::start(move |_, _| acts()).await;
    let server = TestServer::with_llm(&llm, variables).await;
    (server.chat_events(&json!({"prompt": "Hello", "user_id": "ada"})).await, server)
}

/// A stream of these chunks, without an end.
fn chunks(chunks: &[Value]) -> Vec<Act> {
    let chunk = |chunk: &Value| Act::Send(format!("data: {chunk}\n\n"));
    [open_head("text/event-stream")].into_iter().chain(chunks.iter().map(chunk)).collect()
}

fn choice(content: &str, finish: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]})
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_whatever_its_chunks_say() {
    for finish in [json!(null), json!(""), json!("null"), json!("in_progress"), json!(false)] {
        let (frames, server) = stream_of(move || chunks(&[choice("The first half of", finish.clone())]), &[]).await;
        let last = frames.last().unwrap();
        assert_eq!(last.event, "error", "{last:?}");
        assert!(last.data["detail"].as_str().unwrap().contains("broke off in the middle"), "{last:?}");
        assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 0);
    }
}

#[tokio::test]
async fn a_stream_that_says_so_is_whole() {
    for finish in ["stop", "STOP", "eos", "end_turn", "length", "MAX_TOKENS", "content_filter"] {
        let (frames, _server) = stream_of(move || chunks(&[choice("All of it.", json!(finish))]), &[]).await;
        assert_eq!(frames.last().unwrap().data["answer"], "All of it.", "{finish}");
    }
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}});
    let (frames, _server) = stream_of(move || chunks(&[choice("All of it.", json!("")), usage.clone()]), &[]).await;
    assert_eq!(frames.last().unwrap().data["answer"], "All of it.", "usage comes at the end only");
}

#[tokio::test]
async fn an_error_is_found_wherever_it_stands() {
    let said = "Upstream overloaded";
    let errors = [
        format!("data: {}\n\n", json!({"error": {"code": 502, "message": said}, "choices": []})),
        format!(
            "data: {}\n\n",
            json!({"choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": {"code": 502, "message": said}}]})
        ),
        format!("data: {}\n\n", json!({"choices": [{"delta": {"error": {"message": said}}}]})),
        format!("data: {}\n\n", json!({"object": "error", "message": said})),
        format!("data: {}\n\n", json!({"type": "error", "error": {"type": "overloaded_error", "message": said}})),
        format!("event: error\ndata: {}\n\n", json!({"message": said})),
        format!("event: error\ndata: {said}\n\n"),
    ];
    for error in errors {
        let what = error.clone();
        let acts = move || {
            [chunks(&[choice("Half", json!(null))]), vec![Act::Send(error.clone())]].into_iter().flatten().collect()
        };
        let (frames, server) = stream_of(acts, &[]).await;
        let last = frames.last().unwrap();
        assert_eq!(last.event, "error", "{what}: {last:?}");
        assert!(
            last.data["detail"].as_str().unwrap().contains(&format!("broke off with an error: {said}")),
            "{what}: {last:?}"
        );
        assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 0);
    }
    let wholes = [
        json!({"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"message": said}}]}),
        json!({"choices": [{"message": {"content": said}, "finish_reason": "error"}]}),
        json!({"choices": [{"message": {"content": null, "error": said}, "finish_reason": "stop"}]}),
        json!({"detail": said}),
    ];
    for whole in wholes {
        let (what, answer) = (whole.to_string(), whole);
        let llm = Upstream::start(move |_, _| json_reply("200 OK", &answer)).await;
        let server = TestServer::with_llm(&llm, &[]).await;
        let failed = server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(502);
        assert!(
            failed["error"].as_str().unwrap().contains(&format!("answered with an error: {said}")),
            "{what}: {failed}"
        );
        assert_eq!(llm.chats().len(), 1);
    }
}

#[tokio::test]
async fn ollama_errors_are_found_too() {
    let said = "model runner has crashed";
    let lines = [
        json!({"error": said}).to_string(),
        json!({"error": {"message": said}, "done": true}).to_string(),
        json!({"message": {"content": "", "error": said}, "done": false}).to_string(),
    ];
    for line in lines {
        let what = line.clone();
        let llm = Upstream::start(move |seen, _| match seen.method.as_str() {
            "GET" => ollama(seen, ""),
            _ => vec![
                open_head("application/x-ndjson"),
                Act::Send("{\"message\":{\"content\":\"Half\"},\"done\":false}\n".to_owned()),
                Act::Send(format!("{line}\n")),
            ],
        })
        .await;
        let server = TestServer::with_llm(&llm, &[("LLM_PROVIDER", "ollama")]).await;
        let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
        let last = frames.last().unwrap();
        assert!(last.event == "error" && last.data["detail"].as_str().unwrap().contains(said), "{what}: {last:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_the_answer() {
    let said = "I cannot help with that.";
    for message in [
        json!({"role": "assistant", "content": null, "refusal": said}),
        json!({"content": "", "refusal": said}),
        json!({"content": [{"type": "refusal", "refusal": said}]}),
    ] {
        let delta = message.clone();
        let llm = Upstream::start(move |seen, _| match seen.body["stream"] == true {
            true => openai_stream(std::slice::from_ref(&delta), "stop"),
            false => openai_message(&message, "stop"),
        })
        .await;
        let server = TestServer::with_llm(&llm, &[]).await;
        assert_eq!(server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200)["answer"], said);
        let frames = server.chat_events(&json!({"prompt": "Again"})).await;
        assert_eq!(frames.last().unwrap().data["answer"], said);
    }
    let pieces = ["I cannot", " help with that."].map(|piece| json!({"refusal": piece, "content": null}));
    let (frames, _server) = stream_of(move || openai_stream(&pieces, "stop"), &[]).await;
    assert_eq!(frames.last().unwrap().data["answer"], said);
}

#[tokio::test]
async fn text_that_is_hardly_json_is_read() {
    let bodies = [
        r#"{"choices": [{"message": {"content": "inf"}, "logprobs": {"content": [{"token": "a", "logprob": -Infinity}]}, "finish_reason": "stop"}]}"#,
        r#"{"choices": [{"message": {"content": "inf"}, "score": NaN, "finish_reason": "stop"},]}"#,
        "\u{feff}{\"choices\": [{\"message\": {\"content\": \"inf\"}, \"finish_reason\": \"stop\"}]}",
    ];
    for body in bodies {
        let llm = Upstream::start(move |_, _| reply("200 OK", "application/json", body)).await;
        let server = TestServer::with_llm(&llm, &[]).await;
        assert_eq!(server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200)["answer"], "inf", "{body}");
        let frames = server.chat_events(&json!({"prompt": "Again"})).await;
        assert_eq!(frames.last().unwrap().data["answer"], "inf", "{body}");
    }
    let halves = || {
        let chunk = |text: &str| {
            Act::Send(format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"))
        };
        vec![
            open_head("text/event-stream"),
            chunk("Hi \\ud83d"),
            chunk("\\ude00!"),
            Act::Send("data: [DONE]\n\n".to_owned()),
        ]
    };
    let (frames, _server) = stream_of(halves, &[]).await;
    let answer = frames.last().unwrap().data["answer"].as_str().unwrap().to_owned();
    assert!(answer.starts_with("Hi ") && answer.ends_with('!'), "{answer}");

    let llm = Upstream::start(|seen, _| match seen.method.as_str() {
        "GET" => ollama(seen, ""),
        _ => {
            let lines = "\u{feff}{\"message\":{\"content\":\"Hi\"},\"done\":false}\n\n{\"done\":true,\"done_reason\":\"stop\",\"x\":NaN}\n";
            vec![open_head("application/x-ndjson"), Act::Send(lines.to_owned())]
        }
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_PROVIDER", "ollama")]).await;
    assert_eq!(server.chat_events(&json!({"prompt": "Hello"})).await.last().unwrap().data["answer"], "Hi");
}

#[tokio::test]
async fn comments_keep_a_stream_alive_and_silence_does_not() {
    let kept = || {
        let mut acts = vec![open_head("text/event-stream")];
        acts.extend(
            (0..8).flat_map(|_| [Act::Send(": PROCESSING\n\n".to_owned()), Act::Sleep(Duration::from_millis(300))]),
        );
        acts.extend([openai_chunk(&json!({"content": "Late."})), Act::Send("data: [DONE]\n\n".to_owned())]);
        acts
    };
    let (frames, _server) = stream_of(kept, &[("LLM_TIMEOUT_SECONDS", "1")]).await;
    assert_eq!(frames.last().unwrap().data["answer"], "Late.");
    let silent = || vec![open_head("text/event-stream"), Act::Send(": PROCESSING\n\n".to_owned()), Act::Hang];
    let (frames, _server) = stream_of(silent, &[("LLM_TIMEOUT_SECONDS", "1")]).await;
    assert_eq!(frames.last().unwrap().data["code"], "timeout");
    let endless = || {
        let mut acts = vec![open_head("text/event-stream")];
        acts.extend(
            (0..100).flat_map(|_| [Act::Send(": PROCESSING\n\n".to_owned()), Act::Sleep(Duration::from_millis(100))]),
        );
        acts
    };
    let (frames, _server) = stream_of(endless, &[("ORCHESTRATION_TIMEOUT_SECONDS", "2")]).await;
    assert_eq!(frames.last().unwrap().data["code"], "timeout", "the request's own time holds");
}
