use super::claim_set::ClaimSet;
use super::{TokenClaims, TokenError, TokenKind};
use crate::kernel::AccessRole;
use crate::settings::AuthSettings;

/// What the tokens of others have to say, and what is made of it.
pub(super) fn read_provider_token(
    claims: &ClaimSet,
    settings: &AuthSettings,
    now: i64,
) -> Result<TokenClaims, TokenError> {
    let expires = check_times(claims, settings, now)?;
    check_issuer(claims, settings.issuer.as_deref())?;
    check_audience(claims, settings.audience.as_deref())?;
    if let Some(missing) = settings.required_claims.iter().find(|name| claims.get(name).is_none()) {
        return Err(TokenError::claim(missing, "AUTH_REQUIRED_CLAIMS names it"));
    }
    let tenant = claims.text("tenant")?.map_or_else(|| claims.text("tid"), |tenant| Ok(Some(tenant)))?;
    Ok(TokenClaims {
        user: claims.text(&settings.user_claim)?.map(str::to_owned),
        role: Some(read_role(claims, settings)?.as_str().to_owned()),
        scopes: claims.texts(&settings.scope_claim, |text| text.split_whitespace().collect())?.map(owned),
        key_id: None,
        expires,
        tenant: tenant.map(str::to_owned),
        kind: TokenKind::Provider,
    })
}

/// Whether it is the time of the token; gives its end.
pub(super) fn check_times(claims: &ClaimSet, settings: &AuthSettings, now: i64) -> Result<i64, TokenError> {
    let leeway = i64::try_from(settings.leeway.as_secs()).unwrap_or(0);
    let expires = claims.time("exp")?.ok_or_else(|| TokenError::claim("exp", "it should be there"))?;
    let is_ahead = |time: i64| time > now.saturating_add(leeway);
    if claims.time("nbf")?.is_some_and(is_ahead) {
        return Err(TokenError::claim("nbf", "it should not be in the future"));
    }
    if claims.time("iat")?.is_some_and(is_ahead) {
        return Err(TokenError::claim("iat", "it should not be in the future"));
    }
    if now >= expires.saturating_add(leeway) { Err(TokenError::Expired) } else { Ok(expires) }
}

pub(super) fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn check_issuer(claims: &ClaimSet, wanted: Option<&str>) -> Result<(), TokenError> {
    match (wanted, claims.text("iss")?) {
        (Some(wanted), given) if given != Some(wanted) => Err(TokenError::claim("iss", "it should be AUTH_ISSUER")),
        _ => Ok(()),
    }
}

/// A token that is for somebody is for nobody else (RFC 7519, section 4.1.3).
fn check_audience(claims: &ClaimSet, wanted: Option<&str>) -> Result<(), TokenError> {
    match (wanted, claims.texts("aud", |text| vec![text])?) {
        (Some(wanted), given) if !given.as_ref().is_some_and(|given| given.contains(&wanted)) => {
            Err(TokenError::claim("aud", "it should be AUTH_AUDIENCE, or have it in its list"))
        }
        (None, Some(_)) => Err(TokenError::claim("aud", "it can be there only if AUTH_AUDIENCE is set")),
        _ => Ok(()),
    }
}

/// The highest of the roles that the token names.
fn read_role(claims: &ClaimSet, settings: &AuthSettings) -> Result<AccessRole, TokenError> {
    let named = claims.texts(&settings.role_claim, |text| vec![text])?.unwrap_or_default();
    let highest = AccessRole::ALL.iter().rev().find(|(_, name)| named.contains(name)).map(|(role, _)| *role);
    highest.or(settings.default_role).ok_or_else(|| {
        TokenError::claim(&settings.role_claim, "it should name a role, or AUTH_DEFAULT_ROLE should be set")
    })
}
