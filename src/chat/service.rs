use std::sync::Arc;

use serde_json::Map;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, info_span};

use super::answer::{Answer, AnswerBuffer};
use super::callable::Callable;
use super::context::{ChatContext, ChatServices};
use super::events::{ChatEvent, EventSender, PlannedExecution};
use super::executor;
use super::gap::Gap;
use super::intent::Classification;
use super::plan::Plan;
use super::planner;
use super::prompt::PromptBuilder;
use super::request::UserRequest;
use super::response::{ChatResponse, Progress};
use super::router;
use super::web_sources::WebSources;
use crate::executions::ExecutionRecorder;
use crate::kernel::{Clock, Deadline, Error, ErrorKind, Role, UserId};
use crate::memory::{ContextMessage, ResponseCache};
use crate::settings::{CacheSettings, IntentClassifier, MemorySettings, Settings, SharedSettings};
use crate::storage::ExecutionStore;
use crate::telemetry::metrics;

/// A request whose execution is recorded as running. Dropping it records the execution as cancelled.
pub(super) struct RecordedRequest {
    request: UserRequest,
    settings: Settings,
    pub(super) recorder: ExecutionRecorder,
    started: Instant,
    deadline: Deadline,
    span: Span,
}

/// Carries out chat requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChatService {
    pub(super) settings: SharedSettings,
    pub(super) executions: ExecutionStore,
    pub(super) services: ChatServices,
    clock: Clock,
    background: TaskTracker,
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
        Self { settings, executions, services, clock, background }
    }

    /// The version of the server, for its health.
    pub(super) fn version(&self) -> String {
        self.settings.snapshot().server.app_version.clone()
    }

    /// Who decides what a prompt asks for.
    pub fn intent_classifier(&self) -> IntentClassifier {
        self.settings.snapshot().orchestration.intent_classifier
    }

    /// Work that outlives a request, waited for when the server stops.
    pub fn background(&self) -> &TaskTracker {
        &self.background
    }

    /// What it works with.
    pub(super) fn services(&self) -> &ChatServices {
        &self.services
    }

    /// The time, in milliseconds since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The settings as they are now, but with neither memory nor cache: what is only tried leaves no trace there.
    pub(super) fn settings_for_trial(&self) -> Settings {
        let mut settings = self.settings.snapshot();
        settings.memory = Arc::new(MemorySettings { enabled: false, ..MemorySettings::clone(&settings.memory) });
        settings.cache = Arc::new(CacheSettings { enabled: false, ..CacheSettings::clone(&settings.cache) });
        settings
    }

    /// What a request asks for and the plan for it; nothing of it is carried out.
    pub(super) async fn plan(
        &self,
        request: &UserRequest,
        settings: &Settings,
        deadline: Deadline,
    ) -> Result<(Classification, Plan), Error> {
        let route = router::route(&self.services, request, settings, deadline).await;
        let plan = planner::plan(&route, request, settings, &self.services.tools, deadline).await?;
        Ok((route.classification, plan))
    }

    /// Carries out one request. Dropping the future ends all work for it, upstream too, and records it as cancelled.
    pub async fn chat(&self, request: UserRequest, events: EventSender) -> ChatResponse {
        self.chat_with(request, self.settings.snapshot(), events).await
    }

    /// Carries out a request on [`ChatService::settings_for_trial`].
    pub(super) async fn try_out(&self, request: UserRequest, settings: Settings) -> ChatResponse {
        self.chat_with(request, settings, EventSender::default()).await
    }

    async fn chat_with(&self, request: UserRequest, settings: Settings, events: EventSender) -> ChatResponse {
        let recorded = self.begin(request, settings).await;
        self.carry_out(recorded, events).await
    }

    /// Records that a request begins. Its time runs from here on.
    pub(super) async fn begin(&self, request: UserRequest, settings: Settings) -> RecordedRequest {
        let (started, deadline) = (Instant::now(), Deadline::after(settings.orchestration.timeout));
        let redaction = self.settings.redactions(&settings).replies().clone();
        let recorder = ExecutionRecorder::new(self.executions.clone(), self.background.clone(), redaction);
        let span = info_span!("chat", execution_id = recorder.id(), user_id = %request.owner());
        let owner = request.owner();
        let recording = recorder.begin(owner.as_str(), &request.prompt, self.clock.now_ms());
        // That the time is up is for whoever carries the request out to say.
        drop(timeout_at(deadline.instant(), recording.instrument(span.clone())).await);
        RecordedRequest { request, settings, recorder, started, deadline, span }
    }

    /// Carries out a request that is recorded as running.
    pub(super) async fn carry_out(&self, recorded: RecordedRequest, events: EventSender) -> ChatResponse {
        let RecordedRequest { request, settings, recorder, started, deadline, span } = recorded;
        let answer = AnswerBuffer::new(events.clone(), recorder.redaction().clone());
        let (services, sources) = (&self.services, WebSources::default());
        let chat = ChatContext { services, settings, request, deadline, recorder, events, answer, sources };
        self.respond(chat, started).instrument(span).await
    }

    /// The response to a request, as soon as its execution is recorded.
    async fn respond(&self, chat: ChatContext<'_>, started: Instant) -> ChatResponse {
        let mut progress = Progress::default();
        let work = self.run(&chat, &mut progress);
        let outcome = timeout_at(chat.deadline.instant(), work).await.unwrap_or_else(|_| Err(too_late(&chat.settings)));

        // An answer that exists is given, even if the time ran out while it was being saved.
        let failure = outcome.err().filter(|_| progress.answer.is_none());
        progress.warnings.extend(self.services.memory.degraded());
        // For a client that does not read it is in the answer.
        drop(timeout_at(chat.deadline.instant(), chat.answer.flush()).await);
        report(&chat, &progress, failure.as_ref(), started);
        let response = progress.response(&chat, failure, started.elapsed());
        let has_failed = response.failure.is_some();
        // What was shown before it broke is part of what happened.
        let answer = if has_failed { chat.answer.heard() } else { Some(response.answer.clone()) };
        chat.recorder.finish(has_failed, answer, response.error.clone(), &response.metadata).await;
        response
    }

    /// The flow: intent, plan, tasks, answer, memory.
    async fn run(&self, chat: &ChatContext<'_>, progress: &mut Progress) -> Result<(), Error> {
        let ChatContext { settings, request, deadline, recorder, .. } = chat;
        let (classification, plan) = self.plan(request, settings, *deadline).await?;
        progress.classification = Some(classification);
        progress.gaps.clone_from(&plan.gaps);
        progress.unavailable = plan.gaps.iter().filter(|gap| gap.degrades).map(|gap| gap.text.clone()).collect();
        progress.routing = Some(plan.routing.clone());
        let (intent, intent_confidence) = (classification.intent.as_str(), classification.confidence);
        let execution_id = recorder.id().to_owned();
        let shown = serde_json::to_value(plan.shown()).unwrap_or_default();
        recorder.plan(intent, intent_confidence, &shown).await;
        let planned = PlannedExecution { execution_id, intent, intent_confidence, plan: shown };
        chat.events.send(ChatEvent::Execution(planned)).await;

        let conversation = self.recall(chat, progress).await;
        let system = request.system_prompt.as_deref();
        let prompt = PromptBuilder { system, conversation: &conversation, prompt: &request.prompt };
        let answer = self.answer(chat, &plan, prompt, progress).await?;
        if let Some(key) = chat.conversation() {
            // Until it is saved it is not, even if the time runs out.
            progress.memory_saved = Some(false);
            progress.gaps.push(Gap::internal("The conversation could not be saved"));
            if self.remember(chat, key, answer).await {
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
        if let Some(key) = key.filter(|_| is_plain && answer.cut_off().is_none()) {
            cache.put(&key, &answer, &chat.settings.cache).await;
        }
        Ok(answer.text)
    }

    /// The conversation so far. One that can't be read is taken as empty, and makes the reply degraded.
    async fn recall(&self, chat: &ChatContext<'_>, progress: &mut Progress) -> Vec<ContextMessage> {
        let Some(key) = chat.conversation() else { return Vec::new() };
        let tokens = self.services.llm.context_tokens(&chat.settings, chat.request.options.model.as_deref());
        self.services.memory.context(key, tokens).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the conversation could not be read");
            progress.gaps.push(Gap::internal("The conversation could not be read"));
            Vec::new()
        })
    }

    /// Saves both turns. Once begun this goes on even if the request is dropped.
    async fn remember(&self, chat: &ChatContext<'_>, key: &UserId, answer: String) -> bool {
        let (request, settings) = (&chat.request, chat.settings.clone());
        let (memory, key) = (self.services.memory.clone(), key.clone());
        let turns = [
            memory.message(Role::User, request.prompt.clone(), request.metadata.clone()),
            memory.message(Role::Assistant, answer, Map::new()),
        ];
        let saving = async move {
            let saved = memory.append(&key, &turns, &settings).await;
            saved.inspect_err(|error| tracing::warn!(%error, "the conversation could not be saved")).is_ok()
        };
        self.background.spawn(saving.in_current_span()).await.unwrap_or(false)
    }
}

