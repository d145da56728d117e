//! What both databases are asked for keys, since they have the same columns, and how keys become rows and back.

use std::borrow::Cow;

use serde::Serialize;

use super::record::ApiKeyRecord;
use crate::kernel::JsonReader;
use crate::storage::postgres::replace_nul;

/// All keys, oldest first.
pub(super) const SELECT_KEYS: &str =
    "SELECT id, name, prefix, hash, role, scopes, owner, tenant, created_at, created_by, expires_at,
        last_used_at, revoked_at
    FROM api_key ORDER BY id";

/// A revoked key stays revoked, since when it first was.
pub(super) const REVOKE: &str = "UPDATE api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

type KeyText = Option<String>;
type KeyTime = Option<i64>;
pub(super) type ApiKeyRow =
    (String, String, String, Vec<u8>, String, KeyText, KeyText, KeyText, i64, KeyText, KeyTime, KeyTime, KeyTime);

/// Keys of rows. One that nobody could use keeps nobody from the others.
pub(super) fn keys(rows: Vec<ApiKeyRow>) -> Vec<ApiKeyRecord> {
    rows.into_iter().filter_map(key).collect()
}

fn key(row: ApiKeyRow) -> Option<ApiKeyRecord> {
    let (
        id,
        name,
        prefix,
        hash,
        role,
        scopes,
        owner,
        tenant,
        created_ms,
        created_by,
        expires_ms,
        last_used_ms,
        revoked_ms,
    ) = row;
    let Ok(hash) = <[u8; 32]>::try_from(hash) else {
        tracing::error!(id, "an API key whose digest can't be read is left out");
        return None;
    };
    let scopes = scopes.map(|text| {
        let read = JsonReader::embedded().read(text.as_bytes());
        // What can't be read must not let it do more.
        read.inspect_err(|error| tracing::error!(%error, id, "scopes of an API key can't be read; it is given none"))
            .unwrap_or_default()
    });
    Some(ApiKeyRecord {
        id,
        name,
        prefix,
        hash,
        role,
        scopes,
        owner,
        tenant,
        created_ms,
        created_by,
        expires_ms,
        last_used_ms,
        revoked_ms,
    })
}

/// A key as both databases read it from JSON.
#[derive(Serialize)]
struct ApiKeyColumns<'a> {
    id: &'a str,
    name: Cow<'a, str>,
    prefix: Cow<'a, str>,
    /// In hexadecimal digits.
    hash: String,
    role: Cow<'a, str>,
    scopes: Option<String>,
    owner: Option<Cow<'a, str>>,
    tenant: Option<Cow<'a, str>>,
    created_at: i64,
    created_by: Option<Cow<'a, str>>,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl<'a> ApiKeyColumns<'a> {
    fn of(key: &'a ApiKeyRecord) -> Result<Self, sqlx::Error> {
        let scopes = key.scopes.as_ref().map(serde_json::to_string).transpose();
        let optional = |text: &'a Option<String>| text.as_deref().map(replace_nul);
        Ok(Self {
            id: &key.id,
            name: replace_nul(&key.name),
            prefix: replace_nul(&key.prefix),
            hash: key.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            role: replace_nul(&key.role),
            scopes: scopes.map_err(|error| sqlx::Error::Encode(error.into()))?,
            owner: optional(&key.owner),
            tenant: optional(&key.tenant),
            created_at: key.created_ms,
            created_by: optional(&key.created_by),
            expires_at: key.expires_ms,
            last_used_at: key.last_used_ms,
            revoked_at: key.revoked_ms,
        })
    }
}

/// Keys as a JSON array of rows.
pub(super) fn json(keys: &[ApiKeyRecord]) -> Result<String, sqlx::Error> {
    let rows = keys.iter().map(ApiKeyColumns::of).collect::<Result<Vec<_>, _>>()?;
    serde_json::to_string(&rows).map_err(|error| sqlx::Error::Encode(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hash: Vec<u8>, scopes: Option<&str>) -> ApiKeyRow {
        let text = |text: &str| text.to_owned();
        let scopes = scopes.map(text);
        (text("7"), text("ci"), text("osk_"), hash, text("user"), scopes, None, None, 5, None, None, None, None)
    }

    #[test]
    fn scopes_that_cant_be_read_are_none_and_not_all() {
        let scopes = |text| keys(vec![row(vec![1; 32], text)]).remove(0).scopes;
        assert_eq!(scopes(None), None);
        assert_eq!(scopes(Some(r#"["chat"]"#)), Some(vec!["chat".to_owned()]));
        for unreadable in ["", "null", "{}", "[1]"] {
            assert_eq!(scopes(Some(unreadable)), Some(vec![]), "{unreadable}");
        }
    }

    #[test]
    fn a_key_whose_digest_is_broken_does_not_hide_the_others() {
        let rows = vec![row(vec![1; 31], None), row(vec![2; 32], None)];
        assert_eq!(keys(rows).iter().map(|key| key.hash).collect::<Vec<_>>(), [[2; 32]]);
    }
}
