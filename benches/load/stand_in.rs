//! A stand-in for an LLM server that speaks OpenAI's format. It answers at once; its answers say which prompt they are for, and each
//! piece of a stream says when it was sent.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::Helper;

/// What answers consist of beside the prompt's number: about as much as a short paragraph.
const ANSWER: &str = "That is all there is to say about it here: a stand-in has no opinion of its own, it always says the \
    same words, as quickly as it can, and so shows what all others take who had a part in it.";

/// How a stream comes.
#[derive(Clone, Copy)]
pub struct Pace {
    pub deltas: usize,
    pub pause: Duration,
}

impl Pace {
    /// A stand-in in a process of its own that streams so.
    pub fn start(self) -> Helper {
        Helper::start(&["stand-in", &self.deltas.to_string(), &self.pause.as_millis().to_string()])
    }
}

/// What [`Pace::start`] starts.
pub async fn run(deltas: &str, pause: &str) {
    let pace = Pace { deltas: deltas.parse().unwrap(), pause: Duration::from_millis(pause.parse().unwrap()) };
    let router = Router::new().route("/v1/models", get(models)).route("/v1/chat/completions", post(complete));
    Helper::serve(router.with_state(pace)).await;
}

async fn models() -> Response {
    let models = json!({"object": "list", "data": [{"id": "stand-in", "object": "model", "owned_by": "nobody"}]});
    ([(CONTENT_TYPE, "application/json")], models.to_string()).into_response()
}

async fn complete(State(pace): State<Pace>, body: Bytes) -> Response {
    let request = String::from_utf8_lossy(&body);
    let number = last_number(&request);
    if request.contains(r#""stream":true"#) {
        return ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events(pace, number))).into_response();
    }
    let message = json!({"role": "assistant", "content": format!("{} {ANSWER}", expected(number))});
    let reply = json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "stand-in",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}
    });
    ([(CONTENT_TYPE, "application/json")], reply.to_string()).into_response()
}

/// How the answer to the prompt with this number begins.
pub fn expected(number: u64) -> String {
    format!("The answer to {number} is this.")
}

/// The number between the last two `#`: that of the prompt, as only prompts have some.
fn last_number(request: &str) -> u64 {
    request.rsplit('#').nth(1).and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn events(pace: Pace, number: u64) -> impl futures_util::Stream<Item = Result<String, Infallible>> {
    async_stream::stream! {
        let mut ticks = tokio::time::interval(pace.pause);
        yield Ok(event(&json!({"role": "assistant", "content": format!("{} ", expected(number))}), None));
        for _ in 0..pace.deltas {
            ticks.tick().await;
            yield Ok(event(&json!({"content": format!("word@{} ", now())}), None));
        }
        yield Ok(format!("{}data: [DONE]\n\n", event(&json!({}), Some("stop"))));
    }
}

fn event(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!(
        "data: {}\n\n",
        json!({"id": "x", "object": "chat.completion.chunk", "model": "stand-in", "choices": [choice]})
    )
}

/// Microseconds on the clock that all processes of the machine have.
pub fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}
