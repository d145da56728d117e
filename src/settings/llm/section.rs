use serde_json::{Map, Value};

use super::LlmSettings;
use super::layer::{FIELDS, LlmLayer, masks_key};
use crate::kernel::{Error, ErrorKind, FieldIssue, Properties, Segment, check_credential_origin, prefixed};
use crate::settings::stored_json::json_text;
use crate::settings::{Environment, JsonFile, Keyring, Section, StoredEntry};

/// The name of its one entry.
const ENTRY: &str = "connection";

/// The layers of the LLM connection and what they come to.
#[derive(Clone, Debug)]
pub struct LlmSection {
    file: LlmLayer,
    environment: LlmLayer,
    stored: LlmLayer,
    /// What is stored and can't be decrypted.
    undecrypted: Option<StoredEntry>,
    written: LlmSettings,
    effective: LlmSettings,
}

impl LlmSection {
    /// What these layers say together; the error lists what can't be used, by JSON field.
    pub(in crate::settings) fn new(
        file: LlmLayer,
        environment: LlmLayer,
        stored: LlmLayer,
        variables: &Environment,
    ) -> Result<Self, Vec<FieldIssue>> {
        let written = stored.over(&environment.over(&file)).settings();
        let effective = written.resolve(variables)?;
        Ok(Self { file, environment, stored, undecrypted: None, written, effective })
    }

    /// With another layer of what was changed through the API.
    fn with_layer(&self, stored: LlmLayer, variables: &Environment) -> Result<Self, Vec<FieldIssue>> {
        Self::new(self.file.clone(), self.environment.clone(), stored, variables)
    }

    /// With a change from the body of a PUT: missing and null fields keep, `""` clears, and what is in effect already is not stored. All
    /// that is wrong is told at once. A stored key does not follow the base URL to another server, and one that is masked is dropped if
    /// that is a local one; `released` are the variables that the body may refer to.
    pub fn with_change(
        &self,
        body: &Map<String, Value>,
        released: &[String],
        variables: &Environment,
    ) -> Result<Self, Error> {
        // What the body leaves out is to be kept, which is not known.
        if self.undecrypted.is_some() {
            let text =
                "The stored LLM connection can't be decrypted: set its SECRETS_KEY, or DELETE the connection first";
            return Err(Error::new(ErrorKind::NotConfigured, text));
        }
        let (change, mut issues) = LlmLayer::from_put(body);
        let refused = change.check_references(released);
        match self.with_layer(self.news(&change).over(&self.stored), variables) {
            _ if !refused.is_empty() => issues.extend(refused),
            Ok(next) => match self.check_origin(&next, &change) {
                Ok(()) if issues.is_empty() => return Ok(next),
                Ok(()) => {}
                // A form that hides the field of the key for a local server sends the mask back: the key is dropped, and goes nowhere.
                Err(_) if issues.is_empty() && masks_key(body) && next.leaves_for_loopback(self) => {
                    let change = change.without_key();
                    return self.with_layer(self.news(&change).over(&self.stored), variables).map_err(Error::invalid);
                }
                Err(moved) => issues.push(moved),
            },
            Err(unusable) => issues.extend(unusable),
        }
        issues.sort_by_key(|issue| FIELDS.iter().position(|(name, _)| *name == issue.path()));
        Err(Error::invalid(prefixed(&["body".into()], issues)))
    }

    /// What there is to store of a change: what is said already goes on following its file or variable. Only a key that is spelt out
    /// stays with a URL that is stored too: it was given for that server, the next one of its variable may not be.
    fn news(&self, change: &LlmLayer) -> LlmLayer {
        let news = change.differing(&self.written, |name| self.stored.sets(name));
        let has_own_server = self.stored.sets("base_url") || news.sets("base_url");
        let kept_key = has_own_server && change.sets_literal_key();
        change.differing(&self.written, |name| self.stored.sets(name) || kept_key && name == "api_key")
    }

    /// Without what was changed through the API.
    pub fn without_changes(&self, variables: &Environment) -> Result<Self, Error> {
        self.with_layer(LlmLayer::default(), variables).map_err(Error::invalid)
    }

    /// What is stored, with the key in clear.
    fn plain_entry(&self) -> Option<StoredEntry> {
        self.stored.to_stored().map(|stored| StoredEntry::new(Self::NAME, ENTRY, 0, &json_text(&stored, 0)))
    }

