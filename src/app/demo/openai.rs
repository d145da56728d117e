use std::convert::Infallible;

use async_stream::stream;
use axum::Router;
use axum::body::Bytes;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::Stream;
use serde_json::{Value, json};

use super::script::{DemoAnswer, DemoRequest, MODEL, WORD_PAUSE, pieces};
use crate::kernel::{JsonReader, new_id};
use crate::web::JsonReply;

/// `/v1/chat/completions` and `/v1/models`, as OpenAI specifies them.
pub(super) fn router() -> Router {
    let models = json!({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "demo"}]});
    Router::new()
        .route("/v1/models", get(async || JsonReply::ok(models)))
        .route("/v1/chat/completions", post(chat))
        .route("/health", get(async || JsonReply::ok(json!({"status": "ok"}))))
}

async fn chat(body: Bytes) -> Response {
    let body: Value = JsonReader::embedded().read(&body).unwrap_or_default();
    let answer = DemoRequest::read(&body).answer();
    let id = format!("chatcmpl-{}", new_id());
    if body.get("stream").and_then(Value::as_bool) == Some(true) {
        let usage = body.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true);
        return Sse::new(frames(id, answer, usage)).into_response();
    }
    let message = json!({"role": "assistant", "content": answer.text, "tool_calls": tool_calls(&answer)});
    JsonReply::ok(json!({
        "id": id, "object": "chat.completion", "created": 0, "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(&answer)}],
        "usage": usage_of(&answer),
    }))
    .into_response()
}

fn frames(id: String, answer: DemoAnswer, with_usage: bool) -> impl Stream<Item = Result<Event, Infallible>> {
    let chunk = move |delta: Value, finish: Option<&str>| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let chunk =
            json!({"id": id, "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": choices});
        Ok(Event::default().data(chunk.to_string()))
    };
    stream! {
        yield chunk(json!({"role": "assistant", "content": ""}), None);
        for piece in pieces(&answer.text) {
            tokio::time::sleep(WORD_PAUSE).await;
            yield chunk(json!({"content": piece}), None);
        }
        if !answer.tools.is_empty() {
            yield chunk(json!({"tool_calls": tool_calls(&answer)}), None);
        }
        yield chunk(json!({}), Some(finish_reason(&answer)));
        if with_usage {
            let usage = json!({"object": "chat.completion.chunk", "model": MODEL, "choices": [], "usage": usage_of(&answer)});
            yield Ok(Event::default().data(usage.to_string()));
        }
        yield Ok(Event::default().data("[DONE]"));
    }
}

fn tool_calls(answer: &DemoAnswer) -> Value {
    let call = |(at, (name, arguments)): (usize, &(String, Value))| {
        json!({"index": at, "id": format!("call_{at}"), "type": "function",
            "function": {"name": name, "arguments": arguments.to_string()}})
    };
    answer.tools.iter().enumerate().map(call).collect()
}

fn finish_reason(answer: &DemoAnswer) -> &'static str {
    if answer.tools.is_empty() { "stop" } else { "tool_calls" }
}

fn usage_of(answer: &DemoAnswer) -> Value {
    let written = pieces(&answer.text).len();
    json!({"prompt_tokens": answer.prompt_tokens, "completion_tokens": written, "total_tokens": answer.prompt_tokens + written})
}
