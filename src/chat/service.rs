use serde_json::Map;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use super::answer::{Answer, AnswerBuffer};
use super::context::{ChatContext, ChatServices};
use super::events::{ChatEvent, EventSender, PlannedExecution};
use super::executor;
use super::gap::Gap;
use super::intent;
use super::plan::Plan;
use super::planner;
use super::prompt::PromptBuilder;
use super::request::UserRequest;
use super::response::{ChatResponse, Progress};
use super::tool_support::ToolSupport;
use super::web_sources::WebSources;
use crate::executions::{ExecutionEnd, ExecutionRecorder};
use crate::kernel::{Clock, Deadline, Error, ErrorKind, Role};
use crate::memory::{ContextMessage, ResponseCache};
use crate::settings::{Settings, SharedSettings};
use crate::storage::ExecutionStore;
use crate::telemetry::metrics;

/// Tokens of conversation shown to the model, as in the original.
const CONTEXT_TOKENS: usize = 2000;

/// Carries out chat requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChatService {
    settings: SharedSettings,
    executions: ExecutionStore,
    services: ChatServices,
    clock: Clock,
    background: TaskTracker,
    tool_support: ToolSupport,
}

impl ChatService {
    /// A service that runs on these; work that must outlive a request goes to `background`.
    pub fn new(
        settings: SharedSettings,
        executions: ExecutionStore,
        services: ChatServices,
        clock: Clock,
        background: TaskTracker,
    ) -> Self {
        Self { settings, executions, services, clock, background, tool_support: ToolSupport::default() }
    }

    /// The version of the server, for its health.
    pub(super) fn version(&self) -> String {
        self.settings.snapshot().server.app_version.clone()
    }

    /// Work that outlives a request, waited for when the server stops.
    pub(super) fn background(&self) -> &TaskTracker {
        &self.background
    }

    /// Carries out one request. Dropping the future ends all work for it, upstream too, and records it as cancelled.
    pub(super) async fn chat(&self, request: UserRequest, events: EventSender) -> ChatResponse {
        let settings = self.settings.snapshot();
        let redaction = self.settings.redactions(&settings).replies().clone();
        let answer = AnswerBuffer::new(events.clone(), redaction.clone());
        let recorder = ExecutionRecorder::new(self.executions.clone(), self.background.clone(), redaction);
        let span = info_span!("chat", execution_id = recorder.id(), user_id = %request.user);
        let (services, tool_support, sources) = (&self.services, &self.tool_support, WebSources::default());
        let deadline = Deadline::after(settings.orchestration.timeout);
        let chat =
            ChatContext { services, tool_support, settings, request, deadline, recorder, events, answer, sources };
        self.respond(chat).instrument(span).await
    }

    /// The response to a request, as soon as its execution is recorded.
    async fn respond(&self, chat: ChatContext<'_>) -> ChatResponse {
        let started = Instant::now();
        let mut progress = Progress::default();
        let work = self.run(&chat, &mut progress);
        let outcome = timeout_at(chat.deadline.instant(), work).await.unwrap_or_else(|_| Err(too_late(&chat.settings)));

        // An answer that exists is given, even if the time ran out while it was being saved.
        let failure = outcome.err().filter(|_| progress.answer.is_none());
        progress.warnings = self.services.memory.degraded();
        // For a client that does not read it is in the answer.
        drop(timeout_at(chat.deadline.instant(), chat.answer.flush()).await);
        report(&chat, &progress, failure.as_ref(), started);
        let response = progress.response(&chat, failure, started.elapsed());
        let answer = response.failure.is_none().then(|| response.answer.clone());
        let (error, metadata) = (response.error.clone(), response.metadata.clone());
        chat.recorder.finish(ExecutionEnd { answer, error, metadata }).await;
        response
    }

    /// The flow: intent, plan, tasks, answer, memory.
    async fn run(&self, chat: &ChatContext<'_>, progress: &mut Progress) -> Result<(), Error> {
        let ChatContext { services, settings, request, deadline, recorder, .. } = chat;
        recorder.begin(request.user.as_str(), &request.prompt, self.clock.now_ms()).await;
        let classification = intent::classify(&services.llm, request, settings, *deadline).await;
        progress.classification = Some(classification);
        let plan = planner::plan(classification.intent, request, settings, &services.tools, *deadline).await?;
        progress.gaps.clone_from(&plan.gaps);
        let (intent, intent_confidence) = (classification.intent.as_str(), classification.confidence);
        let execution_id = recorder.id().to_owned();
        let shown = serde_json::to_value(plan.shown()).unwrap_or_default();
        recorder.plan(intent, intent_confidence, &shown).await;
        let planned = PlannedExecution { execution_id, intent, intent_confidence, plan: shown };
        chat.events.send(ChatEvent::Execution(planned)).await;

        let conversation = self.recall(chat, progress).await;
        let prompt = PromptBuilder { conversation: &conversation, prompt: &request.prompt };
        let answer = self.answer(chat, &plan, prompt, progress).await?;
        if settings.memory.enabled {
            // Until it is saved it is not, even if the time runs out.
            progress.memory_saved = Some(false);
            progress.gaps.push(Gap::internal("The conversation could not be saved"));
            if self.remember(chat, answer).await {
                progress.memory_saved = Some(true);
                progress.gaps.pop();
            }
        }
        Ok(())
    }

