use super::service::ChatPageService;
use crate::kernel::{Error, ErrorKind, new_id};
use crate::storage::PromptProfile;

/// Prompt profiles that there may be.
const MAX_PROFILES: usize = 100;

/// What somebody wants the model to be told.
#[derive(Debug)]
pub(super) struct PromptProfileDraft {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) system_prompt: String,
    pub(super) is_active: bool,
}

impl PromptProfileDraft {
    /// Longest name, in characters.
    pub(super) const MAX_NAME_CHARS: usize = 200;
    /// Longest description, in characters.
    pub(super) const MAX_DESCRIPTION_CHARS: usize = 2000;
    /// Longest instructions, in characters: each message carries them.
    pub(super) const MAX_PROMPT_CHARS: usize = 20_000;
}

impl ChatPageService {
    /// All prompt profiles, by name.
    pub(super) async fn prompt_profiles(&self) -> Result<Vec<PromptProfile>, Error> {
        self.transcripts.profiles().await
    }

    /// Keeps a profile, in the place of another one of its name. If it is active, no other one is.
    pub(super) async fn put_prompt_profile(&self, draft: PromptProfileDraft) -> Result<PromptProfile, Error> {
        let (known, now) = (self.transcripts.profiles().await?, self.clock.now_ms());
        let before = known.iter().find(|profile| profile.name == draft.name);
        if before.is_none() && known.len() >= MAX_PROFILES {
            let detail = format!("There are {MAX_PROFILES} prompt profiles; use the name of one to replace it");
            return Err(Error::new(ErrorKind::Conflict, detail));
        }
        let profile = PromptProfile {
            id: before.map_or_else(new_id, |before| before.id.clone()),
            name: draft.name,
            description: draft.description,
            system_prompt: draft.system_prompt,
            is_active: draft.is_active,
            created_ms: before.map_or(now, |before| before.created_ms),
            updated_ms: now,
        };
        self.transcripts.put_profile(profile.clone()).await?;
        Ok(profile)
    }

    /// The instructions of the active profile. Without them a message is answered nevertheless.
    pub(super) async fn system_prompt(&self) -> Option<String> {
        let profiles = self.transcripts.profiles().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the prompt profiles could not be read");
            Vec::new()
        });
        profiles.into_iter().find(|profile| profile.is_active).map(|profile| profile.system_prompt)
    }
}
