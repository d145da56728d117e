use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use regex::{Captures, Regex};

use crate::kernel::{MASK, Secret, SecretUrl};
use crate::settings::{Resource, Settings, SharedSettings};

/// As many bytes of a secret as it is found by. Shorter ones are placeholders.
const PREFIX: usize = 12;

/// Masks secrets in log lines: those of the settings wherever they stand, and whatever looks like one.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    settings: RwLock<Option<SharedSettings>>,
    known: RwLock<Arc<Known>>,
}

/// The secrets of one set of settings.
#[derive(Debug, Default)]
struct Known {
    of: Option<Settings>,
    secrets: Secrets,
}

/// Secrets by how they begin, so that a search takes as long as the text, however many there are.
#[derive(Debug, Default)]
struct Secrets(HashMap<[u8; PREFIX], Vec<Secret>>);

impl Redactor {
    /// Masks the secrets of these settings from now on, whatever they become.
    pub(super) fn follow(&self, settings: SharedSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Some(settings);
    }

    /// `text` without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        mask_patterns(&self.known().secrets.mask(text))
    }

    /// The secrets of the settings as they are now; collected anew when they have changed.
    fn known(&self) -> Arc<Known> {
        let known = Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner));
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = settings.as_ref().map(SharedSettings::snapshot) else { return known };
        if known.of.as_ref().is_some_and(|then| same_secrets(then, &now)) {
            return known;
        }
        let known = Arc::new(Known { secrets: Secrets::of(&now), of: Some(now) });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&known);
        known
    }
}

/// Whether none of the sections with secrets has changed.
fn same_secrets(then: &Settings, now: &Settings) -> bool {
    Arc::ptr_eq(&then.llm, &now.llm)
        && Arc::ptr_eq(&then.agents, &now.agents)
        && Arc::ptr_eq(&then.datasources, &now.datasources)
        && Arc::ptr_eq(&then.tools, &now.tools)
        && Arc::ptr_eq(&then.storage, &now.storage)
}

impl Secrets {
    fn of(settings: &Settings) -> Self {
        fn all<T: Resource>(settings: &Settings) -> Vec<Secret> {
            let entries = T::catalog(settings).iter();
            entries.flat_map(|entry| entry.effective.secrets()).map(|(_, secret)| secret).collect()
        }
        let storage = [&settings.storage.redis_url, &settings.storage.postgres_dsn];
        let passwords = storage.into_iter().flatten().filter_map(|url| SecretUrl::new(url.expose()).password());
        let key = settings.llm.effective().api_key.clone();
        let mut secrets = Self::default();
        let of_resources = [
            all::<crate::settings::AgentSettings>(settings),
            all::<crate::settings::DataSourceSettings>(settings),
            all::<crate::settings::ToolSettings>(settings),
        ];
        for secret in of_resources.into_iter().flatten().chain(passwords).chain(key) {
            // One in a URL may be quoted as it is written there, or decoded.
            let decoded = percent_encoding::percent_decode_str(secret.expose()).decode_utf8_lossy().into_owned();
            if decoded != secret.expose() {
                secrets.add(Secret::new(decoded));
            }
            secrets.add(secret);
        }
        secrets
    }

    fn add(&mut self, secret: Secret) {
        if let Some(prefix) = secret.expose().as_bytes().first_chunk::<PREFIX>() {
            self.0.entry(*prefix).or_default().push(secret);
        }
    }

    fn mask(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        let (mut masked, mut rest, mut at) = (String::new(), text, 0);
        while let Some(prefix) = rest.as_bytes().get(at..).and_then(<[u8]>::first_chunk::<PREFIX>) {
            let here = rest.get(at..).unwrap_or_default();
            let found = self.0.get(prefix).into_iter().flatten().filter(|secret| here.starts_with(secret.expose()));
            match found.map(|secret| secret.expose().len()).max() {
                Some(length) => {
                    masked.push_str(rest.get(..at).unwrap_or_default());
                    masked.push_str(MASK);
                    (rest, at) = (here.get(length..).unwrap_or_default(), 0);
                }
                None => at += 1,
            }
        }
        masked + rest
    }
}

