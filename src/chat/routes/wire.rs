use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::chat::intent::Intent;
use crate::chat::request::{ChatOptions, UserRequest};
use crate::chat::response::ChatResponse;
use crate::kernel::{Fields, UserId};
use crate::web::openapi::schema::{
    Members, any_object, any_of, boolean, list_or_text, name_of, or_null, pattern, text,
};
use crate::web::openapi::texts;
use crate::web::{ApiError, FromFields};

/// A question.
pub(super) struct ChatBody {
    prompt: String,
    user_id: Option<String>,
    metadata: Option<Map<String, Value>>,
    pub(super) stream: bool,
    options: ChatOptions,
}

impl PartialSchema for ChatBody {
    fn schema() -> RefOr<Schema> {
        let user = any_of([texts::user(), pattern("^$")]);
        let stream = "Answer as server-sent events; `Accept: text/event-stream` asks for the same.";
        Members::new()
            .required("prompt", "What is asked.", text())
            .optional("user_id", "Whose conversation this belongs to; `default` if none.", or_null(user))
            .optional("metadata", "Stored with the turn. These keys steer the server.", or_null(options()))
            .with_default("stream", stream, boolean(), false)
            .with_example(
                "A question.",
                json!({"prompt": "What did I tell you about Lisbon?", "user_id": "ada", "metadata": {"use_cache": false}}),
            )
    }
}

impl ToSchema for ChatBody {}

fn options() -> Schema {
    let intents = name_of(Intent::ALL.map(Intent::as_str));
    Members::new()
        .optional("intent", "A label, instead of guessing.", or_null(intents))
        .optional("agent", "Who is to serve.", or_null(text()))
        .optional("datasource", "Who is to serve.", or_null(text()))
        .optional("tools", "The only ones that may be used.", or_null(list_or_text(text(), text())))
        .optional("use_tools", "False: none.", or_null(boolean()))
        .optional("tool", "The one to run.", or_null(text()))
        .optional("tool_params", "What to run it with.", or_null(any_object()))
        .optional("execute", "True: run the code that is written.", or_null(boolean()))
        .optional("use_cache", "False asks for a fresh answer.", or_null(boolean()))
        .optional("model", "Instead of the default one.", or_null(text()))
        .object("")
}

impl FromFields for ChatBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let body = Self {
            prompt: fields.required("prompt"),
            user_id: fields.optional::<String>("user_id").filter(|user| !user.is_empty()),
            metadata: fields.optional("metadata"),
            stream: fields.or("stream", false),
            options: ChatOptions::default(),
        };
        if let Some(Err(expected)) = body.user_id.as_deref().map(UserId::parse) {
            fields.reject("user_id", expected);
        }
        let Some(metadata) = &body.metadata else { return body };
        let mut inner = Fields::new(metadata, fields.loc("metadata"));
        let options = ChatOptions::read(&mut inner);
        fields.extend(inner.into_issues());
        Self { options, ..body }
    }
}

impl From<ChatBody> for UserRequest {
    fn from(body: ChatBody) -> Self {
        let user = body.user_id.and_then(|user| UserId::parse(&user).ok()).unwrap_or_else(UserId::anonymous);
        Self { prompt: body.prompt, user, metadata: body.metadata.unwrap_or_default(), options: body.options }
    }
}

/// An answer and how it came about. `metadata.degraded` says that something was not as it should be: `error` tells what the answer
/// lacks, `metadata.warnings` what only a stand-in did (a store that is away), though the answer lacks nothing. `metadata.data` is
/// there only if a data source was asked, `metadata.sources` (titles and addresses) only if the web was searched.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "answer": "There are 400 customers.\n\n1 row from data source 'crm':\n\n| customers |\n| --- |\n| 400 |",
    "metadata": {
        "execution_id": "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10", "intent": "data_query", "intent_confidence": 0.6,
        "iterations": 2, "has_error": false,
        "steps": [
            {"id": "task_1", "action": "data_query", "target": "crm", "status": "completed", "duration_ms": 380, "error": null,
                "query": "SELECT count(*) AS customers FROM customers"},
            {"id": "task_2", "action": "llm_call", "target": "llama3.2", "status": "completed", "duration_ms": 412, "error": null,
                "query": null}
        ],
        "model": "llama3.2", "usage": {"prompt_tokens": 361, "completion_tokens": 29, "total_tokens": 390},
        "cached": false, "degraded": false, "warnings": [], "memory_saved": true, "missing": [], "duration_ms": 795,
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

/// The body of a reply; for a failure it has the members of an error too.
pub(super) fn chat_json(response: ChatResponse) -> (Value, Option<ApiError>) {
    let ChatResponse { answer, metadata, execution_id, error, failure } = response;
    let mut body = json!(ChatAnswer { answer, metadata, execution_id, error });
    let failure = failure.map(ApiError::from);
    if let (Some(failure), Value::Object(body)) = (&failure, &mut body)
        && let Value::Object(members) = failure.body()
    {
        body.extend(members);
    }
    (body, failure)
}
