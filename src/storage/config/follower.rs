use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::in_postgres::ConfigInPostgres;
use super::postgres;
use crate::kernel::Error;
use crate::settings::SharedSettings;

/// How often Postgres is asked for its revision, should a notice be missed.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

impl ConfigInPostgres {
    /// Keeps the settings as they are in Postgres, whoever changes them. Never ends.
    pub(super) async fn follow(self: Arc<Self>, settings: SharedSettings) {
        let mut heard = None;
        loop {
            let beginnings = self.channel.beginnings();
            match self.follow_once(&settings, heard != Some(beginnings)).await {
                Ok(true) => heard = Some(beginnings),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the configuration in Postgres can't be followed now"),
            }
            tokio::select! {
                () = self.channel.changed() => {}
                () = sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// Looks for changes once: at all there is if notices may have been missed. False if Postgres is away.
    async fn follow_once(self: &Arc<Self>, settings: &SharedSettings, is_full: bool) -> Result<bool, Error> {
        let Some(head) = self.access.ask(postgres::head).await? else { return Ok(false) };
        if !is_full && self.replica.lock().head == head {
            return Ok(true);
        }
        let this = Arc::clone(self);
        settings.exclusively(move |mut turn| async move { this.synchronize(&mut turn, is_full).await }).await
    }
}
