/// How a connection to a database is protected; a later one protects better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server insists.
    Allow,
    /// Encrypted if the server can.
    Prefer,
    /// Encrypted.
    Require,
    /// And the certificate must be of an authority that is trusted.
    VerifyCa,
    /// And it must be that of the host.
    VerifyFull,
}

use SslMode::{Allow, Disable, Prefer, Require, VerifyCa, VerifyFull};

impl SslMode {
    /// The words that are taken for `sslmode`, for messages.
    pub(super) const WORDS: &'static str = "disable, allow, prefer, require, verify-ca or verify-full";

    /// Reads `sslmode` in the words of PostgreSQL or MySQL; `no-verify` is that of Node's driver.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().replace('_', "-").as_str() {
            "disable" | "disabled" => Disable,
            "allow" => Allow,
            "prefer" | "preferred" => Prefer,
            "require" | "required" | "no-verify" => Require,
            "verify-ca" => VerifyCa,
            "verify-full" | "verify-identity" => VerifyFull,
            _ => return None,
        })
    }

    /// Reads `ssl`, `tls` and the like; `plain` is what a mere yes means.
    pub(super) fn of_switch(value: &str, plain: Self) -> Option<Self> {
        Some(match value.to_ascii_lowercase().as_str() {
            "" | "true" | "1" | "on" | "yes" => plain,
            "false" | "0" | "off" | "no" => Disable,
            "skip-verify" | "accept_invalid_certs" => Require,
            "strict" => VerifyFull,
            json if json.starts_with('{') => {
                let spaceless = json.replace(' ', "");
                if spaceless.contains("\"rejectunauthorized\":false") { Require } else { VerifyFull }
            }
            word => return Self::of_word(word),
        })
    }

    /// In PostgreSQL's words.
    pub fn postgres_word(self) -> &'static str {
        match self {
            Disable => "disable",
            Allow => "allow",
            Prefer => "prefer",
            Require => "require",
            VerifyCa => "verify-ca",
            VerifyFull => "verify-full",
        }
    }

    /// In MySQL's words, which has none for `allow`.
    pub fn mysql_word(self) -> &'static str {
        match self {
            Disable => "DISABLED",
            Allow | Prefer => "PREFERRED",
            Require => "REQUIRED",
            VerifyCa => "VERIFY_CA",
            VerifyFull => "VERIFY_IDENTITY",
        }
    }
}
