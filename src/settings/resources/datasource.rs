use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Resource;
use super::query_hints::{self, QueryHints};
use super::resource::{Resolver, check_http_url, is_plain, read_kind, read_token};
use super::session_variable::{self, SessionForm, SessionVariable};
use crate::kernel::{CredentialOrigin, FieldIssue, Fields, MASK, Properties, Secret, SecretUrl};
use crate::settings::database_url::{DatabaseEngine, DatabaseUrl, UrlReach};
use crate::settings::{Environment, bounds};

/// A source of data.
#[derive(Clone, Debug, Serialize)]
pub struct DataSourceSettings {
    /// Its kind; free text, an unknown one is refused when it is used.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is; a connection string for databases.
    pub url: SecretUrl,
    /// Its credential: a token, or the password of a database account.
    pub auth_token: Option<Secret>,
    /// Limit for one query.
    pub timeout_seconds: i64,
    /// Whether it may be used.
    pub enabled: bool,
    /// Settings of its kind; `description` and `intents` guide chat.
    pub config: Properties,
}

/// The protocol that a data source is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's own.
    Postgres,
    /// That of MySQL and MariaDB.
    MySql,
    /// A SQLite file.
    Sqlite,
    /// Cube's REST API.
    Cube,
    /// The original's `/query`, `/schema`, `/tables` and `/health` over HTTP.
    Rest,
}

impl DataSourceSettings {
    /// Limit for one query.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.unsigned_abs())
    }

    /// How to speak to it. As in the original, every kind is spoken to over HTTP if its URL says so; `None` if this server
    /// can't speak to it.
    pub fn protocol(&self) -> Option<Protocol> {
        let kind = self.kind.to_ascii_lowercase();
        let scheme = self.url.expose().split(':').next().unwrap_or_default();
        if ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http)) {
            return Some(if matches!(kind.as_str(), "cubejs" | "cube") { Protocol::Cube } else { Protocol::Rest });
        }
        match (kind.as_str(), DatabaseEngine::of(self.url.expose())?) {
            ("postgres" | "postgresql", DatabaseEngine::Postgres) => Some(Protocol::Postgres),
            ("mysql" | "mariadb", DatabaseEngine::MySql) => Some(Protocol::MySql),
            ("sqlite" | "sqlite3", DatabaseEngine::Sqlite) => Some(Protocol::Sqlite),
            _ => None,
        }
    }

    /// What parameters of its URL change nothing here, in a sentence; `None` if there are none.
    pub fn unused_parameters(&self) -> Option<String> {
        let is_server = matches!(self.protocol(), Some(Protocol::Postgres | Protocol::MySql));
        is_server.then(|| DatabaseUrl::read(&self.url, UrlReach::Network).ok()?.unused()).flatten()
    }

    /// The functions beyond the engine's own that queries may call: `name`, `schema.name` or `schema.*`.
    pub fn functions(&self) -> Vec<String> {
        let listed = self.config.expose().get("functions").and_then(Value::as_array);
        listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The variables that tell it who asks.
    pub fn session(&self) -> Vec<SessionVariable> {
        session_variable::read(&self.config)
    }

    /// What tokens for a Cube are signed with.
    pub fn api_secret(&self) -> Option<&str> {
        self.config.text("api_secret")
    }

    /// What a model that writes its queries is told.
    pub fn query_hints(&self) -> QueryHints {
        QueryHints::of(&self.config)
    }

    fn session_form(&self) -> SessionForm {
        match self.protocol() {
            Some(Protocol::Postgres) => SessionForm::Variables,
            Some(Protocol::Cube) => SessionForm::Claims,
            _ => SessionForm::Nothing,
        }
    }

    /// What is wrong with the credentials of a Cube: there has to be one at most, and the secret where claims are to be signed.
    fn secret_issue(&self) -> Option<FieldIssue> {
        if self.protocol() != Some(Protocol::Cube) {
            return None;
        }
        let at = || vec!["config".into(), "api_secret".into()];
        let given = self.config.expose().get("api_secret").filter(|given| !given.is_null());
        if let Some(given) = given.filter(|given| !given.is_string()) {
            return Some(FieldIssue::new("value_error", at(), "Input should be a text", given.clone()));
        }
        match (self.api_secret(), &self.auth_token) {
            (Some(_), Some(_)) => {
                let expected = "Input should be null beside config.api_secret, which the server signs its tokens with";
                Some(FieldIssue::new("value_error", vec!["auth_token".into()], expected, MASK.into()))
            }
            (None, _) if !self.session().is_empty() => {
                let expected =
                    "Input should be the API secret of the Cube: tokens that tell it who asks are signed with it";
                Some(FieldIssue::new("value_error", at(), expected, Value::Null))
            }
            _ => None,
        }
    }

    fn check_url(&self, url: &SecretUrl) -> Result<(), String> {
        let settings = Self { url: url.clone(), ..self.clone() };
        let known = match self.kind.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" => Some("postgres://"),
            "mysql" | "mariadb" => Some("mysql://"),
            "sqlite" | "sqlite3" => Some("sqlite:"),
            "cubejs" | "cube" | "api" | "http" | "https" | "rest" => Some(""),
            _ => None,
        };
        let protocol = settings.protocol();
        // Files have no password.
        if protocol != Some(Protocol::Sqlite) {
            url.check_unambiguous()?;
        }
        match (protocol, known) {
            (Some(Protocol::Cube | Protocol::Rest), _) => check_http_url(url),
            (Some(Protocol::Sqlite), _) => Ok(()),
            (Some(_), _) if !is_plain(url.expose()) => {
                Err("Input should be a URL without blanks and \\, of at most 2048 characters".to_owned())
            }
            (Some(_), _) => DatabaseUrl::read(url, UrlReach::Network).map(drop),
            (None, Some("")) => Err("Input should be a URL that starts with http:// or https://".to_owned()),
            (None, Some(start)) => Err(format!(
                "Input should be a URL that starts with {start}, http:// or https://; a list of keywords such as host=... is not read"
            )),
            (None, None) if has_credential_parameter(url.expose()) => {
                Err("Input should be a URL without credentials in its parameters; auth_token is the place for them"
                    .to_owned())
            }
            (None, None) if is_plain(url.expose()) => Ok(()),
            (None, None) => Err("Input should have no blanks and at most 2048 characters".to_owned()),
        }
    }
}

