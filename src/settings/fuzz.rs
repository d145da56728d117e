use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

pub(crate) use super::dotenv::fuzz::dotenv;
use super::{DatabaseUrl, Environment, JsonFile, RedisUrl, UrlReach, read, variable_names};
use crate::kernel::{FieldIssue, MASK, Secret, SecretUrl, is_credential_name};

/// Bytes from which on a secret hardly stands somewhere else by chance.
const TELLING_BYTES: usize = 8;

/// What a database's URL is refused for, or what changes nothing in it, is told without its secrets; what is accepted leads where it
/// may lead.
pub(crate) fn database_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let url = SecretUrl::new(text.as_str());
    for reach in [UrlReach::Network, UrlReach::Machine] {
        match DatabaseUrl::read(&url, reach) {
            Ok(read) => {
                check_silence(&url, &read.unused().unwrap_or_default());
                assert!(read.host.is_empty() == read.socket.is_some(), "{:?} {:?}", read.host, read.socket);
                assert!(!read.host.contains([',', '/']), "{}", read.host);
                let is_local = read.socket.is_some() || read.root_certificate.is_some();
                assert!(reach == UrlReach::Machine || !is_local);
            }
            Err(refusal) => check_silence(&url, &refusal),
        }
    }
    match RedisUrl::read(&url) {
        Ok(read) => {
            check_silence(&url, &read.unused().unwrap_or_default());
            let again = RedisUrl::read(&read.url).map(|again| again.url);
            assert_eq!(again, Ok(read.url));
        }
        Err(refusal) => check_silence(&url, &refusal),
    }
}

/// Whether a message quotes none of the secrets of a URL.
fn check_silence(url: &SecretUrl, message: &str) {
    let secrets = url.secrets();
    for secret in secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= TELLING_BYTES) {
        // A word of the message, or of the rest of the URL, is nothing that it tells.
        let is_elsewhere = url.to_string().contains(secret) || !secret.contains(|c: char| c.is_ascii_digit());
        assert!(is_elsewhere || !message.contains(secret), "{secret:?} in {message:?}");
    }
}

/// A file that is no JSON object is refused with its place.
pub(crate) fn config_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let expected: Result<Value, _> = serde_json::from_str(text.trim_start_matches('\u{feff}'));
    match (JsonFile::parse(Path::new("agents.json"), &text), expected) {
        (Ok(file), Ok(Value::Object(expected))) => {
            assert_eq!(*file.object(), expected);
            let mut issues = Vec::new();
            let objects = file.list("agents", &mut issues).len();
            let items = expected.get("agents").and_then(Value::as_array).map_or(1, Vec::len);
            assert_eq!(objects + issues.len(), items);
        }
        (Err(issue), expected) => {
            assert!(!matches!(expected, Ok(Value::Object(_))));
            assert!(issue.to_string().starts_with("agents.json: line "), "{issue}");
        }
        (read, _) => assert!(read.is_err(), "{text:?} is no JSON object"),
    }
}

/// Variables that name files, which a target is not to read.
const FILES: [&str; 4] = ["LLM_CONFIG_PATH", "AGENTS_CONFIG_PATH", "DATASOURCES_CONFIG_PATH", "TOOLS_CONFIG_PATH"];
/// All others.
static KNOWN: LazyLock<Vec<&str>> =
    LazyLock::new(|| variable_names().into_iter().filter(|name| !FILES.contains(name)).collect());

/// Variables, one a line, as `NAME=value`: what is wrong is told by variable, and no credential is shown.
pub(crate) fn variables(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs: Vec<_> = pairs.filter(|(name, _)| KNOWN.contains(name)).collect();
    let environment = Environment::from_pairs(FILES.map(|name| (name, "/nowhere")).into_iter().chain(pairs.clone()));
    let (loaded, issues) = read(environment);
    let shown = format!("{:?} {:?} {:?} {issues:?}", loaded.settings, loaded.environment, texts(&issues));
    for (name, value) in &pairs {
        let is_telling = value.len() >= TELLING_BYTES && value.contains(|c: char| c.is_ascii_digit());
        let is_elsewhere = text.matches(value).count() > 1 || value.contains(MASK);
        if is_credential_name(name) && is_telling && !is_elsewhere {
            assert!(!shown.contains(value), "{name}={value:?} in {shown}");
        }
    }
}

fn texts(issues: &[FieldIssue]) -> Vec<String> {
    issues.iter().map(ToString::to_string).collect()
}
