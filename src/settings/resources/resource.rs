use std::fmt::Debug;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::kernel::{CredentialOrigin, Error, FieldIssue, Fields, Properties, Secret, SecretUrl, Segment};
use crate::settings::bounds::{MAX_TYPE_CHARS, MAX_URL_CHARS};
use crate::settings::{Environment, reference};

/// What agents, data sources and tools have in common. Serializing one masks its credentials.
pub trait Resource: Clone + Debug + Serialize + Send + Sync + 'static {
    /// The key of its list in files, and its section of the configuration store.
    const SECTION: &'static str;
    /// What it is called in messages.
    const LABEL: &'static str;
    /// Fields that hold a credential and are kept when a change leaves them out.
    const SECRETS: &'static [&'static str];
    /// Fields in which `${NAME}` is replaced.
    const RESOLVED: &'static [&'static str];

    /// Reads all fields but the name.
    fn read(fields: &mut Fields<'_>) -> Self;

    /// The fields with their credentials in clear: for the store only.
    fn to_stored(&self) -> Map<String, Value>;

    /// This resource with every `${NAME}` replaced, checked for use.
    fn resolve(&self, environment: &Environment) -> Result<Self, Vec<FieldIssue>>;

    /// What the operator does not allow of it. Looked at when a request brings it, not when the server starts: what is stored
    /// already fails when it is used.
    fn forbidden(&self, _environment: &Environment) -> Vec<FieldIssue> {
        Vec::new()
    }

    /// The variables that it refers to as `${NAME}`, and where.
    fn references(&self) -> Vec<(Vec<Segment>, String)> {
        let fields = self.to_stored();
        let mut found = Vec::new();
        for field in Self::RESOLVED {
            let value = fields.get(*field).unwrap_or(&Value::Null);
            collect_references(&mut vec![(*field).into()], value, &mut found);
        }
        found
    }

    /// Its credentials as written, and the field of each.
    fn secrets(&self) -> Vec<(&'static str, Secret)>;

    /// Where its credentials go and how.
    fn credential_origin(&self) -> CredentialOrigin;

    /// Whether it may be used.
    fn enabled(&self) -> bool;

    /// Its kind, if resources of this sort have one.
    fn kind(&self) -> Option<&str>;

    /// What it is for, in words that a person or an LLM understands.
    fn description(&self) -> Option<&str>;
}

/// The credential of a resource; `""` means none.
pub(super) fn read_token(fields: &mut Fields<'_>) -> Option<Secret> {
    let token = fields.optional::<String>("auth_token").map(|token| token.trim().to_owned());
    if token.as_ref().is_some_and(|token| token.chars().any(char::is_control)) {
        fields.reject("auth_token", "Input should have no control characters");
    }
    token.filter(|token| !token.is_empty()).map(Secret::new)
}

/// The kind of a resource: any short text.
pub(super) fn read_kind(fields: &mut Fields<'_>) -> String {
    let kind: String = fields.required("type");
    if kind.chars().count() > MAX_TYPE_CHARS || kind.chars().any(char::is_control) {
        fields
            .reject("type", format!("Input should have at most {MAX_TYPE_CHARS} characters and no control characters"));
    }
    kind
}

/// Replaces references and collects what is wrong.
pub(super) struct Resolver<'a> {
    environment: &'a Environment,
    issues: Vec<FieldIssue>,
    /// Where the value stands that is looked at.
    at: Vec<Segment>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment, issues: Vec::new(), at: Vec::new() }
    }

    /// The URL with its reference replaced; `check` says what is wrong with it.
    pub(super) fn url(&mut self, written: &SecretUrl, check: impl Fn(&SecretUrl) -> Result<(), String>) -> SecretUrl {
        let url = SecretUrl::new(self.below("url".into(), |resolver| resolver.text(written.expose())));
        if let Err(msg) = check(&url) {
            // As it was written: what a variable holds may be anything.
            let shown = Value::String(written.to_string());
            self.issues.push(FieldIssue::new("value_error", vec!["url".into()], msg, shown));
        }
        url
    }

    pub(super) fn token(&mut self, written: Option<&Secret>) -> Option<Secret> {
        written.map(|token| Secret::new(self.below("auth_token".into(), |resolver| resolver.text(token.expose()))))
    }

    pub(super) fn properties(&mut self, field: &str, written: &Properties) -> Properties {
        Properties::new(self.below(field.into(), |resolver| resolver.object(written.expose())))
    }

    /// Tells of a value that can't be used.
    pub(super) fn reject(&mut self, at: Vec<Segment>, msg: &str, input: Value) {
        self.issues.push(FieldIssue::new("value_error", at, msg, input));
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<FieldIssue>> {
        if self.issues.is_empty() { Ok(value) } else { Err(self.issues) }
    }

    /// Does something one step further down.
    fn below<R>(&mut self, segment: Segment, what: impl FnOnce(&mut Self) -> R) -> R {
        self.at.push(segment);
        let result = what(self);
        self.at.pop();
        result
    }

    fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| self.below(Segment::Index(index), |below| below.value(item))).collect()
            }
            Value::Object(map) => Value::Object(self.object(map)),
            other => other.clone(),
        }
    }

    fn object(&mut self, map: &Map<String, Value>) -> Map<String, Value> {
        let members = map.iter();
        members.map(|(key, value)| (key.clone(), self.below(key.as_str().into(), |below| below.value(value)))).collect()
    }

    fn text(&mut self, written: &str) -> String {
        reference::resolve(written, self.environment).unwrap_or_else(|msg| {
            // More would not be told.
            if self.issues.len() < Error::MAX_ISSUES {
                let issue = FieldIssue::new("value_error", self.at.clone(), msg, Value::String(written.to_owned()));
                self.issues.push(issue);
            }
            String::new()
        })
    }
}

/// The references in a JSON value that stands at `at`.
fn collect_references(at: &mut Vec<Segment>, value: &Value, found: &mut Vec<(Vec<Segment>, String)>) {
    let mut below = |segment: Segment, value: &Value| {
        at.push(segment);
        collect_references(at, value, found);
        at.pop();
    };
    match value {
        Value::String(text) => found.extend(reference::variable(text).map(|name| (at.clone(), name.to_owned()))),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| below(Segment::Index(index), item)),
        Value::Object(map) => map.iter().for_each(|(key, value)| below(key.as_str().into(), value)),
        _ => {}
    }
}

/// Checks the base URL of an HTTP service: `None` if it can be used, else what was expected.
pub(super) fn check_http_url(url: &SecretUrl) -> Result<(), String> {
    url.check_unambiguous()?;
    let text = url.expose();
    let parsed = url.parse().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(parsed) = parsed.filter(|_| is_plain(text) && starts_with_scheme(text)) else {
        return Err("Input should be a URL that starts with http:// or https://".to_owned());
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("Input should be a URL without credentials; auth_token is the place for them".to_owned());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("Input should be a URL without query and fragment".to_owned());
    }
    Ok(())
}

/// No character that URL parsers quietly drop or bend.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars().count() <= MAX_URL_CHARS && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\')
}

fn starts_with_scheme(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}
