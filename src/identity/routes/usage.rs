use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::identity::IdentityService;
use crate::kernel::{Caller, Clock, Fields};
use crate::limits::{LimitUse, UsageReport};
use crate::settings::LimitMode;
use crate::web::{ApiError, ErrorBody, FromFields, JsonReply, QueryParams, ReadErrors};

/// Whose use to tell.
#[derive(Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    /// The API key of that id, and its owner; the caller, if left out. That of another one needs the scope `keys`.
    #[param(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    key_id: Option<String>,
}

impl FromFields for UsageQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { key_id: fields.beyond_original(|fields| fields.optional("key_id")) }
    }
}

/// What was used of a limit.
#[derive(Serialize, ToSchema)]
pub(super) struct LimitView {
    /// `requests_per_minute`, `concurrent_chats`, `tokens_per_day` or `tokens_per_month`.
    #[schema(example = "tokens_per_day")]
    limit: &'static str,
    /// Whose use is added up: `key`, `user` or `role` (all callers of a role together).
    #[schema(example = "user")]
    by: &'static str,
    /// The key's id, the user or the role.
    #[schema(example = "ada")]
    name: String,
    #[schema(example = 100_000)]
    quota: u64,
    #[schema(example = 1_280)]
    used: u64,
    /// Chats that are being answered, or tokens that calls may need which go on.
    #[schema(example = 0)]
    reserved: u64,
    #[schema(example = 98_720)]
    remaining: u64,
    /// When the time that it is about ends; null for what may go on at the same time.
    #[schema(example = "2026-12-03T00:00:00.000Z")]
    resets_at: Option<String>,
}

/// What was used of all that may be used.
#[derive(Serialize, ToSchema)]
pub(super) struct UsageView {
    /// Whether a request beyond a limit is refused; false: it is only counted (`LIMIT_MODE=shadow`).
    #[schema(example = true)]
    enforced: bool,
    limits: Vec<LimitView>,
}

impl From<LimitUse> for LimitView {
    fn from(used: LimitUse) -> Self {
        let remaining = used.remaining();
        let LimitUse { kind, subject, name, quota, used, reserved, resets_ms } = used;
        let resets_at = resets_ms.map(Clock::rfc3339);
        Self { limit: kind.as_str(), by: subject, name, quota, used, reserved, remaining, resets_at }
    }
}

/// Usage and limits
///
/// What was used of the limits that the caller is under: the same numbers that are enforced. Empty if there are none, or authentication
/// is off.
#[utoipa::path(get, path = "/api/auth/usage", tag = "auth", operation_id = "auth_usage", params(UsageQuery),
    responses((status = 200, description = "What was used", body = UsageView),
        (status = 403, description = "It is another's key", body = ErrorBody),
        (status = 404, description = "No such key", body = ErrorBody), ReadErrors))]
pub(super) async fn usage(
    State(service): State<IdentityService>,
    caller: Caller,
    QueryParams(query): QueryParams<UsageQuery>,
) -> Result<JsonReply<UsageView>, ApiError> {
    let caller = service.counted_caller(caller, query.key_id.as_deref())?;
    let UsageReport { mode, uses } = service.limiter().usage(&caller).await;
    let limits = uses.into_iter().map(LimitView::from).collect();
    Ok(JsonReply::ok(UsageView { enforced: mode == LimitMode::Enforce, limits }))
}
