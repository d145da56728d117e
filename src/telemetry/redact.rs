use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use parking_lot::RwLock;
use regex::{Captures, Regex};

use crate::kernel::MASK;
use crate::settings::SharedSettings;

/// Masks secrets in log lines: those of the settings wherever they stand, and whatever looks like one.
#[derive(Debug, Default)]
pub(super) struct Redactor(RwLock<Option<SharedSettings>>);

impl Redactor {
    /// Masks the secrets of these settings from now on, whatever they become.
    pub(super) fn set_settings(&self, settings: SharedSettings) {
        *self.0.write() = Some(settings);
    }

    /// `text` without secrets.
    pub(super) fn redact(&self, text: &str) -> String {
        match &*self.0.read() {
            Some(settings) => mask_patterns(&settings.live_redactions().log().text(text)),
            None => mask_patterns(text),
        }
    }
}

/// What looks like a secret by what stands before it, which stays: `api_key=...`, `Bearer ...`, `//user:...@`.
pub(super) fn mask_patterns(text: &str) -> String {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(pattern);
    let Some(pattern) = PATTERN.as_ref().filter(|_| may_look_like_a_secret(text)) else { return text.to_owned() };
    let mask = |found: &Captures<'_>| {
        let kept = found.iter().skip(1).flatten().next().map_or("", |kept| kept.as_str());
        let end = if found.get(0).is_some_and(|all| all.as_str().ends_with('@')) { "@" } else { "" };
        format!("{kept}{MASK}{end}")
    };
    pattern.replace_all(text, mask).into_owned()
}

/// What each of the patterns has one of.
const SIGNS: [&str; 12] = [
    "authorization",
    "cookie",
    "key",
    "token",
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "sig",
    "bearer",
    "basic",
    "://",
];

/// Whether a pattern may fit: most lines have no sign of one, which is told much faster. Other letters than ASCII's may be taken for
/// those of a sign, as the Kelvin sign is for a K.
fn may_look_like_a_secret(text: &str) -> bool {
    static FINDER: LazyLock<Option<AhoCorasick>> =
        LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(SIGNS).ok());
    !text.is_ascii() || FINDER.as_ref().is_none_or(|signs| signs.is_match(text))
}

/// Each alternative has one group: what stays.
fn pattern() -> Option<Regex> {
    let name = "(?:(?:api|access|secret|private|subscription)[_-]?key|[?&]key|token|passw(?:or)?d|passphrase|\\bpwd|secret|\\bsig)";
    // As JSON, as a variable, in a query, and as Rust's `Debug` writes an option or a value of JSON.
    let is = r#"(?:\\?["'])?\s*(?:[:=]|%3d)\s*(?:(?:some|string)\()*"#;
    let (header, schemes) = ("(?:authorization|cookie)", "(?:bearer|basic|token|apikey|digest|negotiate|bot)");
    let patterns = [
        format!(r#"({header}{is}"(?:{schemes}\s+)?)(?:[^"\\\r\n]|\\.)+"#),
        format!(r#"({header}{is}\\"(?:{schemes}\s+)?)[^"\\\r\n]+"#),
        format!(r#"({header}{is}'(?:{schemes}\s+)?)[^'\r\n]+"#),
        // Cookies and the parameters of schemes may be in quotes, so only the end of the line is that of an unquoted header.
        format!(r#"({header}{is}(?:{schemes}\s+)?)[^\s"'\\][^\r\n]*"#),
        format!(r#"({name}{is}")(?:[^"\\]|\\.)+"#),
        format!(r#"({name}{is}\\")[^"\\]+"#),
        format!(r#"({name}{is}')[^']+"#),
        format!(r#"({name}{is})(?:{schemes}\s+)?[^\s"';&}})\]]+"#),
        format!(r#"(--[a-z-]*{name}(?:\s+|["'],\s*["']))(?:{schemes}\s+)?-?[^\s"'-][^\s"']*"#),
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
            ("run --token --api-key abc", "run --token --api-key ********"),
            (r#"["--token", "abc"]"#, r#"["--token", "********"]"#),
            ("Basic dXNlcjpwYXNzd29yZA== sent", "Basic ******** sent"),
            ("a basic functionality", "a basic functionality"),
            ("postgres://u:p@ss@h/x", "postgres://u:********@h/x"),
            ("redis://:ab/cd@h", "redis://:********@h"),
            ("https://ghp_0123456789abcdef@host/x", "https://********@host/x"),
            ("redis://user@host", "redis://user@host"),
            ("x-auth-token: Bearer abc, then", "x-auth-token: ******** then"),
            ("run --token Bearer abc now", "run --token ******** now"),
            (r#"Set-Cookie: id="s3cr3t"; Path=/"#, "Set-Cookie: ********"),
            (r#"Authorization: Digest username="u", response="s3cr3t""#, "Authorization: Digest ********"),
            (r#"{"cookie":"id=\"s3cr3t\"","x":1}"#, r#"{"cookie":"********","x":1}"#),
            (r#"{\"authorization\":\"Bearer s3cr3t\",\"x\":1}"#, r#"{\"authorization\":\"Bearer ********\",\"x\":1}"#),
            ("{'Authorization': 'Bearer s3cr3t', 'x': 1}", "{'Authorization': 'Bearer ********', 'x': 1}"),
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
        redactor.set_settings(SharedSettings::new(load(environment).unwrap()));
        let text = "é sk-canary-of-the-llm|canary-of-an-agent|canary@of-db|canary%40of-db|Summer24!|canary-of-a-proxy|can\"ary1|can\\\"ary1 é";
        let masked = redactor.redact(text);
        assert_eq!(masked, "é ********|********|********|********|********|********|********|******** é");
        assert_eq!(redactor.redact("postgres is away"), "postgres is away");
    }
}
