use std::path::PathBuf;

use crate::kernel::Fields;

/// The files that the server shows who it is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// `TLS_CERT`: its certificate, and those that vouch for it.
    pub cert: PathBuf,
    /// `TLS_KEY`: the certificate's private key.
    pub key: PathBuf,
}

impl TlsSettings {
    pub(super) fn read(env: &mut Fields<'_>) -> Option<Self> {
        let names = ["TLS_CERT", "TLS_KEY"];
        let [cert, key] = names.map(|name| env.optional::<String>(name));
        for (name, value) in names.into_iter().zip([&cert, &key]) {
            // Not repeated: it may be the key.
            if value.as_ref().is_some_and(|value| value.contains(['\n', '\r']) || value.contains("-----BEGIN")) {
                env.reject(name, "Input should be the path of a PEM file, not what is in it");
            }
        }
        match (cert, key) {
            (Some(cert), Some(key)) => Some(Self { cert: cert.into(), key: key.into() }),
            (None, None) => None,
            (cert, _) => {
                let (missing, given) = if cert.is_some() { ("TLS_KEY", "TLS_CERT") } else { ("TLS_CERT", "TLS_KEY") };
                env.reject(
                    missing,
                    format!("Input should be the path of a PEM file where {given} is set: TLS takes both"),
                );
                None
            }
        }
    }
}
