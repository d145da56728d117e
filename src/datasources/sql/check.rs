use super::dialect::Dialect;
use super::guard::{self, CheckedQuery};
use crate::datasources::DataError;
use crate::settings::Protocol;

/// Lets a query through, or says why not; `named` are functions that it may call because the source names them. A long one
/// takes a while to look at, so this leaves the runtime's threads.
pub(crate) async fn check_sql(text: &str, protocol: Protocol, named: Vec<String>) -> Result<CheckedQuery, DataError> {
    let text = text.to_owned();
    let checking = tokio::task::spawn_blocking(move || guard::check(&text, Dialect::of(protocol), &named));
    match checking.await {
        Ok(outcome) => outcome.map_err(|refusal| DataError::invalid_query(refusal.to_string())),
        Err(_) => Err(DataError::invalid_query("The query could not be checked")),
    }
}

/// Whether a query only reads, for services that have no guard of their own. Judged as PostgreSQL's SQL.
pub async fn check_readable(query: &str) -> Result<(), DataError> {
    check_sql(query, Protocol::Rest, Vec::new()).await.map(|_| ())
}
