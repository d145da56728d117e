use serde::Serialize;
use serde_json::Value;

use super::query_language::QueryLanguage;
use super::text_to_query;
use crate::chat::context::TaskContext;
use crate::chat::task::{DataSourceEntry, TaskFailure, TaskOutput};
use crate::chat::text;
use crate::datasources::{DataError, Outage, QueryRequest, QueryResult, check_readable};
use crate::kernel::{Error, ErrorKind};
use crate::llm::Usage;
use crate::settings::Protocol;

/// Rows asked for at most: an answer is to be read.
const MAX_ROWS: usize = 200;
/// Bytes of JSON that these rows may have: replies hold them, and records keep them.
const MAX_BYTES: usize = 1_000_000;
/// Rows that a model is shown.
const MAX_ROWS_FOR_MODEL: usize = 50;
/// Rows of the table in the answer.
const MAX_ROWS_IN_ANSWER: usize = 20;

/// A query that was run, and what it gave.
struct QueryRun {
    query: String,
    result: QueryResult,
    usage: Option<Usage>,
}

/// The rows as `metadata.data` of the reply shows them.
#[derive(Serialize)]
struct QueryData<'a> {
    datasource: &'a str,
    query: &'a str,
    columns: Value,
    rows: Vec<Value>,
    row_count: u64,
    truncated: bool,
}

/// Asks a data source: with the query in the prompt if there is one, else with one that a model writes.
pub(super) async fn run(context: &TaskContext<'_>, source: &DataSourceEntry) -> Result<TaskOutput, TaskFailure> {
    let language = QueryLanguage::of(source).ok_or_else(|| {
        let text = format!("DataSource '{}': unsupported type '{}'", source.name, source.effective.kind);
        Error::new(ErrorKind::Upstream, text)
    })?;
    let ran = match language.query_in(context.prompt.prompt) {
        Some(query) => match ask(context, source, &query).await {
            Ok(result) => QueryRun { query, result, usage: None },
            Err(error) => return Err(failed(&error, error.text().to_owned(), query, None)),
        },
        None => write_and_ask(context, source, language).await?,
    };
    Ok(output(source, ran))
}

/// Has a model write the query. What the guard or the source objects to is shown to it once.
async fn write_and_ask(
    context: &TaskContext<'_>,
    source: &DataSourceEntry,
    language: QueryLanguage,
) -> Result<QueryRun, TaskFailure> {
    let schema = context.chat.services.datasources.schema(source, context.deadline).await;
    let schema = schema.map_err(|error| Error::new(kind_of(&error), error.text()))?;
    // Services describe themselves in any form.
    let schema = serde_json::to_value(schema).unwrap_or_default();
    let question = text_to_query::question(language, &schema, context.prompt.prompt);
    let (query, usage) = write(context, language, question.clone()).await?;
    let objection = match try_out(context, source, &query).await {
        Ok(result) => return Ok(QueryRun { query, result, usage }),
        Err(error) if is_about_any_query(&error) => return Err(failed(&error, error.text().to_owned(), query, usage)),
        Err(error) => error.text().to_owned(),
    };
    tracing::info!(source = %source.name, untrusted = %objection, "a written query is to be mended");
    let again = text_to_query::repair(&question, &query, &objection);
    let (query, more) = match write(context, language, again).await {
        Ok(written) => written,
        Err(error) => return Err(TaskFailure { query: some(query), usage, ..error.into() }),
    };
    let usage = Usage::sum(usage, more);
    match try_out(context, source, &query).await {
        Ok(result) => Ok(QueryRun { query, result, usage }),
        Err(error) if is_about_any_query(&error) => Err(failed(&error, error.text().to_owned(), query, usage)),
        Err(error) => {
            let text = format!("The LLM wrote no query that works: {}", error.text());
            Err(failed(&error, text, query, usage))
        }
    }
}

