use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::ClientConnection;

/// A body that tells the connection's [`ClientConnection`] how far it is.
#[derive(Debug)]
pub(in crate::app) struct TrackedBody<B> {
    pub(in crate::app) body: B,
    pub(in crate::app) connection: Arc<ClientConnection>,
    pub(in crate::app) side: BodySide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum BodySide {
    Request,
    Reply,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let (BodySide::Reply, Some(data)) = (self.side, frame.data_ref())
        {
            self.connection.reply_queued(data.len(), self.body.is_end_stream());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whoever reads a body lets go of it at its end.
impl<B> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        match self.side {
            BodySide::Request => self.connection.request_body_ended(),
            BodySide::Reply => self.connection.reply_body_ended(),
        }
    }
}
