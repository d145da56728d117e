use crate::kernel::Error;
use crate::settings::StorageSettings;
use crate::storage::Stores;

/// Brings the databases' schemas up to date without serving; says what was done.
pub async fn migrate(settings: &StorageSettings) -> Result<Vec<String>, Error> {
    Stores::migrate(settings).await
}
