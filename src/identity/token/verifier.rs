use std::sync::Arc;

use super::compact::CompactToken;
use super::provider_keys::ProviderKeys;
use super::verified_tokens::{VerifiedTokens, digest_of};
use super::{KeySet, TokenClaims, TokenError, TokenReader};
use crate::kernel::Clock;
use crate::outbound::HttpClient;
use crate::settings::AuthSettings;

/// Says what the tokens of callers are worth. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenVerifier {
    reader: TokenReader,
    provider: Option<ProviderKeys>,
    verified: Arc<VerifiedTokens>,
    clock: Clock,
}

impl TokenVerifier {
    /// A verifier by these settings. While authentication is off it accepts nobody's tokens but those that it makes itself.
    pub fn new(settings: Arc<AuthSettings>, http: HttpClient, clock: Clock) -> Self {
        let url = settings.jwks_url.clone().filter(|_| settings.enabled && !settings.algorithm.is_symmetric());
        let provider = url.map(|url| ProviderKeys::new(url, settings.algorithm, http, clock.clone()));
        Self { reader: TokenReader::new(settings), provider, verified: Arc::default(), clock }
    }

    /// What a token says, if it is valid now.
    pub async fn verify(&self, token: &str) -> Result<Arc<TokenClaims>, TokenError> {
        let digest = digest_of(token);
        if let Some(known) = self.verified.find(&digest, None, self.now()) {
            return Ok(known);
        }
        let parsed = CompactToken::parse(token)?;
        let (claims, keys) = match &self.provider {
            Some(provider) if self.reader.is_of_provider(&parsed) => {
                let keys = provider.current().await?;
                if let Some(known) = self.verified.find(&digest, Some(&keys), self.now()) {
                    return Ok(known);
                }
                let (claims, keys) = self.read_of_provider(provider, &parsed, keys).await?;
                (claims, Some(keys))
            }
            _ => (self.reader.read_parsed(&parsed, &KeySet::default(), self.now())?, None),
        };
        let claims = Arc::new(claims);
        self.verified.insert(digest, claims.clone(), keys, self.now());
        Ok(claims)
    }

    /// A token of the server's own that says this, and when it ends (seconds since 1970): after `AUTH_TOKEN_EXPIRE_MINUTES`, but not
    /// after `claims.expires`.
    pub fn issue(&self, claims: &TokenClaims) -> (String, i64) {
        self.reader.issue(claims, self.now())
    }

    /// What a token of the provider says, and with which keys it was verified.
    async fn read_of_provider(
        &self,
        provider: &ProviderKeys,
        parsed: &CompactToken<'_>,
        keys: Arc<KeySet>,
    ) -> Result<(TokenClaims, Arc<KeySet>), TokenError> {
        match self.reader.read_parsed(parsed, &keys, self.now()) {
            Err(TokenError::UnknownKey) => {
                let keys = provider.other_than(&keys).await.ok_or(TokenError::UnknownKey)?;
                Ok((self.reader.read_parsed(parsed, &keys, self.now())?, keys))
            }
            read => Ok((read?, keys)),
        }
    }

    fn now(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }
}
