use std::error::Error as StdError;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{
    ClientConfig, ClientJsonRpcMessage, ClientNotification, ClientRequest, ClientResult, DiscoverRequest,
    DiscoverRequestParams, DiscoverResult, ErrorCode, ErrorData, InitializeRequest, InitializeResult,
    InitializedNotification, JsonRpcMessage, ProtocolVersion, RequestId, RequestMetaObject, ServerPeerInfo,
    ServerRequest, ServerResult,
};
use rmcp::transport::Transport;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{McpError, from_transport};

/// The revision that a server of before 2026-07-28 is offered first; it may answer with an older one.
pub(super) const OLDER_VERSION: ProtocolVersion = ProtocolVersion::V_2025_11_25;
/// The revision without `initialize`.
const NEWEST_VERSION: ProtocolVersion = ProtocolVersion::V_2026_07_28;
/// Ids of the two first requests; the SDK counts later ones from 0, and an answer that is late must not pass for one of those.
const DISCOVER_ID: RequestId = RequestId::Number(1_000_001);
const INITIALIZE_ID: RequestId = RequestId::Number(1_000_002);
/// Errors of servers that know `server/discover`, and mean them.
const MEANT_ERRORS: [ErrorCode; 2] = [ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY, ErrorCode::HEADER_MISMATCH];

/// How a server is spoken to first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Handshake {
    /// It is asked what it speaks; one that does not know the question is sent `initialize`.
    #[default]
    Discover,
    /// It is sent `initialize` with this revision at once.
    Initialize(ProtocolVersion),
}

impl Handshake {
    /// The one to try after this one has failed; the error, if there is none. The first attempt goes by what worked once, which may not
    /// hold any more.
    pub(super) fn after(&self, error: HandshakeError, is_first: bool) -> Result<Self, McpError> {
        match (self, error) {
            (Self::Initialize(refused), HandshakeError::Speaks(version)) if *refused == version => Err(unexpected()),
            (_, HandshakeError::Speaks(version)) => Ok(Self::Initialize(version)),
            // Some older servers break off instead of saying that they don't understand.
            (Self::Discover, HandshakeError::Failed(error)) if error.may_be_legacy_server() => Ok(self.other()),
            (Self::Initialize(_), HandshakeError::Failed(_)) if is_first => Ok(self.other()),
            (_, HandshakeError::Failed(error)) => Err(error),
        }
    }

    /// The other way to begin.
    pub(super) fn other(&self) -> Self {
        match self {
            Self::Discover => Self::Initialize(OLDER_VERSION),
            Self::Initialize(_) => Self::Discover,
        }
    }
}

/// Why no connection came about.
#[derive(Debug)]
pub(super) enum HandshakeError {
    /// For good.
    Failed(McpError),
    /// The server has refused the revision, and named this one.
    Speaks(ProtocolVersion),
}

impl From<McpError> for HandshakeError {
    fn from(error: McpError) -> Self {
        Self::Failed(error)
    }
}

/// Begins a connection. The SDK's own way gives `server/discover` ten seconds, takes its late answer for that to `initialize`, and
/// knows no other revision after a refusal; servers that are slow to start, or never answer what they don't know, would never connect.
/// Here that answer is waited for during `probe`, and beside the next request for as long as the caller waits, or during another `probe`
/// once that request is refused. Gives also the handshake to begin with the next time.
pub(super) async fn connect<T: Transport<RoleClient>>(
    transport: &mut T,
    client: ClientConfig,
    handshake: &Handshake,
    probe: Duration,
) -> Result<(ServerPeerInfo, Handshake), HandshakeError> {
    let mut negotiation = Negotiation { transport, client, probe };
    if let Handshake::Initialize(version) = handshake {
        return Ok((negotiation.initialize(version.clone(), false).await?, handshake.clone()));
    }
    negotiation.send_discover().await?;
    let Ok(answer) = timeout(probe, negotiation.answer(&[DISCOVER_ID])).await else {
        let info = negotiation.initialize(OLDER_VERSION, true).await?;
        // It need not be waited for in vain again.
        let is_older = info.protocol_version.has_initialize();
        return Ok((info, if is_older { Handshake::Initialize(OLDER_VERSION) } else { Handshake::Discover }));
    };
    let info = match discovered(answer?.1) {
        Discovery::Newest(info) => *info,
        Discovery::Failed(error) => return Err(error),
        Discovery::Older => negotiation.initialize(OLDER_VERSION, false).await?,
    };
    Ok((info, Handshake::Discover))
}

/// What the answer to `server/discover` means.
enum Discovery {
    Newest(Box<ServerPeerInfo>),
    Failed(HandshakeError),
    /// The server does not know the question.
    Older,
}

type RpcOutcome = Result<ServerResult, ErrorData>;

