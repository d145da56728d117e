use serde::Serialize;
use serde_json::Value;

use super::{Environment, JsonFile, StoredEntry};
use crate::kernel::FieldIssue;

/// A part of the settings that can be changed through the API: its changes are validated, stored, then live.
pub trait Section: Sized + Send + Sync + 'static {
    /// What it is called in the configuration store.
    const NAME: &'static str;

    /// What was changed of it as the text of a JSON object, with credentials: for the store only. `None` if nothing was.
    fn stored_text(&self) -> Option<String>;

    /// With what an earlier process stored; the error names the places in the file.
    fn with_stored(&self, file: &JsonFile, environment: &Environment) -> Result<Self, Vec<FieldIssue>>;

    /// What is stored of its entries that is not the same `before`; of all of them if there is nothing to compare with.
    fn stored_since(&self, before: Option<&Self>) -> Vec<StoredEntry>;

    /// With these in the place of what was stored under their names. One that can't be read is left out, and is among the issues.
    fn with_entries(&self, entries: &[StoredEntry], environment: &Environment) -> (Self, Vec<FieldIssue>);

    /// An entry that was stored as it is shown, its credentials masked; `None` if it can't be read, or stands for one that was removed.
    fn shown(entry: &StoredEntry) -> Option<Value>;
}

/// JSON in lines, as it stands this deep within other JSON.
pub(super) fn json_text(value: &impl Serialize, depth: usize) -> String {
    // A line end in a text is written as `\n`, so all others are between values.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    if depth == 0 { text } else { text.replace('\n', &format!("\n{}", "  ".repeat(depth))) }
}
