use std::sync::OnceLock;

use crate::kernel::{Redaction, Secret};

/// What masks the secrets of one set of settings; made when it is asked for.
#[derive(Debug)]
pub struct Redactions {
    secrets: Vec<Secret>,
    replies: OnceLock<Redaction>,
    log: OnceLock<Redaction>,
}

impl Redactions {
    pub(super) fn new(secrets: Vec<Secret>) -> Self {
        Self { secrets, replies: OnceLock::new(), log: OnceLock::new() }
    }

    /// For what leaves the server: events, replies, records.
    pub fn replies(&self) -> &Redaction {
        self.replies.get_or_init(|| Redaction::new(self.secrets.iter().cloned()))
    }

    /// For the log, where shorter ones are masked too.
    pub fn log(&self) -> &Redaction {
        self.log.get_or_init(|| Redaction::for_log(self.secrets.iter().cloned()))
    }
}
