use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Resource;
use super::resource::{Resolver, check_http_url, read_token};
use crate::kernel::{CredentialOrigin, FieldIssue, Fields, Properties, Secret, SecretUrl};
use crate::settings::{Environment, bounds};

/// An external agent.
#[derive(Clone, Debug, Serialize)]
pub struct AgentSettings {
    /// Where it is.
    pub url: SecretUrl,
    /// Sent as a bearer token.
    pub auth_token: Option<Secret>,
    /// Limit for one call.
    pub timeout_seconds: i64,
    /// Whether it may be used.
    pub enabled: bool,
    /// Free to the caller; `description`, `intents` and `endpoint` guide chat.
    pub metadata: Properties,
}

impl AgentSettings {
    /// Limit for one call.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.unsigned_abs())
    }
}

impl Resource for AgentSettings {
    const SECTION: &'static str = "agents";
    const LABEL: &'static str = "Agent";
    const SECRETS: &'static [&'static str] = &["auth_token"];
    const RESOLVED: &'static [&'static str] = &["url", "auth_token"];

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            url: SecretUrl::new(fields.required::<String>("url")),
            auth_token: read_token(fields),
            timeout_seconds: fields.int_or("timeout_seconds", 30, bounds::CALL_SECONDS),
            enabled: fields.or("enabled", true),
            metadata: Properties::new(fields.or("metadata", Map::new())),
        }
    }

    fn exposed(&self) -> Value {
        let token = self.auth_token.as_ref().map(Secret::expose);
        json!({"url": self.url.expose(), "auth_token": token, "metadata": self.metadata.expose()})
    }

    fn resolve(&self, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let mut resolver = Resolver::new(environment);
        let url = resolver.url(&self.url, check_http_url);
        let auth_token = resolver.token(self.auth_token.as_ref());
        resolver.finish(Self { url, auth_token, ..self.clone() })
    }

    fn secrets(&self) -> Vec<(&'static str, Secret)> {
        let token = self.auth_token.iter().map(|token| ("auth_token", token.clone()));
        token.chain(self.metadata.secrets().into_iter().map(|secret| ("metadata", secret))).collect()
    }

    fn credential_origin(&self) -> CredentialOrigin {
        CredentialOrigin::default().url("url", &self.url).transport("metadata", &self.metadata)
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn description(&self) -> Option<&str> {
        self.metadata.text("description")
    }
}
