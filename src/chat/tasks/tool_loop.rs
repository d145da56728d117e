use super::tool_calls::ToolCalls;
use super::{TaskContext, TaskFailure, TaskOutput, llm_call, tool_choice};
use crate::chat::executor::Inputs;
use crate::chat::prompt;
use crate::kernel::Error;
use crate::llm::{Completion, LlmError, ToolSpec, Usage};

/// What a model is told where the user asks for a tool.
const TOOL_WANTED: &str =
    "The user wants a tool to be used for the next request. Call the one that fits, if there is one.";

/// What is missing where the request names tools.
const NO_TOOLS: &str = "the tools that the request names were not used, since the model takes none";

/// What is missing where a model goes round in circles.
const OVER_AND_OVER: &str = "no more tools were run, since the model asked for the same call over and over";

/// Has a model answer that may ask for tools on the way: what it asks for is done and told to it, round after round, until it
/// answers or a bound is reached; then it answers with what there is. A model that can't be offered tools answers without
/// them, or, where the user asks for one, names it in JSON.
pub(super) async fn run(context: &TaskContext<'_>, inputs: Inputs) -> Result<TaskOutput, TaskFailure> {
    let calls = ToolCalls::new(context, inputs.sources.clone());
    let mut tool_loop = ToolLoop { context, inputs, calls, said: String::new(), usage: None, asked: 0, stopped: None };
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
    /// What the model said before it asked for tools.
    said: String,
    usage: Option<Usage>,
    /// How often the model was asked.
    asked: usize,
    /// Why no tools were run, or no more, if that may be missed in the answer.
    stopped: Option<String>,
}

impl ToolLoop<'_> {
    async fn run(&mut self) -> Result<Completion, Error> {
        let context = self.context;
        let (llm, model) = (context.settings.llm.effective(), context.user_request.options.model.as_deref());
        if context.support.is_refused(llm, model) {
            return self.by_plan().await;
        }
        let specs: Vec<_> = context.offered.iter().map(spec).collect();
        let mut messages = prompt::messages(context, &self.inputs, context.offer.is_wanted.then_some(TOOL_WANTED));
        let most = context.settings.orchestration.max_iterations;
        for round in 1.. {
            // Where a tool is wished for, words without a call are not the answer yet.
            let aloud = round > 1 || !context.offer.is_wanted;
            let answer = match aloud {
                true => llm_call::say(context, messages.clone(), specs.clone()).await,
                false => llm_call::ask_with(context, messages.clone(), specs.clone()).await,
            };
            let reply = match self.count(answer) {
                Err(error) if round == 1 && error.refuses_tools() => {
                    tracing::info!(error = error.log_safe(), untrusted = %error, "the model can't be offered tools; it works by plan");
                    context.support.note_refusal(llm, model);
                    return self.by_plan().await;
                }
                // Another request may offer others.
                Err(error) if round == 1 && error.rejects_these_tools() => {
                    self.stopped = Some(format!("tools could not be offered to the model: {error}"));
                    return self.by_plan().await;
                }
                other => other?,
            };
            if reply.tool_calls.is_empty() {
                return match reply.content.trim().is_empty() {
                    true => self.final_answer().await,
                    false if aloud => Ok(reply),
                    false => self.force_tool_choice(reply).await,
                };
            }
            self.emit(&reply.content, aloud).await;
            let Some(told) = self.calls.answer(&reply.content, reply.tool_calls).await else {
                self.stopped = Some(OVER_AND_OVER.to_owned());
                break;
            };
            messages.extend(told);
            if round == most {
                let why = format!("no more tools were run after {most} rounds (ORCHESTRATION_MAX_ITERATIONS)");
                self.stopped = Some(why);
                break;
            }
            if self.calls.is_late() {
                self.stopped = Some("no more tools were run, since the time for them was up".to_owned());
                break;
            }
        }
        self.final_answer().await
    }

    /// A model that can't be offered tools.
    async fn by_plan(&mut self) -> Result<Completion, Error> {
        if self.context.offer.is_wanted {
            self.choose().await;
        }
        if self.context.offer.is_named() && self.calls.are_none() {
            self.stopped.get_or_insert_with(|| NO_TOOLS.to_owned());
        }
        self.final_answer().await
    }

    /// The model answered in words though a tool is wished for: some models overlook what they are offered.
    async fn force_tool_choice(&mut self, reply: Completion) -> Result<Completion, Error> {
        self.choose().await;
        if self.calls.found().is_some() || !self.inputs.results.is_empty() {
            return self.final_answer().await;
        }
        self.context.events.delta(reply.content.clone()).await;
        Ok(reply)
    }

    /// Has the model name a tool in JSON, and runs it.
    async fn choose(&mut self) {
        self.asked += 1;
        let (call, usage) = tool_choice::choose(self.context).await;
        self.usage = Usage::sum(self.usage, usage);
        if let Some(call) = call {
            self.calls.answer("", vec![call]).await;
        }
    }

    /// The answer, with what there is and without further tools. Results are told in words, since there are servers that take
    /// calls in a conversation only where tools are offered.
    async fn final_answer(&mut self) -> Result<Completion, Error> {
        let mut inputs = self.inputs.clone();
        inputs.results.extend(self.calls.results());
        inputs.failures.extend(self.stopped.clone());
        let messages = prompt::messages(self.context, &inputs, None);
        let last = llm_call::say(self.context, messages, Vec::new()).await;
        let last = self.count(last)?;
        if last.content.trim().is_empty() { Err(llm_call::without_text()) } else { Ok(last) }
    }

    /// What the model says before it asks for tools is part of the answer, in a paragraph of its own.
    async fn emit(&mut self, text: &str, was_streamed: bool) {
        if text.trim().is_empty() {
            return;
        }
        if !was_streamed {
            self.context.events.delta(text.to_owned()).await;
        }
        self.context.events.delta("\n\n".to_owned()).await;
        self.said.push_str(text);
        self.said.push_str("\n\n");
    }

    fn count(&mut self, answer: Result<Completion, LlmError>) -> Result<Completion, LlmError> {
        self.asked += 1;
        self.usage = Usage::sum(self.usage, answer.as_ref().ok().and_then(|answer| answer.usage));
        answer
    }

    fn failure(self, error: Error) -> TaskFailure {
        TaskFailure {
            found: self.calls.found(),
            sources: self.calls.sources,
            rounds: self.asked.saturating_sub(1),
            usage: self.usage,
            ..error.into()
        }
    }

    fn output(self, last: Completion) -> TaskOutput {
        TaskOutput {
            target: Some(last.model.clone()),
            model: Some(last.model),
            text: format!("{}{}", self.said, last.content),
            sources: self.calls.sources,
            usage: self.usage,
            lacks: self.stopped,
            rounds: self.asked.saturating_sub(1),
            ..TaskOutput::default()
        }
    }
}

fn spec(function: &crate::tools::ToolFunction) -> ToolSpec {
    ToolSpec {
        name: function.call_name.clone(),
        description: function.description.clone(),
        parameters: function.parameters.clone(),
    }
}
