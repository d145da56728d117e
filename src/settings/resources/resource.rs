use std::fmt::Debug;

use serde::Serialize;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::meaning::same_members;
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

    /// Those of its fields that are masked when it is shown, in clear.
    fn exposed(&self) -> Value;

    /// The fields with their credentials in clear: for the store only.
    fn to_stored(&self) -> Map<String, Value> {
        let objects = [serde_json::to_value(self).unwrap_or_default(), self.exposed()];
        let fields = objects.iter().filter_map(Value::as_object).flatten();
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Whether `other` means the same as this one, so that there is nothing to change.
    fn means_the_same(&self, other: &Self, _environment: &Environment) -> bool {
        same_members(&self.to_stored(), &other.to_stored())
    }

    /// This resource with every `${NAME}` replaced, checked for use.
    fn resolve(&self, environment: &Environment) -> Result<Self, Vec<FieldIssue>>;

    /// What the operator does not allow of it. Looked at when a request brings it, not when the server starts: what is stored
    /// already fails when it is used.
    fn forbidden(&self, _environment: &Environment) -> Vec<FieldIssue> {
        Vec::new()
    }

    /// The variables that it refers to as `${NAME}`, and where.
    fn references(&self) -> Vec<(Vec<Segment>, String)> {
        let (mut fields, mut found) = (self.to_stored(), Vec::new());
        fields.retain(|field, _| Self::RESOLVED.contains(&field.as_str()));
        visit_texts(&mut Vec::new(), &mut Value::Object(fields), &mut |at, text| {
            found.extend(reference::variable(text).map(|name| (at.to_vec(), name.to_owned())));
        });
        found
    }

    /// Its credentials as written, and the field of each.
    fn secrets(&self) -> Vec<(&'static str, Secret)>;

    /// Where its credentials go and how.
    fn credential_origin(&self) -> CredentialOrigin;

    /// Whether it may be used.
    fn enabled(&self) -> bool;

    /// Its kind, if resources of this sort have one.
    fn kind(&self) -> Option<&str> {
        None
    }

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
}

impl<'a> Resolver<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment, issues: Vec::new() }
    }

    /// The URL with its reference replaced; `check` says what is wrong with it.
    pub(super) fn url(&mut self, written: &SecretUrl, check: impl Fn(&SecretUrl) -> Result<(), String>) -> SecretUrl {
        let url = SecretUrl::new(self.text(&["url".into()], written.expose()));
        if let Err(msg) = check(&url) {
            // As it was written: what a variable holds may be anything.
            let shown = Value::String(written.to_string());
            self.issues.push(FieldIssue::new("value_error", vec!["url".into()], msg, shown));
        }
        url
    }

    pub(super) fn token(&mut self, written: Option<&Secret>) -> Option<Secret> {
        written.map(|token| Secret::new(self.text(&["auth_token".into()], token.expose())))
    }

    pub(super) fn properties(&mut self, field: &str, written: &Properties) -> Properties {
        let mut object = Value::Object(written.expose().clone());
        visit_texts(&mut vec![field.into()], &mut object, &mut |at, text| *text = self.text(at, text));
        Properties::new(object.as_object_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Tells of a value that can't be used.
    pub(super) fn reject(&mut self, at: Vec<Segment>, msg: &str, input: Value) {
        self.issues.push(FieldIssue::new("value_error", at, msg, input));
    }

    /// Tells of values that can't be used.
    pub(super) fn reject_all(&mut self, issues: impl IntoIterator<Item = FieldIssue>) {
        self.issues.extend(issues);
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<FieldIssue>> {
        if self.issues.is_empty() { Ok(value) } else { Err(self.issues) }
    }

    fn text(&mut self, at: &[Segment], written: &str) -> String {
        reference::resolve(written, self.environment).unwrap_or_else(|msg| {
            // More would not be told.
            if self.issues.len() < Error::MAX_ISSUES {
                let issue = FieldIssue::new("value_error", at.to_vec(), msg, Value::String(written.to_owned()));
                self.issues.push(issue);
            }
            String::new()
        })
    }
}

/// Shows `visit` each text in a JSON value that stands at `at`, and where it stands.
pub(super) fn visit_texts(at: &mut Vec<Segment>, value: &mut Value, visit: &mut impl FnMut(&[Segment], &mut String)) {
    let mut below = |segment: Segment, value: &mut Value| {
        at.push(segment);
        visit_texts(at, value, visit);
        at.pop();
    };
    match value {
        Value::String(text) => visit(at, text),
        Value::Array(items) => (0..).zip(items).for_each(|(index, item)| below(Segment::Index(index), item)),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| below(key.as_str().into(), value)),
        _ => {}
    }
}

/// Checks the base URL of an HTTP service: `None` if it can be used, else what was expected.
pub(super) fn check_http_url(url: &SecretUrl) -> Result<(), String> {
    url.check_unambiguous()?;
    let Some(parsed) = parse_http_url(url) else {
        let has_odd_host = url.parse().is_some_and(|parsed| parsed.has_host() && !has_usable_host(&parsed));
        return Err(match has_odd_host {
            true => "Input should be a URL whose host has letters, digits and . - _ only".to_owned(),
            false => "Input should be a URL that starts with http:// or https://".to_owned(),
        });
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

/// The URL of an HTTP service, taken apart; `None` if it is none. Parsers forgive missing slashes and more; other programs may not.
pub(in crate::settings) fn parse_http_url(url: &SecretUrl) -> Option<Url> {
    let lower = url.expose().to_ascii_lowercase();
    let starts_well = lower.starts_with("http://") || lower.starts_with("https://");
    url.parse().filter(|parsed| starts_well && is_plain(url.expose()) && has_usable_host(parsed))
}

/// Parsers take names with characters that no host's name has.
fn has_usable_host(url: &Url) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(&c);
    match url.host() {
        Some(Host::Domain(name)) => name.chars().all(is_of_name),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        let refused = |url: &str| check_http_url(&SecretUrl::new(url)).err().unwrap_or_default();
        for url in
            ["http://a", "HTTPS://my_host.example.:8443/x", "http://127.0.0.1:9", "http://[::1]/", "http://münchen.de"]
        {
            assert_eq!(refused(url), "", "{url}");
        }
        for url in ["http://a*", "http://a,b", "http://{host}/x", "http://a$b"] {
            assert_eq!(refused(url), "Input should be a URL whose host has letters, digits and . - _ only", "{url}");
        }
        assert_eq!(refused("ftp://a"), "Input should be a URL that starts with http:// or https://");
    }
}
