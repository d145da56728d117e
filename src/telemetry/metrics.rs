//! What is counted and timed, for Prometheus. One function per occasion; nothing else records.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use tokio::time::Instant;
use tracing::Level;

use super::label_limiter::LabelLimiter;

/// Distinct models, and distinct agents, data sources or tools, that get a label of their own.
const MAX_LABELS: usize = 100;
/// Upper bounds of times, in seconds: from what a cache takes to what an agent may take.
const SECONDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0];
/// Upper bounds of the server's own time.
const OWN_SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

type Label = (&'static str, String);
type Counters<const N: usize> = Family<[Label; N], Counter>;
type Times<const N: usize> = Family<[Label; N], Histogram, fn() -> Histogram>;

/// All that is counted, in this process.
static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Levels of log lines, and answers of the cache: there from the start, so that the first of them is seen as an increase.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const CACHE: [&str; 2] = ["hit", "miss"];

pub(super) struct Metrics {
    pub(super) registry: Registry,
    requests: Counters<3>,
    request_seconds: Times<2>,
    own_seconds: Times<1>,
    chats: Counters<2>,
    chat_seconds: Times<1>,
    steps: Counters<2>,
    llm_requests: Counters<2>,
    llm_errors: Counters<2>,
    llm_retries: Counters<1>,
    llm_tokens: Counters<2>,
    llm_seconds: Times<1>,
    llm_first_token_seconds: Times<1>,
    calls: Counters<3>,
    call_seconds: Times<2>,
    cache: Counters<1>,
    log_lines: Counters<1>,
    models: LabelLimiter,
    agents: LabelLimiter,
    datasources: LabelLimiter,
    tools: LabelLimiter,
}

/// What else than a model is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// An external agent.
    Agent,
    /// A source of data.
    DataSource,
    /// A tool.
    Tool,
}

impl Metrics {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("orchestrator");
        let all = &mut registry;
        let metrics = Self {
            requests: add(all, "http_requests", "Requests, by route and class of status"),
            request_seconds: timed(all, "http_request_duration_seconds", "Time until a reply was sent", &SECONDS),
            own_seconds: timed(
                all,
                "overhead_seconds",
                "Time that the server itself took for a request: all of it, minus waiting for upstreams",
                &OWN_SECONDS,
            ),
            chats: add(all, "chats", "Chat requests, by intent and how they ended"),
            chat_seconds: timed(all, "chat_duration_seconds", "Time until a chat request was answered", &SECONDS),
            steps: add(all, "chat_steps", "Steps of chat requests, by what was done and how it ended"),
            llm_requests: add(all, "llm_requests", "Requests to the LLM, retries not counted, by how they ended"),
            llm_errors: add(all, "llm_errors", "Failed requests to the LLM, by kind of failure"),
            llm_retries: add(all, "llm_retries", "Further attempts at requests to the LLM that had failed"),
            llm_tokens: add(all, "llm_tokens", "Tokens that the LLM read (input) and wrote (output)"),
            llm_seconds: timed(
                all,
                "llm_request_duration_seconds",
                "Time until the LLM's answer was complete",
                &SECONDS,
            ),
            llm_first_token_seconds: timed(
                all,
                "llm_time_to_first_token_seconds",
                "Time until the first text of a streamed answer",
                &SECONDS,
            ),
            calls: add(all, "calls", "Calls of agents, data sources and tools, by how they ended"),
            call_seconds: timed(
                all,
                "call_duration_seconds",
                "Time that calls of agents, data sources and tools took",
                &SECONDS,
            ),
            cache: add(all, "cache_requests", "Look-ups of answers in the cache, by whether there was one"),
            log_lines: add(all, "log_lines", "Lines of the log, by level"),
            models: LabelLimiter::new(MAX_LABELS),
            agents: LabelLimiter::new(MAX_LABELS),
            datasources: LabelLimiter::new(MAX_LABELS),
            tools: LabelLimiter::new(MAX_LABELS),
            registry,
        };
        LEVELS.iter().for_each(|level| drop(metrics.log_lines.get_or_create(&[("level", (*level).to_owned())])));
        CACHE.iter().for_each(|outcome| drop(metrics.cache.get_or_create(&[("outcome", (*outcome).to_owned())])));
        metrics
    }
}

fn add<M: Metric + Default + Clone>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn timed<const N: usize>(registry: &mut Registry, name: &str, help: &str, bounds: &'static [f64]) -> Times<N> {
    let make: fn() -> Histogram = match bounds.len() {
        n if n == OWN_SECONDS.len() => || Histogram::new(OWN_SECONDS),
        _ => || Histogram::new(SECONDS),
    };
    let times = Times::new_with_constructor(make);
    registry.register(name, help, times.clone());
    times
}

pub(super) fn all() -> &'static Metrics {
    &METRICS
}

