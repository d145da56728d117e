use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::{PromptProfile, Transcript, TranscriptMessage};
use crate::storage::failover::OutboxEntry;

/// Old transcripts that are deleted in one go: in the time that takes, nobody else can write to the embedded store.
pub(super) const DELETE_BATCH: i64 = 5;
/// Pause after that, for those who wait.
pub(super) const DELETE_PAUSE: Duration = Duration::from_millis(10);
/// What the owners of queued changes begin with: the queue of Postgres has those of executions too.
const OWNER_PREFIX: &str = "transcript:";

/// A change of a transcript or of the prompt profiles. Each can be made again without harm, and has no more effect then.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TranscriptChange {
    /// It is there.
    Create(Transcript),
    /// A message was added. `title` is that of the transcript from now on, if it changes.
    Add { transcript: String, message: TranscriptMessage, title: Option<String> },
    /// It is gone.
    Delete { transcript: String },
    /// A profile is there, in the place of another one of its name.
    Profile(PromptProfile),
}

impl TranscriptChange {
    /// The id of the transcript that it is about; empty if it is about none.
    pub(super) fn transcript(&self) -> &str {
        match self {
            Self::Create(transcript) => &transcript.id,
            Self::Add { transcript, .. } | Self::Delete { transcript } => transcript,
            Self::Profile(_) => "",
        }
    }

    /// Whose it is in the outbox.
    pub(super) fn owner(&self) -> String {
        owner(self.transcript())
    }

    /// About how much it is to send.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Create(transcript) => transcript.title.len(),
            Self::Add { message, .. } => message.content.len() + message.metadata.len(),
            Self::Delete { .. } => 0,
            Self::Profile(profile) => profile.system_prompt.len(),
        }
    }

    /// What was being done, for an error.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Create(_) => "could not create a conversation",
            Self::Add { .. } => "could not save a message",
            Self::Delete { .. } => "could not delete a conversation",
            Self::Profile(_) => "could not save a prompt profile",
        }
    }
}

/// Whose the queued changes of a transcript are.
pub(super) fn owner(transcript: &str) -> String {
    format!("{OWNER_PREFIX}{transcript}")
}

/// Whether a queued change is one of these.
pub(in crate::storage) fn is_of_transcript(entry: &OutboxEntry) -> bool {
    entry.owner.starts_with(OWNER_PREFIX)
}
