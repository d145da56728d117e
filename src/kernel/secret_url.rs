use std::fmt;

use serde::{Serialize, Serializer};
use url::Url;

use super::{MASK, Secret};

/// An address that may hold a password, as connection strings of databases do. Debug, Display and Serialize mask it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Wraps an address as it was written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The address with its password: for connecting and for the store, nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The address, taken apart.
    pub fn parse(&self) -> Option<Url> {
        Url::parse(&self.0).ok()
    }

    /// The password in it, as it was written.
    pub fn password(&self) -> Option<Secret> {
        let text = self.0.get(self.span()?)?;
        (!text.is_empty()).then(|| Secret::new(text))
    }

    /// Scheme, host and port: where a credential may go. `None` for what has no host.
    pub fn origin(&self) -> Option<String> {
        let url = self.parse()?;
        let port = url.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{}{port}", url.scheme(), url.host_str()?.to_ascii_lowercase()))
    }

    /// This address with the password of `stored` in the place of the mask.
    pub fn unmask(&self, stored: &Self) -> Self {
        match (self.span(), stored.span()) {
            (Some(here), Some(there)) if self.0.get(here.clone()) == Some(MASK) => {
                let mut text = self.0.clone();
                text.replace_range(here, stored.0.get(there).unwrap_or_default());
                Self(text)
            }
            _ => self.clone(),
        }
    }

    /// Where the password stands, also in a text that is no valid URL: between the first `:` and the last `@` of the part
    /// after `//`.
    fn span(&self) -> Option<std::ops::Range<usize>> {
        let start = self.0.find("//").map_or(0, |at| at + 2);
        let rest = self.0.get(start..)?;
        let authority = rest.get(..rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
        // A password may hold a `/`, `?` or `#` that its writer did not escape. The path of an HTTP service may hold an `@`.
        let is_http = || self.parse().is_some_and(|url| matches!(url.scheme(), "http" | "https"));
        let stray = || rest.rfind('@').filter(|_| !is_http());
        let at = authority.rfind('@').or_else(stray)?;
        let colon = rest.get(..at)?.find(':')?;
        Some(start + colon + 1..start + at)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        if let Some(span) = self.span().filter(|span| !span.is_empty()) {
            shown.replace_range(span, MASK);
        }
        f.write_str(&shown)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_password_is_masked_and_the_mask_stands_for_it() {
        let stored = SecretUrl::new("postgres://u:p%40w@db:5432/x?sslmode=require");
        assert_eq!(stored.to_string(), "postgres://u:********@db:5432/x?sslmode=require");
        assert_eq!(stored.password().unwrap().expose(), "p%40w");
        assert_eq!(SecretUrl::new(stored.to_string()).unmask(&stored), stored);
        let moved = SecretUrl::new("postgres://u:********@other/x");
        assert_eq!(moved.unmask(&stored).expose(), "postgres://u:p%40w@other/x");
        for plain in ["http://host:80/a@b:c", "sqlite:///a.db", "", "postgres://u@db/x", "localhost:27017"] {
            assert_eq!(SecretUrl::new(plain).password(), None, "{plain}");
        }
        assert_eq!(SecretUrl::new("mongodb://u:pa/ss@h").to_string(), "mongodb://u:********@h");
        assert_eq!(SecretUrl::new("u:pw@h").to_string(), "u:********@h");
    }

    proptest! {
        #[test]
        fn a_password_never_shows(user in "[a-z]{0,3}", password in "[a-zA-Z0-9/:?#%]{3,12}") {
            let url = SecretUrl::new(format!("postgres://{user}:{password}@db/x"));
            let shown = url.to_string();
            prop_assert!(!shown.contains(&format!("{}@", password)), "{}", shown);
            prop_assert_eq!(SecretUrl::new(url.to_string()).unmask(&url), url);
        }
    }
}
