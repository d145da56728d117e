use std::task::{Context, Poll};

use axum::body::HttpBody;
use axum::http::{Request, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use tower::{Layer, Service};

use super::ApiError;
use super::body::BODY_TOO_LARGE;
use crate::kernel::{Error, ErrorKind};

/// Tells a client that asks before it sends a body of more bytes than this that it is too large, instead of asking for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefuseOversized(pub(super) u64);

impl<S> Layer<S> for RefuseOversized {
    type Service = RefusingOversized<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RefusingOversized { inner, max_bytes: self.0 }
    }
}

/// A service behind [`RefuseOversized`].
#[derive(Clone, Debug)]
pub(super) struct RefusingOversized<S> {
    inner: S,
    max_bytes: u64,
}

impl<B, S> Service<Request<B>> for RefusingOversized<S>
where
    B: HttpBody,
    S: Service<Request<B>, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_too_large = request.body().size_hint().lower() > self.max_bytes;
        if is_too_large && request.headers().contains_key(header::EXPECT) {
            let refusal = ApiError::from(Error::new(ErrorKind::TooLarge, BODY_TOO_LARGE));
            return Either::Right(ready(Ok(refusal.into_response())));
        }
        Either::Left(self.inner.call(request))
    }
}
