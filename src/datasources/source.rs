use std::fmt::Display;
use std::sync::Arc;

use serde_json::Value;

use super::{DataError, Outage};
use crate::outbound::CallError;
use crate::settings::{CatalogEntry, DataSourceSettings, Protocol};

/// A data source as clients are handed it.
pub type Source = Arc<CatalogEntry<DataSourceSettings>>;

/// The source as messages name it.
pub(super) fn source_label(source: &Source) -> String {
    format!("DataSource '{}'", source.name)
}

/// An error that reads `DataSource 'x' did this`.
pub(super) fn source_failed(source: &Source, did: impl Display) -> DataError {
    DataError::failed(format!("{} {did}", source_label(source)))
}

/// An error that reads `DataSource 'x': this`.
pub(super) fn source_error(source: &Source, what: impl Display) -> DataError {
    DataError::failed(format!("{}: {what}", source_label(source)))
}

/// An error of a call over HTTP.
pub(super) fn call_error(source: &Source, error: &CallError) -> DataError {
    let timed_out = *error == CallError::Timeout;
    let outage = match error {
        CallError::Timeout | CallError::Interrupted(_) => Outage::Perhaps,
        error if error.is_outage() => Outage::Yes,
        _ => Outage::No,
    };
    DataError::Failed { text: format!("{} {error}", source_label(source)), timed_out, outage }
}

/// The protocol that the source is spoken to in; the error says that there is none.
pub(super) fn protocol_of(source: &Source) -> Result<Protocol, DataError> {
    let unsupported = || source_error(source, format_args!("unsupported type '{}'", source.effective.kind));
    source.effective.protocol().ok_or_else(unsupported)
}

/// A limit that `config` sets, if it is one of those allowed.
pub(super) fn configured_limit(source: &Source, key: &str) -> Option<usize> {
    let configured = source.effective.config.expose().get(key).and_then(Value::as_u64);
    configured.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0)
}
