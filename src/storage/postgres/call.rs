use std::borrow::Cow;
use std::time::Duration;

use tokio::time::timeout;

use crate::kernel::Error;
use crate::storage::failover::Failure;

/// How long a request waits for Postgres.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
/// How long background work waits for it.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for an answer, but not longer than `limit`.
pub(crate) async fn call<T>(limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    match timeout(limit, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_rejection(&error) => {
            let text = "Postgres does not take a record, or has one that this server can't read";
            Err(Failure::Rejected(Error::internal_public(text, in_words(&error))))
        }
        Ok(Err(error @ sqlx::Error::PoolTimedOut)) => Err(Failure::Timeout(error.to_string())),
        Ok(Err(error)) => Err(Failure::Unavailable(in_words(&error))),
        Err(_) => Err(Failure::Timeout(format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// An error of the driver without the line of PostgreSQL's own source code that it puts behind a message.
pub(super) fn in_words(error: &impl ToString) -> String {
    let text = error.to_string();
    let is_number = |line: &str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    let said = text.rsplit_once(" at line ").filter(|(_, line)| is_number(line)).map(|(said, _)| said.to_owned());
    said.unwrap_or(text)
}

/// The text without the one character that Postgres can't store.
pub(crate) fn replace_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) }
}

/// Whether it lies with the data: a value that does not fit, a record that is not there. Everything else may pass.
fn is_rejection(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let of_data = code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"));
    of_data || matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_tells_of_lines_in_the_source_code_of_postgres() {
        let cases = [
            ("role \"x\" does not exist at line 768", "role \"x\" does not exist"),
            ("no answer at line one", "no answer at line one"),
            ("at line 5 of the queue", "at line 5 of the queue"),
            ("broken at line ", "broken at line "),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(in_words(&text), expected);
        }
    }
}
