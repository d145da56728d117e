use serde_json::{Value, json};

use super::intent::Intent;
use super::request::{ChatOptions, UserRequest};
use super::target_selection::{choose_agent, choose_sources};
use super::tasks::TaskKind;
use super::tool_selection::{self, ToolOffer, ToolRun};
use crate::kernel::Error;
use crate::settings::Settings;

/// A kind of work, by the original's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    LlmCall,
    ToolExecution,
    ExternalAgent,
    DataQuery,
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::LlmCall => "llm_call",
            Self::ToolExecution => "tool_execution",
            Self::ExternalAgent => "external_agent",
            Self::DataQuery => "data_query",
        }
    }
}

/// One node of the DAG.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) action: Action,
    /// Who does it.
    pub(super) kind: TaskKind,
    /// Ids of the tasks whose results it builds on; they stand before it in the plan.
    pub(super) depends_on: Vec<String>,
}

impl Task {
    /// What the task is done with, as far as it is known beforehand.
    pub(super) fn target(&self) -> Option<&str> {
        match &self.kind {
            TaskKind::DataQuery(source) => Some(source.name.as_str()),
            TaskKind::ExternalAgent(super::target_selection::AgentChoice::One(agent)) => Some(agent.name.as_str()),
            TaskKind::ToolRun(run) => Some(&run.name),
            TaskKind::Program(tool) => Some(tool.name.as_str()),
            _ => None,
        }
    }
}

/// What is going to be done. The last task gives the answer, and is done even if those before it fail.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) tasks: Vec<Task>,
    /// What the intent asks for and cannot be had, in words for the answer.
    pub(super) missing: Vec<String>,
    /// Those of them that the request asks for by name: an answer without them is only a partial one.
    pub(super) denied: Vec<String>,
    /// The tools that the model may ask for while it answers.
    pub(super) offer: ToolOffer,
}

impl Plan {
    pub(super) fn to_json(&self) -> Value {
        let task = |task: &Task| {
            let mut json = json!({"id": task.id, "action": task.action.as_str(), "depends_on": task.depends_on});
            if let (Some(target), Some(object)) = (task.target(), json.as_object_mut()) {
                object.insert("target".to_owned(), json!(target));
            }
            json
        };
        self.tasks.iter().map(task).collect()
    }

    /// The longest chain of tasks that build on this one.
    pub(super) fn stages_after(&self, id: &str) -> u32 {
        let builds_on = |task: &&Task| task.depends_on.iter().any(|before| before == id);
        self.tasks.iter().filter(builds_on).map(|task| 1 + self.stages_after(&task.id)).max().unwrap_or(0)
    }

    /// Whether the answer depends on nothing but the model and what it is told, so that it may be kept.
    pub(super) fn is_repeatable(&self) -> bool {
        !self.offer.is_wanted && self.tasks.iter().all(|task| task.action == Action::LlmCall)
    }

    /// The tools that are run by plan.
    pub(super) fn runs(&self) -> impl Iterator<Item = &ToolRun> {
        self.tasks.iter().filter_map(|task| match &task.kind {
            TaskKind::ToolRun(run) => Some(run),
            _ => None,
        })
    }

    /// Something that the request names cannot be had.
    pub(super) fn deny(&mut self, missing: String) {
        self.denied.push(missing.clone());
        self.missing.push(missing);
    }
}

/// The original's shape for each intent: stages of which each uses what came before it. Code is written, not run, unless the
/// request asks for that: the original's second step executed it unasked.
fn shape(intent: Intent) -> &'static [Action] {
    use Action::{DataQuery, ExternalAgent, LlmCall, ToolExecution};
    match intent {
        Intent::ChurnAnalytics => &[DataQuery, ExternalAgent, LlmCall],
        Intent::DataQuery => &[DataQuery, LlmCall],
        Intent::WebSearch | Intent::ToolExecution => &[ToolExecution, LlmCall],
        Intent::ExternalAgent => &[ExternalAgent, LlmCall],
        Intent::CodeGeneration | Intent::GeneralLlm => &[LlmCall],
    }
}

/// The stages of a request: its intent's, and one for each target that it names.
fn stages(intent: Intent, options: &ChatOptions) -> Vec<Action> {
    let mut stages = shape(intent).to_vec();
    if options.agent.is_some() && !stages.contains(&Action::ExternalAgent) {
        stages.insert(stages.len().saturating_sub(1), Action::ExternalAgent);
    }
    if options.datasource.is_some() && !stages.contains(&Action::DataQuery) {
        stages.insert(0, Action::DataQuery);
    }
    if options.tool.is_some() && !stages.contains(&Action::ToolExecution) {
        stages.insert(stages.len().saturating_sub(1), Action::ToolExecution);
    }
    stages
}

fn is_named(action: Action, options: &ChatOptions) -> bool {
    match action {
        Action::ExternalAgent => options.agent.is_some(),
        Action::DataQuery => options.datasource.is_some(),
        Action::ToolExecution => options.tool.is_some() || options.tools.is_some(),
        Action::LlmCall => false,
    }
}

