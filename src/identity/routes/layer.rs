use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::revocable_body::end_with;
use crate::identity::IdentityService;
use crate::identity::audit::AuditedRequest;
use crate::identity::authenticator::Unrecognised;
use crate::identity::operations::{MappedOperation, OperationAccess, OperationMap, STREAMS, UNKNOWN};
use crate::kernel::{Caller, Error, ErrorKind, LimitStatus, RequestOrigin, RequestTrail};
use crate::settings::ServerSettings;
use crate::telemetry::request_id;
use crate::web::{ApiError, PeerAddress, rate_limit_headers};

/// Longest path that the audit log has: whoever is refused chooses it.
const MAX_PATH_CHARS: usize = 1000;
/// When it makes sense to come back while the identity provider is away.
const PROVIDER_WAIT: Duration = Duration::from_secs(5);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What a ticket is called in the query.
const TICKET: &str = "ticket";
/// The paths of what explains the API, which is no secret.
const EXPLANATIONS: [&str; 5] = ["/openapi.json", "/docs", "/docs/", "/docs/{*file}", "/redoc"];
/// The path of the figures for Prometheus, and the operation that needs the same.
const PROMETHEUS: (&str, &str) = ("/metrics", "monitoring_metrics");

/// What the layer works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuthenticationLayer {
    /// Who recognises callers.
    pub service: IdentityService,
    /// What each operation needs.
    pub operations: Arc<OperationMap>,
    /// Which proxies are believed.
    pub server: Arc<ServerSettings>,
}

/// Recognises whoever makes a request, and lets it in if the operation's needs are met; the handler is told who it is. Without
/// authentication that is anybody, who may do everything.
pub async fn authenticate(State(layer): State<AuthenticationLayer>, mut request: Request, next: Next) -> Response {
    if !layer.service.is_enabled() {
        request.extensions_mut().insert(Caller::unrestricted());
        return match layer.origin(&request, None) {
            Some(origin) => origin.scope(next.run(request)).await,
            None => next.run(request).await,
        };
    }
    let Some(demand) = layer.demanded(&request) else { return next.run(request).await };
    let Demand { access, credential, facts } = demand;
    let audit = &layer.service.audit;
    let (caller, limit) = match layer.admit(access, credential).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            let NotAdmitted { caller, target, error } = *refusal;
            // That nobody can tell now who it is says nothing of the caller.
            if error.status().is_client_error() {
                audit.refused(facts.told(), caller.as_ref(), target, error.status().as_u16());
            }
            return error.into_response();
        }
    };
    request.extensions_mut().insert(caller.clone());
    let origin = layer.origin(&request, Some(&caller)).unwrap_or_default();
    let (mut response, RequestTrail { changes, denied }) = RequestTrail::of(origin.scope(next.run(request))).await;
    let status = response.status();
    if !changes.is_empty() {
        audit.changed(&facts.told(), &caller, changes, status.as_u16()).await;
    }
    if denied.is_some() || matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        audit.refused(facts.told(), Some(&caller), denied, status.as_u16());
    }
    // A limit that was reached tells of itself.
    if let Some(limit) = limit.filter(|_| status != StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().extend(rate_limit_headers(&limit));
    }
    end_with(response, || layer.service.revocation_of(&caller))
}

/// Why a request is not let in, and whose it is, as far as that is known.
struct NotAdmitted {
    caller: Option<Caller>,
    target: Option<String>,
    error: ApiError,
}

/// What a request needs that is not open to all, and what it comes with.
struct Demand<'a> {
    access: OperationAccess,
    credential: Result<Credential, ApiError>,
    facts: RequestFacts<'a>,
}

/// What the audit log may want to know of a request, which few are told of.
struct RequestFacts<'a> {
    method: Method,
    uri: Uri,
    operation: Option<&'a MappedOperation>,
    address: Option<IpAddr>,
}

impl RequestFacts<'_> {
    /// As the audit log tells of it.
    fn told(&self) -> AuditedRequest {
        AuditedRequest {
            method: self.method.as_str().to_owned(),
            path: self.uri.path().chars().take(MAX_PATH_CHARS).collect(),
            operation: self.operation.map(|operation| operation.id.clone()).unwrap_or_default(),
            address: self.address.map(|address| address.to_string()),
            request_id: request_id(),
        }
    }
}

/// What says who makes a request.
enum Credential {
    /// A key or a token, as a bearer token.
    Bearer(String),
    Key(String),
    Ticket(String),
}

impl AuthenticationLayer {
    /// What the history of the configuration tells of a request, if it is one that may change it.
    fn origin(&self, request: &Request, caller: Option<&Caller>) -> Option<RequestOrigin> {
        let path = request.extensions().get::<MatchedPath>().filter(|_| !request.method().is_safe())?;
        let operation = self.operations.find(path.as_str(), request.method().as_str());
        Some(RequestOrigin {
            author: caller.and_then(Caller::identity).map(|identity| identity.user.to_string()),
            request_id: request_id(),
            operation: operation.map(|operation| operation.id.clone()).unwrap_or_default(),
        })
    }

