use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ToolOptions;
use crate::kernel::{CredentialOrigin, FieldIssue, Fields, Properties, Secret, SecretUrl, Segment, is_credential_name};
use crate::settings::Environment;
use crate::settings::bounds::MAX_DESCRIPTION_CHARS;
use crate::settings::resources::Resource;
use crate::settings::resources::resource::{Resolver, read_kind};

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
    /// What it is for, in words an LLM understands.
    pub description: Option<String>,
}

impl ToolSettings {
    /// Whether this server can't run tools of its type.
    pub fn is_unsupported(&self) -> bool {
        !matches!(self.kind.as_str(), "http_request" | "http" | "web_search" | "code_executor" | "mcp")
    }

    /// Whether it stands for an MCP server, which has many functions instead of one.
    pub fn is_mcp(&self) -> bool {
        self.kind == "mcp"
    }

    /// The options of its kind; the error names the keys of `config` that can't work.
    pub fn options(&self) -> Result<ToolOptions, Vec<FieldIssue>> {
        ToolOptions::read(&self.kind, self.config.expose())
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
        Self {
            kind: read_kind(fields),
            config: Properties::new(fields.or("config", Map::new())),
            enabled: fields.or("enabled", true),
            description,
        }
    }

    fn to_stored(&self) -> Map<String, Value> {
        let object = json!({
            "type": self.kind,
            "config": self.config.expose(),
            "enabled": self.enabled,
            "description": self.description,
        });
        object.as_object().cloned().unwrap_or_default()
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
            Ok(ToolOptions::Mcp(options)) => options.forbidden(environment),
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
        self.description.as_deref().or_else(|| self.config.text("description"))
    }
}
