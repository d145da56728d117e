use std::collections::BTreeMap;

use super::MonitoringService;
use crate::settings::{Settings, variable_names};

impl MonitoringService {
    /// Where the effective value of each variable came from: `default`, `file`, `environment` or `api`.
    pub(super) fn sources(&self, settings: &Settings) -> BTreeMap<&'static str, &'static str> {
        let environment = self.settings.environment();
        let plain = |name: &str| if environment.get(name).is_some() { "environment" } else { "default" };
        let mut sources: BTreeMap<_, _> = variable_names().into_iter().map(|name| (name, plain(name))).collect();
        sources.extend(settings.llm.sources());
        sources
    }
}
