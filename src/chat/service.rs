use serde_json::{Map, json};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::cancel_guard::CancelGuard;
use super::classifier;
use super::deadline_budget::DeadlineBudget;
use super::events::EventSink;
use super::executor::{ExecutionLimits, Executor, timed};
use super::planner::{self, Action, Plan};
use super::progress::{Answer, ChatResponse, Progress};
use super::recorder::StepRecorder;
use super::request::UserRequest;
use super::response::{compose, describe, record};
use super::tasks::{self, TaskContext, TaskOutput};
use super::tool_functions;
use super::tool_support::ToolSupport;
use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::kernel::{Clock, Deadline, Error, ErrorKind, Role, new_id};
use crate::llm::{LlmClient, Usage};
use crate::memory::{ContextMessage, MemoryService, ResponseCache};
use crate::settings::{Settings, SharedSettings};
use crate::storage::{Execution, ExecutionStatus, ExecutionStore, Outcome};
use crate::telemetry::{RequestContext, in_context};
use crate::tools::ToolService;

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
    support: ToolSupport,
}

/// The modules that chat works with.
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

impl ChatService {
    /// A service that runs on these services; work that must outlive a request goes to `background`.
    pub fn new(
        settings: SharedSettings,
        executions: ExecutionStore,
        services: ChatServices,
        clock: Clock,
        background: TaskTracker,
    ) -> Self {
        Self { settings, executions, services, clock, background, support: ToolSupport::default() }
    }

    /// ProgramRun that outlives a request, waited for when the server stops.
    pub(super) fn background(&self) -> &TaskTracker {
        &self.background
    }

    /// Carries out one request. Dropping the future ends all work for it, upstream too, and records it as cancelled.
    pub(super) async fn chat(&self, user_request: UserRequest, events: EventSink) -> ChatResponse {
        let settings = self.settings.snapshot();
        let deadline = Deadline::after(settings.orchestration.timeout);
        let started = Instant::now();
        let id = new_id();
        RequestContext::set_execution(&id);
        let guard = CancelGuard::new(&self.executions, &self.background, &id);

        let mut progress = Progress::default();
        let redaction = self.settings.redactions(&settings).replies().clone();
        let log = StepRecorder::new(self.executions.clone(), id.clone(), events, redaction.clone());
        let work = self.run_plan(&user_request, &settings, deadline, &log, &mut progress);
        let outcome = timeout_at(deadline.instant(), work).await.unwrap_or_else(|_| Err(too_late(&settings)));
        progress.steps = log.steps();

        // An answer that exists is given, even if the time ran out while it was being saved.
        let failure = outcome.err().filter(|_| progress.answer.is_none());
        progress.warnings = self.services.memory.degraded();
        // For a client that does not read it is in the answer.
        drop(timeout_at(deadline.instant(), log.events().flush()).await);
        record(&user_request, &progress, failure.as_ref(), started.elapsed(), &settings);
        let metadata = redaction.json(progress.metadata(&id, failure.is_some(), started.elapsed()));
        let lacking = progress.lacking.iter().map(|lacking| redaction.text(lacking)).collect();
        let failure = failure.map(|error| error.masked(&redaction));
        let answer = progress.answer.unwrap_or_default().text;
        let reply = ChatResponse { answer, metadata, execution_id: id, failure, lacking };
        guard.disarm();
        self.finish(&reply).await;
        reply
    }

