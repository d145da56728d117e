use serde_json::Value;

use super::{Environment, JsonFile, Keyring, StoredEntry};
use crate::kernel::{Error, FieldIssue};

/// A part of the settings that can be changed through the API: its changes are validated, stored, then live.
pub trait Section: Sized + Send + Sync + 'static {
    /// What it is called in the configuration store.
    const NAME: &'static str;

    /// What was changed of it as the text of a JSON object, credentials encrypted if there is a key: for the store only. `None` if
    /// nothing was.
    fn stored_text(&self, keyring: &Keyring) -> Result<Option<String>, Error>;

    /// With what an earlier process stored; the error names the places in the file. What can't be decrypted is left out, and kept.
    fn with_stored(
        &self,
        file: &JsonFile,
        keyring: &Keyring,
        environment: &Environment,
    ) -> Result<Self, Vec<FieldIssue>>;

    /// What is stored of its entries that is not the same `before`; of all of them if there is nothing to compare with.
    fn stored_since(&self, before: Option<&Self>) -> Vec<StoredEntry>;

    /// With these in the place of what was stored under their names. One that can't be read is left out, and is among the issues.
    fn with_entries(&self, entries: &[StoredEntry], environment: &Environment) -> (Self, Vec<FieldIssue>);

    /// An entry that was stored as it is shown, its credentials masked; `None` if it can't be read, or stands for one that was removed.
    fn shown(entry: &StoredEntry) -> Option<Value>;
}
