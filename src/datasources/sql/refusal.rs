/// Why a query is refused: a full sentence, fit for the caller and for a model that repairs its query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(String);

impl Refusal {
    /// A refusal for this reason.
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// The refusal of anything but one query.
    pub(super) fn not_one_query() -> Self {
        Self::new(
            "Only one statement is allowed, and it must be a query (SELECT, VALUES, WITH ... SELECT, or EXPLAIN of one).",
        )
    }

    /// The refusal of a clause.
    pub(super) fn clause(clause: &str) -> Self {
        Self::new(format!("{clause} is not allowed in a query."))
    }

    /// The refusal of a function.
    pub(super) fn function(name: &str) -> Self {
        Self::new(format!("The function {name} is not allowed in a query."))
    }

    /// The refusal of a relation.
    pub(super) fn relation(name: &str) -> Self {
        Self::new(format!("The relation {name} is not allowed in a query."))
    }
}
