use serde_json::{Map, Value};

use super::LlmSettings;
use crate::kernel::{FieldIssue, Fields, MASK, Properties};
use crate::settings::reference;

/// The nine fields, each by its name in JSON and the variable that sets it.
pub(super) const FIELDS: [(&str, &str); 9] = [
    ("base_url", "LLM_BASE_URL"),
    ("default_model", "LLM_DEFAULT_MODEL"),
    ("api_key", "LLM_API_KEY"),
    ("timeout_seconds", "LLM_TIMEOUT_SECONDS"),
    ("max_retries", "LLM_MAX_RETRIES"),
    ("temperature", "LLM_TEMPERATURE"),
    ("max_tokens", "LLM_MAX_TOKENS"),
    ("provider", "LLM_PROVIDER"),
    ("fallback_models", "LLM_FALLBACK_MODELS"),
];

/// The fields that can be left to the server, by null or by this word.
const LEFT_TO_SERVER: [&str; 2] = ["temperature", "max_tokens"];
const NONE: &str = "none";

/// One layer of the LLM connection: the fields it sets, by their JSON names; null leaves a field to the server, or stands for the
/// built-in default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::settings) struct LlmLayer(Properties);

impl LlmLayer {
    /// From JSON: a missing field keeps what lower layers say, null and an empty text leave it to the server or stand for the built-in default. A wrong
    /// field counts as missing, and is among the issues.
    pub(in crate::settings) fn from_json(object: &Map<String, Value>) -> (Self, Vec<FieldIssue>) {
        let given = FIELDS.iter().filter_map(|(name, _)| Some(((*name).to_owned(), object.get(*name)?.clone())));
        Self::read(given.collect())
    }

    /// From the variables.
    pub(in crate::settings) fn from_variables(env: &mut Fields<'_>) -> Self {
        let mut text = |variable: &&'static str| env.value(variable)?.as_str().map(str::trim);
        let given = FIELDS.iter().filter_map(|(name, variable)| Some(((*name).to_owned(), text(variable)?.into())));
        let (layer, issues) = Self::read(given.collect());
        env.extend(issues.into_iter().map(by_variable));
        layer
    }

    /// From the body of a PUT: missing, null and (for the key) the mask keep, `""` clears a text, `temperature` and `max_tokens`.
    pub(super) fn from_put(body: &Map<String, Value>) -> (Self, Vec<FieldIssue>) {
        let keeps = |name: &str, value: &Value| value.is_null() || name == "api_key" && is_mask(value);
        let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        let clears =
            |name: &str, value: &Value| (name == "provider" || LEFT_TO_SERVER.contains(&name)) && is_blank(value);
        let given = body.iter().filter(|(name, value)| !keeps(name, value));
        let given =
            given.map(|(name, value)| (name.clone(), if clears(name, value) { Value::Null } else { value.clone() }));
        Self::from_json(&given.collect())
    }

    fn read(mut given: Map<String, Value>) -> (Self, Vec<FieldIssue>) {
        let is_text = |name: &str| ["base_url", "default_model", "api_key"].contains(&name);
        for (name, value) in &mut given {
            let text = value.as_str().map(str::trim);
            let is_none =
                LEFT_TO_SERVER.contains(&name.as_str()) && text.is_some_and(|text| text.eq_ignore_ascii_case(NONE));
            if is_none || is_text(name) && text == Some("") {
                *value = Value::Null;
            }
        }
        let (settings, issues) = effective(&given);
        given.retain(|name, _| issues.iter().all(|issue| issue.path() != *name));
        // As it is stored: a number that came as a text is a number, a list one of texts.
        let normal = settings.to_stored();
        for (name, value) in given.iter_mut().filter(|(_, value)| !value.is_null()) {
            *value = normal.get(name).cloned().unwrap_or_default();
        }
        (Self(Properties::new(given)), issues)
    }

    /// This layer, with the key cleared.
    pub(super) fn without_key(&self) -> Self {
        let mut fields = self.0.expose().clone();
        fields.insert("api_key".to_owned(), Value::Null);
        Self(Properties::new(fields))
    }

    /// This layer on top of an earlier one, as one.
    pub(super) fn over(&self, earlier: &Self) -> Self {
        let mut both = earlier.0.expose().clone();
        both.extend(self.0.expose().clone());
        Self(Properties::new(both))
    }

    /// The fields in which it says something else than these settings, and those that are `kept` all the same.
    pub(super) fn differing(&self, from: &LlmSettings, kept: impl Fn(&str) -> bool) -> Self {
        let (says, is) = (self.settings().to_stored(), from.to_stored());
        let mut fields = self.0.expose().clone();
        fields.retain(|name, _| kept(name) || says.get(name) != is.get(name));
        Self(Properties::new(fields))
    }

    /// What it says on top of the built-in defaults.
    pub(super) fn settings(&self) -> LlmSettings {
        effective(self.0.expose()).0
    }

    /// Whether it says anything of this field.
    pub(in crate::settings) fn sets(&self, name: &str) -> bool {
        self.0.expose().contains_key(name)
    }

    /// Whether it spells a key out: neither leaves it as it is nor refers to a variable.
    pub(super) fn sets_literal_key(&self) -> bool {
        self.0.text("api_key").is_some_and(|key| reference::variable(key).is_none())
    }

    /// Issues with references to variables that are not among `released`: who may use the API may not read the environment.
    pub(super) fn check_references(&self, released: &[String]) -> Vec<FieldIssue> {
        let refused = |name: &str| {
            let variable = reference::variable(self.0.text(name)?)?;
            let is_released = released.iter().any(|released| released.eq_ignore_ascii_case(variable));
            (!is_released).then(|| reference::refused(vec![name.into()], variable))
        };
        ["base_url", "default_model", "api_key"].into_iter().filter_map(refused).collect()
    }

    /// The form in which it is stored, with the key in clear: for the store only.
    pub(super) fn to_stored(&self) -> Option<Value> {
        let fields = FIELDS.iter().filter_map(|(name, _)| self.0.expose().get_key_value(*name));
        let object: Map<_, _> = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        (!object.is_empty()).then_some(Value::Object(object))
    }
}

/// Whether the body of a PUT has the mask for the key.
pub(super) fn masks_key(body: &Map<String, Value>) -> bool {
    body.get("api_key").is_some_and(is_mask)
}

fn is_mask(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim() == MASK)
}

/// The issue of a field as one of the variable that sets it.
pub(in crate::settings) fn by_variable(issue: FieldIssue) -> FieldIssue {
    let variable = FIELDS.iter().find(|(name, _)| *name == issue.path()).map(|(_, variable)| vec![(*variable).into()]);
    FieldIssue { loc: variable.unwrap_or(issue.loc), ..issue }
}

/// The settings with these fields, nulls left out, and what is wrong with them.
fn effective(fields: &Map<String, Value>) -> (LlmSettings, Vec<FieldIssue>) {
    let set = fields.iter().filter(|(_, value)| !value.is_null());
    let set: Map<_, _> = set.map(|(name, value)| (name.clone(), value.clone())).collect();
    let is_left = fields.get("temperature").is_some_and(Value::is_null);
    let mut fields = Fields::new(&set, Vec::new());
    let mut settings = LlmSettings::read(&mut fields);
    settings.temperature = settings.temperature.filter(|_| !is_left);
    (settings, fields.into_issues())
}
