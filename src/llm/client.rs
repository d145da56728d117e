use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;

use super::adaptation::{Adaptation, Adaptations, left_out};
use super::api_dialect::ApiDialect;
use super::context_limits::ContextLimits;
use super::endpoint::{Endpoint, content_type};
use super::probe::DialectProbe;
use super::reading::{Expected, KnownFunctions};
use super::response_stream::ResponseStream;
use super::thinking_habits::ThinkingHabits;
use super::token_count::{prompt_tokens, tokens_of, tokens_to_reserve};
use super::{ChatRequest, Chunk, Completion, LlmError};
use crate::kernel::{Backoff, Caller, Clock, Deadline};
use crate::limits::{Limiter, TokenReservation};
use crate::outbound::{Call, HttpClient, Reply, RetryPolicy, retry, retry_after};
use crate::settings::{LlmProvider, LlmSettings, Settings};
use crate::telemetry::metrics::LlmCall;

/// Tokens of a conversation that a model is shown of which nothing is known, as in the original.
const UNKNOWN_CONTEXT_TOKENS: usize = 2000;

/// Talks to whichever LLM server the settings name. Cheap to clone; all clones share connections.
#[derive(Clone, Debug)]
pub struct LlmClient {
    http: HttpClient,
    clock: Clock,
    /// Counts the tokens of callers.
    pub(super) limiter: Limiter,
    probe: DialectProbe,
    habits: ThinkingHabits,
    /// What models on the server need.
    pub(super) adaptations: Adaptations,
    /// How much they take.
    pub(super) limits: ContextLimits,
}

impl LlmClient {
    /// A client on these connections, whose callers are kept to what `limiter` lets them use.
    pub fn new(http: HttpClient, clock: Clock, limiter: Limiter) -> Self {
        let (probe, habits, adaptations, limits) = Default::default();
        Self { http, clock, limiter, probe, habits, adaptations, limits }
    }

    /// Whether a model has refused functions a short while ago.
    pub fn takes_no_tools(&self, llm: &LlmSettings, model: Option<&str>) -> bool {
        asked_model(llm, model).is_some_and(|model| self.adaptations.takes_no_tools(llm, model))
    }

    /// A model has just refused functions.
    pub fn note_no_tools(&self, llm: &LlmSettings, model: Option<&str>, why: &LlmError) {
        if let Some(model) = asked_model(llm, model) {
            self.adaptations.remember(llm, model, &[Adaptation::NoTools], why);
        }
    }

    /// Tokens of a conversation that a model is shown: `CONTEXT_TOKENS`, or a part of what it takes.
    pub fn context_tokens(&self, settings: &Settings, model: Option<&str>) -> usize {
        let llm = settings.llm.effective();
        let by_model = || self.limits.history_tokens(llm.base_url.as_deref()?, asked_model(llm, model)?);
        settings.memory.context_tokens.or_else(by_model).unwrap_or(UNKNOWN_CONTEXT_TOKENS)
    }

    /// Asks for a complete answer. Retries, then tries the fallback models, all before `deadline` and within the
    /// configured timeout. The tokens are `caller`'s.
    pub async fn complete(
        &self,
        llm: &LlmSettings,
        request: &ChatRequest,
        caller: &Caller,
        deadline: Deadline,
    ) -> Result<Completion, LlmError> {
        let mut reserved = self.reserve(llm, request, caller).await?;
        let deadline = deadline.at_most(timeout_of(llm));
        let endpoint = &self.endpoint(llm, deadline).await.inspect_err(|_| reserved.used(|| 0))?;
        let read = |reply: Reply, _, offered| async move {
            let raw = endpoint.read_json(reply, deadline).await?;
            let answer = endpoint.dialect.completion(&raw, Expected { offered, unopened_reasoning: false });
            let answer = answer.map_err(|what| endpoint.bad_reply(&what))?;
            Ok(Completion { raw, ..endpoint.masked(answer) })
        };
        let outcome = self.first_success(endpoint, llm, request, deadline, false, read).await;
        let (answer, call, how) = outcome.inspect_err(|_| reserved.used(|| 0))?;
        count_tokens(&mut reserved, &answer);
        reserved.used_more(|| answer.usage.map_or_else(|| tokens_of(&answer.content), |_| 0));
        call.answered(tokens(&answer));
        self.habits.note(&how.model, &answer);
        Ok(how.completed(answer))
    }

