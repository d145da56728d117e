use crate::identity::routes::{key_made, key_revoked};
use crate::identity::{KEY_PREFIX, KeyDraft, NewApiKey, command_record, hash};
use crate::kernel::{Clock, Error, ErrorKind, RecordedChange, Secret, quoted};
use crate::settings::StorageSettings;
use crate::storage::{ApiKeyRecord, StandaloneKeys};

/// Heads of the table of keys.
const COLUMNS: [&str; 10] =
    ["id", "prefix", "name", "role", "scopes", "user", "created", "expires", "last use", "revoked"];

/// A key that was made.
#[derive(Debug)]
pub struct CreatedKey {
    /// The key itself, which nobody can be told again.
    pub text: Secret,
    /// What is to be said of it.
    pub summary: String,
}

/// Makes a key.
pub async fn create_key(settings: &StorageSettings, draft: KeyDraft) -> Result<CreatedKey, Error> {
    let new = NewApiKey::generate()?;
    let key = draft.record(&new, Clock::system().now_ms(), None);
    let made = async |keys: &StandaloneKeys| {
        keys.insert(&key).await?;
        Ok(audit(keys, "create_key", key_made(key.clone())).await)
    };
    let unaudited = with_keys(settings, made).await?;
    let summary = format!("made {}; it is shown this once{unaudited}", described(&key));
    Ok(CreatedKey { text: new.text, summary })
}

/// A table of all keys.
pub async fn list_keys(settings: &StorageSettings) -> Result<String, Error> {
    let keys = with_keys(settings, async |keys| keys.keys().await).await?;
    Ok(table(&keys))
}

/// Revokes the key that has this id or prefix, and says so.
pub async fn revoke_key(settings: &StorageSettings, which: &str) -> Result<String, Error> {
    let digest = hash(which);
    let revoking = async |keys: &StandaloneKeys| {
        let all = keys.keys().await?;
        let is_meant = |key: &&ApiKeyRecord| key.id == which || key.prefix == which || key.hash == digest;
        let found: Vec<_> = all.iter().filter(is_meant).collect();
        let [key] = found.as_slice() else { return Err(not_one(which, &found)) };
        if keys.revoke(&key.id, Clock::system().now_ms()).await? {
            let unaudited = audit(keys, "revoke_key", key_revoked((*key).clone())).await;
            return Ok(format!("revoked {}{unaudited}", described(key)));
        }
        Ok(format!("{} was revoked already", described(key)))
    };
    with_keys(settings, revoking).await
}

/// Writes a change into the audit log; gives what is to be said of it if that fails, since the change is in effect.
async fn audit(keys: &StandaloneKeys, operation: &str, change: RecordedChange) -> String {
    let record = command_record(operation, change, Clock::system().now_ms());
    match keys.append_audit(&record).await {
        Ok(()) => String::new(),
        Err(error) => format!("; the audit log could not be written: {error}"),
    }
}

/// Does something with the store of keys and closes it.
async fn with_keys<T>(
    settings: &StorageSettings,
    work: impl AsyncFnOnce(&StandaloneKeys) -> Result<T, Error>,
) -> Result<T, Error> {
    let keys = StandaloneKeys::open(settings).await?;
    let outcome = work(&keys).await;
    keys.close().await;
    outcome
}

fn not_one(which: &str, found: &[&ApiKeyRecord]) -> Error {
    if found.is_empty() {
        // Somebody may have given a whole key, of another server.
        let shown: String = which.chars().take(if which.starts_with(KEY_PREFIX) { 12 } else { usize::MAX }).collect();
        return Error::not_found(format!("no key has the id or the prefix {}", quoted(&shown)));
    }
    let ids: Vec<_> = found.iter().map(|key| key.id.as_str()).collect();
    Error::new(ErrorKind::Conflict, format!("several keys have this prefix; the ids are {}", ids.join(", ")))
}

fn described(key: &ApiKeyRecord) -> String {
    format!(
        "key {} (id {}, prefix {}, role {})",
        quoted(&plain(&key.name)),
        key.id,
        plain(&key.prefix),
        plain(&key.role)
    )
}

/// Columns that are as wide as what stands in them, but for the last one.
fn table(keys: &[ApiKeyRecord]) -> String {
    let rows: Vec<[String; 10]> = std::iter::once(COLUMNS.map(str::to_owned)).chain(keys.iter().map(cells)).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..COLUMNS.len()).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &[String; 10]| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cells(key: &ApiKeyRecord) -> [String; 10] {
    let time = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), in_seconds);
    [
        plain(&key.id),
        plain(&key.prefix),
        plain(&key.name),
        plain(&key.role),
        key.scopes.as_ref().map_or_else(|| "-".to_owned(), |scopes| plain(&scopes.join(","))),
        key.owner.as_deref().map_or_else(|| "-".to_owned(), plain),
        in_seconds(key.created_ms),
        time(key.expires_ms),
        time(key.last_used_ms),
        time(key.revoked_ms),
    ]
}

/// A time without its fractions of seconds.
fn in_seconds(ms: i64) -> String {
    let text = Clock::rfc3339(ms);
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// A text that a terminal takes for a text.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{FFFD}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, last_used_ms: Option<i64>) -> ApiKeyRecord {
        ApiKeyRecord {
            id: "7".to_owned(),
            name: name.to_owned(),
            prefix: "osk_abcdefgh".to_owned(),
            hash: [7; 32],
            role: "user".to_owned(),
            scopes: Some(vec!["chat".to_owned(), "tools".to_owned()]),
            owner: Some("ada".to_owned()),
            tenant: None,
            created_ms: 1_234,
            created_by: None,
            expires_ms: None,
            last_used_ms,
            revoked_ms: None,
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_no_cell_speaks_to_the_terminal() {
        let expected = "\
id  prefix        name       role  scopes      user  created               expires  last use              revoked
7   osk_abcdefgh  ci         user  chat,tools  ada   1970-01-01T00:00:01Z  -        -                     -
7   osk_abcdefgh  é\u{FFFD}[31mred  user  chat,tools  ada   1970-01-01T00:00:01Z  -        1970-01-01T00:00:05Z  -";
        assert_eq!(table(&[key("ci", None), key("é\u{1b}[31mred", Some(5_000))]), expected);
    }

    #[test]
    fn a_whole_key_is_not_quoted() {
        let told = not_one(&format!("osk_{}", "x".repeat(43)), &[]).to_string();
        assert_eq!(told, "no key has the id or the prefix 'osk_xxxxxxxx'");
        let (one, other) = (key("a", None), ApiKeyRecord { id: "8".to_owned(), ..key("b", None) });
        let told = not_one("osk_abcdefgh", &[&one, &other]).to_string();
        assert_eq!(told, "several keys have this prefix; the ids are 7, 8");
    }
}
