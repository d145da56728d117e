use serde_json::Value;

use super::Tool;

/// A function that a tool offers: one per tool, except that an MCP server offers as many as it has tools.
#[derive(Clone, Debug)]
pub struct ToolFunction {
    /// The tool's name; for a tool of an MCP server `name__tool`.
    pub name: String,
    /// The same in the letters that models may use: `A-Z a-z 0-9 _ -`, at most 64. Unique among the functions.
    pub call_name: String,
    /// What it is for.
    pub description: String,
    /// JSON schema of its arguments, as models and callers are told.
    pub parameters: Value,
    /// The schema that arguments must fit, if that takes more.
    pub(super) accepted: Option<Box<Value>>,
    /// The tool.
    pub tool: Tool,
    /// For an MCP server: its name for the function.
    pub(super) remote: Option<String>,
}

/// The functions of one tool.
#[derive(Debug)]
pub(super) struct FunctionList {
    pub(super) functions: Vec<ToolFunction>,
    /// Which of them can't be offered, and why, in full sentences.
    pub(super) left_out: Option<String>,
}

/// What a kind of tool says of one tool: description and JSON schema of the arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FunctionSpec {
    pub(super) description: String,
    pub(super) parameters: Value,
    /// The schema that arguments must fit, if that takes more than `parameters` tells.
    pub(super) accepted: Option<Box<Value>>,
}

impl FunctionSpec {
    /// A function whose arguments must fit what is told of them.
    pub(super) fn new(description: impl Into<String>, parameters: Value) -> Self {
        Self { description: description.into(), parameters, accepted: None }
    }
}

impl ToolFunction {
    /// Whether it is published under this name, in either form.
    pub fn has_name(&self, name: &str) -> bool {
        self.name == name || self.call_name == name
    }

    /// The schema that arguments must fit.
    pub(super) fn accepted(&self) -> &Value {
        self.accepted.as_deref().unwrap_or(&self.parameters)
    }
}
