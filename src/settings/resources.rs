use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Environment, JsonFile};
use crate::kernel::{FieldIssue, Fields, Secret, Segment};

/// An external agent.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Where it is.
    pub url: String,
    /// Sent as a bearer token.
    pub auth_token: Option<Secret>,
    /// Limit for one call.
    pub timeout_seconds: i64,
    /// Whether it may be used.
    pub enabled: bool,
    /// Free to the caller.
    pub metadata: Map<String, Value>,
}

/// A source of data.
#[derive(Clone, Debug)]
pub struct DataSourceSettings {
    /// Its kind; free text, an unknown one is refused when it is used.
    pub kind: String,
    /// Where it is.
    pub url: String,
    /// Its credential.
    pub auth_token: Option<Secret>,
    /// Limit for one query.
    pub timeout_seconds: i64,
    /// Whether it may be used.
    pub enabled: bool,
    /// Settings of its kind.
    pub config: Map<String, Value>,
}

/// A tool.
#[derive(Clone, Debug)]
pub struct ToolSettings {
    /// Its kind.
    pub kind: String,
    /// Settings of its kind.
    pub config: Map<String, Value>,
    /// Whether it may be used.
    pub enabled: bool,
    /// What it is for, in words an LLM understands.
    pub description: Option<String>,
}

/// Agents, data sources and tools by name, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct ResourceSettings {
    /// External agents.
    pub agents: IndexMap<String, AgentSettings>,
    /// Sources of data.
    pub datasources: IndexMap<String, DataSourceSettings>,
    /// Tools.
    pub tools: IndexMap<String, ToolSettings>,
}

impl AgentSettings {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            url: fields.required("url"),
            auth_token: fields.optional::<String>("auth_token").map(Secret::new),
            timeout_seconds: fields.int_or("timeout_seconds", 30, 1..=3600),
            enabled: fields.or("enabled", true),
            metadata: fields.or("metadata", Map::new()),
        }
    }
}

impl DataSourceSettings {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            kind: fields.required("type"),
            url: fields.required("url"),
            auth_token: fields.optional::<String>("auth_token").map(Secret::new),
            timeout_seconds: fields.int_or("timeout_seconds", 30, 1..=3600),
            enabled: fields.or("enabled", true),
            config: fields.or("config", Map::new()),
        }
    }
}

impl ToolSettings {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            kind: fields.required("type"),
            config: fields.or("config", Map::new()),
            enabled: fields.or("enabled", true),
            description: fields.optional("description"),
        }
    }
}

/// Where the three files are: `AGENTS_CONFIG_PATH` and its companions.
const FILES: [(&str, &str, &str); 3] = [
    ("AGENTS_CONFIG_PATH", "config/agents.json", "agents"),
    ("DATASOURCES_CONFIG_PATH", "config/datasources.json", "datasources"),
    ("TOOLS_CONFIG_PATH", "config/tools.json", "tools"),
];

/// Reads the files, then the variables, which win over a file's entry of the same name.
pub(super) fn read(environment: &Environment, env: &mut Fields<'_>) -> ResourceSettings {
    let mut found = ResourceSettings::default();
    let [agents, datasources, tools] = FILES;
    read_file(env, agents, AgentSettings::read, &mut found.agents);
    read_file(env, datasources, DataSourceSettings::read, &mut found.datasources);
    read_file(env, tools, ToolSettings::read, &mut found.tools);
    read_variable(env, "EXTERNAL_AGENTS", AgentSettings::read, &mut found.agents);
    read_variable(env, "DATASOURCES", DataSourceSettings::read, &mut found.datasources);
    read_variable(env, "TOOLS", ToolSettings::read, &mut found.tools);
    read_default_agent(env, &mut found);
    read_default_datasource(env, &mut found);
    check_references(environment, env, &found);
    found
}

