use serde_json::{Map, Value, json};
use url::Url;

use super::{Environment, reference};
use crate::kernel::{FieldIssue, Fields, Lax, MASK, Patch, Secret, Segment};

/// The wire format an LLM server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// The name in settings and replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
        }
    }
}

impl Lax for LlmProvider {
    fn read(value: &Value) -> Result<Self, (&'static str, &'static str)> {
        match value.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("auto") => Ok(Self::Auto),
            Some("openai") => Ok(Self::OpenAi),
            Some("ollama") => Ok(Self::Ollama),
            _ => Err(("enum", "Input should be 'auto', 'openai' or 'ollama'")),
        }
    }
}

/// The LLM connection.
#[derive(Clone, Debug, PartialEq)]
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
    /// Sampling temperature.
    pub temperature: f64,
    /// Longest answer, in tokens.
    pub max_tokens: Option<i64>,
    /// Wire format.
    pub provider: LlmProvider,
    /// Models tried in this order after the first one failed.
    pub fallback_models: Vec<String>,
}

impl Default for LlmSettings {
    fn default() -> Self {
        Self {
            base_url: None,
            default_model: None,
            api_key: None,
            timeout_seconds: 60,
            max_retries: 3,
            temperature: 0.7,
            max_tokens: None,
            provider: LlmProvider::Auto,
            fallback_models: Vec::new(),
        }
    }
}

impl LlmSettings {
    fn apply(&mut self, patch: &LlmPatch) {
        let default = Self::default();
        patch.base_url.apply_optional(&mut self.base_url);
        patch.default_model.apply_optional(&mut self.default_model);
        patch.api_key.apply_optional(&mut self.api_key);
        patch.timeout_seconds.apply(&mut self.timeout_seconds, default.timeout_seconds);
        patch.max_retries.apply(&mut self.max_retries, default.max_retries);
        patch.temperature.apply(&mut self.temperature, default.temperature);
        patch.max_tokens.apply_optional(&mut self.max_tokens);
        patch.provider.apply(&mut self.provider, default.provider);
        patch.fallback_models.apply(&mut self.fallback_models, default.fallback_models);
    }

    /// These settings with every `${NAME}` replaced, checked for use.
    fn resolve(&self, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let mut resolved = self.clone();
        let mut issues = Vec::new();
        let mut replace = |field: &str, written: &mut Option<String>, check: fn(&str) -> Result<(), &'static str>| {
            let Some(text) = written else { return };
            let outcome = reference::resolve(text, environment)
                .and_then(|value| check(&value).map(|()| value).map_err(str::to_owned));
            match outcome {
                Ok(value) => *text = value,
                Err(msg) => issues.push(FieldIssue::new("value_error", vec![field.into()], msg, Value::Null)),
            }
        };
        replace("base_url", &mut resolved.base_url, check_url);
        replace("default_model", &mut resolved.default_model, |_| Ok(()));
        let mut key = resolved.api_key.as_ref().map(|key| key.expose().to_owned());
        replace("api_key", &mut key, check_key);
        resolved.api_key = key.map(Secret::new);
        if issues.is_empty() { Ok(resolved) } else { Err(issues) }
    }

    /// Scheme, host and port of the server, if there is one.
    pub fn origin(&self) -> Option<String> {
        let url = Url::parse(self.base_url.as_deref()?).ok()?;
        Some(url.origin().ascii_serialization())
    }
}

fn check_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
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

fn check_key(text: &str) -> Result<(), &'static str> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("Input should be printable ASCII without blanks")
    }
}

/// A partial change of [`LlmSettings`]: one layer of the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LlmPatch {
    base_url: Patch<String>,
    default_model: Patch<String>,
    api_key: Patch<Secret>,
    timeout_seconds: Patch<i64>,
    max_retries: Patch<i64>,
    temperature: Patch<f64>,
    max_tokens: Patch<i64>,
    provider: Patch<LlmProvider>,
    fallback_models: Patch<Vec<String>>,
}