    /// Asks for an answer as a stream. Until there is something to show this behaves like [`LlmClient::complete`]; from then on
    /// nothing is retried. The configured timeout bounds each silence. Dropping the stream ends the call.
    pub async fn stream(
        &self,
        llm: &LlmSettings,
        request: &ChatRequest,
        caller: &Caller,
        deadline: Deadline,
    ) -> Result<impl Stream<Item = Result<Chunk, LlmError>> + Send + use<>, LlmError> {
        let mut reserved = self.reserve(llm, request, caller).await?;
        let silence = timeout_of(llm);
        let server = self.endpoint(llm, deadline.at_most(silence)).await;
        let server = &server.inspect_err(|_| reserved.used(|| 0))?;
        let begin = |reply: Reply, model, offered| async move {
            let kind = content_type(&reply);
            if kind.starts_with("text/html") {
                return Err(server.bad_reply(&format!("answered with {kind} instead of a stream")));
            }
            let unopened_reasoning = self.habits.expects_unopened(model);
            let expected = Expected { offered, unopened_reasoning };
            let reply_stream = ResponseStream { endpoint: server.clone(), expected, silence, deadline };
            let mut chunks = reply_stream.chunks(reply).boxed();
            let first = chunks.next().await.transpose()?;
            Ok(stream::iter(first.map(Ok)).chain(chunks))
        };
        let outcome = self.first_success(server, llm, request, deadline, true, begin).await;
        let (chunks, call, how) = outcome.inspect_err(|_| reserved.used(|| 0))?;
        let (mut call, habits) = (Some(call), self.habits.clone());
        Ok(chunks.map(move |chunk| {
            count(&mut call, &chunk);
            match chunk {
                Ok(Chunk::Text(text)) => {
                    reserved.used_more(|| tokens_of(&text));
                    Ok(Chunk::Text(text))
                }
                Ok(Chunk::End(answer)) => {
                    count_tokens(&mut reserved, &answer);
                    habits.note(&how.model, &answer);
                    Ok(Chunk::End(Box::new(how.completed(*answer))))
                }
                other => other,
            }
        }))
    }

    /// Reserves what a request may use, of which what is sent counts from now on.
    async fn reserve(
        &self,
        llm: &LlmSettings,
        request: &ChatRequest,
        caller: &Caller,
    ) -> Result<TokenReservation, LlmError> {
        let mut reserved = self.limiter.reserve_tokens(caller, || tokens_to_reserve(request, llm)).await?;
        reserved.used(|| prompt_tokens(request));
        Ok(reserved)
    }

    /// The models the server offers, as it lists them.
    pub(super) async fn models(&self, llm: &LlmSettings, deadline: Deadline) -> Result<Vec<Value>, LlmError> {
        let endpoint = self.endpoint(llm, deadline).await?;
        let call = Call::get(endpoint.dialect.models_url(&endpoint.base)).bearer(endpoint.key.as_ref());
        let reply = self.checked(&endpoint, &call, deadline).await?;
        let raw = endpoint.read_json(reply, deadline).await?;
        endpoint.dialect.models(&raw).ok_or_else(|| endpoint.bad_reply("answered without a list of models"))
    }

    /// Asks the server for a sign of life; the status of the first place that answers 200, else of the last.
    pub(super) async fn ping(&self, llm: &LlmSettings, deadline: Deadline) -> Result<(u16, &'static str), LlmError> {
        let endpoint = self.endpoint(llm, deadline).await?;
        let mut status = 0;
        for url in endpoint.dialect.health_urls(&endpoint.base) {
            let reply = self.http.send(&Call::get(url).bearer(endpoint.key.as_ref()), deadline).await;
            status = reply.map_err(|cause| endpoint.failed(cause))?.status();
            // A server that knows us not is up, but of no use: no point in asking elsewhere.
            if matches!(status, 200 | 401 | 403) {
                break;
            }
        }
        Ok((status, endpoint.dialect.name()))
    }

