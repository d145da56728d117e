use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::body::steering_options;
use crate::chat::ChatService;
use crate::chat::evaluation;
use crate::chat::evaluation::{CaseResult, Difference, Evaluation, EvaluationCase, Target, names};
use crate::chat::request::ChatOptions;
use crate::chat::routing::Routing;
use crate::kernel::{Caller, Clock, FieldIssue, Fields, Segment};
use crate::web::openapi::schema::{Members, anything, list, or_null, pattern, text};
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply};

/// Prompts of one evaluation.
const MAX_CASES: usize = 1000;

/// Prompts, and what each should reach.
pub(super) struct EvaluateBody {
    cases: Vec<EvaluationCase>,
}

impl PartialSchema for EvaluateBody {
    fn schema() -> RefOr<Schema> {
        let target = pattern("^(datasource|agent|tool):.+$");
        let case = Members::new()
            .required("prompt", "What is asked.", text())
            .optional(
                "expect",
                "What it should reach; nothing if the model alone should answer.",
                or_null(list(target)),
            )
            .optional(
                "rows",
                "What a data source should give: only then is the prompt carried out.",
                or_null(list(anything())),
            )
            .optional("metadata", "As in a chat.", or_null(steering_options()))
            .object("");
        Members::new().required("cases", "At most 1000.", list(case)).with_example(
            "Prompts, and what each should reach.",
            json!({"cases": [
                {"prompt": "How many customers do we have?", "expect": ["datasource:shop"]},
                {"prompt": "Tell me a joke", "expect": []}]}),
        )
    }
}

impl ToSchema for EvaluateBody {}

impl FromFields for EvaluateBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let mut listed = fields.items("cases");
        if listed.len() > MAX_CASES {
            fields.reject("cases", format!("Input should have at most {MAX_CASES} cases"));
            listed = &[];
        }
        let (mut cases, at) = (Vec::new(), fields.loc("cases"));
        for (index, case) in listed.iter().enumerate() {
            let at: Vec<Segment> = at.iter().cloned().chain([Segment::Index(index)]).collect();
            match case {
                Value::Object(case) => {
                    let mut inner = Fields::new(case, at);
                    cases.push(read_case(&mut inner));
                    fields.extend(inner.into_issues());
                }
                other => fields.extend([FieldIssue::new("dict_type", at, "Input should be an object", other.clone())]),
            }
        }
        Self { cases }
    }
}

fn read_case(fields: &mut Fields<'_>) -> EvaluationCase {
    let metadata = fields.optional::<Map<String, Value>>("metadata").unwrap_or_default();
    let mut steering = Fields::new(&metadata, fields.loc("metadata"));
    let options = ChatOptions::read(&mut steering);
    let wrong = steering.into_issues();
    fields.extend(wrong);
    EvaluationCase {
        prompt: fields.required("prompt"),
        options,
        expected: expected(fields),
        rows: rows(fields),
        metadata,
    }
}

fn expected(fields: &mut Fields<'_>) -> Vec<Target> {
    let listed = match fields.value("expect") {
        None | Some(Value::Null) => return Vec::new(),
        Some(value) => value.as_array(),
    };
    let read = listed.and_then(|listed| listed.iter().map(|text| Target::parse(text.as_str()?)).collect());
    read.unwrap_or_else(|| {
        fields.reject("expect", Target::EXPECTED);
        Vec::new()
    })
}

fn rows(fields: &mut Fields<'_>) -> Option<Vec<Value>> {
    match fields.value("rows") {
        None | Some(Value::Null) => None,
        Some(Value::Array(rows)) => Some(rows.clone()),
        Some(_) => {
            fields.reject("rows", "Input should be a list of rows");
            None
        }
    }
}

