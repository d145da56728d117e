use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kernel::{Clock, FieldIssue};
use crate::settings::TlsSettings;

/// Largest file that is read.
const MAX_BYTES: u64 = 1_000_000;
/// What is spoken after the handshake: as without TLS.
const HTTP: &[u8] = b"http/1.1";
/// Permission of everybody to read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

/// Why a certificate can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {expected}")]
pub(in crate::app) struct TlsFileError {
    /// The variable that names the wrong file.
    variable: &'static str,
    expected: String,
}

impl From<TlsFileError> for FieldIssue {
    fn from(error: TlsFileError) -> Self {
        Self::new("value_error", vec![error.variable.into()], error.expected, Value::Null)
    }
}

/// What the two files hold.
pub(super) struct PemFiles {
    cert: Vec<u8>,
    key: Vec<u8>,
    key_is_exposed: bool,
}

impl PemFiles {
    pub(super) async fn read(settings: &TlsSettings) -> Result<Self, TlsFileError> {
        let (cert, _) = read("TLS_CERT", &settings.cert).await?;
        let (key, mode) = read("TLS_KEY", &settings.key).await?;
        Ok(Self { cert, key, key_is_exposed: mode & READABLE_BY_OTHERS != 0 })
    }

    /// Tells one content from another without holding it.
    pub(super) fn digest(&self) -> [u8; 32] {
        let parts = [Sha256::digest(&self.cert), Sha256::digest(&self.key)];
        Sha256::digest(parts.concat()).into()
    }

    /// TLS 1.2 and 1.3 with this certificate.
    pub(super) fn server_config(&self, settings: &TlsSettings) -> Result<ServerConfig, TlsFileError> {
        let (chain, key) = (self.chain(settings)?, self.private_key(settings)?);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| refusal(settings, &error))?;
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(config)
    }

    /// What an operator may not expect of them.
    pub(super) fn warnings(&self, settings: &TlsSettings, now_ms: i64) -> Vec<String> {
        let TlsSettings { cert, key } = settings;
        let exposed = "can be read by everybody on this machine";
        let exposed = self.key_is_exposed.then(|| format!("TLS_KEY: {} {exposed}", key.display()));
        let validity = self.validity().and_then(|validity| match validity {
            Validity { not_after, .. } if now_ms > not_after => {
                Some(format!("has expired: {}", Clock::rfc3339(not_after)))
            }
            Validity { not_before, .. } if now_ms < not_before => {
                Some(format!("is not valid yet: {}", Clock::rfc3339(not_before)))
            }
            Validity { .. } => None,
        });
        exposed.into_iter().chain(validity.map(|what| format!("TLS_CERT: {} {what}", cert.display()))).collect()
    }

    /// The last moment of the certificate, as the log shows it.
    pub(super) fn valid_until(&self) -> Option<String> {
        self.validity().map(|validity| Clock::rfc3339(validity.not_after))
    }

    fn chain(&self, settings: &TlsSettings) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        let unusable = |what: &str| unusable("TLS_CERT", &settings.cert, what);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(&format!("is no PEM file: {error}")))?;
        if chain.is_empty() { Err(unusable("holds no certificate")) } else { Ok(chain) }
    }

    fn private_key(&self, settings: &TlsSettings) -> Result<PrivateKeyDer<'static>, TlsFileError> {
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            let what = match error {
                PemError::NoItemsFound => "holds no private key, or an encrypted one".to_owned(),
                error => format!("is no PEM file: {error}"),
            };
            unusable("TLS_KEY", &settings.key, &what)
        })
    }

    fn validity(&self) -> Option<Validity> {
        let first = CertificateDer::pem_slice_iter(&self.cert).next()?.ok()?;
        let certificate = ParsedCertificate::try_from(&first).ok()?;
        let algorithms = default_provider().signature_verification_algorithms.all;
        // Whoever verifies says what is wrong with the first and the last moment that there are.
        let verified_at = |seconds: u64| {
            let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
            verify_server_cert_signed_by_trust_anchor(&certificate, &RootCertStore::empty(), &[], at, algorithms)
        };
        let ms = |time: UnixTime| i64::try_from(time.as_secs()).ok().map(|seconds| seconds.saturating_mul(1_000));
        let not_after = match verified_at(u64::MAX) {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                ms(not_after)?
            }
            _ => return None,
        };
        let not_before = match verified_at(0) {
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                ms(not_before)?
            }
            _ => 0,
        };
        Some(Validity { not_before, not_after })
    }
}

