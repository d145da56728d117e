use serde_json::Value;

use super::{Environment, JsonFile};
use crate::kernel::FieldIssue;

/// A part of the settings that can be changed through the API: its changes are validated, stored, then live.
pub trait Section: Sized + Send + Sync + 'static {
    /// What it is called in the configuration store.
    const NAME: &'static str;

    /// What was changed of it, with credentials: for the store only. `None` if nothing was.
    fn to_stored(&self) -> Option<Value>;

    /// With what an earlier process stored; the error names the places in the file.
    fn with_stored(&self, file: &JsonFile, environment: &Environment) -> Result<Self, Vec<FieldIssue>>;
}
