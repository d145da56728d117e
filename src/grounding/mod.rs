//! Grounding: what the configured resources are about, so that a prompt in plain words finds those that can serve it.
//!
//! `collector` asks the modules for the [`Vocabulary`] of each enabled resource, in the background; `index` scores a prompt against
//! all of them; `service` keeps both and hands out [`Findings`]. Nothing here is asked of an upstream on a request's path, but for
//! the embedding of a prompt whose score is not clear.

mod acts;
mod candidate;
mod clause;
mod collected;
mod collector;
mod cover;
mod denial;
mod described;
mod embedder;
mod embedding;
mod findings;
mod fusion;
mod index;
mod kind_words;
mod lexicon;
mod marks;
mod mention;
mod prepared;
mod prompt;
mod refresher;
mod service;
mod similarity;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod vector;
mod vocabulary;

pub use embedder::EmbeddingRefresher;
pub use findings::{Candidate, Clarity, Findings, Need, VerifiedMatch};
pub use index::Index;
pub use refresher::GroundingRefresher;
pub use service::{GroundingService, GroundingStatus, KindStatus};
pub use vocabulary::{Detail, Item, ItemKind, ResourceKind, Vocabulary};
