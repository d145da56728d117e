use futures_util::{FutureExt, StreamExt};
use serde_json::Value;

use super::case::{EvaluationCase, Target};
use super::report::{CaseResult, Evaluation, EvaluationRecord};
use crate::chat::callable::Callable;
use crate::chat::plan::Plan;
use crate::chat::prompt::PromptBuilder;
use crate::chat::request::UserRequest;
use crate::chat::service::ChatService;
use crate::chat::task::{AgentChoice, TaskKind};
use crate::grounding::ResourceKind;
use crate::kernel::{Caller, Deadline, Error, JsonReader};
use crate::llm::{ChatRequest, LlmError};
use crate::settings::Settings;

/// Prompts that are tried at once.
const MAX_CONCURRENT: usize = 4;

/// Tries these prompts: each is planned, and the model asked which of the functions it is offered it would call; nothing is carried
/// out but what rows are expected of. The outcome is kept for the next time.
pub(in crate::chat) async fn evaluate(
    service: &ChatService,
    cases: Vec<EvaluationCase>,
    caller: &Caller,
) -> Evaluation {
    let settings = service.settings_for_trial(caller);
    // Boxed, because the compiler follows the types of futures only so deep.
    let tries: Vec<_> = cases.iter().map(|case| try_case(service, case, &settings, caller).boxed()).collect();
    let results: Vec<_> = futures_util::stream::iter(tries).buffered(MAX_CONCURRENT).collect().await;
    let store = &service.services().evaluations;
    let previous = store.last().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the last evaluation could not be read");
        None
    });
    let previous: Option<EvaluationRecord> =
        previous.and_then(|record| JsonReader::stored().read(record.as_bytes()).ok());
    let record = previous.clone().unwrap_or_default().with(&results, service.now_ms());
    let record = serde_json::to_string(&record).unwrap_or_default();
    if let Err(error) = store.keep(&record).await {
        tracing::warn!(%error, "the evaluation could not be kept for the next one");
    }
    Evaluation::new(results, previous)
}

async fn try_case(service: &ChatService, case: &EvaluationCase, settings: &Settings, caller: &Caller) -> CaseResult {
    let deadline = Deadline::after(settings.orchestration.timeout);
    let request = UserRequest::new(case.prompt.clone(), None, caller.clone())
        .with_metadata(case.metadata.clone(), case.options.clone());
    let mut result = CaseResult::of(case);
    match route(service, &request, settings, deadline).await {
        Ok((plan, called)) => {
            result.reached = targets_of(&plan);
            match called {
                Ok(called) => result.reached.extend(called),
                Err(error) => result.error = Some(error.to_string()),
            }
            result.reached.sort();
            result.reached.dedup();
            result.routing = plan.routing;
        }
        Err(error) => {
            let issue = error.issues().first().map(|issue| format!("{}: {}", issue.path(), issue.msg));
            result.error = Some(issue.unwrap_or_else(|| error.public_detail().to_owned()));
        }
    }
    if let (Some(rows), None) = (&case.rows, &result.error) {
        let response = service.try_out(request, settings.clone()).await;
        result.rows_match = Some(has_rows(&response.data, rows));
        result.error = response.error;
    }
    result
}

/// The plan, and what the model would call, if it can be asked. One that turns out to refuse functions is asked to choose by the
/// plan instead.
async fn route(
    service: &ChatService,
    request: &UserRequest,
    settings: &Settings,
    deadline: Deadline,
) -> Result<(Plan, Result<Vec<Target>, LlmError>), Error> {
    let (_, plan) = service.plan(request, settings, deadline).await?;
    match called(service, request, &plan, settings, deadline).await {
        Err(error) if error.refuses_tools() => {
            let (llm, model) = (settings.llm.effective(), request.options.model.as_deref());
            service.services().llm.note_no_tools(llm, model, &error);
            Ok((service.plan(request, settings, deadline).await?.1, Ok(Vec::new())))
        }
        called => Ok((plan, called)),
    }
}

/// What the plan uses, and what has to be used while the model answers.
fn targets_of(plan: &Plan) -> Vec<Target> {
    let tasks = plan.tasks().filter_map(|task| target_of_task(&task.kind));
    tasks.chain(plan.routing.targets.iter().cloned().map(Target::from)).collect()
}

/// What the model would call of what it is offered. No LLM, or one that refuses functions, calls nothing.
async fn called(
    service: &ChatService,
    request: &UserRequest,
    plan: &Plan,
    settings: &Settings,
    deadline: Deadline,
) -> Result<Vec<Target>, LlmError> {
    let llm = settings.llm.effective();
    let model = request.options.model.clone();
    if plan.functions.is_empty()
        || llm.base_url.is_none()
        || service.services().llm.takes_no_tools(llm, model.as_deref())
    {
        return Ok(Vec::new());
    }
    let prompt = PromptBuilder { system: None, conversation: &[], prompt: &request.prompt };
    let grounding = &service.services().grounding;
    let tools = Callable::specs(&plan.functions, grounding);
    let asked = ChatRequest { model, messages: prompt.messages(&[], &[], None), tools };
    let reply = service.services().llm.complete(llm, &asked, &request.caller, deadline).await?;
    let called = reply.tool_calls.iter().filter_map(|call| Callable::find(&plan.functions, &call.name));
    Ok(called.map(|callable| Target::from(callable.target())).collect())
}

fn target_of_task(kind: &TaskKind) -> Option<Target> {
    let (kind, name) = match kind {
        TaskKind::DataQuery(query) => (ResourceKind::DataSource, query.source.name.as_str()),
        TaskKind::ExternalAgent(AgentChoice::One(agent)) => (ResourceKind::Agent, agent.name.as_str()),
        TaskKind::ToolRun(run) => (ResourceKind::Tool, run.tool.name.as_str()),
        TaskKind::ToolCall(function) => (ResourceKind::Tool, function.tool.name.as_str()),
        TaskKind::Program(tool) => (ResourceKind::Tool, tool.name.as_str()),
        TaskKind::ExternalAgent(AgentChoice::Among(_)) | TaskKind::LlmCall => return None,
    };
    Some(Target { kind, name: name.to_owned() })
}

/// Whether a data source gave these rows, in any order and under whatever names of columns.
fn has_rows(given: &[Value], expected: &[Value]) -> bool {
    let values = |row: &Value| match row {
        Value::Object(row) => row.values().map(Value::to_string).collect::<Vec<_>>(),
        Value::Array(row) => row.iter().map(Value::to_string).collect(),
        value => vec![value.to_string()],
    };
    let sorted = |rows: &[Value]| {
        let mut rows: Vec<_> = rows.iter().map(values).collect();
        rows.sort();
        rows
    };
    let expected = sorted(expected);
    given.iter().filter_map(|data| data.get("rows")?.as_array()).any(|rows| sorted(rows) == expected)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_compared_by_their_values() {
        let given = [json!({"rows": [{"n": 1, "name": "a"}, {"n": 2, "name": "b"}]}), json!({"rows": [{"count": 7}]})];
        for same in [json!([{"count": 7}]), json!([7]), json!([[2, "b"], [1, "a"]])] {
            assert!(has_rows(&given, same.as_array().unwrap()), "{same}");
        }
        for other in [json!([{"count": 8}]), json!([[1, "a"]]), json!([])] {
            assert!(!has_rows(&given, other.as_array().unwrap()), "{other}");
        }
        assert!(!has_rows(&[], &[json!(7)]));
    }
}
