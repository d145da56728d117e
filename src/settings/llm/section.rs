use super::patch::{JSON_NAMES, VARIABLE_NAMES};
use super::{LlmPatch, LlmSettings};
use crate::kernel::FieldIssue;
use crate::settings::Environment;

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
    pub(in crate::settings) fn new(
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
        Self::new(self.file.clone(), self.environment.clone(), stored, variables)
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
        let both = self.environment.changed_fields().into_iter().zip(self.stored.changed_fields());
        VARIABLE_NAMES.iter().zip(both).filter(|(_, (env, stored))| *env && *stored).map(|(name, _)| *name).collect()
    }

    /// Which layer each value comes from, by the variable that it can be set with: `default`, `file`, `environment` or `api`.
    pub fn sources(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let layers = [("api", &self.stored), ("environment", &self.environment), ("file", &self.file)];
        let layers = layers.map(|(name, layer)| (name, layer.changed_fields()));
        VARIABLE_NAMES.iter().enumerate().map(move |(at, variable)| {
            let from = layers.iter().find(|(_, changed_fields)| changed_fields.get(at) == Some(&true));
            (*variable, from.map_or("default", |(name, _)| *name))
        })
    }

    pub(in crate::settings) fn variable_of(field: &str) -> Option<&'static str> {
        let index = JSON_NAMES.iter().position(|name| *name == field)?;
        VARIABLE_NAMES.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kernel::{Fields, MASK, Secret};

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
        let sources: Vec<_> = section.sources().take(3).collect();
        let expected = [("LLM_BASE_URL", "environment"), ("LLM_DEFAULT_MODEL", "api"), ("LLM_API_KEY", "default")];
        assert_eq!(sources, expected);
    }

    #[test]
    fn urls_that_cannot_be_used_are_refused() {
        let urls = [
            "localhost:11434",
            "ftp://a",
            "http://",
            "http://u:p@a",
            "http://a?x=1",
            "http://a#f",
            "${MISSING}",
            "http:a",
            "http:/a",
            "http://a\n.b",
            "http://a\\b",
        ];
        for url in urls {
            let section = LlmSection::default().with_stored(patch(json!({"base_url": url})), &Environment::default());
            assert_eq!(section.unwrap_err().first().unwrap().path(), "base_url", "{url}");
        }
    }
}
