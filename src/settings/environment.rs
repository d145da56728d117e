use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::dotenv;
use crate::kernel::{FieldIssue, Fields};

/// Environment variables of the process on top of those in a `.env` file. Names are compared in upper case, as the
/// original did; an empty value counts as not set.
#[derive(Clone, Default)]
pub struct Environment(Arc<Map<String, Value>>);

impl Environment {
    /// The process's environment and, below it, the file `dotenv_file` if there is one.
    pub fn of_process(dotenv_file: &Path) -> Result<Self, FieldIssue> {
        let file = dotenv::read(dotenv_file)?;
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the process's environment")]
        let process = std::env::vars_os();
        let process = process.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Self::from_pairs(file.into_iter().chain(process)))
    }

    /// An environment of these variables; later ones win.
    pub fn from_pairs<N: AsRef<str>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut map = Map::new();
        for (name, value) in pairs {
            let value: String = value.into();
            if !value.is_empty() {
                map.insert(name.as_ref().to_uppercase(), Value::String(value));
            }
        }
        Self(Arc::new(map))
    }

    /// This environment with one more variable.
    pub fn with(&self, name: &str, value: impl Into<String>) -> Self {
        let mut map = Map::clone(&self.0);
        map.insert(name.to_uppercase(), Value::String(value.into()));
        Self(Arc::new(map))
    }

    /// This environment without the variables for which `drop` holds.
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(name, _)| !drop(name));
        Self(Arc::new(kept.map(|(name, value)| (name.clone(), value.clone())).collect()))
    }

    /// The value of a variable, by its name in upper case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A reader of the variables.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.0, Vec::new())
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
