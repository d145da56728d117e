use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::TaskContext;
use super::tool_result::{WebSource, labelled, listed, status_of, step_of, text_of};
use crate::chat::text::{excerpt, one_line};
use crate::chat::tool_selection::is_search;
use crate::kernel::{Deadline, Role};
use crate::llm::{ChatMessage, ToolCall};
use crate::tools::{ToolFunction, ToolResult, ToolStatus};

/// ToolCalls of one reply that are carried out.
const MAX_CALLS: usize = 8;
/// ToolCalls of one reply that are answered at all.
const MAX_ANSWERED: usize = 32;
/// Times that the same call is answered if no other was carried out in between: the second time with the first result.
const MAX_REPEATS: usize = 2;
/// Longest arguments, in bytes of JSON: they are sent back to the model in each later round.
const MAX_ARGUMENT_BYTES: usize = 100_000;
/// Characters of one result that a model is shown.
const MAX_RESULT_CHARS: usize = 12_000;
/// Characters of all results of one request.
const MAX_ALL_CHARS: usize = 120_000;
/// What a model is told besides of a search.
const SOURCES: &str = "Its pages are listed below your answer; refer to one by its number, as in [1].";
/// Time kept for the answer, if there is enough of it.
const ANSWER_RESERVE: Duration = Duration::from_secs(30);

/// Carries out the calls that a model asks for in the course of one request, within bounds.
pub(super) struct ToolCalls<'a> {
    context: &'a TaskContext<'a>,
    deadline: Deadline,
    made: Vec<ToolCallRecord>,
    chars_left: usize,
    /// Replies so far that asked for something.
    replies: usize,
    /// All pages that the answer is going to list, in their order.
    numbered: Vec<WebSource>,
    /// What searches found; none if nothing was searched.
    pub(super) sources: Option<Vec<WebSource>>,
}

/// A call that was carried out.
struct ToolCallRecord {
    name: String,
    arguments: Value,
    status: &'static str,
    /// What the model is told of it.
    text: String,
    /// Whether the answer lists pages that it found.
    has_sources: bool,
    /// The reply that it was carried out for.
    reply: usize,
    /// Replies that asked for it.
    times: usize,
}

impl<'a> ToolCalls<'a> {
    /// `numbered` are the pages that were found before.
    pub(super) fn new(context: &'a TaskContext<'a>, numbered: Vec<WebSource>) -> Self {
        let left = context.deadline.remaining();
        let deadline = context.deadline.at_most(left.saturating_sub((left / 4).min(ANSWER_RESERVE)));
        Self { context, deadline, made: Vec::new(), chars_left: MAX_ALL_CHARS, replies: 0, numbered, sources: None }
    }

