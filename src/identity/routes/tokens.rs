use std::time::Duration;

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::keys::{read_scopes, scope_pattern};
use crate::identity::IdentityService;
use crate::kernel::{Caller, Fields, Permission};
use crate::web::openapi::schema::{Members, integer, list, or_null, pattern};
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonReply, OptionalBody};

/// Minutes that a token may be asked to be good for.
const LIFETIMES: std::ops::RangeInclusive<i64> = 1..=525_600;

/// Who makes the request, and what they may do.
#[derive(Serialize, ToSchema)]
pub(super) struct CallerView {
    /// False: authentication is off, and anybody may do everything.
    #[schema(example = true)]
    authenticated: bool,
    #[schema(example = "ada")]
    user_id: Option<String>,
    /// `viewer`, `user`, `operator` or `admin`.
    #[schema(example = "user")]
    role: Option<&'static str>,
    #[schema(example = json!(["chat", "memory:own"]))]
    scopes: Vec<String>,
    /// The key that it is, or that the token was made from.
    #[schema(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    key_id: Option<String>,
    #[schema(example = "acme")]
    tenant: Option<String>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenReply {
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl")]
    access_token: String,
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds that it is good for.
    #[schema(example = 1800)]
    expires_in: i64,
}

/// A ticket that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct TicketReply {
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl")]
    ticket: String,
    /// Seconds that it is good for.
    #[schema(example = 60)]
    expires_in: i64,
}

/// A token to make.
#[derive(Default)]
pub(super) struct TokenRequest {
    scopes: Option<Vec<String>>,
    lifetime: Option<Duration>,
}

impl PartialSchema for TokenRequest {
    fn schema() -> RefOr<Schema> {
        let scopes = "Narrows what the key may; null: all of that.";
        let minutes = "How long it is good for, at most AUTH_TOKEN_EXPIRE_MINUTES, as which null counts.";
        Members::new()
            .optional("scopes", scopes, or_null(list(pattern(scope_pattern()))))
            .optional("expires_in_minutes", minutes, or_null(integer(&LIFETIMES)))
            .with_example("A token to make.", json!({"scopes": ["chat"], "expires_in_minutes": 10}))
    }
}

impl ToSchema for TokenRequest {}

impl FromFields for TokenRequest {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.beyond_original(|fields| {
            let minutes = fields.int_optional("expires_in_minutes", LIFETIMES);
            let seconds = minutes.and_then(|minutes| u64::try_from(minutes).ok()).map(|minutes| minutes * 60);
            Self { scopes: read_scopes(fields), lifetime: seconds.map(Duration::from_secs) }
        })
    }
}

/// Who am I
///
/// Whom the server takes the caller for, and what they may do.
#[utoipa::path(get, path = "/api/auth/me", tag = "auth", operation_id = "auth_me",
    responses((status = 200, description = "The caller", body = CallerView)))]
pub(super) async fn me(caller: Caller) -> JsonReply<CallerView> {
    let identity = caller.identity();
    let all = || Permission::ALL.map(|(_, name, _)| name.to_owned()).into();
    JsonReply::ok(CallerView {
        authenticated: identity.is_some(),
        user_id: identity.map(|identity| identity.user.to_string()),
        role: identity.map(|identity| identity.role.as_str()),
        scopes: identity.map_or_else(all, |identity| identity.grants.scopes()),
        key_id: identity.and_then(|identity| identity.key_id.clone()),
        tenant: identity.and_then(|identity| identity.tenant.clone()),
    })
}

/// Make a token
///
/// From the API key that the request comes with: a short-lived one for the same caller, which may be narrowed. It ends with the key.
#[utoipa::path(post, path = "/api/auth/token", tag = "auth", operation_id = "create_token", 
    request_body(content = Option<TokenRequest>, example = json!({"scopes": ["chat"], "expires_in_minutes": 10})),
    responses((status = 200, description = "The token", body = TokenReply),
        (status = 503, description = "Authentication is off", body = ErrorBody), BodyErrors))]
pub(super) async fn token(
    State(service): State<IdentityService>,
    caller: Caller,
    body: OptionalBody,
) -> Result<JsonReply<TokenReply>, ApiError> {
    let object = if body.0.is_none() { Map::new() } else { body.into_object()? };
    let mut fields = Fields::new(&object, vec!["body".into()]);
    let read = TokenRequest::read(&mut fields);
    let TokenRequest { scopes, lifetime } = fields.finish(read)?;
    let issued = service.issue_token(&caller, scopes, lifetime)?;
    let (access_token, expires_in) = (issued.token, issued.lifetime_seconds);
    Ok(JsonReply::ok(TokenReply { access_token, token_type: "bearer", expires_in }))
}

/// Make a ticket
///
/// A token that is good for a minute, and the only one that may stand in a query: pages that read a stream with `EventSource` can't send
/// headers, and put it there as `ticket`.
#[utoipa::path(post, path = "/api/auth/ticket", tag = "auth", operation_id = "create_ticket",
    responses((status = 200, description = "The ticket", body = TicketReply),
        (status = 503, description = "Authentication is off", body = ErrorBody)))]
pub(super) async fn ticket(
    State(service): State<IdentityService>,
    caller: Caller,
) -> Result<JsonReply<TicketReply>, ApiError> {
    let issued = service.issue_ticket(&caller)?;
    Ok(JsonReply::ok(TicketReply { ticket: issued.token, expires_in: issued.lifetime_seconds }))
}
