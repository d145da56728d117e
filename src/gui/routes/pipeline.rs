use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::prompt::{self, PromptInput};
use crate::chat::{ChatService, PlanPreview};
use crate::kernel::{Caller, Error, ResourceName, quoted};
use crate::settings::IntentClassifier;
use crate::web::openapi::schema::anything;
use crate::web::{ApiError, BodyErrors, ErrorBody, JsonReply, OptionalBody, PathName, ReadErrors};

/// What the one router and the one planner are called.
const NAME: &str = "default";
/// What is tried if the page gives no prompt.
const SAMPLE_PROMPT: &str = "Hello, how are you?";

/// What finds out what a prompt asks for.
#[derive(Serialize, ToSchema)]
pub(super) struct IntentRouter {
    #[schema(example = "default")]
    name: &'static str,
    /// `rule_based`, `hybrid` or `llm_based`: `INTENT_CLASSIFIER`.
    #[schema(example = "hybrid")]
    r#type: &'static str,
    enabled: bool,
    #[schema(example = 0)]
    priority: i64,
    #[schema(example = "Set with INTENT_CLASSIFIER")]
    description: &'static str,
}

/// What makes a plan of it.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskPlanner {
    #[schema(example = "default")]
    name: &'static str,
    #[schema(example = "parallel")]
    r#type: &'static str,
    enabled: bool,
    #[schema(example = "parallel")]
    strategy: &'static str,
    #[schema(example = "Plans the steps of each request")]
    description: &'static str,
}

/// What to try.
pub(super) struct PipelineTrial {
    prompt: String,
    intent: Option<String>,
}

impl PartialSchema for PipelineTrial {
    fn schema() -> RefOr<Schema> {
        prompt::members()
            .optional("intent", "A label, instead of guessing; whatever else is ignored.", anything())
            .with_example("What to try; without a prompt, a sample.", json!({"prompt": "Which customers have left?"}))
    }
}

impl ToSchema for PipelineTrial {}

impl PipelineTrial {
    /// Whatever the page sends: nobody has to ask for anything.
    fn of(body: &OptionalBody) -> Self {
        let prompt = PromptInput::read(body.0.as_ref()).given().unwrap_or_else(|| SAMPLE_PROMPT.to_owned());
        let intent = body.0.as_ref().and_then(|body| body.get("intent")?.as_str());
        Self { prompt, intent: intent.map(str::to_owned) }
    }
}

/// What a prompt is taken for.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "error": null,
    "classification": {"intent": "general_llm", "confidence": 0.7, "reason": "it needs nothing that is configured"}
}))]
pub(super) struct RouterTest {
    success: bool,
    classification: Option<RouterClassification>,
    /// Why there is none.
    error: Option<String>,
}

/// An intent.
#[derive(Serialize, ToSchema)]
struct RouterClassification {
    intent: &'static str,
    confidence: f64,
    reason: String,
}

/// What would be done.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "error": null, "plan": {"tasks": [{"id": "task_1", "action": "llm_call", "depends_on": []}]}
}))]
pub(super) struct PlannerTest {
    success: bool,
    plan: Option<PlannedTasks>,
    /// Why there is none.
    error: Option<String>,
}

/// A plan.
#[derive(Serialize, ToSchema)]
struct PlannedTasks {
    #[schema(value_type = Vec<Object>)]
    tasks: Value,
}

fn the_router(classifier: IntentClassifier) -> IntentRouter {
    let kind = match classifier {
        IntentClassifier::Rules => "rule_based",
        IntentClassifier::Auto => "hybrid",
        IntentClassifier::Llm => "llm_based",
    };
    let description = "Finds out what a prompt asks for: by words, by what is configured, and by the LLM. Set with \
        INTENT_CLASSIFIER; it can't be changed here.";
    IntentRouter { name: NAME, r#type: kind, enabled: true, priority: 0, description }
}

fn the_planner() -> TaskPlanner {
    let description = "Makes a plan for each prompt: steps that need nothing of each other run side by side, then the answer. It \
        can't be changed here.";
    TaskPlanner { name: NAME, r#type: "parallel", enabled: true, strategy: "parallel", description }
}

fn require(sort: &str, name: &ResourceName) -> Result<(), Error> {
    match name.as_str() {
        NAME => Ok(()),
        name => Err(Error::not_found(format!("{sort} {} not found; the only one is '{NAME}'", quoted(name)))),
    }
}

/// What comes of a prompt; the error is for a person.
async fn preview(chat: &ChatService, trial: PipelineTrial, caller: Caller) -> Result<PlanPreview, String> {
    let preview = chat.preview(trial.prompt, trial.intent.as_deref(), caller).await;
    preview.map_err(|error| error.public_detail().to_owned())
}

/// List routers
///
/// For the existing GUI. There is one, `default`.
#[utoipa::path(get, path = "/api/routers", tag = "gui", operation_id = "list_routers",
    responses((status = 200, description = "The routers", body = Vec<IntentRouter>)))]