/// What an evaluation came to.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": false, "cases": 1, "passed": 0, "precision": 0.0, "recall": 0.0,
    "results": [{
        "prompt": "How many customers do we have?", "passed": false, "expected": ["datasource:shop"], "reached": ["agent:retention"],
        "missed": ["datasource:shop"], "unexpected": ["agent:retention"],
        "routing": {"by": "score", "confidence": 0.8, "reason": "'customers'", "targets": [
            {"kind": "agent", "name": "retention", "score": 0.8, "reason": "'customers'"}]},
        "rows_match": null, "error": null}],
    "differences": [{
        "prompt": "How many customers do we have?", "before": ["datasource:shop"], "now": ["agent:retention"], "passed": false}],
    "previous_at": "2026-12-01T09:30:00.000Z"
}))]
pub(super) struct EvaluationReport {
    /// Whether all cases are as expected.
    success: bool,
    #[schema(example = 2)]
    cases: usize,
    #[schema(example = 2)]
    passed: usize,
    /// The share of what was reached that was expected; null if nothing was reached.
    #[schema(example = 1.0)]
    precision: Option<f64>,
    /// The share of what was expected that was reached; null if nothing was expected.
    #[schema(example = 1.0)]
    recall: Option<f64>,
    results: Vec<CaseView>,
    /// Prompts that reach something else than the last time.
    differences: Vec<DifferenceView>,
    /// When the last evaluation was; null if this is the first.
    #[schema(format = DateTime, example = "2026-12-01T09:30:00.000Z")]
    previous_at: Option<String>,
}

/// What one prompt came to.
#[derive(Serialize, ToSchema)]
struct CaseView {
    #[schema(example = "How many customers do we have?")]
    prompt: String,
    passed: bool,
    #[schema(example = json!(["datasource:shop"]))]
    expected: Vec<String>,
    #[schema(example = json!(["datasource:shop"]))]
    reached: Vec<String>,
    missed: Vec<String>,
    unexpected: Vec<String>,
    /// Who decided and why, as in `metadata.routing` of a chat.
    #[schema(value_type = Object)]
    routing: Routing,
    /// Whether a data source gave the expected rows; null if none were.
    rows_match: Option<bool>,
    /// Why the prompt could not be planned, or the model not be asked.
    error: Option<String>,
}

/// A prompt that reaches something else than the last time.
#[derive(Serialize, ToSchema)]
struct DifferenceView {
    prompt: String,
    before: Vec<String>,
    now: Vec<String>,
    /// Whether it is as expected now.
    passed: bool,
}

impl From<CaseResult> for CaseView {
    fn from(result: CaseResult) -> Self {
        let (missed, unexpected) = (names(result.missed()), names(result.unexpected()));
        let (passed, expected, reached) = (result.passed(), names(&result.expected), names(&result.reached));
        let CaseResult { prompt, routing, rows_match, error, .. } = result;
        Self { prompt, passed, expected, reached, missed, unexpected, routing, rows_match, error }
    }
}

impl From<Difference> for DifferenceView {
    fn from(Difference { prompt, before, now, passed }: Difference) -> Self {
        Self { prompt, before, now, passed }
    }
}

impl From<Evaluation> for EvaluationReport {
    fn from(evaluation: Evaluation) -> Self {
        let (cases, passed) = (evaluation.results.len(), evaluation.passed());
        Self {
            success: passed == cases,
            cases,
            passed,
            precision: evaluation.precision(),
            recall: evaluation.recall(),
            results: evaluation.results.into_iter().map(CaseView::from).collect(),
            differences: evaluation.differences.into_iter().map(DifferenceView::from).collect(),
            previous_at: evaluation.previous_ms.map(Clock::rfc3339),
        }
    }
}

/// Evaluate routing
///
/// Plans each prompt and asks the model which functions it would call, but carries nothing out, except where rows are
/// expected: such a prompt is answered, without memory. Tells what was reached, missed and not expected, and what is different from
/// the last evaluation.
#[utoipa::path(post, path = "/api/chat/evaluate", tag = "chat", operation_id = "evaluate_routing", request_body = EvaluateBody,
    responses((status = 200, description = "What it came to", body = EvaluationReport),
        (status = 503, description = "Too many chats are being answered", body = ErrorBody), BodyErrors))]
pub(super) async fn evaluate(
    State(service): State<Arc<ChatService>>,
    caller: Caller,
    JsonBody(body): JsonBody<EvaluateBody>,
) -> Result<JsonReply<EvaluationReport>, ApiError> {
    let _permit = service.admit(&caller).await?;
    Ok(JsonReply::ok(evaluation::evaluate(&service, body.cases, &caller).await.into()))
}
