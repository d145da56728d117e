use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::identity::{IdentityService, KeyDraft, MAX_KEY_DAYS, MAX_LABEL_CHARS, label};
use crate::kernel::{
    AccessRole, Caller, Clock, Fields, Grants, Permission, RecordedChange, RequestTrail, UserId, version_of,
};
use crate::storage::ApiKeyRecord;
use crate::web::openapi::schema::{Members, bounded_pattern, integer, list, name_of, or_null, pattern};
use crate::web::openapi::texts;
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply, PathId, ReadErrors};

/// Days that a key may be good for.
const LIFETIMES: std::ops::RangeInclusive<i64> = 1..=MAX_KEY_DAYS;

/// An API key, without its text.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyView {
    #[schema(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    id: String,
    #[schema(example = "gui")]
    name: String,
    /// What the key begins with.
    #[schema(example = "osk_7Qw1xZ0a")]
    prefix: String,
    /// `viewer`, `user`, `operator` or `admin`.
    #[schema(example = "user")]
    role: String,
    /// What the role may is narrowed to these; null: not at all.
    #[schema(example = json!(["chat", "tools.use:weather"]))]
    scopes: Option<Vec<String>>,
    /// Whom it acts for.
    #[schema(example = "ada")]
    user_id: Option<String>,
    #[schema(example = "acme")]
    tenant: Option<String>,
    #[schema(format = DateTime, example = "2026-12-02T17:20:03.374Z")]
    created_at: String,
    /// Who made it.
    #[schema(example = "root")]
    created_by: Option<String>,
    #[schema(format = DateTime, example = "2027-03-02T17:20:03.374Z")]
    expires_at: Option<String>,
    /// To the minute.
    #[schema(format = DateTime, example = "2026-12-03T08:00:00.000Z")]
    last_used_at: Option<String>,
    #[schema(format = DateTime, example = json!(null))]
    revoked_at: Option<String>,
}

impl From<ApiKeyRecord> for KeyView {
    fn from(it: ApiKeyRecord) -> Self {
        Self {
            id: it.id,
            name: it.name,
            prefix: it.prefix,
            role: it.role,
            scopes: it.scopes,
            user_id: it.owner,
            tenant: it.tenant,
            created_at: Clock::rfc3339(it.created_ms),
            created_by: it.created_by,
            expires_at: it.expires_ms.map(Clock::rfc3339),
            last_used_at: it.last_used_ms.map(Clock::rfc3339),
            revoked_at: it.revoked_ms.map(Clock::rfc3339),
        }
    }
}

/// A key that was made, as a change.
pub fn key_made(key: ApiKeyRecord) -> RecordedChange {
    let (target, after) = shown(key);
    RecordedChange { target, before: None, after }
}

/// A key that was revoked, as a change.
pub fn key_revoked(key: ApiKeyRecord) -> RecordedChange {
    let (target, before) = shown(key);
    RecordedChange { target, before, after: None }
}

fn shown(key: ApiKeyRecord) -> (String, Option<Value>) {
    (format!("keys/{}", key.id), serde_json::to_value(KeyView::from(key)).ok())
}

/// All keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyList {
    success: bool,
    keys: Vec<KeyView>,
    #[schema(example = 1)]
    count: usize,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyCreated {
    success: bool,
    /// The key itself. Nobody can tell it again.
    #[schema(example = "osk_7Qw1xZ0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789")]
    key: String,
    details: KeyView,
}

/// A key that was ended.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyRevoked {
    success: bool,
    #[schema(example = "The key is revoked")]
    message: &'static str,
}

/// A key to make.
pub(super) struct NewKey(KeyDraft);

impl PartialSchema for NewKey {
    fn schema() -> RefOr<Schema> {
        let scope = pattern(scope_pattern());
        Members::new()
            .required("name", "What it is for.", label_text())
            .required("role", "What it may do.", name_of(AccessRole::ALL.map(|(_, name)| name)))
            .optional("scopes", "Narrows what the role may; null: all of that.", or_null(list(scope)))
            .optional("user_id", "Whom it acts for; null: for itself.", or_null(texts::speaker()))
            .optional("tenant", "The organisation, for rights on rows.", or_null(label_text()))
            .optional("expires_in_days", "How long it is good for; null: until it is revoked.", or_null(integer(&LIFETIMES)))
            .with_example(
                "A key to make.",
                json!({"name": "gui", "role": "user", "user_id": "ada", "scopes": ["chat", "tools.use:weather"], "expires_in_days": 90}),
            )
    }
}

impl ToSchema for NewKey {}

