use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::profile::RoutingProfile;
use super::service::{ChatPageService, ConversationDraft, memory_key};
use super::title::{UNTITLED, title_of};
use crate::chat::{ChatOptions, ChatResponse, ConversationKey, StepSummary, UserRequest};
use crate::kernel::{Caller, Clock, Error, Role, UserId, new_id};
use crate::memory::MemoryService;
use crate::storage::{AnswerFacts, Transcript, TranscriptMessage, TranscriptStore};

/// Why a message has no answer that nobody waited for.
const CANCELLED: &str = "Cancelled: the client left, or the server was stopped";

/// A message that is to be answered.
#[derive(Debug)]
pub(super) struct MessageDraft {
    /// `None` begins a conversation.
    pub(super) conversation: Option<String>,
    pub(super) text: String,
    /// Instead of the conversation's.
    pub(super) model_id: Option<String>,
    /// Instead of the conversation's.
    pub(super) profile: Option<RoutingProfile>,
    pub(super) use_memory: bool,
    pub(super) use_tools: bool,
    pub(super) metadata: Map<String, Value>,
    pub(super) options: ChatOptions,
}

/// One message of a user while it is being answered. If it is dropped before that, the transcript says so below what was shown.
#[derive(Debug)]
pub(super) struct Turn {
    transcripts: TranscriptStore,
    memory: MemoryService,
    background: TaskTracker,
    clock: Clock,
    conversation: String,
    profile: RoutingProfile,
    /// What the user has seen of the answer.
    shown: String,
    started: Instant,
    is_ended: bool,
}

/// `metadata` of an answer, as the page reads it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AnswerMetadata {
    /// None if no model wrote it.
    model_used: Option<String>,
    routing_profile: &'static str,
    /// Names of the agents, data sources and tools that gave something.
    tools_used: Vec<String>,
    steps: Vec<StepSummary>,
    /// Id of the record under `/v1/executions`; None if the answer was not waited for.
    execution_id: Option<String>,
    duration_ms: i64,
    /// Why there is no answer, or only a partial one.
    error: Option<String>,
}

/// A message that was answered.
#[derive(Debug)]
pub(super) struct TurnReply {
    pub(super) conversation: String,
    /// Id of the answer.
    pub(super) message: String,
    /// If there is none, a sentence that says so.
    pub(super) answer: String,
    /// What of it was not shown yet.
    pub(super) rest: String,
    pub(super) metadata: AnswerMetadata,
}

impl TurnReply {
    /// Why there is no answer, or only a partial one.
    pub(super) fn error(&self) -> Option<&str> {
        self.metadata.error.as_deref()
    }
}

impl ChatPageService {
    /// Puts a message into its transcript; gives what chat is to answer.
    pub(super) async fn begin(&self, draft: MessageDraft, caller: Caller) -> Result<(Turn, UserRequest), Error> {
        let transcript = match &draft.conversation {
            Some(id) => self.get(id, &caller).await?,
            None => {
                let (profile, model_id) = (draft.profile.unwrap_or_default(), draft.model_id.clone());
                let user = caller.user().cloned();
                self.create(ConversationDraft { profile, model_id, user, title: None }).await?
            }
        };
        let stored = || RoutingProfile::parse(&transcript.routing_profile).unwrap_or_default();
        let profile = draft.profile.unwrap_or_else(stored);
        let message = TranscriptMessage {
            id: new_id(),
            role: Role::User.as_str().to_owned(),
            content: draft.text.clone(),
            metadata: TranscriptMessage::metadata_text(draft.metadata.clone()),
            created_ms: self.clock.now_ms(),
            answer: None,
        };
        let title = title_of(&draft.text).filter(|_| transcript.title == UNTITLED);
        self.transcripts.add(&transcript.id, message, title).await?;
        let request = self.request(draft, &transcript, profile, caller).await?;
        Ok((self.turn(transcript.id, profile), request))
    }

    async fn request(
        &self,
        draft: MessageDraft,
        transcript: &Transcript,
        profile: RoutingProfile,
        caller: Caller,
    ) -> Result<UserRequest, Error> {
        let user = transcript.user_id.as_deref().and_then(|user| UserId::parse(user).ok());
        let key = if draft.use_memory { Some(ConversationKey::Own(memory_key(&transcript.id)?)) } else { None };
        let model = draft.model_id.or_else(|| transcript.model_id.clone());
        let options = draft.options.with_model(model).within(profile.scope(draft.use_tools));
        Ok(UserRequest::new(draft.text, user, caller)
            .in_conversation(key)
            .with_system_prompt(self.system_prompt().await)
            .with_metadata(draft.metadata, options))
    }

