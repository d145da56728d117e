//! Has what resources offer embedded in the background, text by text: only what is new or has changed.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::embedding::{EmbeddedText, EmbeddedTexts, space_of};
use super::service::GroundingService;
use super::vector::Vector;
use super::vocabulary::{Item, ItemKind, Vocabulary};
use crate::kernel::{Caller, Deadline, JsonReader, truncate_chars};
use crate::llm::{LlmClient, LlmError};
use crate::settings::{Settings, SharedSettings};
use crate::storage::replace_file;

/// Texts that are embedded.
const MAX_TEXTS: usize = 5_000;
/// Characters of each.
const MAX_TEXT_CHARS: usize = 500;
/// Characters of one that are logged.
const MAX_LOGGED_CHARS: usize = 60;
/// Texts that are embedded before what is known of them is made use of and saved.
const PAGE_SIZE: usize = 256;
/// Time for so many.
const PAGE_TIMEOUT: Duration = Duration::from_secs(120);
/// How soon it is tried again after it has failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// Bytes that the file may have: this many numbers of each text, with room for the rest.
const MAX_FILE_BYTES: u64 = 64_000_000;

/// What every server embeds that embeds at all: tells whether it fails because of what it is asked.
const PLAIN_TEXT: &str = "Hello";

/// Directions by the digest of their text.
type Vectors = HashMap<String, Arc<Vector>>;

/// What is known of the meaning of texts.
#[derive(Default)]
struct KnownTexts {
    space: String,
    vectors: Vectors,
    /// The digests of texts that the server does not embed, as those which are too long for it.
    rejected: HashSet<String>,
}

/// The background task that has texts embedded. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EmbeddingRefresher {
    service: GroundingService,
    settings: SharedSettings,
    client: LlmClient,
    path: PathBuf,
}

/// `DATA_DIR/grounding-embeddings.json`.
#[derive(Serialize, Deserialize)]
struct EmbeddingFile {
    space: String,
    vectors: HashMap<String, String>,
}

/// A text that is to be embedded.
struct WantedText {
    digest: String,
    text: String,
    place: (usize, Option<(ItemKind, String)>),
}

impl EmbeddingRefresher {
    /// A task that embeds what `service` knows.
    pub fn new(service: GroundingService, settings: SharedSettings, client: LlmClient) -> Self {
        let path = settings.subscribe().borrow().storage.data_dir.join("grounding-embeddings.json");
        Self { service, settings, client, path }
    }

    /// Never ends.
    pub async fn run(self) {
        let (mut indexes, mut changes) = (self.service.subscribe(), self.settings.subscribe());
        let mut known = KnownTexts::default();
        let mut has_failed = false;
        loop {
            let live = indexes.borrow_and_update().clone();
            let settings = changes.borrow_and_update().clone();
            let vocabularies = live.as_ref().map(|live| live.vocabularies.as_slice()).unwrap_or_default();
            let mut pause = None;
            if let Some((_, space)) = space_of(&settings) {
                if space != known.space {
                    let vectors = self.load(space.clone()).await;
                    known = KnownTexts { space, vectors, ..KnownTexts::default() };
                }
                let done = self.embed(vocabularies, &settings, &mut known).await.map_err(|error| error.to_string());
                if let Err(error) = &done
                    && !has_failed
                {
                    tracing::warn!(untrusted = error, "what resources offer could not be embedded; words alone count");
                }
                has_failed = done.is_err();
                pause = has_failed.then_some(RETRY_INTERVAL);
            }
            tokio::select! {
                changed = indexes.changed() => if changed.is_err() { return },
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    /// Embeds what is not embedded yet.
    async fn embed(
        &self,
        vocabularies: &[Arc<Vocabulary>],
        settings: &Settings,
        known: &mut KnownTexts,
    ) -> Result<(), LlmError> {
        let wanted = wanted(vocabularies);
        known.retain(&wanted);
        self.publish(&wanted, vocabularies, known);
        let missing: Vec<_> = wanted.iter().filter(|text| known.is_missing(text)).collect();
        for page in missing.chunks(PAGE_SIZE) {
            self.embed_page(page, settings, known).await?;
            self.publish(&wanted, vocabularies, known);
            self.save(known).await;
        }
        Ok(())
    }

    /// Embeds these. Where the server fails because of some of them, it embeds the others.
    async fn embed_page(
        &self,
        page: &[&WantedText],
        settings: &Settings,
        known: &mut KnownTexts,
    ) -> Result<(), LlmError> {
        let mut parts = vec![page];
        while let Some(part) = parts.pop() {
            let texts: Vec<_> = part.iter().map(|text| text.text.clone()).collect();
            let error = match self.ask(&texts, settings).await {
                Ok(embeddings) => {
                    known.take(part, &embeddings);
                    continue;
                }
                Err(error) => error,
            };
            if !may_be_of_a_text(&error) {
                return Err(error);
            }
            self.ask(&[PLAIN_TEXT.to_owned()], settings).await?;
            match part.split_at(part.len() / 2) {
                ([], [only]) => known.reject(only, &error),
                (first, second) => parts.extend([second, first]),
            }
        }
        Ok(())
    }

    async fn ask(&self, texts: &[String], settings: &Settings) -> Result<Vec<Vec<f32>>, LlmError> {
        let model = settings.orchestration.embedding_model.as_deref().unwrap_or_default();
        let (own, deadline) = (Caller::unrestricted(), Deadline::after(PAGE_TIMEOUT));
        self.client.embed(settings.llm.effective(), model, texts, &own, deadline).await
    }

    /// Lets prompts be compared with what is known so far.
    fn publish(&self, wanted: &[WantedText], vocabularies: &[Arc<Vocabulary>], known: &KnownTexts) {
        let text = |text: &WantedText| {
            let (at, item) = &text.place;
            let (vocabulary, vector) = (vocabularies.get(*at)?, known.vectors.get(&text.digest)?.clone());
            Some(EmbeddedText { kind: vocabulary.kind, name: vocabulary.name.clone(), item: item.clone(), vector })
        };
        let texts = wanted.iter().filter_map(text).collect();
        self.service.embeddings().replace(EmbeddedTexts { space: known.space.clone(), texts });
    }

    /// What an earlier process has embedded with this model.
    async fn load(&self, space: String) -> Vectors {
        let path = self.path.clone();
        let read = move || -> io::Result<Vectors> {
            if std::fs::metadata(&path)?.len() > MAX_FILE_BYTES {
                return Err(io::Error::other("the file is too large"));
            }
            let file = JsonReader::stored().read::<EmbeddingFile>(&std::fs::read(&path)?).map_err(io::Error::other)?;
            let vector = |(digest, text): (String, String)| Some((digest, Arc::new(Vector::decode(&text)?)));
            let is_same = file.space == space;
            Ok(file.vectors.into_iter().filter(|_| is_same).filter_map(vector).collect())
        };
        let loaded = tokio::task::spawn_blocking(read).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        loaded.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, "what resources offer is embedded anew");
            }
            Vectors::new()
        })
    }

    async fn save(&self, known: &KnownTexts) {
        let vectors = known.vectors.iter().map(|(digest, vector)| (digest.clone(), vector.encode())).collect();
        let (file, path) = (EmbeddingFile { space: known.space.clone(), vectors }, self.path.clone());
        let write = move || replace_file(&path, &serde_json::to_vec(&file)?);
        let saved = tokio::task::spawn_blocking(write).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        if let Err(error) = saved {
            tracing::warn!(%error, "embeddings could not be saved; a restart will make them anew");
        }
    }
}

