use std::ptr;
use std::sync::{Arc, OnceLock, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::RwLock;
use percent_encoding::percent_decode_str;

use super::{
    AgentSettings, Catalog, DataSourceSettings, Environment, LlmSection, OutboundSettings, Resource, Settings,
    StorageSettings, ToolSettings,
};
use crate::kernel::{Redaction, Secret, SecretUrl};

/// What masks the secrets of one set of settings; made when it is asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redactions(Arc<RedactionsInner>);

#[derive(Debug)]
struct RedactionsInner {
    secrets: Vec<Secret>,
    replies: OnceLock<Redaction>,
    log: OnceLock<Redaction>,
}

impl Redactions {
    fn new(secrets: Vec<Secret>) -> Self {
        Self(Arc::new(RedactionsInner { secrets, replies: OnceLock::new(), log: OnceLock::new() }))
    }

    /// For what leaves the server: events, replies, records.
    pub fn replies(&self) -> &Redaction {
        self.0.replies.get_or_init(|| Redaction::new(self.0.secrets.iter().cloned()))
    }

    /// For the log, where shorter ones are masked too.
    pub fn log(&self) -> &Redaction {
        self.0.log.get_or_init(|| Redaction::for_log(self.0.secrets.iter().cloned()))
    }
}

/// The [`Redactions`] of the settings that were asked for last: collecting secrets takes a look at every resource.
#[derive(Debug, Default)]
pub(super) struct RedactionCache(RwLock<Option<(RedactionKey, Redactions)>>);

impl RedactionCache {
    pub(super) fn get(&self, settings: &Settings, environment: &Environment) -> Redactions {
        if let Some((origin, redactions)) = &*self.0.read()
            && origin.is(settings)
        {
            return redactions.clone();
        }
        let redactions = Redactions::new(all(settings, environment));
        *self.0.write() = Some((RedactionKey::of(settings), redactions.clone()));
        redactions
    }
}

/// The sections that secrets were taken from. Nothing of settings that are no longer live is kept for them.
#[derive(Debug)]
struct RedactionKey {
    llm: Weak<LlmSection>,
    agents: Weak<Catalog<AgentSettings>>,
    datasources: Weak<Catalog<DataSourceSettings>>,
    tools: Weak<Catalog<ToolSettings>>,
    storage: Weak<StorageSettings>,
}

impl RedactionKey {
    fn of(settings: &Settings) -> Self {
        Self {
            llm: Arc::downgrade(&settings.llm),
            agents: Arc::downgrade(&settings.agents),
            datasources: Arc::downgrade(&settings.datasources),
            tools: Arc::downgrade(&settings.tools),
            storage: Arc::downgrade(&settings.storage),
        }
    }

    fn is(&self, settings: &Settings) -> bool {
        ptr::eq(self.llm.as_ptr(), Arc::as_ptr(&settings.llm))
            && ptr::eq(self.agents.as_ptr(), Arc::as_ptr(&settings.agents))
            && ptr::eq(self.datasources.as_ptr(), Arc::as_ptr(&settings.datasources))
            && ptr::eq(self.tools.as_ptr(), Arc::as_ptr(&settings.tools))
            && ptr::eq(self.storage.as_ptr(), Arc::as_ptr(&settings.storage))
    }
}

/// Every credential that the server knows.
fn all(settings: &Settings, environment: &Environment) -> Vec<Secret> {
    fn of<T: Resource>(settings: &Settings) -> impl Iterator<Item = Secret> {
        let entries = T::catalog(settings).iter();
        entries.flat_map(|entry| entry.effective.secrets()).map(|(_, secret)| secret)
    }
    let stores = [&settings.storage.redis_url, &settings.storage.postgres_dsn].into_iter().flatten();
    of::<AgentSettings>(settings)
        .chain(of::<DataSourceSettings>(settings))
        .chain(of::<ToolSettings>(settings))
        .chain(stores.flat_map(|url| SecretUrl::new(url.expose()).secrets()))
        .chain(settings.llm.effective().api_key.clone())
        .chain(OutboundSettings::PROXIES.iter().filter_map(|name| environment.get(name)).flat_map(of_proxy))
        .chain(environment.get("AUTH_SECRET_KEY").map(Secret::new))
        .collect()
}

/// What is secret in the URL of a proxy, and the login as it is sent.
fn of_proxy(url: &str) -> Vec<Secret> {
    let url = SecretUrl::new(url);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = url.parse().and_then(|url| Some(format!("{}:{}", decoded(url.username()), decoded(url.password()?))));
    url.secrets().into_iter().chain(login.map(|login| Secret::new(BASE64.encode(login)))).collect()
}
