//! What is counted and timed, for Prometheus. One function per occasion; nothing else records.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tracing::Level;

use super::LEVEL_OUTPUT_NAMES;
use super::label_limiter::LabelLimiter;

/// Distinct models, and distinct agents, data sources or tools, that get a label of their own.
const MAX_LABELS: usize = 100;
/// Upper bounds of times, in seconds: from what a cache takes to what an agent may take.
const SECONDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0];
/// Upper bounds of the server's own time.
const OWN_SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

type Label = (&'static str, Cow<'static, str>);
type Counters<const N: usize> = Family<[Label; N], Counter>;
type Times<const N: usize> = Family<[Label; N], Histogram, fn() -> Histogram>;

pub(super) static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::new().with_zeros());

/// Declares the families: how each is called here, its type, its name for Prometheus and what it tells.
macro_rules! families {
    ($($family:ident: $type:ty = $make:expr, $name:literal, $help:literal;)*) => {
        pub(super) struct Metrics {
            pub(super) registry: Registry,
            models: LabelLimiter,
            agents: LabelLimiter,
            datasources: LabelLimiter,
            tools: LabelLimiter,
            $($family: $type,)*
        }

        impl Metrics {
            fn new() -> Self {
                let mut registry = Registry::with_prefix("orchestrator");
                $(
                    let $family: $type = $make;
                    registry.register($name, $help, $family.clone());
                )*
                let [models, agents, datasources, tools] = [(); 4].map(|()| LabelLimiter::new(MAX_LABELS));
                Self { registry, models, agents, datasources, tools, $($family,)* }
            }
        }
    };
}

families! {
    requests: Counters<3> = Counters::default(), "http_requests", "Requests, by route and class of status";
    request_seconds: Times<2> = times(), "http_request_duration_seconds", "Time until a reply was sent";
    own_seconds: Times<1> = Times::new_with_constructor(|| Histogram::new(OWN_SECONDS)), "overhead_seconds",
        "Time that the server itself took for a request: all of it, minus waiting for upstreams";
    chats: Counters<2> = Counters::default(), "chats", "Chat requests, by intent and how they ended";
    chat_seconds: Times<1> = times(), "chat_duration_seconds", "Time until a chat request was answered";
    steps: Counters<2> = Counters::default(), "chat_steps", "Steps of chat requests, by what was done and how it ended";
    llm_requests: Counters<2> = Counters::default(), "llm_requests",
        "Requests to the LLM, retries not counted, by how they ended";
    llm_errors: Counters<2> = Counters::default(), "llm_errors", "Failed requests to the LLM, by kind of failure";
    llm_retries: Counters<1> = Counters::default(), "llm_retries", "Further attempts at requests to the LLM that had failed";
    llm_adaptations: Counters<2> = Counters::default(), "llm_adaptations",
        "Parts of requests that the LLM server turned out to refuse, by what they are";
    llm_tokens: Counters<2> = Counters::default(), "llm_tokens", "Tokens that the LLM read (input) and wrote (output)";
    llm_seconds: Times<1> = times(), "llm_request_duration_seconds", "Time until the LLM's answer was complete";
    llm_first_token_seconds: Times<1> = times(), "llm_time_to_first_token_seconds",
        "Time until the first text of a streamed answer";
    calls: Counters<3> = Counters::default(), "calls", "Calls of agents, data sources and tools, by how they ended";
    call_seconds: Times<2> = times(), "call_duration_seconds", "Time that calls of agents, data sources and tools took";
    cache: Counters<1> = Counters::default(), "cache_requests", "Look-ups of answers in the cache, by whether there was one";
    limits_reached: Counters<3> = Counters::default(), "limits_reached",
        "Requests beyond what their callers may use, by limit, whose use it is about, and whether they were refused";
    log_lines: Counters<1> = Counters::default(), "log_lines", "Lines of the log, by level";
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
    /// Levels of log lines, and answers of the cache: there from the start, so that the first of them is seen as an increase.
    fn with_zeros(self) -> Self {
        for level in LEVEL_OUTPUT_NAMES {
            drop(self.log_lines.get_or_create(&labels([("level", &level.to_ascii_lowercase())])));
        }
        for outcome in ["hit", "miss"] {
            drop(self.cache.get_or_create(&labels([("outcome", outcome)])));
        }
        self
    }
}

fn times<const N: usize>() -> Times<N> {
    Times::new_with_constructor(|| Histogram::new(SECONDS))
}

