use std::path::Path;

use crate::kernel::{Clock, Error, ErrorKind};
use crate::settings::{LoadedSettings, SharedSettings};
use crate::storage::{ConfigRepository, Renewal};

/// All that was configured through the API, as JSON.
pub async fn export_config(loaded: LoadedSettings) -> Result<String, Error> {
    with_config(loaded, async |config| config.export()).await
}

/// Makes the configuration what a file says, which `config export` has written; says what that has changed.
pub async fn import_config(loaded: LoadedSettings, file: &Path) -> Result<String, Error> {
    let unreadable = |error| Error::internal_public(format!("can't read {}", file.display()), error);
    let text = tokio::fs::read(file).await.map_err(unreadable)?;
    let (changed, revision) = with_config(loaded, async |config| config.import(&text).await).await?;
    Ok(match changed {
        0 => format!("nothing to change; the last revision is {revision}"),
        count => format!("{count} entries changed, as revision {revision}"),
    })
}

/// Encrypts the credentials of what was configured through the API with the current key, or decrypts them if there is none; says what
/// that has changed. The error names entries that can't be decrypted, once all others are done.
pub async fn rotate_secrets(loaded: LoadedSettings) -> Result<String, Error> {
    let Renewal { entries, changes, left_changes, left } =
        with_config(loaded, async |config| config.rotate().await).await?;
    let said = format!("{entries} entries and {changes} changes of the history were encrypted anew");
    if left.is_empty() && left_changes == 0 {
        return Ok(said);
    }
    let left = left.join("; ");
    let said = format!("{said}; {left_changes} changes of the history can't be decrypted, and these entries: [{left}]");
    Err(Error::new(ErrorKind::Conflict, said))
}

/// Does something with the configuration and closes it.
async fn with_config<T>(
    loaded: LoadedSettings,
    work: impl AsyncFnOnce(&ConfigRepository) -> Result<T, Error>,
) -> Result<T, Error> {
    let config = ConfigRepository::open_beside(SharedSettings::new(loaded), Clock::system()).await?;
    let outcome = work(&config).await;
    config.close().await;
    outcome
}
