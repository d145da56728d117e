use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::TaskContext;
use super::tool_result::{WebSource, labelled, status_of, step_of, text_of};
use crate::chat::toolbox::is_search;
use crate::chat::wording::{excerpt, one_line};
use crate::kernel::{Deadline, Role};
use crate::llm::{ChatMessage, ToolCall};
use crate::tools::{Function, ToolResult, ToolStatus};

/// Calls of one reply that are carried out.
const MOST_CALLS: usize = 8;
/// Calls of one reply that are answered at all.
const MOST_ANSWERED: usize = 32;
/// Times that the same call is answered: the second time with the first result.
const MOST_REPEATS: usize = 2;
/// Longest arguments, in bytes of JSON: they are sent back to the model in each later round.
const LONGEST_ARGUMENTS: usize = 100_000;
/// Characters of one result that a model is shown.
const RESULT_CHARS: usize = 12_000;
/// Characters of all results of one request.
const ALL_CHARS: usize = 120_000;
/// Time kept for the answer, if there is enough of it.
const TIME_FOR_ANSWER: Duration = Duration::from_secs(30);

/// Carries out the calls that a model asks for in the course of one request, within bounds.
pub(super) struct Calls<'a> {
    context: &'a TaskContext<'a>,
    deadline: Deadline,
    made: Vec<Made>,
    chars_left: usize,
    /// What searches found; none if nothing was searched.
    pub(super) sources: Option<Vec<WebSource>>,
}

/// A call that was carried out.
struct Made {
    name: String,
    arguments: Value,
    status: &'static str,
    /// What the model is told of it.
    text: String,
    /// Replies that asked for it.
    times: usize,
}

impl<'a> Calls<'a> {
    pub(super) fn new(context: &'a TaskContext<'a>) -> Self {
        let left = context.deadline.remaining();
        let deadline = context.deadline.at_most(left.saturating_sub((left / 4).min(TIME_FOR_ANSWER)));
        Self { context, deadline, made: Vec::new(), chars_left: ALL_CHARS, sources: None }
    }

    /// Whether the time for tools is up, and only that for the answer is left.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.remaining().is_zero()
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

    /// Carries out the calls of one reply side by side. Gives the reply as it goes into the conversation, and an answer to
    /// each of its calls; `None` if the model asks for the same thing over and over.
    pub(super) async fn answer(&mut self, reply: &str, calls: Vec<ToolCall>) -> Option<Vec<ChatMessage>> {
        let calls: Vec<_> = calls.into_iter().take(MOST_ANSWERED).map(plain).collect();
        let (carried_out, left_over) = calls.split_at(calls.len().min(MOST_CALLS));
        let mut fresh: Vec<&ToolCall> = Vec::new();
        let mut repeated: Vec<usize> = Vec::new();
        for call in carried_out {
            if let Some(at) = self.made.iter().position(|made| made.is(call)) {
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
            if made.times > MOST_REPEATS {
                tracing::warn!(words = %one_line(&made.name), "the model asks for the same call over and over");
                return None;
            }
        }
        let first = self.made.len() + 1;
        let context = self.context;
        let deadline = self.deadline;
        let runs = fresh.iter().zip(first..).map(|(call, number)| run(context, deadline, call, number));
        let results = join_all(runs).await;
        for (call, result) in fresh.iter().zip(results) {
            self.keep(call, &result);
        }
        let asked = ChatMessage { tool_calls: calls.clone(), ..ChatMessage::new(Role::Assistant, reply) };
        let told = carried_out.iter().map(|call| (call, self.told(call)));
        let left_over = left_over.iter().map(|call| {
            let text = format!(
                "Not run: at most {MOST_CALLS} calls of one reply are carried out. Ask again for what is needed."
            );
            (call, text)
        });
        let answers = told
            .chain(left_over)
            .map(|(call, text)| ChatMessage { answers: Some(call.clone()), ..ChatMessage::new(Role::Tool, text) });
        Some([asked].into_iter().chain(answers).collect())
    }

    /// What the model is told of a call that was carried out.
    fn told(&self, call: &ToolCall) -> String {
        let Some(made) = self.made.iter().find(|made| made.is(call)) else { return String::new() };
        let text = labelled(&one_line(&made.name), made.status, &made.text);
        if made.times < MOST_REPEATS {
            return text;
        }
        format!(
            "This was asked for before with the same arguments, so it was not run again. Answer with what is known. {text}"
        )
    }

    fn keep(&mut self, call: &ToolCall, result: &(ToolResult, bool)) {
        let (result, is_search) = result;
        if *is_search && result.status == ToolStatus::Success {
            self.sources.get_or_insert_default().extend(WebSource::all_in(&result.output));
        }
        let text = match self.chars_left {
            0 => "(left out: the results of this request are too long together)".to_owned(),
            left => excerpt(&text_of(result), left.min(RESULT_CHARS)),
        };
        self.chars_left = self.chars_left.saturating_sub(text.chars().count());
        let (name, arguments) = (call.name.clone(), call.arguments.clone());
        self.made.push(Made { name, arguments, status: status_of(result), text, times: 1 });
    }
}

impl Made {
    fn is(&self, call: &ToolCall) -> bool {
        self.name == call.name && self.arguments == call.arguments
    }
}

/// A call as it goes on: models leave arguments out where there are none, and some write more than anybody reads.
fn plain(call: ToolCall) -> ToolCall {
    let arguments = match call.arguments {
        Value::Null => json!({}),
        long if long.to_string().len() > LONGEST_ARGUMENTS => json!("(arguments that were too long)"),
        arguments => arguments,
    };
    ToolCall { arguments, ..call }
}

/// Runs one call and logs it; whether it was a search.
async fn run(context: &TaskContext<'_>, deadline: Deadline, call: &ToolCall, number: usize) -> (ToolResult, bool) {
    let started = Instant::now();
    let offered = context.offered;
    let named = |name: fn(&Function) -> &String| offered.iter().find(|function| *name(function) == call.name);
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
    (result, function.is_some_and(|function| is_search(&function.tool)))
}
