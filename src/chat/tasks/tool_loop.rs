use super::tool_calls::ToolCalls;
use super::{llm_call, tool_choice};
use crate::chat::context::TaskContext;
use crate::chat::task::{Inputs, TaskFailure, TaskOutput};
use crate::kernel::Error;
use crate::llm::{ChatMessage, Completion, LlmError, ToolSpec, Usage};
use crate::tools::ToolFunction;

/// What a model is told where the user asks for a tool.
const TOOL_WANTED: &str =
    "The user wants a tool to be used for the next request. Call the one that fits, if there is one.";

/// What is missing where the request names tools.
const NO_TOOL_USED: &str = "the tools that the request names were not used, since the model takes none";
/// What is missing where a model goes round in circles.
const SAME_CALL: &str = "no more tools were run, since the model asked for the same call over and over";
/// What is missing where tools took all the time that there was for them.
const LATE: &str = "no more tools were run, since the time for them was up";

/// Has a model answer that may ask for tools on the way: what it asks for is done and told to it, round after round, until it
/// answers or a bound is reached; then it answers with what there is. A model that can't be offered tools answers without
/// them, or, where the user asks for one, names it in JSON.
pub(super) async fn run(context: &TaskContext<'_>, inputs: Inputs) -> Result<TaskOutput, TaskFailure> {
    let calls = ToolCalls::new(context);
    let mut tool_loop = ToolLoop { context, inputs, calls, usage: None, asked: 0, stopped: None };
    match tool_loop.run().await {
        Ok(last) => Ok(tool_loop.output(last)),
        Err(error) => Err(tool_loop.failure(error)),
    }
}

/// One model's way to an answer.
struct ToolLoop<'a> {
    context: &'a TaskContext<'a>,
    inputs: Inputs,
    calls: ToolCalls<'a>,
    usage: Option<Usage>,
    /// How often the model was asked.
    asked: usize,
    /// Why no tools were run, or no more, if that may be missed in the answer.
    stopped: Option<String>,
}

impl ToolLoop<'_> {
    async fn run(&mut self) -> Result<Completion, Error> {
        let (chat, plan) = (self.context.chat, self.context.plan);
        let (llm, model) = (chat.settings.llm.effective(), chat.request.options.model.as_deref());
        if chat.tool_support.is_refused(llm, model) {
            return self.without_offering().await;
        }
        let specs: Vec<_> = plan.functions.iter().map(spec).collect();
        let mut messages = self.context.messages(&self.inputs, plan.wants_tool.then_some(TOOL_WANTED));
        let mut round = 0;
        loop {
            round += 1;
            // Where a tool is wanted, words without a call are not the answer yet.
            let is_streamed = round > 1 || !plan.wants_tool;
            let reply = match self.ask(messages.clone(), specs.clone(), is_streamed).await {
                Err(error) if round == 1 && error.refuses_tools() => {
                    tracing::info!(error = error.log_safe(), untrusted = %error, "the model can't be offered tools; it works by plan");
                    chat.tool_support.note_refusal(llm, model);
                    return self.without_offering().await;
                }
                // Another request may offer others.
                Err(error) if round == 1 && error.rejects_these_tools() => {
                    self.stopped = Some(format!("tools could not be offered to the model: {error}"));
                    return self.without_offering().await;
                }
                reply => reply?,
            };
            if reply.tool_calls.is_empty() {
                return match reply.content.trim().is_empty() {
                    true => self.final_answer().await,
                    false if is_streamed => Ok(reply),
                    false => self.force_tool_choice(reply).await,
                };
            }
            self.emit(&reply.content, is_streamed).await;
            let told = self.calls.run_all(&reply.content, reply.tool_calls).await;
            self.stopped = self.bound_reached(round, told.is_none());
            if self.stopped.is_some() {
                return self.final_answer().await;
            }
            messages.extend(told.unwrap_or_default());
        }
    }

    /// Why no more tools are run after this round, if none are.
    fn bound_reached(&self, round: usize, is_repeated: bool) -> Option<String> {
        let max_rounds = self.context.chat.settings.orchestration.max_iterations;
        if is_repeated {
            Some(SAME_CALL.to_owned())
        } else if round == max_rounds {
            Some(format!("no more tools were run after {max_rounds} rounds (ORCHESTRATION_MAX_ITERATIONS)"))
        } else {
            self.calls.is_late().then(|| LATE.to_owned())
        }
    }

    /// The answer of a model that can't be offered tools.
    async fn without_offering(&mut self) -> Result<Completion, Error> {
        if self.context.plan.wants_tool {
            self.choose().await;
        }
        if self.context.plan.names_tools && self.calls.are_none() {
            self.stopped.get_or_insert_with(|| NO_TOOL_USED.to_owned());
        }
        self.final_answer().await
    }

    /// The answer of a model that used words though a tool is wanted: some models overlook what they are offered.
    async fn force_tool_choice(&mut self, reply: Completion) -> Result<Completion, Error> {
        self.choose().await;
        if self.calls.found().is_some() || !self.inputs.results.is_empty() {
            return self.final_answer().await;
        }
        self.context.chat.answer.push(reply.content.clone()).await;
        Ok(reply)
    }

    /// Has the model name a tool in JSON, and runs it.
    async fn choose(&mut self) {
        self.asked += 1;
        let (call, usage) = tool_choice::choose(self.context).await;
        self.usage = Usage::sum(self.usage, usage);
        if let Some(call) = call {
            self.calls.run_all("", vec![call]).await;
        }
    }

    /// The answer, with results in words: there are servers that take calls in a conversation only where tools are offered.
    async fn final_answer(&mut self) -> Result<Completion, Error> {
        let mut inputs = self.inputs.clone();
        inputs.results.extend(self.calls.results());
        inputs.failures.extend(self.stopped.clone());
        let last = self.ask(self.context.messages(&inputs, None), Vec::new(), true).await?;
        llm_call::with_text(last)
    }

    /// Asks the model, for a part of the answer if that is streamed.
    async fn ask(
        &mut self,
        messages: Vec<ChatMessage>,
        tools: Vec<ToolSpec>,
        is_streamed: bool,
    ) -> Result<Completion, LlmError> {
        self.asked += 1;
        let context = self.context;
        let reply = match is_streamed {
            true => llm_call::stream_answer(context, messages, tools).await?,
            false => context.complete(&context.llm_request(messages, tools), context.deadline).await?,
        };
        self.usage = Usage::sum(self.usage, reply.usage);
        Ok(reply)
    }

    /// What the model says before it asks for tools is part of the answer, in a paragraph of its own.
    async fn emit(&self, text: &str, was_streamed: bool) {
        if text.trim().is_empty() {
            return;
        }
        let answer = &self.context.chat.answer;
        if !was_streamed {
            answer.push(text).await;
        }
        answer.push("\n\n").await;
    }

    fn failure(self, error: Error) -> TaskFailure {
        let rounds = self.asked.saturating_sub(1);
        TaskFailure { found: self.calls.found(), rounds, usage: self.usage, ..error.into() }
    }

    fn output(self, last: Completion) -> TaskOutput {
        TaskOutput {
            target: Some(last.model.clone()),
            model: Some(last.model),
            text: self.context.chat.answer.written(),
            usage: self.usage,
            gap: self.stopped,
            rounds: self.asked.saturating_sub(1),
            ..TaskOutput::default()
        }
    }
}

fn spec(function: &ToolFunction) -> ToolSpec {
    ToolSpec {
        name: function.call_name.clone(),
        description: function.description.clone(),
        parameters: function.parameters.clone(),
    }
}
