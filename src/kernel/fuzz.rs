use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::Url;

use super::near_json::repaired_json;
use super::secret_variants::secret_variants;
use super::{
    JsonError, JsonReader, MASK, Redaction, ResourceName, Secret, SecretUrl, StreamRedactor, UserId, ValueCounter,
    json_depth,
};
use crate::fuzz::{first_line, text_in_pieces};

/// Bytes from which on a secret is masked wherever it stands.
const SECRET_BYTES: usize = 12;
/// Bytes of a part of a URL from which on it hardly stands there twice by chance.
const TELLING_BYTES: usize = 8;
/// Levels that JSON may have.
const MAX_DEPTH: usize = 127;

/// Within its limit JSON is what serde_json reads, beyond it nothing; what is almost JSON becomes JSON, and JSON stays what it is.
pub(crate) fn json(data: &[u8]) {
    let expected: Result<Value, _> = serde_json::from_slice(data);
    let mut counter = ValueCounter::default();
    counter.feed(data);
    for reader in [JsonReader::embedded(), JsonReader::new(10)] {
        let most = reader.max_values();
        match (reader.read::<Value>(data), &expected) {
            (Ok(read), Ok(expected)) => {
                assert_eq!(read, *expected);
                assert!(values(&read) <= most + 1 && json_depth(&read) <= MAX_DEPTH, "{read}");
            }
            (Err(JsonError::TooManyValues(_)), _) => assert!(data.len() > most && reader.check(counter).is_err()),
            (read, expected) => assert_eq!(read.is_ok(), expected.is_ok()),
        }
        let tolerant = reader.read_tolerantly(data);
        if let Ok(value) = &tolerant {
            let written: Value = serde_json::from_str(&value.to_string()).unwrap_or_default();
            assert_eq!(written, *value);
            assert!(values(value) <= most + 1 && json_depth(value) <= MAX_DEPTH, "{value}");
        }
        if let Ok(strict) = reader.read::<Value>(data) {
            assert_eq!(tolerant.ok(), Some(strict));
        }
    }
    let repaired = repaired_json(&String::from_utf8_lossy(data));
    if let Ok(expected) = expected {
        let repaired = repaired.and_then(|text| serde_json::from_str(&text).ok());
        assert_eq!(repaired, Some(expected));
    }
}

/// How many values there are, keys among them.
fn values(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(|value| 1 + values(value)).sum::<usize>(),
        _ => 1,
    }
}

/// The first line is a secret, which `{S}` stands for in the rest: no spelling of it is shown, in whatever pieces the rest comes.
pub(crate) fn redaction(data: &[u8]) {
    let (secret, text) = first_line(data);
    // Stars that are left could make one together with a mask.
    if secret.contains('*') {
        return;
    }
    let text = text.replace("{S}", &secret);
    let redaction = Redaction::new([Secret::new(secret.as_str())]);
    let masked = redaction.text(&text);
    for spelling in secret_variants(&secret).iter().filter(|spelling| spelling.len() >= SECRET_BYTES) {
        assert!(!masked.contains(spelling.as_str()), "{spelling:?} in {masked:?}");
    }
    assert_eq!(redaction.text(&masked), masked);
    assert!(masked == text || text.len() >= SECRET_BYTES && masked.contains(MASK), "{text:?} became {masked:?}");
    for pieces in text_in_pieces(&text) {
        let mut stream = StreamRedactor::new(redaction.clone());
        let mut shown: String = pieces.iter().map(|piece| stream.push((*piece).to_owned())).collect();
        shown.push_str(&stream.finish());
        assert_eq!(shown, masked, "{pieces:?}");
        let (found, _) = redaction.mask_pieces(&pieces, true);
        assert_eq!(found.map_or(text.clone(), |pieces| pieces.concat()), masked, "{pieces:?}");
    }
    let value = json!({"said": [text, 1.5], text.as_str(): null});
    assert_eq!(redaction.to_json(&value), redaction.json(value).to_string());
}

