use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Instrument, Span, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::metrics;
use crate::kernel::Stopwatch;

/// The request at hand: a span, in whose extensions the log finds the ids of its lines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestContext {
    span: Span,
    /// What is known of it.
    pub data: Arc<RequestData>,
}

#[derive(Debug)]
pub struct RequestData {
    pub id: String,
    /// The pattern of its path.
    pub route: String,
    /// The execution that it began, if it began one.
    pub(super) execution_id: OnceLock<String>,
    /// How long it has waited for upstreams so far.
    pub waits: Stopwatch,
}

impl RequestContext {
    /// The context of a request of this id and method to this route.
    pub fn new(id: String, method: &'static str, route: &str) -> Self {
        let span = tracing::info_span!("request", request_id = id, method, route);
        let (execution_id, waits) = (OnceLock::new(), Stopwatch::default());
        let data = Arc::new(RequestData { id, route: route.to_owned(), execution_id, waits });
        span.with_subscriber(|(id, dispatch)| {
            if let Some(span) = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id)) {
                span.extensions_mut().insert(Arc::clone(&data));
            }
        });
        Self { span, data }
    }

    /// Runs `work` as part of this request.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        self.data.waits.clone().time(work).instrument(self.span).await
    }

    /// Logs as part of this request.
    pub fn in_scope<T>(&self, log: impl FnOnce() -> T) -> T {
        self.span.in_scope(log)
    }
}

/// Runs `work` as part of the request at hand; at its end, records how much of the time the server itself took.
pub fn in_timed_context<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let (request, started) = (current(), Instant::now());
    let timed = async move {
        let Some(request) = request else { return work.await };
        let output = request.waits.clone().time(work).await;
        metrics::overhead(&request.route, started.elapsed().saturating_sub(request.waits.waited()));
        output
    };
    timed.in_current_span()
}

/// The id of the request at hand, if there is one.
pub fn request_id() -> Option<String> {
    current().map(|request| request.id.clone())
}

fn current() -> Option<Arc<RequestData>> {
    let find = |(id, dispatch): (&Id, &tracing::Dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        find_request(span.scope())
    };
    Span::current().with_subscriber(find).flatten()
}

/// The request that these spans are part of.
pub(super) fn find_request<'a, S: LookupSpan<'a>>(scope: Scope<'a, S>) -> Option<Arc<RequestData>> {
    scope.into_iter().find_map(|span| span.extensions().get::<Arc<RequestData>>().cloned())
}

/// Tells the request of a new span which execution it has begun, if the span names one.
pub(super) fn note_execution<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut found = ExecutionId(None);
    if attributes.metadata().fields().field(EXECUTION_ID).is_some() {
        attributes.record(&mut found);
    }
    if let Some(execution) = found.0
        && let Some(request) = context.span_scope(id).and_then(find_request)
    {
        request.execution_id.get_or_init(|| execution);
    }
}

/// The id of the execution that a span names.
struct ExecutionId(Option<String>);

const EXECUTION_ID: &str = "execution_id";

impl Visit for ExecutionId {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == EXECUTION_ID {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_in_a_task_of_its_own_belongs_to_the_request_that_began_it() {
        crate::telemetry::init_for_tests();
        let request = RequestContext::new("r1".to_owned(), "GET", "/x");
        let ids = request.scope(async {
            (
                tokio::spawn(async { request_id() }.in_current_span()).await.unwrap(),
                tokio::spawn(in_timed_context(async { request_id() })).await.unwrap(),
                tokio::spawn(async { request_id() }).await.unwrap(),
            )
        });
        assert_eq!(ids.await, (Some("r1".to_owned()), Some("r1".to_owned()), None));
        assert_eq!(in_timed_context(async { request_id() }).await, None);
    }
}
