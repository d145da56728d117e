use super::store::IdentityStore;
use crate::kernel::BackgroundTask;

impl IdentityStore {
    /// Starts what goes on with Postgres where callers are told apart: moves audit records there.
    pub fn start(&self) -> Option<BackgroundTask> {
        let (identity, to_move) = (self.clone(), self.postgres.clone()?);
        Some(BackgroundTask::spawn("audit_move", move || identity.clone().run_audit_move(to_move.clone())))
    }
}