/// Whether another query would meet the same error.
fn is_about_any_query(error: &DataError) -> bool {
    matches!(error, DataError::Failed { outage, timed_out, .. } if *timed_out || *outage != Outage::No)
}

async fn try_out(context: &TaskContext<'_>, source: &DataSourceEntry, query: &str) -> Result<QueryResult, DataError> {
    if query.is_empty() {
        return Err(DataError::Refused { field: "query", reason: "There is no query in the answer".to_owned() });
    }
    ask(context, source, query).await
}

async fn ask(context: &TaskContext<'_>, source: &DataSourceEntry, query: &str) -> Result<QueryResult, DataError> {
    let request = QueryRequest { query: query.to_owned(), max_rows: Some(MAX_ROWS), ..QueryRequest::default() };
    check(source, query).await?;
    context.chat.services.datasources.query(source, &request, context.deadline).await
}

async fn write(
    context: &TaskContext<'_>,
    language: QueryLanguage,
    question: String,
) -> Result<(String, Option<Usage>), Error> {
    let answer = context.ask(question, context.deadline).await.map_err(|error| {
        let error = Error::from(error);
        Error::new(error.kind(), format!("No query could be written: {}", error.public_detail()))
    })?;
    Ok((language.query_from_model(&answer.content).unwrap_or_default(), answer.usage))
}

/// A query on its way to a service that has no guard of its own: SQL must be a query, and nothing else.
async fn check(source: &DataSourceEntry, query: &str) -> Result<(), DataError> {
    match (source.effective.protocol(), QueryLanguage::of(source)) {
        (Some(Protocol::Rest), Some(QueryLanguage::Sql(_))) => check_readable(query).await,
        _ => Ok(()),
    }
}

fn output(source: &DataSourceEntry, ran: QueryRun) -> TaskOutput {
    let QueryRun { query, mut result, usage } = ran;
    let columns = result.columns();
    let cut = keep_first(&mut result.rows, MAX_BYTES);
    let truncated = result.truncated() || cut;
    let more = if truncated { " (there are more; these are the first)" } else { "" };
    let heading = format!("{} from data source '{}'{more}", text::count(result.rows.len(), "row"), source.name);
    TaskOutput {
        target: Some(source.name.to_string()),
        text: format!(
            "{heading}, for the query\n{query}\n\n{}",
            text::table(&columns, &result.rows, MAX_ROWS_FOR_MODEL)
        ),
        for_answer: Some(format!("{heading}:\n\n{}", text::table(&columns, &result.rows, MAX_ROWS_IN_ANSWER))),
        data: serde_json::to_value(QueryData {
            datasource: source.name.as_str(),
            query: &query,
            columns: result.metadata.get("columns").cloned().unwrap_or_else(|| columns.into()),
            // Services over HTTP need not count.
            row_count: result.row_count.max(result.rows.len() as u64),
            rows: result.rows,
            truncated,
        })
        .ok(),
        query: Some(query),
        usage,
        ..TaskOutput::default()
    }
}

/// Keeps the first rows that together are no longer than `most` bytes of JSON, and at least one; whether any was dropped.
fn keep_first(rows: &mut Vec<Value>, most: usize) -> bool {
    let mut bytes = 0;
    let fitting = rows.iter().take_while(|row| {
        bytes += row.to_string().len();
        bytes <= most
    });
    let kept = fitting.count().max(1);
    let cut = kept < rows.len();
    rows.truncate(kept);
    cut
}

fn kind_of(error: &DataError) -> ErrorKind {
    if matches!(error, DataError::Failed { timed_out: true, .. }) { ErrorKind::Timeout } else { ErrorKind::Upstream }
}

fn failed(error: &DataError, text: String, query: String, usage: Option<Usage>) -> TaskFailure {
    TaskFailure { query: some(query), usage, ..Error::new(kind_of(error), text).into() }
}

fn some(query: String) -> Option<String> {
    Some(query).filter(|query| !query.is_empty())
}
