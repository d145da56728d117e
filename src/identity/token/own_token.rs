use serde::Serialize;

use super::claim_set::ClaimSet;
use super::rules::{check_times, owned};
use super::{TokenClaims, TokenError, TokenKind};
use crate::kernel::{TokenKey, new_id};
use crate::settings::AuthSettings;

/// What a token of the server's own says.
#[derive(Serialize)]
struct OwnPayload<'a> {
    iss: &'static str,
    aud: &'static str,
    iat: i64,
    exp: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
}

/// Whom a token of the server's own is for.
fn audience(kind: TokenKind) -> &'static str {
    if kind == TokenKind::Ticket { AuthSettings::TICKET_NAME } else { AuthSettings::OWN_NAME }
}

/// Makes a token that is valid from `now` until `expires`.
pub(super) fn issue(claims: &TokenClaims, key: &TokenKey, now: i64, expires: i64) -> String {
    key.token(&OwnPayload {
        iss: AuthSettings::OWN_NAME,
        aud: audience(claims.kind),
        iat: now,
        exp: expires,
        jti: new_id(),
        sub: claims.user.as_deref(),
        role: claims.role.as_deref(),
        scopes: claims.scopes.as_deref(),
        key_id: claims.key_id.as_deref(),
        tenant: claims.tenant.as_deref(),
    })
}

/// Whether a token says that it is the server's own.
pub(super) fn is_own(claims: &ClaimSet) -> bool {
    claims.get("iss").is_some_and(|issuer| issuer == AuthSettings::OWN_NAME)
}

/// What a token says that is the server's own.
pub(super) fn read_own_token(claims: &ClaimSet, settings: &AuthSettings, now: i64) -> Result<TokenClaims, TokenError> {
    let expires = check_times(claims, settings, now)?;
    let kind = match claims.text("aud")? {
        Some(AuthSettings::OWN_NAME) => TokenKind::Bearer,
        Some(AuthSettings::TICKET_NAME) => TokenKind::Ticket,
        _ => return Err(TokenError::claim("aud", "it should be this server")),
    };
    let text = |name| Ok(claims.text(name)?.map(str::to_owned));
    Ok(TokenClaims {
        user: text("sub")?,
        role: text("role")?,
        scopes: claims.texts("scopes", |text| vec![text])?.map(owned),
        key_id: text("key_id")?,
        expires,
        tenant: text("tenant")?,
        kind,
    })
}
