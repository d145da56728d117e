use super::query_outline::QueryOutline;
use super::source::{Source, protocol_of};
use super::sql::describe_sql;
use super::{DataError, cube_query};
use crate::settings::Protocol;

/// What can be known of a query to this source; the error is why the source does not take it. `None` if its language is none
/// that is known here.
pub(super) async fn describe(source: &Source, query: &str) -> Result<Option<QueryOutline>, DataError> {
    let protocol = protocol_of(source)?;
    match protocol {
        Protocol::Cube if cube_query::is_json(query) => Ok(Some(cube_query::describe(&cube_query::read_json(query)?))),
        Protocol::Cube => {
            let outline = describe_sql(query, Protocol::Postgres, Vec::new()).await?;
            match outline.parameters.is_empty() {
                true => Ok(Some(outline)),
                false => Err(DataError::invalid_query("Cube's SQL takes no parameters; its JSON queries do")),
            }
        }
        Protocol::Rest if source.effective.config.text("query_language") == Some("text") => Ok(None),
        _ => describe_sql(query, protocol, source.effective.functions()).await.map(Some),
    }
}
