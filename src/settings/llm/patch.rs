use serde_json::{Map, Value, json};

use super::LlmProvider;
use crate::kernel::{FieldIssue, Fields, MASK, Patch, Secret, Segment};
use crate::settings::{bounds, reference};

/// A partial change of [`super::LlmSettings`]: one layer of the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LlmPatch {
    pub(super) base_url: Patch<String>,
    pub(super) default_model: Patch<String>,
    pub(super) api_key: Patch<Secret>,
    pub(super) timeout_seconds: Patch<i64>,
    pub(super) max_retries: Patch<i64>,
    pub(super) temperature: Patch<f64>,
    pub(super) max_tokens: Patch<i64>,
    pub(super) provider: Patch<LlmProvider>,
    pub(super) fallback_models: Patch<Vec<String>>,
}

/// The names of the nine fields, in the order of [`LlmPatch`].
type FieldNames = [&'static str; 9];

pub(super) const JSON_NAMES: FieldNames = [
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

pub(super) const VARIABLE_NAMES: FieldNames = [
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
        Self::read(fields, JSON_NAMES)
    }

    pub(in crate::settings) fn from_variables(fields: &mut Fields<'_>) -> Self {
        Self::read(fields, VARIABLE_NAMES)
    }

    /// From the body of a PUT: missing, null and (for the key) the mask keep, `""` clears a text and `max_tokens`. A wrong
    /// field keeps too, and is among the issues.
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
        let mut fields = Fields::new(&object, Vec::new());
        let patch = Self::read(&mut fields, JSON_NAMES);
        (patch, fields.into_issues())
    }

    fn read(fields: &mut Fields<'_>, names: FieldNames) -> Self {
        let [base_url, default_model, api_key, timeout, retries, temperature, max_tokens, provider, fallback] = names;
        // An empty text in a file means "not set", as it does in a PUT.
        let mut text = |name| match fields.patch::<String>(name).map(|text| text.trim().to_owned()) {
            Patch::Set(text) if text.is_empty() => Patch::Clear,
            patch => patch,
        };
        let (base_url, default_model, api_key) = (text(base_url), text(default_model), text(api_key));
        let mut int = |name, range| {
            let patch = fields.patch(name);
            fields.bound(name, patch, range)
        };
        let (timeout_seconds, max_retries, max_tokens) = (
            int(timeout, bounds::CALL_SECONDS),
            int(retries, bounds::LLM_ATTEMPTS),
            int(max_tokens, bounds::ANSWER_TOKENS),
        );
        let degrees = fields.patch(temperature);
        Self {
            base_url,
            default_model,
            api_key: api_key.map(Secret::new),
            timeout_seconds,
            max_retries,
            temperature: fields.bound(temperature, degrees, bounds::TEMPERATURES),
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

    /// Whether the change spells a key out: neither keeps one nor refers to a variable.
    pub fn sets_literal_key(&self) -> bool {
        matches!(&self.api_key, Patch::Set(key) if reference::variable(key.expose()).is_none())
    }

    /// Issues with references to variables that are not among `released`: who may use the API may not read the environment.
    pub fn check_references(&self, released: &[String]) -> Vec<FieldIssue> {
        let text = |patch: &Patch<String>| match patch {
            Patch::Set(text) => reference::variable(text).map(str::to_owned),
            _ => None,
        };
        let key = self.api_key.clone().map(|key| key.expose().to_owned());
        let named =
            [("base_url", text(&self.base_url)), ("default_model", text(&self.default_model)), ("api_key", text(&key))];
        let refused = |(field, variable): (&str, Option<String>)| {
            let variable =
                variable.filter(|name| !released.iter().any(|released| released.eq_ignore_ascii_case(name)))?;
            let msg = format!("Input should not refer to {variable}, which API_REFERENCES does not name");
            Some(FieldIssue::new("value_error", vec![field.into()], msg, json!(format!("${{{variable}}}"))))
        };
        named.into_iter().filter_map(refused).collect()
    }

    /// The issues of a PUT in the order of the fields, as the client knows them.
    pub fn issues_in_body(mut issues: Vec<FieldIssue>) -> Vec<FieldIssue> {
        issues.sort_by_key(|issue| JSON_NAMES.iter().position(|name| *name == issue.path()));
        let in_body =
            |issue: FieldIssue| FieldIssue { loc: [vec![Segment::from("body")], issue.loc].concat(), ..issue };
        issues.into_iter().map(in_body).collect()
    }

    /// Which of the nine fields the change touches.
    pub(super) fn changed_fields(&self) -> [bool; 9] {
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
        let given = JSON_NAMES.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(given.collect())
    }
}
