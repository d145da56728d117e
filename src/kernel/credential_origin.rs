use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::mask::is_credential_name;
use super::url_origin::UrlOrigin;
use super::{FieldIssue, MASK, Properties, SecretUrl, Segment};

/// Where the credentials of a connection go and how, by the names of the settings that decide on it.
#[derive(Default)]
pub struct CredentialOrigin(BTreeMap<String, OriginPart>);

#[derive(PartialEq)]
enum OriginPart {
    Url(UrlOrigin),
    /// Anything else, which may not change.
    Setting(Value),
}

impl CredentialOrigin {
    /// With a URL that credentials are sent to.
    pub fn url(mut self, name: &str, url: &SecretUrl) -> Self {
        self.0.insert(name.to_owned(), OriginPart::Url(url.origin()));
        self
    }

    /// With a setting that has a say in who gets a credential; null counts as not set.
    pub fn setting(mut self, name: &str, value: Value) -> Self {
        if !value.is_null() {
            self.0.insert(name.to_owned(), OriginPart::Setting(value));
        }
        self
    }

    /// With whatever in these free settings is about the transport, such as `verify_tls` or `proxy`.
    pub fn transport(mut self, name: &str, properties: &Properties) -> Self {
        let mut open = vec![(name.to_owned(), Value::Object(properties.masked()))];
        while let Some((name, value)) = open.pop() {
            for (key, value) in members(value) {
                let below = format!("{name}.{key}");
                if is_transport(&key) {
                    self = self.setting(&below, value);
                } else {
                    open.push((below, value));
                }
            }
        }
        self
    }

    /// Whether this leads away from `stored`, and each server that it leads to instead is on this machine.
    pub fn leaves_for_loopback(&self, stored: &Self) -> bool {
        let is_kept = |given: &&UrlOrigin| stored.urls().any(|stored| given.accepts_credential_of(stored));
        let mut moved = self.urls().filter(|given| !is_kept(given)).peekable();
        let is_other = |given: &UrlOrigin| stored.urls().all(|stored| !given.is_same_server(stored));
        moved.peek().is_some() && moved.all(|given| given.is_loopback() && is_other(given))
    }

    fn urls(&self) -> impl Iterator<Item = &UrlOrigin> {
        self.0.values().filter_map(|part| match part {
            OriginPart::Url(url) => Some(url),
            OriginPart::Setting(_) => None,
        })
    }

    /// The first setting that differs from `stored` in a way that is not for the better.
    fn first_unsafe_change<'a>(&'a self, stored: &'a Self) -> Option<&'a str> {
        let keeps = |given: &OriginPart, stored: Option<&OriginPart>| match (given, stored) {
            (OriginPart::Url(given), Some(OriginPart::Url(stored))) => given.accepts_credential_of(stored),
            (given, stored) => Some(given) == stored,
        };
        let changed = self.0.iter().find(|(name, part)| !keeps(part, stored.0.get(*name)));
        let removed = stored.0.iter().find(|(name, _)| !self.0.contains_key(*name));
        changed.or(removed).map(|(name, _)| name.as_str())
    }
}

/// A kept credential stays with the server, account and database that it was given for, over a connection that is no less
/// protected. `kept` says where a credential stands that a change keeps, if there is one.
pub fn check_credential_origin(
    stored: &CredentialOrigin,
    given: &CredentialOrigin,
    kept: impl FnOnce() -> Option<Vec<Segment>>,
) -> Result<(), FieldIssue> {
    let Some(moved) = given.first_unsafe_change(stored) else { return Ok(()) };
    let Some(loc) = kept() else { return Ok(()) };
    let holds_others =
        loc.last().is_none_or(|last| ["url", "config", "metadata"].iter().any(|it| *last == (*it).into()));
    let again =
        if holds_others { "have its credentials entered again" } else { "be entered again, or left empty for none" };
    let msg = format!(
        "Input should {again}: '{moved}' would send what is stored to another server, account or program, or over a weaker \
         connection"
    );
    Err(FieldIssue::new("value_error", loc, msg, MASK.into()))
}

impl fmt::Debug for CredentialOrigin {
    /// Names only: the arguments of a program may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn members(value: Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(map) => map.into_iter().collect(),
        Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => Vec::new(),
    }
}