/// The key of the answer, a digest of everything that shapes it, if the cache is to be used.
fn cache_key(chat: &ChatContext<'_>, plan: &Plan, prompt: PromptBuilder<'_>) -> Option<String> {
    let ChatContext { settings, request, .. } = chat;
    let options = &request.options;
    // What a model thought is never kept.
    let wants_fresh = options.use_cache == Some(false) || options.include_reasoning == Some(true);
    if !settings.cache.enabled || wants_fresh || !plan.is_repeatable() {
        return None;
    }
    let llm = settings.llm.effective();
    let mut metadata = request.metadata.clone();
    metadata.remove("use_cache");
    let specs = Callable::specs(&plan.functions, &chat.services.grounding).into_iter();
    let tools = specs.map(|spec| (spec.name, spec.description, spec.parameters));
    let missing = plan.gaps.iter().filter(|gap| gap.is_told).map(|gap| &gap.text);
    let shapes = (
        (&llm.base_url, llm.provider, &llm.default_model, &llm.fallback_models),
        (llm.temperature, llm.max_tokens),
        (plan.shown(), missing.collect::<Vec<_>>(), tools.collect::<Vec<_>>()),
        (prompt.system, prompt.conversation, prompt.prompt, metadata, options),
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
        tracing::info!(user_id = %request.owner(), prompt = request.prompt, answer, outcome, "content");
    }
}

fn too_late(settings: &Settings) -> Error {
    let seconds = settings.orchestration.timeout.as_secs();
    let text = format!("No answer within {seconds} seconds (ORCHESTRATION_TIMEOUT_SECONDS)");
    Error::new(ErrorKind::Timeout, text)
}
