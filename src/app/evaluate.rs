use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::healthcheck::reachable;
use crate::identity::command_token;
use crate::kernel::{Clock, Deadline, Error, ErrorKind, JsonReader, Permission, Redaction};
use crate::outbound::{Call, HttpClient};
use crate::settings::Settings;

/// Longest wait for the server: a model may be asked once for each case.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// Largest reply that is read, in bytes.
const MAX_REPLY_BYTES: usize = 50_000_000;

/// What the server found.
#[derive(Deserialize)]
struct Report {
    success: bool,
    cases: usize,
    passed: usize,
    precision: Option<f64>,
    recall: Option<f64>,
    results: Vec<ReportedCase>,
    differences: Vec<ReportedDifference>,
}

#[derive(Deserialize)]
struct ReportedCase {
    prompt: String,
    passed: bool,
    missed: Vec<String>,
    unexpected: Vec<String>,
    rows_match: Option<bool>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ReportedDifference {
    prompt: String,
    before: Vec<String>,
    now: Vec<String>,
}

/// Has the server that these settings describe evaluate the cases in a file: a list, or an object with `cases`. Gives the report
/// for a person, and whether all cases are as expected.
pub async fn evaluate(settings: &Settings, file: &Path) -> Result<(String, bool), Error> {
    let unreadable = |why: String| Error::new(ErrorKind::Upstream, format!("{}: {why}", file.display()));
    let text = tokio::fs::read(file).await.map_err(|error| unreadable(error.to_string()))?;
    let cases: Value = JsonReader::embedded().read(&text).map_err(|error| unreadable(error.to_string()))?;
    let body = if cases.is_array() { json!({"cases": cases}) } else { cases };

    let address = reachable(settings.server.address);
    let url = format!("{}://{address}/api/chat/evaluate", settings.server.scheme());
    let failed = |cause: String| Error::new(ErrorKind::Upstream, format!("{url} {cause}"));
    let client = HttpClient::to_own_server(address.ip())?;
    let deadline = Deadline::after(TIMEOUT);
    let token = command_token(&settings.auth, &Clock::system(), &[Permission::Chat, Permission::Monitoring]);
    let call = Call::post(&url, &body).bearer(token.as_ref());
    let reply = client.send(&call, deadline).await.map_err(|error| failed(error.to_string()))?;
    if reply.status() != 200 {
        let status = reply.status();
        let why = reply.error_text(&Redaction::default(), deadline).await;
        return Err(failed(format!("answered {status}: {why}")));
    }
    let bytes = reply.bytes(MAX_REPLY_BYTES, deadline).await.map_err(|error| failed(error.to_string()))?;
    let report = JsonReader::embedded().read::<Report>(&bytes).map_err(|error| failed(error.to_string()))?;
    Ok((in_words(&report), report.success))
}

/// The report as lines: what is not as expected, what is different from the last time, and the figures.
fn in_words(report: &Report) -> String {
    let list = |targets: &[String]| if targets.is_empty() { "nothing".to_owned() } else { targets.join(", ") };
    let failed = report.results.iter().filter(|case| !case.passed).map(|case| {
        let missed = (!case.missed.is_empty()).then(|| format!("missed {}", case.missed.join(", ")));
        let unexpected = (!case.unexpected.is_empty()).then(|| format!("unexpected {}", case.unexpected.join(", ")));
        let rows = (case.rows_match == Some(false)).then(|| "other rows than expected".to_owned());
        let all: Vec<_> = [missed, unexpected, rows, case.error.clone()].into_iter().flatten().collect();
        format!("FAIL {}: {}", case.prompt, all.join("; "))
    });
    let changed = report
        .differences
        .iter()
        .map(|change| format!("CHANGED {}: {} -> {}", change.prompt, list(&change.before), list(&change.now)));
    let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
    let (precision, recall) = (percent(report.precision), percent(report.recall));
    let figures = format!("{} of {} as expected; precision {precision}, recall {recall}", report.passed, report.cases);
    failed.chain(changed).chain([figures]).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_expected_is_named() {
        let report = json!({"success": false, "cases": 2, "passed": 1, "precision": 0.5, "recall": null, "results": [
            {"prompt": "Hi", "passed": false, "missed": ["tool:a"], "unexpected": ["agent:b"], "rows_match": null, "error": null},
            {"prompt": "Ho", "passed": true, "missed": [], "unexpected": [], "rows_match": null, "error": null}],
            "differences": [{"prompt": "Hi", "before": ["tool:a"], "now": []}]});
        let words = in_words(&serde_json::from_value(report).unwrap());
        let expected = "FAIL Hi: missed tool:a; unexpected agent:b\nCHANGED Hi: tool:a -> nothing\n1 of 2 as expected; precision \
            50.0 %, recall -";
        assert_eq!(words, expected);
    }
}
