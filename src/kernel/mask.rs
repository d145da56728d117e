use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Stands in replies and logs in the place of a secret.
pub const MASK: &str = "********";

/// Whether a field of this name holds a credential.
pub fn is_credential_name(name: &str) -> bool {
    if !may_be_credential_name(name) {
        return false;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    let harmless = ["primary_key", "foreign_key", "sort_key", "partition_key"];
    let ends = ["key", "token", "authorization", "cookie", "passwd", "pwd", "dsn", "connection_string"];
    // Others in the plural are counts, such as `max_tokens`, or names of columns.
    let plurals =
        ["api_keys", "access_keys", "auth_keys", "api_tokens", "access_tokens", "auth_tokens", "refresh_tokens"];
    let parts = ["password", "passphrase", "secret", "credential", "private_key"];
    let last_word = name.rsplit('_').next().unwrap_or_default();
    ["pass", "auth", "pat"].contains(&last_word)
        || plurals.iter().any(|end| name.ends_with(end))
        || ends.iter().any(|end| name.ends_with(end)) && !harmless.contains(&name.as_str())
        || parts.iter().any(|part| name.contains(part))
}

/// What each name of a credential has one of.
const SIGNS: [&str; 11] =
    ["key", "token", "auth", "cookie", "pass", "pwd", "dsn", "connection", "secret", "credential", "pat"];

/// Whether a name has a sign of a credential's, which few have: every field of every line of the log is asked for it.
fn may_be_credential_name(name: &str) -> bool {
    static FINDER: LazyLock<Option<AhoCorasick>> =
        LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(SIGNS).ok());
    FINDER.as_ref().is_none_or(|signs| signs.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_their_names() {
        for name in ["API_KEYS", "DB_PASS", "GITHUB_PAT", "X-Auth", "auth", "api-key", "private-key", "access_tokens"] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in ["max_tokens", "primary_key", "sort-key", "author", "path", "bypass", "primary_keys", "tokens"] {
            assert!(!is_credential_name(name), "{name}");
        }
    }
}
