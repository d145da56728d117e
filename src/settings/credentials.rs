use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::percent_decode_str;

use super::{Catalog, Environment, Keyring, OutboundSettings, Resource, Settings};
use crate::kernel::{Secret, SecretUrl};

/// Every credential that the server knows.
pub(super) fn credentials(settings: &Settings, environment: &Environment) -> Vec<Secret> {
    let stores = [&settings.storage.redis_url, &settings.storage.postgres_dsn].into_iter().flatten();
    secrets_in(&settings.agents)
        .chain(secrets_in(&settings.datasources))
        .chain(secrets_in(&settings.tools))
        .chain(stores.flat_map(|url| SecretUrl::new(url.expose()).secrets()))
        .chain(settings.llm.effective().api_key.clone())
        .chain(OutboundSettings::PROXIES.iter().filter_map(|name| environment.get(name)).flat_map(of_proxy))
        .chain(
            ["AUTH_SECRET_KEY", "AUTH_BOOTSTRAP_KEY", "SECRETS_KEY"]
                .into_iter()
                .filter_map(|name| environment.get(name))
                .chain(environment.get("SECRETS_KEYS_OLD").into_iter().flat_map(Keyring::split))
                .map(Secret::new),
        )
        .chain(settings.auth.jwks_url.iter().flat_map(SecretUrl::secrets))
        .collect()
}

fn secrets_in<T: Resource>(catalog: &Catalog<T>) -> impl Iterator<Item = Secret> {
    catalog.iter().flat_map(|entry| entry.effective.secrets()).map(|(_, secret)| secret)
}

/// What is secret in the URL of a proxy, and the login as it is sent.
fn of_proxy(url: &str) -> Vec<Secret> {
    let url = SecretUrl::new(url);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = url.parse().and_then(|url| Some(format!("{}:{}", decoded(url.username()), decoded(url.password()?))));
    url.secrets().into_iter().chain(login.map(|login| Secret::new(BASE64.encode(login)))).collect()
}