    /// The flow: intent, plan, tasks, answer, memory.
    async fn run_plan(
        &self,
        user_request: &UserRequest,
        settings: &Settings,
        deadline: Deadline,
        log: &StepRecorder,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let (id, events) = (log.execution(), log.events());
        self.begin(id, user_request).await;
        let classification = classifier::classify(&self.services.llm, user_request, settings, deadline).await;
        progress.classification = Some(classification);
        let mut plan = planner::plan(classification.intent, user_request, settings)?;
        for run in plan.runs() {
            tasks::check_run(&self.services.tools, run, settings, deadline).await?;
        }
        let offered = &tool_functions::offered(&self.services.tools, &mut plan, user_request, settings, deadline).await;
        (progress.missing, progress.lacking) = (plan.missing.clone(), plan.denied.clone());
        let recorded =
            self.executions.plan(id, classification.intent.as_str(), classification.confidence, &plan.to_json()).await;
        log_failure("the plan could not be recorded", recorded);
        events.begun(id, &classification, &plan).await;

        let ChatServices { llm, agents, datasources, tools, .. } = &self.services;
        let conversation = &self.recall(user_request, settings, progress).await;
        let (missing, offer, support) = (plan.missing.as_slice(), &plan.offer, &self.support);
        let context = TaskContext {
            settings,
            llm,
            agents,
            datasources,
            tools,
            offered,
            offer,
            support,
            user_request,
            conversation,
            missing,
            deadline,
            events,
            log,
            task: "",
        };
        let answer = self.answer(&plan, &context, progress).await?;
        if settings.memory.enabled {
            // Until it is saved it is not, even if the time runs out.
            progress.memory_saved = Some(false);
            progress.lacking.push("The conversation could not be saved".to_owned());
            if self.remember(user_request, answer).await {
                progress.memory_saved = Some(true);
                progress.lacking.pop();
            }
        }
        Ok(())
    }

    /// The answer from the cache, or else from the plan's tasks. It is part of the progress before it is kept anywhere.
    async fn answer(&self, plan: &Plan, context: &TaskContext<'_>, progress: &mut Progress) -> Result<String, Error> {
        let key = cache_key(context, plan);
        if let Some(key) = &key
            && let Some(answer) = self.services.cache.get::<Answer>(key).await
        {
            progress.cached = true;
            let text = progress.answer.insert(answer.masked(context.log.redaction())).text.clone();
            context.events.delta(text.clone()).await;
            return Ok(text);
        }
        let lacking = progress.lacking.len();
        self.execute(plan, context, progress).await?;
        let answer = progress.answer.clone().unwrap_or_default();
        // What a tool gave may be another thing the next time, and what was missing may be there.
        let used_tools = context.log.steps().iter().any(|step| step.action == Action::ToolExecution.as_str());
        if let Some(key) = key.as_ref().filter(|_| !used_tools && progress.lacking.len() == lacking) {
            self.services.cache.put(key, &answer, &context.settings.cache).await;
        }
        Ok(answer.text)
    }

