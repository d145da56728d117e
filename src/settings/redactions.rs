use std::sync::{Arc, OnceLock};

use crate::kernel::{Redaction, Secret};

/// What masks the secrets of one set of settings; made when it is asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redactions(Arc<RedactionsInner>);

#[derive(Debug)]
struct RedactionsInner {
    secrets: Vec<Secret>,
    replies: OnceLock<Redaction>,
    log: OnceLock<Redaction>,
}

impl Redactions {
    pub(super) fn new(secrets: Vec<Secret>) -> Self {
        Self(Arc::new(RedactionsInner { secrets, replies: OnceLock::new(), log: OnceLock::new() }))
    }

    /// For what leaves the server: events, replies, records.
    pub fn replies(&self) -> &Redaction {
        self.0.replies.get_or_init(|| Redaction::new(self.0.secrets.iter().cloned()))
    }

    /// For the log, where shorter ones are masked too.
    pub fn log(&self) -> &Redaction {
        self.0.log.get_or_init(|| Redaction::for_log(self.0.secrets.iter().cloned()))
    }
}
