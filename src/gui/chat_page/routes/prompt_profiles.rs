use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::gui::chat_page::ChatPageService;
use crate::gui::chat_page::prompt_profile::PromptProfileDraft;
use crate::kernel::{Clock, Fields, RecordedChange, RequestTrail};
use crate::storage::PromptProfile;
use crate::web::openapi::schema::{Members, boolean, bounded_pattern, or_null, short_text};
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply, ReadErrors};

/// Instructions to the model for what is sent from the chat page.
#[derive(Serialize, ToSchema)]
pub(super) struct PromptProfileView {
    #[schema(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    id: String,
    #[schema(example = "terse")]
    name: String,
    #[schema(example = "Short answers")]
    description: Option<String>,
    #[schema(example = "Answer in one sentence.")]
    system_prompt: String,
    #[schema(format = DateTime, example = "2026-12-01T17:20:03.374Z")]
    created_at: String,
    #[schema(format = DateTime, example = "2026-12-01T17:20:03.374Z")]
    updated_at: String,
    /// Whether messages carry it: at most one does.
    is_active: bool,
}

impl From<PromptProfile> for PromptProfileView {
    fn from(it: PromptProfile) -> Self {
        Self {
            id: it.id,
            name: it.name,
            description: it.description,
            system_prompt: it.system_prompt,
            created_at: Clock::rfc3339(it.created_ms),
            updated_at: Clock::rfc3339(it.updated_ms),
            is_active: it.is_active,
        }
    }
}

/// All prompt profiles, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct PromptProfiles {
    profiles: Vec<PromptProfileView>,
}

/// A profile that is kept.
#[derive(Serialize, ToSchema)]
pub(super) struct PromptProfileKept {
    success: bool,
    profile: PromptProfileView,
}

/// A profile to keep.
pub(super) struct PromptProfileBody(PromptProfileDraft);

impl PartialSchema for PromptProfileBody {
    fn schema() -> RefOr<Schema> {
        let described = or_null(short_text(PromptProfileDraft::MAX_DESCRIPTION_CHARS));
        Members::new()
            .required("name", "One profile has it.", bounded_pattern(r"\S", &(1..=PromptProfileDraft::MAX_NAME_CHARS)))
            .optional("description", "What it is for.", described)
            .required(
                "system_prompt",
                "What the model is told before each message.",
                bounded_pattern(r"\S", &(1..=PromptProfileDraft::MAX_PROMPT_CHARS)),
            )
            .with_default("is_active", "True: from now on, instead of any other.", boolean(), true)
            .with_example(
                "A profile to keep.",
                json!({"name": "terse", "description": "Short answers", "system_prompt": "Answer in one sentence."}),
            )
    }
}

impl ToSchema for PromptProfileBody {}

impl FromFields for PromptProfileBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let bounded = |fields: &mut Fields<'_>, name: &'static str, max: usize| {
            let has_value = fields.value(name).is_some_and(serde_json::Value::is_string);
            let text: String = fields.required(name);
            if has_value && (text.trim().is_empty() || text.chars().count() > max) {
                fields.reject(name, format!("Input should have 1 to {max} characters, and not only blanks"));
            }
            text
        };
        let name = bounded(fields, "name", PromptProfileDraft::MAX_NAME_CHARS);
        let description: Option<String> = fields.optional("description");
        let max = PromptProfileDraft::MAX_DESCRIPTION_CHARS;
        if description.as_ref().is_some_and(|description| description.chars().count() > max) {
            fields.reject("description", format!("Input should have at most {max} characters"));
        }
        let system_prompt = bounded(fields, "system_prompt", PromptProfileDraft::MAX_PROMPT_CHARS);
        Self(PromptProfileDraft { name, description, system_prompt, is_active: fields.or("is_active", true) })
    }
}

/// List prompt profiles
///
/// By name. The active one, if there is one, goes with every message of the chat page.
#[utoipa::path(get, path = "/api/chat/ui/prompt-profiles", tag = "gui", operation_id = "list_prompt_profiles",
    responses((status = 200, description = "All of them", body = PromptProfiles), ReadErrors))]
pub(super) async fn list(State(page): State<ChatPageService>) -> Result<JsonReply<PromptProfiles>, ApiError> {
    let profiles = page.prompt_profiles().await?.into_iter().map(Into::into).collect();
    Ok(JsonReply::ok(PromptProfiles { profiles }))
}

/// Keep a prompt profile
///
/// In the place of another one of its name. The instructions of the active one go with every message of the chat page.
#[utoipa::path(post, path = "/api/chat/ui/prompt-profiles", tag = "gui", operation_id = "put_prompt_profile",
    request_body = PromptProfileBody,
    responses((status = 200, description = "It is kept", body = PromptProfileKept), BodyErrors,
        (status = 409, description = "There are as many as there may be", body = ErrorBody)))]
pub(super) async fn put(
    State(page): State<ChatPageService>,
    JsonBody(PromptProfileBody(draft)): JsonBody<PromptProfileBody>,
) -> Result<JsonReply<PromptProfileKept>, ApiError> {
    let profile = PromptProfileView::from(page.put_prompt_profile(draft).await?);
    let (target, after) = (format!("prompt-profiles/{}", profile.name), serde_json::to_value(&profile).ok());
    RequestTrail::note([RecordedChange { target, before: None, after }]);
    Ok(JsonReply::ok(PromptProfileKept { success: true, profile }))
}
