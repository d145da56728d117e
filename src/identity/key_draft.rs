use super::api_key::NewApiKey;
use crate::kernel::{AccessRole, UserId, new_id};
use crate::storage::ApiKeyRecord;

/// Days that a key may be good for at most.
pub const MAX_KEY_DAYS: i64 = 3_650;
const DAY_MS: i64 = 86_400_000;

/// A key that is to be made.
#[derive(Clone, Debug)]
pub struct KeyDraft {
    /// What people call it.
    pub name: String,
    /// What whoever has it may do.
    pub role: AccessRole,
    /// What of that it is good for; `None`: all of it.
    pub scopes: Option<Vec<String>>,
    /// Whom it stands for; `None`: for itself.
    pub owner: Option<UserId>,
    /// The organisation that it belongs to.
    pub tenant: Option<String>,
    /// For how many days it is good; `None`: until it is revoked.
    pub days: Option<u32>,
}

impl KeyDraft {
    /// What is kept of the key that this is the draft of.
    pub fn record(self, key: &NewApiKey, created_ms: i64, created_by: Option<String>) -> ApiKeyRecord {
        let lifetime = |days| i64::from(days).saturating_mul(DAY_MS);
        ApiKeyRecord {
            id: new_id(),
            name: self.name,
            prefix: key.prefix.clone(),
            hash: key.hash,
            role: self.role.as_str().to_owned(),
            scopes: self.scopes,
            owner: self.owner.map(|owner| owner.to_string()),
            tenant: self.tenant,
            created_ms,
            created_by,
            expires_ms: self.days.map(|days| created_ms.saturating_add(lifetime(days))),
            last_used_ms: None,
            revoked_ms: None,
        }
    }
}