/// What [`label`] takes.
fn label_text() -> Schema {
    let control = r"\x00-\x1f\x7f-\x9f";
    bounded_pattern(format!(r"^[^{control}]*[^\s{control}][^{control}]*$"), &(1..=MAX_LABEL_CHARS))
}

/// The names of all permissions, and the form of those to use one resource.
pub(super) fn scope_pattern() -> String {
    let known: Vec<_> = Permission::ALL.iter().map(|(_, name, _)| *name).collect();
    format!("^(?:{}|(?:agents|datasources|tools)\\.use:.+)$", known.join("|"))
}

/// Scopes among the members of a body.
pub(super) fn read_scopes(fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let scopes: Option<Vec<String>> = fields.optional("scopes");
    if let Some(Err(expected)) = scopes.as_deref().map(Grants::parse) {
        fields.reject("scopes", expected);
    }
    scopes
}

impl FromFields for NewKey {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.beyond_original(|fields| {
            let name: String = fields.required("name");
            if let Err(expected) = label(&name) {
                fields.reject("name", expected);
            }
            let role: String = fields.required("role");
            let role = AccessRole::parse(&role).unwrap_or_else(|expected| {
                fields.reject("role", expected);
                AccessRole::Viewer
            });
            let days = fields.int_optional("expires_in_days", LIFETIMES);
            Self(KeyDraft {
                name,
                role,
                scopes: read_scopes(fields),
                owner: read_owner(fields),
                tenant: read_tenant(fields),
                days: days.and_then(|days| u32::try_from(days).ok()),
            })
        })
    }
}

fn read_tenant(fields: &mut Fields<'_>) -> Option<String> {
    let tenant: String = fields.optional("tenant")?;
    label(&tenant).map_err(|expected| fields.reject("tenant", expected)).ok()
}

fn read_owner(fields: &mut Fields<'_>) -> Option<UserId> {
    let owner: String = fields.optional::<String>("user_id").filter(|user| !user.is_empty())?;
    UserId::parse_owner(&owner).map_err(|expected| fields.reject("user_id", expected)).ok()
}

/// List API keys
///
/// Newest first, those that are revoked or over included. None of them with its text.
#[utoipa::path(get, path = "/api/auth/keys", tag = "auth", operation_id = "list_keys",
    responses((status = 200, description = "The keys", body = KeyList), ReadErrors,
        (status = 503, description = "Authentication is off", body = ErrorBody)))]
pub(super) async fn list_keys(State(service): State<IdentityService>) -> Result<JsonReply<KeyList>, ApiError> {
    let keys: Vec<_> = service.keys().await?.into_iter().map(KeyView::from).collect();
    Ok(JsonReply::ok(KeyList { success: true, count: keys.len(), keys }))
}

/// Make an API key
///
/// The reply has its text, which is kept nowhere. Nobody makes a key that may do more than they.
#[utoipa::path(post, path = "/api/auth/keys", tag = "auth", operation_id = "create_key", request_body = NewKey,
    responses((status = 201, description = "It is there, on all servers within a second", body = KeyCreated),
        (status = 503, description = "Authentication is off, or Postgres is away", body = ErrorBody), BodyErrors))]
pub(super) async fn create(
    State(service): State<IdentityService>,
    caller: Caller,
    JsonBody(NewKey(draft)): JsonBody<NewKey>,
) -> Result<JsonReply<KeyCreated>, ApiError> {
    let (key, record) = service.create_key(draft, &caller).await?;
    RequestTrail::note([key_made(record.clone())]);
    let details = KeyView::from(record);
    let version = version_of(&details.id);
    Ok(JsonReply::with_status(StatusCode::CREATED, KeyCreated { success: true, key, details }).tagged(version))
}

/// Revoke an API key
///
/// It ends at once, on other servers within a second, and with it the tokens that were made from it.
#[utoipa::path(delete, path = "/api/auth/keys/{id}", tag = "auth", operation_id = "revoke_key", params(PathId),
    responses((status = 200, description = "It is over", body = KeyRevoked),
        (status = 404, description = "No such key, or it is revoked already", body = ErrorBody), ReadErrors,
        (status = 503, description = "Authentication is off, or Postgres is away", body = ErrorBody)))]
pub(super) async fn revoke(
    State(service): State<IdentityService>,
    PathId(id): PathId,
) -> Result<JsonReply<KeyRevoked>, ApiError> {
    RequestTrail::note([key_revoked(service.revoke_key(&id).await?)]);
    Ok(JsonReply::ok(KeyRevoked { success: true, message: "The key is revoked" }))
}