fn discovered(answer: RpcOutcome) -> Discovery {
    let error = match answer {
        Ok(ServerResult::DiscoverResult(result)) => return of_discovery(result),
        Ok(_) => return Discovery::Failed(unexpected().into()),
        Err(error) => error,
    };
    let is_version = error.code == ErrorCode::UNSUPPORTED_PROTOCOL_VERSION;
    match named_version(&error, &NEWEST_VERSION) {
        Some(version) if is_version => Discovery::Failed(HandshakeError::Speaks(version)),
        _ if is_version || MEANT_ERRORS.contains(&error.code) => Discovery::Failed(McpError::from(error).into()),
        _ => Discovery::Older,
    }
}

fn of_discovery(result: DiscoverResult) -> Discovery {
    let supported = &result.supported_versions;
    if supported.contains(&NEWEST_VERSION) {
        let mut info = ServerPeerInfo::new(NEWEST_VERSION, result.capabilities.clone());
        info.server_info = result.server_info();
        return Discovery::Newest(Box::new(info));
    }
    let known = ProtocolVersion::KNOWN_VERSIONS.iter().rev();
    Discovery::Failed(match known.into_iter().find(|version| supported.contains(version)) {
        Some(version) => HandshakeError::Speaks(version.clone()),
        None => no_common_version(supported.iter().map(ProtocolVersion::as_str)).into(),
    })
}

/// The newest revision with `initialize` that an error names, other than the one that it refuses: in `data.supported`, or wherever
/// else a server writes it.
fn named_version(error: &ErrorData, refused: &ProtocolVersion) -> Option<ProtocolVersion> {
    let told = format!("{} {}", error.message, error.data.as_ref().map(ToString::to_string).unwrap_or_default());
    let known = ProtocolVersion::KNOWN_VERSIONS.iter().rev().filter(|version| version.has_initialize());
    known.filter(|version| *version != refused).find(|version| told.contains(version.as_str())).cloned()
}

fn no_common_version<'a>(supported: impl Iterator<Item = &'a str>) -> McpError {
    let supported: Vec<_> = supported.take(10).collect();
    let supported: String = supported.join(", ").chars().take(200).collect();
    McpError::Other(format!("speaks none of the revisions of MCP that this server knows; it supports: {supported}"))
}

fn unexpected() -> McpError {
    McpError::Other("did not answer as MCP asks for when a connection begins".to_owned())
}

/// The answer to an `initialize` that was refused.
struct Refused {
    error: ErrorData,
    /// When an answer to `server/discover` is no longer waited for.
    until: Instant,
}

/// The messages before there is a connection.
struct Negotiation<'a, T> {
    transport: &'a mut T,
    client: ClientConfig,
    /// How long an answer to `server/discover` is worth waiting for.
    probe: Duration,
}

impl<T: Transport<RoleClient>> Negotiation<'_, T> {
    async fn send_discover(&mut self) -> Result<(), McpError> {
        let (implementation, capabilities) = (self.client.client_info.clone(), self.client.capabilities.clone());
        let mut request = DiscoverRequest::new(DiscoverRequestParams {});
        request.extensions.insert(RequestMetaObject::with_client_context(NEWEST_VERSION, implementation, capabilities));
        let request = ClientRequest::DiscoverRequest(request);
        self.send(ClientJsonRpcMessage::request(request, DISCOVER_ID)).await
    }

    /// Sends `initialize` and waits for its answer, or for that to `server/discover`, which counts if it comes first or the other is an
    /// error.
    async fn initialize(
        &mut self,
        version: ProtocolVersion,
        mut is_discovering: bool,
    ) -> Result<ServerPeerInfo, HandshakeError> {
        let params = self.client.clone().with_protocol_version(version.clone());
        let request = InitializeRequest::new(params);
        self.send(ClientJsonRpcMessage::request(ClientRequest::InitializeRequest(request), INITIALIZE_ID)).await?;
        let mut refused: Option<Refused> = None;
        loop {
            let open = [refused.is_none().then_some(INITIALIZE_ID), is_discovering.then_some(DISCOVER_ID)];
            let open: Vec<_> = open.into_iter().flatten().collect();
            let answer = match &refused {
                None => self.answer(&open).await?,
                Some(refused) => match timeout_at(refused.until, self.answer(&open)).await {
                    Ok(Ok(answer)) => answer,
                    // The refusal says more than that nothing follows it.
                    _ => return Err(McpError::from(refused.error.clone()).into()),
                },
            };
            match answer {
                (id, answer) if id == DISCOVER_ID => {
                    is_discovering = false;
                    // It may never answer what does not belong to this revision.
                    if let Discovery::Newest(info) = discovered(answer) {
                        return Ok(*info);
                    }
                }
                (_, Ok(ServerResult::InitializeResult(result))) => return Ok(self.initialized(result).await?),
                (_, Ok(_)) => return Err(unexpected().into()),
                (_, Err(error)) => refused = Some(Refused { error, until: Instant::now() + self.probe }),
            }
            let Some(Refused { error, .. }) = &refused else { continue };
            if let Some(version) = named_version(error, &version) {
                return Err(HandshakeError::Speaks(version));
            }
            if !is_discovering {
                return Err(McpError::from(error.clone()).into());
            }
        }
    }

    async fn initialized(&mut self, result: InitializeResult) -> Result<ServerPeerInfo, McpError> {
        let notification = InitializedNotification { method: Default::default(), extensions: Default::default() };
        let notification = ClientNotification::InitializedNotification(notification);
        self.send(ClientJsonRpcMessage::notification(notification)).await?;
        Ok(result.into())
    }

    /// The next answer to one of these requests. What else a server may say already is answered or passed over.
    async fn answer(&mut self, ids: &[RequestId]) -> Result<(RequestId, RpcOutcome), McpError> {
        loop {
            let message = self.transport.receive().await.ok_or(McpError::Closed)?;
            match message {
                JsonRpcMessage::Response(response) => {
                    if let Some(id) = asked(&response.id, ids) {
                        return Ok((id, Ok(response.result)));
                    }
                }
                // A server that could not read the request does not know its id.
                JsonRpcMessage::Error(error) => {
                    let id = error.id.as_ref().map_or(ids.first().cloned(), |id| asked(id, ids));
                    if let Some(id) = id {
                        return Ok((id, Err(error.error)));
                    }
                }
                JsonRpcMessage::Request(request) if matches!(request.request, ServerRequest::PingRequest(_)) => {
                    self.send(ClientJsonRpcMessage::response(ClientResult::empty(()), request.id)).await?;
                }
                JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => {}
            }
        }
    }

    async fn send(&mut self, message: ClientJsonRpcMessage) -> Result<(), McpError> {
        let sent = self.transport.send(message).await;
        sent.map_err(|error| {
            let error: Box<dyn StdError + Send + Sync> = Box::new(error);
            from_transport(error.as_ref())
        })
    }
}

