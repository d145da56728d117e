use serde_json::{Map, Value};

use crate::kernel::{Error, FieldIssue};

/// Why a data source gave no data. Its text is for a person, or for a model that mends its query.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DataError {
    /// The query may not be run, or can't be: the caller's to mend. Names the field of the request.
    #[error("{reason}")]
    Refused {
        /// `query` or `parameters`.
        field: &'static str,
        /// What was expected, in a full sentence.
        reason: String,
    },
    /// The source failed, or can't be asked; a full sentence that names it.
    #[error("{text}")]
    Failed {
        /// What happened.
        text: String,
        /// Whether it took too long.
        timed_out: bool,
        /// Whether it seems to be down.
        outage: Outage,
    },
}

/// Whether a source seems to be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// It answers, be it with an objection.
    No,
    /// It may be, or else one query was too much for it.
    Perhaps,
    /// Nothing can be asked of it.
    Yes,
}

impl DataError {
    /// The query is refused.
    pub(super) fn invalid_query(reason: impl Into<String>) -> Self {
        Self::Refused { field: "query", reason: reason.into() }
    }

    /// A parameter is missing or wrong.
    pub(super) fn invalid_parameter(reason: impl Into<String>) -> Self {
        Self::Refused { field: "parameters", reason: reason.into() }
    }

    /// The source objects.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::Failed { text: text.into(), timed_out: false, outage: Outage::No }
    }

    /// The source, or a place in its queue, took too long.
    pub(super) fn timed_out(text: impl Into<String>, outage: Outage) -> Self {
        Self::Failed { text: text.into(), timed_out: true, outage }
    }

    /// The refusal as an error of the request, or else the text of the failure.
    pub(super) fn into_failure_text(self, query: &str, parameters: &Map<String, Value>) -> Result<String, Error> {
        match self {
            Self::Failed { text, .. } => Ok(text),
            Self::Refused { field, reason } => {
                let given = if field == "query" { query.into() } else { Value::Object(parameters.clone()) };
                let issue = FieldIssue::new("value_error", vec!["body".into(), field.into()], reason, given);
                Err(Error::invalid(vec![issue]))
            }
        }
    }
}
