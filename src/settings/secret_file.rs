use std::path::Path;

use serde_json::Value;

use super::Environment;
use super::text_file::read_text;
use crate::kernel::FieldIssue;

/// The variables that are a credential or may hold one.
pub(super) const SECRETS: [&str; 22] = [
    "LLM_API_KEY",
    "LLM_BASE_URL",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "POSTGRES_DSN",
    "POSTGRES_PASSWORD",
    "EXTERNAL_AGENTS",
    "EXTERNAL_AGENT_BASE_URL",
    "EXTERNAL_AGENT_AUTH_TOKEN",
    "DATASOURCES",
    "DATASOURCE_BASE_URL",
    "DATASOURCE_AUTH_TOKEN",
    "TOOLS",
    "AUTH_SECRET_KEY",
    "AUTH_BOOTSTRAP_KEY",
    "AUTH_JWKS_URL",
    "SECRETS_KEY",
    "SECRETS_KEYS_OLD",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "POSTGRES_USER",
];
/// Bytes of a secret.
const MAX_BYTES: u32 = 1_000_000;

/// The environment with the secrets that stand in files, as containers are handed them: `NAME_FILE` names the file that holds `NAME`.
pub(super) fn with_secret_files(environment: Environment, issues: &mut Vec<FieldIssue>) -> Environment {
    SECRETS.iter().fold(environment, |environment, name| match find_secret(name, &environment) {
        Ok(Some(secret)) if environment.get(name).is_none() => {
            let file = file_variable(name);
            environment.without(|name| name == file).with(name, secret)
        }
        Ok(_) => environment,
        Err(expected) => {
            let loc = vec![file_variable(name).as_str().into()];
            issues.push(FieldIssue::new("value_error", loc, expected, Value::Null));
            environment
        }
    })
}

/// The value of the variable `name`, or what the file holds that `NAME_FILE` names. The error says what is wrong with that variable.
pub(super) fn find_secret(name: &str, environment: &Environment) -> Result<Option<String>, String> {
    let value = environment.get(name).map(str::to_owned);
    let Some(path) = environment.get(&file_variable(name)) else { return Ok(value) };
    if value.is_some() {
        return Err(format!("Input should be left out where {name} is set, since only one of them can count"));
    }
    let path = Path::new(path);
    let unusable = |what: &str| format!("Input should be the path of a file that holds {name}; {} {what}", shown(path));
    let text = read_text(path, MAX_BYTES).map_err(|what| unusable(&what))?.ok_or_else(|| unusable("is not there"))?;
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err(unusable("is empty")),
        secret => Ok(Some(secret.to_owned())),
    }
}

fn file_variable(name: &str) -> String {
    format!("{name}_FILE")
}

/// The path, if it looks like one: somebody may have put the secret itself in its place.
fn shown(path: &Path) -> String {
    let is_path = path.is_absolute() || path.starts_with("./") || path.starts_with("../");
    if is_path {
        path.display().to_string()
    } else {
        "the file, seen from the folder that the server starts in,".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::settings::variable_names;

    #[test]
    fn a_secret_is_what_the_file_holds_without_the_end_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let read = |path: &str| find_secret("LLM_API_KEY", &Environment::from_pairs([("LLM_API_KEY_FILE", path)]));
        for text in ["key", "key\n", "key\r\n", "key\n\n", "\u{feff}key\n"] {
            assert_eq!(read(&file("key", text.as_bytes())), Ok(Some("key".to_owned())), "{text:?}");
        }
        assert_eq!(read(&file("blanks", b" key \nmore\n")), Ok(Some(" key \nmore".to_owned())));
        let refused = [
            (file("empty", b"\n"), "is empty"),
            (file("latin", b"k\xe4y"), "line 1 is not UTF-8"),
            (file("large", &[b'x'; 1_000_001]), "has more than 1000000 bytes"),
            (folder.path().join("none").display().to_string(), "is not there"),
            (folder.path().display().to_string(), "can't be read"),
        ];
        for (path, expected) in refused {
            let error = read(&path).unwrap_err();
            assert!(error.contains(expected) && error.contains(&path), "{error}");
        }
        assert!(!read("sk-canary").unwrap_err().contains("canary"));
    }

    #[test]
    fn of_a_variable_and_its_file_only_one_may_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key").display().to_string();
        fs::write(&path, "of-the-file\n").unwrap();
        let read = |value: &str| {
            let mut issues = Vec::new();
            let given = Environment::from_pairs([("redis_password_file", path.as_str()), ("REDIS_PASSWORD", value)]);
            (with_secret_files(given, &mut issues).get("REDIS_PASSWORD").map(str::to_owned), issues)
        };
        assert_eq!(read(""), (Some("of-the-file".to_owned()), vec![]));
        let (kept, issues) = read("other");
        assert_eq!(
            (kept.as_deref(), issues.len(), issues[0].path().as_str()),
            (Some("other"), 1, "REDIS_PASSWORD_FILE")
        );
    }

    #[test]
    fn every_variable_that_may_hold_a_credential_may_stand_in_a_file() {
        let ends = ["_KEY", "_KEYS_OLD", "_TOKEN", "_PASSWORD", "_URL", "_DSN", "_PROXY", "AGENTS", "SOURCES", "TOOLS"];
        let may_hold = |name: &&str| *name != "TLS_KEY" && ends.iter().any(|end| name.ends_with(end));
        // TLS_KEY is the path of a file as it is.
        for name in variable_names().into_iter().filter(may_hold) {
            assert!(SECRETS.contains(&name), "{name}");
        }
    }
}
