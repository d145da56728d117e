use serde_json::json;

use super::text_to_query::{self, Language};
use super::{TaskContext, TaskOutput};
use crate::chat::targets::Source;
use crate::chat::wording;
use crate::datasources::{DataError, QueryRequest, QueryResult};
use crate::kernel::{Error, ErrorKind};
use crate::llm::{ChatRequest, Usage};

/// Rows asked for at most: an answer is to be read.
const MOST_ROWS: usize = 200;
/// Rows that a model is shown.
const ROWS_FOR_MODEL: usize = 50;
/// Rows of the table in the answer.
const ROWS_IN_ANSWER: usize = 20;

/// A query that was run, and what it gave.
struct Ran {
    query: String,
    result: QueryResult,
    usage: Option<Usage>,
}

/// Asks a data source: with the query in the prompt if there is one, else with one that a model writes.
pub(super) async fn run(context: &TaskContext<'_>, source: &Source) -> Result<TaskOutput, Error> {
    let language = Language::of(source).ok_or_else(|| {
        let text = format!("DataSource '{}': unsupported type '{}'", source.name, source.effective.kind);
        Error::new(ErrorKind::Upstream, text)
    })?;
    let ran = match language.query_in(&context.command.prompt) {
        Some(query) => {
            let result = ask(context, source, &query).await.map_err(|error| failure(&error, &query))?;
            Ran { query, result, usage: None }
        }
        None => write_and_ask(context, source, language).await?,
    };
    Ok(output(source, ran))
}

/// Has a model write the query. What the guard or the source objects to is shown to it once.
async fn write_and_ask(context: &TaskContext<'_>, source: &Source, language: Language) -> Result<Ran, Error> {
    let schema = context.datasources.schema(source, context.deadline).await;
    let schema = schema.map_err(|error| Error::new(kind_of(&error), error.text()))?;
    let question = text_to_query::question(language, &schema, &context.command.prompt);
    let (mut query, mut usage) = write(context, language, question.clone()).await?;
    let objection = match try_out(context, source, &query).await? {
        Ok(result) => return Ok(Ran { query, result, usage }),
        Err(objection) => objection,
    };
    tracing::info!(source = %source.name, %objection, "a written query is to be mended");
    let (mended, more) = write(context, language, text_to_query::repair(&question, &query, &objection)).await?;
    query = mended;
    usage = Usage::sum(usage, more);
    match try_out(context, source, &query).await? {
        Ok(result) => Ok(Ran { query, result, usage }),
        Err(objection) => Err(failed(ErrorKind::Upstream, &objection, &query)),
    }
}

/// Runs a written query. The inner error is an objection to this query; the outer one would meet any query.
async fn try_out(
    context: &TaskContext<'_>,
    source: &Source,
    query: &str,
) -> Result<Result<QueryResult, String>, Error> {
    if query.is_empty() {
        return Ok(Err("There is no query in the answer".to_owned()));
    }
    match ask(context, source, query).await {
        Ok(result) => Ok(Ok(result)),
        Err(error @ (DataError::Failed { outage: true, .. } | DataError::Failed { timed_out: true, .. })) => {
            Err(failure(&error, query))
        }
        Err(objection) => Ok(Err(objection.text().to_owned())),
    }
}

async fn ask(context: &TaskContext<'_>, source: &Source, query: &str) -> Result<QueryResult, DataError> {
    let request = QueryRequest { query: query.to_owned(), max_rows: Some(MOST_ROWS), ..QueryRequest::default() };
    text_to_query::check(source, query).await?;
    context.datasources.query(source, &request, context.deadline).await
}

async fn write(
    context: &TaskContext<'_>,
    language: Language,
    question: String,
) -> Result<(String, Option<Usage>), Error> {
    let request = ChatRequest {
        model: context.command.options.model.clone(),
        temperature: Some(0.0),
        ..ChatRequest::question(question)
    };
    let answer = context.llm.complete(context.settings.llm.effective(), &request, context.deadline).await;
    let answer = answer.map_err(|error| {
        let error = Error::from(error);
        Error::new(error.kind(), format!("No query could be written: {}", error.public_detail()))
    })?;
    Ok((language.query_from_model(&answer.content).unwrap_or_default(), answer.usage))
}

fn output(source: &Source, ran: Ran) -> TaskOutput {
    let Ran { query, result, usage } = ran;
    let (columns, truncated) = (result.columns(), result.truncated());
    let more = if truncated { " (there are more; these are the first)" } else { "" };
    let heading = format!("{} rows from data source '{}'{more}", result.rows.len(), source.name);
    TaskOutput {
        target: Some(source.name.to_string()),
        text: format!(
            "{heading}, for the query\n{query}\n\n{}",
            wording::table(&columns, &result.rows, ROWS_FOR_MODEL)
        ),
        for_answer: Some(format!("{heading}:\n\n{}", wording::table(&columns, &result.rows, ROWS_IN_ANSWER))),
        data: Some(json!({
            "datasource": source.name.as_str(),
            "query": query,
            "columns": result.metadata.get("columns").cloned().unwrap_or_else(|| json!(columns)),
            "rows": result.rows,
            "row_count": result.row_count,
            "truncated": truncated,
        })),
        query: Some(query),
        usage,
        ..TaskOutput::default()
    }
}

fn kind_of(error: &DataError) -> ErrorKind {
    if matches!(error, DataError::Failed { timed_out: true, .. }) { ErrorKind::Timeout } else { ErrorKind::Upstream }
}

fn failure(error: &DataError, query: &str) -> Error {
    failed(kind_of(error), error.text(), query)
}

fn failed(kind: ErrorKind, text: &str, query: &str) -> Error {
    let query = if query.is_empty() { String::new() } else { format!(" (query: {})", wording::excerpt(query, 1000)) };
    Error::new(kind, format!("{}{query}", text.trim_end_matches('.')))
}
