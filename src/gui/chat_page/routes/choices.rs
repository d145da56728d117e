use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::gui::chat_page::ChatPageService;
use crate::gui::chat_page::models::{ModelList, ModelSource};
use crate::gui::chat_page::profile::RoutingProfile;
use crate::web::JsonReply;

/// A model to choose.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelChoice {
    #[schema(example = "llama3.2")]
    id: String,
    #[schema(example = "llama3.2")]
    name: String,
}

/// The models to choose from.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelChoices {
    /// False if no LLM is configured.
    success: bool,
    models: Vec<ModelChoice>,
    /// Used where a message names none.
    #[schema(example = "llama3.2")]
    default_model: Option<String>,
    /// `llm_server`, `configuration` if that lists none, or `none` if there is no server.
    #[schema(example = "llm_server")]
    source: &'static str,
    /// Why there are no others.
    #[schema(example = json!(null))]
    message: Option<String>,
}

impl From<ModelList> for ModelChoices {
    fn from(list: ModelList) -> Self {
        let source = match list.source {
            ModelSource::Server => "llm_server",
            ModelSource::Configuration => "configuration",
            ModelSource::Nobody => "none",
        };
        let models = list.ids.into_iter().map(|id| ModelChoice { name: id.clone(), id }).collect();
        let success = list.source != ModelSource::Nobody;
        Self { success, models, default_model: list.default, source, message: list.message }
    }
}

/// What messages may be answered by.
#[derive(Serialize, ToSchema)]
pub(super) struct ProfileChoice {
    #[schema(example = "direct_llm")]
    id: &'static str,
    #[schema(example = "Direct LLM")]
    name: &'static str,
    #[schema(example = "The model alone answers")]
    description: &'static str,
}

/// The routing profiles.
#[derive(Serialize, ToSchema)]
pub(super) struct ProfileChoices {
    profiles: Vec<ProfileChoice>,
}

/// Models to choose
///
/// What the LLM server lists. Where it lists none, what is configured; `message` says why. Never an error.
#[utoipa::path(get, path = "/api/chat/ui/models", tag = "gui", operation_id = "chat_page_models",
    responses((status = 200, description = "The models", body = ModelChoices)))]
pub(super) async fn models(State(page): State<ChatPageService>) -> JsonReply<ModelChoices> {
    JsonReply::ok(page.models().await.into())
}

/// Routing profiles
///
/// `direct_llm` asks the model only, `zain_agent` an agent (the one of that name, else the one that fits the message), `tools_data`
/// uses all that is configured as the message needs it.
#[utoipa::path(get, path = "/api/chat/ui/profiles", tag = "gui", operation_id = "chat_page_profiles",
    responses((status = 200, description = "The profiles", body = ProfileChoices)))]
pub(super) async fn profiles() -> JsonReply<ProfileChoices> {
    let shown = |it: RoutingProfile| ProfileChoice { id: it.id(), name: it.name(), description: it.description() };
    JsonReply::ok(ProfileChoices { profiles: RoutingProfile::ALL.map(shown).into() })
}
