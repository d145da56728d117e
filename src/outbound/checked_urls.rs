use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use url::Url;

use super::{AddressGuard, CallError};

/// URLs that are kept.
const MAX_URLS: usize = 64;
/// Longest URL that is kept.
const MAX_URL_BYTES: usize = 500;

/// URLs that were read and that the guard lets through: most calls go to few. None that holds a credential is kept. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckedUrls(Arc<RwLock<HashMap<String, Url>>>);

impl CheckedUrls {
    /// Reads a URL that `guard` lets through.
    pub(super) fn read(&self, text: &str, guard: &AddressGuard) -> Result<Url, CallError> {
        if let Some(url) = self.0.read().get(text) {
            return Ok(url.clone());
        }
        let url = Url::parse(text).map_err(|_| CallError::Invalid("its URL is not valid".to_owned()))?;
        guard.check_url(&url)?;
        if text.len() <= MAX_URL_BYTES && !text.contains(['@', '?', '#']) {
            let mut known = self.0.write();
            if known.len() >= MAX_URLS {
                known.clear();
            }
            known.insert(text.to_owned(), url.clone());
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_through_is_kept_without_credentials_and_not_without_end() {
        let (urls, guard) = (CheckedUrls::default(), AddressGuard::new(true, &[]));
        for _ in 0..2 {
            assert_eq!(urls.read("http://8.8.8.8/a", &guard).unwrap().as_str(), "http://8.8.8.8/a");
            assert!(matches!(urls.read("http://10.0.0.1/a", &guard), Err(CallError::Denied(_))));
            assert!(matches!(urls.read("nonsense", &guard), Err(CallError::Invalid(_))));
            assert!(urls.read("http://u:p@8.8.8.8/?key=x", &guard).is_ok());
        }
        assert_eq!(urls.0.read().len(), 1);
        (0..1000).for_each(|n| drop(urls.read(&format!("http://8.8.8.8/{n}"), &guard)));
        assert!(urls.0.read().len() <= MAX_URLS);
    }
}
