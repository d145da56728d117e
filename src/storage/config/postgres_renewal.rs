use std::collections::HashSet;
use std::time::Duration;

use super::access::away;
use super::history::{Renewal, of_postgres};
use super::in_postgres::{CHANGE_TIMEOUT, ConfigInPostgres};
use super::postgres;
use crate::kernel::{Error, FieldIssue, RequestOrigin};
use crate::settings::{Keyring, Settings, SettingsTurn, StoredEntry};
use crate::storage::postgres::{PostgresConnection, call};

/// How long the history may take to be encrypted anew.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(300);

impl ConfigInPostgres {
    /// Encrypts anew what is not yet encrypted with the current key. Servers learn of the entries as of any other change.
    pub(super) async fn renew(&self, turn: &SettingsTurn) -> Result<Renewal, Error> {
        let keyring = &turn.settings().storage.keyring;
        let renewing = async |connection: PostgresConnection| {
            let mut renewal = Renewal::default();
            let (mut tx, head) = call(CHANGE_TIMEOUT, postgres::begin(&connection)).await?;
            let news = call(CHANGE_TIMEOUT, postgres::news(&mut tx, None)).await?;
            let entries: Vec<_> = news.entries.into_iter().map(|(_, entry)| entry).collect();
            let renewed = renewal.of_entries(&entries, keyring);
            if renewed.is_empty() {
                // There is one connection only.
                call(CHANGE_TIMEOUT, tx.rollback()).await?;
            } else {
                let number = head.revision.saturating_add(1);
                let revision = self.revision(number, RequestOrigin::by("secrets rotate"));
                call(CHANGE_TIMEOUT, postgres::write(tx, &revision, &renewed)).await?;
            }
            let history = async {
                let mut tx = connection.pool.begin().await?;
                of_postgres::renew(&mut tx, keyring, &mut renewal).await?;
                tx.commit().await
            };
            call(RENEWAL_TIMEOUT, history).await?;
            Ok(renewal)
        };
        self.access.ask(renewing).await?.ok_or_else(away)
    }

    /// What is wrong with entries that are left out of these settings.
    pub(super) fn left_out(&self, settings: &Settings) -> Vec<FieldIssue> {
        let used: HashSet<_> = settings.stored_entries().iter().map(StoredEntry::target).collect();
        let entries = self.replica.lock().entries().into_iter().filter(|entry| !used.contains(&entry.target()));
        let entries = entries.map(|entry| entry.decrypted(&settings.storage.keyring));
        entries.map(|entry| entry.undecrypted().unwrap_or_else(|| entry.issue("can't be used".to_owned()))).collect()
    }

    /// How many entries are not yet encrypted with the current key.
    pub(super) fn count_stale(&self, keyring: &Keyring) -> usize {
        let entries = self.replica.lock().entries();
        entries.iter().filter(|entry| matches!(entry.renewed(keyring), Ok(Some(_)))).count()
    }
}