/// The names of the nine fields, in the order of [`LlmPatch`].
type Names = [&'static str; 9];

const JSON: Names = [
    "base_url",
    "default_model",
    "api_key",
    "timeout_seconds",
    "max_retries",
    "temperature",
    "max_tokens",
    "provider",
    "fallback_models",
];

const VARIABLES: Names = [
    "LLM_BASE_URL",
    "LLM_DEFAULT_MODEL",
    "LLM_API_KEY",
    "LLM_TIMEOUT_SECONDS",
    "LLM_MAX_RETRIES",
    "LLM_TEMPERATURE",
    "LLM_MAX_TOKENS",
    "LLM_PROVIDER",
    "LLM_FALLBACK_MODELS",
];

impl LlmPatch {
    /// From a JSON file: a missing field keeps, null clears.
    pub fn from_json(fields: &mut Fields<'_>) -> Self {
        Self::read(fields, JSON)
    }

    pub(super) fn from_variables(fields: &mut Fields<'_>) -> Self {
        Self::read(fields, VARIABLES)
    }

    /// From the body of a PUT: missing, null and (for the key) the mask keep, `""` clears.
    pub fn from_put(body: &Map<String, Value>) -> (Self, Vec<FieldIssue>) {
        let empty_clears = ["base_url", "default_model", "api_key", "max_tokens", "provider"];
        let mut object = Map::new();
        for (key, value) in body {
            let given = match value.as_str().map(str::trim) {
                Some("") if empty_clears.contains(&key.as_str()) => Value::Null,
                Some(MASK) if key == "api_key" => continue,
                _ if value.is_null() => continue,
                _ => value.clone(),
            };
            object.insert(key.clone(), given);
        }
        let mut fields = Fields::new(&object, vec!["body".into()]);
        let patch = Self::read(&mut fields, JSON);
        (patch, fields.into_issues())
    }

    fn read(fields: &mut Fields<'_>, names: Names) -> Self {
        let [base_url, default_model, api_key, timeout, retries, temperature, max_tokens, provider, fallback] = names;
        let mut text = |name| fields.patch::<String>(name).map(|text| text.trim().to_owned());
        let (base_url, default_model, api_key) = (text(base_url), text(default_model), text(api_key));
        let mut int = |name, range| {
            let patch = fields.patch(name);
            fields.bound(name, patch, range)
        };
        let (timeout_seconds, max_retries, max_tokens) =
            (int(timeout, 1..=3600), int(retries, 0..=10), int(max_tokens, 1..=10_000_000));
        let degrees = fields.patch(temperature);
        Self {
            base_url,
            default_model,
            api_key: api_key.map(Secret::new),
            timeout_seconds,
            max_retries,
            temperature: fields.bound(temperature, degrees, 0.0..=2.0),
            max_tokens,
            provider: fields.patch(provider),
            fallback_models: fields.patch(fallback),
        }
    }

    /// This change on top of an earlier one.
    pub fn over(self, earlier: Self) -> Self {
        Self {
            base_url: self.base_url.over(earlier.base_url),
            default_model: self.default_model.over(earlier.default_model),
            api_key: self.api_key.over(earlier.api_key),
            timeout_seconds: self.timeout_seconds.over(earlier.timeout_seconds),
            max_retries: self.max_retries.over(earlier.max_retries),
            temperature: self.temperature.over(earlier.temperature),
            max_tokens: self.max_tokens.over(earlier.max_tokens),
            provider: self.provider.over(earlier.provider),
            fallback_models: self.fallback_models.over(earlier.fallback_models),
        }
    }

    /// Whether the change says anything about the key.
    pub fn touches_key(&self) -> bool {
        !self.api_key.is_keep()
    }

    /// Which of the nine fields the change touches.
    fn touched(&self) -> [bool; 9] {
        [
            !self.base_url.is_keep(),
            !self.default_model.is_keep(),
            !self.api_key.is_keep(),
            !self.timeout_seconds.is_keep(),
            !self.max_retries.is_keep(),
            !self.temperature.is_keep(),
            !self.max_tokens.is_keep(),
            !self.provider.is_keep(),
            !self.fallback_models.is_keep(),
        ]
    }

    /// The form in which the change is stored: it holds the key in clear, so it goes to the store only.
    pub fn to_stored(&self) -> Value {
        fn value<T: serde::Serialize + Clone>(patch: &Patch<T>) -> Option<Value> {
            match patch {
                Patch::Keep => None,
                Patch::Clear => Some(Value::Null),
                Patch::Set(value) => Some(json!(value)),
            }
        }
        let values = [
            value(&self.base_url),
            value(&self.default_model),
            value(&self.api_key.clone().map(|key| key.expose().to_owned())),
            value(&self.timeout_seconds),
            value(&self.max_retries),
            value(&self.temperature),
            value(&self.max_tokens),
            value(&self.provider.clone().map(LlmProvider::as_str)),
            value(&self.fallback_models),
        ];
        let given = JSON.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(given.collect())
    }
}

/// The layers of the LLM connection and what they come to.
#[derive(Clone, Debug, Default)]
pub struct LlmSection {
    file: LlmPatch,
    environment: LlmPatch,
    stored: LlmPatch,
    written: LlmSettings,
    effective: LlmSettings,
}

impl LlmSection {
    /// Stacks the layers; the error lists what can't be used, by JSON field.
    pub(super) fn new(
        file: LlmPatch,
        environment: LlmPatch,
        stored: LlmPatch,
        variables: &Environment,
    ) -> Result<Self, Vec<FieldIssue>> {
        let mut written = LlmSettings::default();
        for layer in [&file, &environment, &stored] {
            written.apply(layer);
        }
        let effective = written.resolve(variables)?;
        Ok(Self { file, environment, stored, written, effective })
    }

    /// This section with another stored layer.
    pub fn with_stored(&self, stored: LlmPatch, variables: &Environment) -> Result<Self, Vec<FieldIssue>> {
        Self::new(self.file.clone(), self.environment.clone(), stored, variables).map_err(|issues| {
            let in_body =
                |issue: FieldIssue| FieldIssue { loc: [vec![Segment::from("body")], issue.loc].concat(), ..issue };
            issues.into_iter().map(in_body).collect()
        })
    }

    /// What was changed through the API.
    pub fn stored(&self) -> &LlmPatch {
        &self.stored
    }

    /// The values as they were written, `${NAME}` included: for showing.
    pub fn written(&self) -> &LlmSettings {
        &self.written
    }

    /// The values to work with.
    pub fn effective(&self) -> &LlmSettings {
        &self.effective
    }

    /// The variables that are set, but overridden by what was changed through the API.
    pub fn overridden_variables(&self) -> Vec<&'static str> {
        let both = self.environment.touched().into_iter().zip(self.stored.touched());
        VARIABLES.iter().zip(both).filter(|(_, (env, stored))| *env && *stored).map(|(name, _)| *name).collect()
    }

    pub(super) fn variable_of(field: &str) -> Option<&'static str> {
        let index = JSON.iter().position(|name| *name == field)?;
        VARIABLES.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(body: Value) -> LlmPatch {
        let (patch, issues) = LlmPatch::from_put(body.as_object().unwrap());
        assert_eq!(issues, []);
        patch
    }

    #[test]
    fn null_and_mask_keep_and_empty_clears() {
        let first = patch(json!({"base_url": "http://a", "api_key": "k", "max_tokens": "12", "temperature": 1}));
        let second = patch(json!({"base_url": null, "api_key": MASK, "max_tokens": "", "default_model": "m"}));
        let section = LlmSection::default().with_stored(second.over(first), &Environment::default()).unwrap();
        let llm = section.effective();
        assert_eq!(llm.base_url.as_deref(), Some("http://a"));
        assert_eq!(llm.api_key.as_ref().map(Secret::expose), Some("k"));
        assert_eq!((llm.max_tokens, llm.temperature, llm.default_model.as_deref()), (None, 1.0, Some("m")));
    }

    #[test]
    fn what_is_stored_reads_back_the_same() {
        let original = patch(json!({"base_url": "http://a", "api_key": "k", "max_tokens": "", "timeout_seconds": "30",
            "provider": "ollama", "fallback_models": "b, c"}));
        let stored = original.to_stored();
        let mut fields = Fields::new(stored.as_object().unwrap(), Vec::new());
        assert_eq!(LlmPatch::from_json(&mut fields), original);
        assert_eq!(fields.into_issues(), []);
    }

    #[test]
    fn a_stored_value_wins_over_the_environment_and_is_named() {
        let variables = Environment::from_pairs([("LLM_BASE_URL", "http://env"), ("LLM_DEFAULT_MODEL", "env-model")]);
        let environment = LlmPatch::from_variables(&mut variables.fields());
        let stored = patch(json!({"default_model": "api-model"}));
        let section = LlmSection::new(LlmPatch::default(), environment, stored, &variables).unwrap();
        assert_eq!(section.effective().base_url.as_deref(), Some("http://env"));
        assert_eq!(section.effective().default_model.as_deref(), Some("api-model"));
        assert_eq!(section.overridden_variables(), ["LLM_DEFAULT_MODEL"]);
    }

    #[test]
    fn urls_that_cannot_be_used_are_refused() {
        let urls =
            ["localhost:11434", "ftp://a", "http://", "http://u:p@a", "http://a?x=1", "http://a#f", "${MISSING}"];
        for url in urls {
            let section = LlmSection::default().with_stored(patch(json!({"base_url": url})), &Environment::default());
            assert_eq!(section.unwrap_err().first().unwrap().path(), "body.base_url", "{url}");
        }
    }
}
