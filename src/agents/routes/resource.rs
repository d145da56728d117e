use serde::Serialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::agents::AgentService;
use crate::kernel::{Properties, Secret, SecretUrl};
use crate::settings::{AgentSettings, bounds};
use crate::web::openapi::schema::{Members, any_object, boolean, integer, or_null};
use crate::web::openapi::texts;
use crate::web::resource_routes;

/// An external agent. Its token is never shown, only that there is one.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "billing", "url": "http://localhost:9001", "auth_token": "********", "timeout_seconds": 30, "enabled": true,
    "metadata": {"description": "Knows invoices, payments and reminders"}
}))]
pub(super) struct Agent {
    name: String,
    /// Where it is.
    #[schema(value_type = String)]
    url: SecretUrl,
    /// `********` if there is a token, else null.
    #[schema(value_type = Option<String>)]
    auth_token: Option<Secret>,
    /// Limit for one call, in seconds.
    timeout_seconds: i64,
    /// Whether it may be used.
    enabled: bool,
    /// Free to the caller. Chat reads `description`, `intents` (labels it serves) and `endpoint`.
    #[schema(value_type = Object)]
    metadata: Properties,
}

/// An agent as a client sends it.
pub(super) struct AgentBody;

impl PartialSchema for AgentBody {
    fn schema() -> RefOr<Schema> {
        let metadata = "Free to the caller. Chat reads `description`, `intents` (labels it serves) and `endpoint`.";
        Members::new()
            .required("name", texts::NEW_NAME_PURPOSE, texts::new_name())
            .required("url", "Where it is. Without credentials, query and fragment.", texts::http_url())
            .optional("auth_token", "Sent as a bearer token; null or `\"\"` if there is none.", or_null(texts::trimmed()))
            .with_default("timeout_seconds", "Limit for one call.", integer(&bounds::CALL_SECONDS), 30)
            .with_default("enabled", "Whether it may be used.", boolean(), true)
            .optional("metadata", metadata, any_object())
            .with_example(
                "An agent as a client sends it. In a PUT the mask or nothing for `auth_token` keeps the stored one, null or \
                 `\"\"` clears it.",
                json!({"name": "billing", "url": "http://localhost:9001", "auth_token": "a-long-token",
                    "timeout_seconds": 30, "enabled": true,
                    "metadata": {"description": "Knows invoices, payments and reminders"}}),
            )
    }
}

impl ToSchema for AgentBody {}

resource_routes! {
    service: AgentService, settings: AgentSettings, view: Agent, body: AgentBody,
    changed: AgentChangeResponse, deleted: AgentDeleteResponse, field: agent, catalog: agents,
    label: "Agent", created: "Agent 'billing' created successfully",
    removed: "Agent 'billing' deleted successfully",
    noun: "agent", one: "an agent", at_start: "An agent", many: "agents",
    moves: "A stored token is not sent to another server: when\n`url` moves, give it again.",
}
