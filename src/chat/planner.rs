use serde_json::{Value, json};

use super::intent::Intent;
use super::tasks::Kind;
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
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) action: Action,
    /// Who does it.
    pub(super) kind: Kind,
    /// Ids of the tasks whose results it needs; they stand before it in the plan.
    pub(super) depends_on: Vec<String>,
}

/// What is going to be done. The last task gives the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) tasks: Vec<Task>,
    /// What the intent asks for and cannot be had, in words for the answer.
    pub(super) missing: Vec<&'static str>,
}

impl Plan {
    pub(super) fn to_json(&self) -> Value {
        let task = |task: &Task| json!({"id": task.id, "action": task.action.as_str(), "depends_on": task.depends_on});
        self.tasks.iter().map(task).collect()
    }
}

/// The original's shape for each intent: a chain in which every task uses what came before it. Code is written, not run:
/// the original's second step executed it unasked.
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
/// without it.
pub(super) fn plan(intent: Intent, settings: &Settings) -> Plan {
    let mut plan = Plan::default();
    for action in shape(intent) {
        match Kind::for_action(*action, settings) {
            Ok(kind) => {
                let depends_on = plan.tasks.last().map(|task| task.id.clone()).into_iter().collect();
                let id = format!("task_{}", plan.tasks.len() + 1);
                plan.tasks.push(Task { id, action: *action, kind, depends_on });
            }
            Err(missing) => plan.missing.push(missing),
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, load};

    #[test]
    fn every_plan_ends_in_an_answer_and_names_what_is_missing() {
        let settings = load(Environment::default()).unwrap().settings;
        for intent in Intent::ALL {
            let plan = plan(intent, &settings);
            assert_eq!(plan.tasks.last().unwrap().action, Action::LlmCall, "{intent:?}");
            assert_eq!(plan.tasks.len() + plan.missing.len(), shape(intent).len(), "{intent:?}");
        }
        assert_eq!(plan(Intent::ChurnAnalytics, &settings).missing.len(), 2);
    }
}
