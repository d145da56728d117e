use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::prompt::{self, PromptInput};
use crate::gui::TopologyService;
use crate::gui::topology::{ComponentTest, GraphEdge, GraphNode, NodeId, RunLogLine, RunProgress, TopologyGraph};
use crate::kernel::{Caller, Fields};
use crate::web::openapi::schema::{Members, anything, short_text};
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply, PathId, ReadErrors};

/// What is executed if the page gives no prompt: its button sends none.
const SAMPLE_PROMPT: &str = "Hello! What can you do for me?";
/// Longest id of a node, in characters: a sort and a name.
const MAX_COMPONENT_ID_CHARS: usize = 200;

/// The graph of what is configured.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "nodes": [
        {"id": "start", "type": "start", "label": "Start", "description": "A prompt comes in", "status": "idle"},
        {"id": "tool:weather", "type": "tool_executor", "label": "weather", "description": "Tool of type http_request",
            "status": "idle"}],
    "edges": [{"source": "start", "target": "intent_router", "label": "prompt"}],
    "left_out": 0
}))]
pub(super) struct Topology {
    /// `status` is `idle`, or `degraded`, `disabled`, `not_configured` or `unhealthy`.
    #[schema(value_type = Vec<Object>)]
    nodes: Vec<GraphNode>,
    /// Each leads from one of the nodes to another.
    #[schema(value_type = Vec<Object>)]
    edges: Vec<GraphEdge>,
    /// Agents, data sources and tools that are not shown, because there are too many.
    left_out: usize,
}

/// What to execute.
pub(super) struct FlowStart {
    prompt: String,
}

impl PartialSchema for FlowStart {
    fn schema() -> RefOr<Schema> {
        let purpose = "The prompt; without one, a sample is executed.";
        Members::new()
            .optional("input_data", purpose, prompt::schema())
            .with_example("What to execute. Other members are ignored.", json!({"input_data": {"prompt": "Hello"}}))
    }
}

impl ToSchema for FlowStart {}

impl FromFields for FlowStart {
    fn read(fields: &mut Fields<'_>) -> Self {
        let prompt = match PromptInput::read(fields.value("input_data")) {
            PromptInput::Given(prompt) => prompt,
            PromptInput::Absent => SAMPLE_PROMPT.to_owned(),
            PromptInput::Unknown => {
                fields.reject("input_data", prompt::expected());
                String::new()
            }
        };
        Self { prompt }
    }
}

/// An execution that was started or stopped.
#[derive(Serialize, ToSchema)]
pub(super) struct FlowChange {
    success: bool,
    #[schema(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    execution_id: String,
    /// `running`, `completed`, `failed` or `stopped`.
    #[schema(example = "running")]
    status: &'static str,
    #[schema(example = "Execution started")]
    message: &'static str,
}

/// How far an execution is.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "execution_id": "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10", "status": "running", "current_node": "llm_agent", "progress": 0.55,
    "start_time": "2026-11-22T17:20:03.374Z", "end_time": null, "error": null, "answer": null,
    "logs": [{"timestamp": "2026-11-22T17:20:03.374Z", "level": "info", "message": "Started: Hello", "node": "start"}]
}))]
pub(super) struct FlowStatus {
    execution_id: String,
    /// `running`, `completed`, `failed` or `stopped`.
    status: &'static str,
    /// A node of the graph.
    #[schema(value_type = String)]
    current_node: NodeId,
    /// 0 to 1.
    progress: f64,
    #[schema(format = DateTime)]
    start_time: String,
    #[schema(format = DateTime)]
    end_time: Option<String>,
    error: Option<String>,
    answer: Option<String>,
    /// What has happened. `level` is `info`, `warning` or `error`, `node` a node of the graph. Times of steps are worked out from how
    /// long they took.
    #[schema(value_type = Vec<Object>)]
    logs: Vec<RunLogLine>,
}

impl From<RunProgress> for FlowStatus {
    fn from(run: RunProgress) -> Self {
        let RunProgress { execution_id, status, current_node, progress, start_time, end_time, error, answer, logs } =
            run;
        Self { execution_id, status, current_node, progress, start_time, end_time, error, answer, logs }
    }
}

/// Which node to test.
pub(super) struct ComponentChoice {
    component_id: String,
    prompt: Option<String>,
}

impl PartialSchema for ComponentChoice {
    fn schema() -> RefOr<Schema> {
        Members::new()
            .required("component_id", "The id of a node of the graph.", short_text(MAX_COMPONENT_ID_CHARS))
            .optional("test_data", "May hold a prompt, for those that take one.", anything())
            .with_example("Which node to test.", json!({"component_id": "llm_agent", "test_data": {}}))
    }
}

impl ToSchema for ComponentChoice {}

