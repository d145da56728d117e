use std::collections::HashSet;

use serde_json::{Value, json};

use super::routing::RoutedTarget;
use crate::agents::AgentEntry;
use crate::datasources::Source;
use crate::grounding::{GroundingService, ItemKind, ResourceKind};
use crate::kernel::truncate_chars;
use crate::llm::ToolSpec;
use crate::settings::Resource;
use crate::tools::{ToolFunction, call_name};

/// Characters of the names of tables that a model is told with a data source.
const MAX_TABLES_CHARS: usize = 1000;

/// Longest name of a table that a model is told with a data source, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// A function that a model is offered while it answers.
#[derive(Clone, Debug)]
pub(super) enum Callable {
    /// A function of a tool.
    Tool(ToolFunction),
    /// A data source, asked with a `question` or a `query`.
    Source(Source),
    /// An agent, asked with a `prompt`.
    Agent(AgentEntry),
}

/// A callable, and the name in the letters that models may use: unique among all that are offered.
#[derive(Clone, Debug)]
pub(super) struct NamedCallable<'a> {
    pub(super) call_name: String,
    pub(super) callable: &'a Callable,
}

impl Callable {
    /// Each with its name: tools have theirs; a source is `query_` and an agent `ask_` with its name, or with a digest where that
    /// has other letters or is taken.
    pub(super) fn named<'a>(offered: &'a [Self]) -> Vec<NamedCallable<'a>> {
        let tool_name = |callable: &Self| match callable {
            Self::Tool(function) => Some(function.call_name.clone()),
            Self::Source(_) | Self::Agent(_) => None,
        };
        let mut taken: HashSet<String> = offered.iter().filter_map(tool_name).collect();
        let named = |callable: &'a Self| {
            let wanted = match callable {
                Self::Tool(function) => return NamedCallable { call_name: function.call_name.clone(), callable },
                Self::Source(source) => format!("query_{}", source.name),
                Self::Agent(agent) => format!("ask_{}", agent.name),
            };
            let mut names = (0..).map(|attempt| call_name(&wanted, attempt));
            let call_name = names.find(|name| taken.insert(name.clone())).unwrap_or_default();
            NamedCallable { call_name, callable }
        };
        offered.iter().map(named).collect()
    }

    /// How the model is told of all of them.
    pub(super) fn specs(offered: &[Self], grounding: &GroundingService) -> Vec<ToolSpec> {
        let spec = |NamedCallable { call_name, callable }: NamedCallable<'_>| {
            let (description, parameters) = (callable.description(grounding), callable.parameters());
            ToolSpec { name: call_name, description, parameters }
        };
        Self::named(offered).into_iter().map(spec).collect()
    }

    /// The one of this name; tools are known by their own name too.
    pub(super) fn find<'a>(offered: &'a [Self], name: &str) -> Option<&'a Self> {
        let own = |callable: &&Self| matches!(callable, Self::Tool(function) if function.name == name);
        let named = Self::named(offered).into_iter().find(|named| named.call_name == name);
        named.map(|named| named.callable).or_else(|| offered.iter().find(own))
    }

    /// What is used with it, as a model's choice.
    pub(super) fn target(&self) -> RoutedTarget {
        let (kind, name) = match self {
            Self::Tool(function) => (ResourceKind::Tool, function.tool.name.to_string()),
            Self::Source(source) => (ResourceKind::DataSource, source.name.to_string()),
            Self::Agent(agent) => (ResourceKind::Agent, agent.name.to_string()),
        };
        let reason = "called by the model while it answered".to_owned();
        RoutedTarget { kind, name, score: 1.0, reason, is_absent: false }
    }

    /// What it is for.
    fn description(&self, grounding: &GroundingService) -> String {
        let about = |description: Option<&str>| description.map(|text| format!(": {text}")).unwrap_or_default();
        match self {
            Self::Tool(function) => function.description.clone(),
            Self::Source(source) => {
                let tables = tables(source, grounding);
                format!("Looks up data in '{}'{}{tables}", source.name, about(source.effective.description()))
            }
            Self::Agent(agent) => format!("Asks the agent '{}'{}", agent.name, about(agent.effective.description())),
        }
    }

    /// JSON schema of its arguments.
    fn parameters(&self) -> Value {
        let text = |about: &str| json!({"type": "string", "description": about});
        match self {
            Self::Tool(function) => function.parameters.clone(),
            Self::Source(_) => json!({"type": "object", "properties": {
                "question": text("What to look up, in plain words and complete in itself; a query is written for it"),
                "query": text("Instead of a question: a query in the source's own language, which must only read")}}),
            Self::Agent(_) => json!({"type": "object", "required": ["prompt"], "properties": {
                "prompt": text("What the agent is to do or to answer, complete in itself")}}),
        }
    }
}

/// The tables of a data source, as far as they are known.
fn tables(source: &Source, grounding: &GroundingService) -> String {
    let Some(vocabulary) = grounding.vocabulary(source.name.as_str()) else { return String::new() };
    let tables = vocabulary.items.iter().filter(|item| item.kind == ItemKind::Table);
    // A name of other letters could be a sentence, which has no place among the server's own words.
    let is_plain = |c: char| c.is_alphanumeric() || "_.$-".contains(c);
    let names: Vec<_> = tables
        .map(|table| table.name.as_str())
        .filter(|name| name.len() <= MAX_NAME_BYTES && name.chars().all(is_plain))
        .collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(". Tables: {}", truncate_chars(&names.join(", "), MAX_TABLES_CHARS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, load};

    #[test]
    fn every_callable_has_a_name_of_its_own_that_models_may_use() {
        let settings = load(Environment::from_pairs([
            (
                "DATASOURCES",
                r#"{"shop": {"type": "api", "url": "http://a"}, "Büro 7": {"type": "api", "url": "http://b"}}"#,
            ),
            ("EXTERNAL_AGENTS", r#"{"zain": {"url": "http://c", "metadata": {"description": "Knows bills"}}}"#),
        ]));
        let settings = settings.unwrap().settings;
        let sources = settings.datasources.iter().cloned().map(Callable::Source);
        let agents = settings.agents.iter().cloned().map(Callable::Agent);
        let offered: Vec<_> = sources.chain(agents).collect();
        let named = Callable::named(&offered);
        let names: Vec<_> = named.iter().map(|named| named.call_name.as_str()).collect();
        assert_eq!(names[0], "query_shop");
        assert!(names[1].starts_with("query_B_ro_7_"), "{names:?}");
        assert_eq!(names[2], "ask_zain");
        for named in &named {
            assert_eq!(Callable::find(&offered, &named.call_name).unwrap().target(), named.callable.target());
        }
        assert!(Callable::find(&offered, "ask_nobody").is_none());
        let spec = &Callable::specs(&offered, &GroundingService::default())[2];
        assert_eq!(spec.description, "Asks the agent 'zain': Knows bills");
        assert_eq!(spec.parameters["required"], json!(["prompt"]));
    }
}
