use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kernel::{Fields, Lenient, LenientResult, read_word};

/// What the server tells about itself.
#[derive(Clone, Debug)]
pub struct MonitoringSettings {
    /// `LOG_FORMAT`
    pub log_format: LogFormat,
    /// `LOG_CONTENT`: whether prompts and answers are logged.
    pub log_content: bool,
    /// `MONITORING_ENABLED`: whether `/metrics` is served.
    pub enabled: bool,
    /// `MONITORING_EXPORT_INTERVAL`: how often the key figures are logged.
    pub export_interval: Duration,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for programs.
    Json,
}

impl Lenient for LogFormat {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(value.as_str(), "Input should be 'text' or 'json'")
    }
}

impl MonitoringSettings {
    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        Self {
            log_format: env.or("LOG_FORMAT", LogFormat::default()),
            log_content: env.or("LOG_CONTENT", false),
            enabled: env.or("MONITORING_ENABLED", true),
            export_interval: env.seconds_or("MONITORING_EXPORT_INTERVAL", 60, 1..=86_400),
        }
    }
}
