use serde_json::Value;

use super::hit::plain_text;
use super::provider::Provider;
use crate::kernel::{Deadline, JsonReader, Redaction};
use crate::outbound::{Reply, error_message, reported_error};

/// How much of a refusal is quoted.
const MAX_QUOTED_CHARS: usize = 300;

/// Statuses by which engines say that nothing is left of what was paid for, or that they are asked too often.
const QUOTA_STATUSES: [u16; 4] = [402, 429, 432, 433];
/// Words by which they say so under other statuses: Google and Bing with 403, Serper with 400.
const QUOTA_WORDS: [&str; 6] = ["quota", "ratelimit", "rate limit", "dailylimit", "not enough credits", "usage limit"];
/// Words by which they refuse a key under other statuses than 401 and 403: Brave with 422, Google with 400.
const KEY_WORDS: [&str; 3] = ["subscription_token_invalid", "api_key_invalid", "api key not valid"];
/// What a reply that is no success says; completes a sentence that begins with the engine's name.
pub(super) async fn explain(provider: &Provider, reply: Reply, redaction: &Redaction, deadline: Deadline) -> String {
    let (status, status_text) = (reply.status(), reply.status_text());
    let wait = reply.header("retry-after").and_then(|text| text.trim().parse::<u32>().ok());
    let text = reply.error_text(redaction, deadline).await;
    let said = said(&text);
    let quote = |what: &str| if said.is_empty() { what.to_owned() } else { format!("{what}. It says: {said}") };
    let lower = text.to_ascii_lowercase();
    let mentions = |words: &[&str]| (400..500).contains(&status) && words.iter().any(|word| lower.contains(word));
    if QUOTA_STATUSES.contains(&status) || mentions(&QUOTA_WORDS) {
        let when = wait.map_or_else(|| "later".to_owned(), |seconds| format!("in {seconds} seconds"));
        let what = format!(
            "refused the search (HTTP {status}): its quota is used up, or it is asked too often; try again {when}"
        );
        return quote(&what);
    }
    if matches!(status, 401 | 403) || mentions(&KEY_WORDS) {
        return quote(&format!("answered HTTP {status}: it {}", provider.refused));
    }
    match status {
        300..400 => format!(
            "answered {status_text}, a redirect, which is not followed; config.endpoint should be where it leads"
        ),
        404 => quote("answered 404 Not Found; config.endpoint should be where the service takes searches"),
        500.. => quote(&format!("is failing ({status_text}); try again later")),
        _ => quote(&format!("refused the search ({status_text})")),
    }
}

/// What is wrong with a body that should have been JSON.
pub(super) fn not_json(body: &[u8]) -> &'static str {
    let start = String::from_utf8_lossy(body.get(..512).unwrap_or(body)).trim_start().to_ascii_lowercase();
    if start.starts_with('<') {
        "answered with a web page instead of JSON; config.endpoint should be where the service takes searches"
    } else {
        "answered with something that is no JSON"
    }
}

fn said(text: &str) -> String {
    match JsonReader::embedded().read::<Value>(text.as_bytes()) {
        Ok(Value::Object(reply)) => {
            let message = error_message(&reply).or_else(|| Some(reported_error(&Value::Object(reply))?.text));
            plain_text(&message.unwrap_or_default(), MAX_QUOTED_CHARS)
        }
        Ok(_) => String::new(),
        Err(_) => plain_text(text, MAX_QUOTED_CHARS),
    }
}
