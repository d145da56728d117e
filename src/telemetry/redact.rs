use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use regex::{Captures, Regex};

use crate::kernel::{MASK, Secret, SecretUrl};
use crate::settings::{Environment, OutboundSettings, Resource, Settings, SharedSettings};

/// As many bytes of a secret as it is found by. Shorter ones are no secrets.
const PREFIX: usize = 6;
/// A plain word that is shorter is a placeholder, such as `ollama` for a key or `postgres` for a password; masked, it would be
/// missing all over the log.
const LONG: usize = 12;

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
        let Some(settings) = settings.as_ref() else { return known };
        let now = settings.snapshot();
        if known.of.as_ref().is_some_and(|then| same_secrets(then, &now)) {
            return known;
        }
        let known = Arc::new(Known { secrets: Secrets::of(&now, settings.environment()), of: Some(now) });
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
    fn of(settings: &Settings, environment: &Environment) -> Self {
        fn all<T: Resource>(settings: &Settings) -> Vec<Secret> {
            let entries = T::catalog(settings).iter();
            entries.flat_map(|entry| entry.effective.secrets()).map(|(_, secret)| secret).collect()
        }
        let storage = [&settings.storage.redis_url, &settings.storage.postgres_dsn];
        let urls = storage.into_iter().flatten().map(Secret::expose);
        let urls = urls.chain(OutboundSettings::PROXIES.iter().filter_map(|name| environment.get(name)));
        let of_urls = urls.flat_map(|url| SecretUrl::new(url).secrets());
        let key = settings.llm.effective().api_key.clone();
        let mut secrets = Self::default();
        let of_resources = [
            all::<crate::settings::AgentSettings>(settings),
            all::<crate::settings::DataSourceSettings>(settings),
            all::<crate::settings::ToolSettings>(settings),
        ];
        let own = environment.get("AUTH_SECRET_KEY").map(Secret::new);
        for secret in of_resources.into_iter().flatten().chain(of_urls).chain(key).chain(own) {
            secrets.add_spellings(secret.expose());
        }
        secrets
    }

    /// A secret as it is written, and as others may quote it: one in a URL decoded, one with a quote in it escaped, the token
    /// of `Bearer ...` alone.
    fn add_spellings(&mut self, secret: &str) {
        let decoded = percent_encoding::percent_decode_str(secret).decode_utf8_lossy().into_owned();
        let token = secret.rsplit(char::is_whitespace).next().unwrap_or_default();
        let escaped = |text: &str| text.escape_debug().to_string();
        let plain = [secret, &decoded, token];
        let spellings: BTreeSet<_> = plain.into_iter().flat_map(|text| [text.to_owned(), escaped(text)]).collect();
        spellings.into_iter().for_each(|spelling| self.add(Secret::new(spelling)));
    }

    fn add(&mut self, secret: Secret) {
        let text = secret.expose();
        if text.len() < LONG && text.chars().all(|c| c.is_alphabetic() || c == '-' || c == '_') {
            return;
        }
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

/// What looks like a secret by what stands before it, which stays: `Authorization: ...`, `api_key=...`, `--token ...`,
/// `Bearer ...`, `//user:...@`. Rather too much than too little.
fn mask_patterns(text: &str) -> String {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(pattern);
    let Some(pattern) = PATTERN.as_ref() else { return text.to_owned() };
    let mask = |found: &Captures<'_>| {
        let kept = found.iter().skip(1).flatten().next().map_or("", |kept| kept.as_str());
        let end = if found.get(0).is_some_and(|all| all.as_str().ends_with('@')) { "@" } else { "" };
        format!("{kept}{MASK}{end}")
    };
    pattern.replace_all(text, mask).into_owned()
}

