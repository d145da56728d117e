use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::dotenv;
use crate::kernel::{FieldIssue, Fields};

/// Environment variables of the process on top of those in a `.env` file. Names are compared in upper case, as the
/// original did; an empty value counts as not set. Two that hold the same variables are equal.
#[derive(Clone, Default)]
pub struct Environment {
    variables: Arc<Map<String, Value>>,
    skipped: Arc<[FieldIssue]>,
}

impl Environment {
    /// The process's environment and, below it, the file `dotenv_file` if there is one.
    pub fn of_process(dotenv_file: &Path) -> Result<Self, FieldIssue> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the process's environment")]
        let process = std::env::vars_os();
        let process = process.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::layered(dotenv_file, process.collect())
    }

    /// These variables of a process and, below them, those of a `.env` file.
    pub fn layered(dotenv_file: &Path, process: BTreeMap<String, String>) -> Result<Self, FieldIssue> {
        let file = dotenv::read(dotenv_file, |name| process.get(name).map(String::as_str))?;
        // Of names that differ in case only the last one counts, even if it has no value.
        let variables: BTreeMap<_, _> =
            file.variables.into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect();
        let variables = variables.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Ok(Self { skipped: file.skipped.into(), ..Self::from_pairs(variables.chain(process)) })
    }

    /// The lines of the `.env` file that could not be read.
    pub fn skipped(&self) -> &[FieldIssue] {
        &self.skipped
    }

    /// An issue of a variable, with what can't be seen in a file that looks right: quotes or blanks that are part of the value, as
    /// `docker run --env-file` takes them.
    pub fn explained(&self, mut issue: FieldIssue) -> FieldIssue {
        let value = self.get(&issue.path()).unwrap_or_default();
        let is_between = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
        if is_between('"') || is_between('\'') {
            issue.msg.push_str(" (the quotes around it are part of the value, and have to go)");
        } else if value.trim() != value {
            issue.msg.push_str(" (the blanks around it are part of the value, and have to go)");
        }
        issue
    }

    /// An environment of these variables; later ones win.
    pub fn from_pairs<N: AsRef<str>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.as_ref().to_uppercase(), Value::String(value.into())));
        let variables = pairs.filter(|(_, value)| value != "").collect();
        Self { variables: Arc::new(variables), ..Self::default() }
    }

    /// This environment with one more variable.
    pub fn with(&self, name: &str, value: impl Into<String>) -> Self {
        let mut variables = Map::clone(&self.variables);
        variables.insert(name.to_uppercase(), Value::String(value.into()));
        Self { variables: Arc::new(variables), ..self.clone() }
    }

    /// This environment without the variables for which `drop` holds.
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        let kept = self.variables.iter().filter(|(name, _)| !drop(name));
        let kept = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { variables: Arc::new(kept), ..self.clone() }
    }

    /// The value of a variable, by its name in upper case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.as_str()
    }

    /// A reader of the variables.
    pub fn fields(&self) -> Fields<'_> {
        Fields::of_variables(&self.variables)
    }
}

impl PartialEq for Environment {
    fn eq(&self, other: &Self) -> bool {
        self.variables == other.variables
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
