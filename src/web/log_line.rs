use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::telemetry::{RequestContext, metrics};

/// The line that a request leaves in the log, and its figures, made when this is dropped: however the request ends.
pub(super) struct AccessLogLine {
    request: RequestContext,
    method: &'static str,
    started: Instant,
    /// None until there is a reply; for good if the client leaves before.
    status: Option<StatusCode>,
    /// Whether all of it was sent.
    is_complete: bool,
}

impl AccessLogLine {
    /// For a request that has just come.
    pub(super) fn begin(method: &'static str, request: RequestContext) -> Self {
        Self { request, method, started: Instant::now(), status: None, is_complete: false }
    }

    /// The request got this reply. A stream counts until its end.
    pub(super) fn answered(mut self, response: Response) -> Response {
        self.status = Some(response.status());
        let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        if !kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            let data = &self.request.data;
            metrics::overhead(&data.route, self.started.elapsed().saturating_sub(data.waits.waited()));
            self.is_complete = true;
            return response;
        }
        response.map(|body| {
            let mut stream = body.into_data_stream();
            Body::from_stream(async_stream::stream! {
                while let Some(chunk) = stream.next().await {
                    yield chunk;
                }
                self.is_complete = true;
                drop(self);
            })
        })
    }
}

impl Drop for AccessLogLine {
    fn drop(&mut self) {
        let Self { request, method, started, status, is_complete } = self;
        let (took, status) = (started.elapsed(), status.map(|status| status.as_u16()));
        let route = request.data.route.as_str();
        metrics::http_request(method, route, status, took);
        let duration_ms = took.as_micros() as f64 / 1000.0;
        let what = match status {
            Some(_) if *is_complete => "served",
            Some(_) => "served until the client or the server ended it",
            None => "abandoned by the client",
        };
        request.in_scope(|| tracing::info!(method, route, status, duration_ms, "{what}"));
    }
}