impl FromFields for ComponentChoice {
    fn read(fields: &mut Fields<'_>) -> Self {
        let prompt = PromptInput::read(fields.value("test_data")).given();
        let component_id: String = fields.required("component_id");
        if component_id.chars().count() > MAX_COMPONENT_ID_CHARS {
            fields.reject("component_id", format!("Input should have at most {MAX_COMPONENT_ID_CHARS} characters"));
        }
        Self { component_id, prompt }
    }
}

/// How a test of a node went.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "component_id": "llm_agent", "status": "healthy", "message": "Model 'llama3.2' has answered"
}))]
pub(super) struct ComponentTestResult {
    success: bool,
    #[schema(value_type = String)]
    component_id: NodeId,
    /// `healthy` or `failed`.
    status: &'static str,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

impl From<ComponentTest> for ComponentTestResult {
    fn from(ComponentTest { component_id, found }: ComponentTest) -> Self {
        let (success, status) = if found.is_ok() { (true, "healthy") } else { (false, "failed") };
        let (message, error) = match found {
            Ok(message) => (Some(message), None),
            Err(error) => (None, Some(error)),
        };
        Self { success, component_id, status, message, error }
    }
}

/// Graph of what is configured
///
/// For the existing GUI. Nodes are what a request may go through, as they are known to be; nobody is asked.
#[utoipa::path(get, path = "/api/topology/graph", tag = "gui", operation_id = "topology_graph",
    responses((status = 200, description = "The graph", body = Topology)))]
pub(super) async fn graph(State(topology): State<TopologyService>) -> JsonReply<Topology> {
    let TopologyGraph { nodes, edges, left_out } = topology.graph();
    JsonReply::ok(Topology { nodes, edges, left_out })
}

/// Start an execution
///
/// For the existing GUI. Starts a chat request of the user `topology` in the background; its record is that of any other.
#[utoipa::path(post, path = "/api/topology/execute", tag = "gui", operation_id = "execute_topology", request_body = FlowStart,
    responses((status = 200, description = "Started", body = FlowChange), BodyErrors,
        (status = 503, description = "Too many are running", body = ErrorBody)))]
pub(super) async fn execute(
    State(topology): State<TopologyService>,
    caller: Caller,
    JsonBody(body): JsonBody<FlowStart>,
) -> Result<JsonReply<FlowChange>, ApiError> {
    let execution_id = topology.execute(body.prompt, caller).await?;
    Ok(JsonReply::ok(FlowChange { success: true, execution_id, status: "running", message: "Execution started" }))
}

/// How far an execution is
///
/// For the existing GUI. Works for every execution that is recorded, whoever started it.
#[utoipa::path(get, path = "/api/topology/execution/{id}", tag = "gui", operation_id = "topology_execution", params(PathId),
    responses((status = 200, description = "How far it is", body = FlowStatus),
        (status = 404, description = "No such execution", body = ErrorBody), ReadErrors,
        (status = 503, description = "Postgres is away, and the execution may be there", body = ErrorBody)))]
pub(super) async fn progress(
    State(topology): State<TopologyService>,
    PathId(id): PathId,
) -> Result<JsonReply<FlowStatus>, ApiError> {
    Ok(JsonReply::ok(topology.progress(&id).await?.into()))
}

/// Stop an execution
///
/// For the existing GUI. Only those that it has started can be stopped; one that has ended stays as it is.
#[utoipa::path(delete, path = "/api/topology/execution/{id}", tag = "gui", operation_id = "stop_topology_execution",
    params(PathId),
    responses((status = 200, description = "It has ended, or is about to", body = FlowChange),
        (status = 404, description = "No such execution", body = ErrorBody),
        (status = 409, description = "It is another client's", body = ErrorBody), ReadErrors,
        (status = 503, description = "Postgres is away, and the execution may be there", body = ErrorBody)))]
pub(super) async fn stop(
    State(topology): State<TopologyService>,
    PathId(id): PathId,
) -> Result<JsonReply<FlowChange>, ApiError> {
    let status = topology.stop(&id).await?;
    let message = if status == "stopped" { "Execution stopped" } else { "The execution had ended before" };
    Ok(JsonReply::ok(FlowChange { success: true, execution_id: id, status, message }))
}

/// Test a node
///
/// For the existing GUI. Has the module behind the node test it. Answers 200 whatever comes of it: `success` and `error` tell.
#[utoipa::path(post, path = "/api/topology/test-component", tag = "gui", operation_id = "test_topology_component",
    request_body = ComponentChoice,
    responses((status = 200, description = "How the test went", body = ComponentTestResult),
        (status = 404, description = "No such node", body = ErrorBody), BodyErrors))]
pub(super) async fn test_component(
    State(topology): State<TopologyService>,
    caller: Caller,
    JsonBody(body): JsonBody<ComponentChoice>,
) -> Result<JsonReply<ComponentTestResult>, ApiError> {
    Ok(JsonReply::ok(topology.test(&body.component_id, body.prompt, &caller).await?.into()))
}