const FUNCTIONS_EXPECTED: &str = "Input should be a list of at most 1000 functions such as unaccent, geo.distance or geo.*, \
    as the catalog spells them";

/// Whether this lists functions as `config.functions` has them.
fn is_function_list(listed: &Value) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.len() <= 63 && !name.contains(['.', '*', '(']) && name.trim() == name;
    let is_function = |item: &Value| {
        item.as_str().is_some_and(|text| match text.split_once('.') {
            Some((schema, name)) => is_name(schema) && (name == "*" || is_name(name)),
            None => is_name(text),
        })
    };
    listed.as_array().is_some_and(|items| items.len() <= 1000 && items.iter().all(is_function))
}

/// Whether a connection string of an unknown form spells a credential out: the mask would not know where.
fn has_credential_parameter(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let pairs = lower.split(['?', '&', ';', ' ']).filter_map(|part| part.split_once('='));
    pairs.into_iter().any(|(key, _)| bounds::CREDENTIAL_SUFFIXES.iter().any(|end| key.trim().ends_with(end)))
}

impl Resource for DataSourceSettings {
    const SECTION: &'static str = "datasources";
    const LABEL: &'static str = "DataSource";
    const SECRETS: &'static [&'static str] = &["auth_token"];
    const RESOLVED: &'static [&'static str] = &["url", "auth_token", "config"];

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            kind: read_kind(fields),
            url: SecretUrl::new(fields.required::<String>("url")),
            auth_token: read_token(fields),
            timeout_seconds: fields.int_or("timeout_seconds", 30, bounds::CALL_SECONDS),
            enabled: fields.or("enabled", true),
            config: Properties::new(fields.or("config", Map::new())),
        }
    }

    fn exposed(&self) -> Value {
        let token = self.auth_token.as_ref().map(Secret::expose);
        json!({"url": self.url.expose(), "auth_token": token, "config": self.config.expose()})
    }

    fn resolve(&self, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let mut resolver = Resolver::new(environment);
        let url = resolver.url(&self.url, |url| self.check_url(url));
        let auth_token = resolver.token(self.auth_token.as_ref());
        let config = resolver.properties("config", &self.config);
        if let Some(functions) = config.expose().get("functions").filter(|listed| !is_function_list(listed)) {
            resolver.reject(vec!["config".into(), "functions".into()], FUNCTIONS_EXPECTED, functions.clone());
        }
        let resolved = Self { url, auth_token, config, ..self.clone() };
        // As it was written: words, and no references to what may be secret.
        resolver.reject_all(session_variable::check(&self.config, resolved.session_form()));
        resolver.reject_all(resolved.secret_issue());
        resolver.finish(resolved)
    }

    fn forbidden(&self, _: &Environment) -> Vec<FieldIssue> {
        query_hints::check(&self.config)
    }

    fn secrets(&self) -> Vec<(&'static str, Secret)> {
        let token = self.auth_token.iter().map(|token| ("auth_token", token.clone()));
        let of_url = self.url.secrets().into_iter().map(|secret| ("url", secret));
        token.chain(of_url).chain(self.config.secrets().into_iter().map(|secret| ("config", secret))).collect()
    }

    fn credential_origin(&self) -> CredentialOrigin {
        CredentialOrigin::default().url("url", &self.url).transport("config", &self.config)
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn kind(&self) -> Option<&str> {
        Some(&self.kind)
    }

    fn description(&self) -> Option<&str> {
        self.config.text("description")
    }
}
