use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

use super::command_token::COMMAND;
use crate::kernel::{Caller, Clock, Error, RecordedChange, UserId, new_id};
use crate::storage::{AuditFilter, AuditRecord, IdentityStore};

/// Refusals that wait to be written. More are only counted: whoever is refused must not fill the disk, or hold up others.
const MAX_WAITING: usize = 1000;
/// Refusals that are written each second at most.
const MAX_PER_SECOND: usize = 50;

const CHANGED: &str = "changed";
const REFUSED: &str = "refused";
/// What came of a request, as the log calls it.
pub(super) const OUTCOMES: [&str; 2] = [CHANGED, REFUSED];

/// A request, as the audit log tells of it.
#[derive(Clone, Debug, Default)]
pub(super) struct AuditedRequest {
    pub(super) method: String,
    pub(super) path: String,
    /// Its id in the API's document; empty for what stands in none.
    pub(super) operation: String,
    /// Where it came from.
    pub(super) address: Option<String>,
    pub(super) request_id: Option<String>,
}

impl AuditedRequest {
    /// What the log has of it, whoever made it.
    fn record(self, at_ms: i64, outcome: &str, status: u16) -> AuditRecord {
        AuditRecord {
            id: new_id(),
            at_ms,
            actor_user: None,
            actor_key: None,
            actor_role: String::new(),
            address: self.address,
            method: self.method,
            path: self.path,
            operation: self.operation,
            outcome: outcome.to_owned(),
            status: status.into(),
            target: None,
            before: None,
            after: None,
            request_id: self.request_id,
        }
    }
}

/// A change that a sub-command has made, as the audit log tells of it.
pub fn command_record(operation: &str, change: RecordedChange, at_ms: i64) -> AuditRecord {
    let request = AuditedRequest { operation: operation.to_owned(), ..AuditedRequest::default() };
    let actor_user = UserId::of_key(COMMAND).ok().map(|user| user.to_string());
    with_change(AuditRecord { actor_user, ..request.record(at_ms, CHANGED, 0) }, change)
}

fn with_change(record: AuditRecord, change: RecordedChange) -> AuditRecord {
    let text = |value: Option<Value>| value.map(|value| value.to_string());
    let (before, after) = (text(change.before), text(change.after));
    AuditRecord { target: Some(change.target), before, after, ..record }
}

/// Writes down who changed what, and who was refused. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct AuditLog {
    store: IdentityStore,
    clock: Clock,
    refusals: mpsc::Sender<AuditRecord>,
    waiting: Arc<Mutex<mpsc::Receiver<AuditRecord>>>,
    /// Refusals that were only counted.
    unwritten: Arc<AtomicU64>,
}

impl AuditLog {
    pub(super) fn new(store: IdentityStore, clock: Clock) -> Self {
        let (refusals, waiting) = mpsc::channel(MAX_WAITING);
        Self { store, clock, refusals, waiting: Arc::new(Mutex::new(waiting)), unwritten: Arc::default() }
    }

    /// Keeps what a request has changed before it is answered. A change that is in effect is not undone because it can't be kept.
    pub(super) async fn changed(
        &self,
        request: &AuditedRequest,
        by: &Caller,
        changes: Vec<RecordedChange>,
        status: u16,
    ) {
        let record = |change| with_change(self.record(request, Some(by), CHANGED, status), change);
        let records: Vec<_> = changes.into_iter().map(record).collect();
        if let Err(error) = self.store.append_audit(&records).await {
            tracing::error!(%error, operation = request.operation, "a change could not be written into the audit log");
        }
    }

    /// Has it written soon that a request was refused.
    pub(super) fn refused(&self, request: AuditedRequest, by: Option<&Caller>, target: Option<String>, status: u16) {
        let record = AuditRecord { target, ..self.record(&request, by, REFUSED, status) };
        if self.refusals.try_send(record).is_err() {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes down at the end what there was no time for yet.
    pub(super) async fn flush(&self) {
        let (mut waiting, mut records) = (self.waiting.lock().await, Vec::new());
        while let Ok(record) = waiting.try_recv() {
            records.push(record);
        }
        self.write(records).await;
    }

    /// A page of what was kept, newest first.
    pub(super) async fn list(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        self.store.audit(filter, limit).await
    }

    /// Writes refusals as they come. Never ends.
    pub(super) async fn write_refusals(self) {
        let mut waiting = self.waiting.lock().await;
        loop {
            let mut records = Vec::with_capacity(MAX_PER_SECOND);
            if waiting.recv_many(&mut records, MAX_PER_SECOND).await == 0 {
                return;
            }
            self.write(records).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn write(&self, mut records: Vec<AuditRecord>) {
        match self.unwritten.swap(0, Ordering::Relaxed) {
            0 => {}
            count => records.push(self.count_of(count)),
        }
        if records.is_empty() {
            return;
        }
        if let Err(error) = self.store.append_audit(&records).await {
            tracing::warn!(%error, count = records.len(), "refusals could not be written into the audit log");
        }
    }

    /// What stands for refusals that were only counted.
    fn count_of(&self, count: u64) -> AuditRecord {
        let target = Some(format!("{count} more that were not written one by one"));
        AuditRecord { target, ..self.record(&AuditedRequest::default(), None, REFUSED, 0) }
    }

    fn record(&self, request: &AuditedRequest, by: Option<&Caller>, outcome: &str, status: u16) -> AuditRecord {
        let identity = by.and_then(Caller::identity);
        AuditRecord {
            actor_user: identity.map(|identity| identity.user.to_string()),
            actor_key: identity.and_then(|identity| identity.key_id.clone()),
            actor_role: identity.map(|identity| identity.role.as_str().to_owned()).unwrap_or_default(),
            ..request.clone().record(self.clock.now_ms(), outcome, status)
        }
    }
}
