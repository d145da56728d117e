use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, RootCertStore};

use crate::kernel::Error;

/// The machine's certificates, and Mozilla's for a container that has none. Read once, because decoding them takes long
/// and every client needs them.
static ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
});

/// Trusts [`ROOTS`].
pub(super) fn config() -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("TLS could not be set up", error))?;
    Ok(config.with_root_certificates(Arc::clone(&ROOTS)).with_no_client_auth())
}
