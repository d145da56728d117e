use serde::Serialize;
use serde_json::{Map, Value};

use super::query_language::QueryLanguage;
use super::text_to_query::{self, SourceNotes};
use super::verified_query::{self, VerifiedBy, VerifiedQuery};
use crate::chat::context::TaskContext;
use crate::chat::task::{QueryTask, TaskFailure, TaskOutput};
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
    /// The verified question whose query it is.
    verified: Option<VerifiedQuery>,
    usage: Option<Usage>,
    result: Result<QueryResult, DataError>,
}

/// The rows as `metadata.data` of the reply shows them.
#[derive(Serialize)]
struct QueryData<'a> {
    datasource: &'a str,
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<VerifiedBy<'a>>,
    columns: Value,
    rows: Vec<Value>,
    row_count: u64,
    truncated: bool,
}

/// Asks a data source what the prompt asks.
pub(super) async fn run(context: &TaskContext<'_>, task: &QueryTask) -> Result<TaskOutput, TaskFailure> {
    ask(context, task, context.prompt.prompt, None).await
}

/// Asks a data source: with this query, the one that the question spells out or the verified one that fits it, or else with one
/// that a model writes.
pub(super) async fn ask(
    context: &TaskContext<'_>,
    task: &QueryTask,
    question: &str,
    query: Option<&str>,
) -> Result<TaskOutput, TaskFailure> {
    let source = &task.source;
    let language = QueryLanguage::of(source).ok_or_else(|| {
        let text = format!("DataSource '{}': unsupported type '{}'", source.name, source.effective.kind);
        Error::new(ErrorKind::Upstream, text)
    })?;
    let (run, lead) = match query.map(str::to_owned).or_else(|| language.query_in(question)) {
        Some(query) => {
            let result = send(context, source, &query, Map::new()).await;
            (QueryRun { query, verified: None, usage: None, result }, "")
        }
        None => find_and_ask(context, task, language, question).await?,
    };
    let QueryRun { query, verified, usage, result } = run;
    match result {
        Ok(result) => Ok(output(source, query, verified.as_ref(), usage, result)),
        Err(error) => {
            let error = Error::new(kind_of(&error), format!("{lead}{error}"));
            Err(TaskFailure { query: non_empty(query), usage, ..error.into() })
        }
    }
}

/// Takes the verified query that fits a question. Where there is none, or it does not work any more, a model writes one.
async fn find_and_ask(
    context: &TaskContext<'_>,
    task: &QueryTask,
    language: QueryLanguage,
    question: &str,
) -> Result<(QueryRun, &'static str), TaskFailure> {
    let (source, datasources) = (&task.source, &context.chat.services.datasources);
    let (verified, usage) = verified_query::find(context, task, question).await;
    if let Some(verified) = verified {
        let query = verified.question.query.clone();
        let result = send(context, source, &query, verified.parameters.clone()).await;
        let Some(error) = result.as_ref().err().filter(|error| !is_about_any_query(error)) else {
            return Ok((QueryRun { query, verified: Some(verified), usage, result }, ""));
        };
        let (id, text) = (&verified.question.id, error.to_string());
        tracing::warn!(source = %source.name, question = %id, untrusted = text, "a verified query does not work");
        datasources.recheck_verified(source, context.deadline).await;
    }
    let (run, lead) = write_and_ask(context, source, language, question).await?;
    Ok((QueryRun { usage: Usage::sum(usage, run.usage), ..run }, lead))
}

