//! Certificates of a private authority, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use super::programs_are_required;

/// A certificate authority, in a folder of its own.
pub struct Authority(TempDir);

/// The files of one certificate.
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

impl Authority {
    /// `None` if there is no openssl, and the tests may do without.
    pub fn new() -> Option<Self> {
        let authority = Self(TempDir::new().unwrap());
        let new =
            ["req", "-x509", "-days", "2", "-subj", "/CN=A private authority", "-keyout", "ca.key", "-out", "ca.crt"];
        if !authority.openssl(&[&new[..], &NEW_KEY].concat()) {
            assert!(!programs_are_required(), "no openssl on PATH; install the package openssl");
            return None;
        }
        Some(authority)
    }

    /// A certificate for this machine that is valid for two days, and its key.
    pub fn issue(&self, name: &str) -> Certificate {
        self.issue_for(name, 2)
    }

    /// One that is valid for so many days; with none, it has expired.
    pub fn issue_for(&self, name: &str, days: u32) -> Certificate {
        let [key, request, cert, extensions] = ["key", "csr", "crt", "ext"].map(|end| format!("{name}.{end}"));
        let subject = format!("/CN={name}");
        let asked = ["req", "-new", "-subj", &subject, "-keyout", &key, "-out", &request];
        assert!(self.openssl(&[&asked[..], &NEW_KEY].concat()));
        let text = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:FALSE\n";
        std::fs::write(self.path(&extensions), text).unwrap();
        let days = days.to_string();
        let signed = ["x509", "-req", "-in", &request, "-out", &cert, "-days", &days, "-extfile", &extensions];
        assert!(self.openssl(&[&signed[..], &["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]].concat()));
        Certificate { cert: self.path(&cert), key: self.path(&key) }
    }

    /// The file with its own certificate.
    pub fn cert(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// What trusts it, and nobody else.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.cert()).unwrap()).unwrap();
        roots
    }

    /// Whether there is such a program; what it is told to do must succeed.
    pub fn openssl(&self, arguments: &[&str]) -> bool {
        let Ok(output) = Command::new("openssl").args(arguments).current_dir(self.0.path()).output() else {
            return false;
        };
        assert!(output.status.success(), "{output:?}");
        true
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Certificate {
    /// The variables that have a server use it.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [("TLS_CERT", text(&self.cert)), ("TLS_KEY", text(&self.key))]
    }

    /// What a client is shown of it.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.cert).unwrap()
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