    /// The answer from the cache, or else from the plan's tasks. It is part of the progress before it is kept anywhere.
    async fn answer(
        &self,
        chat: &ChatContext<'_>,
        plan: &Plan,
        prompt: PromptBuilder<'_>,
        progress: &mut Progress,
    ) -> Result<String, Error> {
        let cache = &self.services.cache;
        let key = cache_key(chat, plan, prompt);
        if let Some(key) = &key
            && let Some(answer) = cache.get::<Answer>(key).await
        {
            progress.cached = true;
            let text = progress.answer.insert(answer.masked(chat.recorder.redaction())).text.clone();
            chat.answer.push(text.clone()).await;
            return Ok(text);
        }
        let gaps = progress.gaps.len();
        executor::execute(chat, plan, prompt, progress).await?;
        let answer = progress.answer.clone().unwrap_or_default();
        // What a tool gave may be another thing the next time, and what was missing may be there.
        let is_plain = progress.gaps.len() == gaps && chat.recorder.steps().len() == 1;
        if let Some(key) = key.filter(|_| is_plain) {
            cache.put(&key, &answer, &chat.settings.cache).await;
        }
        Ok(answer.text)
    }

    /// The conversation so far. One that can't be read is taken as empty, and makes the reply degraded.
    async fn recall(&self, chat: &ChatContext<'_>, progress: &mut Progress) -> Vec<ContextMessage> {
        if !chat.settings.memory.enabled {
            return Vec::new();
        }
        self.services.memory.context(&chat.request.user, CONTEXT_TOKENS).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the conversation could not be read");
            progress.gaps.push(Gap::internal("The conversation could not be read"));
            Vec::new()
        })
    }

    /// Saves both turns. Once begun this goes on even if the request is dropped.
    async fn remember(&self, chat: &ChatContext<'_>, answer: String) -> bool {
        let (request, settings) = (&chat.request, chat.settings.clone());
        let (memory, user) = (self.services.memory.clone(), request.user.clone());
        let turns = [
            memory.message(Role::User, request.prompt.clone(), request.metadata.clone()),
            memory.message(Role::Assistant, answer, Map::new()),
        ];
        let saving = async move {
            let saved = memory.append(&user, &turns, &settings).await;
            saved.inspect_err(|error| tracing::warn!(%error, "the conversation could not be saved")).is_ok()
        };
        self.background.spawn(saving.in_current_span()).await.unwrap_or(false)
    }
}

/// The key of the answer, a digest of everything that shapes it, if the cache is to be used.
fn cache_key(chat: &ChatContext<'_>, plan: &Plan, prompt: PromptBuilder<'_>) -> Option<String> {
    let ChatContext { settings, request, .. } = chat;
    if !settings.cache.enabled || request.options.use_cache == Some(false) || !plan.is_repeatable() {
        return None;
    }
    let llm = settings.llm.effective();
    let mut metadata = request.metadata.clone();
    metadata.remove("use_cache");
    let tools = plan.functions.iter().map(|tool| (&tool.name, &tool.description, &tool.parameters));
    let missing = plan.gaps.iter().map(|gap| &gap.text);
    let shapes = (
        (&llm.base_url, llm.provider.as_str(), &llm.default_model, &llm.fallback_models),
        (llm.temperature, llm.max_tokens),
        (plan.shown(), missing.collect::<Vec<_>>(), tools.collect::<Vec<_>>()),
        (prompt.conversation, prompt.prompt, metadata),
    );
    Some(ResponseCache::key(&serde_json::to_value(shapes).ok()?))
}

/// Tells figures and log how a request ended.
fn report(chat: &ChatContext<'_>, progress: &Progress, failure: Option<&Error>, started: Instant) {
    let ChatContext { settings, request, .. } = chat;
    let outcome = progress.outcome(failure);
    let intent = progress.classification.map_or("none", |classification| classification.intent.as_str());
    metrics::chat(intent, outcome, started.elapsed());
    if settings.monitoring.log_content {
        let answer = progress.answer.as_ref().map(|answer| answer.text.as_str());
        tracing::info!(user_id = %request.user, prompt = request.prompt, answer, outcome, "content");
    }
}

fn too_late(settings: &Settings) -> Error {
    let seconds = settings.orchestration.timeout.as_secs();
    let text = format!("No answer within {seconds} seconds (ORCHESTRATION_TIMEOUT_SECONDS)");
    Error::new(ErrorKind::Timeout, text)
}