    /// Whether the time for tools is up, and only that for the answer is left.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.remaining().is_zero()
    }

    /// Whether nothing was carried out yet.
    pub(super) fn are_none(&self) -> bool {
        self.made.is_empty()
    }

    /// What the tools gave so far, each labelled as data.
    pub(super) fn results(&self) -> Vec<String> {
        self.made
            .iter()
            .map(|made| format!("Tool '{}' ({}):\n{}", one_line(&made.name), made.status, made.text))
            .collect()
    }

    /// What tools that did their work gave, for a reader.
    pub(super) fn found(&self) -> Option<String> {
        let done = self.made.iter().filter(|made| made.status == "success");
        let found: Vec<_> =
            done.map(|made| format!("Result of tool '{}':\n{}", one_line(&made.name), made.text)).collect();
        (!found.is_empty()).then(|| found.join("\n\n"))
    }

    /// Carries out the calls of one reply side by side, but not too many at once. Gives the reply as it goes into the
    /// conversation, and an answer to each of its calls; `None` if the model asks for the same thing over and over.
    pub(super) async fn answer(&mut self, reply: &str, calls: Vec<ToolCall>) -> Option<Vec<ChatMessage>> {
        let calls: Vec<_> = calls.into_iter().take(MAX_ANSWERED).map(plain).collect();
        self.replies += 1;
        let (carried_out, left_over) = calls.split_at(calls.len().min(MAX_CALLS));
        let mut fresh: Vec<&ToolCall> = Vec::new();
        let mut repeated: Vec<usize> = Vec::new();
        for call in carried_out {
            if let Some(at) = self.repeated(call) {
                repeated.push(at);
            } else if !fresh.iter().any(|known| known.name == call.name && known.arguments == call.arguments) {
                fresh.push(call);
            }
        }
        repeated.sort_unstable();
        repeated.dedup();
        for at in &repeated {
            let made = self.made.get_mut(*at)?;
            made.times += 1;
            if made.times > MAX_REPEATS {
                tracing::warn!(untrusted = %one_line(&made.name), "the model asks for the same call over and over");
                return None;
            }
        }
        let first = self.made.len() + 1;
        let context = self.context;
        let deadline = self.deadline;
        let runs: Vec<_> =
            fresh.iter().zip(first..).map(|(call, number)| run(context, deadline, call, number)).collect();
        // One request leaves half of the places to others.
        let at_once = (context.settings.tool_policy.max_concurrent / 2).max(1);
        let mut results: Vec<_> = stream::iter(runs).buffer_unordered(at_once).collect().await;
        results.sort_unstable_by_key(|done| done.number);
        for (call, done) in fresh.iter().zip(&results) {
            self.keep(call, done);
        }
        let asked = ChatMessage { tool_calls: calls.clone(), ..ChatMessage::new(Role::Assistant, reply) };
        let told = carried_out.iter().map(|call| (call, self.told(call)));
        let left_over = left_over.iter().map(|call| {
            let text = format!(
                "Not run: at most {MAX_CALLS} calls of one reply are carried out. Ask again for what is needed."
            );
            (call, text)
        });
        let answers = told
            .chain(left_over)
            .map(|(call, text)| ChatMessage { answers: Some(call.clone()), ..ChatMessage::new(Role::Tool, text) });
        Some([asked].into_iter().chain(answers).collect())
    }

    /// The same call, if it was the last thing to be carried out, alone or with others. After anything else it may give
    /// something new: whoever waits for work to be done asks again and again how far it is.
    fn repeated(&self, call: &ToolCall) -> Option<usize> {
        let last = self.made.last()?.reply;
        self.made.iter().rposition(|made| made.is(call) && made.reply == last)
    }

    /// What the model is told of a call that was carried out.
    fn told(&self, call: &ToolCall) -> String {
        let Some(made) = self.made.iter().rfind(|made| made.is(call)) else { return String::new() };
        let mut text = labelled(&one_line(&made.name), made.status, &made.text);
        if made.has_sources {
            text = format!("{SOURCES} {text}");
        }
        if made.times < MAX_REPEATS {
            return text;
        }
        format!(
            "This was asked for before with the same arguments, so it was not run again. Answer with what is known. {text}"
        )
    }

    fn keep(&mut self, call: &ToolCall, CompletedCall { result, is_search, .. }: &CompletedCall) {
        let has_sources = *is_search && result.status == ToolStatus::Success;
        let text = match has_sources {
            true => self.numbered(&result.output),
            false => text_of(result),
        };
        let text = match self.chars_left {
            0 => "(left out: the results of this request are too long together)".to_owned(),
            left => excerpt(&text, left.min(MAX_RESULT_CHARS)),
        };
        self.chars_left = self.chars_left.saturating_sub(text.chars().count());
        let (name, arguments) = (call.name.clone(), call.arguments.clone());
        let (status, reply) = (status_of(result), self.replies);
        self.made.push(ToolCallRecord { name, arguments, status, text, has_sources, reply, times: 1 });
    }

    /// The results of a search by the numbers that the answer lists them under.
    fn numbered(&mut self, output: &Value) -> String {
        let found = WebSource::all_in(output);
        WebSource::merge(&mut self.numbered, &found);
        self.sources.get_or_insert_default().extend_from_slice(&found);
        listed(output, &found, &self.numbered)
    }
}

/// A call that has just been carried out.
struct CompletedCall {
    /// Its place among all calls of the request.
    number: usize,
    result: ToolResult,
    is_search: bool,
}

impl ToolCallRecord {
    fn is(&self, call: &ToolCall) -> bool {
        self.name == call.name && self.arguments == call.arguments
    }
}

/// A call as it goes on: models leave arguments out where there are none, and some write more than anybody reads.
fn plain(call: ToolCall) -> ToolCall {
    let arguments = match call.arguments {
        Value::Null => json!({}),
        long if long.to_string().len() > MAX_ARGUMENT_BYTES => json!("(arguments that were too long)"),
        arguments => arguments,
    };
    ToolCall { arguments, ..call }
}

/// Runs one call and logs it.
async fn run(context: &TaskContext<'_>, deadline: Deadline, call: &ToolCall, number: usize) -> CompletedCall {
    let started = Instant::now();
    let offered = context.offered;
    let named = |name: fn(&ToolFunction) -> &String| offered.iter().find(|function| *name(function) == call.name);
    let function = named(|function| &function.call_name).or_else(|| named(|function| &function.name));
    let result = match function {
        Some(function) => context.tools.execute(function, &call.arguments, context.settings, deadline).await,
        None => {
            let names: Vec<_> = offered.iter().map(|function| function.call_name.as_str()).collect();
            ToolResult::error(format!("There is no tool '{}'. There are: {}", one_line(&call.name), names.join(", ")))
        }
    };
    let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    let name = function.map_or(&call.name, |function| &function.name);
    context.log(number, step_of(name, &call.arguments, &result, duration_ms)).await;
    CompletedCall { number, result, is_search: function.is_some_and(|function| is_search(&function.tool)) }
}
