use super::tool_calls::ToolCalls;
use super::{llm_call, tool_choice};
use crate::chat::callable::Callable;
use crate::chat::context::TaskContext;
use crate::chat::honesty::Shortfall;
use crate::chat::task::{Inputs, TaskFailure, TaskOutput};
use crate::kernel::Error;
use crate::llm::{ChatMessage, Completion, LlmError, ToolCall, ToolSpec, Usage};
use crate::settings::IntentClassifier;

/// What a model is told where the user asks for a tool.
const TOOL_WANTED: &str =
    "The user wants a tool to be used for the last request. Call the one that fits, if there is one.";

/// What is missing where the request names tools.
const NO_TOOL_USED: &str = "the tools that the request names were not used, since the model takes none";
/// What is missing where a model goes round in circles.
const SAME_CALL: &str = "no more tools were run, since the model asked for the same call over and over";
/// What is missing where tools took all the time that there was for them.
const LATE: &str = "no more tools were run, since the time for them was up";

/// Has a model answer that may call functions on the way: what it asks for is done and told to it, round after round, until it
/// answers or a bound is reached; then it answers with what there is. A model that can't be offered tools answers without
/// them, or, where the user asks for one, names it in JSON.
pub(super) async fn run(context: &TaskContext<'_>, inputs: Inputs) -> Result<TaskOutput, TaskFailure> {
    let (calls, shortfall) = (ToolCalls::new(context, &inputs), Shortfall::of(context.plan, &inputs));
    let (usage, held, thoughts, left_out) = (None, Vec::new(), Vec::new(), Vec::new());
    let (asked, stopped) = (0, None);
    let mut tool_loop = ToolLoop { context, inputs, calls, shortfall, held, usage, thoughts, left_out, asked, stopped };
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
    /// What nothing was obtained of that the request needs, until a call makes up for it. No word is passed on before that.
    shortfall: Option<Shortfall>,
    /// What the model said meanwhile.
    held: Vec<String>,
    usage: Option<Usage>,
    /// What the model thought, each time it was asked.
    thoughts: Vec<String>,
    /// Functions that the model could not be offered.
    left_out: Vec<String>,
    /// How often the model was asked.
    asked: usize,
    /// Why no tools were run, or no more, if that may be missed in the answer.
    stopped: Option<String>,
}

