use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{OptionFuture, join};
use serde_json::Map;
use tokio::time::{Instant, timeout, timeout_at};
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
use crate::kernel::{Caller, Clock, Deadline, Error, ErrorKind, Role};
use crate::limits::{ChatPermit, Limiter};
use crate::memory::{ContextMessage, ResponseCache};
use crate::settings::{CacheSettings, IntentClassifier, MemorySettings, Settings, SharedSettings};
use crate::storage::ExecutionStore;
use crate::telemetry::metrics;

/// How long a client waits for its record to be corrected. That goes on afterwards.
const AMEND_TIMEOUT: Duration = Duration::from_secs(1);

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
    limiter: Limiter,
    clock: Clock,
    background: TaskTracker,
}

impl ChatService {
    /// A service that runs on these; work that must outlive a request goes to `background`.
    pub fn new(
        settings: SharedSettings,
        executions: ExecutionStore,
        services: ChatServices,
        limiter: Limiter,
        clock: Clock,
        background: TaskTracker,
    ) -> Self {
        Self { settings, executions, services, limiter, clock, background }
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

    /// The settings as they are now for this caller, but with neither memory nor cache: what is only tried leaves no trace there.
    pub(super) fn settings_for_trial(&self, caller: &Caller) -> Settings {
        let mut settings = self.settings.usable_by(self.settings.snapshot(), caller);
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

    /// Lets a caller's request be carried out, unless too many are already, or the caller has used up what it may use.
    pub async fn admit(&self, caller: &Caller) -> Result<ChatPermit, Error> {
        self.limiter.admit_chat(caller).await
    }

    /// Carries out one request. Dropping the future ends all work for it, upstream too, and records it as cancelled.
    pub async fn chat(&self, request: UserRequest, permit: ChatPermit, events: EventSender) -> ChatResponse {
        let response = self.chat_with(request, self.settings.snapshot(), events).await;
        drop(permit);
        response
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
        let settings = self.settings.usable_by(settings, &request.caller);
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
        Box::pin(self.respond(chat, started)).instrument(span).await
    }

    /// The response to a request, as soon as both turns and the execution are written.
    async fn respond(&self, mut chat: ChatContext<'_>, started: Instant) -> ChatResponse {
        let mut progress = Progress::default();
        // On the heap: it is moved from one wrapper to the next.
        let work = Box::pin(self.run(&chat, &mut progress));
        let outcome = timeout_at(chat.deadline.instant(), work).await.unwrap_or_else(|_| Err(too_late(&chat.settings)));

        // An answer that exists is given, even if the time ran out while it was being told.
        let answer = outcome.as_ref().ok().cloned();
        let failure = outcome.err().filter(|_| progress.answer.is_none());
        let degraded = self.services.memory.degraded();
        progress.warnings.extend_from_slice(&degraded);
        // For a client that does not read it is in the answer.
        drop(timeout_at(chat.deadline.instant(), chat.answer.flush()).await);
        let mut ended = ChatEnd::new(&progress, failure.as_ref(), started);
        let saving = answer.and_then(|answer| self.remember(&chat, answer));
        progress.memory_saved = saving.is_some().then_some(true);
        let response = progress.response(&chat, failure.as_ref(), started.elapsed());
        let has_failed = response.failure.is_some();
        // What was shown before it broke is part of what happened.
        let answer = if has_failed { chat.answer.heard() } else { Some(response.answer.clone()) };
        // Both are written at once, as a rule in one transaction, so what is recorded says that the turns are saved.
        let recording = chat.recorder.finish(has_failed, answer, response.error.clone(), response.metadata.clone());
        let (is_saved, is_recorded) = join(OptionFuture::from(saving), recording).await;
        let lacks = [
            (is_saved == Some(false)).then_some("The conversation could not be saved"),
            (!is_recorded).then_some("The execution could not be recorded"),
        ];
        let now_degraded = self.services.memory.degraded();
        let response = if lacks.iter().all(Option::is_none) && degraded == now_degraded {
            response
        } else {
            progress.memory_saved = is_saved;
            progress.gaps.extend(lacks.into_iter().flatten().map(Gap::internal));
            progress.warnings.truncate(progress.warnings.len() - degraded.len());
            progress.warnings.extend(now_degraded);
            let corrected = progress.response(&chat, failure.as_ref(), started.elapsed());
            if is_recorded {
                let amending = chat.recorder.amend(corrected.error.clone(), corrected.metadata.clone());
                drop(timeout(AMEND_TIMEOUT, amending).await);
            }
            corrected
        };
        ended.outcome = progress.outcome(failure.as_ref());
        log_content(&chat, &response, ended.outcome);
        response
    }

    /// The flow: intent, plan, conversation, tasks, answer.
    async fn run(&self, chat: &ChatContext<'_>, progress: &mut Progress) -> Result<String, Error> {
        let ChatContext { settings, request, deadline, recorder, .. } = chat;
        let (classification, plan) = self.plan(request, settings, *deadline).await?;
        progress.classification = Some(classification);
        progress.gaps.clone_from(&plan.gaps);
        progress.unavailable = plan.gaps.iter().filter(|gap| gap.degrades).map(|gap| gap.text.clone()).collect();
        progress.routing = Some(plan.routing.clone());
        let (intent, intent_confidence) = (classification.intent.as_str(), classification.confidence);
        let execution_id = recorder.id().to_owned();
        let shown = serde_json::to_value(plan.shown()).unwrap_or_default();
        let number = recorder.plan(intent, intent_confidence, &shown).await;
        let planned = PlannedExecution { execution_id, intent, intent_confidence, plan: shown };
        chat.events.send(ChatEvent::Execution { number, planned }).await;

        let conversation = self.recall(chat, progress).await;
        let system = request.system_prompt.as_deref();
        let prompt = PromptBuilder { system, conversation: &conversation, prompt: &request.prompt };
        self.answer(chat, &plan, prompt, progress).await
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

    /// Saves both turns, if the request has a conversation; gives whether that succeeded in time. Once begun it goes on even if the
    /// request is dropped.
    fn remember(&self, chat: &ChatContext<'_>, answer: String) -> Option<impl Future<Output = bool> + use<>> {
        let (request, settings) = (&chat.request, chat.settings.clone());
        let caller = request.caller.clone();
        let (memory, key) = (self.services.memory.clone(), chat.conversation()?.clone());
        let turns = [
            memory.message(Role::User, request.prompt.clone(), request.metadata.clone()),
            memory.message(Role::Assistant, answer, Map::new()),
        ];
        let (is_shared, deadline, background) = (memory.is_shared(), chat.deadline, self.background.clone());
        let saving = async move {
            let saved = memory.append(&key, &turns, &caller, &settings).await;
            saved.inspect_err(|error| tracing::warn!(%error, "the conversation could not be saved")).is_ok()
        };
        Some(async move {
            // The queue of the embedded store goes on by itself; what is told to a service may need a second attempt.
            if is_shared {
                let saving = background.spawn(saving.in_current_span());
                return timeout_at(deadline.instant(), saving).await.is_ok_and(|saved| saved.unwrap_or(false));
            }
            timeout_at(deadline.instant(), saving).await.unwrap_or(false)
        })
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
        // What somebody was told is not for those who see other things.
        request.caller.view(),
    );
    Some(ResponseCache::key(&serde_json::to_value(shapes).ok()?))
}

/// How a request ended, for the figures: told when it is dropped, so that a client that leaves at the last moment is counted once.
struct ChatEnd {
    intent: &'static str,
    outcome: &'static str,
    started: Instant,
}

impl ChatEnd {
    fn new(progress: &Progress, failure: Option<&Error>, started: Instant) -> Self {
        let intent = progress.classification.map_or("none", |classification| classification.intent.as_str());
        Self { intent, outcome: progress.outcome(failure), started }
    }
}

impl Drop for ChatEnd {
    fn drop(&mut self) {
        metrics::chat(self.intent, self.outcome, self.started.elapsed());
    }
}

/// Tells the log what was asked and answered, if it may know.
fn log_content(chat: &ChatContext<'_>, response: &ChatResponse, outcome: &str) {
    let ChatContext { settings, request, .. } = chat;
    if settings.monitoring.log_content {
        let answer = Some(response.answer.as_str()).filter(|_| response.failure.is_none());
        tracing::info!(user_id = %request.owner(), prompt = request.prompt, answer, outcome, "content");
    }
}

fn too_late(settings: &Settings) -> Error {
    let seconds = settings.orchestration.timeout.as_secs();
    let text = format!("No answer within {seconds} seconds (ORCHESTRATION_TIMEOUT_SECONDS)");
    Error::new(ErrorKind::Timeout, text)
}
