use super::sqlite::Database;
use crate::kernel::Error;

/// The fact that holds it.
const LAST_EVALUATION: &str = "last_evaluation";

/// Keeps what the last evaluation of routing came to, in the embedded database.
#[derive(Clone, Debug)]
pub struct EvaluationStore {
    pub(super) database: Database,
}

impl EvaluationStore {
    /// The last evaluation, as it was kept.
    pub async fn last(&self) -> Result<Option<String>, Error> {
        self.database.meta(LAST_EVALUATION).await
    }

    /// Keeps an evaluation in the place of the one before.
    pub async fn keep(&self, evaluation: &str) -> Result<(), Error> {
        self.database.set_meta(LAST_EVALUATION, Some(evaluation)).await
    }
}