/// Makes the plan for an intent out of what these settings have enabled; what they lack is noted, and the rest goes on
/// without it. The answer builds on everything, each other task on the stage before it. An error is the caller's fault.
pub(super) fn plan(intent: Intent, user_request: &UserRequest, settings: &Settings) -> Result<Plan, Error> {
    let (offer, denied) = tool_selection::offer(user_request, intent, settings)?;
    let mut plan = Plan { offer, ..Plan::default() };
    denied.into_iter().for_each(|missing| plan.deny(missing));
    let program = program(intent, user_request, settings, &mut plan)?;
    let mut stage_before: Vec<String> = Vec::new();
    for action in stages(intent, &user_request.options) {
        let kinds = match kinds(action, intent, user_request, settings)? {
            Ok(kinds) => kinds,
            Err(missing) => {
                if is_named(action, &user_request.options) {
                    plan.deny(missing);
                } else {
                    plan.missing.push(missing);
                }
                continue;
            }
        };
        let everything = || plan.tasks.iter().map(|task| task.id.clone()).collect();
        let depends_on: Vec<String> = if action == Action::LlmCall { everything() } else { stage_before };
        stage_before = Vec::new();
        for kind in kinds {
            let id = format!("task_{}", plan.tasks.len() + 1);
            stage_before.push(id.clone());
            let depends_on = depends_on.clone();
            plan.tasks.push(match (&program, action) {
                // The program's writer answers, and runs it.
                (Some(kind), Action::LlmCall) => {
                    Task { id, action: Action::ToolExecution, kind: kind.clone(), depends_on }
                }
                _ => {
                    // What the plan has run is not offered once more.
                    if let TaskKind::ToolRun(run) = &kind {
                        plan.offer.tools.retain(|tool| tool.name != run.tool.name);
                    }
                    Task { id, action, kind, depends_on }
                }
            });
        }
    }
    Ok(plan)
}

/// The program that a request wants to be written and run.
fn program(
    intent: Intent,
    user_request: &UserRequest,
    settings: &Settings,
    plan: &mut Plan,
) -> Result<Option<TaskKind>, Error> {
    if intent != Intent::CodeGeneration || !tool_selection::wants_run(user_request) {
        return Ok(None);
    }
    match tool_selection::code(&user_request.options, settings)? {
        Ok(tool) => return Ok(Some(TaskKind::Program(tool))),
        Err(why) => {
            let missing = format!("the code is not run: {why}");
            if user_request.options.execute == Some(true) { plan.deny(missing) } else { plan.missing.push(missing) }
        }
    }
    Ok(None)
}

