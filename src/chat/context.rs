use std::time::Duration;

use serde_json::Value;

use super::answer::AnswerBuffer;
use super::events::{ChatEvent, EventSender};
use super::plan::Plan;
use super::prompt::PromptBuilder;
use super::request::UserRequest;
use super::task::Inputs;
use super::text::json_in;
use super::tool_support::ToolSupport;
use super::web_sources::WebSources;
use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::executions::ExecutionRecorder;
use crate::kernel::Deadline;
use crate::llm::{ChatMessage, ChatRequest, Completion, LlmClient, LlmError, ToolSpec, Usage};
use crate::memory::{MemoryService, ResponseCache};
use crate::settings::Settings;
use crate::storage::Step;
use crate::tools::ToolService;

/// The services that chat works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChatServices {
    /// Answers, and writes queries.
    pub llm: LlmClient,
    /// Hands work over.
    pub agents: AgentService,
    /// Asks for data.
    pub datasources: DataSourceService,
    /// Do things.
    pub tools: ToolService,
    /// Remembers.
    pub memory: MemoryService,
    /// Keeps answers.
    pub cache: ResponseCache,
}

/// What one request works with from its beginning to its end.
pub(super) struct ChatContext<'a> {
    pub(super) services: &'a ChatServices,
    pub(super) tool_support: &'a ToolSupport,
    /// The one snapshot of the settings.
    pub(super) settings: Settings,
    pub(super) request: UserRequest,
    pub(super) deadline: Deadline,
    pub(super) recorder: ExecutionRecorder,
    pub(super) events: EventSender,
    pub(super) answer: AnswerBuffer,
    pub(super) sources: WebSources,
}

impl ChatContext<'_> {
    /// A step has ended: it is recorded, and a streaming client hears of it.
    pub(super) async fn record_step(&self, step: Step) {
        let step = self.recorder.step(step).await;
        if self.events.is_streaming() {
            self.events.send(ChatEvent::Step(step.into())).await;
        }
    }
}

/// What one task works with.
#[derive(Clone, Copy)]
pub(super) struct TaskContext<'a> {
    pub(super) chat: &'a ChatContext<'a>,
    pub(super) plan: &'a Plan,
    pub(super) prompt: PromptBuilder<'a>,
    pub(super) deadline: Deadline,
    /// The task's id.
    pub(super) task: &'a str,
}

impl TaskContext<'_> {
    /// Records something that was done on the way; `number` tells it from others of the same task.
    pub(super) async fn record_step(&self, number: usize, step: Step) {
        self.chat.record_step(Step { id: format!("{}.{number}", self.task), ..step }).await;
    }

    /// The messages for the model that answers.
    pub(super) fn messages(&self, inputs: &Inputs, instruction: Option<&str>) -> Vec<ChatMessage> {
        let gaps = self.plan.gaps.iter().map(|gap| gap.text.as_str());
        let missing: Vec<_> = gaps.chain(inputs.failures.iter().map(String::as_str)).collect();
        self.prompt.messages(&inputs.results, &missing, instruction)
    }

    /// A request to the model that the user wants.
    pub(super) fn llm_request(&self, messages: Vec<ChatMessage>, tools: Vec<ToolSpec>) -> ChatRequest {
        let model = self.chat.request.options.model.clone();
        ChatRequest { model, messages, tools, ..ChatRequest::default() }
    }

    /// Asks the model.
    pub(super) async fn complete(&self, request: &ChatRequest, deadline: Deadline) -> Result<Completion, LlmError> {
        self.chat.services.llm.complete(self.chat.settings.llm.effective(), request, deadline).await
    }

    /// Asks the model a question of the server's own, which has one right answer.
    pub(super) async fn ask(&self, question: String, deadline: Deadline) -> Result<Completion, LlmError> {
        let model = self.chat.request.options.model.clone();
        let request = ChatRequest { model, temperature: Some(0.0), ..ChatRequest::question(question) };
        self.complete(&request, deadline).await
    }

    /// The JSON that the model answers a question with; `None` if it gives none or can't be asked. And the tokens used.
    pub(super) async fn ask_for_json(
        &self,
        question: String,
        timeout: Duration,
        failure: &str,
    ) -> (Option<Value>, Option<Usage>) {
        match self.ask(question, self.deadline.at_most(timeout)).await {
            Ok(answer) => (json_in(&answer.content), answer.usage),
            Err(error) => {
                tracing::warn!(error = error.log_safe(), untrusted = %error, "{failure}");
                (None, None)
            }
        }
    }
}

/// A duration as steps record it.
pub(super) fn millis(took: Duration) -> i64 {
    i64::try_from(took.as_millis()).unwrap_or(i64::MAX)
}
