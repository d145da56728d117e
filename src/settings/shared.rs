use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use super::credentials::credentials;
use super::{Environment, LoadedSettings, Redactions, Settings};
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

    /// Changes the settings: `edit` validates, `persist` stores, then they become live; what `edit` gives beside them is the result.
    /// Writers take turns. If a step fails, the old ones stay. A caller that goes away does not stop a change in the middle.
    pub async fn change<R, E, P, F>(&self, edit: E, persist: P) -> Result<R, Error>
    where
        R: Send + 'static,
        E: FnOnce(&Settings, &Environment) -> Result<(Settings, R), Error> + Send + 'static,
        P: FnOnce(Settings) -> F + Send + 'static,
        F: Future<Output = Result<(), Error>> + Send,
    {
        let this = self.clone();
        let work = tokio::spawn(async move {
            let _turn = this.writers.lock().await;
            let (next, result) = edit(&this.snapshot(), &this.environment)?;
            persist(next.clone()).await?;
            this.live.send_replace(next);
            Ok(result)
        });
        work.await.unwrap_or_else(|stopped| Err(Error::internal("a change of settings did not finish", stopped)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use crate::settings::ServerSettings;

    fn rename(name: &'static str) -> impl FnOnce(&Settings, &Environment) -> Result<(Settings, ()), Error> + Send {
        move |current, _| {
            let server = ServerSettings { app_name: name.to_owned(), ..ServerSettings::clone(&current.server) };
            Ok((Settings { server: Arc::new(server), ..current.clone() }, ()))
        }
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_stored_leaves_the_old_settings_live() {
        let shared = SharedSettings::new(load(Environment::default()).unwrap());
        let disk_full = Error::internal_public("The change could not be stored", std::io::Error::other("disk full"));
        assert!(shared.change(rename("lost"), |_| async { Err(disk_full) }).await.is_err());
        assert_ne!(shared.snapshot().server.app_name, "lost");
        let before = shared.snapshot();
        let mut watching = shared.subscribe();
        shared.change(rename("kept"), |_| async { Ok(()) }).await.unwrap();
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
        let persist = |_| async {
            stored.send(()).unwrap();
            wait.await.unwrap();
            Ok(())
        };
        tokio::select! {
            _ = shared.change(rename("kept"), persist) => panic!("must still wait"),
            _ = seen => {}
        }
        go.send(()).unwrap();
        shared.change(|current, _| Ok((current.clone(), ())), |_| async { Ok(()) }).await.unwrap();
        assert_eq!(shared.snapshot().server.app_name, "kept");
    }
}