fn labels<const N: usize>(labels: [(&'static str, &str); N]) -> [Label; N] {
    labels.map(|(name, value)| (name, Cow::Owned(value.to_owned())))
}

/// [`labels`] of words that stand in the source, which need no memory.
fn constant<const N: usize>(labels: [(&'static str, &'static str); N]) -> [Label; N] {
    labels.map(|(name, value)| (name, Cow::Borrowed(value)))
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
    let [method, status] = constant([("method", method), ("status", status)]);
    let [route] = labels([("route", route)]);
    let all = [method, route, status];
    METRICS.requests.get_or_create(&all).inc();
    let [method, route, _] = all;
    METRICS.request_seconds.get_or_create(&[method, route]).observe(took.as_secs_f64());
}

/// How much of a request's time the server itself took.
pub fn overhead(route: &str, own: Duration) {
    METRICS.own_seconds.get_or_create(&labels([("route", route)])).observe(own.as_secs_f64());
}

/// A chat request has ended.
pub fn chat(intent: &'static str, outcome: &'static str, took: Duration) {
    METRICS.chats.get_or_create(&constant([("intent", intent), ("outcome", outcome)])).inc();
    METRICS.chat_seconds.get_or_create(&constant([("intent", intent)])).observe(took.as_secs_f64());
}

/// A step of a chat request has ended. Both words come from lists that are bounded.
pub fn step(action: &str, outcome: &str) {
    METRICS.steps.get_or_create(&labels([("action", action), ("outcome", outcome)])).inc();
}

/// A caller wanted more than it may use. All three words come from lists that are bounded.
pub fn limit_reached(limit: &'static str, subject: &'static str, was_served: bool) {
    let outcome = if was_served { "served" } else { "refused" };
    METRICS
        .limits_reached
        .get_or_create(&constant([("limit", limit), ("subject", subject), ("outcome", outcome)]))
        .inc();
}

/// The cache was asked for an answer.
pub fn cache(hit: bool) {
    METRICS.cache.get_or_create(&constant([("outcome", if hit { "hit" } else { "miss" })])).inc();
}

/// How often the cache had an answer since the start, and how often it had none.
pub fn cache_lookups() -> (u64, u64) {
    let count = |outcome| METRICS.cache.get_or_create(&labels([("outcome", outcome)])).get();
    (count("hit"), count("miss"))
}

/// A line was logged.
pub(super) fn log_line(level: Level) {
    let name = match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    METRICS.log_lines.get_or_create(&constant([("level", name)])).inc();
}

/// An agent, a data source or a tool was called. `outcome` comes from a list that is bounded.
pub fn call(callee: Callee, name: &str, outcome: &'static str, took: Duration) {
    let (kind, names) = match callee {
        Callee::Agent => ("agent", &METRICS.agents),
        Callee::DataSource => ("datasource", &METRICS.datasources),
        Callee::Tool => ("tool", &METRICS.tools),
    };
    let (name, kind) = (names.label(name), ("kind", kind));
    METRICS.calls.get_or_create(&labels([kind, ("name", &name), ("outcome", outcome)])).inc();
    METRICS.call_seconds.get_or_create(&labels([kind, ("name", &name)])).observe(took.as_secs_f64());
}

/// A model turned out to need requests that differ from the usual ones. `kind` comes from a list that is bounded.
pub fn llm_adaptation(model: &str, kind: &'static str) {
    let model = METRICS.models.existing_label(model);
    METRICS.llm_adaptations.get_or_create(&labels([("model", &model), ("kind", kind)])).inc();
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
    /// Begins a request to this model. One that is not configured gets a label only once it has answered.
    pub fn begin(model: &str, is_configured: bool) -> Self {
        let label = if is_configured { METRICS.models.label(model) } else { METRICS.models.existing_label(model) };
        Self { name: model.to_owned(), model: label, started: Instant::now(), has_first_token: false, ended: false }
    }

    /// It took so many attempts.
    pub fn attempted(&self, attempts: u32) {
        let retries = u64::from(attempts.saturating_sub(1));
        METRICS.llm_retries.get_or_create(&labels([("model", &self.model)])).inc_by(retries);
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
            METRICS.llm_tokens.get_or_create(&self.labels("direction", direction)).inc_by(count);
        }
        self.observe(&METRICS.llm_seconds);
    }

    /// There is no answer. `kind` comes from a list that is bounded.
    pub fn failed(mut self, kind: &'static str) {
        self.end("error");
        METRICS.llm_errors.get_or_create(&self.labels("kind", kind)).inc();
        self.observe(&METRICS.llm_seconds);
    }

    fn end(&mut self, outcome: &'static str) {
        self.ended = true;
        METRICS.llm_requests.get_or_create(&self.labels("outcome", outcome)).inc();
    }

    fn labels(&self, name: &'static str, value: &str) -> [Label; 2] {
        labels([("model", &self.model), (name, value)])
    }

    fn observe(&self, times: &Times<1>) {
        times.get_or_create(&labels([("model", &self.model)])).observe(self.started.elapsed().as_secs_f64());
    }
}

impl Drop for LlmCall {
    fn drop(&mut self) {
        if !self.ended {
            self.end("cancelled");
        }
    }
}
