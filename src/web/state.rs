use crate::settings::SharedSettings;
use crate::storage::Stores;

/// What every module shares. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The live settings.
    pub settings: SharedSettings,
    /// The stores.
    pub stores: Stores,
}
