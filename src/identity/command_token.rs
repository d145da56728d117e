use std::sync::Arc;

use super::token::{TokenClaims, TokenKind, TokenReader};
use crate::kernel::{AccessRole, Clock, Permission, Secret, UserId};
use crate::settings::AuthSettings;

/// As whom sub-commands act.
pub(super) const COMMAND: &str = "command";
/// How long a sub-command's token is good for: it is shown once, at once.
const LIFETIME_SECONDS: i64 = 60;

/// What a sub-command shows to the running server, whose secret it knows: a token for these permissions. `None` if that asks nobody who he is.
pub fn command_token(settings: &Arc<AuthSettings>, clock: &Clock, permissions: &[Permission]) -> Option<Secret> {
    let user = UserId::of_key(COMMAND).ok()?;
    let now = clock.now_ms() / 1000;
    let claims = TokenClaims {
        user: Some(user.to_string()),
        role: Some(AccessRole::Operator.as_str().to_owned()),
        scopes: Some(permissions.iter().map(|permission| permission.as_str().to_owned()).collect()),
        key_id: None,
        expires: now + LIFETIME_SECONDS,
        tenant: None,
        kind: TokenKind::Bearer,
    };
    settings.enabled.then(|| Secret::new(TokenReader::new(Arc::clone(settings)).issue(&claims, now).0))
}