    fn demanded(&self, request: &Request) -> Option<Demand<'_>> {
        // What nothing is mounted at is told to all alike.
        let path = request.extensions().get::<MatchedPath>()?.as_str();
        let operation = self.operations.find(path, request.method().as_str());
        let access = operation.map_or_else(|| access_beyond_document(path), |operation| operation.access);
        if access == OperationAccess::Public {
            return None;
        }
        let peer = request.extensions().get::<PeerAddress>();
        let facts = RequestFacts {
            method: request.method().clone(),
            uri: request.uri().clone(),
            operation,
            address: peer.map(|peer| peer.client(request.headers(), &self.server.trusted_proxies)),
        };
        Some(Demand { access, credential: credential(request, operation), facts })
    }

    /// Whose request it is, if they may make it, and how many more of them.
    async fn admit(
        &self,
        access: OperationAccess,
        credential: Result<Credential, ApiError>,
    ) -> Result<(Caller, Option<LimitStatus>), Box<NotAdmitted>> {
        let refused = |caller, target, error| Box::new(NotAdmitted { caller, target, error });
        let caller = self.recognise(credential).await.map_err(|error| refused(None, None, error))?;
        if let Some(lacking) = access.lacking(&caller) {
            let scope = format!("scope {}", lacking.as_str());
            let error = Error::new(ErrorKind::Forbidden, format!("This needs the {scope}"));
            return Err(refused(Some(caller), Some(scope), error.into()));
        }
        match self.service.limiter().admit_request(&caller).await {
            Ok(limit) => Ok((caller, limit)),
            Err(reached) => Err(refused(Some(caller), None, Error::from(reached).into())),
        }
    }

    async fn recognise(&self, credential: Result<Credential, ApiError>) -> Result<Caller, ApiError> {
        let recognised = match credential? {
            Credential::Bearer(token) => self.service.recognise(&token).await,
            Credential::Key(key) => self.service.of_key(&key),
            Credential::Ticket(ticket) => self.service.of_ticket(&ticket).await,
        };
        recognised.map_err(ApiError::from)
    }
}

impl From<Unrecognised> for ApiError {
    fn from(why: Unrecognised) -> Self {
        match why {
            Unrecognised::Invalid(text) => Self::invalid_credential(text),
            Unrecognised::Unverifiable => {
                let text = "The token can't be verified now: the identity provider does not give its keys";
                Error::new(ErrorKind::Upstream, text).with_wait(PROVIDER_WAIT).into()
            }
        }
    }
}

/// Who may use what is mounted but stands in no document.
fn access_beyond_document(path: &str) -> OperationAccess {
    if EXPLANATIONS.contains(&path) {
        return OperationAccess::Public;
    }
    let (prometheus, like) = PROMETHEUS;
    if path == prometheus {
        return crate::identity::operations::access(like).unwrap_or(UNKNOWN);
    }
    UNKNOWN
}

/// What the headers have that says who makes the request, or the query of what pages read as a stream.
fn credential(request: &Request, operation: Option<&MappedOperation>) -> Result<Credential, ApiError> {
    let headers = request.headers();
    let authorization = only(headers, header::AUTHORIZATION)?;
    let token = authorization.map(|value| bearer(value).ok_or_else(unusable)).transpose()?;
    match (token, only(headers, API_KEY)?) {
        (Some(token), None) => Ok(Credential::Bearer(token.to_owned())),
        (None, Some(key)) => Ok(Credential::Key(key.to_owned())),
        (Some(_), Some(_)) => Err(unusable()),
        (None, None) => ticket(request, operation).map(Credential::Ticket).ok_or_else(missing),
    }
}

fn missing() -> ApiError {
    ApiError::unauthenticated(
        "This needs authentication: Authorization: Bearer, with an API key or a token, or X-API-Key",
    )
}

fn unusable() -> ApiError {
    ApiError::invalid_credential(
        "There should be one of Authorization, 'Bearer' and an API key or a token, and X-API-Key",
    )
}

/// The one value of a header; an empty one says nothing.
fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let value = value.to_str().ok().map(str::trim).filter(|_| values.next().is_none()).ok_or_else(unusable)?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

/// What stands behind the word `Bearer`, however it is written.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The ticket in the query of what a page reads as a stream.
fn ticket(request: &Request, operation: Option<&MappedOperation>) -> Option<String> {
    let is_stream = operation.is_some_and(|operation| STREAMS.contains(&operation.id.as_str()));
    let query = request.uri().query().filter(|_| is_stream)?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == TICKET).map(|(_, ticket)| ticket.into_owned())
}
