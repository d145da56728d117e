//! Agents, data sources and tools: their values, the catalogs that hold them by name, and where those come from.
//!
//! A catalog is layered: files, then the environment, then what was changed through the API; `body` reads what a request says
//! of an entry over what is stored of it. To add a sort of resource: a type that implements [`Resource`], its catalog in
//! `Settings`, its file and variable in [`read`].

mod agent;
mod body;
mod catalog;
mod datasource;
mod resource;
mod tool;

pub use agent::AgentSettings;
pub use catalog::{Catalog, CatalogEntry, Precondition};
pub use datasource::{DataSourceSettings, Protocol};
pub use resource::Resource;
pub use tool::{
    CodeOptions, HostPattern, HttpOptions, Language, McpOptions, McpTransport, SearchOptions, SearchProvider,
    ToolOptions, ToolSettings,
};

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{Environment, JsonFile};
use crate::kernel::{FieldIssue, Fields, ResourceName, Segment};

/// The three catalogs as the files and the environment give them.
pub(super) struct ResourceCatalogs {
    pub(super) agents: Arc<Catalog<AgentSettings>>,
    pub(super) datasources: Arc<Catalog<DataSourceSettings>>,
    pub(super) tools: Arc<Catalog<ToolSettings>>,
}

type EntriesByName<T> = IndexMap<ResourceName, T>;

/// Where the three files are: `AGENTS_CONFIG_PATH` and its companions.
const FILES: [(&str, &str, &str); 3] = [
    ("AGENTS_CONFIG_PATH", "config/agents.json", "agents"),
    ("DATASOURCES_CONFIG_PATH", "config/datasources.json", "datasources"),
    ("TOOLS_CONFIG_PATH", "config/tools.json", "tools"),
];

/// Reads the files, then the variables, which win over a file's entry of the same name.
pub(super) fn read(environment: &Environment, env: &mut Fields<'_>) -> ResourceCatalogs {
    let [agents, datasources, tools] = FILES;
    ResourceCatalogs {
        agents: read_catalog(environment, env, agents, "EXTERNAL_AGENTS", |env| {
            let [url, token, timeout] =
                ["EXTERNAL_AGENT_BASE_URL", "EXTERNAL_AGENT_AUTH_TOKEN", "EXTERNAL_AGENT_TIMEOUT_SECONDS"];
            read_default(env, url, token, timeout)
        }),
        datasources: read_catalog(environment, env, datasources, "DATASOURCES", |env| {
            let [url, token, timeout] = ["DATASOURCE_BASE_URL", "DATASOURCE_AUTH_TOKEN", "DATASOURCE_TIMEOUT_SECONDS"];
            read_default(env, url, token, timeout)
        }),
        tools: read_catalog(environment, env, tools, "TOOLS", |_| None),
    }
}

