//! What the stories about agents, data sources and tools share: how the three modules call things, entries, credentials.

use std::path::Path;

use serde_json::{Value, json};

use super::{TestServer, Upstream};

pub const MASK: &str = "********";
pub const SECRET: &str = "token-canary-7f3a9c";

/// What the three modules call things.
pub struct ResourceKind {
    pub path: &'static str,
    /// Its key in the replies to changes.
    pub key: &'static str,
    pub label: &'static str,
    /// Its section of files.
    pub section: &'static str,
    /// Its free-form object.
    pub free: &'static str,
    /// The variable that names its file.
    pub file: &'static str,
    /// The variable that holds entries.
    pub variable: &'static str,
}

pub const AGENTS: ResourceKind = ResourceKind {
    path: "/api/agents",
    key: "agent",
    label: "Agent",
    section: "agents",
    free: "metadata",
    file: "AGENTS_CONFIG_PATH",
    variable: "EXTERNAL_AGENTS",
};
pub const SOURCES: ResourceKind = ResourceKind {
    path: "/api/datasources",
    key: "datasource",
    label: "DataSource",
    section: "datasources",
    free: "config",
    file: "DATASOURCES_CONFIG_PATH",
    variable: "DATASOURCES",
};
pub const TOOLS: ResourceKind = ResourceKind {
    path: "/api/tools",
    key: "tool",
    label: "Tool",
    section: "tools",
    free: "config",
    file: "TOOLS_CONFIG_PATH",
    variable: "TOOLS",
};
/// Those that are alike down to their fields.
pub const AGENTS_AND_SOURCES: [&ResourceKind; 2] = [&AGENTS, &SOURCES];
pub const ALL: [&ResourceKind; 3] = [&AGENTS, &SOURCES, &TOOLS];

impl ResourceKind {
    /// An entry with every field, as a GET shows it.
    pub fn entry(&self, name: &str, url: &str) -> Value {
        if self.section == "tools" {
            let config = json!({"base_url": url});
            return json!({"name": name, "type": "http_request", "config": config, "enabled": true, "description": null});
        }
        let mut entry = json!({"name": name});
        if self.section == "datasources" {
            entry["type"] = json!("api");
        }
        entry["url"] = json!(url);
        entry["auth_token"] = json!(null);
        entry["timeout_seconds"] = json!(30);
        entry["enabled"] = json!(true);
        entry[self.free] = json!({});
        entry
    }

    /// `entry` with this token.
    pub fn with_token(&self, entry: &Value, token: Value) -> Value {
        self.with_own(entry, "auth_token", token)
    }

    /// `entry` with this limit for one use of it.
    pub fn with_timeout(&self, entry: &Value, seconds: Value) -> Value {
        self.with_own(entry, if self.section == "tools" { "timeout" } else { "timeout_seconds" }, seconds)
    }

    /// `entry` with a field changed that tools have among their free settings.
    fn with_own(&self, entry: &Value, field: &str, value: Value) -> Value {
        if self.section == "tools" {
            with(entry, "config", with(&entry["config"], field, value))
        } else {
            with(entry, field, value)
        }
    }

    pub fn at(&self, name: &str) -> String {
        format!("{}/{}", self.path, encode(name))
    }

    pub async fn add(&self, server: &TestServer, name: &str) {
        server.post(self.path, &self.entry(name, "http://127.0.0.1:9")).await.expect(201);
    }

    pub async fn names(&self, server: &TestServer, query: &str) -> Vec<String> {
        let list = server.get(&format!("{}{query}", self.path)).await.expect(200);
        list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The `Authorization` that a test of the entry sends to this upstream, which is where it is.
    pub async fn token_sent(&self, server: &TestServer, name: &str, upstream: &Upstream) -> Option<String> {
        let before = upstream.seen().len();
        server.post(&format!("{}/test", self.at(name)), &json!({})).await.expect(200);
        assert_eq!(upstream.seen().len(), before + 1);
        upstream.seen()[before].headers.get("authorization").cloned()
    }

    /// What the server has stored of this resource, as it stands in the file.
    pub fn stored(&self, folder: &Path) -> String {
        std::fs::read_to_string(folder.join("config").join(format!("{}.json", self.section))).unwrap()
    }
}

/// The name as one segment of a path, every byte of it that is no letter or digit encoded.
pub fn encode(name: &str) -> String {
    let byte = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") };
    name.bytes().map(byte).collect()
}

/// `entry` with one field changed.
pub fn with(entry: &Value, field: &str, value: Value) -> Value {
    let mut entry = entry.clone();
    entry[field] = value;
    entry
}

/// `entry` less one field.
pub fn without(entry: &Value, field: &str) -> Value {
    let mut entry = entry.clone();
    entry.as_object_mut().unwrap().remove(field);
    entry
}
