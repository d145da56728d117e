use serde_json::{Value, json};

use super::command::ChatCommand;
use super::intent::Intent;
use super::targets::{choose_agent, choose_sources};
use super::tasks::Kind;
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
    pub(super) kind: Kind,
    /// Ids of the tasks whose results it builds on; they stand before it in the plan.
    pub(super) depends_on: Vec<String>,
}

impl Task {
    /// What the task is done with, as far as it is known beforehand.
    fn target(&self) -> Option<&str> {
        match &self.kind {
            Kind::DataQuery(source) => Some(source.name.as_str()),
            Kind::ExternalAgent(super::targets::AgentChoice::One(agent)) => Some(agent.name.as_str()),
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

    /// Whether the answer depends on nothing but the model and what it is told, so that it may be kept.
    pub(super) fn is_repeatable(&self) -> bool {
        self.tasks.iter().all(|task| task.action == Action::LlmCall)
    }
}

/// The original's shape for each intent: stages of which each uses what came before it. Code is written, not run: the
/// original's second step executed it unasked.
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

/// Makes the plan for an intent out of what these settings have enabled; what they lack is noted, and the rest goes on
/// without it. The answer builds on everything, each other task on the stage before it. An error is the caller's fault.
pub(super) fn plan(intent: Intent, command: &ChatCommand, settings: &Settings) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let mut stage_before: Vec<String> = Vec::new();
    for action in shape(intent) {
        let kinds = match kinds(*action, intent, command, settings)? {
            Ok(kinds) => kinds,
            Err(missing) => {
                plan.missing.push(missing);
                continue;
            }
        };
        let everything = || plan.tasks.iter().map(|task| task.id.clone()).collect();
        let depends_on: Vec<String> = if *action == Action::LlmCall { everything() } else { stage_before };
        stage_before = Vec::new();
        for kind in kinds {
            let id = format!("task_{}", plan.tasks.len() + 1);
            stage_before.push(id.clone());
            plan.tasks.push(Task { id, action: *action, kind, depends_on: depends_on.clone() });
        }
    }
    Ok(plan)
}

/// Who does an action, several if they do it side by side; or what is missing, in words for the answer.
fn kinds(
    action: Action,
    intent: Intent,
    command: &ChatCommand,
    settings: &Settings,
) -> Result<Result<Vec<Kind>, String>, Error> {
    Ok(match action {
        Action::LlmCall => Ok(vec![Kind::LlmCall]),
        Action::ToolExecution => Err("no tool is available to this server".to_owned()),
        Action::ExternalAgent => {
            choose_agent(&command.options, intent, settings)?.map(|choice| vec![Kind::ExternalAgent(choice)])
        }
        Action::DataQuery => choose_sources(&command.options, &command.prompt, intent, settings)?
            .map(|sources| sources.into_iter().map(Kind::DataQuery).collect()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::chat::command::ChatOptions;
    use crate::kernel::UserId;
    use crate::settings::{Environment, load};

    fn command() -> ChatCommand {
        let (user, options) = (UserId::anonymous(), ChatOptions::default());
        ChatCommand { prompt: "What?".to_owned(), user, metadata: Map::new(), options }
    }

    #[test]
    fn every_plan_ends_in_an_answer_and_names_what_is_missing() {
        let settings = load(Environment::default()).unwrap().settings;
        for intent in Intent::ALL {
            let plan = plan(intent, &command(), &settings).unwrap();
            assert_eq!(plan.tasks.last().unwrap().action, Action::LlmCall, "{intent:?}");
            assert_eq!(plan.tasks.len() + plan.missing.len(), shape(intent).len(), "{intent:?}");
        }
        assert_eq!(plan(Intent::ChurnAnalytics, &command(), &settings).unwrap().missing.len(), 2);
    }

    #[test]
    fn sources_are_asked_side_by_side_and_the_answer_builds_on_everything() {
        let environment = Environment::from_pairs([
            ("DATASOURCES", r#"{"a": {"type": "api", "url": "http://a"}, "b": {"type": "api", "url": "http://b"}}"#),
            ("EXTERNAL_AGENTS", r#"{"c": {"url": "http://c"}}"#),
        ]);
        let settings = load(environment).unwrap().settings;
        let plan = plan(Intent::ChurnAnalytics, &command(), &settings).unwrap();
        let expected = json!([
            {"id": "task_1", "action": "data_query", "depends_on": [], "target": "a"},
            {"id": "task_2", "action": "data_query", "depends_on": [], "target": "b"},
            {"id": "task_3", "action": "external_agent", "depends_on": ["task_1", "task_2"], "target": "c"},
            {"id": "task_4", "action": "llm_call", "depends_on": ["task_1", "task_2", "task_3"]},
        ]);
        assert_eq!(plan.to_json(), expected);
        assert!(!plan.is_repeatable());
    }
}
