use crate::kernel::Error;
use crate::storage::{Execution, ExecutionCursor, ExecutionFilter, ExecutionStore, Step};

/// The records of past and present requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ExecutionService {
    store: ExecutionStore,
}

impl ExecutionService {
    /// A service on this store.
    pub fn new(store: ExecutionStore) -> Self {
        Self { store }
    }

    /// The newest executions first, at most `size` of them, and where the next page begins; None on the last one.
    pub async fn list(
        &self,
        filter: &ExecutionFilter,
        size: usize,
    ) -> Result<(Vec<Execution>, Option<ExecutionCursor>), Error> {
        // One more than asked for tells whether there is another page.
        let mut found = self.store.list(filter, size + 1).await?;
        let has_more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| has_more).map(|(cursor, _)| *cursor);
        Ok((found.into_iter().map(|(_, execution)| execution).collect(), next))
    }

    /// An execution with its steps.
    pub async fn get(&self, id: &str) -> Result<(Execution, Vec<Step>), Error> {
        self.store.get(id).await?.ok_or_else(|| Error::not_found(format!("Execution '{id}' not found")))
    }
}
