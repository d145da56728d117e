use std::fmt;

/// An API key as it is kept: of the key itself, the digest only. Times are milliseconds since 1970.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    pub id: String,
    pub name: String,
    /// How the key begins, for people.
    pub prefix: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    pub role: String,
    /// What it is good for; `None`: whatever its role may do.
    pub scopes: Option<Vec<String>>,
    /// The user whom it stands for.
    pub owner: Option<String>,
    pub tenant: Option<String>,
    pub created_ms: i64,
    pub created_by: Option<String>,
    /// From when on it is good for nothing.
    pub expires_ms: Option<i64>,
    pub last_used_ms: Option<i64>,
    pub revoked_ms: Option<i64>,
}

impl fmt::Debug for ApiKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.hash;
        f.debug_struct("ApiKeyRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .field("hash", &format_args!("{first:02x}{second:02x}…"))
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("owner", &self.owner)
            .field("tenant", &self.tenant)
            .field("created_ms", &self.created_ms)
            .field("created_by", &self.created_by)
            .field("expires_ms", &self.expires_ms)
            .field("last_used_ms", &self.last_used_ms)
            .field("revoked_ms", &self.revoked_ms)
            .finish()
    }
}

/// Which state of the keys a store has. It is another one whenever a key was added or revoked, by whomever; last uses do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysRevision {
    pub(super) number: i64,
    /// Whether it counts the changes in Postgres, and not those in the embedded database.
    pub(super) in_postgres: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_a_key_does_not_hold_its_digest() {
        let key = ApiKeyRecord {
            id: "7".to_owned(),
            name: "ci".to_owned(),
            prefix: "osk_abcdefgh".to_owned(),
            hash: [0xab; 32],
            role: "user".to_owned(),
            scopes: None,
            owner: None,
            tenant: None,
            created_ms: 5,
            created_by: None,
            expires_ms: None,
            last_used_ms: None,
            revoked_ms: None,
        };
        let shown = format!("{key:?}");
        assert!(shown.contains("abab…") && !shown.contains("ababab") && !shown.contains("171"), "{shown}");
        assert!(shown.contains("osk_abcdefgh") && shown.contains("created_ms: 5"), "{shown}");
    }
}
