use serde::Serialize;

use super::{Environment, JsonFile};
use crate::kernel::FieldIssue;

/// A part of the settings that can be changed through the API: its changes are validated, stored, then live.
pub trait Section: Sized + Send + Sync + 'static {
    /// What it is called in the configuration store.
    const NAME: &'static str;

    /// What was changed of it as the text of a JSON object, with credentials: for the store only. `None` if nothing was.
    fn stored_text(&self) -> Option<String>;

    /// With what an earlier process stored; the error names the places in the file.
    fn with_stored(&self, file: &JsonFile, environment: &Environment) -> Result<Self, Vec<FieldIssue>>;
}

/// JSON in lines, as it stands this deep within other JSON.
pub(super) fn json_text(value: &impl Serialize, depth: usize) -> String {
    // A line end in a text is written as `\n`, so all others are between values.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    if depth == 0 { text } else { text.replace('\n', &format!("\n{}", "  ".repeat(depth))) }
}
