use std::sync::Arc;

use serde_json::Value;

use super::body::read_name;
use super::catalog::WrittenEntries;
use super::{Catalog, Resource};
use crate::kernel::{FieldIssue, Fields, ResourceName, Segment};
use crate::settings::json_file::parse_json;
use crate::settings::{Environment, JsonFile};

/// Where the resources of one sort come from.
pub(in crate::settings) struct Sources {
    /// The variable that names the file, and the file it is otherwise.
    file: (&'static str, &'static str),
    /// The variable that holds a JSON object of name to entry.
    entries: &'static str,
    /// The variables of the original's single entry: URL, token, timeout.
    single: Option<[&'static str; 3]>,
}

pub(in crate::settings) const AGENTS: Sources = Sources {
    file: ("AGENTS_CONFIG_PATH", "config/agents.json"),
    entries: "EXTERNAL_AGENTS",
    single: Some(["EXTERNAL_AGENT_BASE_URL", "EXTERNAL_AGENT_AUTH_TOKEN", "EXTERNAL_AGENT_TIMEOUT_SECONDS"]),
};
pub(in crate::settings) const DATASOURCES: Sources = Sources {
    file: ("DATASOURCES_CONFIG_PATH", "config/datasources.json"),
    entries: "DATASOURCES",
    single: Some(["DATASOURCE_BASE_URL", "DATASOURCE_AUTH_TOKEN", "DATASOURCE_TIMEOUT_SECONDS"]),
};
pub(in crate::settings) const TOOLS: Sources =
    Sources { file: ("TOOLS_CONFIG_PATH", "config/tools.json"), entries: "TOOLS", single: None };

/// Reads the file, then the variables, which win over a file's entry of the same name.
pub(in crate::settings) fn read<T: Resource>(
    environment: &Environment,
    env: &mut Fields<'_>,
    sources: &Sources,
) -> Arc<Catalog<T>> {
    let mut found = WrittenEntries::new();
    read_file(env, sources.file, &mut found);
    read_variable(env, sources.entries, &mut found);
    if let Some(variables) = sources.single {
        read_single(env, variables, &mut found);
    }
    let catalog = Catalog::new(found, environment).unwrap_or_else(|issues| {
        env.extend(issues);
        Catalog::default()
    });
    Arc::new(catalog)
}

fn read_file<T: Resource>(
    env: &mut Fields<'_>,
    (variable, default): (&'static str, &'static str),
    found: &mut WrittenEntries<T>,
) {
    let path: String = env.or(variable, default.to_owned());
    let file = match JsonFile::read(path.as_ref()) {
        Ok(Some(file)) => file,
        Ok(None) => return,
        Err(issue) => return env.extend([issue]),
    };
    let mut issues = Vec::new();
    for (at, object) in file.list(T::SECTION, &mut issues) {
        let mut fields = Fields::new(object, at.clone());
        let (name, resource) = (read_name(&mut fields), T::read(&mut fields));
        if let Some(name) = name
            && found.insert(name, (at, resource)).is_some()
        {
            fields.reject("name", "Input should be a name that no other entry has");
        }
        issues.extend(fields.into_issues());
    }
    env.extend(issues);
}

/// A variable that holds a JSON object of name to entry, as the original took it.
fn read_variable<T: Resource>(env: &mut Fields<'_>, variable: &'static str, found: &mut WrittenEntries<T>) {
    let Some(text) = env.optional::<String>(variable) else { return };
    let entries = match parse_json(&text) {
        Ok(Value::Object(entries)) => entries,
        Ok(_) => return env.reject(variable, "Input should be a JSON object of name to entry"),
        Err(error) => return env.reject(variable, format!("Input should be a JSON object of name to entry: {error}")),
    };
    for (name, entry) in entries {
        let at = vec![Segment::from(variable), Segment::from(name.as_str())];
        read_entry(env, &name, &entry, at, found);
    }
}

/// The single agent and the single data source of the original's own variables; they are called `default`.
fn read_single<T: Resource>(
    env: &mut Fields<'_>,
    [url, token, timeout]: [&'static str; 3],
    found: &mut WrittenEntries<T>,
) {
    let url: Option<String> = env.optional(url);
    let token: Option<String> = env.optional(token);
    let timeout = env.int_or(timeout, 30, 1..=3600);
    let Some(url) = url else { return };
    let entry = Value::from_iter([
        ("type", Value::from("api")),
        ("url", url.into()),
        ("auth_token", token.into()),
        ("timeout_seconds", timeout.into()),
    ]);
    read_entry(env, "default", &entry, vec![T::SECTION.into(), "default".into()], found);
}

/// Reads an entry that stands under its name.
fn read_entry<T: Resource>(
    env: &mut Fields<'_>,
    name: &str,
    entry: &Value,
    at: Vec<Segment>,
    found: &mut WrittenEntries<T>,
) {
    let object = entry.as_object().cloned().unwrap_or_default();
    let mut fields = Fields::new(&object, at.clone());
    let resource = T::read(&mut fields);
    env.extend(fields.into_issues());
    match ResourceName::parse(name) {
        Ok(name) => {
            let place = vec![T::SECTION.into(), name.as_str().into()];
            found.insert(name, (place, resource));
        }
        Err(expected) => env.extend([FieldIssue::new("value_error", at, expected, name.into())]),
    }
}
