use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};

use super::function_call::{self, FunctionResult};
use super::tool_result::labelled;
use crate::chat::callable::Callable;
use crate::chat::context::TaskContext;
use crate::chat::routing::RoutedTarget;
use crate::chat::task::{Inputs, TaskOutput};
use crate::chat::text::short_line;
use crate::kernel::{Role, truncate_chars};
use crate::llm::{ChatMessage, ToolCall, Usage};
use crate::storage::Step;
use crate::tools::ToolStatus;

/// Calls of one reply that are carried out.
const MAX_CALLS: usize = 8;
/// Calls of one reply that are answered at all.
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
/// What a model is told besides of rows.
const TABLE: &str = "Its table is shown below your answer, so don't repeat it.";
/// Tables and other results of functions that an answer has below it.
const MAX_SHOWN: usize = 8;
/// Time kept for the answer, if there is enough of it.
const ANSWER_RESERVE: Duration = Duration::from_secs(30);

/// Carries out the calls that a model asks for in the course of one request, within bounds.
pub(super) struct ToolCalls<'a> {
    /// With the deadline of the calls.
    context: TaskContext<'a>,
    /// What the plan found before.
    inputs: Inputs,
    records: Vec<ToolCallRecord>,
    chars_left: usize,
    /// Replies so far that asked for something.
    replies: usize,
}

/// A call that was carried out.
struct ToolCallRecord {
    name: String,
    arguments: Value,
    status: ToolStatus,
    /// What the model is told of it.
    text: String,
    /// What the model is told besides.
    note: Option<&'static str>,
    /// What a data source or an agent gave.
    output: TaskOutput,
    /// The reply that it was carried out for.
    reply: usize,
    /// Replies that asked for it.
    times: usize,
}

/// A call that has just been carried out.
struct CompletedCall {
    /// Its place among all calls of the request.
    number: usize,
    result: FunctionResult,
}

impl<'a> ToolCalls<'a> {
    pub(super) fn new(context: &TaskContext<'a>, inputs: &Inputs) -> Self {
        let left = context.deadline.remaining();
        let deadline = context.deadline.at_most(left.saturating_sub((left / 4).min(ANSWER_RESERVE)));
        let (context, inputs) = (TaskContext { deadline, ..*context }, inputs.clone());
        Self { context, inputs, records: Vec::new(), chars_left: MAX_ALL_CHARS, replies: 0 }
    }

    /// Whether the time for tools is up, and only that for the answer is left.
    pub(super) fn is_late(&self) -> bool {
        self.context.deadline.remaining().is_zero()
    }

    /// Whether nothing was carried out yet.
    pub(super) fn are_none(&self) -> bool {
        self.records.is_empty()
    }

    /// What the tools gave so far, each labelled as data.
    pub(super) fn results(&self) -> Vec<String> {
        let result = |record: &ToolCallRecord| {
            format!("Tool '{}' ({}):\n{}", short_line(&record.name), record.status.as_str(), record.text)
        };
        self.records.iter().map(result).collect()
    }

    /// Whether any gave something.
    pub(super) fn have_found(&self) -> bool {
        self.records.iter().any(ToolCallRecord::is_done)
    }

    /// What those are functions of that gave something.
    pub(super) fn fruitful(&self) -> impl Iterator<Item = RoutedTarget> {
        let done = self.records.iter().filter(|record| record.is_done());
        done.filter_map(|record| Callable::find(&self.context.plan.functions, &record.name).map(Callable::target))
    }

    /// What those that did their work gave, for a reader who gets no answer of a model.
    pub(super) fn found(&self) -> Vec<TaskOutput> {
        let found = |record: &ToolCallRecord| {
            let text = format!("Result of tool '{}':\n{}", short_line(&record.name), record.text);
            TaskOutput { text, ..record.output.clone() }
        };
        self.records.iter().filter(|record| record.is_done()).map(found).collect()
    }

    /// What data sources and agents gave, for the reply.
    pub(super) fn parts(&self) -> Vec<TaskOutput> {
        let given = self.records.iter().filter(|record| record.output.target.is_some());
        given.map(|record| record.output.clone()).collect()
    }

    /// What the functions were of that were called.
    pub(super) fn called(&self) -> Vec<RoutedTarget> {
        let mut called: Vec<RoutedTarget> = Vec::new();
        for record in &self.records {
            let target = Callable::find(&self.context.plan.functions, &record.name).map(Callable::target);
            called.extend(target.filter(|target| !called.contains(target)));
        }
        called
    }