/// Whether a server may fail like this because of a text, as when that is too long. Some call it a failure of their own.
fn may_be_of_a_text(error: &LlmError) -> bool {
    matches!(error, LlmError::Status { code: 400 | 413 | 422 | 500, .. })
}

impl KnownTexts {
    fn is_missing(&self, text: &WantedText) -> bool {
        !self.vectors.contains_key(&text.digest) && !self.rejected.contains(&text.digest)
    }

    /// Takes in what the server says of these.
    fn take(&mut self, texts: &[&WantedText], embeddings: &[Vec<f32>]) {
        let known = texts.iter().zip(embeddings);
        let known = known.filter_map(|(text, embedding)| Some((text.digest.clone(), Arc::new(Vector::of(embedding)?))));
        self.vectors.extend(known);
    }

    /// Leaves out a text until it changes.
    fn reject(&mut self, text: &WantedText, error: &LlmError) {
        // The first tells what is wrong; there may be thousands.
        if self.rejected.is_empty() {
            let said = format!("{error}; the text: {}", truncate_chars(&text.text, MAX_LOGGED_CHARS));
            tracing::warn!(
                error = error.log_safe(),
                untrusted = said,
                "a text of a resource is not embedded until it changes, nor are others like it; words alone count"
            );
        }
        self.rejected.insert(text.digest.clone());
    }

    /// Forgets what is no longer wanted, but not at once: what a resource no longer offers may come back, as when it is changed and
    /// asked anew.
    fn retain(&mut self, wanted: &[WantedText]) {
        if self.vectors.len() + self.rejected.len() > 2 * MAX_TEXTS {
            let digests: HashSet<&str> = wanted.iter().map(|text| text.digest.as_str()).collect();
            self.vectors.retain(|digest, _| digests.contains(digest.as_str()));
            self.rejected.retain(|digest| digests.contains(digest.as_str()));
        }
    }
}

/// The texts of these vocabularies: of each resource, and of each of its items.
fn wanted(vocabularies: &[Arc<Vocabulary>]) -> Vec<WantedText> {
    let mut texts = Vec::new();
    for (at, vocabulary) in vocabularies.iter().enumerate() {
        texts.push(WantedText::new(at, None, about(&vocabulary.name, vocabulary.description.as_deref())));
        texts.extend(
            vocabulary
                .items
                .iter()
                .map(|item| WantedText::new(at, Some((item.kind, item.name.clone())), item_text(item))),
        );
        texts.truncate(MAX_TEXTS);
    }
    texts
}

impl WantedText {
    fn new(at: usize, item: Option<(ItemKind, String)>, text: String) -> Self {
        let text = truncate_chars(&text, MAX_TEXT_CHARS);
        let digest = Sha256::digest(&text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { digest, text, place: (at, item) }
    }
}

/// An item in words: what a table, function or question is called and about.
fn item_text(item: &Item) -> String {
    match item.kind {
        ItemKind::Question => item.about.clone().unwrap_or_else(|| item.name.clone()),
        ItemKind::Table => {
            let columns: Vec<_> = item.details.iter().map(|column| spaced(&column.name)).collect();
            format!("{} ({})", about(&item.name, item.about.as_deref()), columns.join(", "))
        }
        ItemKind::Function | ItemKind::Skill => about(&item.name, item.about.as_deref()),
    }
}

fn about(name: &str, about: Option<&str>) -> String {
    let name = spaced(name);
    about.map_or_else(|| name.clone(), |about| format!("{name}: {about}"))
}

/// A name as words.
fn spaced(name: &str) -> String {
    name.replace(['_', '-', '.'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}
