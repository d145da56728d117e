use crate::settings::{AnonymousMemory, Settings};

/// Says at start what an operator may not expect.
pub(super) fn log_exposure(settings: &Settings) {
    let overridden = settings.llm.overridden_variables();
    if !overridden.is_empty() {
        tracing::info!(
            variables = overridden.join(", "),
            "values stored through the API override these variables; DELETE /api/llm/config returns to them"
        );
    }
    if !settings.server.is_local() && !settings.auth.enabled {
        tracing::warn!(address = %settings.server.address, "listening beyond this machine without authentication");
    }
    if !settings.server.is_local()
        && settings.auth.enabled
        && settings.server.tls.is_none()
        && settings.server.trusted_proxies.is_empty()
    {
        tracing::warn!(
            address = %settings.server.address,
            "keys and tokens come in clear over the network unless a proxy encrypts; TLS_CERT and TLS_KEY make it HTTPS"
        );
    }
    // Whoever names other hosts has a proxy before a server on loopback.
    let has_others = !settings.server.is_local() || !settings.server.allowed_hosts.is_empty();
    if has_others
        && !settings.auth.enabled
        && settings.memory.enabled
        && settings.memory.anonymous == AnonymousMemory::Shared
    {
        tracing::warn!("callers without a user_id see what others said: MEMORY_ANONYMOUS is shared");
    }
    // A name that the certificate is not for leads nowhere.
    if settings.server.accepts_any_host() && settings.server.tls.is_none() {
        tracing::warn!(
            "the server answers to any name, so a web page may reach it under one of its own (DNS rebinding); \
             ALLOWED_HOSTS names the right ones"
        );
    }
    if settings.server.cors_origins.iter().any(|origin| origin == "*") {
        tracing::warn!("any web page that somebody opens may use this server in their stead: CORS_ORIGINS is *");
    }
}
