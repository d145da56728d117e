use std::convert::Infallible;

use async_stream::stream;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::Stream;
use serde_json::{Value, json};

use super::script::{DemoAnswer, DemoRequest, MODEL, WORD_PAUSE, pieces};
use crate::kernel::JsonReader;
use crate::web::JsonReply;

/// `/api/chat`, `/api/tags` and `/api/version`, as Ollama's docs/api.md describes them.
pub(super) fn router() -> Router {
    let tags = json!({"models": [{"name": MODEL, "model": MODEL, "size": 0}]});
    Router::new()
        .route("/api/version", get(async || JsonReply::ok(json!({"version": "0.0.0-demo"}))))
        .route("/api/tags", get(async || JsonReply::ok(tags)))
        .route("/api/chat", post(chat))
}

async fn chat(body: Bytes) -> Response {
    let body: Value = JsonReader::embedded().read(&body).unwrap_or_default();
    let answer = DemoRequest::read(&body).answer();
    if body.get("stream").and_then(Value::as_bool) == Some(false) {
        let message = json!({"role": "assistant", "content": answer.text, "tool_calls": tool_calls(&answer)});
        return JsonReply::ok(last_line(&answer, message)).into_response();
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines(answer))).into_response()
}

fn lines(answer: DemoAnswer) -> impl Stream<Item = Result<String, Infallible>> {
    let line = |message: Value| Ok(format!("{}\n", json!({"model": MODEL, "message": message, "done": false})));
    stream! {
        for piece in pieces(&answer.text) {
            tokio::time::sleep(WORD_PAUSE).await;
            yield line(json!({"role": "assistant", "content": piece}));
        }
        if !answer.tools.is_empty() {
            yield line(json!({"role": "assistant", "content": "", "tool_calls": tool_calls(&answer)}));
        }
        yield Ok(format!("{}\n", last_line(&answer, json!({"role": "assistant", "content": ""}))));
    }
}

fn last_line(answer: &DemoAnswer, message: Value) -> Value {
    json!({
        "model": MODEL, "created_at": "1970-01-01T00:00:00Z", "message": message, "done": true, "done_reason": "stop",
        "prompt_eval_count": answer.prompt_tokens, "eval_count": pieces(&answer.text).len(),
    })
}

fn tool_calls(answer: &DemoAnswer) -> Value {
    answer.tools.iter().map(|(name, arguments)| json!({"function": {"name": name, "arguments": arguments}})).collect()
}
