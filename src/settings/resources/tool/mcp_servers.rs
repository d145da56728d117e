//! The form in which other MCP clients keep their servers: a list by name, of which a tool takes one.

use serde_json::{Map, Value};

use crate::kernel::{FieldIssue, Segment};

/// Keys under which such a list stands: of most clients, of VS Code, and of Zed.
const LISTS: [&str; 3] = ["mcpServers", "servers", "context_servers"];
/// A key below which some write the list.
const OUTER: &str = "mcp";
/// Keys of the server's URL.
const URLS: [&str; 3] = ["url", "serverUrl", "httpUrl"];
/// Keys that mean the same here and there.
const SHARED: [&str; 4] = ["args", "env", "headers", "timeout"];
/// Names that an issue lists.
const MAX_NAMED: usize = 20;

/// A config with the one server of such a list in its own keys, where there is one that can be told in them; else the config as it is.
pub(super) fn flatten(config: Map<String, Value>) -> Map<String, Value> {
    let found = list_of(&config).and_then(|(_, list)| only_server(list));
    let Some(server) = found.and_then(own_keys).filter(|_| !names_server(&config)) else { return config };
    let mut flat = config;
    flat.retain(|key, _| key != OUTER && key != "inputs" && !LISTS.contains(&key.as_str()));
    for (key, value) in server {
        flat.entry(key).or_insert(value);
    }
    flat
}

/// What is wrong with a config from which no server was read; `config` has been flattened.
pub(super) fn issue(config: &Map<String, Value>) -> Option<FieldIssue> {
    let (place, msg) = match list_of(config) {
        Some((place, list)) => (place, list_problem(list, names_server(config))),
        // One that is empty is still to be filled in.
        None if names_server(config) || !config.values().any(is_set) => return None,
        None => {
            (vec!["command"], "Input should name a program that speaks MCP, unless 'url' leads to a server".to_owned())
        }
    };
    let loc = ["config"].into_iter().chain(place).map(Segment::from).collect();
    // Values of such a list hold credentials, so none is quoted.
    Some(FieldIssue::new("value_error", loc, msg, Value::Null))
}

fn list_of(config: &Map<String, Value>) -> Option<(Vec<&'static str>, &Value)> {
    let direct = |config: &'_ Map<String, Value>| LISTS.into_iter().find(|key| config.get(*key).is_some_and(is_set));
    if let Some(key) = direct(config) {
        return Some((vec![key], config.get(key)?));
    }
    let inner = config.get(OUTER)?.as_object()?;
    let key = direct(inner)?;
    Some((vec![OUTER, key], inner.get(key)?))
}

fn only_server(list: &Value) -> Option<&Map<String, Value>> {
    let list = list.as_object().filter(|list| list.len() == 1)?;
    list.values().next()?.as_object()
}

/// A server of another client in the keys of this one. None if it is reached in a way that this server does not know.
fn own_keys(server: &Map<String, Value>) -> Option<Map<String, Value>> {
    if !is_known_transport(server) {
        return None;
    }
    let mut keys: Map<_, _> =
        SHARED.iter().filter_map(|key| Some(((*key).to_owned(), server.get(*key)?.clone()))).collect();
    match server.get("command") {
        // Zed wrote it so at first.
        Some(Value::Object(command)) => {
            keys.insert("command".to_owned(), command.get("path")?.clone());
            let inner = ["args", "env"].into_iter().filter_map(|key| Some((key.to_owned(), command.get(key)?.clone())));
            keys.extend(inner);
        }
        Some(command) if is_set(command) => drop(keys.insert("command".to_owned(), command.clone())),
        _ => {
            let url = URLS.iter().filter_map(|key| server.get(*key)).find(|url| is_set(url))?;
            keys.insert("url".to_owned(), url.clone());
        }
    }
    Some(keys)
}

fn is_known_transport(server: &Map<String, Value>) -> bool {
    let named = ["type", "transport", "transportType"].into_iter().find_map(|key| server.get(key)?.as_str());
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '_', ' '], "");
    named.is_none_or(|name| ["stdio", "http", "streamablehttp", "httpstream"].contains(&plain(name).as_str()))
}

fn names_server(config: &Map<String, Value>) -> bool {
    ["url", "endpoint", "base_url", "command"].iter().any(|key| config.get(*key).is_some_and(is_set))
}

