use serde::Serialize;
use serde_json::{Map, Value};

use super::intent::Intent;
use crate::kernel::{Caller, Fields, UserId};

/// Which conversation of the memory a request belongs to.
#[derive(Clone, Debug)]
pub enum ConversationKey {
    /// Its own.
    Own(UserId),
    /// One that callers have in common who do not say who they are, unless `MEMORY_ANONYMOUS` is off.
    Shared(UserId),
}

/// One chat request, checked.
#[derive(Clone, Debug)]
pub struct UserRequest {
    pub(super) prompt: String,
    /// Who makes the request: only what it may use is selected, offered and told of.
    pub(super) caller: Caller,
    /// Who asks, if the caller says so.
    pub(super) user: Option<UserId>,
    /// Under which key the memory has the conversation that this belongs to; `None` if it is neither shown nor added to.
    pub(super) conversation: Option<ConversationKey>,
    /// Instructions to the model, before the conversation.
    pub(super) system_prompt: Option<String>,
    /// As the client sent it; stored with the user's turn.
    pub(super) metadata: Map<String, Value>,
    pub(super) options: ChatOptions,
}

impl UserRequest {
    /// A request that `caller` makes for `user`, or for nobody in particular, and which belongs to no conversation.
    pub fn new(prompt: String, user: Option<UserId>, caller: Caller) -> Self {
        let (metadata, options) = (Map::new(), ChatOptions::default());
        Self { prompt, caller, user, conversation: None, system_prompt: None, metadata, options }
    }

    /// With the conversation that the memory has under this key, if there is one.
    pub fn in_conversation(self, key: Option<ConversationKey>) -> Self {
        Self { conversation: key, ..self }
    }

    /// Under whom the execution is recorded.
    pub(super) fn owner(&self) -> UserId {
        match (&self.user, &self.conversation) {
            (Some(user), _) | (None, Some(ConversationKey::Shared(user))) => user.clone(),
            (None, _) => UserId::anonymous(),
        }
    }

    /// With these instructions to the model.
    pub fn with_system_prompt(self, system_prompt: Option<String>) -> Self {
        Self { system_prompt, ..self }
    }

    /// With this metadata, and what it says of how the server is to go about it.
    pub fn with_metadata(self, metadata: Map<String, Value>, options: ChatOptions) -> Self {
        Self { metadata, options, ..self }
    }
}

/// What a request may use besides the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that is configured.
    Everything,
    /// Nothing.
    Model,
    /// Tools.
    Tools,
    /// An agent, and nothing else: the preferred one if it is there, else the one that the prompt selects.
    Agent {
        /// Its name.
        preferred: &'static str,
    },
}

/// The keys of `metadata` that steer the server; all others are the client's own. Serialized, they are those that shape the answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChatOptions {
    /// `intent`: what the prompt asks for, instead of guessing.
    pub(super) intent: Option<Intent>,
    /// `use_cache`: false asks for a fresh answer.
    #[serde(skip)]
    pub(super) use_cache: Option<bool>,
    /// `include_reasoning`: whether the reply tells what the model thought.
    #[serde(skip)]
    pub(super) include_reasoning: Option<bool>,
    /// `model`: instead of the default one.
    pub(super) model: Option<String>,
    /// `agent`: the agent to hand over to.
    pub(super) agent: Option<String>,
    /// The agent that is asked before others if the request names none: no key, but part of a [`Scope`].
    pub(super) preferred_agent: Option<&'static str>,
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
    /// Reads them among the members of `metadata`.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        let options = Self {
            intent: fields.optional("intent"),
            use_cache: fields.optional("use_cache"),
            include_reasoning: fields.optional("include_reasoning"),
            model: fields.optional("model"),
            agent: fields.optional::<String>("agent").filter(|name| !name.is_empty()),
            preferred_agent: None,
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

    /// With this model, if there is one.
    pub fn with_model(self, model: Option<String>) -> Self {
        Self { model: model.or(self.model), ..self }
    }

    /// These options as far as they stay within `scope`: what names something beyond it is dropped.
    pub fn within(self, scope: Scope) -> Self {
        let model_only = |options: Self| Self {
            intent: Some(Intent::GeneralLlm),
            use_tools: Some(false),
            model: options.model,
            use_cache: options.use_cache,
            ..Self::default()
        };
        match scope {
            Scope::Everything => self,
            Scope::Model => model_only(self),
            // A named intent leaves no other resource open than those of its stages: these have none but tools.
            Scope::Tools => {
                let of_tools = [Intent::WebSearch, Intent::ToolExecution, Intent::CodeGeneration];
                let intent = self.intent.filter(|intent| of_tools.contains(intent)).unwrap_or(Intent::GeneralLlm);
                Self { intent: Some(intent), agent: None, datasource: None, ..self }
            }
            Scope::Agent { preferred } => {
                let agent = self.agent.clone();
                let intent = Some(Intent::ExternalAgent);
                Self { intent, agent, preferred_agent: Some(preferred), ..model_only(self) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options() -> ChatOptions {
        let metadata = json!({"intent": "data_query", "agent": "a", "datasource": "d", "tools": ["t"], "tool": "t",
            "tool_params": {"x": 1}, "execute": true, "use_cache": false, "model": "m"});
        let mut fields = Fields::new(metadata.as_object().unwrap(), vec![]);
        let options = ChatOptions::read(&mut fields);
        assert!(fields.into_issues().is_empty());
        options
    }

    #[test]
    fn what_names_something_beyond_the_scope_is_dropped() {
        let scoped = |scope| options().within(scope);
        let named = |scope| {
            let options = scoped(scope);
            assert_eq!((options.model.as_deref(), options.use_cache), (Some("m"), Some(false)), "{scope:?}");
            [options.agent, options.datasource, options.tool, options.tools.map(|tools| tools.concat())]
                .map(|name| name.unwrap_or_default())
        };
        let agent = Scope::Agent { preferred: "p" };
        assert_eq!(named(Scope::Everything), ["a", "d", "t", "t"]);
        assert_eq!(named(Scope::Model), ["", "", "", ""]);
        assert_eq!(named(Scope::Tools), ["", "", "t", "t"]);
        assert_eq!(named(agent), ["a", "", "", ""]);
        assert_eq!(
            (scoped(Scope::Model).use_tools, scoped(Scope::Model).execute, scoped(agent).use_tools),
            (Some(false), None, Some(false))
        );
        assert_eq!(
            (scoped(Scope::Tools).intent, scoped(agent).intent),
            (Some(Intent::GeneralLlm), Some(Intent::ExternalAgent))
        );
    }

    #[test]
    fn a_model_that_is_chosen_wins_over_the_metadata() {
        assert_eq!(options().with_model(Some("n".to_owned())).model.as_deref(), Some("n"));
        assert_eq!(options().with_model(None).model.as_deref(), Some("m"));
    }
}
