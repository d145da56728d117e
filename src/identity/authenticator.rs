use super::api_key;
use super::key_ring::KeyRing;
use super::token::{TokenClaims, TokenError, TokenKind, TokenVerifier};
use crate::kernel::{AccessRole, Caller, Clock, Grants, Identity, UserId};
use crate::settings::AuthSettings;

/// Why somebody is not recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unrecognised {
    /// What he came with is not valid; the text is for him.
    Invalid(&'static str),
    /// Nobody can tell now: the identity provider's keys are not to be had.
    Unverifiable,
}

const UNKNOWN_KEY: Unrecognised = Unrecognised::Invalid("The API key is not valid");
const EXPIRED_KEY: Unrecognised = Unrecognised::Invalid("The API key has expired");
const INVALID_TICKET: Unrecognised = Unrecognised::Invalid("The ticket is not valid");
const INVALID_TOKEN: Unrecognised = Unrecognised::Invalid("The token is not valid");

/// Recognises whoever makes a request, by key or by token, without asking a store. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Authenticator {
    pub(super) keys: KeyRing,
    pub(super) tokens: TokenVerifier,
    pub(super) clock: Clock,
}

impl Authenticator {
    /// Whose credential this is: a key or a token.
    pub(super) async fn recognise(&self, credential: &str, settings: &AuthSettings) -> Result<Caller, Unrecognised> {
        match self.of_key(credential) {
            Err(UNKNOWN_KEY) if is_token(credential) => self.of_token(credential, settings).await,
            recognised => recognised,
        }
    }

    /// Whose key this is.
    pub(super) fn of_key(&self, key: &str) -> Result<Caller, Unrecognised> {
        let known = self.keys.by_hash(&api_key::hash(key)).ok_or(UNKNOWN_KEY)?;
        let now = self.clock.now_ms();
        if known.is_expired(now) {
            return Err(EXPIRED_KEY);
        }
        known.touch(now);
        Ok(known.caller.clone())
    }

    async fn of_token(&self, token: &str, settings: &AuthSettings) -> Result<Caller, Unrecognised> {
        let claims = self.tokens.verify(token).await.map_err(|error| unrecognised(&error))?;
        let claims = Some(claims).filter(|claims| claims.kind != TokenKind::Ticket).ok_or(INVALID_TOKEN)?;
        self.caller_of(&claims, settings).ok_or(INVALID_TOKEN)
    }

    /// Whose ticket this is.
    pub(super) async fn of_ticket(&self, ticket: &str, settings: &AuthSettings) -> Result<Caller, Unrecognised> {
        let claims = self.tokens.verify(ticket).await.map_err(|error| unrecognised(&error))?;
        let claims = Some(claims).filter(|claims| claims.kind == TokenKind::Ticket).ok_or(INVALID_TICKET)?;
        self.caller_of(&claims, settings).ok_or(INVALID_TICKET)
    }

    /// A token of the server's own ends with the key that it was made from, and may no more than that.
    fn caller_of_key(&self, id: &str, scopes: Option<&[String]>) -> Option<Caller> {
        let key = self.keys.by_id(id).filter(|key| !key.is_expired(self.clock.now_ms()))?;
        let identity = key.caller.identity()?.clone();
        let grants = match scopes {
            Some(scopes) => identity.grants.within(&Grants::parse(scopes).ok()?),
            None => identity.grants,
        };
        Some(Caller::known(Identity { grants, by_key: false, ..identity }))
    }

    /// Who is meant by claims that were verified; `None` if they name nobody whom the server knows.
    fn caller_of(&self, claims: &TokenClaims, settings: &AuthSettings) -> Option<Caller> {
        let is_own = claims.kind != TokenKind::Provider;
        if is_own && let Some(id) = claims.key_id.as_deref() {
            return self.caller_of_key(id, claims.scopes.as_deref());
        }
        let role = match claims.role.as_deref() {
            Some(role) => AccessRole::parse(role).ok()?,
            None => settings.default_role?,
        };
        // Scopes that an identity provider has for other purposes say nothing about this server.
        let known = |scope: &&String| Grants::parse(&[scope]).is_ok();
        let scopes: Vec<_> = claims.scopes.iter().flatten().filter(known).collect();
        let grants =
            if scopes.is_empty() { role.grants() } else { role.grants().within(&Grants::parse(&scopes).ok()?) };
        let user = UserId::parse_speaker(claims.user.as_deref()?).ok().filter(|user| is_own || !user.is_of_key())?;
        Some(Caller::known(Identity { user, role, grants, key_id: None, by_key: false, tenant: claims.tenant.clone() }))
    }
}

/// A token has three parts between dots.
fn is_token(credential: &str) -> bool {
    credential.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn unrecognised(error: &TokenError) -> Unrecognised {
    tracing::debug!(%error, "a token was refused");
    match error {
        TokenError::NoKeys => Unrecognised::Unverifiable,
        _ => Unrecognised::Invalid(error.client_text()),
    }
}