    /// Tokens that data sources and agents used.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.records.iter().fold(None, |sum, record| Usage::sum(sum, record.output.usage))
    }

    /// Carries out the calls of one reply. Gives the reply and its answers; `None` if it asks for the same over and over.
    pub(super) async fn run_all(&mut self, reply: &str, calls: Vec<ToolCall>) -> Option<Vec<ChatMessage>> {
        let calls: Vec<_> = calls.into_iter().take(MAX_ANSWERED).map(normalize).collect();
        self.replies += 1;
        let (carried_out, left_over) = calls.split_at(calls.len().min(MAX_CALLS));
        let fresh = self.without_repeated(carried_out)?;
        let mut inputs = self.inputs.clone();
        inputs.results.extend(self.results());
        let numbered = fresh.iter().zip(self.records.len() + 1..);
        let runs: Vec<_> = numbered.map(|(call, number)| run(&self.context, call, number, &inputs)).collect();
        // One request leaves half of the places to others.
        let at_once = (self.context.chat.settings.tool_policy.max_concurrent / 2).max(1);
        let mut completed: Vec<_> = stream::iter(runs).buffer_unordered(at_once).collect().await;
        completed.sort_unstable_by_key(|completed| completed.number);
        for (call, completed) in fresh.into_iter().zip(completed) {
            self.keep(call, completed.result);
        }
        let answer =
            |call: &ToolCall, text| ChatMessage { answers: Some(call.clone()), ..ChatMessage::new(Role::Tool, text) };
        let not_run = || {
            format!("Not run: at most {MAX_CALLS} calls of one reply are carried out. Ask again for what is needed.")
        };
        let told = carried_out.iter().map(|call| answer(call, self.told(call)));
        let told: Vec<_> = told.chain(left_over.iter().map(|call| answer(call, not_run()))).collect();
        let asked = ChatMessage { tool_calls: calls, ..ChatMessage::new(Role::Assistant, reply) };
        Some([asked].into_iter().chain(told).collect())
    }

    /// The calls that have to be run; the others are counted as repeated. `None` if one is repeated too often.
    fn without_repeated<'c>(&mut self, calls: &'c [ToolCall]) -> Option<Vec<&'c ToolCall>> {
        let mut fresh: Vec<&ToolCall> = Vec::new();
        let mut repeated: Vec<usize> = Vec::new();
        for call in calls {
            if let Some(at) = self.repeated(call) {
                repeated.push(at);
            } else if !fresh.iter().any(|known| known.name == call.name && known.arguments == call.arguments) {
                fresh.push(call);
            }
        }
        repeated.sort_unstable();
        repeated.dedup();
        for at in repeated {
            let record = self.records.get_mut(at)?;
            record.times += 1;
            if record.times > MAX_REPEATS {
                tracing::warn!(untrusted = %short_line(&record.name), "the model asks for the same call over and over");
                return None;
            }
        }
        Some(fresh)
    }

    /// The same call, if it was the last thing to be carried out: after anything else it may give something new.
    fn repeated(&self, call: &ToolCall) -> Option<usize> {
        let last = self.records.last()?.reply;
        self.records.iter().rposition(|record| record.is(call) && record.reply == last)
    }

    /// What the model is told of a call that was carried out.
    fn told(&self, call: &ToolCall) -> String {
        let Some(record) = self.records.iter().rfind(|record| record.is(call)) else { return String::new() };
        let mut text = labelled(&short_line(&record.name), record.status, &record.text);
        if let Some(note) = record.note {
            text = format!("{note} {text}");
        }
        if record.times < MAX_REPEATS {
            return text;
        }
        format!(
            "This was asked for before with the same arguments, so it was not run again. Answer with what is known. {text}"
        )
    }

    fn keep(&mut self, call: &ToolCall, result: FunctionResult) {
        let FunctionResult { status, text, search, mut output, .. } = result;
        let (text, note) = match search {
            Some(found) => (self.context.chat.sources.add(&found.results), Some(SOURCES)),
            None => (text, output.for_answer.as_ref().map(|_| TABLE)),
        };
        let shown = self.records.iter().filter(|record| record.output.for_answer.is_some()).count();
        if shown >= MAX_SHOWN {
            (output.for_answer, output.data) = (None, None);
        }
        let text = match self.chars_left {
            0 => "(left out: the results of this request are too long together)".to_owned(),
            left => truncate_chars(&text, left.min(MAX_RESULT_CHARS)),
        };
        self.chars_left = self.chars_left.saturating_sub(text.chars().count());
        let ToolCall { name, arguments, .. } = call.clone();
        let reply = self.replies;
        self.records.push(ToolCallRecord { name, arguments, status, text, note, output, reply, times: 1 });
    }
}

impl ToolCallRecord {
    fn is_done(&self) -> bool {
        self.status == ToolStatus::Success
    }

    fn is(&self, call: &ToolCall) -> bool {
        self.name == call.name && self.arguments == call.arguments
    }
}

/// A call as it goes on: models leave arguments out where there are none, and some write more than anybody reads.
fn normalize(call: ToolCall) -> ToolCall {
    let arguments = match call.arguments {
        Value::Null => Value::Object(Map::new()),
        long if long.to_string().len() > MAX_ARGUMENT_BYTES => Value::from("(arguments that were too long)"),
        arguments => arguments,
    };
    ToolCall { arguments, ..call }
}

/// Runs one call and records it.
async fn run(context: &TaskContext<'_>, call: &ToolCall, number: usize, inputs: &Inputs) -> CompletedCall {
    let id = context.part(number);
    let result = function_call::run(&TaskContext { task: &id, ..*context }, call, inputs).await;
    context.chat.record_step(Step { id, ..result.step.clone() }).await;
    CompletedCall { number, result }
}
