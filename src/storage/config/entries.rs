use crate::kernel::RequestOrigin;
use crate::settings::StoredEntry;

/// Which state of a configuration in Postgres this is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ConfigHead {
    /// Which configuration: each database has its own. Empty for one that is in no database yet.
    pub(super) id: String,
    /// The last revision.
    pub(super) revision: i64,
}

impl ConfigHead {
    /// Whether what has changed since this one is all that there is to know of the other.
    pub(super) fn leads_to(&self, other: &Self) -> bool {
        self.id == other.id && self.revision <= other.revision
    }
}

/// Entries that have changed since a revision, each with that in which it was written.
#[derive(Debug)]
pub(super) struct ConfigNews {
    /// The state that they lead to.
    pub(super) head: ConfigHead,
    pub(super) entries: Vec<(i64, StoredEntry)>,
    /// Whether these are all that there are.
    pub(super) is_full: bool,
}

/// A revision that is to be made.
#[derive(Clone, Debug)]
pub(super) struct NewRevision {
    pub(super) number: i64,
    /// In milliseconds since 1970.
    pub(super) at_ms: i64,
    pub(super) origin: RequestOrigin,
}
