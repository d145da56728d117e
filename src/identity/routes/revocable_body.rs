use axum::body::{Body, HttpBody};
use axum::response::Response;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

/// Why a reply ends that is not complete.
#[derive(Debug, thiserror::Error)]
#[error("the key that the request came with was revoked")]
struct KeyEnded;

/// Has a stream break off once the key is revoked that it was asked for with, if any; what is complete already is not touched.
pub(super) fn end_with(response: Response, revocation: impl FnOnce() -> Option<CancellationToken>) -> Response {
    let is_stream = response.body().size_hint().exact().is_none();
    let Some(revoked) = is_stream.then(revocation).flatten() else { return response };
    response.map(|body| {
        let mut pieces = body.into_data_stream();
        Body::from_stream(async_stream::stream! {
            loop {
                tokio::select! {
                    () = revoked.cancelled() => return yield Err(axum::Error::new(KeyEnded)),
                    piece = pieces.next() => match piece {
                        Some(piece) => yield piece,
                        None => return,
                    },
                }
            }
        })
    })
}