    /// What is stored and can't be decrypted.
    pub(in crate::settings) fn undecrypted(&self) -> Option<&StoredEntry> {
        self.undecrypted.as_ref()
    }

    fn leaves_for_loopback(&self, before: &Self) -> bool {
        self.effective.credential_origin().leaves_for_loopback(&before.effective.credential_origin())
    }

    /// A key without a server so far goes to the first.
    fn check_origin(&self, next: &Self, change: &LlmLayer) -> Result<(), FieldIssue> {
        let (before, after) = (&self.effective, &next.effective);
        let same_key = before.api_key.is_some() && before.api_key == after.api_key;
        let is_kept = before.base_url.is_some() && same_key && !change.sets_literal_key();
        let kept = || is_kept.then(|| vec![Segment::from("api_key")]);
        check_credential_origin(&before.credential_origin(), &after.credential_origin(), kept)
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
        let both = FIELDS.iter().filter(|(name, _)| self.environment.sets(name) && self.stored.sets(name));
        both.map(|(_, variable)| *variable).collect()
    }

    /// Which layer each value comes from, by the variable that it can be set with: `default`, `file`, `environment` or `api`.
    pub fn sources(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let layers = [("api", &self.stored), ("environment", &self.environment), ("file", &self.file)];
        FIELDS.iter().map(move |(name, variable)| {
            let from = layers.iter().find(|(_, layer)| layer.sets(name));
            (*variable, from.map_or("default", |(layer, _)| *layer))
        })
    }
}

impl Default for LlmSection {
    fn default() -> Self {
        let (file, environment, stored) = Default::default();
        let written = LlmLayer::default().settings();
        Self { file, environment, stored, undecrypted: None, effective: written.clone(), written }
    }
}

impl Section for LlmSection {
    const NAME: &'static str = "llm";

    fn stored_text(&self, keyring: &Keyring) -> Result<Option<String>, Error> {
        let encrypted =
            |entry: StoredEntry| keyring.encrypted_text(&entry, &Self::shown(&entry).unwrap_or_default(), 0);
        let kept = || self.undecrypted.as_ref()?.text.as_ref().map(|text| text.expose().to_owned());
        Ok(self.plain_entry().map(encrypted).transpose()?.or_else(kept))
    }

    fn with_stored(
        &self,
        file: &JsonFile,
        keyring: &Keyring,
        environment: &Environment,
    ) -> Result<Self, Vec<FieldIssue>> {
        let object = match keyring.decrypted_object(Self::NAME, ENTRY, file.object()) {
            Ok(object) => object,
            Err(entry) => return Ok(Self { undecrypted: Some(entry), ..self.clone() }),
        };
        let (stored, mut issues) = LlmLayer::from_json(&object);
        let section = self.with_layer(stored, environment).map_err(|unusable| issues.extend(unusable));
        section.ok().filter(|_| issues.is_empty()).ok_or_else(|| prefixed(&[file.place().clone()], issues))
    }

    fn stored_since(&self, before: Option<&Self>) -> Vec<StoredEntry> {
        let entry = self.plain_entry();
        let old = before.and_then(Self::plain_entry);
        let is_given_up = self.undecrypted.is_none() && before.is_some_and(|before| before.undecrypted.is_some());
        match entry {
            same if same == old && !is_given_up => Vec::new(),
            Some(entry) => vec![entry],
            None => vec![StoredEntry::gone(Self::NAME, ENTRY)],
        }
    }

    fn with_entries(&self, entries: &[StoredEntry], environment: &Environment) -> (Self, Vec<FieldIssue>) {
        let Some(entry) = entries.iter().rfind(|entry| entry.name == ENTRY) else { return (self.clone(), Vec::new()) };
        let undecrypted = entry.undecrypted().is_some().then(|| entry.clone());
        let (layer, mut issues) = match entry.read_plain::<Map<String, Value>>() {
            Ok(object) => object.as_ref().map(LlmLayer::from_json).unwrap_or_default(),
            Err(issue) => (LlmLayer::default(), vec![issue]),
        };
        let section = if issues.is_empty() { self.with_layer(layer, environment) } else { Err(Vec::new()) };
        let section = section.unwrap_or_else(|unusable| {
            issues.extend(unusable);
            self.with_layer(LlmLayer::default(), environment).unwrap_or_else(|_| self.clone())
        });
        (Self { undecrypted, ..section }, prefixed(&[Self::NAME.into()], issues))
    }

