use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::ErrorData;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::outbound::CallError;

/// Characters that are quoted of what a server says of an error.
const MAX_QUOTED_CHARS: usize = 2_000;

/// Why an MCP server did not do what it was asked to. Reads on after the server's name: `MCP server 'x' {failure}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum McpError {
    /// The HTTP call failed.
    Call(CallError),
    /// The HTTP answer has this status.
    Status(u16),
    /// It answered with an error.
    ErrorReply(String),
    /// It did something that MCP does not know, or its program could not be started.
    Other(String),
    /// The connection was closed.
    Closed,
    /// It was to be started by a command that the operator has not allowed.
    CommandNotAllowed(String),
}

impl McpError {
    /// There was no answer in time.
    pub(super) const TIMEOUT: Self = Self::Call(CallError::Timeout);

    pub(super) fn other(what: impl Into<String>) -> Self {
        Self::Other(what.into())
    }

    /// Whether a server of before 2026-07-28 may fail like this because it was greeted in the way of that revision.
    pub(super) fn may_be_legacy_server(&self) -> bool {
        matches!(self, Self::Closed | Self::Other(_) | Self::Status(500..=599))
    }
}

impl fmt::Display for McpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Status(status @ (401 | 403)) => write!(
                f,
                "refused the credentials (HTTP {status}); check 'auth_token' and 'headers' in the tool's config"
            ),
            Self::Status(status @ 300..=399) => {
                write!(f, "answered with a redirect (HTTP {status}), which is not followed")
            }
            Self::Status(status @ (404 | 405)) => write!(
                f,
                "answered with HTTP {status}; check that the URL is that of its streamable HTTP endpoint, such as http://host/mcp"
            ),
            Self::Status(status) => write!(f, "answered with HTTP {status}"),
            Self::ErrorReply(text) => write!(f, "answered with an error: {text}"),
            Self::Other(text) => f.write_str(text),
            Self::Closed => f.write_str("closed the connection before it had answered"),
            Self::CommandNotAllowed(command) => {
                write!(f, "is not started: the command '{command}' is none of those that MCP_STDIO_COMMANDS allows")
            }
        }
    }
}

impl From<ClientInitializeError> for McpError {
    fn from(error: ClientInitializeError) -> Self {
        match error {
            ClientInitializeError::TransportError { error, .. } => from_transport(error.error.as_ref()),
            ClientInitializeError::JsonRpcError(error) => error.into(),
            ClientInitializeError::LegacyFallbackFailed { fallback, .. } => (*fallback).into(),
            ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::Cancelled => Self::Closed,
            ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
                Self::other("speaks none of the revisions of MCP that this server knows")
            }
            _ => Self::other("did not answer as MCP asks for when a connection begins"),
        }
    }
}

impl From<ServiceError> for McpError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => error.into(),
            ServiceError::TransportSend(error) => from_transport(error.error.as_ref()),
            ServiceError::TransportClosed | ServiceError::Cancelled { .. } => Self::Closed,
            ServiceError::Timeout { .. } => Self::TIMEOUT,
            _ => Self::other("answered with something that was not asked for"),
        }
    }
}

impl From<ErrorData> for McpError {
    fn from(error: ErrorData) -> Self {
        let message: String = error.message.chars().take(MAX_QUOTED_CHARS).collect();
        Self::ErrorReply(format!("{message} (code {})", error.code.0))
    }
}

fn from_transport(error: &(dyn StdError + Send + Sync + 'static)) -> McpError {
    match error.downcast_ref::<StreamableHttpError<CallError>>() {
        Some(StreamableHttpError::Client(error)) => McpError::Call(error.clone()),
        Some(StreamableHttpError::HttpStatus(error)) => McpError::Status(error.status),
        Some(StreamableHttpError::UnexpectedContentType(kind)) => {
            let kind = kind.as_deref().unwrap_or("no content type");
            McpError::Other(format!("answered with {kind} where MCP has JSON or an event stream"))
        }
        Some(StreamableHttpError::UnexpectedServerResponse(_) | StreamableHttpError::Deserialize(_)) => {
            McpError::other("answered with something that is no message of MCP")
        }
        Some(StreamableHttpError::SessionExpired | StreamableHttpError::ReinitializationFailed(_)) => {
            McpError::other("has ended the session, and a new one could not be begun")
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
        match failure {
            McpError::Closed => noted.unwrap_or(McpError::Closed),
            other => other,
        }
    }
}