/// The request that an answer with this id is to. Some servers make a text of a number.
fn asked(id: &RequestId, ids: &[RequestId]) -> Option<RequestId> {
    ids.iter().find(|asked| asked.to_string() == id.to_string()).cloned()
}

#[cfg(test)]
mod tests {
    use rmcp::transport::async_rw::AsyncRwTransport;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex, split};

    use super::*;

    /// A server that never answers `server/discover` and refuses `initialize`.
    async fn refusing(stream: tokio::io::DuplexStream) {
        let (read, mut write) = split(stream);
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["method"] == "initialize" {
                let error = json!({"code": -32602, "message": "clientInfo.name is not allowed here"});
                let reply = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
                write.write_all(format!("{reply}\n").as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_initialize_is_reported_though_discovery_is_never_answered() {
        let (ours, theirs) = duplex(65_536);
        let server = tokio::spawn(refusing(theirs));
        let (read, write) = split(ours);
        let mut transport = AsyncRwTransport::<RoleClient, _, _>::new_client(read, write);
        let probe = Duration::from_secs(2);
        let began = Instant::now();
        let connecting = connect(&mut transport, ClientConfig::default(), &Handshake::Discover, probe);
        let outcome = timeout(Duration::from_secs(60), connecting).await.expect("it is not waited for in vain");
        let Err(HandshakeError::Failed(error)) = outcome else { panic!("it was refused") };
        assert!(error.to_string().contains("clientInfo.name is not allowed here"), "{error}");
        assert_eq!(began.elapsed().as_secs(), 2 * probe.as_secs());
        server.abort();
    }

    fn error(code: i32, message: &'static str, data: Value) -> ErrorData {
        ErrorData::new(ErrorCode(code), message, (!data.is_null()).then_some(data))
    }

    #[test]
    fn a_refusal_names_the_revision_to_try_in_many_forms() {
        let refused = OLDER_VERSION;
        let rows = [
            (
                "Unsupported protocol version",
                json!({"supported": ["2024-11-05"], "requested": "2025-11-25"}),
                "2024-11-05",
            ),
            ("Invalid params", json!({"supported": ["2024-11-05", "2025-03-26", "1999-01-01"]}), "2025-03-26"),
            ("Invalid params", json!({"supportedVersions": "2025-06-18"}), "2025-06-18"),
            ("Unsupported protocol version: 2025-11-25. Supported versions: 2024-11-05", Value::Null, "2024-11-05"),
            ("no", json!("2025-03-26"), "2025-03-26"),
        ];
        for (message, data, expected) in rows {
            let named = named_version(&error(-32602, message, data.clone()), &refused);
            assert_eq!(named.as_ref().map(ProtocolVersion::as_str), Some(expected), "{message} {data}");
        }
        for data in [
            Value::Null,
            json!({"supported": []}),
            json!({"requested": "2025-11-25"}),
            json!({"supported": ["2026-07-28"]}),
        ] {
            assert_eq!(named_version(&error(-32602, "no", data.clone()), &refused), None, "{data}");
        }
    }
}
