use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use crate::kernel::{Deadline, Error, ErrorKind, FieldIssue, Segment, fit_chars, quoted};
use crate::llm::{LlmError, LlmService};
use crate::settings::{LlmSettings, Settings};

/// The id of the one connection.
pub(super) const ID: &str = "default";
/// The name of the one connection.
pub(super) const NAME: &str = "Default LLM";
/// Fields of the page's form, each with the field of the configuration that it means. All others are the page's own.
const FIELDS: [(&str, &str); 6] = [
    ("base_url", "base_url"),
    ("api_key", "api_key"),
    ("model", "default_model"),
    ("timeout", "timeout_seconds"),
    ("max_tokens", "max_tokens"),
    ("temperature", "temperature"),
];
/// How long a server that lists no models may take to say that it is there.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest text that the page shows, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// How the LLM server behind a connection answers.
#[derive(Debug)]
pub(super) struct ConnectionTest {
    pub(super) connected: bool,
    pub(super) latency_ms: f64,
    /// For a person.
    pub(super) message: String,
}

/// Checks that there is a connection of this id.
pub(super) fn require(id: &str) -> Result<(), Error> {
    match id {
        ID => Ok(()),
        id => Err(Error::not_found(format!("LLM connection {} not found; the only one is '{ID}'", quoted(id)))),
    }
}

/// Saves a form as it is; an error names the form's fields.
pub(super) async fn save(llm: &LlmService, form: &Map<String, Value>) -> Result<LlmSettings, Error> {
    llm.update(to_change(form)).await.map_err(in_words_of_form)
}

/// Saves a form if the server that it names answers; else nothing changes, and the error is one sentence.
pub(super) async fn save_tested(
    llm: &LlmService,
    settings: &Settings,
    mut form: Map<String, Value>,
) -> Result<(LlmSettings, ConnectionTest), Error> {
    restore_path(&mut form, settings.llm.written().base_url.as_deref());
    let change = to_change(&form);
    let next = llm.preview(settings, &change).map_err(as_sentence)?;
    let tested = test(llm, &next).await;
    if !tested.connected {
        return Err(Error::new(ErrorKind::BadRequest, tested.message));
    }
    Ok((llm.update(change).await.map_err(as_sentence)?, tested))
}

/// Asks the server of a connection which models it has, which tells whether it takes the key, too; or whether it is there, if it
/// lists none. No model is asked.
pub(super) async fn test(llm: &LlmService, settings: &Settings) -> ConnectionTest {
    let started = Instant::now();
    let found = match llm.models(settings).await {
        Ok(models) => Ok(format!("The server answers and offers {} model(s)", models.len())),
        Err(error) if error.is_refused_key() => Err(format!("{error}; enter a key that it takes")),
        Err(error @ (LlmError::NoBaseUrl | LlmError::Call { .. })) => Err(error.to_string()),
        Err(error) => match llm.health(settings, Deadline::after(HEALTH_TIMEOUT)).await {
            Ok(ping) if ping.is_healthy() => Ok("The server answers, but lists no models".to_owned()),
            _ => Err(error.to_string()),
        },
    };
    let (connected, message) = (found.is_ok(), found.unwrap_or_else(|why| why));
    let message = fit_chars(&message, MAX_TEXT_CHARS);
    ConnectionTest { connected, latency_ms: started.elapsed().as_secs_f64() * 1000.0, message }
}

/// What a form says, as a change of the configuration. A blank limit of tokens means none.
fn to_change(form: &Map<String, Value>) -> Map<String, Value> {
    let field = |(own, meant): (&str, &str)| {
        let value = form.get(own)?.clone();
        let value = if own == "max_tokens" && value.is_null() { Value::from("") } else { value };
        Some((meant.to_owned(), value))
    };
    FIELDS.into_iter().filter_map(field).collect()
}

/// The page cuts the path off a URL when it saves; whoever edits something else must not lose it.
fn restore_path(form: &mut Map<String, Value>, current: Option<&str>) {
    let Some(Value::String(given)) = form.get_mut("base_url") else { return };
    let (Some(current), Ok(parsed)) = (current, Url::parse(given)) else { return };
    let is_same_server = Url::parse(current).is_ok_and(|current| current.origin() == parsed.origin());
    if is_same_server && parsed.path() == "/" {
        current.clone_into(given);
    }
}

/// The error with the names of the form's fields.
fn in_words_of_form(error: Error) -> Error {
    if error.issues().is_empty() {
        return error;
    }
    Error::invalid(error.issues().iter().cloned().map(renamed).collect())
}

fn renamed(mut issue: FieldIssue) -> FieldIssue {
    for segment in &mut issue.loc {
        let own = |name: &str| FIELDS.iter().find(|(_, meant)| *meant == name).map(|(own, _)| *own);
        if let Segment::Key(name) = segment
            && let Some(own) = own(name)
        {
            *segment = own.into();
        }
    }
    issue
}

/// Wrong fields as one sentence: what the page shows of a form that it can't save.
fn as_sentence(error: Error) -> Error {
    if error.issues().is_empty() {
        return error;
    }
    Error::new(ErrorKind::BadRequest, in_words_of_form(error).public_detail())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_says_what_it_means_and_what_is_the_pages_own_is_left_out() {
        let form = json!({"id": "llm_1", "name": "Mine", "is_local": true, "base_url": "http://a", "api_key": "k",
            "model": "m", "timeout": 30, "max_tokens": null, "temperature": 0.5, "default_model": "other"});
        let expected = json!({"base_url": "http://a", "api_key": "k", "default_model": "m", "timeout_seconds": 30,
            "max_tokens": "", "temperature": 0.5});
        assert_eq!(Value::Object(to_change(form.as_object().unwrap())), expected);
    }

    #[test]
    fn a_path_that_the_page_has_cut_off_comes_back_on_the_same_server_only() {
        for (given, current, expected) in [
            ("https://openrouter.ai", Some("https://openrouter.ai/api/v1"), "https://openrouter.ai/api/v1"),
            ("https://openrouter.ai/", Some("https://openrouter.ai/api/v1"), "https://openrouter.ai/api/v1"),
            ("https://openrouter.ai:444", Some("https://openrouter.ai/api/v1"), "https://openrouter.ai:444"),
            ("https://other.ai", Some("https://openrouter.ai/api/v1"), "https://other.ai"),
            ("https://openrouter.ai/api/v2", Some("https://openrouter.ai/api/v1"), "https://openrouter.ai/api/v2"),
            ("https://openrouter.ai", None, "https://openrouter.ai"),
            ("no url", Some("https://openrouter.ai/api/v1"), "no url"),
        ] {
            let mut form = Map::from_iter([("base_url".to_owned(), Value::from(given))]);
            restore_path(&mut form, current);
            assert_eq!(form["base_url"], expected, "{given}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_the_form() {
        let at = |name: &str| vec!["body".into(), name.into()];
        let issues = vec![
            FieldIssue::new(
                "value_error",
                at("timeout_seconds"),
                "Input should be greater than or equal to 1",
                json!(0),
            ),
            FieldIssue::new("missing", at("default_model"), "Field required", json!(null)),
        ];
        let error = Error::invalid(issues);
        assert_eq!(as_sentence(error).public_detail(), "timeout should be at least 1; model is required");
        let error = as_sentence(Error::invalid(vec![FieldIssue::new("x", at("base_url"), "y".repeat(999), json!(1))]));
        assert_eq!((error.kind(), error.public_detail().chars().count()), (ErrorKind::BadRequest, MAX_TEXT_CHARS));
    }
}
