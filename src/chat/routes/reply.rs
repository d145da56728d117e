use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::chat::response::ChatResponse;
use crate::web::ApiError;

/// An answer and how it came about. `metadata.degraded` says that something was not as it should be: `error` tells what the answer
/// lacks, `metadata.warnings` what only a stand-in did (a store that is away), though the answer lacks nothing. `metadata.routing` says
/// what was chosen to serve the request (`targets`), by whom (`request`, `rules`, `score`, or `model`, which may call functions while it
/// answers), and why. `metadata.data` is there only if a data source was asked, `metadata.chart` only if rows of it make a picture (a
/// Vega-Lite description, whose `data.name` is the `datasource` of the rows), `metadata.sources` (titles and addresses) only if the web
/// was searched, `metadata.user_id` says whose conversation it was (null if nobody's), `metadata.reasoning` only if `include_reasoning` asks for it and the model thought aloud. If nothing came of all that the request needs, the answer's first sentence says so.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "answer": "There are 400 customers.\n\n1 row from data source 'crm':\n\n| customers |\n| --- |\n| 400 |",
    "metadata": {
        "execution_id": "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10", "intent": "data_query", "intent_confidence": 0.6,
        "iterations": 2, "has_error": false,
        "routing": {"by": "score", "confidence": 0.9, "reason": "'customers' (table customers)", "targets": [
            {"kind": "datasource", "name": "crm", "score": 0.9, "reason": "'customers' (table customers)"}]},
        "steps": [
            {"id": "task_1", "action": "data_query", "target": "crm", "status": "completed", "duration_ms": 380, "error": null,
                "query": "SELECT count(*) AS customers FROM customers"},
            {"id": "task_2", "action": "llm_call", "target": "llama3.2", "status": "completed", "duration_ms": 412, "error": null,
                "query": null}
        ],
        "model": "llama3.2", "usage": {"prompt_tokens": 361, "completion_tokens": 29, "total_tokens": 390},
        "cached": false, "degraded": false, "warnings": [], "user_id": "ada", "memory_saved": true, "missing": [], "duration_ms": 795,
        "data": [{"datasource": "crm", "query": "SELECT count(*) AS customers FROM customers",
            "columns": [{"name": "customers", "type": "int8"}], "rows": [{"customers": 400}], "row_count": 1, "truncated": false}]
    },
    "execution_id": "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10",
    "error": null
}))]
pub(super) struct ChatAnswer {
    /// Empty if there is none.
    answer: String,
    /// How it came about.
    #[schema(value_type = Object)]
    metadata: Value,
    /// Id of the record under `/v1/executions`.
    execution_id: String,
    /// Why there is no answer, or only a partial one.
    error: Option<String>,
}

/// A request that got no answer at all: the members of an answer and those of an error.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "answer": "", "metadata": {"intent": "general_llm", "has_error": true, "steps": []},
    "execution_id": "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10", "error": "LLM base URL not configured",
    "detail": "LLM base URL not configured", "code": "not_configured", "request_id": "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11"
}))]
pub(super) struct ChatFailure {
    answer: String,
    #[schema(value_type = Object)]
    metadata: Value,
    execution_id: String,
    error: String,
    detail: String,
    code: String,
    request_id: String,
}

/// The body of a refusal: as every error's if the chat was not begun.
pub(super) struct ChatRefusal;

impl PartialSchema for ChatRefusal {
    fn schema() -> RefOr<Schema> {
        let bodies = ["ChatFailure", "ErrorBody"].map(Ref::from_schema_name);
        bodies.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).into()
    }
}

impl ToSchema for ChatRefusal {}

/// Bytes of a reply beside its answer and its metadata, about.
const ROOM: usize = 256;

/// The body of a reply as JSON; for a failure it has the members of an error too.
pub(super) fn chat_json(response: ChatResponse) -> (String, Option<ApiError>) {
    let ChatResponse { answer, metadata, reasoning, execution_id, error, failure, .. } = response;
    let mut body = JsonObject::with_room(answer.len() + metadata.len() + ROOM);
    body.add("answer", &answer);
    body.add_object("metadata", &metadata, reasoning.map(|reasoning| ("reasoning", reasoning)));
    body.add("execution_id", &execution_id);
    body.add("error", &error);
    let failure = failure.map(ApiError::from);
    if let Some(Value::Object(members)) = failure.as_ref().map(ApiError::body) {
        members.iter().for_each(|(name, value)| body.add(name, value));
    }
    (body.into_text(), failure)
}

/// A JSON object that is written member by member: what is JSON already is not read again.
struct JsonObject(Vec<u8>);

impl JsonObject {
    fn with_room(bytes: usize) -> Self {
        let mut text = Vec::with_capacity(bytes);
        text.push(b'{');
        Self(text)
    }

    fn add(&mut self, name: &str, value: &impl Serialize) {
        self.begin(name);
        self.write(value);
    }

    /// Adds an object that is JSON already, with one more member.
    fn add_object(&mut self, name: &str, json: &str, more: Option<(&str, String)>) {
        self.begin(name);
        self.0.extend_from_slice(json.strip_suffix('}').unwrap_or(json).as_bytes());
        if let Some((name, value)) = more {
            self.add(name, &value);
        }
        self.0.push(b'}');
    }

    fn begin(&mut self, name: &str) {
        if !self.0.ends_with(b"{") {
            self.0.push(b',');
        }
        self.write(&name);
        self.0.push(b':');
    }

    /// Texts, and values of JSON, can always be written.
    fn write(&mut self, value: &impl Serialize) {
        drop(serde_json::to_writer(&mut self.0, value));
    }

    fn into_text(mut self) -> String {
        self.0.push(b'}');
        String::from_utf8(self.0).unwrap_or_default()
    }
}
