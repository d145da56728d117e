use crate::kernel::UserId;
use crate::storage::failover::OutboxEntry;

/// What the owners of steps in the outbox of Postgres begin with, which has those of others too.
pub(super) const OWNER_PREFIX: &str = "conversation:";

/// Whose a step is in the outbox of this service.
pub(super) fn outbox_owner(service: &str, user: &UserId) -> String {
    if service == "postgres" { format!("{OWNER_PREFIX}{user}") } else { user.to_string() }
}

/// Whether an operation that waits for Postgres is about a conversation.
pub(in crate::storage) fn is_of_conversation(entry: &OutboxEntry) -> bool {
    entry.owner.starts_with(OWNER_PREFIX)
}
