use serde_json::{Map, Value};

use super::intent::Intent;
use crate::kernel::{Fields, UserId};

/// One chat request, checked.
#[derive(Clone, Debug)]
pub(super) struct UserRequest {
    pub(super) prompt: String,
    pub(super) user: UserId,
    /// As the client sent it; stored with the user's turn.
    pub(super) metadata: Map<String, Value>,
    pub(super) options: ChatOptions,
}

/// The keys of `metadata` that steer the server; all others are the client's own.
#[derive(Clone, Debug, Default)]
pub(super) struct ChatOptions {
    /// `intent`: what the prompt asks for, instead of guessing.
    pub(super) intent: Option<Intent>,
    /// `use_cache`: false asks for a fresh answer.
    pub(super) use_cache: Option<bool>,
    /// `model`: instead of the default one.
    pub(super) model: Option<String>,
    /// `agent`: the agent to hand over to.
    pub(super) agent: Option<String>,
    /// `datasource`: the data source to ask.
    pub(super) datasource: Option<String>,
    /// `tools`: the only ones that may be used, by name.
    pub(super) tools: Option<Vec<String>>,
    /// `use_tools`: false switches tools off.
    pub(super) use_tools: Option<bool>,
    /// `tool`: the one to run, before the answer.
    pub(super) tool: Option<String>,
    /// `tool_params`: what to run it with.
    pub(super) tool_params: Option<Map<String, Value>>,
    /// `execute`: whether code that is written is run as well, whatever the prompt says.
    pub(super) execute: Option<bool>,
}

impl ChatOptions {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let options = Self {
            intent: fields.optional("intent"),
            use_cache: fields.optional("use_cache"),
            model: fields.optional("model"),
            agent: fields.optional::<String>("agent").filter(|name| !name.is_empty()),
            datasource: fields.optional::<String>("datasource").filter(|name| !name.is_empty()),
            tools: fields.optional("tools"),
            use_tools: fields.optional("use_tools"),
            tool: fields.optional::<String>("tool").filter(|name| !name.is_empty()),
            tool_params: fields.optional("tool_params"),
            execute: fields.optional("execute"),
        };
        let has_params = options.tool_params.as_ref().is_some_and(|params| !params.is_empty());
        if has_params && fields.value("tool").is_none_or(|tool| tool.is_null() || tool == "") {
            fields.reject("tool_params", "Input should come with the tool that it is for, in metadata.tool");
        }
        options
    }
}