    fn turn(&self, conversation: String, profile: RoutingProfile) -> Turn {
        Turn {
            transcripts: self.transcripts.clone(),
            memory: self.memory.clone(),
            background: self.chat.background().clone(),
            clock: self.clock.clone(),
            conversation,
            profile,
            shown: String::new(),
            started: Instant::now(),
            is_ended: false,
        }
    }
}

impl Turn {
    /// The user has seen more of the answer.
    pub(super) fn show(&mut self, text: &str) {
        self.shown.push_str(text);
    }

    /// Puts the answer into the transcript, or a sentence that says why there is none. Writing goes on even if the client leaves now.
    pub(super) async fn finish(mut self, response: ChatResponse) -> TurnReply {
        self.is_ended = true;
        let failure = response.failure.as_ref().map(|failure| failure.public_detail().to_owned());
        let succeeded = failure.is_none();
        let (answer, rest) = self.text(&response.answer, failure.as_deref());
        let mut tools_used: Vec<_> = Vec::new();
        for used in response.steps.iter().filter_map(StepSummary::used) {
            if !tools_used.iter().any(|known| known == used) {
                tools_used.push(used.to_owned());
            }
        }
        let metadata = AnswerMetadata {
            model_used: response.model,
            routing_profile: self.profile.id(),
            tools_used,
            steps: response.steps,
            execution_id: Some(response.execution_id),
            duration_ms: response.duration_ms,
            error: response.error,
        };
        let message = self.message(answer.clone(), &metadata, succeeded);
        let id = message.id.clone();
        drop(self.save(message).await);
        TurnReply { conversation: self.conversation.clone(), message: id, answer, rest, metadata }
    }

    /// The whole answer, and what of it the user has not seen.
    fn text(&self, answer: &str, failure: Option<&str>) -> (String, String) {
        let Some(failure) = failure else {
            let rest = if self.shown.is_empty() { answer.to_owned() } else { String::new() };
            return (answer.to_owned(), rest);
        };
        let gap = if self.shown.is_empty() { "" } else { "\n\n" };
        let rest = format!("{gap}There is no answer: {failure}");
        (format!("{}{rest}", self.shown), rest)
    }

    fn message(&self, content: String, metadata: &AnswerMetadata, succeeded: bool) -> TranscriptMessage {
        TranscriptMessage {
            id: new_id(),
            role: Role::Assistant.as_str().to_owned(),
            content,
            metadata: serde_json::to_string(metadata).unwrap_or_default(),
            created_ms: self.clock.now_ms(),
            answer: Some(AnswerFacts {
                model: metadata.model_used.clone(),
                routing_profile: self.profile.id().to_owned(),
                succeeded,
                latency_ms: metadata.duration_ms,
            }),
        }
    }

    /// A message that can't be saved must not cost the user the answer.
    fn save(&self, message: TranscriptMessage) -> tokio::task::JoinHandle<()> {
        let (transcripts, memory, conversation) =
            (self.transcripts.clone(), self.memory.clone(), self.conversation.clone());
        let saving = async move {
            if let Err(error) = transcripts.add(&conversation, message, None).await {
                tracing::warn!(%error, "an answer of the chat page could not be saved");
            }
            if let Err(error) = forget_if_deleted(&transcripts, &memory, &conversation).await {
                tracing::warn!(%error, "what the memory has of a deleted conversation may still be there");
            }
        };
        self.background.spawn(saving.in_current_span())
    }
}

/// A conversation that was deleted while it was answered: the answer has put it into the memory again.
async fn forget_if_deleted(
    transcripts: &TranscriptStore,
    memory: &MemoryService,
    conversation: &str,
) -> Result<(), Error> {
    match transcripts.get(conversation).await? {
        Some(_) => Ok(()),
        None => memory.clear(&memory_key(conversation)?).await,
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_ended {
            return;
        }
        let (content, _) = self.text("", Some(CANCELLED));
        let metadata = AnswerMetadata {
            model_used: None,
            routing_profile: self.profile.id(),
            tools_used: Vec::new(),
            steps: Vec::new(),
            execution_id: None,
            duration_ms: i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX),
            error: Some(CANCELLED.to_owned()),
        };
        drop(self.save(self.message(content, &metadata, false)));
    }
}
