use std::error::Error as StdError;
use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::ErrorData;
use rmcp::service::ServiceError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::outbound::CallError;

/// Characters that are quoted of what a server says of an error.
const MAX_QUOTED_CHARS: usize = 2_000;

/// Why an MCP server did not do what it was asked to. Reads on after the server's name: `MCP server 'x' {failure}`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum McpError {
    /// The HTTP call failed.
    #[error(transparent)]
    Call(CallError),
    /// The HTTP answer has this status.
    #[error("{}", status_text(*.0))]
    Status(u16),
    /// It answered with an error.
    #[error("answered with an error: {0}")]
    ErrorReply(String),
    /// It did something that MCP does not know, or its program could not be started.
    #[error("{0}")]
    Other(String),
    /// The connection was closed.
    #[error("closed the connection before it had answered")]
    Closed,
    /// It was to be started by a command that the operator has not allowed.
    #[error("is not started: the command '{0}' is none of those that MCP_STDIO_COMMANDS allows")]
    CommandNotAllowed(String),
}

impl McpError {
    /// There was no answer in time.
    pub(super) const TIMEOUT: Self = Self::Call(CallError::Timeout);

    /// Whether a server of before 2026-07-28 may fail like this because it was greeted in the way of that revision.
    pub(super) fn may_be_legacy_server(&self) -> bool {
        matches!(self, Self::Closed | Self::Other(_) | Self::Status(500..=599))
    }
}

fn status_text(status: u16) -> String {
    match status {
        401 | 403 => {
            format!("refused the credentials (HTTP {status}); check 'auth_token' and 'headers' in the tool's config")
        }
        300..=399 => format!(
            "answered with a redirect (HTTP {status}), which is not followed: only a few on the same server are; check 'url' in the \
             tool's config"
        ),
        404 | 405 => format!(
            "answered with HTTP {status}; check that the URL is that of its streamable HTTP endpoint, such as http://host/mcp"
        ),
        _ => format!("answered with HTTP {status}"),
    }
}

impl From<ServiceError> for McpError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => error.into(),
            ServiceError::TransportSend(error) => from_transport(error.error.as_ref()),
            ServiceError::TransportClosed | ServiceError::Cancelled { .. } => Self::Closed,
            ServiceError::Timeout { .. } => Self::TIMEOUT,
            _ => Self::Other("answered with something that was not asked for".to_owned()),
        }
    }
}

impl From<ErrorData> for McpError {
    fn from(error: ErrorData) -> Self {
        let message: String = error.message.chars().take(MAX_QUOTED_CHARS).collect();
        let supported = error.data.as_ref().and_then(|data| data.get("supported"));
        let supported: String = supported.map(ToString::to_string).unwrap_or_default().chars().take(200).collect();
        let supported = if supported.is_empty() { supported } else { format!("; it supports {supported}") };
        Self::ErrorReply(format!("{message} (code {}){supported}", error.code.0))
    }
}

/// What went wrong on the way to a server.
pub(super) fn from_transport(error: &(dyn StdError + Send + Sync + 'static)) -> McpError {
    match error.downcast_ref::<StreamableHttpError<CallError>>() {
        Some(StreamableHttpError::Client(error)) => McpError::Call(error.clone()),
        Some(StreamableHttpError::HttpStatus(error)) => McpError::Status(error.status),
        Some(StreamableHttpError::UnexpectedContentType(kind)) => {
            let kind = kind.as_deref().unwrap_or("no content type");
            McpError::Other(format!("answered with {kind} where MCP has JSON or an event stream"))
        }
        Some(StreamableHttpError::UnexpectedServerResponse(_) | StreamableHttpError::Deserialize(_)) => {
            McpError::Other("answered with something that is no message of MCP".to_owned())
        }
        Some(StreamableHttpError::SessionExpired | StreamableHttpError::ReinitializationFailed(_)) => {
            McpError::Other("has ended the session, and a new one could not be begun".to_owned())
        }
        _ => McpError::Closed,
    }
}

/// What went wrong below the protocol, where the SDK would only tell that the connection is closed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct TransportFault(Arc<Mutex<Option<McpError>>>);

impl TransportFault {
    /// Notes what went wrong; the first is the cause of what follows.
    pub(super) fn note(&self, failure: McpError) {
        self.0.lock().get_or_insert(failure);
    }

    /// `error`, or its cause if it has one that says more.
    pub(super) fn explain(&self, failure: McpError) -> McpError {
        let noted = self.0.lock().take();
        noted.filter(|_| failure == McpError::Closed).unwrap_or(failure)
    }
}