impl ToolLoop<'_> {
    async fn run(&mut self) -> Result<Completion, Error> {
        let (chat, plan) = (self.context.chat, self.context.plan);
        if self.context.takes_no_tools() {
            return self.without_offering(false).await;
        }
        let specs = Callable::specs(&plan.functions, &chat.services.grounding);
        let (mut exchange, mut round) = (Vec::new(), 0);
        loop {
            round += 1;
            // Where a tool is wanted, words without a call are not the answer yet.
            let is_forced = round == 1 && plan.wants_tool;
            let is_streamed = !is_forced && self.shortfall.is_none() && !self.holds_back();
            let mut messages = self.context.messages(&self.inputs, self.instruction(plan.wants_tool).as_deref());
            messages.extend_from_slice(&exchange);
            let reply = match self.ask(messages, specs.clone(), is_streamed).await {
                Err(error) if round == 1 && error.refuses_tools() => {
                    tracing::info!(error = error.log_safe(), untrusted = %error, "the model can't be offered tools; it works by plan");
                    self.context.note_no_tools(&error);
                    return self.without_offering(self.offers_resources()).await;
                }
                // Another request may offer others.
                Err(error) if round == 1 && error.rejects_these_tools() => {
                    self.stopped = Some(format!("tools could not be offered to the model: {error}"));
                    return self.without_offering(self.offers_resources()).await;
                }
                reply => reply?,
            };
            if reply.tool_calls.is_empty() {
                return match reply.content.trim().is_empty() {
                    // Asked once more, it would end as early.
                    true if reply.is_cut_off() => llm_call::with_text(reply),
                    true => self.final_answer().await,
                    false if is_forced => self.force_tool_choice(reply).await,
                    false if is_streamed => Ok(reply),
                    false => Ok(self.pass_on(reply).await),
                };
            }
            // Nothing stands before the sentence that says what is lacking.
            match is_streamed || is_forced && self.shortfall.is_none() {
                true => self.emit(&reply.content, is_streamed).await,
                false => self.held.push(reply.content.clone()),
            }
            let told = self.run_calls(&reply.content, reply.tool_calls).await;
            self.stopped = self.bound_reached(round, told.is_none());
            if self.stopped.is_some() {
                return self.final_answer().await;
            }
            exchange.extend(told.unwrap_or_default());
        }
    }

    /// Runs the calls of one reply; if they make up for what was lacking, the words that were held back are passed on. What the
    /// model asked for in vain is lacking from then on.
    async fn run_calls(&mut self, reply: &str, calls: Vec<ToolCall>) -> Option<Vec<ChatMessage>> {
        let told = self.calls.run_all(reply, calls).await;
        match &self.shortfall {
            Some(shortfall) if self.calls.fruitful().any(|target| shortfall.is_made_up_by(&target)) => {
                self.shortfall = None;
            }
            None if self.inputs.results.is_empty() && !self.calls.have_found() => {
                self.shortfall = Shortfall::of_calls(&self.calls.called());
            }
            _ => {}
        }
        if self.shortfall.is_none() {
            for words in std::mem::take(&mut self.held) {
                self.emit(&words, false).await;
            }
        }
        told
    }

    /// Whether words wait until it is known what comes of the calls beside them: only a client that does not hear them at once can
    /// wait, and only a data source or an agent that gives nothing has to be told of first.
    fn holds_back(&self) -> bool {
        let is_tool = |callable: &Callable| matches!(callable, Callable::Tool(_));
        let only_tools = self.context.plan.functions.iter().all(is_tool);
        !self.context.chat.answer.is_streaming() && self.inputs.results.is_empty() && !only_tools
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

    /// What the model is told of what is wanted of it.
    fn instruction(&self, wants_tool: bool) -> Option<String> {
        let wanted = wants_tool.then(|| TOOL_WANTED.to_owned());
        let lacking = self.shortfall.as_ref().map(Shortfall::instruction);
        let all: Vec<_> = wanted.into_iter().chain(lacking).collect();
        (!all.is_empty()).then(|| all.join("\n\n"))
    }

    /// Passes on an answer that was held back, with what it lacks at its beginning.
    async fn pass_on(&self, reply: Completion) -> Completion {
        let content = match &self.shortfall {
            Some(shortfall) => shortfall.disclosed(&reply.content, self.context.prompt.prompt),
            None => reply.content,
        };
        self.context.chat.answer.push(content.clone()).await;
        Completion { content, ..reply }
    }

    /// Whether data sources or agents are offered that the plan leaves to the model, and rules alone are not to decide.
    fn offers_resources(&self) -> bool {
        let by_rules = self.context.chat.settings.orchestration.intent_classifier == IntentClassifier::Rules;
        let is_tool = |callable: &Callable| matches!(callable, Callable::Tool(_));
        !by_rules && !self.context.plan.functions.iter().all(is_tool)
    }

    /// The answer of a model that can't be offered functions; `names_one` has it name one in JSON, which the plan did not know that
    /// it has to ask for.
    async fn without_offering(&mut self, names_one: bool) -> Result<Completion, Error> {
        if self.context.plan.wants_tool || names_one {
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
        if self.calls.have_found() || !self.inputs.results.is_empty() {
            return self.final_answer().await;
        }
        Ok(self.pass_on(reply).await)
    }

    /// Has the model name a tool in JSON, and runs it.
    async fn choose(&mut self) {
        self.asked += 1;
        let (call, usage) = tool_choice::choose(self.context, &self.context.plan.functions).await;
        self.usage = Usage::sum(self.usage, usage);
        if let Some(call) = call {
            self.run_calls("", vec![call]).await;
        }
    }

    /// The answer, with results in words: there are servers that take calls in a conversation only where tools are offered.
    async fn final_answer(&mut self) -> Result<Completion, Error> {
        let mut inputs = self.inputs.clone();
        inputs.results.extend(self.calls.results());
        inputs.failures.extend(self.stopped.clone());
        let messages = self.context.messages(&inputs, self.instruction(false).as_deref());
        let is_streamed = self.shortfall.is_none();
        let last = llm_call::with_text(self.ask(messages, Vec::new(), is_streamed).await?)?;
        if is_streamed { Ok(last) } else { Ok(self.pass_on(last).await) }
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
        self.thoughts.extend(reply.reasoning.clone());
        for name in &reply.left_out {
            if !self.left_out.contains(name) {
                self.left_out.push(name.clone());
            }
        }
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
        let usage = Usage::sum(self.usage, self.calls.usage());
        TaskFailure { found: self.calls.found(), rounds, usage, ..error.into() }
    }

    fn output(self, last: Completion) -> TaskOutput {
        let lacking = self.shortfall.and_then(|shortfall| shortfall.gap(self.context.plan, &self.inputs));
        TaskOutput {
            target: Some(last.model.clone()),
            model: Some(last.model),
            text: self.context.chat.answer.written(),
            usage: Usage::sum(self.usage, self.calls.usage()),
            finish_reason: last.finish_reason,
            left_out: self.left_out,
            parts: self.calls.parts(),
            called: self.calls.called(),
            reasoning: (!self.thoughts.is_empty()).then(|| self.thoughts.join("\n\n")),
            gap: self.stopped.or(lacking),
            rounds: self.asked.saturating_sub(1),
            ..TaskOutput::default()
        }
    }
}
