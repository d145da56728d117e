use std::time::Duration;

use futures_util::future::join;
use serde_json::Value;

use super::answer::AnswerBuffer;
use super::events::{ChatEvent, EventSender};
use super::plan::Plan;
use super::prompt::PromptBuilder;
use super::request::{ConversationKey, UserRequest};
use super::task::{Action, Inputs};
use super::text::json_in;
use super::web_sources::WebSources;
use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::executions::ExecutionRecorder;
use crate::grounding::GroundingService;
use crate::kernel::{Deadline, UserId};
use crate::llm::{ChatMessage, ChatRequest, Completion, LlmClient, LlmError, ToolSpec, Usage};
use crate::memory::{MemoryService, ResponseCache};
use crate::settings::{AnonymousMemory, Settings};
use crate::storage::{EvaluationStore, Step, TaskStart};
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
    /// Knows what is configured.
    pub grounding: GroundingService,
    /// Remembers.
    pub memory: MemoryService,
    /// Keeps answers.
    pub cache: ResponseCache,
    /// Keeps the last evaluation.
    pub evaluations: EvaluationStore,
}

/// What one request works with from its beginning to its end.
pub(super) struct ChatContext<'a> {
    pub(super) services: &'a ChatServices,
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
    /// Under which key the memory has the conversation; `None` if it is neither read nor added to.
    pub(super) fn conversation(&self) -> Option<&UserId> {
        match self.request.conversation.as_ref().filter(|_| self.settings.memory.enabled)? {
            ConversationKey::Own(key) => Some(key),
            ConversationKey::Shared(key) => Some(key).filter(|_| self.shares_conversations()),
        }
    }

    /// Whose conversation it is, as replies tell.
    pub(super) fn conversation_owner(&self) -> Option<&UserId> {
        let key = self.conversation()?;
        // A conversation of the chat page has a key of its own, whoever's it is.
        match self.request.conversation {
            Some(ConversationKey::Own(_)) => self.request.user.as_ref(),
            _ => Some(key),
        }
    }

    /// Who asks, as agents are told, which may keep conversations of their own; `None` for somebody who shares none with others.
    pub(super) fn caller(&self) -> Option<UserId> {
        self.request.user.clone().or_else(|| self.shares_conversations().then(|| self.request.owner()))
    }

    fn shares_conversations(&self) -> bool {
        self.settings.memory.anonymous == AnonymousMemory::Shared
    }

    /// A step has ended: it is recorded, and a streaming client hears of it.
    pub(super) async fn record_step(&self, step: Step) {
        let (number, step, recording) = self.recorder.step(step);
        let telling = async {
            if self.events.is_streaming() {
                self.events.send(ChatEvent::Step { number, step: step.into() }).await;
            }
        };
        // Both are begun now, so steps are recorded and told in the order of their numbers.
        join(recording, telling).await;
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
    /// The id of something that is done on the way; `number` tells it from others of the same task.
    pub(super) fn part(&self, number: usize) -> String {
        format!("{}.{number}", self.task)
    }

    /// Records that something with side effects is about to begin; `query` is what a tool is run with.
    pub(super) async fn begins(&self, id: &str, action: Action, target: &str, query: Option<String>) {
        let (id, action, target) = (id.to_owned(), action.as_str().to_owned(), Some(target.to_owned()));
        self.chat.recorder.task_begins(TaskStart { id, action, target, query }, self.deadline).await;
    }

    /// The messages for the model that answers.
    pub(super) fn messages(&self, inputs: &Inputs, instruction: Option<&str>) -> Vec<ChatMessage> {
        let gaps = self.plan.gaps.iter().filter(|gap| gap.is_told).map(|gap| gap.text.as_str());
        let missing: Vec<_> = gaps.chain(inputs.failures.iter().map(String::as_str)).collect();
        self.prompt.messages(&inputs.results, &missing, instruction)
    }

    /// A request to the model that the user wants.
    pub(super) fn llm_request(&self, messages: Vec<ChatMessage>, tools: Vec<ToolSpec>) -> ChatRequest {
        let model = self.chat.request.options.model.clone();
        ChatRequest { model, messages, tools }
    }

    /// Whether the model that the user wants has refused functions a short while ago.
    pub(super) fn takes_no_tools(&self) -> bool {
        let (llm, model) = (self.chat.settings.llm.effective(), self.chat.request.options.model.as_deref());
        self.chat.services.llm.takes_no_tools(llm, model)
    }

    /// It has just refused them.
    pub(super) fn note_no_tools(&self, why: &LlmError) {
        let (llm, model) = (self.chat.settings.llm.effective(), self.chat.request.options.model.as_deref());
        self.chat.services.llm.note_no_tools(llm, model, why);
    }

    /// Asks the model.
    pub(super) async fn complete(&self, request: &ChatRequest, deadline: Deadline) -> Result<Completion, LlmError> {
        let (llm, caller) = (self.chat.settings.llm.effective(), &self.chat.request.caller);
        self.chat.services.llm.complete(llm, request, caller, deadline).await
    }

    /// Asks the model a question of the server's own, which has one right answer.
    pub(super) async fn ask(&self, question: String, deadline: Deadline) -> Result<Completion, LlmError> {
        let model = self.chat.request.options.model.clone();
        let request = ChatRequest { model, ..ChatRequest::question(question) };
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