/// Each alternative has one group: what stays.
fn pattern() -> Option<Regex> {
    let name = "(?:(?:api|access|secret|private|subscription)[_-]?key|[?&]key|token|passw(?:or)?d|passphrase|\\bpwd|secret|\\bsig)";
    // As JSON, as a variable, in a query, and as Rust's `Debug` writes an option or a value of JSON.
    let is = r#"(?:\\?["'])?\s*(?:[:=]|%3d)\s*(?:(?:some|string)\()*"#;
    let schemes = "(?:bearer|basic|token|apikey|digest|negotiate|bot)";
    let patterns = [
        format!(r#"((?:authorization|cookie){is}\\?["']?(?:{schemes}\s+)?)[^"'\r\n]+"#),
        format!(r#"({name}{is}")(?:[^"\\]|\\.)+"#),
        format!(r#"({name}{is}\\")[^"\\]+"#),
        format!(r#"({name}{is}')[^']+"#),
        format!(r#"({name}{is})[^\s"';&}})\]]+"#),
        format!(r#"(--[a-z-]*{name}(?:\s+|["'],\s*["']))[^\s"']+"#),
        r"(\bbearer\s+)[a-z0-9+/=_.~-]{8,}".to_owned(),
        r"(\bbasic\s+)[a-z0-9+/]{4,}[0-9=][a-z0-9+/=]*".to_owned(),
        r#"(://:)[^\s"'@]+@"#.to_owned(),
        r#"(://[^\s/@:"']*:)[^\s"']+@"#.to_owned(),
        r#"(://)[^\s/@:"']{16,}@"#.to_owned(),
    ];
    Regex::new(&format!("(?i){}", patterns.join("|"))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::load;

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
            ("http://host/a@b and max_tokens=5 and 12:30", "http://host/a@b and max_tokens=5 and 12:30"),
            ("at postgres://reader:Secr@t/Word#9@host/shop", "at postgres://reader:********@host/shop"),
            ("http://u:80/ss@host/x", "http://u:********@host/x"),
            ("prompt_tokens=7 tokens", "prompt_tokens=7 tokens"),
            ("Authorization: ApiKey s3cr3t", "Authorization: ApiKey ********"),
            ("authorization: AWS4-HMAC-SHA256 Credential=x, Signature=y", "authorization: ********"),
            ("Set-Cookie: id=1; path=/", "Set-Cookie: ********"),
            (r#"password: Some("hunter2"), x"#, r#"password: Some("********"), x"#),
            (r#""password": String("hunter2")"#, r#""password": String("********")"#),
            (r#"{\"password\":\"hunter2\",\"x\":1}"#, r#"{\"password\":\"********\",\"x\":1}"#),
            (r#"{"token": "two \"words\" and more", "x": 1}"#, r#"{"token": "********", "x": 1}"#),
            ("AWS_SECRET_ACCESS_KEY=abc PWD=def", "AWS_SECRET_ACCESS_KEY=******** PWD=********"),
            ("Ocp-Apim-Subscription-Key: abc", "Ocp-Apim-Subscription-Key: ********"),
            ("GET /x?key=AIza&y=1&sig=z", "GET /x?key=********&y=1&sig=********"),
            ("password%3Dhunter2", "password%3D********"),
            ("password=abc,def x", "password=******** x"),
            ("run --api-key abc now", "run --api-key ******** now"),
            (r#"["--token", "abc"]"#, r#"["--token", "********"]"#),
            ("Basic dXNlcjpwYXNzd29yZA== sent", "Basic ******** sent"),
            ("a basic functionality", "a basic functionality"),
            ("postgres://u:p@ss@h/x", "postgres://u:********@h/x"),
            ("redis://:ab/cd@h", "redis://:********@h"),
            ("https://ghp_0123456789abcdef@host/x", "https://********@host/x"),
            ("redis://user@host", "redis://user@host"),
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
            ("REDIS_URL", "redis://:Summer24!@h/0"),
            ("POSTGRES_DSN", "postgres://postgres:postgres@h/x"),
            ("HTTPS_PROXY", "http://u:canary-of-a-proxy@h:1"),
            (
                "TOOLS",
                r#"{"t": {"type": "http_request", "config": {"url": "http://t", "headers": {"X-Key": "Bearer can\"ary1"}}}}"#,
            ),
        ]);
        let redactor = Redactor::default();
        redactor.follow(SharedSettings::new(load(environment).unwrap()));
        let text = "é sk-canary-of-the-llm|canary-of-an-agent|canary@of-db|canary%40of-db|Summer24!|canary-of-a-proxy|can\"ary1|can\\\"ary1 é";
        let masked = redactor.text(text);
        assert_eq!(masked, "é ********|********|********|********|********|********|********|******** é");
        assert_eq!(redactor.text("postgres is away"), "postgres is away");
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
