use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::credentials::credentials;
use super::{Environment, LoadedSettings, Redactions, Settings, StorageSettings};
use crate::kernel::{Caller, Error};

/// The one handle on the live settings. A request takes one [`SharedSettings::snapshot`] and works on it to its end.
#[derive(Clone, Debug)]
pub struct SharedSettings {
    live: Arc<watch::Sender<Settings>>,
    writers: Arc<Mutex<()>>,
    environment: Environment,
    #[cfg(test)]
    snapshots: Arc<std::sync::atomic::AtomicUsize>,
}

impl SharedSettings {
    /// Makes loaded settings live.
    pub fn new(loaded: LoadedSettings) -> Self {
        Self {
            live: Arc::new(watch::Sender::new(loaded.settings)),
            writers: Arc::default(),
            environment: loaded.environment,
            #[cfg(test)]
            snapshots: Arc::default(),
        }
    }

    /// The settings as they are now; later changes don't show in it.
    pub fn snapshot(&self) -> Settings {
        #[cfg(test)]
        self.snapshots.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.live.borrow().clone()
    }

    /// These settings with only those resources that `caller` may use. What masks secrets masks all of them nevertheless.
    pub fn usable_by(&self, settings: Settings, caller: &Caller) -> Settings {
        self.redactions(&settings);
        settings.usable_by(caller)
    }

    /// Where state lives, which nothing changes.
    pub fn storage(&self) -> Arc<StorageSettings> {
        self.live.borrow().storage.clone()
    }

    /// The settings as they are at any time, and word of each change.
    pub fn subscribe(&self) -> watch::Receiver<Settings> {
        self.live.subscribe()
    }

    /// How many snapshots were taken.
    #[cfg(test)]
    pub fn snapshots_taken(&self) -> usize {
        self.snapshots.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// The variables that `${NAME}` refers to.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What masks the secrets of these settings, live or not any more.
    pub fn redactions(&self, of: &Settings) -> Arc<Redactions> {
        of.redactions.get_or_init(|| Arc::new(Redactions::new(credentials(of, &self.environment)))).clone()
    }

    /// What masks the secrets of the settings as they are now.
    pub fn live_redactions(&self) -> Arc<Redactions> {
        self.redactions(&self.live.borrow())
    }

    /// Does work that changes the settings: whoever wants to takes turns. A caller that goes away does not stop it in the middle.
    pub async fn exclusively<R, F>(&self, work: impl FnOnce(SettingsTurn) -> F + Send + 'static) -> Result<R, Error>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Error>> + Send,
    {
        let shared = self.clone();
        let work = tokio::spawn(async move {
            let guard = Arc::clone(&shared.writers).lock_owned().await;
            let settings = shared.snapshot();
            work(SettingsTurn { shared, settings, _guard: guard }).await
        });
        work.await.unwrap_or_else(|stopped| Err(Error::internal("a change of settings did not finish", stopped)))
    }
}

/// The turn of whoever changes the settings; nobody else does before it ends.
#[derive(Debug)]
pub struct SettingsTurn {
    shared: SharedSettings,
    settings: Settings,
    _guard: OwnedMutexGuard<()>,
}

impl SettingsTurn {
    /// The settings as they are now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The variables that `${NAME}` refers to.
    pub fn environment(&self) -> &Environment {
        &self.shared.environment
    }

    /// Makes these the live settings. They have to be stored already, so that nothing is in effect that a restart would lose.
    pub fn publish(&mut self, next: Settings) {
        self.settings = next.clone();
        self.shared.live.send_replace(next);
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use crate::settings::ServerSettings;

    fn renamed(current: &Settings, name: &str) -> Settings {
        let server = ServerSettings { app_name: name.to_owned(), ..ServerSettings::clone(&current.server) };
        Settings { server: Arc::new(server), ..current.clone() }
    }

    #[tokio::test]
    async fn work_that_fails_leaves_the_old_settings_live() {
        let shared = SharedSettings::new(load(Environment::default()).unwrap());
        let disk_full = Error::internal_public("The change could not be stored", std::io::Error::other("disk full"));
        assert!(shared.exclusively(|_| async { Err::<(), _>(disk_full) }).await.is_err());
        let before = shared.snapshot();
        let mut watching = shared.subscribe();
        let rename = |mut turn: SettingsTurn| async move {
            turn.publish(renamed(turn.settings(), "kept"));
            assert_eq!(turn.settings().server.app_name, "kept");
            Ok(())
        };
        shared.exclusively(rename).await.unwrap();
        assert_eq!(shared.snapshot().server.app_name, "kept");
        watching.changed().await.unwrap();
        assert_eq!(watching.borrow().server.app_name, "kept");
        assert_ne!(before.server.app_name, "kept");
    }

    #[tokio::test]
    async fn a_caller_that_leaves_does_not_tear_a_change_apart() {
        let shared = SharedSettings::new(load(Environment::default()).unwrap());
        let (stored, seen) = tokio::sync::oneshot::channel();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let work = |mut turn: SettingsTurn| async move {
            stored.send(()).unwrap();
            wait.await.unwrap();
            turn.publish(renamed(turn.settings(), "kept"));
            Ok(())
        };
        tokio::select! {
            _ = shared.exclusively(work) => panic!("must still wait"),
            _ = seen => {}
        }
        go.send(()).unwrap();
        shared.exclusively(|_| async { Ok(()) }).await.unwrap();
        assert_eq!(shared.snapshot().server.app_name, "kept");
    }
}