    fn shown(entry: &StoredEntry) -> Option<Value> {
        let object: Map<String, Value> = entry.read().ok()??;
        Some(Value::Object(Properties::new(object).masked()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kernel::{MASK, Secret};

    fn layer(body: Value) -> LlmLayer {
        let (layer, issues) = LlmLayer::from_put(body.as_object().unwrap());
        assert_eq!(issues, []);
        layer
    }

    #[test]
    fn null_and_mask_keep_and_empty_clears() {
        let first = layer(json!({"base_url": "http://a", "api_key": "k", "max_tokens": "12", "temperature": 1}));
        let second = layer(json!({"base_url": null, "api_key": MASK, "max_tokens": "", "default_model": "m"}));
        let section = LlmSection::default().with_layer(second.over(&first), &Environment::default()).unwrap();
        let llm = section.effective();
        assert_eq!(llm.base_url.as_deref(), Some("http://a"));
        assert_eq!(llm.api_key.as_ref().map(Secret::expose), Some("k"));
        assert_eq!((llm.max_tokens, llm.temperature, llm.default_model.as_deref()), (None, Some(1.0), Some("m")));
        assert!(!format!("{section:?}").contains("\"k\""));
    }

    #[test]
    fn temperature_and_length_can_be_left_to_the_server() {
        assert_eq!(LlmSection::default().effective().temperature, Some(0.7));
        for (name, value) in [("LLM_TEMPERATURE", "none"), ("LLM_TEMPERATURE", "None"), ("LLM_MAX_TOKENS", "none")] {
            let variables = Environment::from_pairs([(name, value)]);
            let mut fields = variables.fields();
            let environment = LlmLayer::from_variables(&mut fields);
            assert_eq!(fields.into_issues(), [], "{name}={value}");
            let section = LlmSection::new(LlmLayer::default(), environment, LlmLayer::default(), &variables).unwrap();
            let (temperature, max_tokens) = (section.effective().temperature, section.effective().max_tokens);
            assert_eq!((temperature.is_none(), max_tokens), (name == "LLM_TEMPERATURE", None), "{name}={value}");
        }
        let cleared =
            LlmSection::default().with_layer(layer(json!({"temperature": ""})), &Environment::default()).unwrap();
        assert_eq!(cleared.effective().temperature, None);
        let again = LlmLayer::from_json(cleared.stored.to_stored().unwrap().as_object().unwrap()).0;
        assert_eq!(again.settings().temperature, None, "it stays so after a restart");
        let back = cleared.with_layer(layer(json!({"temperature": 1})), &Environment::default()).unwrap();
        assert_eq!(back.effective().temperature, Some(1.0));
    }

    #[test]
    fn what_is_stored_is_normal_and_reads_back_the_same() {
        let original =
            layer(json!({"base_url": " http://a", "api_key": "k", "max_tokens": "", "timeout_seconds": "30",
            "provider": "Ollama", "fallback_models": "b, c", "temperature": 1, "other": 1}));
        let stored = original.to_stored().unwrap();
        let expected = json!({"base_url": "http://a", "api_key": "k", "timeout_seconds": 30, "temperature": 1.0,
            "max_tokens": null, "provider": "ollama", "fallback_models": ["b", "c"]});
        assert_eq!(stored, expected);
        assert_eq!(LlmLayer::from_json(stored.as_object().unwrap()), (original, vec![]));
        assert_eq!(layer(json!({})).to_stored(), None);
    }

    #[test]
    fn a_stored_value_wins_over_the_environment_and_is_named() {
        let variables = Environment::from_pairs([("LLM_BASE_URL", "http://env"), ("LLM_DEFAULT_MODEL", "env-model")]);
        let environment = LlmLayer::from_variables(&mut variables.fields());
        let section = LlmSection::new(LlmLayer::default(), environment, LlmLayer::default(), &variables).unwrap();
        let section = section.with_layer(layer(json!({"default_model": "api-model"})), &variables).unwrap();
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
            let section = LlmSection::default().with_layer(layer(json!({"base_url": url})), &Environment::default());
            assert_eq!(section.unwrap_err().first().unwrap().path(), "base_url", "{url}");
        }
    }
}
