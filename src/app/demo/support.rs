use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::kernel::JsonReader;
use crate::web::JsonReply;

/// The tickets that the sample help desk has: subject, customer, status, priority, and the day on which it was opened.
const TICKETS: [(&str, &str, &str, &str, &str); 6] = [
    ("The invoice shows the wrong plan", "Ada Brown", "open", "high", "2025-11-03"),
    ("Can't log in after a change of address", "Ben Silva", "open", "normal", "2025-11-12"),
    ("Please cancel my subscription", "Cleo Meyer", "closed", "normal", "2025-11-14"),
    ("The parcel has not arrived", "Dan Novak", "open", "high", "2025-11-20"),
    ("How do I change to a yearly plan?", "Eva Rossi", "closed", "low", "2025-11-21"),
    ("The app is slow in the evening", "Finn Berg", "waiting", "low", "2025-11-25"),
];

/// Words that ask for tickets of one status.
const STATUSES: [(&str, &[&str]); 3] = [
    ("open", &["open", "offen", "abierto", "ouvert", "unsolved"]),
    ("closed", &["closed", "solved", "geschlossen", "cerrado", "fermé"]),
    ("waiting", &["waiting", "wartend", "en espera", "en attente"]),
];

/// A help desk under `/support`, asked in words over the protocol of data sources over HTTP.
pub(super) fn router() -> Router {
    let columns = json!([
        {"name": "ticket", "type": "integer"}, {"name": "subject", "type": "text"}, {"name": "customer", "type": "text"},
        {"name": "status", "type": "text", "values": ["open", "closed", "waiting"]},
        {"name": "priority", "type": "text", "values": ["high", "normal", "low"]}, {"name": "opened_on", "type": "date"},
    ]);
    let table = json!({"name": "tickets", "comment": "Support tickets: what customers report to the help desk", "columns": columns});
    let tables = json!({"tables": [table]});
    let schema = tables.clone();
    Router::new()
        .route("/support/health", get(async || JsonReply::ok(json!({"status": "ok"}))))
        .route("/support/schema", get(async || JsonReply::ok(schema)))
        .route("/support/tables", get(async || JsonReply::ok(tables)))
        .route("/support/query", post(query))
}

async fn query(body: Bytes) -> JsonReply<Value> {
    let body: Value = JsonReader::embedded().read(&body).unwrap_or_default();
    let question = body.get("query").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let asked = STATUSES.iter().filter(|(_, words)| words.iter().any(|word| has_word(&question, word)));
    let asked: Vec<_> = asked.map(|(status, _)| *status).collect();
    let row = |(at, (subject, customer, status, priority, opened_on)): (usize, &(&str, &str, &str, &str, &str))| {
        json!({"ticket": 1001 + at, "subject": subject, "customer": customer, "status": status, "priority": priority,
            "opened_on": opened_on})
    };
    let wanted = TICKETS.iter().enumerate().filter(|(_, ticket)| asked.is_empty() || asked.contains(&ticket.2));
    let rows: Vec<_> = wanted.map(row).collect();
    JsonReply::ok(json!({"data": rows, "row_count": rows.len()}))
}

/// Whether a word of the text begins so: `offen` is meant by `offene` too.
fn has_word(text: &str, start: &str) -> bool {
    text.match_indices(start).any(|(at, _)| !text.get(..at).unwrap_or_default().ends_with(char::is_alphanumeric))
}