fn read_file<T>(
    env: &mut Fields<'_>,
    (variable, default, key): (&'static str, &'static str, &'static str),
    read: fn(&mut Fields<'_>) -> T,
    found: &mut IndexMap<String, T>,
) {
    let path: String = env.or(variable, default.to_owned());
    match JsonFile::read(path.as_ref()) {
        Ok(None) => {}
        Ok(Some(file)) => {
            let mut issues = Vec::new();
            match file.object().get(key) {
                Some(Value::Array(entries)) => read_entries(entries, key, read, found, &mut issues),
                _ => issues.push(FieldIssue::new("list_type", vec![key.into()], "Input should be a list", Value::Null)),
            }
            env.extend(file.locate(issues));
        }
        Err(issue) => env.extend([issue]),
    }
}

fn read_entries<T>(
    entries: &[Value],
    key: &str,
    read: fn(&mut Fields<'_>) -> T,
    found: &mut IndexMap<String, T>,
    issues: &mut Vec<FieldIssue>,
) {
    for (index, entry) in entries.iter().enumerate() {
        let at = vec![Segment::from(key), Segment::Index(index)];
        let Value::Object(object) = entry else {
            issues.push(FieldIssue::new("dict_type", at, "Input should be a valid dictionary", Value::Null));
            continue;
        };
        let mut fields = Fields::new(object, at);
        let name: String = fields.required("name");
        let resource = read(&mut fields);
        if object.contains_key("name") && found.insert(name, resource).is_some() {
            fields.reject("name", "Input should be a name that no other entry has");
        }
        issues.extend(fields.into_issues());
    }
}

/// A variable that holds a JSON object of name -> entry, as the original took it.
fn read_variable<T>(
    env: &mut Fields<'_>,
    variable: &'static str,
    read: fn(&mut Fields<'_>) -> T,
    found: &mut IndexMap<String, T>,
) {
    let Some(text) = env.optional::<String>(variable) else { return };
    let entries = match super::parse_json::<Value>(text.as_bytes()) {
        Ok(Value::Object(entries)) => entries,
        Ok(_) => return env.reject(variable, "Input should be a JSON object of name to entry"),
        Err(error) => return env.reject(variable, format!("Input should be a JSON object of name to entry: {error}")),
    };
    for (name, entry) in entries {
        let at = vec![Segment::from(variable), Segment::from(name.as_str())];
        let object = entry.as_object().cloned().unwrap_or_default();
        let mut fields = Fields::new(&object, at);
        found.insert(name, read(&mut fields));
        env.extend(fields.into_issues());
    }
}

/// The single agent of `EXTERNAL_AGENT_*` is called `default`.
fn read_default_agent(env: &mut Fields<'_>, found: &mut ResourceSettings) {
    let url = env.optional("EXTERNAL_AGENT_BASE_URL");
    let auth_token = env.optional::<String>("EXTERNAL_AGENT_AUTH_TOKEN").map(Secret::new);
    let timeout_seconds = env.int_or("EXTERNAL_AGENT_TIMEOUT_SECONDS", 30, 1..=3600);
    if let Some(url) = url {
        let agent = AgentSettings { url, auth_token, timeout_seconds, enabled: true, metadata: Map::new() };
        found.agents.insert("default".to_owned(), agent);
    }
}

/// The single data source of `DATASOURCE_*` is called `default` and has type `api`.
fn read_default_datasource(env: &mut Fields<'_>, found: &mut ResourceSettings) {
    let url = env.optional("DATASOURCE_BASE_URL");
    let auth_token = env.optional::<String>("DATASOURCE_AUTH_TOKEN").map(Secret::new);
    let timeout_seconds = env.int_or("DATASOURCE_TIMEOUT_SECONDS", 30, 1..=3600);
    if let Some(url) = url {
        let (kind, config) = ("api".to_owned(), Map::new());
        let source = DataSourceSettings { kind, url, auth_token, timeout_seconds, enabled: true, config };
        found.datasources.insert("default".to_owned(), source);
    }
}

/// A `${NAME}` that stands for nothing is told at start, not at the first use.
fn check_references(environment: &Environment, env: &mut Fields<'_>, found: &ResourceSettings) {
    let agents = found.agents.iter().map(|(name, agent)| ("agents", name, &agent.url, &agent.auth_token));
    let sources = found.datasources.iter().map(|(name, source)| ("datasources", name, &source.url, &source.auth_token));
    for (list, name, url, token) in agents.chain(sources) {
        let token = token.as_ref().map(Secret::expose).unwrap_or_default();
        for (field, text) in [("url", url.as_str()), ("auth_token", token)] {
            if let Err(msg) = super::reference::resolve(text, environment) {
                let loc = vec![list.into(), name.as_str().into(), field.into()];
                env.extend([FieldIssue::new("value_error", loc, msg, Value::Null)]);
            }
        }
    }
}
