use std::borrow::Cow;

use serde_json::{Map, Value};

use super::StoredEntry;
use super::reference;
use super::stored_entry::REVISION;
use super::stored_json::{DEPTH_IN_LIST, find_encrypted, json_text, may_be_encrypted, visit_scalars};
use crate::kernel::{EncryptionKey, Error, Fields, JsonReader, Secret, encrypted_by};

/// Keys that credentials are encrypted with before they are stored. Whatever of an entry is masked when it is shown is encrypted, each
/// value by itself and bound to its place, so that the rest stays readable and none can be put in another's place. References such as
/// `${NAME}` are no secrets. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    /// What encrypts.
    current: Option<EncryptionKey>,
    /// What decrypts: the current one first.
    keys: Vec<EncryptionKey>,
}

impl Keyring {
    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        let current: Option<String> = env.optional("SECRETS_KEY");
        let old: Option<String> = env.optional("SECRETS_KEYS_OLD");
        let current = current.and_then(|text| {
            let key = EncryptionKey::parse(&text);
            if key.is_none() {
                env.reject("SECRETS_KEY", EncryptionKey::EXPECTED);
            }
            key
        });
        let old: Vec<_> = old.iter().flat_map(|text| Self::split(text)).map(EncryptionKey::parse).collect();
        if old.iter().any(Option::is_none) {
            env.reject("SECRETS_KEYS_OLD", format!("{}, several separated by commas", EncryptionKey::EXPECTED));
        }
        let keys = current.iter().cloned().chain(old.into_iter().flatten()).collect();
        Self { current, keys }
    }

    /// The keys in a value of `SECRETS_KEYS_OLD`.
    pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| c == ',' || c.is_whitespace()).filter(|key| !key.is_empty())
    }

    /// Whether there is a key to encrypt with.
    pub fn encrypts(&self) -> bool {
        self.current.is_some()
    }

    /// The text of an entry as it is to be stored, in lines that stand this deep; `shown` is how the entry is shown.
    pub(super) fn encrypted_text(&self, entry: &StoredEntry, shown: &Value, depth: usize) -> Result<String, Error> {
        let text = entry.text.as_ref().map(Secret::expose).unwrap_or_default();
        if !entry.has_credentials() || entry.is_removal() {
            return Ok(text.to_owned());
        }
        let mut value = read(text)?;
        // Nobody could tell it from what a lost key has encrypted.
        if find_encrypted(&value).is_some() {
            return Err(Error::invalid(vec![entry.issue(UNENCRYPTED.to_owned())]));
        }
        let Some(key) = &self.current else { return Ok(text.to_owned()) };
        let mut is_done = true;
        visit_scalars(&mut String::new(), &mut value, &mut |path, scalar| {
            if is_hidden(path, scalar, shown.pointer(path)) {
                match key.encrypt(&scalar.to_string(), &context(&entry.section, &entry.name, path)) {
                    Some(encrypted) => *scalar = encrypted.into(),
                    None => is_done = false,
                }
            }
        });
        let failed = || Error::internal("a credential could not be encrypted", "the system gives no random numbers");
        if is_done { Ok(json_text(&value, depth)) } else { Err(failed()) }
    }

    /// The text of an entry as it was before it was encrypted; `None` if it is not.
    pub(super) fn decrypted_text(&self, entry: &StoredEntry, text: &str) -> Option<String> {
        let mut value = read(text).ok().filter(|_| entry.has_credentials() && may_be_encrypted(text))?;
        self.decrypt(&entry.section, &entry.name, &mut value);
        Some(json_text(&value, 0))
    }

    /// An object of a file as it was before it was encrypted. The error is the entry as it is, if that can't be decrypted.
    pub(super) fn decrypted_object<'a>(
        &self,
        section: &'static str,
        name: &str,
        object: &'a Map<String, Value>,
    ) -> Result<Cow<'a, Map<String, Value>>, StoredEntry> {
        let is_plain = |object: &Map<String, Value>| object.values().all(|value| find_encrypted(value).is_none());
        if is_plain(object) {
            return Ok(Cow::Borrowed(object));
        }
        let mut value = Value::Object(object.clone());
        self.decrypt(section, name, &mut value);
        match value {
            Value::Object(decrypted) if is_plain(&decrypted) => Ok(Cow::Owned(decrypted)),
            _ => {
                let text = format!("{}{}", "  ".repeat(DEPTH_IN_LIST), json_text(object, DEPTH_IN_LIST));
                Err(StoredEntry::new(section, name, 0, &text))
            }
        }
    }

    fn decrypt(&self, section: &str, name: &str, value: &mut Value) {
        visit_scalars(&mut String::new(), value, &mut |path, scalar| {
            let Some(encrypted) = scalar.as_str().filter(|text| encrypted_by(text).is_some()) else { return };
            let context = context(section, name, path);
            let plain = self.keys.iter().find_map(|key| key.decrypt(encrypted, &context));
            if let Some(plain) = plain.and_then(|plain| JsonReader::stored().read(plain.as_bytes()).ok()) {
                *scalar = plain;
            }
        });
    }

    /// Where a JSON text has encrypted ones, and the ids of their keys.
    pub fn keys_in(text: &str) -> Vec<(String, String)> {
        let mut value = read(text).unwrap_or_default();
        let mut found = Vec::new();
        visit_scalars(&mut String::new(), &mut value, &mut |path, scalar| {
            let id = scalar.as_str().and_then(encrypted_by);
            found.extend(id.map(|id| (path.to_owned(), id.to_owned())));
        });
        found
    }
}

/// Whether an entry has something that is not shown and not encrypted, where `shown` is how it is shown.
pub(super) fn has_clear_credentials(entry: &StoredEntry, shown: &Value) -> bool {
    let text = entry.text.as_ref().filter(|_| entry.has_credentials() && !entry.is_removal());
    let (mut value, mut found) = (text.and_then(|text| read(text.expose()).ok()).unwrap_or_default(), false);
    visit_scalars(&mut String::new(), &mut value, &mut |path, scalar| {
        let is_encrypted = scalar.as_str().is_some_and(|text| encrypted_by(text).is_some());
        found |= !is_encrypted && is_hidden(path, scalar, shown.pointer(path));
    });
    found
}

/// What is wrong with a plain text that looks encrypted.
const UNENCRYPTED: &str = "Input should have no text that begins with enc:v1:, which is what encrypted ones begin with";

/// What binds an encrypted text to its place.
fn context(section: &str, name: &str, path: &str) -> String {
    format!("config\0{section}\0{name}\0{path}")
}

/// Whether a value is not shown as it is.
fn is_hidden(path: &str, value: &Value, shown: Option<&Value>) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && reference::variable(text).is_none() && shown != Some(value),
        Value::Number(_) => shown.is_none_or(Value::is_string) && path.strip_prefix('/') != Some(REVISION),
        _ => false,
    }
}

fn read(text: &str) -> Result<Value, Error> {
    JsonReader::stored().read(text.as_bytes()).map_err(|error| Error::internal("an entry can't be encrypted", error))
}

#[cfg(test)]
mod tests;