    /// The conversation so far. One that can't be read is taken as empty, and makes the reply degraded.
    async fn recall(
        &self,
        user_request: &UserRequest,
        settings: &Settings,
        progress: &mut Progress,
    ) -> Vec<ContextMessage> {
        if !settings.memory.enabled {
            return Vec::new();
        }
        self.services.memory.context(&user_request.user, CONTEXT_TOKENS).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the conversation could not be read");
            progress.lacking.push("The conversation could not be read".to_owned());
            Vec::new()
        })
    }

    /// Runs the plan; the answer is that of its last task, and known before anything is written.
    async fn execute(&self, plan: &Plan, context: &TaskContext<'_>, progress: &mut Progress) -> Result<(), Error> {
        let settings = context.settings;
        let rounds = settings.orchestration.max_iterations;
        let limits = ExecutionLimits { concurrent: settings.tool_policy.max_concurrent, rounds };
        let last = plan.tasks.last().map(|task| task.id.as_str()).unwrap_or_default();
        let budget = DeadlineBudget::of(plan, context.deadline);
        let start = |task: &planner::Task, inputs| {
            let (kind, is_last) = (task.kind.clone(), task.id == last);
            let (id, deadline) = (task.id.clone(), budget.deadline(plan.stages_after(&task.id)));
            timed(task.id.clone(), async move {
                let context = TaskContext { deadline, task: &id, ..*context };
                tasks::run(kind, &context, inputs, is_last).await
            })
        };
        let mut execution = Executor::new(&plan.tasks, limits);
        let mut outcome = Err(Error::new(ErrorKind::Upstream, "No answer was made"));
        let mut found = Vec::new();
        while let Some(finished) = execution.next(&start).await {
            progress.iterations = progress.iterations.max(execution.rounds());
            let is_last = finished.id == last;
            let (step, result) = describe(plan, finished);
            match result {
                Ok(output) => {
                    progress.absorb(&output);
                    if is_last {
                        outcome = Ok(output);
                    } else {
                        progress.usage = Usage::sum(progress.usage, output.usage);
                        found.push(output);
                    }
                }
                Err(failure) => {
                    progress.usage = Usage::sum(progress.usage, failure.usage);
                    let (sources, rounds) = (failure.sources, failure.rounds);
                    progress.absorb(&TaskOutput { sources, rounds, ..TaskOutput::default() });
                    found.extend(failure.found.map(|text| TaskOutput { text, ..TaskOutput::default() }));
                    if is_last {
                        outcome = Err(failure.error);
                    } else {
                        progress.record_gap(&step, &failure.error);
                    }
                }
            }
            if is_last && let Some(answer) = compose(&found, &outcome, context.log, progress).await {
                progress.answer = Some(answer);
            }
            context.log.add(step).await;
        }
        // What was found is an answer too, even if the last task failed.
        if progress.answer.is_some() { Ok(()) } else { outcome.map(|_| ()) }
    }

    /// Saves both turns. Once begun this goes on even if the request is dropped, so that what is stored and what the
    /// client is told differ in one direction only.
    async fn remember(&self, user_request: &UserRequest, answer: String) -> bool {
        let turns = [
            self.services.memory.message(Role::User, user_request.prompt.clone(), user_request.metadata.clone()),
            self.services.memory.message(Role::Assistant, answer, Map::new()),
        ];
        let (memory, user) = (self.services.memory.clone(), user_request.user.clone());
        let saving = self.background.spawn(in_context(async move {
            let saved = memory.append(&user, &turns).await;
            let ok = saved.is_ok();
            log_failure("the conversation could not be saved", saved);
            ok
        }));
        saving.await.unwrap_or(false)
    }

    async fn begin(&self, id: &str, user_request: &UserRequest) {
        let record = Execution {
            id: id.to_owned(),
            user_id: user_request.user.to_string(),
            status: ExecutionStatus::Running,
            prompt: user_request.prompt.clone(),
            intent: None,
            plan: None,
            answer: None,
            error: None,
            metadata: None,
            started_ms: self.clock.now_ms(),
            finished_ms: None,
        };
        log_failure("the execution could not be recorded", self.executions.begin(&record).await);
    }

    async fn finish(&self, reply: &ChatResponse) {
        let outcome = Outcome {
            status: if reply.failure.is_none() { ExecutionStatus::Completed } else { ExecutionStatus::Failed },
            answer: reply.failure.is_none().then(|| reply.answer.clone()),
            error: reply.error(),
            metadata: reply.metadata.clone(),
        };
        let (executions, id) = (self.executions.clone(), reply.execution_id.clone());
        // The client's leaving now must not leave the record open.
        let finishing = self.background.spawn(in_context(async move {
            log_failure("the execution could not be recorded", executions.finish(&id, &outcome).await);
        }));
        drop(finishing.await);
    }
}

/// A digest of everything that shapes the answer, if the cache is to be used.
fn cache_key(context: &TaskContext<'_>, plan: &Plan) -> Option<String> {
    let (settings, user_request) = (context.settings, context.user_request);
    if !settings.cache.enabled || user_request.options.use_cache == Some(false) || !plan.is_repeatable() {
        return None;
    }
    let llm = settings.llm.effective();
    let mut metadata = user_request.metadata.clone();
    metadata.remove("use_cache");
    Some(ResponseCache::key(&json!({
        "server": llm.base_url,
        "provider": llm.provider.as_str(),
        "models": [llm.default_model, llm.fallback_models],
        "temperature": llm.temperature,
        "max_tokens": llm.max_tokens,
        "plan": plan.to_json(),
        "missing": plan.missing,
        "tools": context.offered.iter().map(|function| json!([function.name, function.description, function.parameters])).collect::<Vec<_>>(),
        "conversation": context.conversation,
        "prompt": user_request.prompt,
        "metadata": metadata,
    })))
}

fn too_late(settings: &Settings) -> Error {
    let seconds = settings.orchestration.timeout.as_secs();
    let text = format!("No answer within {seconds} seconds (ORCHESTRATION_TIMEOUT_SECONDS)");
    Error::new(ErrorKind::Timeout, text)
}

/// A record that can't be written must not cost the client an answer.
fn log_failure(what: &str, outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "{what}");
    }
}