    /// Tries the model of the request or the default, then the fallbacks; counts the attempts of all. An attempt counts as a
    /// success once `take` has taken the reply of its model to the functions that it was offered. The call of the model that answers is still to be ended.
    async fn first_success<'a, T, F: Future<Output = Result<T, LlmError>>>(
        &self,
        endpoint: &Endpoint,
        llm: &'a LlmSettings,
        request: &'a ChatRequest,
        deadline: Deadline,
        stream: bool,
        take: impl Fn(Reply, &'a str, KnownFunctions) -> F,
    ) -> Result<(T, LlmCall, CallRecord), LlmError> {
        let first = asked_model(llm, request.model.as_deref()).ok_or(LlmError::NoModel)?;
        let offers_tools = !request.tools.is_empty();
        let mut model = first;
        let mut fallbacks = llm.fallback_models.iter().map(String::as_str).filter(|fallback| *fallback != first);
        let policy = RetryPolicy {
            attempts: u32::try_from(llm.max_retries).unwrap_or(1).max(1),
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(8)),
        };
        // A caller that offers tools knows better what to do without them than to ask another model.
        let because_of_tools =
            |error: &LlmError| offers_tools && (error.refuses_tools() || error.rejects_these_tools());
        let may_go_on = |error: &LlmError| error.another_model_may_help() && !because_of_tools(error);
        let mut total = 0;
        loop {
            let body = |adaptations: &[Adaptation]| endpoint.dialect.body(request, model, llm, stream, adaptations);
            let send = |body: &Value| self.post(endpoint, chat_call(endpoint, body), deadline.at_most(timeout_of(llm)));
            let attempt = || async {
                let (reply, needed) = self.adaptations.negotiate(llm, model, request, body, send).await?;
                let left_out = left_out(&request.tools, &needed);
                let offered = KnownFunctions::of(&request.tools).without(&left_out);
                Ok((take(reply, model, offered).await?, left_out))
            };
            let is_configured =
                llm.default_model.as_deref() == Some(model) || llm.fallback_models.iter().any(|one| one == model);
            let call = LlmCall::begin(model, is_configured);
            let (outcome, attempts) = retry(policy, deadline, attempt, LlmError::retry_decision).await;
            total += attempts;
            call.attempted(attempts);
            match outcome {
                Ok((taken, left_out)) => {
                    return Ok((taken, call, CallRecord { model: model.to_owned(), attempts: total, left_out }));
                }
                Err(error) => {
                    call.failed(error.label());
                    match fallbacks.next() {
                        Some(next) if may_go_on(&error) && !deadline.remaining().is_zero() => {
                            tracing::warn!(error = error.log_safe(), untrusted = %error, from = model, to = next, "falling back to another model");
                            model = next;
                        }
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    async fn post(&self, endpoint: &Endpoint, call: Call, deadline: Deadline) -> Result<Reply, LlmError> {
        let outcome = self.checked(endpoint, &call, deadline).await;
        if matches!(outcome, Err(LlmError::Status { code: 404, .. })) {
            self.probe.forget(&endpoint.base);
        }
        outcome
    }

    /// Sends the call; a status other than 2xx is an error that quotes what the server said.
    pub(super) async fn checked(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        deadline: Deadline,
    ) -> Result<Reply, LlmError> {
        let reply = self.http.send(call, deadline).await.map_err(|cause| endpoint.failed(cause))?;
        let code = reply.status();
        if (200..300).contains(&code) {
            return Ok(reply);
        }
        let wait = reply.header("retry-after").and_then(|header| retry_after(header, &self.clock));
        let status = reply.status_text();
        let said = Box::new(endpoint.error_report(reply, deadline).await);
        Err(LlmError::Status { server: endpoint.shown(), code, status, said, retry_after: wait })
    }

    pub(super) async fn endpoint(&self, llm: &LlmSettings, deadline: Deadline) -> Result<Endpoint, LlmError> {
        let base = llm.base_url.as_deref().filter(|base| !base.is_empty()).ok_or(LlmError::NoBaseUrl)?;
        let key = llm.api_key.as_ref();
        let dialect = match llm.provider {
            LlmProvider::OpenAi => ApiDialect::OpenAi,
            LlmProvider::Ollama => ApiDialect::Ollama,
            LlmProvider::Auto => Box::pin(self.probe.ask(&self.http, base, key, deadline)).await,
        };
        Ok(Endpoint::new(dialect, base, key))
    }
}

/// The call that asks for an answer.
fn chat_call(endpoint: &Endpoint, body: &Value) -> Call {
    let call = Call::post(endpoint.dialect.chat_url(&endpoint.base), body).bearer(endpoint.key.as_ref());
    let is_stream = body.get("stream").is_some_and(|stream| *stream == true);
    if is_stream { call.accept(endpoint.dialect.stream_type()) } else { call }
}

fn timeout_of(llm: &LlmSettings) -> Duration {
    Duration::from_secs(llm.timeout_seconds.unsigned_abs())
}

/// Tells the figures of a stream's next chunk.
fn count(call: &mut Option<LlmCall>, chunk: &Result<Chunk, LlmError>) {
    match chunk {
        Ok(Chunk::Text(_)) => call.iter_mut().for_each(LlmCall::text),
        Ok(Chunk::Restart) => {}
        Ok(Chunk::End(answer)) => call.take().into_iter().for_each(|call| call.answered(tokens(answer))),
        Err(error) => call.take().into_iter().for_each(|call| call.failed(error.label())),
    }
}

/// Counts what an answer has used, as its server says.
fn count_tokens(reserved: &mut TokenReservation, answer: &Completion) {
    if let Some(usage) = answer.usage {
        reserved.used(|| usage.total_tokens.max(usage.prompt_tokens.saturating_add(usage.completion_tokens)));
    }
}

/// Tokens read and written.
fn tokens(answer: &Completion) -> Option<(u64, u64)> {
    answer.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens))
}

/// How an answer was got.
struct CallRecord {
    /// The model that was asked last.
    model: String,
    /// Attempts, over all models tried.
    attempts: u32,
    /// Functions that were not offered after all.
    left_out: Vec<String>,
}

impl CallRecord {
    /// The answer under the model's own name, or under the one that was asked for.
    fn completed(&self, answer: Completion) -> Completion {
        let model = if answer.model.is_empty() { self.model.clone() } else { answer.model.clone() };
        Completion { model, attempts: self.attempts, left_out: self.left_out.clone(), ..answer }
    }
}

/// The model that a request asks: its own or the configured one.
fn asked_model<'a>(llm: &'a LlmSettings, model: Option<&'a str>) -> Option<&'a str> {
    model.filter(|model| !model.is_empty()).or(llm.default_model.as_deref())
}
