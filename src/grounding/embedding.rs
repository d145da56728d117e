//! What texts mean, as embeddings of a model: those of what resources offer are made in the background, that of a prompt on its way.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::vector::Vector;
use super::vocabulary::{ItemKind, ResourceKind};
use crate::kernel::{Caller, Deadline, truncate_chars};
use crate::llm::{LlmClient, LlmError};
use crate::settings::Settings;

/// How long a prompt waits to be embedded.
const PROMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Characters of a prompt that are embedded.
const MAX_PROMPT_CHARS: usize = 1_000;
/// How long prompts are not embedded after that has failed.
const PAUSE: Duration = Duration::from_secs(30);

/// What is known of the meaning of texts.
#[derive(Debug, Default)]
pub(super) struct Embeddings {
    client: Option<LlmClient>,
    known: RwLock<Arc<EmbeddedTexts>>,
    /// Until when nothing is embedded, since that has failed.
    paused_until: Mutex<Option<Instant>>,
}

/// The texts of what resources offer, with their directions.
#[derive(Debug, Default)]
pub(super) struct EmbeddedTexts {
    /// The model and its server.
    pub(super) space: String,
    pub(super) texts: Vec<EmbeddedText>,
}

/// A text of a resource: of itself, or of one of its items.
#[derive(Clone, Debug)]
pub(super) struct EmbeddedText {
    pub(super) kind: ResourceKind,
    pub(super) name: String,
    pub(super) item: Option<(ItemKind, String)>,
    pub(super) vector: Arc<Vector>,
}

/// How close a prompt is to a text of a resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Similarity {
    pub(super) kind: ResourceKind,
    pub(super) name: String,
    pub(super) item: Option<(ItemKind, String)>,
    pub(super) cosine: f64,
}

/// The model that embeds by these settings and its server: embeddings of another can't be compared. None if there is no model.
pub(super) fn space_of(settings: &Settings) -> Option<(&str, String)> {
    let model = settings.orchestration.embedding_model.as_deref()?;
    let server = settings.llm.effective().base_url.as_deref().unwrap_or_default();
    Some((model, format!("{model} at {server}")))
}

impl Embeddings {
    pub(super) fn new(client: LlmClient) -> Self {
        Self { client: Some(client), ..Self::default() }
    }

    pub(super) fn replace(&self, texts: EmbeddedTexts) {
        *self.known.write() = Arc::new(texts);
    }

    /// How close a prompt is to each text, the closest first; none if that can't be told in time.
    pub(super) async fn similar(
        &self,
        prompt: &str,
        settings: &Settings,
        caller: &Caller,
        deadline: Deadline,
    ) -> Option<Vec<Similarity>> {
        let ((model, space), client) = (space_of(settings)?, self.client.as_ref()?);
        let known = Some(self.known.read().clone()).filter(|known| known.space == space && !known.texts.is_empty())?;
        if self.paused_until.lock().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let (prompt, deadline) = ([truncate_chars(prompt, MAX_PROMPT_CHARS)], deadline.at_most(PROMPT_TIMEOUT));
        let embedded = match client.embed(settings.llm.effective(), model, &prompt, caller, deadline).await {
            Ok(embedded) => embedded,
            // That says nothing of the server.
            Err(LlmError::LimitReached(_)) => return None,
            Err(error) => {
                tracing::warn!(error = error.log_safe(), untrusted = %error, "a prompt could not be embedded; words alone count for a while");
                *self.paused_until.lock() = Some(Instant::now() + PAUSE);
                return None;
            }
        };
        let prompt = Vector::of(embedded.first()?)?;
        let similarity = |text: &EmbeddedText| Similarity {
            kind: text.kind,
            name: text.name.clone(),
            item: text.item.clone(),
            cosine: prompt.cosine(&text.vector),
        };
        let mut similar: Vec<_> = known.texts.iter().map(similarity).collect();
        similar.sort_by(|one, other| other.cosine.total_cmp(&one.cosine));
        Some(similar)
    }
}