/// Who does an action, several if they do it side by side; or what is missing, in words for the answer.
fn kinds(
    action: Action,
    intent: Intent,
    user_request: &UserRequest,
    settings: &Settings,
) -> Result<Result<Vec<TaskKind>, String>, Error> {
    Ok(match action {
        Action::LlmCall => Ok(vec![TaskKind::LlmCall]),
        Action::ToolExecution => {
            let options = &user_request.options;
            match tool_selection::direct(options, settings)? {
                Err(why) => Err(why),
                Ok(Some(run)) => Ok(vec![TaskKind::ToolRun(run)]),
                Ok(None) if intent == Intent::WebSearch => {
                    tool_selection::search(options, settings)?.map(|run| vec![TaskKind::ToolRun(run)])
                }
                // The model chooses while it answers.
                Ok(None) => tool_selection::any(user_request, intent, settings)?.map(|()| Vec::new()),
            }
        }
        Action::ExternalAgent => {
            choose_agent(&user_request.options, intent, settings)?.map(|choice| vec![TaskKind::ExternalAgent(choice)])
        }
        Action::DataQuery => choose_sources(&user_request.options, &user_request.prompt, intent, settings)?
            .map(|sources| sources.into_iter().map(TaskKind::DataQuery).collect()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::chat::request::ChatOptions;
    use crate::kernel::UserId;
    use crate::settings::{Environment, load};

    fn user_request() -> UserRequest {
        let (user, options) = (UserId::anonymous(), ChatOptions::default());
        UserRequest { prompt: "What?".to_owned(), user, metadata: Map::new(), options }
    }

    #[test]
    fn every_plan_ends_in_an_answer_and_names_what_is_missing() {
        let settings = load(Environment::default()).unwrap().settings;
        for intent in Intent::ALL {
            let plan = plan(intent, &user_request(), &settings).unwrap();
            assert_eq!(plan.tasks.last().unwrap().action, Action::LlmCall, "{intent:?}");
            assert_eq!(plan.tasks.len() + plan.missing.len(), shape(intent).len(), "{intent:?}");
        }
        assert_eq!(plan(Intent::ChurnAnalytics, &user_request(), &settings).unwrap().missing.len(), 2);
    }

    #[test]
    fn what_a_request_names_has_its_stage_whatever_the_intent() {
        let options =
            ChatOptions { agent: Some("a".to_owned()), datasource: Some("d".to_owned()), ..ChatOptions::default() };
        let all = [Action::DataQuery, Action::ExternalAgent, Action::LlmCall];
        for intent in [Intent::ChurnAnalytics, Intent::DataQuery, Intent::ExternalAgent, Intent::GeneralLlm] {
            assert_eq!(stages(intent, &options), all, "{intent:?}");
            assert_eq!(stages(intent, &ChatOptions::default()), shape(intent), "{intent:?}");
        }
    }

    const TOOLS: &str = r#"{"web": {"type": "web_search"}, "api": {"type": "http_request"}, "py": {"type": "code_executor"},
        "off": {"type": "http_request", "enabled": false}, "odd": {"type": "custom"}, "mcp": {"type": "mcp", "config": {"url": "http://m"}}}"#;

    fn planned(intent: Intent, options: ChatOptions) -> Plan {
        let settings = load(Environment::from_pairs([("TOOLS", TOOLS)])).unwrap().settings;
        plan(intent, &UserRequest { options, ..user_request() }, &settings).unwrap()
    }

    fn offered(plan: &Plan) -> Vec<&str> {
        plan.offer.tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    #[test]
    fn tools_that_can_be_used_are_offered_and_each_intent_has_its_own() {
        let plan = planned(Intent::GeneralLlm, ChatOptions::default());
        assert_eq!((offered(&plan), plan.is_repeatable()), (vec!["web", "api", "mcp"], true));
        let plan = planned(Intent::ToolExecution, ChatOptions::default());
        assert_eq!((plan.tasks.len(), plan.offer.is_wanted, plan.is_repeatable()), (1, true, false));
        let plan = planned(Intent::WebSearch, ChatOptions::default());
        assert_eq!((offered(&plan), plan.tasks[0].target()), (vec!["api", "mcp"], Some("web")));
        let plan = planned(Intent::CodeGeneration, ChatOptions::default());
        assert_eq!((offered(&plan), plan.tasks[0].action), (vec!["web", "api", "mcp"], Action::LlmCall));
        let plan = planned(Intent::CodeGeneration, ChatOptions { execute: Some(true), ..ChatOptions::default() });
        assert_eq!((plan.tasks.len(), plan.tasks[0].action), (1, Action::ToolExecution));
        assert_eq!((plan.tasks[0].target(), plan.is_repeatable()), (Some("py"), false));
        for intent in Intent::ALL {
            let plan = planned(intent, ChatOptions { use_tools: Some(false), ..ChatOptions::default() });
            assert!(offered(&plan).is_empty() && plan.runs().next().is_none(), "{intent:?}");
        }
    }

    #[test]
    fn a_servers_tool_is_named_with_its_server() {
        let named = |name: &str| ChatOptions { tool: Some(name.to_owned()), ..ChatOptions::default() };
        let plan = planned(Intent::GeneralLlm, named("mcp__echo"));
        assert_eq!((plan.tasks[0].target(), offered(&plan)), (Some("mcp__echo"), vec![]));
        let only = |name: &str| ChatOptions { tools: Some(vec![name.to_owned()]), ..ChatOptions::default() };
        assert_eq!(offered(&planned(Intent::GeneralLlm, only("mcp__echo"))), ["mcp"]);
        let settings = load(Environment::from_pairs([("TOOLS", TOOLS)])).unwrap().settings;
        for wrong in [named("api__echo"), only("mcp_echo")] {
            let user_request = UserRequest { options: wrong, ..user_request() };
            assert!(super::plan(Intent::GeneralLlm, &user_request, &settings).is_err());
        }
        assert_eq!(planned(Intent::GeneralLlm, named("off")).denied, ["Tool 'off' is disabled"]);
    }

    #[test]
    fn sources_are_asked_side_by_side_and_the_answer_builds_on_everything() {
        let environment = Environment::from_pairs([
            ("DATASOURCES", r#"{"a": {"type": "api", "url": "http://a"}, "b": {"type": "api", "url": "http://b"}}"#),
            ("EXTERNAL_AGENTS", r#"{"c": {"url": "http://c"}}"#),
        ]);
        let settings = load(environment).unwrap().settings;
        let plan = plan(Intent::ChurnAnalytics, &user_request(), &settings).unwrap();
        let expected = json!([
            {"id": "task_1", "action": "data_query", "depends_on": [], "target": "a"},
            {"id": "task_2", "action": "data_query", "depends_on": [], "target": "b"},
            {"id": "task_3", "action": "external_agent", "depends_on": ["task_1", "task_2"], "target": "c"},
            {"id": "task_4", "action": "llm_call", "depends_on": ["task_1", "task_2", "task_3"]},
        ]);
        assert_eq!(plan.to_json(), expected);
        assert_eq!(["task_1", "task_2", "task_3", "task_4"].map(|id| plan.stages_after(id)), [2, 2, 1, 0]);
        assert!(!plan.is_repeatable());
    }
}
