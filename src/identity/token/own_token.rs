use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::claim_set::ClaimSet;
use super::rules::{check_times, owned};
use super::signature::SecretKey;
use super::{TokenClaims, TokenError};
use crate::kernel::new_id;
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

/// Makes a token that is valid from `now` until `expires`.
pub(super) fn issue(claims: &TokenClaims, key: &SecretKey, settings: &AuthSettings, now: i64, expires: i64) -> String {
    let payload = OwnPayload {
        iss: AuthSettings::OWN_NAME,
        aud: AuthSettings::OWN_NAME,
        iat: now,
        exp: expires,
        jti: new_id(),
        sub: claims.user.as_deref(),
        role: claims.role.as_deref(),
        scopes: claims.scopes.as_deref(),
        key_id: claims.key_id.as_deref(),
        tenant: claims.tenant.as_deref(),
    };
    let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, settings.algorithm.of_own_tokens().name());
    let payload = serde_json::to_vec(&payload).unwrap_or_default();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Whether a token says that it is the server's own.
pub(super) fn is_own(claims: &ClaimSet) -> bool {
    claims.get("iss").is_some_and(|issuer| issuer == AuthSettings::OWN_NAME)
}

/// What a token says that is the server's own.
pub(super) fn read_own_token(claims: &ClaimSet, settings: &AuthSettings, now: i64) -> Result<TokenClaims, TokenError> {
    let expires = check_times(claims, settings, now)?;
    if claims.text("aud")? != Some(AuthSettings::OWN_NAME) {
        return Err(TokenError::claim("aud", "it should be this server"));
    }
    let text = |name| Ok(claims.text(name)?.map(str::to_owned));
    Ok(TokenClaims {
        user: text("sub")?,
        role: text("role")?,
        scopes: claims.texts("scopes", |text| vec![text])?.map(owned),
        key_id: text("key_id")?,
        expires,
        tenant: text("tenant")?,
        own: true,
    })
}
