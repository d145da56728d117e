use std::sync::Arc;

use std::time::Duration;

use super::models::ModelList;
use super::profile::RoutingProfile;
use super::title::UNTITLED;
use crate::chat::ChatService;
use crate::kernel::{Caller, Clock, Error, Permission, UserId, new_id};
use crate::llm::LlmService;
use crate::memory::MemoryService;
use crate::storage::{
    ConfigService, Transcript, TranscriptFilter, TranscriptMessage, TranscriptPage, TranscriptStore, TranscriptUsage,
};

/// The chat page of the GUI. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChatPageService {
    pub(super) chat: Arc<ChatService>,
    llm: LlmService,
    pub(super) memory: MemoryService,
    pub(super) transcripts: TranscriptStore,
    pub(super) clock: Clock,
}

/// A conversation that is to be begun.
#[derive(Debug, Default)]
pub(super) struct ConversationDraft {
    pub(super) title: Option<String>,
    pub(super) model_id: Option<String>,
    pub(super) profile: RoutingProfile,
    pub(super) user: Option<UserId>,
}

impl ChatPageService {
    /// A page whose messages `chat` answers, and whose conversations are kept in `transcripts`.
    pub fn new(
        chat: Arc<ChatService>,
        llm: LlmService,
        memory: MemoryService,
        transcripts: TranscriptStore,
        clock: Clock,
    ) -> Self {
        Self { chat, llm, memory, transcripts, clock }
    }

    /// The models to choose from.
    pub(super) async fn models(&self) -> ModelList {
        let settings = self.llm.snapshot();
        ModelList::of(self.llm.models(&settings).await, settings.llm.written())
    }

    /// Begins a conversation.
    pub(super) async fn create(&self, draft: ConversationDraft) -> Result<Transcript, Error> {
        let now = self.clock.now_ms();
        let transcript = Transcript {
            id: new_id(),
            title: draft.title.unwrap_or_else(|| UNTITLED.to_owned()),
            user_id: draft.user.map(|user| user.to_string()),
            model_id: draft.model_id,
            routing_profile: draft.profile.id().to_owned(),
            created_ms: now,
            updated_ms: now,
            message_count: 0,
        };
        self.transcripts.create(transcript.clone()).await?;
        Ok(transcript)
    }

    /// Some conversations, newest first.
    pub(super) async fn list(&self, filter: &TranscriptFilter) -> Result<TranscriptPage, Error> {
        self.transcripts.list(filter).await
    }

    /// A conversation, if it is there for `caller`.
    pub(super) async fn get(&self, id: &str, caller: &Caller) -> Result<Transcript, Error> {
        let owned = |transcript: &Transcript| match transcript.user_id.as_deref() {
            Some(owner) => caller.reaches(owner, Permission::MemoryAll, || format!("conversations/{id}")),
            None => caller.may(Permission::MemoryAll),
        };
        let found = self.transcripts.get(id).await?.filter(owned);
        found.ok_or_else(|| Error::not_found("Conversation not found"))
    }

    /// A conversation and its newest messages, oldest first.
    pub(super) async fn show(&self, id: &str, caller: &Caller) -> Result<(Transcript, Vec<TranscriptMessage>), Error> {
        let transcript = self.get(id, caller).await?;
        let messages = self.transcripts.messages(id).await?;
        Ok((transcript, messages))
    }

    /// Deletes a conversation, and what the memory knows of it.
    pub(super) async fn delete(&self, id: &str, caller: &Caller) -> Result<(), Error> {
        let transcript = self.get(id, caller).await?;
        let key = memory_key(&transcript.id)?;
        self.memory.clear(&key).await?;
        self.transcripts.delete(&transcript.id).await?;
        // A turn that ended meanwhile found the transcript still there, and left what it added to the memory.
        self.memory.clear(&key).await
    }

    /// How the page was used in these last hours.
    pub(super) async fn usage(&self, hours: u64) -> Result<TranscriptUsage, Error> {
        let time = i64::try_from(Duration::from_secs(hours.saturating_mul(3600)).as_millis()).unwrap_or(i64::MAX);
        self.transcripts.usage(self.clock.now_ms().saturating_sub(time)).await
    }
}

/// Under which key the memory has a conversation: apart from those of users.
pub(super) fn memory_key(conversation: &str) -> Result<UserId, Error> {
    let key = UserId::parse(&format!("{}{conversation}", UserId::CHAT_PAGE_PREFIX));
    key.map_err(|expected| Error::internal("a conversation has no key in the memory", expected))
}
