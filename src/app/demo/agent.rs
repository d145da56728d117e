use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::kernel::JsonReader;
use crate::web::JsonReply;

/// A sample agent under `/agent`: takes a prompt and what earlier steps found, and gives a piece of advice.
pub(super) fn router() -> Router {
    Router::new()
        .route("/agent/health", get(async || JsonReply::ok(json!({"status": "ok"}))))
        .route("/agent/execute", post(execute))
}

async fn execute(body: Bytes) -> JsonReply<Value> {
    let body: Value = JsonReader::embedded().read(&body).unwrap_or_default();
    let prompt: String = body.get("prompt").and_then(Value::as_str).unwrap_or_default().chars().take(200).collect();
    let context = body.get("context").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let lines = context.iter().filter_map(Value::as_str).flat_map(str::lines);
    // Head and rule of each table are no rows.
    let rows = lines.filter(|line| line.starts_with('|')).count().saturating_sub(2 * context.len());
    let seen = match context.len() {
        0 => "I was given no data".to_owned(),
        results => format!("I was given {results} result(s) with {rows} rows"),
    };
    let advice = format!(
        "[demo agent, scripted] You asked: \"{prompt}\". {seen}. My advice: talk to customers on the cheapest plan before their \
         first year ends, and ask those who leave because of the price whether a yearly plan would keep them."
    );
    JsonReply::ok(json!({"answer": advice}))
}