/// Clients send `""` for what they leave empty.
fn is_set(value: &Value) -> bool {
    !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty())
}

fn list_problem(list: &Value, has_own: bool) -> String {
    let names: Vec<_> = list.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let shown = names.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
    match *names {
        _ if has_own => "Input should not be given together with url or command".to_owned(),
        [] => {
            "Input should hold a server under its name: an object with 'url', or with 'command' and 'args'".to_owned()
        }
        [name] if only_server(list).is_some_and(|server| !is_known_transport(server)) => format!(
            "Input should hold a server over stdio or streamable HTTP; '{name}' is one of another transport, such as the HTTP+SSE of \
             before 2025-03-26"
        ),
        [name] => format!("Input should hold a server with 'url', or with 'command' and 'args'; '{name}' has neither"),
        _ => format!(
            "Input should hold one server, since each tool of type mcp is one: add a tool for each of {shown}, with what stands below \
             its name as the tool's config"
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(config: Value) -> Value {
        flatten(config.as_object().unwrap().clone()).into()
    }

    fn problem(config: Value) -> Option<(Vec<Segment>, String)> {
        let flat = flatten(config.as_object().unwrap().clone());
        issue(&flat).map(|issue| (issue.loc, issue.msg.to_string()))
    }

    #[test]
    fn one_server_of_another_client_becomes_the_config() {
        let files = json!({"command": "npx", "args": ["-y", "files"], "env": {"A": "b"}});
        for (config, expected) in [
            (json!({"mcpServers": {"files": files}}), files.clone()),
            (
                json!({"servers": {"files": {"type": "stdio", "command": "npx", "args": ["-y", "files"], "env": {"A": "b"}}}, "inputs": []}),
                files.clone(),
            ),
            (json!({"mcp": {"servers": {"files": files}}}), files.clone()),
            (
                json!({"mcp": {"mcpServers": {"files": files}}, "url": ""}),
                json!({"url": "", "command": "npx", "args": ["-y", "files"], "env": {"A": "b"}}),
            ),
            (
                json!({"context_servers": {"files": {"command": {"path": "npx", "args": ["-y", "files"], "env": {"A": "b"}}, "settings": {}}}}),
                files.clone(),
            ),
            (
                json!({"mcpServers": {"x": {"url": "http://a/mcp", "headers": {"X": "y"}, "disabled": false}}, "include": ["read*"]}),
                json!({"include": ["read*"], "url": "http://a/mcp", "headers": {"X": "y"}}),
            ),
            (
                json!({"mcpServers": {"x": {"type": "streamable-http", "serverUrl": "http://a/mcp"}}}),
                json!({"url": "http://a/mcp"}),
            ),
            (
                json!({"mcpServers": {"x": {"transport": "streamableHttp", "httpUrl": "http://a/mcp", "timeout": 60}}}),
                json!({"url": "http://a/mcp", "timeout": 60}),
            ),
        ] {
            assert_eq!((flat(config.clone()), problem(config.clone())), (expected, None), "{config}");
        }
    }

    #[test]
    fn what_is_no_single_server_says_how_it_can_be_one() {
        let two = json!({"mcpServers": {"github": {"command": "npx"}, "files": {"url": "http://a"}}});
        let rows = [
            (two, "add a tool for each of github, files"),
            (json!({"servers": {}}), "under its name"),
            (json!({"servers": "x"}), "under its name"),
            (json!({"mcpServers": {"x": {"type": "sse", "url": "http://a/sse"}}}), "'x' is one of another transport"),
            (json!({"mcpServers": {"x": {}}}), "'x' has neither"),
            (json!({"mcpServers": {"x": "npx"}}), "'x' has neither"),
            (json!({"mcpServers": {"x": {"url": "http://a"}}, "command": "npx"}), "not be given together"),
            (json!({"github": {"command": "npx"}}), "unless 'url' leads to a server"),
            (json!({"url": "", "command": null, "args": ["x"]}), "unless 'url' leads to a server"),
        ];
        for (config, expected) in rows {
            let (loc, msg) = problem(config.clone()).unwrap();
            assert!(msg.contains(expected) && loc[0] == Segment::from("config"), "{config}: {msg}");
        }
        for config in [json!({}), json!({"url": "", "command": null}), json!({"mcpServers": null, "url": "http://a"})] {
            assert_eq!(problem(config.clone()), None, "{config}");
        }
    }
}
