use std::sync::Arc;

use uuid::Uuid;

use super::claim_set::ClaimSet;
use super::compact::CompactToken;
use super::own_token::{is_own, issue, read_own_token};
use super::rules::read_provider_token;
use super::signature::secret_key;
use super::{KeySet, TokenClaims, TokenError};
use crate::kernel::{Secret, TokenKey};
use crate::settings::AuthSettings;

/// Reads and makes tokens by the settings: no clock, no network. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenReader {
    settings: Arc<AuthSettings>,
    key: TokenKey,
}

impl TokenReader {
    /// A reader for these settings. If they have no secret, it has one that nobody knows.
    pub fn new(settings: Arc<AuthSettings>) -> Self {
        let unknown = || Secret::new(format!("{}{}", Uuid::new_v4(), Uuid::new_v4()));
        let secret = settings.secret_key.clone().unwrap_or_else(unknown);
        let key = secret_key(settings.algorithm.of_own_tokens(), secret.expose().as_bytes());
        Self { settings, key }
    }

    /// What a token says that is valid at `now` (seconds since 1970), by the server's own key or by one of these.
    pub fn read(&self, token: &str, keys: &KeySet, now: i64) -> Result<TokenClaims, TokenError> {
        self.read_parsed(&CompactToken::parse(token)?, keys, now)
    }

    /// A token that says this, and when it ends: after the time that the settings say, but not after `claims.expires`.
    pub fn issue(&self, claims: &TokenClaims, now: i64) -> (String, i64) {
        let lifetime = i64::try_from(self.settings.token_lifetime.as_secs()).unwrap_or(i64::MAX);
        let expires = now.saturating_add(lifetime).min(claims.expires);
        (issue(claims, &self.key, now, expires), expires)
    }

    /// Whether a key of the identity provider would have signed it.
    pub(super) fn is_of_provider(&self, token: &CompactToken<'_>) -> bool {
        let algorithm = self.settings.algorithm;
        !algorithm.is_symmetric() && token.algorithm == algorithm.name()
    }

    /// Each algorithm has its own key, so that no token can choose what it is verified with.
    pub(super) fn read_parsed(
        &self,
        token: &CompactToken<'_>,
        keys: &KeySet,
        now: i64,
    ) -> Result<TokenClaims, TokenError> {
        let settings = &*self.settings;
        let is_of_provider = self.is_of_provider(token);
        let is_right = if is_of_provider {
            keys.find(token.key_id.as_deref())?.verify(token.signed, &token.signature)
        } else if token.algorithm == settings.algorithm.of_own_tokens().name() {
            self.key.verify(token.signed, &token.signature)
        } else {
            return Err(TokenError::Algorithm);
        };
        if !is_right {
            return Err(TokenError::Signature);
        }
        let claims = ClaimSet(token.unverified_payload()?);
        match is_own(&claims) {
            true if !is_of_provider => read_own_token(&claims, settings, now),
            false if !is_of_provider && !settings.algorithm.is_symmetric() => {
                Err(TokenError::claim("iss", "it should be this server, whose algorithm the token has"))
            }
            _ => read_provider_token(&claims, settings, now),
        }
    }
}
