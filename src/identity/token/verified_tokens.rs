use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use ring::digest::{SHA256, digest};

use super::{KeySet, TokenClaims};

/// Tokens that are kept.
const MAX_TOKENS: usize = 10_000;
/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The SHA-256 of a token.
type TokenDigest = [u8; 32];

/// Tokens that were verified a moment ago: reading one and its signature takes longer than all else that is done for a caller.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens(RwLock<HashMap<TokenDigest, VerifiedToken>>);

#[derive(Debug)]
struct VerifiedToken {
    claims: Arc<TokenClaims>,
    /// The provider's keys that it was verified with; `None` if it is the server's own.
    keys: Option<Arc<KeySet>>,
    /// In seconds since 1970.
    kept_until: i64,
}

/// The digest of a token.
pub(super) fn digest_of(token: &str) -> TokenDigest {
    let mut bytes = TokenDigest::default();
    bytes.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

impl VerifiedTokens {
    /// What a token says that was verified with these keys of the provider, or with the server's own.
    pub(super) fn find(&self, token: &TokenDigest, keys: Option<&Arc<KeySet>>, now: i64) -> Option<Arc<TokenClaims>> {
        let tokens = self.0.read();
        let known = tokens.get(token).filter(|known| now < known.kept_until)?;
        let is_verified = known.keys.as_ref().is_none_or(|used| keys.is_some_and(|keys| Arc::ptr_eq(used, keys)));
        is_verified.then(|| known.claims.clone())
    }

    /// Keeps what a token says, not beyond its own end.
    pub(super) fn insert(&self, token: TokenDigest, claims: Arc<TokenClaims>, keys: Option<Arc<KeySet>>, now: i64) {
        let kept_until = now.saturating_add(KEPT_FOR.as_secs().cast_signed()).min(claims.expires);
        let mut tokens = self.0.write();
        if tokens.len() >= MAX_TOKENS {
            tokens.retain(|_, known| now < known.kept_until);
        }
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        tokens.insert(token, VerifiedToken { claims, keys, kept_until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_a_minute_under_its_keys_and_not_beyond_its_end() {
        let (tokens, keys) = (VerifiedTokens::default(), Arc::new(KeySet::default()));
        let claims = |expires| Arc::new(TokenClaims { expires, ..TokenClaims::default() });
        tokens.insert(digest_of("long"), claims(5000), Some(keys.clone()), 1000);
        tokens.insert(digest_of("short"), claims(1010), Some(keys.clone()), 1000);
        tokens.insert(digest_of("own"), claims(5000), None, 1000);
        let finds = |token: &str, keys: &Arc<KeySet>, now| tokens.find(&digest_of(token), Some(keys), now).is_some();
        assert_eq!(
            [1000, 1009, 1010, 1059, 1060].map(|now| finds("long", &keys, now)),
            [true, true, true, true, false]
        );
        assert_eq!([1009, 1010].map(|now| finds("short", &keys, now)), [true, false]);
        assert!(!finds("other", &keys, 1000));
        let other = Arc::new(KeySet::default());
        assert!(!finds("long", &other, 1000), "the provider has other keys now");
        assert!(tokens.find(&digest_of("long"), None, 1000).is_none(), "there is no provider");
        assert!(finds("own", &other, 1059) && tokens.find(&digest_of("own"), None, 1059).is_some());
    }

    #[test]
    fn not_more_than_ten_thousand_are_kept() {
        let (tokens, keys) = (VerifiedTokens::default(), Arc::new(KeySet::default()));
        let claims = Arc::new(TokenClaims { expires: i64::MAX, ..TokenClaims::default() });
        for nth in 0..MAX_TOKENS + 5 {
            tokens.insert(digest_of(&nth.to_string()), claims.clone(), Some(keys.clone()), 1000);
        }
        assert_eq!(tokens.0.read().len(), 5, "all were of this minute");
        (5..MAX_TOKENS)
            .for_each(|nth| tokens.insert(digest_of(&format!("b{nth}")), claims.clone(), Some(keys.clone()), 1050));
        tokens.insert(digest_of("last"), claims, Some(keys), 1111);
        assert_eq!(tokens.0.read().len(), 1, "those that are over make room");
    }
}
