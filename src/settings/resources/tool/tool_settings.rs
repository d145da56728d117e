use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::options::is_set;
use super::{ToolOptions, mcp_servers};
use crate::kernel::{
    CredentialOrigin, FieldIssue, Fields, Lenient, Properties, Secret, SecretUrl, Segment, is_credential_name,
};
use crate::settings::bounds::MAX_DESCRIPTION_CHARS;
use crate::settings::resources::Resource;
use crate::settings::resources::meaning::same_members;
use crate::settings::resources::resource::{Resolver, read_kind};
use crate::settings::{Environment, ToolPolicy};

/// The kind of tools that stand for an MCP server.
const MCP: &str = "mcp";

/// A tool.
#[derive(Clone, Debug, Serialize)]
pub struct ToolSettings {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Settings of its kind.
    pub config: Properties,
    /// Whether it may be used.
    pub enabled: bool,
    /// What it is for, in words an LLM understands, unless `config.description` says so: the GUI edits that one only.
    pub description: Option<String>,
}

impl ToolSettings {
    /// Whether this server can't run tools of its type.
    pub fn is_unsupported(&self) -> bool {
        !matches!(self.kind.as_str(), "http_request" | "http" | "web_search" | "code_executor" | "mcp")
    }

    /// Whether it stands for an MCP server, which has many functions instead of one.
    pub fn is_mcp(&self) -> bool {
        self.kind == MCP
    }

    /// The options of its kind; the error names the keys of `config` that can't work.
    pub fn options(&self) -> Result<ToolOptions, Vec<FieldIssue>> {
        ToolOptions::read(&self.kind, self.config.expose())
    }

    /// What it says beside `config`; blank is nothing.
    fn own_description(&self) -> Option<&str> {
        self.description.as_deref().filter(|text| !text.trim().is_empty())
    }

    /// What it says in `config`: neither what is left empty nor the time limit that holds anyway, which the GUI adds to what it has read.
    fn essential_config(&self, default_timeout: Duration) -> Map<String, Value> {
        let is_default = |key: &str, value: &Value| {
            key == "timeout" && f64::read(value).is_ok_and(|seconds| seconds == default_timeout.as_secs_f64())
        };
        let told = self.config.expose().iter().filter(|(key, value)| is_set(value) && !is_default(key, value));
        told.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// What decides on how a process of this tool uses its credentials: all it is given, besides the credentials themselves.
    fn process(&self) -> Value {
        let config = self.config.expose();
        if !self.is_mcp() || self.config.text("command").is_none() {
            return Value::Null;
        }
        let plain = config.get("env").and_then(Value::as_object).into_iter().flatten();
        let mut plain: Vec<_> = plain.filter(|(name, _)| !is_credential_name(name)).collect();
        plain.sort_by_key(|(name, _)| *name);
        json!([config.get("args"), plain])
    }

    /// Issues quote a value; that of a variable may be anything, so the text that refers to it is quoted, masked if need be.
    fn quote_written_values(&self, issues: Vec<FieldIssue>) -> Vec<FieldIssue> {
        let shown = Value::Object(self.config.masked());
        let quote = |issue: FieldIssue| {
            let mut below = issue.loc.iter().skip(1);
            let written = below.try_fold(&shown, |value, segment| match segment {
                Segment::Key(key) => value.get(&**key),
                Segment::Index(index) => value.get(*index),
                Segment::File(_) => None,
            });
            FieldIssue { input: Box::new(written.cloned().unwrap_or_default()), ..issue }
        };
        issues.into_iter().map(quote).collect()
    }
}

impl Resource for ToolSettings {
    const SECTION: &'static str = "tools";
    const LABEL: &'static str = "Tool";
    const SECRETS: &'static [&'static str] = &[];
    const RESOLVED: &'static [&'static str] = &["config"];

    fn read(fields: &mut Fields<'_>) -> Self {
        let description: Option<String> = fields.optional("description");
        if description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION_CHARS) {
            fields.reject("description", format!("Input should have at most {MAX_DESCRIPTION_CHARS} characters"));
        }
        let (kind, config) = (read_kind(fields), fields.or("config", Map::new()));
        let config = if kind == MCP { mcp_servers::flatten(config) } else { config };
        Self { kind, config: Properties::new(config), enabled: fields.or("enabled", true), description }
    }

    fn exposed(&self) -> Value {
        json!({"config": self.config.expose()})
    }

    fn means_the_same(&self, other: &Self, environment: &Environment) -> bool {
        let timeout = ToolPolicy::read(&mut environment.fields()).timeout;
        let stored = |tool: &Self| {
            let config = Properties::new(tool.essential_config(timeout));
            let description = tool.own_description().map(str::to_owned);
            Self { config, description, ..tool.clone() }.to_stored()
        };
        same_members(&stored(self), &stored(other))
    }

    fn resolve(&self, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let mut resolver = Resolver::new(environment);
        let config = resolver.properties("config", &self.config);
        let effective = resolver.finish(Self { config, ..self.clone() })?;
        effective.options().map_err(|issues| self.quote_written_values(issues))?;
        Ok(effective)
    }

    fn forbidden(&self, environment: &Environment) -> Vec<FieldIssue> {
        match self.options() {
            Ok(ToolOptions::Mcp(options)) => {
                let mut issues = options.forbidden(environment);
                issues.extend(mcp_servers::issue(self.config.expose()));
                issues
            }
            _ => Vec::new(),
        }
    }

    fn secrets(&self) -> Vec<(&'static str, Secret)> {
        self.config.secrets().into_iter().map(|secret| ("config", secret)).collect()
    }

    fn credential_origin(&self) -> CredentialOrigin {
        // Whatever decides on where a credential goes; one of these may win over another.
        let origin = CredentialOrigin::default().setting("type", json!(self.kind)).setting("args", self.process());
        let urls = ["base_url", "endpoint", "url"].into_iter().filter_map(|key| Some((key, self.config.text(key)?)));
        let origin = urls.fold(origin, |origin, (key, text)| origin.url(key, &SecretUrl::new(text)));
        let others = ["port", "provider", "command"].into_iter().map(|key| match self.config.expose().get(key) {
            Some(Value::Number(number)) => (key, json!(number.to_string())),
            _ => (key, json!(self.config.text(key))),
        });
        others.fold(origin, |origin, (key, value)| origin.setting(key, value)).transport("config", &self.config)
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn kind(&self) -> Option<&str> {
        Some(&self.kind)
    }

    fn description(&self) -> Option<&str> {
        self.config.text("description").or_else(|| self.own_description())
    }
}
