use serde_json::{Map, Value};

use crate::kernel::{CallerFact, FieldIssue, Properties, Segment, is_credential_name};

/// Variables that a source may be told.
const MAX_VARIABLES: usize = 16;
/// Bytes of a name: what PostgreSQL keeps of one.
const MAX_NAME_BYTES: usize = 63;
/// Claims that say how long a token is good for.
const TIME_CLAIMS: [&str; 3] = ["exp", "iat", "nbf"];

/// A variable that tells a data source who asks: one line of `config.session`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionVariable {
    /// Its name: of a variable of PostgreSQL, or of a claim of Cube's token.
    pub name: String,
    /// What it is set to.
    pub fact: CallerFact,
}

/// What a source takes its variables for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionForm {
    /// Variables of a session, such as `app.user_id`.
    Variables,
    /// Claims of a token, such as `user_id`.
    Claims,
    /// It can't be told who asks.
    Nothing,
}

/// The variables of a `config` that was checked.
pub(super) fn read(config: &Properties) -> Vec<SessionVariable> {
    let variable = |(name, fact): (&String, &Value)| {
        let fact = CallerFact::parse(fact.as_str()?).ok()?;
        Some(SessionVariable { name: name.clone(), fact })
    };
    listed(config).and_then(Value::as_object).into_iter().flatten().filter_map(variable).collect()
}

/// What is wrong with the variables of a `config`.
pub(super) fn check(config: &Properties, form: SessionForm) -> Vec<FieldIssue> {
    let Some(given) = listed(config) else { return Vec::new() };
    let at = || vec!["config".into(), "session".into()];
    let issue = |expected: &str| vec![FieldIssue::new("value_error", at(), expected, given.clone())];
    match given.as_object() {
        _ if form == SessionForm::Nothing => issue(
            "Input should be left out: only PostgreSQL and Cube can be told who asks, by the type and the URL of the source",
        ),
        None => issue("Input should be an object such as {\"app.user_id\": \"user\"}"),
        Some(variables) if variables.len() > MAX_VARIABLES => {
            issue(&format!("Input should have at most {MAX_VARIABLES} variables"))
        }
        Some(variables) => check_all(variables, form, &at()),
    }
}

fn check_all(variables: &Map<String, Value>, form: SessionForm, at: &[Segment]) -> Vec<FieldIssue> {
    let check = |(name, fact): (&String, &Value)| {
        let expected = check_name(name, form).and_then(|()| match fact.as_str() {
            Some(fact) => CallerFact::parse(fact).map(drop),
            None => CallerFact::parse("").map(drop),
        });
        let at = [at, &[name.as_str().into()]].concat();
        expected.err().map(|expected| FieldIssue::new("value_error", at, expected, fact.clone()))
    };
    variables.iter().filter_map(check).collect()
}

fn check_name(name: &str, form: SessionForm) -> Result<(), &'static str> {
    // What stands under such a name is masked wherever it is shown.
    if is_credential_name(name) {
        return Err("The variable should have a name that is not that of a credential");
    }
    let is_short = name.len() <= MAX_NAME_BYTES;
    let is_known = match form {
        SessionForm::Variables => name.split_once('.').is_some_and(|(class, name)| {
            [class, name].into_iter().all(|part| is_word(part) && !part.contains(|c: char| c.is_ascii_uppercase()))
        }),
        _ => is_word(name) && !TIME_CLAIMS.contains(&name),
    };
    match (is_short && is_known, form) {
        (true, _) => Ok(()),
        (false, SessionForm::Variables) => {
            Err("The variable should have a name such as app.user_id: two words of small \
             letters, digits and _, joined by a dot, of at most 63 characters together")
        }
        (false, _) => {
            Err("The claim should have a name such as user_id: letters, digits and _, at most 63 characters, and \
             not exp, iat or nbf")
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What stands in a `config`; null is nothing.
fn listed(config: &Properties) -> Option<&Value> {
    config.expose().get("session").filter(|given| !given.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issues(session: Value, form: SessionForm) -> Vec<(String, String)> {
        let config = Properties::new(Map::from_iter([("session".to_owned(), session)]));
        check(&config, form).into_iter().map(|issue| (issue.path(), issue.msg)).collect()
    }

    #[test]
    fn variables_are_named_as_the_source_names_them() {
        let long = format!("app.{}", "x".repeat(60));
        for (name, of_postgres, of_cube) in [
            ("app.user_id", true, false),
            ("_a._1", true, false),
            ("user_id", false, true),
            ("userId", false, true),
            ("App.user", false, false),
            ("app.user.id", false, false),
            ("app.1", false, false),
            ("app.", false, false),
            (".x", false, false),
            ("", false, false),
            ("app.a b", false, false),
            ("app.a\"", false, false),
            ("app.ü", false, false),
            ("exp", false, false),
            ("app.api_key", false, false),
            ("auth", false, false),
            (long.as_str(), false, false),
        ] {
            for (form, expected) in [(SessionForm::Variables, of_postgres), (SessionForm::Claims, of_cube)] {
                let found = issues(json!({name: "user"}), form);
                assert_eq!(found.is_empty(), expected, "{name}, {form:?}: {found:?}");
            }
        }
    }

    #[test]
    fn what_can_not_be_told_is_named() {
        let at = |session, form| issues(session, form).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        let form = SessionForm::Variables;
        assert!(at(json!({"app.a": "user", "app.b": "tenant", "app.c": "role"}), form).is_empty());
        assert_eq!(at(json!({"app.a": "User", "app.b": 7}), form), ["config.session.app.a", "config.session.app.b"]);
        for session in [json!("app.a"), json!(["app.a"]), json!(true)] {
            assert_eq!(at(session, form), ["config.session"]);
        }
        let many: Map<_, _> = (0..=MAX_VARIABLES).map(|n| (format!("app.v{n}"), json!("user"))).collect();
        assert_eq!(at(Value::Object(many), form), ["config.session"]);
        assert_eq!(at(json!({"app.a": "user"}), SessionForm::Nothing), ["config.session"]);
        assert!(at(Value::Null, SessionForm::Nothing).is_empty());
    }
}
