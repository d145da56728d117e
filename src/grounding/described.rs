//! What the settings alone say of a resource, which is known at once.

use std::sync::Arc;

use serde_json::Value;

use super::vocabulary::{Detail, Item, ItemKind, ResourceKind, Vocabulary};
use crate::kernel::{one_line, truncate_chars};
use crate::settings::{
    AgentSettings, CatalogEntry, DataSourceSettings, Resource, VerifiedParameter, VerifiedQuestion, VerifiedQuestions,
};
use crate::tools::{Tool, ToolFunction, single_function};

/// Members of `config` and `metadata` that say in words what a resource is good for.
const TOPICS: [&str; 9] =
    ["intents", "skills", "capabilities", "keywords", "tags", "topics", "domains", "examples", "questions"];
/// Verified questions of a source that are indexed, and characters of each.
const MAX_QUESTIONS: usize = 500;
const MAX_QUESTION_CHARS: usize = 500;
/// Texts that are read of them.
const MAX_TOPICS: usize = 200;

/// What a data source's entry says. Its tables are for somebody to ask for.
pub(super) fn of_source(entry: &CatalogEntry<DataSourceSettings>) -> Vocabulary {
    let topics = topics(entry.effective.config.expose());
    vocabulary(ResourceKind::DataSource, entry, topics, false)
}

/// The verified questions of a data source.
pub(super) fn questions(verified: &VerifiedQuestions, source: &str) -> Vec<Item> {
    let parameter = |(name, parameter): (&String, &VerifiedParameter)| {
        let about = parameter.description.as_deref().map(|text| truncate_chars(&one_line(text), MAX_QUESTION_CHARS));
        let default =
            parameter.default.as_ref().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        Detail { name: name.clone(), about, values: default.into_iter().collect() }
    };
    let item = |question: &Arc<VerifiedQuestion>| Item {
        kind: ItemKind::Question,
        name: question.id.clone(),
        about: Some(truncate_chars(&one_line(&question.question), MAX_QUESTION_CHARS)),
        details: question.parameters.iter().map(parameter).collect(),
    };
    verified.of(source).iter().filter(|question| question.is_verified()).take(MAX_QUESTIONS).map(item).collect()
}

/// What an agent's entry says.
pub(super) fn of_agent(entry: &CatalogEntry<AgentSettings>) -> Vocabulary {
    let topics = topics(entry.effective.metadata.expose());
    vocabulary(ResourceKind::Agent, entry, topics, true)
}

/// What a tool's entry says. An MCP server has to be asked for its functions.
pub(super) fn of_tool(tool: &Tool) -> Vocabulary {
    let mut items = topics(tool.effective.config.expose());
    items.extend(single_function(tool).map(|function| function_item(&function)));
    vocabulary(ResourceKind::Tool, tool.as_ref(), items, !tool.effective.is_mcp())
}

/// A function with its parameters.
pub(super) fn function_item(function: &ToolFunction) -> Item {
    let parameters = function.parameters.get("properties").and_then(Value::as_object);
    let detail = |(name, schema): (&String, &Value)| {
        let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        Detail {
            name: name.clone(),
            about: schema.get("description").and_then(Value::as_str).map(str::to_owned),
            values: values.map(str::to_owned).collect(),
        }
    };
    Item {
        kind: ItemKind::Function,
        name: function.name.clone(),
        about: Some(function.description.clone()),
        details: parameters.into_iter().flatten().map(detail).collect(),
    }
}

fn vocabulary<T: Resource>(
    kind: ResourceKind,
    entry: &CatalogEntry<T>,
    items: Vec<Item>,
    is_complete: bool,
) -> Vocabulary {
    let (name, version) = (entry.name.to_string(), entry.version.clone());
    let description = entry.effective.description().map(str::to_owned);
    Vocabulary { kind, name, version, description, items, is_complete }
}

/// The texts below the members that say what a resource is good for.
fn topics(object: &serde_json::Map<String, Value>) -> Vec<Item> {
    let mut items = Vec::new();
    for listed in TOPICS.iter().filter_map(|key| object.get(*key)) {
        match listed {
            Value::Array(list) => items.extend(list.iter().filter_map(topic)),
            one => items.extend(topic(one)),
        }
    }
    items.truncate(MAX_TOPICS);
    items
}

/// A text, or an object such as `{"id": "leave", "description": "...", "tags": [...], "examples": [...]}`.
fn topic(listed: &Value) -> Option<Item> {
    let text = |key: &str| listed.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = listed.as_str().map(str::to_owned).or_else(|| text("name")).or_else(|| text("id"))?;
    let lists = ["tags", "examples"].into_iter().filter_map(|key| listed.get(key)?.as_array()).flatten();
    let details = lists.filter_map(Value::as_str).map(|text| Detail { name: text.to_owned(), ..Detail::default() });
    Some(Item { kind: ItemKind::Skill, name, about: text("description"), details: details.collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::{Environment, load};

    #[test]
    fn entries_say_what_their_resources_are_good_for() {
        let agents = json!({"hr": {"url": "http://127.0.0.1:9", "metadata": {"description": "Human resources", "intents": ["leave"],
            "capabilities": "payroll", "skills": [{"id": "trips", "description": "Business trips", "tags": ["expenses"]}, 7]}}});
        let tools =
            json!({"rates": {"type": "http_request", "description": "Exchange rates"}, "files": {"type": "mcp"}});
        let pairs = [("EXTERNAL_AGENTS", agents.to_string()), ("TOOLS", tools.to_string())];
        let settings = load(Environment::from_pairs(pairs)).unwrap().settings;
        let agent = of_agent(settings.agents.get("hr").unwrap());
        assert_eq!((agent.description.as_deref(), agent.is_complete), (Some("Human resources"), true));
        let shown: Vec<_> = agent.items.iter().map(|item| (item.name.as_str(), item.about.as_deref())).collect();
        assert_eq!(shown, [("leave", None), ("trips", Some("Business trips")), ("payroll", None)]);
        assert_eq!(agent.items[1].details[0].name, "expenses");
        let rates = of_tool(settings.tools.get("rates").unwrap());
        assert_eq!((rates.items[0].name.as_str(), rates.is_complete), ("rates", true));
        assert_eq!(rates.items[0].about.as_deref(), Some("Exchange rates"));
        assert!(!of_tool(settings.tools.get("files").unwrap()).is_complete);
    }
}
