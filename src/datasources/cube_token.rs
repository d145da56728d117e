//! What a Cube is shown of who asks: the token that the source has, or one that the server signs for the caller.

use serde_json::{Map, Value};

use super::source::Source;
use crate::kernel::{Caller, Deadline, Secret, TokenKey};

/// How much longer a token is good for than the request may take: clocks differ.
const MARGIN_SECONDS: i64 = 60;

/// What is sent as `Authorization` at `now` (milliseconds since 1970) for a request that ends by the deadline. Cube takes the bare token;
/// one that was stored with `Bearer` goes as it is, which Cube takes too.
pub(super) fn authorization(source: &Source, caller: &Caller, now: i64, deadline: Deadline) -> Option<Secret> {
    match source.effective.api_secret() {
        Some(secret) => Some(signed(source, secret, caller, now / 1000, deadline)),
        None => source.effective.auth_token.as_ref().map(|token| Secret::new(token.expose().trim())),
    }
}

/// A token whose whole payload is the security context: the claims of `config.session`, all of them, and when it ends.
fn signed(source: &Source, secret: &str, caller: &Caller, now: i64, deadline: Deadline) -> Secret {
    let variables = source.effective.session();
    let mut claims: Map<String, Value> =
        variables.iter().map(|variable| (variable.name.clone(), variable.fact.of(caller).into())).collect();
    let seconds = i64::try_from(deadline.remaining().as_secs()).unwrap_or_default();
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), now.saturating_add(seconds).saturating_add(MARGIN_SECONDS).into());
    Secret::new(TokenKey::hs256(secret.as_bytes()).token(&claims))
}