/// Has a model write the query, and mend it once; with it comes what is said before the objection to the second attempt.
async fn write_and_ask(
    context: &TaskContext<'_>,
    source: &Source,
    language: QueryLanguage,
    question: &str,
) -> Result<(QueryRun, &'static str), TaskFailure> {
    let schema = context.chat.services.datasources.schema(source, &context.chat.request.caller, context.deadline).await;
    let schema = schema.map_err(|error| Error::new(kind_of(&error), error.to_string()))?;
    // Services describe themselves in any form.
    let schema = serde_json::to_value(schema).unwrap_or_default();
    let vocabulary = context.chat.services.grounding.vocabulary(source.name.as_str());
    let (protocol, hints) = (source.effective.protocol(), source.effective.query_hints());
    let notes = SourceNotes { protocol, hints, max_rows: max_rows(source), vocabulary };
    let question = text_to_query::question(language, &schema, &notes, question);
    let (query, usage) = write(context, language, question.clone()).await?;
    let caller = &context.chat.request.caller;
    let planned = context.chat.services.datasources.explain(source, caller, &query, context.deadline).await;
    let first = match planned {
        Err(error) if !query.is_empty() => QueryRun { query, verified: None, usage, result: Err(error) },
        _ => try_out(context, source, query, usage).await,
    };
    let objection = match &first.result {
        Err(error) if !is_about_any_query(error) => error.to_string(),
        _ => return Ok((first, "")),
    };
    tracing::info!(source = %source.name, untrusted = %objection, "a written query is to be mended");
    let again = text_to_query::repair(&question, &first.query, &objection);
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
        query => send(context, source, query, Map::new()).await,
    };
    QueryRun { query, verified: None, usage, result }
}

/// Asks the source. A service over HTTP has no guard of its own: there SQL must be a query, and nothing else.
async fn send(
    context: &TaskContext<'_>,
    source: &Source,
    query: &str,
    parameters: Map<String, Value>,
) -> Result<QueryResult, DataError> {
    let protocol = source.effective.protocol();
    if let (Some(Protocol::Rest), Some(QueryLanguage::Sql(_))) = (protocol, QueryLanguage::of(source)) {
        check_readable(query).await?;
    }
    let request = QueryRequest { query: query.to_owned(), parameters, max_rows: Some(max_rows(source)) };
    let caller = &context.chat.request.caller;
    context.chat.services.datasources.query(source, caller, &request, context.deadline).await
}

/// Rows asked for at most of this source.
fn max_rows(source: &Source) -> usize {
    source.effective.query_hints().max_rows.map_or(MAX_ROWS, |rows| rows.min(MAX_ROWS))
}

async fn write(
    context: &TaskContext<'_>,
    language: QueryLanguage,
    question: String,
) -> Result<(String, Option<Usage>), Error> {
    let answer = context.ask(question, context.deadline).await;
    let answer = answer.map_err(|error| Error::from(error).prefixed("No query could be written: "))?;
    if answer.is_cut_off() {
        return Err(Error::new(ErrorKind::Upstream, format!("No query could be written: {}", answer.why_no_text())));
    }
    Ok((language.query_from_model(&answer.content).unwrap_or_default(), answer.usage))
}

fn output(
    source: &Source,
    query: String,
    verified: Option<&VerifiedQuery>,
    usage: Option<Usage>,
    mut result: QueryResult,
) -> TaskOutput {
    let (columns, described) = (result.columns(), result.described_columns());
    let cut = keep_first(&mut result.rows, MAX_BYTES);
    let truncated = result.truncated() || cut;
    let more = if truncated { " (there are more; these are the first)" } else { "" };
    let heading = format!("{} from data source '{}'{more}", text::count(result.rows.len(), "row"), source.name);
    let (sentence, parameters) = verified.map(|verified| (verified.sentence(), &verified.parameters)).unzip();
    let shown = sentence.as_ref().map_or_else(|| format!("{heading}:"), |sentence| format!("{heading}. {sentence}"));
    TaskOutput {
        target: Some(source.name.to_string()),
        text: format!(
            "{heading}, for the query\n{query}\n\n{}{}",
            sentence.map(|sentence| format!("{sentence}\n\n")).unwrap_or_default(),
            text::table(&columns, &result.rows, MAX_ROWS_FOR_MODEL)
        ),
        for_answer: Some(format!("{shown}\n\n{}", text::table(&columns, &result.rows, MAX_ROWS_IN_ANSWER))),
        data: serde_json::to_value(QueryData {
            datasource: source.name.as_str(),
            query: &query,
            parameters: parameters.filter(|parameters| !parameters.is_empty()),
            verified: verified.map(VerifiedQuery::shown),
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
