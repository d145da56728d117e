//! Transcripts: the conversations of the chat page as people see them, apart from what the memory keeps for models; and the prompt
//! profiles of that page. In Postgres if there is one, else in the embedded database.
//!
//! Each change can be made again without harm, as those of executions can: what was taken while Postgres was away is done again
//! there.

mod change;
mod embedded;
mod postgres;
mod postgres_batch;
mod record;
mod rows;
mod store;

pub(super) use change::is_of_transcript;
pub(super) use embedded::EmbeddedTranscripts;
pub(super) use postgres::write_back;
pub use record::{
    AnswerFacts, PromptProfile, Transcript, TranscriptFilter, TranscriptMessage, TranscriptPage, TranscriptUsage,
    UsageCount,
};
pub use store::TranscriptStore;