/// Whether a setting of this name is about how a connection is made, in the words of common drivers.
fn is_transport(name: &str) -> bool {
    let beginnings = ["ssl", "tls", "gssenc"];
    let whole = ["verify", "insecure", "proxy", "proxies", "cert", "certs", "certificate", "certificates", "trust"];
    let joined = ["channelbinding", "publickey", "unauthorized", "trustserver"];
    let words = words(name);
    let is_word = |word: &String| {
        whole.contains(&word.as_str()) || word.ends_with("proxy") || beginnings.iter().any(|it| word.starts_with(it))
    };
    let all = words.concat();
    !is_credential_name(&all) && (words.iter().any(is_word) || joined.iter().any(|it| all.contains(it)))
}

/// The words of a name such as `ssl-mode`, `verify_tls` or `tlsInsecure`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn origin(url: &str, config: Value) -> CredentialOrigin {
        let config = Properties::new(config.as_object().cloned().unwrap_or_default());
        CredentialOrigin::default().url("url", &SecretUrl::new(url)).transport("config", &config)
    }

    #[test]
    fn words_of_drivers_tell_what_is_about_the_transport() {
        let transport = "sslmode ssl-mode SSL_ROOT_CERT verify_tls tlsInsecure trustServerCertificate insecure https_proxy httpProxy \
            allowPublicKeyRetrieval rejectUnauthorized channel_binding gssencmode verify SSL";
        assert!(transport.split_whitespace().all(is_transport));
        let other =
            "concert_id approximate trusted_since max_rows description intents verified_by certainty tools name";
        assert!(!other.split_whitespace().any(is_transport));
    }

    #[test]
    fn what_decides_on_the_transport_stays_and_the_rest_may_change() {
        let stored = origin("https://h/a", json!({"verify_tls": true, "max_rows": 5, "net": {"proxy": "http://p"}}));
        let rows = [
            (origin("https://h/b", json!({"verify_tls": true, "max_rows": 9, "net": {"proxy": "http://p"}})), None),
            (origin("http://h/a", json!({"verify_tls": true, "net": {"proxy": "http://p"}})), Some("url")),
            (
                origin("https://h/a", json!({"verify_tls": false, "net": {"proxy": "http://p"}})),
                Some("config.verify_tls"),
            ),
            (
                origin("https://h/a", json!({"verify_tls": true, "net": {"proxy": "http://q"}})),
                Some("config.net.proxy"),
            ),
            (origin("https://h/a", json!({"verify_tls": true})), Some("config.net.proxy")),
            (
                origin("https://h/a", json!({"verify_tls": true, "net": {"proxy": "http://p"}, "tlsInsecure": true})),
                Some("config.tlsInsecure"),
            ),
        ];
        for (given, moved) in rows {
            assert_eq!(given.first_unsafe_change(&stored), moved, "{given:?}");
            let kept = || Some(vec!["api_key".into()]);
            let issue = check_credential_origin(&stored, &given, kept).err();
            assert_eq!(issue.map(|issue| issue.path()), moved.map(|_| "api_key".to_owned()));
            assert_eq!(check_credential_origin(&stored, &given, || None), Ok(()), "nothing is kept");
        }
    }

    #[test]
    fn a_server_on_this_machine_is_told_from_others_and_from_the_one_before() {
        let leaves =
            |stored: &str, given: &str| origin(given, json!({})).leaves_for_loopback(&origin(stored, json!({})));
        for local in [
            "http://localhost:11434/v1",
            "http://127.0.0.1",
            "https://[::1]:1",
            "http://a.localhost.",
            "http://127.9.9.9",
        ] {
            assert!(leaves("https://api.example.com/v1", local), "{local}");
            assert!(!leaves(local, local) && !leaves(local, &format!("{local}/below")), "{local}");
            assert!(!leaves(local, "https://api.example.com/v1"), "{local}");
        }
        for other in [
            "https://localhost.example.com",
            "https://example.com",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://u@localhost@h",
            "nonsense",
        ] {
            assert!(!leaves("https://api.example.com/v1", other), "{other}");
        }
        assert!(leaves("http://localhost:1", "http://localhost:2"));
        // The same server, in another way.
        assert!(!leaves("https://localhost:1", "http://localhost:1"));
        assert!(!leaves("postgres://u@127.0.0.1/a", "postgres://u@127.0.0.1/b"));
        let none = CredentialOrigin::default();
        assert!(!none.leaves_for_loopback(&origin("http://h", json!({}))));
        let both = |more: &str| {
            CredentialOrigin::default()
                .url("url", &SecretUrl::new("http://localhost:1"))
                .url("proxy", &SecretUrl::new(more))
        };
        assert!(!both("http://h").leaves_for_loopback(&none), "one of them is elsewhere");
    }
}
