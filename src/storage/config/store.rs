use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::kernel::{Error, ErrorKind, FieldIssue};
use crate::settings::{
    AgentSettings, Catalog, DataSourceSettings, Environment, JsonFile, Keyring, LiveSection, LlmSection, Settings,
    StoredEntry, ToolSettings, VerifiedQuestions,
};
use crate::storage::replace_file;

/// What was configured through the API: one JSON file per section under `DATA_DIR/config`, readable by the server's user
/// only. A write is whole or not at all, and on disk before it is acknowledged.
#[derive(Clone, Debug)]
pub struct ConfigStore {
    folder: PathBuf,
}

impl ConfigStore {
    /// The store under `data_dir`; its folder is created by the first write.
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("config") }
    }

    /// Lays what is stored over the settings; what is wrong with it goes to `issues`.
    pub fn overlay(&self, mut settings: Settings, environment: &Environment, issues: &mut Vec<FieldIssue>) -> Settings {
        settings = self.overlay_section::<LlmSection>(settings, environment, issues);
        settings = self.overlay_section::<Catalog<AgentSettings>>(settings, environment, issues);
        settings = self.overlay_section::<Catalog<DataSourceSettings>>(settings, environment, issues);
        settings = self.overlay_section::<Catalog<ToolSettings>>(settings, environment, issues);
        settings = self.overlay_section::<VerifiedQuestions>(settings, environment, issues);
        settings.with(settings.verified.of_known(&settings.datasources))
    }

    fn overlay_section<S: LiveSection>(
        &self,
        settings: Settings,
        environment: &Environment,
        issues: &mut Vec<FieldIssue>,
    ) -> Settings {
        match JsonFile::read(&self.path(S::NAME)) {
            Ok(None) => {}
            Ok(Some(file)) => match S::of(&settings).with_stored(&file, &settings.storage.keyring, environment) {
                Ok(section) => return settings.with(section),
                Err(wrong) => issues.extend(wrong),
            },
            Err(issue) => issues.push(issue),
        }
        settings
    }

    /// Writes the sections of these settings that have changed, one after the other. Making their texts may take some work, which the
    /// runtime's threads are spared.
    pub(super) async fn write_changes(&self, changes: &[StoredEntry], next: &Settings) -> Result<(), Error> {
        let has_changed = |section: &&str| changes.iter().any(|change| change.section == *section);
        for section in StoredEntry::SECTIONS.into_iter().filter(has_changed) {
            let next = next.clone();
            self.write(section, move || next.file_text(section)).await?;
        }
        Ok(())
    }

    /// Writes those files anew that are not yet encrypted with the current key; gives how many.
    pub(super) async fn renew(&self, settings: &Settings) -> Result<usize, Error> {
        let (store, settings) = (self.clone(), settings.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut renewed = 0;
            for section in StoredEntry::SECTIONS {
                let path = store.path(section);
                let old = match fs::read_to_string(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    read => read?,
                };
                let Some(text) = settings.file_text(section).map_err(io::Error::other)? else { continue };
                if Keyring::keys_in(&old) != Keyring::keys_in(&text) {
                    replace(&path, text)?;
                    sync_folder(&path);
                    renewed += 1;
                }
            }
            Ok(renewed)
        });
        let outcome: io::Result<usize> = work.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        outcome.map_err(|error| {
            Error::internal_public("the files of the configuration can't be encrypted anew", error.to_string())
        })
    }

    /// Replaces the section by the JSON that `make` gives, or removes it.
    async fn write(
        &self,
        section: &str,
        make: impl FnOnce() -> Result<Option<String>, Error> + Send + 'static,
    ) -> Result<(), Error> {
        let path = self.path(section);
        let work = tokio::task::spawn_blocking(move || {
            let text = make().map_err(io::Error::other)?;
            text.map_or_else(|| remove(&path), |text| replace(&path, text))?;
            sync_folder(&path);
            Ok(())
        });
        let outcome = work.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        outcome.map_err(|error| {
            let detail = format!("The change could not be stored, so nothing was changed: {error}");
            Error::new(ErrorKind::Internal, detail)
        })
    }

    fn path(&self, section: &str) -> PathBuf {
        self.folder.join(format!("{section}.json"))
    }
}

fn replace(path: &Path, mut text: String) -> io::Result<()> {
    text.push('\n');
    replace_file(path, text.as_bytes())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Makes a change of the folder survive a power cut. The change itself has happened, so a failure is only logged.
fn sync_folder(path: &Path) {
    let Some(folder) = path.parent() else { return };
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all())
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "a stored change may not survive a power cut");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_section_is_replaced_whole_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let store = ConfigStore::new(folder.path());
        assert!(JsonFile::read(&store.path("llm")).unwrap().is_none());
        store.write("llm", || Ok(Some(r#"{"api_key": "a long first value"}"#.to_owned()))).await.unwrap();
        store.write("llm", || Ok(Some(r#"{"api_key": "b"}"#.to_owned()))).await.unwrap();
        assert_eq!(JsonFile::read(&store.path("llm")).unwrap().unwrap().object()["api_key"], "b");
        let mode = fs::metadata(folder.path().join("config/llm.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        store.write("llm", || Ok(None)).await.unwrap();
        store.write("llm", || Ok(None)).await.unwrap();
        assert!(JsonFile::read(&store.path("llm")).unwrap().is_none());
    }
}
