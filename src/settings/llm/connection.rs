use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kernel::{CredentialOrigin, FieldIssue, Fields, Lenient, LenientResult, Secret, SecretUrl, read_word};
use crate::settings::resources::parse_http_url;
use crate::settings::{Environment, bounds, reference};

/// The wire format an LLM server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LlmProvider {
    /// Ask the server once.
    #[default]
    Auto,
    /// OpenAI's chat completions, which most servers speak.
    OpenAi,
    /// Ollama's own `/api/chat`.
    Ollama,
}

impl LlmProvider {
    /// What they are called, in any case.
    pub const NAMES: [&str; 3] = ["auto", "openai", "ollama"];
}

impl Lenient for LlmProvider {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(value.as_str(), "Input should be 'auto', 'openai' or 'ollama'")
    }
}

/// The LLM connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LlmSettings {
    /// Where the server is, with or without `/v1`.
    pub base_url: Option<String>,
    /// The model used where a request names none.
    pub default_model: Option<String>,
    /// Sent as a bearer token.
    pub api_key: Option<Secret>,
    /// Limit for one call, its retries included; for a stream, the longest silence.
    pub timeout_seconds: i64,
    /// Attempts in all, as in the original; 0 and 1 both mean a single one.
    pub max_retries: i64,
    /// Sampling temperature; `None` leaves it to the server.
    pub temperature: Option<f64>,
    /// Longest answer, in tokens.
    pub max_tokens: Option<i64>,
    /// Wire format.
    pub provider: LlmProvider,
    /// Models tried in this order after the first one failed.
    pub fallback_models: Vec<String>,
}

impl LlmSettings {
    /// Reads the fields by their JSON names.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let mut text = |name| fields.optional::<String>(name).map(|text| text.trim().to_owned());
        let (base_url, default_model, api_key) = (text("base_url"), text("default_model"), text("api_key"));
        Self {
            base_url,
            default_model,
            api_key: api_key.map(Secret::new),
            timeout_seconds: fields.int_or("timeout_seconds", 60, bounds::CALL_SECONDS),
            max_retries: fields.int_or("max_retries", 3, bounds::LLM_ATTEMPTS),
            max_tokens: fields.int_optional("max_tokens", bounds::ANSWER_TOKENS),
            temperature: Some(fields.float_or("temperature", 0.7, bounds::TEMPERATURES)),
            provider: fields.or("provider", LlmProvider::Auto),
            fallback_models: fields.beyond_original(|fields| fields.or("fallback_models", Vec::new())),
        }
    }

    /// All fields by their JSON names, the key in clear: for the store only.
    pub(super) fn to_stored(&self) -> Value {
        let mut fields = json!(self);
        if let Some(key) = fields.get_mut("api_key") {
            *key = json!(self.api_key.as_ref().map(Secret::expose));
        }
        fields
    }

    /// These settings with every `${NAME}` replaced, checked for use.
    pub(super) fn resolve(&self, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let mut resolved = self.clone();
        let mut issues = Vec::new();
        let mut replace = |field: &str, written: &mut Option<String>, check: fn(&str) -> Result<(), &'static str>| {
            let Some(text) = written else { return };
            let outcome = reference::resolve(text, environment)
                .and_then(|value| check(&value).map(|()| value).map_err(str::to_owned));
            match outcome {
                Ok(value) => *text = value,
                Err(msg) => {
                    issues.push(FieldIssue::new("value_error", vec![field.into()], msg, Value::from(text.as_str())))
                }
            }
        };
        replace("base_url", &mut resolved.base_url, check_url);
        replace("default_model", &mut resolved.default_model, check_model);
        let mut key = resolved.api_key.as_ref().map(|key| key.expose().to_owned());
        replace("api_key", &mut key, check_key);
        resolved.api_key = key.map(Secret::new);
        if let Some(msg) = resolved.fallback_models.iter().find_map(|model| check_model(model).err()) {
            let given = Value::from(resolved.fallback_models.clone());
            issues.push(FieldIssue::new("value_error", vec!["fallback_models".into()], msg, given));
        }
        if issues.is_empty() { Ok(resolved) } else { Err(issues) }
    }

    /// Where the key goes and how.
    pub fn credential_origin(&self) -> CredentialOrigin {
        let origin = CredentialOrigin::default();
        self.base_url.iter().fold(origin, |origin, url| origin.url("base_url", &SecretUrl::new(url.as_str())))
    }
}

fn check_url(text: &str) -> Result<(), &'static str> {
    let url = SecretUrl::new(text);
    url.check_unambiguous()?;
    match parse_http_url(&url).filter(|_| !text.contains("${")) {
        None => Err("Input should be a URL that starts with http:// or https:// and names a host"),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("Input should have no user name or password in the URL; use api_key")
        }
        Some(url) if url.query().is_some() || url.fragment().is_some() => {
            Err("Input should have no query or fragment in the URL")
        }
        Some(_) => Ok(()),
    }
}

fn check_model(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) { Err("Input should have no control characters") } else { Ok(()) }
}

fn check_key(text: &str) -> Result<(), &'static str> {
    let is_key = text.bytes().all(|b| b.is_ascii_graphic());
    if is_key { Ok(()) } else { Err("Input should be printable ASCII without blanks") }
}