/// The secrets of a text that may be a URL are shown nowhere, and a URL without its secrets is one that holds none.
pub(crate) fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let url = SecretUrl::new(text.as_str());
    let shown = url.to_string();
    assert_eq!(SecretUrl::new(shown.as_str()).to_string(), shown);
    assert_eq!(SecretUrl::new(shown.as_str()).unmask(&url), url);
    let secrets = url.secrets();
    let secrets = secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= TELLING_BYTES);
    let secrets = secrets.filter(|secret| !secret.contains(MASK));
    for secret in secrets.filter(|secret| occurrences(&text, secret) == 1) {
        assert!(!shown.contains(secret), "{secret:?} in {shown:?}");
    }
    let parsed = url.parse();
    if let Some(parsed) = parsed.as_ref().filter(|_| url.check_unambiguous().is_ok()) {
        let password = parsed.password().filter(|password| password.len() >= TELLING_BYTES && *password != MASK);
        if let Some(password) = password.filter(|password| occurrences(&text, password) == 1) {
            assert!(!shown.contains(password), "{password:?} in {shown:?}");
        }
    }
    let location = url.location();
    assert_eq!(location.is_some(), parsed.is_some());
    if let Some(location) = location.and_then(|location| Url::parse(&location).ok()) {
        assert!(location.username().is_empty() && location.password().is_none(), "{location}");
        assert!(location.query().is_none() && location.fragment().is_none(), "{location}");
    }
}

/// How often `part` stands in a text, overlaps included.
fn occurrences(text: &str, part: &str) -> usize {
    text.char_indices().filter(|(at, _)| text.get(*at..).is_some_and(|rest| rest.starts_with(part))).count()
}

/// Schemes of URLs that passwords are written into.
const SCHEMES: [&str; 9] = [
    "postgres://",
    "mysql://",
    "http://",
    "https://",
    "redis://",
    "rediss://",
    "mongodb+srv://",
    "jdbc:postgresql://",
    "--db=postgres://",
];

/// No three characters of a password are shown, whatever it holds, wherever a URL has it.
pub(crate) fn url_password(data: &[u8]) {
    // What stands around it is in capitals, so that three characters of it are its own.
    let password: String = String::from_utf8_lossy(data).to_lowercase().chars().take(60).collect();
    let letters: Vec<char> = password.chars().collect();
    if letters.len() < 3 || letters.iter().any(|letter| letter.is_control()) {
        return;
    }
    for scheme in SCHEMES {
        for rest in ["", ":543/SHOP", "/SHOP?SSL=OFF"] {
            let url = SecretUrl::new(format!("{scheme}U:{password}@HOST{rest}"));
            let place = format!("{scheme}U:{MASK}@HOST{rest}");
            check_pieces(&url, &letters, &place);
            assert_eq!(SecretUrl::new(url.to_string()).unmask(&url), url);
        }
    }
    for name in ["password", "api_key", "sig"] {
        let url = SecretUrl::new(format!("https://HOST/X?LIMIT=5&{name}={password}"));
        check_pieces(&url, &letters, &format!("https://HOST/X?LIMIT=5&{name}={MASK}"));
    }
}

fn check_pieces(url: &SecretUrl, letters: &[char], place: &str) {
    let shown = url.to_string();
    for piece in letters.windows(3).map(|piece| piece.iter().collect::<String>()) {
        assert!(!shown.contains(&piece) || place.contains(&piece), "{piece:?} in {shown:?}");
    }
}

/// A new name leads to itself from a path that it stands in as it is; names and users are bounded, and one-line texts.
pub(crate) fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let is_plain = |text: &str, most: usize| {
        !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
    };
    if let Ok(user) = UserId::parse(&text) {
        assert!(is_plain(user.as_str(), UserId::MAX_CHARS) && user.as_str() == text);
        assert!(!UserId::RESERVED.contains(&user.as_str()));
    }
    if let Ok(speaker) = UserId::parse_speaker(&text) {
        assert!(!speaker.as_str().starts_with(UserId::CHAT_PAGE_PREFIX) && UserId::parse(&text).is_ok());
    }
    let Ok(name) = ResourceName::parse(&text) else { return };
    assert!(is_plain(name.as_str(), ResourceName::MAX_CHARS) && name.as_str() == text);
    if name.check_new().is_err() {
        return;
    }
    for rest in ["", "/test"] {
        let url = Url::parse(&format!("http://localhost:8000/api/tools/{name}{rest}")).ok();
        let path = url.as_ref().and_then(|url| url.path().strip_prefix("/api/tools/")?.strip_suffix(rest));
        let decoded = path.and_then(|path| percent_decode_str(path).decode_utf8().ok());
        assert_eq!(decoded.as_deref(), Some(name.as_str()));
        assert!(url.is_some_and(|url| url.query().is_none() && url.fragment().is_none()));
    }
}