fn read_catalog<T: Resource>(
    environment: &Environment,
    env: &mut Fields<'_>,
    file: (&'static str, &'static str, &'static str),
    variable: &'static str,
    default: impl FnOnce(&mut Fields<'_>) -> Option<Map<String, Value>>,
) -> Arc<Catalog<T>> {
    let mut found = EntriesByName::new();
    let file = read_file(env, file, &mut found);
    read_variable(env, variable, &mut found);
    if let (Some(entry), Ok(name)) = (default(env), ResourceName::parse("default")) {
        let mut fields = Fields::new(&entry, vec![T::SECTION.into(), name.as_str().into()]);
        let resource = T::read(&mut fields);
        env.extend(fields.into_issues());
        found.insert(name, resource);
    }
    let catalog = Catalog::new(found, environment).unwrap_or_else(|issues| {
        env.extend(locate(issues, file.as_ref(), T::SECTION));
        Catalog::default()
    });
    Arc::new(catalog)
}

/// Names the place in the file, for entries that stand in it.
fn locate(issues: Vec<FieldIssue>, file: Option<&JsonFile>, section: &str) -> Vec<FieldIssue> {
    let Some(file) = file else { return issues };
    let entries = file.object().get(section).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let place = |issue: FieldIssue| {
        let mut loc = issue.loc.clone();
        let index = match loc.get(1) {
            Some(Segment::Key(name)) => {
                entries.iter().position(|entry| entry.get("name").and_then(Value::as_str) == Some(&**name))
            }
            _ => None,
        };
        match (index, loc.get_mut(1)) {
            (Some(index), Some(segment)) => {
                *segment = Segment::Index(index);
                file.locate(vec![FieldIssue { loc, ..issue }])
            }
            _ => vec![issue],
        }
    };
    issues.into_iter().flat_map(place).collect()
}

fn read_file<T: Resource>(
    env: &mut Fields<'_>,
    (variable, default, key): (&'static str, &'static str, &'static str),
    found: &mut EntriesByName<T>,
) -> Option<JsonFile> {
    let path: String = env.or(variable, default.to_owned());
    let file = JsonFile::read(path.as_ref()).unwrap_or_else(|issue| {
        env.extend([issue]);
        None
    })?;
    let mut issues = Vec::new();
    match file.object().get(key) {
        Some(Value::Array(entries)) => read_entries(entries, key, found, &mut issues),
        _ => issues.push(not_a_list(key)),
    }
    env.extend(file.locate(issues));
    Some(file)
}

fn not_a_list(key: &str) -> FieldIssue {
    FieldIssue::new("list_type", vec![key.into()], "Input should be a list", Value::Null)
}

fn not_an_object(at: Vec<Segment>) -> FieldIssue {
    FieldIssue::new("dict_type", at, "Input should be a valid dictionary", Value::Null)
}

fn read_entries<T: Resource>(entries: &[Value], key: &str, found: &mut EntriesByName<T>, issues: &mut Vec<FieldIssue>) {
    for (index, entry) in entries.iter().enumerate() {
        let at = vec![Segment::from(key), Segment::Index(index)];
        let Value::Object(object) = entry else {
            issues.push(not_an_object(at));
            continue;
        };
        let mut fields = Fields::new(object, at);
        let (name, resource) = (body::read_name(&mut fields), T::read(&mut fields));
        if let Some(name) = name
            && found.insert(name, resource).is_some()
        {
            fields.reject("name", "Input should be a name that no other entry has");
        }
        issues.extend(fields.into_issues());
    }
}

/// A variable that holds a JSON object of name -> entry, as the original took it.
fn read_variable<T: Resource>(env: &mut Fields<'_>, variable: &'static str, found: &mut EntriesByName<T>) {
    let Some(text) = env.optional::<String>(variable) else { return };
    let entries = match super::parse_json::<Value>(text.as_bytes()) {
        Ok(Value::Object(entries)) => entries,
        Ok(_) => return env.reject(variable, "Input should be a JSON object of name to entry"),
        Err(error) => return env.reject(variable, format!("Input should be a JSON object of name to entry: {error}")),
    };
    for (name, entry) in entries {
        let at = vec![Segment::from(variable), Segment::from(name.as_str())];
        let object = entry.as_object().cloned().unwrap_or_default();
        let mut fields = Fields::new(&object, at.clone());
        let resource = T::read(&mut fields);
        env.extend(fields.into_issues());
        match ResourceName::parse(&name) {
            Ok(name) => drop(found.insert(name, resource)),
            Err(expected) => env.extend([FieldIssue::new("value_error", at, expected, json!(name))]),
        }
    }
}

/// The single agent and the single data source of the original's own variables; they are called `default`.
fn read_default(
    env: &mut Fields<'_>,
    url: &'static str,
    token: &'static str,
    timeout: &'static str,
) -> Option<Map<String, Value>> {
    let url: Option<String> = env.optional(url);
    let token: Option<String> = env.optional(token);
    let timeout = env.int_or(timeout, 30, 1..=3600);
    let entry = json!({"type": "api", "url": url?, "auth_token": token, "timeout_seconds": timeout});
    entry.as_object().cloned()
}
