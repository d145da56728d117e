use super::listener::listen;
use super::store::IdentityStore;
use crate::kernel::BackgroundTask;

impl IdentityStore {
    /// Starts what goes on with Postgres where callers are told apart: hears of changed keys, and moves audit records there.
    pub fn start(&self) -> Vec<BackgroundTask> {
        let Some(postgres) = self.postgres.clone() else { return Vec::new() };
        let (identity, to_move, changed) = (self.clone(), postgres.clone(), self.changed.clone());
        vec![
            BackgroundTask::spawn("key_listener", move || listen(postgres.clone(), changed.clone())),
            BackgroundTask::spawn("audit_move", move || identity.clone().run_audit_move(to_move.clone())),
        ]
    }
}
