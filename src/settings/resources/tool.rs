use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::resource::{Resolver, references_in};
use super::{Catalog, Resource};
use crate::kernel::{FieldIssue, Fields, Properties, Secret, SecretUrl, Segment};
use crate::settings::{Environment, Settings};

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

impl Resource for ToolSettings {
    const SECTION: &'static str = "tools";
    const LABEL: &'static str = "Tool";
    const SECRETS: &'static [&'static str] = &[];

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            kind: fields.required("type"),
            config: Properties::new(fields.or("config", Map::new())),
            enabled: fields.or("enabled", true),
            description: fields.optional("description"),
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
        resolver.finish(Self { config, ..self.clone() })
    }

    fn references(&self) -> Vec<(Vec<Segment>, String)> {
        references_in(vec!["config".into()], &Value::Object(self.config.expose().clone()))
    }

    fn secrets(&self) -> Vec<(&'static str, Secret)> {
        self.config.secrets().into_iter().map(|secret| ("config", secret)).collect()
    }

    fn origin(&self) -> Option<String> {
        let urls = ["base_url", "endpoint", "url"].map(|key| self.config.text(key).map(SecretUrl::new)?.origin());
        urls.into_iter().flatten().next()
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

    fn catalog(settings: &Settings) -> &Arc<Catalog<Self>> {
        &settings.tools
    }

    fn with_catalog(settings: &Settings, catalog: Arc<Catalog<Self>>) -> Settings {
        Settings { tools: catalog, ..settings.clone() }
    }
}
