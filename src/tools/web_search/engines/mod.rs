//! How each search engine is spoken to, one file per engine. To add one: a variant of `settings::SearchProvider`, a file
//! with its `PROVIDER`, its arm below.

mod bing;
mod brave;
mod generic;
mod google;
mod searxng;
mod serper;
mod tavily;

use super::provider::Provider;
use crate::settings::SearchProvider;

/// The engine behind a name.
pub(super) fn provider(name: SearchProvider) -> &'static Provider {
    match name {
        SearchProvider::Generic => &generic::PROVIDER,
        SearchProvider::Google => &google::PROVIDER,
        SearchProvider::Bing => &bing::PROVIDER,
        SearchProvider::Brave => &brave::PROVIDER,
        SearchProvider::Tavily => &tavily::PROVIDER,
        SearchProvider::Serper => &serper::PROVIDER,
        SearchProvider::Searxng => &searxng::PROVIDER,
    }
}