/// A request was served, or (without a status) its client left. `method` and `route` come from lists that are bounded.
pub fn http_request(method: &'static str, route: &str, status: Option<u16>, took: Duration) {
    let status = match status {
        None => "abandoned",
        Some(..200) => "1xx",
        Some(..300) => "2xx",
        Some(..400) => "3xx",
        Some(..500) => "4xx",
        Some(_) => "5xx",
    };
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_owned())];
    METRICS.requests.get_or_create(&labels).inc();
    let labels = [("method", method.to_owned()), ("route", route.to_owned())];
    METRICS.request_seconds.get_or_create(&labels).observe(took.as_secs_f64());
}

/// How much of a request's time the server itself took.
pub fn overhead(route: &str, own: Duration) {
    METRICS.own_seconds.get_or_create(&[("route", route.to_owned())]).observe(own.as_secs_f64());
}

/// A chat request has ended.
pub fn chat(intent: &'static str, outcome: &'static str, took: Duration) {
    let intent = intent.to_owned();
    METRICS.chats.get_or_create(&[("intent", intent.clone()), ("outcome", outcome.to_owned())]).inc();
    METRICS.chat_seconds.get_or_create(&[("intent", intent)]).observe(took.as_secs_f64());
}

/// A step of a chat request has ended. Both words come from lists that are bounded.
pub fn step(action: &str, outcome: &str) {
    METRICS.steps.get_or_create(&[("action", action.to_owned()), ("outcome", outcome.to_owned())]).inc();
}

/// The cache was asked for an answer.
pub fn cache(hit: bool) {
    let outcome = if hit { "hit" } else { "miss" };
    METRICS.cache.get_or_create(&[("outcome", outcome.to_owned())]).inc();
}

/// A line was logged.
pub(super) fn log_line(level: Level) {
    METRICS.log_lines.get_or_create(&[("level", level.as_str().to_ascii_lowercase())]).inc();
}

/// An agent, a data source or a tool was called. `outcome` comes from a list that is bounded.
pub fn call(callee: Callee, name: &str, outcome: &'static str, took: Duration) {
    let (kind, names) = match callee {
        Callee::Agent => ("agent", &METRICS.agents),
        Callee::DataSource => ("datasource", &METRICS.datasources),
        Callee::Tool => ("tool", &METRICS.tools),
    };
    let (kind, name) = (kind.to_owned(), names.label(name));
    let labels = [("kind", kind.clone()), ("name", name.clone()), ("outcome", outcome.to_owned())];
    METRICS.calls.get_or_create(&labels).inc();
    METRICS.call_seconds.get_or_create(&[("kind", kind), ("name", name)]).observe(took.as_secs_f64());
}

/// A request to a model that is under way. It counts when it ends; one that is dropped before counts as cancelled.
#[derive(Debug)]
pub struct LlmCall {
    /// As the request names it, and its label.
    name: String,
    model: String,
    started: Instant,
    has_first_token: bool,
    ended: bool,
}

impl LlmCall {
    /// Begins a request to this model. Callers may name any, so one that is not configured has a label of its own only once it
    /// has answered.
    pub fn begin(model: &str, is_configured: bool) -> Self {
        let label = if is_configured { METRICS.models.label(model) } else { METRICS.models.existing_label(model) };
        Self { name: model.to_owned(), model: label, started: Instant::now(), has_first_token: false, ended: false }
    }

    /// It took so many attempts.
    pub fn attempted(&self, attempts: u32) {
        let retries = u64::from(attempts.saturating_sub(1));
        METRICS.llm_retries.get_or_create(&[("model", self.model.clone())]).inc_by(retries);
    }

    /// A piece of a streamed answer has come.
    pub fn text(&mut self) {
        if !self.has_first_token {
            self.has_first_token = true;
            self.observe(&METRICS.llm_first_token_seconds);
        }
    }

    /// The answer is complete; it took these tokens in and out.
    pub fn answered(mut self, tokens: Option<(u64, u64)>) {
        self.model = METRICS.models.label(&self.name);
        self.end("ok");
        for (direction, count) in tokens.into_iter().flat_map(|(input, output)| [("input", input), ("output", output)])
        {
            let labels = [("model", self.model.clone()), ("direction", direction.to_owned())];
            METRICS.llm_tokens.get_or_create(&labels).inc_by(count);
        }
        self.observe(&METRICS.llm_seconds);
    }

    /// There is no answer. `kind` comes from a list that is bounded.
    pub fn failed(mut self, kind: &'static str) {
        self.end("error");
        let labels = [("model", self.model.clone()), ("kind", kind.to_owned())];
        METRICS.llm_errors.get_or_create(&labels).inc();
        self.observe(&METRICS.llm_seconds);
    }

    fn end(&mut self, outcome: &'static str) {
        self.ended = true;
        let labels = [("model", self.model.clone()), ("outcome", outcome.to_owned())];
        METRICS.llm_requests.get_or_create(&labels).inc();
    }

    fn observe(&self, times: &Times<1>) {
        times.get_or_create(&[("model", self.model.clone())]).observe(self.started.elapsed().as_secs_f64());
    }
}

impl Drop for LlmCall {
    fn drop(&mut self) {
        if !self.ended {
            self.end("cancelled");
        }
    }
}
