use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde_json::Value;

use super::api_dialect::ApiDialect;
use super::endpoint::{Endpoint, content_type};
use super::probe::DialectProbe;
use super::response_stream::ResponseStream;
use super::{ChatRequest, Chunk, Completion, LlmError};
use crate::kernel::{Backoff, Clock, Deadline};
use crate::outbound::{Call, HttpClient, Reply, RetryPolicy, retry, retry_after};
use crate::settings::{LlmProvider, LlmSettings};
use crate::telemetry::metrics::LlmCall;

/// Talks to whichever LLM server the settings name. Cheap to clone; all clones share connections.
#[derive(Clone, Debug)]
pub struct LlmClient {
    http: HttpClient,
    clock: Clock,
    probe: DialectProbe,
}

/// What is waited for before an attempt counts as a success.
trait ReplyMode {
    type Answer;
    const STREAM: bool;

    fn accept(dialect: ApiDialect) -> &'static str;

    fn take(
        endpoint: &Endpoint,
        reply: Reply,
        model: &str,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Self::Answer, LlmError>> + Send;
}

/// The whole answer.
struct Buffered;

/// The head of a stream, and the model it comes from.
struct Streaming;

impl ReplyMode for Buffered {
    type Answer = Completion;
    const STREAM: bool = false;

    fn accept(_: ApiDialect) -> &'static str {
        "application/json"
    }

    async fn take(endpoint: &Endpoint, reply: Reply, model: &str, deadline: Deadline) -> Result<Completion, LlmError> {
        let raw = endpoint.read_json(reply, deadline).await?;
        let answer = endpoint.dialect.completion(&raw).map_err(|what| endpoint.bad_reply(&what))?;
        Ok(Completion { raw, ..named(endpoint.masked(answer), model) })
    }
}

impl ReplyMode for Streaming {
    type Answer = (Reply, String);
    const STREAM: bool = true;

    fn accept(dialect: ApiDialect) -> &'static str {
        dialect.stream_type()
    }

    async fn take(endpoint: &Endpoint, reply: Reply, model: &str, _: Deadline) -> Result<(Reply, String), LlmError> {
        let kind = content_type(&reply);
        if kind.starts_with("text/html") {
            return Err(endpoint.bad_reply(&format!("answered with {kind} instead of a stream")));
        }
        Ok((reply, model.to_owned()))
    }
}

impl LlmClient {
    /// A client on these connections.
    pub fn new(http: HttpClient, clock: Clock) -> Self {
        Self { http, clock, probe: DialectProbe::default() }
    }

    /// Asks for a complete answer. Retries, then tries the fallback models, all before `deadline` and within the
    /// configured timeout.
    pub async fn complete(
        &self,
        llm: &LlmSettings,
        request: &ChatRequest,
        deadline: Deadline,
    ) -> Result<Completion, LlmError> {
        let deadline = deadline.at_most(timeout_of(llm));
        let endpoint = self.endpoint(llm, deadline).await?;
        let (answer, attempts, call) = self.first_success::<Buffered>(&endpoint, llm, request, deadline).await?;
        call.answered(tokens(&answer));
        Ok(Completion { attempts, ..answer })
    }

