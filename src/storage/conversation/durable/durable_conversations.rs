use super::window_trust::WindowTrust;
use crate::storage::conversation::embedded::EmbeddedConversations;
use crate::storage::failover::Failover;
use crate::storage::postgres::Postgres;
use crate::storage::redis::Redis;

/// Conversations with Postgres, and with Redis if there is one. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::storage) struct DurableConversations {
    pub(in crate::storage) embedded: EmbeddedConversations,
    pub(in crate::storage) redis: Option<Failover<Redis>>,
    pub(in crate::storage) postgres: Failover<Postgres>,
    pub(in crate::storage) trust: WindowTrust,
}
