use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::conversations::profile_name;
use super::model_id;
use crate::chat::ChatOptions;
use crate::chat::routes::steering_options;
use crate::gui::chat_page::turn::MessageDraft;
use crate::kernel::Fields;
use crate::web::FromFields;
use crate::web::openapi::schema::{Members, any_of, boolean, name_of, or_null, pattern, short_text, text};

/// The one LLM connection that there is.
const CONNECTION: &str = "default";

/// Longest message, in characters.
const MAX_MESSAGE_CHARS: usize = 1_000_000;

/// A message of a user.
pub(super) struct MessageBody(pub(super) MessageDraft);

impl PartialSchema for MessageBody {
    fn schema() -> RefOr<Schema> {
        let connection = any_of([name_of([CONNECTION]), pattern("^$")]);
        let use_tools =
            "With `direct_llm`: the model is offered the tools. Other profiles say themselves what is used.";
        let metadata = "Stored with the message. These keys steer the server, within the routing profile.";
        Members::new()
            .required("message", "What is said.", short_text(MAX_MESSAGE_CHARS))
            .optional("conversation_id", "Null or `\"\"` begins a conversation.", or_null(text()))
            .optional("model_id", "Instead of the conversation's.", model_id::schema())
            .optional("routing_profile", "Instead of the conversation's.", or_null(profile_name()))
            .with_default("use_memory", "False: neither read nor added to.", boolean(), true)
            .with_default("use_tools", use_tools, boolean(), false)
            .with_default("stream", "Has no effect: `send/stream` streams.", boolean(), false)
            .optional("metadata", metadata, or_null(steering_options()))
            .optional("connection_id", "Whom to ask: `default`.", or_null(connection))
            .with_example(
                "A message.",
                json!({"message": "What did I tell you about Lisbon?", "routing_profile": "direct_llm", "use_memory": true}),
            )
    }
}

impl ToSchema for MessageBody {}

impl FromFields for MessageBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let metadata: Map<String, Value> = fields.optional("metadata").unwrap_or_default();
        let mut inner = Fields::new(&metadata, fields.loc("metadata"));
        let options = ChatOptions::read(&mut inner);
        fields.beyond_original(|fields| fields.extend(inner.into_issues()));
        let connection: Option<String> = fields.optional("connection_id");
        if connection.is_some_and(|connection| !connection.is_empty() && connection != CONNECTION) {
            fields.reject("connection_id", "Input should be 'default': there is one LLM connection");
        }
        fields.or("stream", false);
        let text: String = fields.required("message");
        if text.chars().count() > MAX_MESSAGE_CHARS {
            fields.reject("message", format!("A message should have at most {MAX_MESSAGE_CHARS} characters"));
        }
        Self(MessageDraft {
            conversation: fields.optional::<String>("conversation_id").filter(|id| !id.is_empty()),
            text,
            model_id: model_id::read(fields),
            profile: fields.optional("routing_profile"),
            use_memory: fields.or("use_memory", true),
            use_tools: fields.or("use_tools", false),
            metadata,
            options,
        })
    }
}
