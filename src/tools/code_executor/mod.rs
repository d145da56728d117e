//! stub

use serde_json::{Map, Value, json};

use super::check::Check;
use super::function::Described;
use super::result::ToolResult;
use crate::kernel::Deadline;
use crate::settings::{CodeOptions, Environment, ToolRules};

/// Runs code. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct CodeExecutor;

impl CodeExecutor {
    /// One that finds its programs through the `PATH` of this environment.
    pub(super) fn new(_environment: &Environment) -> Self {
        Self
    }

    /// What the tool is offered as.
    pub(super) fn describe(options: &CodeOptions) -> Described {
        let languages: Vec<_> = options.languages.iter().map(|language| language.as_str()).collect();
        Described {
            description: "Execute code in a sandboxed environment".to_owned(),
            parameters: json!({"type": "object", "properties": {"language": {"enum": languages}}}),
        }
    }

    /// Runs the code of arguments that fit the schema.
    pub(super) async fn execute(
        &self,
        _options: &CodeOptions,
        _rules: &ToolRules,
        _arguments: &Map<String, Value>,
        _deadline: Deadline,
    ) -> ToolResult {
        ToolResult::error("not built yet")
    }

    /// Looks whether code can be run.
    pub(super) async fn check(&self, _options: &CodeOptions, _rules: &ToolRules, _deadline: Deadline) -> Check {
        Check::incomplete("not built yet")
    }
}