/// What looks like a secret by what stands before it: `Authorization: ...`, `api_key=...`, `Bearer ...`, `//user:...@`.
fn mask_patterns(text: &str) -> String {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let value = r#"[^\s"',;&})\]]+"#;
        let patterns = [
            format!(r#"(?<named>authorization\\?["']?\s*[:=]\s*\\?["']?(?:(?:bearer|basic|token)\s+)?){value}"#),
            format!(r#"(?<key>(?:api[_-]?key|token|password|passwd|secret)\\?["']?\s*[:=]\s*\\?["']?){value}"#),
            r"(?<bearer>\bbearer\s+)[a-z0-9+/=_.~-]{8,}".to_owned(),
            r"(?<url>://[^\s/@:]*:)[^\s/@]+@".to_owned(),
        ];
        Regex::new(&format!("(?i){}", patterns.join("|"))).ok()
    });
    let Some(pattern) = PATTERN.as_ref() else { return text.to_owned() };
    let mask = |found: &Captures<'_>| {
        let kept = ["named", "key", "bearer"].into_iter().find_map(|name| found.name(name));
        match (kept, found.name("url")) {
            (_, Some(url)) => format!("{}{MASK}@", url.as_str()),
            (kept, None) => format!("{}{MASK}", kept.map_or("", |kept| kept.as_str())),
        }
    };
    pattern.replace_all(text, mask).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::{Environment, load};

    #[test]
    fn what_looks_like_a_secret_is_masked() {
        let cases = [
            ("Authorization: Bearer abc.def", "Authorization: Bearer ********"),
            (r#"{"authorization":"Basic dXNlcjpwYXNz"}"#, r#"{"authorization":"Basic ********"}"#),
            ("sent bearer sk-12345678 to it", "sent bearer ******** to it"),
            ("GET /x?api_key=abc&y=1", "GET /x?api_key=********&y=1"),
            (r#""password": "hunter2", "x": 1"#, r#""password": "********", "x": 1"#),
            ("at postgres://u:p%40w@db:5432/x", "at postgres://u:********@db:5432/x"),
            ("redis://:pw123@cache", "redis://:********@cache"),
            ("a bearer of news", "a bearer of news"),
            ("http://host:80/a@b and max_tokens=5 and 12:30", "http://host:80/a@b and max_tokens=5 and 12:30"),
            ("prompt_tokens=7 tokens", "prompt_tokens=7 tokens"),
        ];
        for (text, expected) in cases {
            assert_eq!(mask_patterns(text), expected);
        }
    }

    #[test]
    fn the_pattern_is_one() {
        assert_ne!(mask_patterns("Bearer 12345678"), "Bearer 12345678");
    }

    #[test]
    fn secrets_of_the_settings_are_masked_wherever_they_stand() {
        let environment = Environment::from_pairs([
            ("LLM_API_KEY", "sk-canary-of-the-llm"),
            ("EXTERNAL_AGENTS", r#"{"a": {"url": "http://a", "auth_token": "canary-of-an-agent"}}"#),
            ("DATASOURCES", r#"{"d": {"type": "postgres", "url": "postgres://u:canary%40of-db@h/x"}}"#),
            ("REDIS_URL", "redis://:canary-of-redis@h/0"),
        ]);
        let redactor = Redactor::default();
        redactor.follow(SharedSettings::new(load(environment).unwrap()));
        let text = "é sk-canary-of-the-llm|canary-of-an-agent|canary@of-db|canary%40of-db|canary-of-redis é";
        let masked = redactor.text(text);
        assert_eq!(masked, "é ********|********|********|********|******** é");
    }

    proptest! {
        #[test]
        fn nothing_of_a_secret_is_left(before in ".{0,20}", secret in "[a-zé]{12,20}", after in ".{0,20}") {
            let mut secrets = Secrets::default();
            secrets.add(Secret::new(secret.as_str()));
            let masked = secrets.mask(&format!("{before}{secret}{after}{secret}"));
            prop_assert!(!masked.contains(&secret), "{}", masked);
            prop_assert_eq!(secrets.mask("nothing to hide here"), "nothing to hide here");
        }
    }
}
