use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::chat::ChatService;
use crate::datasources::VerifiedDraft;
use crate::datasources::routes::VerifiedChangeResponse;
use crate::kernel::Caller;
use crate::web::openapi::schema::{Members, any_object, bounded_pattern, or_null, short_text};
use crate::web::{ApiError, BodyErrors, ErrorBody, JsonReply, OptionalBody, PathId, PathStep};

/// What is to be kept, where it is not what the execution has.
pub(super) struct VerifyBody;

impl PartialSchema for VerifyBody {
    fn schema() -> RefOr<Schema> {
        let question = "Instead of the execution's prompt.";
        let query = "Instead of the step's: with `:name` where another question has another value.";
        Members::new()
            .optional("question", question, or_null(bounded_pattern(r"\S", &VerifiedDraft::QUESTION_CHARS)))
            .optional("query", query, or_null(bounded_pattern(r"\S", &VerifiedDraft::QUERY_CHARS)))
            .optional("parameters", "By name an object with `description` and `default`.", or_null(any_object()))
            .optional("verified_by", "Who has verified it.", or_null(short_text(VerifiedDraft::MAX_NAME_CHARS)))
            .with_example(
                "What is to be kept, where it is not what the execution has.",
                json!({"query": "SELECT count(*) AS customers FROM customers WHERE city = :city",
                    "parameters": {"city": {"description": "A city", "default": "Lisbon"}}, "verified_by": "ada"}),
            )
    }
}

impl ToSchema for VerifyBody {}

/// Verify a step
///
/// Keeps what a completed `data_query` step asked as a verified question of its data source: the execution's prompt and the
/// step's query, unless the body says otherwise.
#[utoipa::path(post, path = "/executions/{id}/steps/{step}/verify", tag = "executions", operation_id = "verify_step",
    request_body(content = Option<VerifyBody>, example = json!({"verified_by": "ada"})), params(PathId, PathStep),
    responses((status = 201, description = "Kept", body = VerifiedChangeResponse),
        (status = 404, description = "No such execution or step", body = ErrorBody),
        (status = 409, description = "The step asked no data source with success, the source is no more, or the question is \
            verified already", body = ErrorBody), BodyErrors))]
pub(super) async fn verify(
    State(service): State<Arc<ChatService>>,
    caller: Caller,
    PathId(execution): PathId,
    PathStep(step): PathStep,
    OptionalBody(body): OptionalBody,
) -> Result<JsonReply<VerifiedChangeResponse>, ApiError> {
    let body = OptionalBody(Some(body.unwrap_or_else(|| json!({})))).into_object()?;
    let (source, question) = service.verify_step(&execution, &step, &body, &caller).await?;
    let reply = VerifiedChangeResponse::new(source.name.as_str(), &question);
    Ok(JsonReply::with_status(StatusCode::CREATED, reply).tagged(question.version()))
}