pub(super) async fn routers(State(chat): State<Arc<ChatService>>) -> JsonReply<Vec<IntentRouter>> {
    JsonReply::ok(vec![the_router(chat.intent_classifier())])
}

/// Show a router
///
/// For the existing GUI.
#[utoipa::path(get, path = "/api/routers/{name}", tag = "gui", operation_id = "get_router", params(PathName),
    responses((status = 200, description = "The router", body = IntentRouter),
        (status = 404, description = "No such router", body = ErrorBody), ReadErrors))]
pub(super) async fn router(
    State(chat): State<Arc<ChatService>>,
    PathName(name): PathName,
) -> Result<JsonReply<IntentRouter>, ApiError> {
    require("Router", &name)?;
    Ok(JsonReply::ok(the_router(chat.intent_classifier())))
}

/// Test a router
///
/// For the existing GUI. Says what a prompt is taken for; nothing is carried out.
#[utoipa::path(post, path = "/api/routers/{name}/test", tag = "gui", operation_id = "test_router", params(PathName),
    request_body = Option<PipelineTrial>,
    responses((status = 200, description = "What it is taken for", body = RouterTest),
        (status = 404, description = "No such router", body = ErrorBody), BodyErrors))]
pub(super) async fn test_router(
    State(chat): State<Arc<ChatService>>,
    caller: Caller,
    PathName(name): PathName,
    body: OptionalBody,
) -> Result<JsonReply<RouterTest>, ApiError> {
    require("Router", &name)?;
    Ok(JsonReply::ok(match preview(&chat, PipelineTrial::of(&body), caller).await {
        Ok(PlanPreview { intent, confidence, reason, .. }) => {
            let classification = Some(RouterClassification { intent, confidence, reason });
            RouterTest { success: true, classification, error: None }
        }
        Err(error) => RouterTest { success: false, classification: None, error: Some(error) },
    }))
}

/// List planners
///
/// For the existing GUI. There is one, `default`.
#[utoipa::path(get, path = "/api/planners", tag = "gui", operation_id = "list_planners",
    responses((status = 200, description = "The planners", body = Vec<TaskPlanner>)))]
pub(super) async fn planners() -> JsonReply<Vec<TaskPlanner>> {
    JsonReply::ok(vec![the_planner()])
}

/// Show a planner
///
/// For the existing GUI.
#[utoipa::path(get, path = "/api/planners/{name}", tag = "gui", operation_id = "get_planner", params(PathName),
    responses((status = 200, description = "The planner", body = TaskPlanner),
        (status = 404, description = "No such planner", body = ErrorBody), ReadErrors))]
pub(super) async fn planner(PathName(name): PathName) -> Result<JsonReply<TaskPlanner>, ApiError> {
    require("Planner", &name)?;
    Ok(JsonReply::ok(the_planner()))
}

/// Test a planner
///
/// For the existing GUI. Says what would be done for a prompt; nothing is carried out.
#[utoipa::path(post, path = "/api/planners/{name}/test", tag = "gui", operation_id = "test_planner", params(PathName),
    request_body = Option<PipelineTrial>,
    responses((status = 200, description = "What would be done", body = PlannerTest),
        (status = 404, description = "No such planner", body = ErrorBody), BodyErrors))]
pub(super) async fn test_planner(
    State(chat): State<Arc<ChatService>>,
    caller: Caller,
    PathName(name): PathName,
    body: OptionalBody,
) -> Result<JsonReply<PlannerTest>, ApiError> {
    require("Planner", &name)?;
    Ok(JsonReply::ok(match preview(&chat, PipelineTrial::of(&body), caller).await {
        Ok(PlanPreview { tasks, .. }) => PlannerTest { success: true, plan: Some(PlannedTasks { tasks }), error: None },
        Err(error) => PlannerTest { success: false, plan: None, error: Some(error) },
    }))
}