/// When a certificate is valid, in milliseconds since 1970.
struct Validity {
    not_before: i64,
    not_after: i64,
}

fn refusal(settings: &TlsSettings, error: &rustls::Error) -> TlsFileError {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            let cert = settings.cert.display();
            unusable("TLS_KEY", &settings.key, &format!("is not the key of the first certificate in {cert}"))
        }
        rustls::Error::InvalidCertificate(_) => {
            unusable("TLS_CERT", &settings.cert, &format!("holds a certificate that can't be used: {error}"))
        }
        _ => unusable("TLS_KEY", &settings.key, &format!("holds a key that can't be used: {error}")),
    }
}

/// A file and its permissions.
async fn read(variable: &'static str, path: &Path) -> Result<(Vec<u8>, u32), TlsFileError> {
    let unreadable = |error: std::io::Error| unusable(variable, path, &format!("can't be read: {error}"));
    let found = tokio::fs::metadata(path).await.map_err(unreadable)?;
    if !found.is_file() {
        return Err(unusable(variable, path, "is no file"));
    }
    if found.len() > MAX_BYTES {
        return Err(unusable(variable, path, &format!("has more than {MAX_BYTES} bytes")));
    }
    let bytes = tokio::fs::read(path).await.map_err(unreadable)?;
    Ok((bytes, found.permissions().mode()))
}

fn unusable(variable: &'static str, path: &Path, what: &str) -> TlsFileError {
    let holds = if variable == "TLS_KEY" { "a private key" } else { "a certificate and those that vouch for it" };
    let expected = format!("Input should be the path of a PEM file with {holds}; {} {what}", path.display());
    TlsFileError { variable, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a self-signed certificate, as openssl makes it: valid for 365 days.
    const CERT: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBfTCCASOgAwIBAgIUdyAnxGveuQSTQTazVd70y1Jg6WcwCgYIKoZIzj0EAwIw\n\
FDESMBAGA1UEAwwJbG9jYWxob3N0MB4XDTI2MTIwMzAwNTMyMFoXDTI3MTIwMzAw\n\
NTMyMFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0D\n\
AQcDQgAEUuBC9oZKbdVyXryOWuPLBQlkC18CtkD8YlV8x+N130rVMOZ8HkkvTUrg\n\
iOG3oWAG+eC0fIfmfwtJouZ1GOnCdKNTMFEwHQYDVR0OBBYEFIyxBVyrlAY3mrzD\n\
AG7KGa3X1SN4MB8GA1UdIwQYMBaAFIyxBVyrlAY3mrzDAG7KGa3X1SN4MA8GA1Ud\n\
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgHHnRZaCvirjzaGTWGHJ8aTQo\n\
MrUTk34GuFMicgPnEyUCIQDLHgYSOaP7xcppLhCOuCASYpuGUIcQrnqNGxEflnNw\n\
jw==\n\
-----END CERTIFICATE-----\n\
";
    const NOT_BEFORE: i64 = 1_796_259_200_000;
    const NOT_AFTER: i64 = NOT_BEFORE + 365 * 86_400_000;

    #[test]
    fn a_certificate_is_warned_of_before_and_after_its_time() {
        let settings = TlsSettings { cert: "a.crt".into(), key: "a.key".into() };
        let mut files = PemFiles { cert: CERT.into(), key: Vec::new(), key_is_exposed: false };
        let expired = format!("TLS_CERT: a.crt has expired: {}", Clock::rfc3339(NOT_AFTER));
        let early = format!("TLS_CERT: a.crt is not valid yet: {}", Clock::rfc3339(NOT_BEFORE));
        assert_eq!(files.valid_until(), Some(Clock::rfc3339(NOT_AFTER)));
        assert_eq!(files.warnings(&settings, NOT_BEFORE - 1), [early]);
        assert!(files.warnings(&settings, NOT_BEFORE).is_empty() && files.warnings(&settings, NOT_AFTER).is_empty());
        assert_eq!(files.warnings(&settings, NOT_AFTER + 1), [expired]);
        files.key_is_exposed = true;
        assert_eq!(files.warnings(&settings, NOT_BEFORE).len(), 1);
    }

    #[test]
    fn either_file_makes_another_state() {
        let files =
            |cert: &str, key: &str| PemFiles { cert: cert.into(), key: key.into(), key_is_exposed: false }.digest();
        assert_eq!(files("a", "b"), files("a", "b"));
        assert!(
            files("a", "b") != files("b", "a")
                && files("ab", "") != files("a", "b")
                && files("a", "b") != files("a", "c")
        );
    }
}
