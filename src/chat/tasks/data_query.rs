use serde::Serialize;
use serde_json::Value;

use super::query_language::QueryLanguage;
use super::text_to_query;
use crate::chat::context::TaskContext;
use crate::chat::task::{TaskFailure, TaskOutput};
use crate::chat::text;
use crate::datasources::{DataError, Outage, QueryRequest, QueryResult, Source, check_readable};
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

/// A query that was tried, and what came of it.
struct QueryRun {
    /// Empty if the model wrote none.
    query: String,
    usage: Option<Usage>,
    result: Result<QueryResult, DataError>,
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
pub(super) async fn run(context: &TaskContext<'_>, source: &Source) -> Result<TaskOutput, TaskFailure> {
    let language = QueryLanguage::of(source).ok_or_else(|| {
        let text = format!("DataSource '{}': unsupported type '{}'", source.name, source.effective.kind);
        Error::new(ErrorKind::Upstream, text)
    })?;
    let (run, lead) = match language.query_in(context.prompt.prompt) {
        Some(query) => {
            let result = ask(context, source, &query).await;
            (QueryRun { query, usage: None, result }, "")
        }
        None => write_and_ask(context, source, language).await?,
    };
    let QueryRun { query, usage, result } = run;
    match result {
        Ok(result) => Ok(output(source, query, usage, result)),
        Err(error) => {
            let error = Error::new(kind_of(&error), format!("{lead}{}", error.text()));
            Err(TaskFailure { query: non_empty(query), usage, ..error.into() })
        }
    }
}

/// Has a model write the query, and mend it once; with it comes what is said before the objection to the second attempt.
async fn write_and_ask(
    context: &TaskContext<'_>,
    source: &Source,
    language: QueryLanguage,
) -> Result<(QueryRun, &'static str), TaskFailure> {
    let schema = context.chat.services.datasources.schema(source, context.deadline).await;
    let schema = schema.map_err(|error| Error::new(kind_of(&error), error.text()))?;
    // Services describe themselves in any form.
    let schema = serde_json::to_value(schema).unwrap_or_default();
    let question = text_to_query::question(language, &schema, context.prompt.prompt);
    let (query, usage) = write(context, language, question.clone()).await?;
    let first = try_out(context, source, query, usage).await;
    let objection = match &first.result {
        Err(error) if !is_about_any_query(error) => error.text(),
        _ => return Ok((first, "")),
    };
    tracing::info!(source = %source.name, untrusted = %objection, "a written query is to be mended");
    let again = text_to_query::repair(&question, &first.query, objection);
    let (query, more) = match write(context, language, again).await {
        Ok(written) => written,
        Err(error) => return Err(TaskFailure { query: non_empty(first.query), usage, ..error.into() }),
    };
    let second = try_out(context, source, query, Usage::sum(usage, more)).await;
    let is_its_fault = second.result.as_ref().is_err_and(|error| !is_about_any_query(error));
    Ok((second, if is_its_fault { "The LLM wrote no query that works: " } else { "" }))
}

/// Whether another query would meet the same error.
fn is_about_any_query(error: &DataError) -> bool {
    matches!(error, DataError::Failed { outage, timed_out, .. } if *timed_out || *outage != Outage::No)
}

async fn try_out(context: &TaskContext<'_>, source: &Source, query: String, usage: Option<Usage>) -> QueryRun {
    let result = match query.as_str() {
        "" => Err(DataError::Refused { field: "query", reason: "There is no query in the answer".to_owned() }),
        query => ask(context, source, query).await,
    };
    QueryRun { query, usage, result }
}

/// Asks the source. A service over HTTP has no guard of its own: there SQL must be a query, and nothing else.
async fn ask(context: &TaskContext<'_>, source: &Source, query: &str) -> Result<QueryResult, DataError> {
    let protocol = source.effective.protocol();
    if let (Some(Protocol::Rest), Some(QueryLanguage::Sql(_))) = (protocol, QueryLanguage::of(source)) {
        check_readable(query).await?;
    }
    let request = QueryRequest { query: query.to_owned(), max_rows: Some(MAX_ROWS), ..QueryRequest::default() };
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

fn output(source: &Source, query: String, usage: Option<Usage>, mut result: QueryResult) -> TaskOutput {
    let (columns, described) = (result.columns(), result.described_columns());
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
            columns: described,
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

fn non_empty(query: String) -> Option<String> {
    Some(query).filter(|query| !query.is_empty())
}