    /// Asks for an answer as a stream. Until the server begins to answer this behaves like [`LlmClient::complete`]; from
    /// then on nothing is retried, and the configured timeout bounds each silence. Dropping the stream ends the call.
    pub async fn stream(
        &self,
        llm: &LlmSettings,
        request: &ChatRequest,
        deadline: Deadline,
    ) -> Result<impl Stream<Item = Result<Chunk, LlmError>> + Send + use<>, LlmError> {
        let until_head = deadline.at_most(timeout_of(llm));
        let endpoint = self.endpoint(llm, until_head).await?;
        let ((reply, model), attempts, call) =
            self.first_success::<Streaming>(&endpoint, llm, request, until_head).await?;
        let chunks = ResponseStream { endpoint, silence: timeout_of(llm), deadline }.chunks(reply);
        let mut call = Some(call);
        Ok(chunks.map(move |chunk| {
            count(&mut call, &chunk);
            match chunk {
                Ok(Chunk::End(answer)) => Ok(Chunk::End(Completion { attempts, ..named(answer, &model) })),
                other => other,
            }
        }))
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

    /// Tries the model of the request or the default, then the fallbacks; counts the attempts of all. The call of the model that
    /// answers is still to be ended.
    async fn first_success<M: ReplyMode>(
        &self,
        endpoint: &Endpoint,
        llm: &LlmSettings,
        request: &ChatRequest,
        deadline: Deadline,
    ) -> Result<(M::Answer, u32, LlmCall), LlmError> {
        let first = request.model.as_ref().filter(|model| !model.is_empty()).or(llm.default_model.as_ref());
        let first = first.ok_or(LlmError::NoModel)?;
        let offers_tools = !request.tools.is_empty();
        let mut model = first;
        let mut fallbacks = llm.fallback_models.iter().filter(|fallback| *fallback != first);
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
            let attempt = || async {
                let body = endpoint.dialect.body(request, model, llm, M::STREAM);
                M::take(
                    endpoint,
                    self.post(endpoint, body, M::accept(endpoint.dialect), deadline).await?,
                    model,
                    deadline,
                )
                .await
            };
            let is_configured =
                llm.default_model.as_deref() == Some(model) || llm.fallback_models.iter().any(|one| one == model);
            let call = LlmCall::begin(model, is_configured);
            let (outcome, attempts) = retry(policy, deadline, attempt, LlmError::retry_decision).await;
            total += attempts;
            call.attempted(attempts);
            match outcome {
                Ok(answer) => return Ok((answer, total, call)),
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

    async fn post(
        &self,
        endpoint: &Endpoint,
        body: Value,
        accept: &'static str,
        deadline: Deadline,
    ) -> Result<Reply, LlmError> {
        let call =
            Call::post(endpoint.dialect.chat_url(&endpoint.base), &body).bearer(endpoint.key.as_ref()).accept(accept);
        let outcome = self.checked(endpoint, &call, deadline).await;
        if matches!(outcome, Err(LlmError::Status { code: 404, .. })) {
            self.probe.forget(&endpoint.base);
        }
        outcome
    }

    /// Sends the call; a status other than 2xx is an error that quotes what the server said.
    async fn checked(&self, endpoint: &Endpoint, call: &Call, deadline: Deadline) -> Result<Reply, LlmError> {
        let reply = self.http.send(call, deadline).await.map_err(|cause| endpoint.failed(cause))?;
        let code = reply.status();
        if (200..300).contains(&code) {
            return Ok(reply);
        }
        let wait = reply.header("retry-after").and_then(|header| retry_after(header, &self.clock));
        let status = reply.status_text();
        let text = endpoint.quote(reply, deadline).await;
        Err(LlmError::Status { server: endpoint.shown.clone(), code, status, text, retry_after: wait })
    }

    async fn endpoint(&self, llm: &LlmSettings, deadline: Deadline) -> Result<Endpoint, LlmError> {
        let base = llm.base_url.as_deref().filter(|base| !base.is_empty()).ok_or(LlmError::NoBaseUrl)?;
        let key = llm.api_key.as_ref();
        let dialect = match llm.provider {
            LlmProvider::OpenAi => ApiDialect::OpenAi,
            LlmProvider::Ollama => ApiDialect::Ollama,
            LlmProvider::Auto => self.probe.ask(&self.http, base, key, deadline).await,
        };
        Ok(Endpoint::new(dialect, base, key))
    }
}

fn timeout_of(llm: &LlmSettings) -> Duration {
    Duration::from_secs(llm.timeout_seconds.unsigned_abs())
}

/// Tells the figures of a stream's next chunk.
fn count(call: &mut Option<LlmCall>, chunk: &Result<Chunk, LlmError>) {
    match chunk {
        Ok(Chunk::Text(_)) => call.iter_mut().for_each(LlmCall::text),
        Ok(Chunk::End(answer)) => call.take().into_iter().for_each(|call| call.answered(tokens(answer))),
        Err(error) => call.take().into_iter().for_each(|call| call.failed(error.label())),
    }
}

/// Tokens read and written.
fn tokens(answer: &Completion) -> Option<(u64, u64)> {
    answer.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens))
}

/// The answer under the model's own name, or under the one that was asked for.
fn named(answer: Completion, asked: &str) -> Completion {
    let model = if answer.model.is_empty() { asked.to_owned() } else { answer.model.clone() };
    Completion { model, ..answer }
}
