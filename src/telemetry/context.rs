use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::metrics;
use crate::kernel::Stopwatch;

tokio::task_local! {
    static REQUEST: RequestContext;
}

/// The request at hand: what log lines carry of it, and how long it waits for upstreams. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<ContextFields>);

#[derive(Debug)]
struct ContextFields {
    id: String,
    route: String,
    execution_id: OnceLock<String>,
    waits: Stopwatch,
}

impl RequestContext {
    /// A request of this id to this route.
    pub fn new(id: String, route: &str) -> Self {
        Self(Arc::new(ContextFields {
            id,
            route: route.to_owned(),
            execution_id: OnceLock::new(),
            waits: Stopwatch::default(),
        }))
    }

    /// The request that this task works on, if it works on one.
    pub fn current() -> Option<Self> {
        REQUEST.try_with(Clone::clone).ok()
    }

    /// Runs `work` as part of this request.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        let waits = self.0.waits.clone();
        REQUEST.scope(self, waits.time(work)).await
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The pattern of its path.
    pub fn route(&self) -> &str {
        &self.0.route
    }

    /// The id of the execution it began, if it began one.
    pub fn execution_id(&self) -> Option<&str> {
        self.0.execution_id.get().map(String::as_str)
    }

    /// Names the execution that the request at hand has begun.
    pub fn set_execution(id: &str) {
        if let Some(request) = Self::current() {
            request.0.execution_id.get_or_init(|| id.to_owned());
        }
    }

    /// How long it has waited for upstreams so far.
    pub fn waited(&self) -> Duration {
        self.0.waits.waited()
    }
}

/// `work` as part of the request at hand, for a task of its own that does not wait for the request's end.
pub fn in_context<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let request = RequestContext::current();
    async move {
        match request {
            Some(request) => request.scope(work).await,
            None => work.await,
        }
    }
}

/// `work` as part of the request at hand, for a task of its own. How much of its time the server itself took is told when it
/// ends, since the reply has begun long before.
pub fn in_timed_context<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let (request, started) = (RequestContext::current(), Instant::now());
    async move {
        let Some(request) = request else { return work.await };
        let output = request.clone().scope(work).await;
        metrics::overhead(request.route(), started.elapsed().saturating_sub(request.waited()));
        output
    }
}

/// The id of the request that this task works on, if it works on one.
pub fn request_id() -> Option<String> {
    REQUEST.try_with(|request| request.id().to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_in_a_task_of_its_own_belongs_to_the_request_that_began_it() {
        let request = RequestContext::new("r1".to_owned(), "/x");
        let ids = request.scope(async {
            (
                tokio::spawn(in_context(async { request_id() })).await.unwrap(),
                tokio::spawn(async { request_id() }).await.unwrap(),
            )
        });
        assert_eq!(ids.await, (Some("r1".to_owned()), None));
        assert_eq!(in_context(async { request_id() }).await, None);
    }
}
